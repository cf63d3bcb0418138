"""Ranges as people write them: LOW:HIGH."""

from __future__ import annotations

import math

import typer


def low_high(text: str, option: str) -> tuple[float, float]:
    """Read LOW:HIGH.

    Raises
    ------
    typer.BadParameter
        It is not two finite numbers in rising order.
    """
    parts = text.split(":")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not LOW:HIGH", param_hint=option) from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise typer.BadParameter(f"{text!r} is not a rising range", param_hint=option)
    return low, high
