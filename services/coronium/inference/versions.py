"""What made a result, in short hashes: part of the result's id."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import numpy as np

from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.instruments.instrument import Instrument
from coronium.physics.parameters import Priors


def priors_version(priors: Priors) -> str:
    """Short hash of a prior: part of a result's id."""
    return hashlib.sha256(repr(sorted(asdict(priors).items())).encode()).hexdigest()[:12]


def table_version(table: EmissivityTable) -> str:
    """CHIANTI's version and a short hash of the lines: part of a result's id."""
    content = hashlib.sha256(np.ascontiguousarray(table.line_wavelength).tobytes())
    content.update(np.ascontiguousarray(table.line_log_emissivity).tobytes())
    return f"chianti-{table.provenance.get('chianti_version', 'unknown')}-{content.hexdigest()[:12]}"


def instrument_version(instrument: Instrument) -> str:
    """Short hash of an instrument's response: part of a result's id."""
    digest = hashlib.sha256(instrument.name.encode())
    for channel in instrument.channels:
        for values in (channel.wavelength_edges, channel.effective_area, channel.calibration_modes):
            digest.update(np.ascontiguousarray(values, float).tobytes())
        digest.update(
            repr((channel.name, channel.fwhm, channel.fwhm_log_sd, channel.shift_sd, channel.profile)).encode()
        )
    return digest.hexdigest()[:12]
