"""How all pictures look, and how they write a result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from coronium.physics.instruments import UnknownInstrumentError, get_instrument

if TYPE_CHECKING:
    from coronium.client.result import Parameter, Result

WIDTH = 7.1
"""Inches: two columns of a journal's page."""
DOTS_PER_INCH = 220

DATA = "#222222"
MODEL = "#2166AC"
ACCENT = "#B2182B"
FAINT = "#9A9A9A"

STYLE: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "lines.linewidth": 0.8,
    "hatch.linewidth": 0.5,
    "axes.formatter.use_mathtext": True,
}

NAMES = {
    "log_temperature": r"\log T",
    "log_density": r"\log n_{\mathrm{e}}",
    "log_emission_measure": r"\log \mathrm{EM}",
}
_BASE_UNITS = {"log_temperature": "K", "log_density": "cm-3"}


@contextmanager
def picture(path: str | Path, height: float, width: float = WIDTH) -> Iterator[Figure]:
    """Give a figure in the style of all pictures and write it to `path` when the block ends without error.

    Parameters
    ----------
    path : path
    height, width : float
        Inches.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        yield figure
        figure.savefig(path, dpi=DOTS_PER_INCH)


def unit_of(parameter: Parameter) -> str:
    """Return the unit of what the logarithm is of, as mathtext without dollars: `\\mathrm{cm^{-3}}`."""
    unit = parameter.unit.removeprefix("dex(").removesuffix(")") or _BASE_UNITS.get(parameter.name, "")
    return r"\mathrm{" + re.sub(r"-(\d)", r"^{-\1}", unit) + "}" if unit else ""


def axis_label(parameter: Parameter) -> str:
    """Return the label of an axis on which a parameter is shown, `log n_e [cm-3]`."""
    unit = unit_of(parameter)
    return f"${NAMES[parameter.name]}$" + (f" $[{unit}]$" if unit else "")


def in_mathtext(parameter: Parameter) -> str:
    """Return a parameter with its 68 % interval, or its 95 % limit, or that it is unconstrained."""
    digits = 2 if parameter.limit is not None or parameter.upper - parameter.lower > 0.02 else 3
    unit = unit_of(parameter)
    name = NAMES[parameter.name] + (rf"\ [{unit}]" if unit else "")
    sign = {"upper_limit": "<", "lower_limit": ">"}.get(parameter.constraint)
    if sign and parameter.limit is not None:
        return f"${name} {sign} {parameter.limit:.{digits}f}$ (95%)"
    if parameter.constraint == "unconstrained":
        return f"${name}$ unconstrained"
    above = f"{parameter.upper - parameter.median:.{digits}f}"
    below = f"{parameter.median - parameter.lower:.{digits}f}"
    interval = rf"\pm {above}" if above == below else f"^{{+{above}}}_{{-{below}}}"
    return f"${name} = {parameter.median:.{digits}f}{interval if above != below else ' ' + interval}$"


def instrument_title(name: str) -> str:
    """Return what a reader calls an instrument, without the details; an unknown one is called by its name."""
    try:
        return get_instrument(name).title.split(",")[0]
    except UnknownInstrumentError:
        return name


def target_title(result: Result) -> str:
    """Return what a reader calls a target: `Capella`, `AR 12807 at (-62″, -254″)`."""
    sun, _, place = result.target.partition("/")
    if sun != "sun":
        return result.target.capitalize() if result.target.islower() else result.target
    region = re.sub(r"^ar(?=\d)", "AR ", place.partition("/")[0])
    x, y = (result.annotations.get(f"solar_{axis}_arcsec") for axis in "xy")
    if x is None or y is None:
        return f"{region} {place.partition('/')[2]}".rstrip()
    return f"{region} at (${float(x):.0f}$″, ${float(y):.0f}$″)"
