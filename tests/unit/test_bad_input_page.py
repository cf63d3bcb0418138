"""docs/bad-input.md names every limit as it is."""

from __future__ import annotations

import re
from types import ModuleType

from coronium.contract import channel_checks, limits, spectrum_checks
from tests._shared import REPOSITORY

PAGE = (REPOSITORY / "docs" / "bad-input.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z_]+)` \| ([^|]+) \|", re.MULTILINE)


def limits_of(module: ModuleType) -> dict[str, object]:
    """Return the limits that a module itself defines."""
    text = (REPOSITORY / "services").joinpath(*module.__name__.split(".")).with_suffix(".py").read_text()
    names = re.findall(r"^([A-Z]+_[A-Z_]+) = ", text, re.MULTILINE)
    return {name: getattr(module, name) for name in names if name.startswith("MAX_") or name.endswith("_RANGE")}


def in_words(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:g} to {value[1]:g}"
    if isinstance(value, float):
        return f"{value:g}" if value >= 1e6 or value < 1000 else f"{value:,.0f}".replace(",", " ")
    assert isinstance(value, int)
    if name.endswith("_BYTES"):
        for size, unit in ((1024**2, "MiB"), (1024, "KiB")):
            if value >= size:
                assert value % size == 0
                return f"{value // size:,} {unit}".replace(",", " ")
    return f"{value:,}".replace(",", " ")


def test_every_limit_is_in_the_table_with_its_value() -> None:
    real: dict[str, object] = {}
    for module in (limits, spectrum_checks, channel_checks):
        real |= limits_of(module)
    assert {name: value.strip() for name, value in ROW.findall(PAGE)} == {
        name: in_words(name, value) for name, value in real.items()
    }


def test_the_files_that_the_page_names_are_there() -> None:
    for path in re.findall(r"`(tests/[a-z_/*.]+\.py)`", PAGE):
        assert list(REPOSITORY.glob(path)), path
    for path in re.findall(r"`((?:contract|runtime|physics)/[a-z0-9_/]+\.py)`", PAGE):
        assert (REPOSITORY / "services" / "coronium" / path).is_file(), path
