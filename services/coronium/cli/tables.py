"""Results as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from coronium.client.result import Parameter, Result

MOST_LABELS = 4


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
    above, below = parameter.upper - parameter.median, parameter.median - parameter.lower
    return f"{parameter.median:.{digits}f} +{above:.{digits}f} -{below:.{digits}f}"


def line_labels(result: Result, most: int = MOST_LABELS) -> str:
    """Return how many lines are identified and the labels of those with the highest signal to noise."""
    lines = sorted(result.identified_lines, key=lambda line: -line.predicted_signal_to_noise)
    labels = ", ".join(line.label for line in lines[:most])
    rest = f" +{len(lines) - most}" if len(lines) > most else ""
    return f"{labels}{rest}" if lines else "none"


def results_table(found: Iterable[Result], title: str | None = None) -> Table:
    """Return a table of results, a row each: temperature, density, emission measure, lines, rung, time."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for heading in ("target", "name", "log T [K]", "log n [cm-3]", "log EM", "identified lines", "rung", "fit [s]"):
        table.add_column(heading, justify="right" if heading == "fit [s]" else "left", overflow="fold")
    for result in found:
        table.add_row(*row(result))
    return table


def row(result: Result) -> Sequence[str]:
    """Return the cells of a result in `results_table`."""
    parameters = result.parameters
    return (
        result.target,
        result.name or "-",
        in_words(parameters.get("log_temperature")),
        in_words(parameters.get("log_density")),
        in_words(parameters.get("log_emission_measure")),
        line_labels(result),
        result.rung,
        f"{result.diagnostics.get('fit_seconds', float('nan')):.1f}",
    )


def parameters_table(result: Result) -> Table:
    """Return a table of all parameters of one result."""
    table = Table(title="Parameters", title_justify="left", header_style="bold")
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
    table = Table(title="Identified lines", title_justify="left", header_style="bold")
    for heading in ("line", "wavelength [A]", "flux", "error", "S/N", "probability"):
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
