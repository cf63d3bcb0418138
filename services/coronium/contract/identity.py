"""What makes two spectra the same spectrum, and two results the same result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coronium.v1 import posterior_pb2, spectrum_pb2

RESULT_ID_LENGTH = 32
"""Hexadecimal digits of a result id: 128 bits of SHA-256."""


def fingerprint(spectrum: spectrum_pb2.Spectrum) -> str:
    """Identify the data of a spectrum.

    Everything that can change the answer counts: target, instrument, source kind, distance, plasma model,
    exposure times and the arrays. Names of the spectrum and of its exposures, annotations, the order of the
    channels and how the message was serialised do not, nor do values in masked bins.

    Parameters
    ----------
    spectrum : spectrum_pb2.Spectrum
        With consistent lengths. Once its source is set, a spectrum has the fingerprint of its canonical form.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    digest = _Digest(b"coronium.fingerprint.v1")
    digest.add(spectrum.target, spectrum.instrument, spectrum.source, plasma_model(spectrum))
    digest.add(float(spectrum.distance_pc), len(spectrum.exposures), len(spectrum.channels))
    for exposure in spectrum.exposures:
        digest.add(exposure.start.seconds, exposure.start.nanos, float(exposure.seconds))
    for channel in sorted(spectrum.channels, key=lambda channel: channel.name):
        digest.add(channel.name, channel.statistic, float(channel.line_width))
        digest.add(np.array(channel.wavelength_edges, dtype="<f8"))
        for values in canonical_arrays(channel).values():
            digest.add(values)
    return digest.hexdigest()


def plasma_model(spectrum: spectrum_pb2.Spectrum) -> spectrum_pb2.PlasmaModel:
    """Return the plasma model to fit: what the spectrum asks for, isothermal when it asks for none."""
    return spectrum.plasma_model or spectrum_pb2.PLASMA_MODEL_ISOTHERMAL


def canonical_arrays(channel: spectrum_pb2.Channel) -> dict[str, NDArray]:
    """Return a channel's arrays with one spelling for each meaning.

    Parameters
    ----------
    channel : spectrum_pb2.Channel
        With consistent lengths.

    Returns
    -------
    dict of str to array
        By field name: `mask` (E N,) uint8, 1 where the bin may be used and has area; `counts`, `background`
        and `read_variance` (E N,) float32, 0 in masked bins; `area_exposure` (E N,) float32, kept in masked
        bins (a line's wings reach out of them) and 0 where there is none; `background_scale` (E,) float32.
        Absent arrays are empty; zero has no sign.
    """
    counts = np.array(channel.counts, dtype="<f4")
    area = np.array(channel.area_exposure, dtype="<f4")
    usable = np.isfinite(area) & (area > 0)
    mask = (np.frombuffer(channel.mask, dtype=np.uint8) != 0) & usable if channel.mask else usable
    arrays = {
        "mask": mask.astype(np.uint8),
        "counts": _zero_where(counts, ~mask),
        "area_exposure": _zero_where(area, ~usable),
        "background": np.array(channel.background, dtype="<f4"),
        "read_variance": np.array(channel.read_variance, dtype="<f4"),
        "background_scale": np.array(channel.background_scale, dtype="<f4") + np.float32(0.0),
    }
    for field in ("background", "read_variance"):
        if len(arrays[field]):
            arrays[field] = _zero_where(arrays[field], ~mask)
    return arrays


def single_result_id(fingerprint: str, versions: posterior_pb2.ModelVersions) -> str:
    """Identify the result of one spectrum under given model versions.

    Returns
    -------
    str
        `RESULT_ID_LENGTH` hexadecimal digits.
    """
    digest = _Digest(b"coronium.result.single.v1")
    digest.add(fingerprint, *_version_fields(versions))
    return digest.hexdigest()[:RESULT_ID_LENGTH]


def joint_result_id(target: str, fingerprints: Iterable[str], versions: posterior_pb2.ModelVersions) -> str:
    """Identify the joint result of a target's epochs, whatever their order or repetition.

    Returns
    -------
    str
        `RESULT_ID_LENGTH` hexadecimal digits.
    """
    digest = _Digest(b"coronium.result.joint.v1")
    digest.add(target, *_version_fields(versions), *sorted(set(fingerprints)))
    return digest.hexdigest()[:RESULT_ID_LENGTH]


def random_seed(result_id: str) -> int:
    """Return the seed of everything random in a result, 0 <= seed < 2^31: a rerun gives the same draws."""
    return int.from_bytes(hashlib.sha256(b"coronium.seed.v1" + result_id.encode()).digest()[:4], "big") >> 1


def _version_fields(versions: posterior_pb2.ModelVersions) -> tuple[str, ...]:
    return (
        versions.software,
        versions.emissivity_table,
        versions.network,
        versions.instrument,
        versions.priors,
    )


def _zero_where(values: NDArray, where: NDArray) -> NDArray:
    # Adding zero turns -0.0 into 0.0.
    return np.where(where, np.float32(0.0), values).astype("<f4") + np.float32(0.0)


class _Digest:
    """SHA-256 over values with their kinds and lengths: no two sequences of values read the same."""

    def __init__(self, purpose: bytes) -> None:
        self._hash = hashlib.sha256(purpose)

    def add(self, *values: Any) -> None:
        for value in values:
            match value:
                case str():
                    kind, data = b"s", value.encode()
                case int():
                    kind, data = b"i", str(value).encode()
                case float():
                    kind, data = b"f", np.float64(value + 0.0).astype("<f8").tobytes()
                case _:
                    kind, data = b"a", np.ascontiguousarray(value).tobytes()
            self._hash.update(kind + len(data).to_bytes(8, "little"))
            self._hash.update(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
