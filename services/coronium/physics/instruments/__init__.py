"""Instruments: what a spectrometer does to light, and how well that is known."""

from coronium.physics.instruments.instrument import ChannelResponse, Instrument, MaskedRange, Profile
from coronium.physics.instruments.registry import (
    UnknownInstrumentError,
    get_instrument,
    instrument_names,
    register_instrument,
)

__all__ = [
    "ChannelResponse",
    "Instrument",
    "MaskedRange",
    "Profile",
    "UnknownInstrumentError",
    "get_instrument",
    "instrument_names",
    "register_instrument",
]
