"""The instruments that Coronium knows by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from coronium.physics.instruments.instrument import Instrument
from coronium.physics.instruments.presets import chandra_letg, chandra_meg, euve, hinode_eis


class UnknownInstrumentError(LookupError):
    """An instrument name that nobody registered; the message lists those known."""


PRESETS: dict[str, Callable[[], Instrument]] = {
    "hinode-eis": hinode_eis,
    "chandra-letg": chandra_letg,
    "chandra-meg": chandra_meg,
    "euve": euve,
}
_registered: dict[str, Instrument] = {}


def instrument_names() -> list[str]:
    """Names of all known instruments, presets first."""
    return [*PRESETS, *_registered]


def get_instrument(name: str) -> Instrument:
    """Return the instrument of that name.

    Raises
    ------
    UnknownInstrumentError
        When there is none; the message lists the known ones.
    """
    if name in PRESETS:
        return _preset(name)
    if name in _registered:
        return _registered[name]
    raise UnknownInstrumentError(f"unknown instrument {name!r}; known are {', '.join(instrument_names())}")


def register_instrument(instrument: Instrument) -> None:
    """Make an instrument (one read from OGIP files, say) known by its name to this process.

    Raises
    ------
    ValueError
        When the name is a preset's.
    """
    if instrument.name in PRESETS:
        raise ValueError(f"{instrument.name!r} is the name of a preset; choose another")
    _registered[instrument.name] = instrument


@cache
def _preset(name: str) -> Instrument:
    return PRESETS[name]()
