"""How pictures write a result: names, units, intervals and limits as mathtext, and what a reader calls a target."""

from __future__ import annotations

import math
import re

from coronium.client.result import Parameter, Result

NAMES = {
    "log_temperature": r"\log T",
    "log_density": r"\log n_{\mathrm{e}}",
    "log_emission_measure": r"\log \mathrm{EM}",
}
_BASE_UNITS = {"log_temperature": "K", "log_density": "cm-3"}


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


def target_title(result: Result) -> str:
    """Return what a reader calls a target: `Capella`, `AR 12807 at (-62″, -254″)`."""
    sun, _, place = result.target.partition("/")
    if sun != "sun":
        return result.target.capitalize() if result.target.islower() else result.target
    region = re.sub(r"^ar(?=\d)", "AR ", place.partition("/")[0])
    x, y = (_number(result.annotations.get(f"solar_{axis}_arcsec", "")) for axis in "xy")
    if x is None or y is None:
        return f"{region} {place.partition('/')[2]}".rstrip()
    return f"{region} at (${x:.0f}$″, ${y:.0f}$″)"


def _number(annotation: str) -> float | None:
    """Return the number that an annotation holds; users annotate as they like."""
    try:
        number = float(annotation)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
