"""Results as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from coronium.client.result import Parameter, Result

MOST_LABELS = 2


def in_words(parameter: Parameter | None, digits: int = 2) -> str:
    """Return a parameter as median with its 68 % interval, as its 95 % limit, or that it is unconstrained."""
    if parameter is None:
        return "-"
    limit = parameter.limit
    match parameter.constraint:
        case "upper_limit" if limit is not None:
            return f"< {limit:.{digits}f}"
        case "lower_limit" if limit is not None:
            return f"> {limit:.{digits}f}"
        case "unconstrained":
            return "unconstrained"
    if parameter.upper - parameter.lower < 2.0 * 10.0**-digits:
        digits += 1
    above = f"{parameter.upper - parameter.median:.{digits}f}"
    below = f"{parameter.median - parameter.lower:.{digits}f}"
    interval = f"±{above}" if above == below else f"+{above} -{below}"
    return f"{parameter.median:.{digits}f} {interval}"


def spectrum_name(result: Result) -> str:
    """Return the target, and the user's own name of the spectrum where it says more."""
    return result.target if result.target.endswith(result.name) else f"{result.target} {result.name}"


def line_labels(result: Result, most: int = MOST_LABELS) -> str:
    """Return how many lines are identified and the labels of those with the highest signal to noise."""
    lines = sorted(result.identified_lines, key=lambda line: -line.predicted_signal_to_noise)
    labels = ", ".join(line.label for line in lines[:most])
    rest = f" +{len(lines) - most}" if len(lines) > most else ""
    return f"{labels}{rest}" if lines else "none"


def results_table(found: Iterable[Result], title: str | None = None) -> Table:
    """Return a table of results, a row each: temperature, density, emission measure, lines, rung, time."""
    table = _table(title)
    for heading in ("spectrum", "log T (K)", "log n (cm-3)", "log EM", "identified lines", "rung"):
        table.add_column(heading, overflow="fold", no_wrap=heading not in ("spectrum", "identified lines"))
    table.add_column("fit (s)", justify="right")
    for result in found:
        table.add_row(*row(result))
    return table


def row(result: Result) -> Sequence[str]:
    """Return the cells of a result in `results_table`."""
    parameters = result.parameters
    return (
        spectrum_name(result),
        in_words(parameters.get("log_temperature")),
        in_words(parameters.get("log_density")),
        in_words(parameters.get("log_emission_measure")),
        line_labels(result),
        result.rung,
        f"{result.diagnostics.get('fit_seconds', float('nan')):.1f}",
    )


def parameters_table(result: Result) -> Table:
    """Return a table of all parameters of one result."""
    table = _table("Parameters")
    for heading in ("parameter", "median and 68 %, or 95 % limit", "95 %", "unit", "R-hat", "ESS", ""):
        table.add_column(heading, overflow="fold")
    for parameter in result.parameters.values():
        table.add_row(
            parameter.name,
            in_words(parameter, 3),
            f"{parameter.lower95:.3f} .. {parameter.upper95:.3f}",
            parameter.unit,
            f"{parameter.r_hat:.3f}",
            f"{parameter.effective_sample_size:.0f}",
            "prior-dominated" if parameter.prior_dominated else "",
        )
    return table


def lines_table(result: Result) -> Table:
    """Return a table of the identified lines of one result."""
    table = _table("Identified lines")
    for heading in ("line", "wavelength (A)", "flux", "error", "S/N", "probability"):
        table.add_column(heading, justify="left" if heading == "line" else "right")
    for line in result.identified_lines:
        table.add_row(
            line.label + (" (theoretical)" if line.theoretical else ""),
            f"{line.wavelength:.3f}",
            f"{line.flux:.3g}",
            f"{line.flux_error:.2g}",
            f"{line.predicted_signal_to_noise:.1f}",
            f"{line.probability:.3f}",
        )
    return table


def _table(title: str | None) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD)
