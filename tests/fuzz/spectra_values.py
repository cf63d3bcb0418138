"""Spectra on one grid whose numbers, shapes and names are mutated: what passes the decoders and reaches the workers.

Their wavelengths stay, because a fit compiles a program for every grid it meets, which takes a minute each.
"""

from __future__ import annotations

import random

from coronium.contract.identity import fingerprint
from coronium.v1 import features_pb2, spectrum_pb2
from tests.fuzz import seeds
from tests.fuzz.mutators import FLOATS, mutated
from tests.unit.spectra import good_spectrum

_ARRAYS = ("counts", "area_exposure", "read_variance")
_LARGE = (1e4, 1e6, 1e7, 1e9, 1e12, 1e-10, 1e-20, 1e-30, 1e15, 3e4)


def spectrum(random: random.Random) -> spectrum_pb2.Spectrum:
    """Return a spectrum of EIS's Fe XII 186.9 with some of its numbers changed, or its shape."""
    message = good_spectrum(f"sun/x{random.randrange(1000):03d}")
    channel = message.channels[0]
    for _ in range(random.choice((1, 1, 2, 4))):
        values = getattr(channel, random.choice(_ARRAYS))
        number = random.choice((*FLOATS, *_LARGE))
        match random.randrange(6):
            case 0:
                values[:] = [number] * len(values)
            case 1:
                values[:] = [value * random.choice(_LARGE) for value in values]
            case 2:
                channel.mask = bytes(random.choice((0, 1, 1, 255)) for _ in range(random.choice((4, 4, 3))))
            case 3:
                message.exposures[0].seconds = number
            case 4 if random.random() < 0.3:
                del values[random.randrange(len(values)) :]
            case _ if values:
                values[random.randrange(len(values))] = number
    return message


def features(random: random.Random) -> features_pb2.Features:
    """Return features of such a spectrum, or of a good one beside a mutated grid of the network."""
    whole = seeds.features(good_spectrum(f"sun/x{random.randrange(1000):03d}"))
    if random.random() < 0.6:
        whole.observation.spectrum.CopyFrom(spectrum(random))
        whole.observation.fingerprint = _name(whole.observation.spectrum)
    if random.random() < 0.5:
        whole.grid.CopyFrom(mutated(random, whole.grid))
    return whole


def observation(random: random.Random) -> spectrum_pb2.Observation:
    """Return an observation of such a spectrum."""
    message = spectrum(random)
    return spectrum_pb2.Observation(spectrum=message, fingerprint=_name(message))


def _name(message: spectrum_pb2.Spectrum) -> str:
    try:
        return fingerprint(message)
    except ValueError:
        # Its lengths do not fit: no ingestion would have named it.
        return "0" * 64
