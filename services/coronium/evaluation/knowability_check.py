"""Fisher numbers that were known before this code: what EIS and LETG cannot know of density, at S/N 5.

With the mission's range of density, log n 9-11, whose prior alone has sd 0.577: 0.55-0.58 for the EIS windows at
log T 7.0, and 0.5-0.6 for LETG 17-23 A below log n 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from coronium.evaluation.knowability import PLASMA, Observatory
from coronium.physics.instruments import Instrument, get_instrument
from coronium.physics.observation_model import ModelCache
from coronium.physics.parameters import Priors
from coronium.physics.simulator import Simulator

MISSION_DENSITY = Priors(log_density=(9.0, 11.0))
"""The mission's range of density; temperature has the default one, so that log T 7.0 is no edge."""
SIGNAL_TO_NOISE = 5.0


@dataclass(frozen=True)
class Check:
    """Range of sd(log n), dex, over some points.

    Attributes
    ----------
    what : in words
    wanted : (low, high)
    three_free, all_free : (low, high) with T, n and EM free, and with all unknowns of a fit free
    """

    what: str
    wanted: tuple[float, float]
    three_free: tuple[float, float]
    all_free: tuple[float, float]


def between(instrument: Instrument, low: float, high: float) -> Instrument:
    """An instrument cut to a range of wavelengths, Angstrom, all its channels."""
    channels = []
    for channel in instrument.channels:
        kept = np.flatnonzero((channel.wavelength > low) & (channel.wavelength < high))
        channels.append(
            replace(
                channel,
                wavelength_edges=channel.wavelength_edges[kept[0] : kept[-1] + 2],
                effective_area=channel.effective_area[kept],
                calibration_modes=channel.calibration_modes[:, kept],
            )
        )
    return replace(instrument, channels=tuple(channels))


def observatories(cache: ModelCache) -> tuple[Observatory, Observatory]:
    """The EIS windows and LETG 17-23 A, with the mission's range of density."""
    instruments = get_instrument("hinode-eis"), between(get_instrument("chandra-letg"), 17.0, 23.0)
    eis, letg = (Observatory(Simulator(cache, instrument, MISSION_DENSITY)) for instrument in instruments)
    return eis, letg


def checks(eis: Observatory, letg: Observatory) -> list[Check]:
    """Compute what is compared; LETG twice, since its numbers came without a temperature."""
    return [
        _check("EIS, log T 7.0, log n 9.1-10.9", eis, (0.55, 0.58), (7.0,), (9.1, 10.0, 10.5, 10.9)),
        _check("LETG 17-23 Å, log T 6.3-7.0, log n 9.1-9.5", letg, (0.5, 0.6), (6.3, 6.5, 6.7, 7.0), (9.1, 9.5)),
        _check("LETG 17-23 Å, log T 6.0, log n 9.1-9.5", letg, (0.5, 0.6), (6.0,), (9.1, 9.5)),
    ]


def _check(
    what: str,
    instrument: Observatory,
    wanted: tuple[float, float],
    log_temperature: Sequence[float],
    log_density: Sequence[float],
) -> Check:
    points = [instrument.at(t, n, SIGNAL_TO_NOISE) for t in log_temperature for n in log_density]
    three, everything = ([instrument.sd(point, free)[1] for point in points] for free in (PLASMA, None))
    return Check(what, wanted, (min(three), max(three)), (min(everything), max(everything)))
