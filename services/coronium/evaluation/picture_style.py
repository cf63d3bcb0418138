"""How all pictures look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from coronium.physics.instruments import UnknownInstrumentError, get_instrument

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


def instrument_title(name: str) -> str:
    """Return what a reader calls an instrument, without the details; an unknown one is called by its name."""
    try:
        return get_instrument(name).title.split(",")[0]
    except UnknownInstrumentError:
        return name
