"""The number of series does not depend on what a process is fed."""

import re

from coronium.runtime import metrics


def series() -> int:
    return sum(len(metric.samples) for metric in metrics.REGISTRY.collect())


def declared() -> list[metrics.Closed]:
    return [value for value in vars(metrics).values() if isinstance(value, metrics.Closed)]


def test_a_process_stays_below_2000_series_after_10_000_targets() -> None:
    for n in range(10_000):
        target = f"sun/ar12807/x{n:03d}"
        for closed in declared():
            child = closed.labels(**dict.fromkeys(closed.values, target))
            (child.observe if hasattr(child, "observe") else child.set if hasattr(child, "set") else child.inc)(1)
    # And every combination that is declared.
    for closed in declared():
        combinations: list[dict[str, str]] = [{}]
        for name, values in closed.values.items():
            combinations = [{**c, name: value} for c in combinations for value in (*values, metrics.OTHER)]
        for labels in combinations:
            closed.labels(**labels)
    assert 200 < series() < 2000


def test_a_value_outside_the_closed_set_is_counted_as_other() -> None:
    metrics.SPECTRA.labels(instrument="somebody's own").inc()
    assert metrics.REGISTRY.get_sample_value("coronium_spectra_total", {"instrument": "other"}) >= 1


def test_every_metric_has_our_prefix_a_unit_and_a_sentence() -> None:
    for metric in metrics.REGISTRY.collect():
        assert metric.name.startswith("coronium_")
        assert re.search(r"\w+ \w+", metric.documentation)
        assert metric.documentation.endswith(".")
