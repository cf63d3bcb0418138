"""Capella as Chandra saw it 25 times from 1999 to 2016: LETG/HRC-S counts, 11-23 A, both orders.

The spectra are those of the ISSI atomic-data team (github.com/hpwarren/ISSIAtomicData; Yu et al. 2024,
arXiv:2404.10427), made compact by scripts/extract_capella.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

import numpy as np

from coronium.physics.instruments import get_instrument
from coronium.physics.spectrum import Channel, SourceKind, Spectrum

CAPELLA_DISTANCE_PC = 13.042
"""Torres, Claret & Young 2009, ApJ 700, 1349: 13.042 +- 0.028 pc."""

CAPELLA_CITATION = "Yu et al. 2024, arXiv:2404.10427; github.com/hpwarren/ISSIAtomicData"


@cache
def _extract() -> dict[str, np.ndarray]:
    with np.load(str(files("coronium.physics") / "data" / "capella_letg.npz"), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def read_capella() -> list[Spectrum]:
    """Return Capella's 25 observations, each a spectrum of its own.

    Returns
    -------
    list of Spectrum
        In the order of the published tables, 1 exposure and 2 channels each; `name` is the ObsID.
    """
    return [_spectrum([index]) for index in range(len(_extract()["obsid"]))]


def read_capella_cube() -> Spectrum:
    """Return Capella's 25 observations as the exposures of one spectrum (E = 25)."""
    return _spectrum(list(range(len(_extract()["obsid"]))))


def _spectrum(rows: list[int]) -> Spectrum:
    data = _extract()
    instrument = get_instrument("chandra-letg")
    channels = []
    for order in ("negative", "positive"):
        response = instrument.channel(f"letg-{order}")
        area = data[f"{order}_area_mean"] * np.exp(data["area_step"] * data[f"{order}_area_log"][rows])
        mask = np.broadcast_to(response.mask, area.shape)
        channels.append(
            Channel(
                name=response.name,
                wavelength_edges=response.wavelength_edges,
                counts=np.where(mask, data[f"{order}_counts"][rows], 0).astype(np.float32),
                # The published tables hold cm2 ks.
                area_exposure=(1e3 * area).astype(np.float32),
                mask=mask.copy(),
                background=np.where(mask, data[f"{order}_background"][rows], 0).astype(np.float32),
                background_scale=data["backscal"][rows].astype(np.float32),
            )
        )
    dates = [str(date) for date in data["date"][rows]]
    names = [str(obsid) for obsid in data["obsid"][rows]]
    starts = [datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() for date in dates]
    return Spectrum(
        target="capella",
        instrument=instrument.name,
        source=SourceKind.STAR,
        channels=tuple(channels),
        exposure_start=np.array(starts),
        exposure_seconds=1e3 * data["exposure_ks"][rows],
        distance_pc=CAPELLA_DISTANCE_PC,
        name=names[0] if len(rows) == 1 else f"{len(rows)} exposures",
        annotations={
            "obsid": " ".join(names),
            "date_obs": dates[0],
            "citation": CAPELLA_CITATION,
        },
    )
