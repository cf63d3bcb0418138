"""Messages as the stages before results produce them, for tests that need no fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from coronium.contract.identity import fingerprint, joint_result_id, single_result_id
from coronium.v1 import dead_letter_pb2, features_pb2, posterior_pb2, spectrum_pb2

EPOCH_ZERO = datetime(2024, 3, 1, tzinfo=UTC)
NAMES = ("log_temperature", "log_density", "log_emission_measure", "abundance_fe", "abundance_o", "shift", "width")
DRAWS = 512


def spectrum(target: str = "capella", *, seed: int = 0, bins: int = 40, name: str = "") -> spectrum_pb2.Spectrum:
    """Return a small spectrum with Poisson counts; another seed is another observation."""
    random = np.random.default_rng(seed)
    message = spectrum_pb2.Spectrum(
        target=target,
        instrument="chandra-letg",
        source=spectrum_pb2.SOURCE_KIND_STAR,
        name=name,
        plasma_model=spectrum_pb2.PLASMA_MODEL_ISOTHERMAL,
    )
    exposure = message.exposures.add(name=f"obs-{seed}", seconds=30_000.0)
    exposure.start.FromDatetime(EPOCH_ZERO + timedelta(days=seed))
    channel = message.channels.add(name="letg-negative", statistic=spectrum_pb2.STATISTIC_POISSON)
    channel.wavelength_edges.extend(np.linspace(18.0, 23.0, bins + 1))
    channel.counts.extend(random.poisson(12.0, bins).astype(float))
    channel.area_exposure.extend(np.full(bins, 2.5e5))
    return message


def observation(target: str = "capella", *, seed: int = 0, name: str = "") -> spectrum_pb2.Observation:
    """Return a checked spectrum as ingestion publishes it."""
    raw = spectrum(target, seed=seed, name=name)
    message = spectrum_pb2.Observation(spectrum=raw, fingerprint=fingerprint(raw), signal_to_noise=3.5)
    message.received_at.FromDatetime(EPOCH_ZERO + timedelta(days=seed, hours=1))
    return message


def posterior(
    target: str = "capella",
    *,
    seeds: Sequence[int] = (0,),
    kind: int = posterior_pb2.RESULT_KIND_SINGLE,
    priors: str = "default-1",
    log_temperature: float = 6.7,
    log_density: float = 10.2,
    triage: bool = False,
    fitted_hours: float = 2.0,
    name: str = "",
) -> posterior_pb2.Posterior:
    """Return a posterior of the observations with these seeds, with draws, lines and a predictive band.

    Parameters
    ----------
    priors : str
        Part of the model versions: another value is another result of the same spectrum.
    triage : bool
        Whether the fit was capped at the mode.
    fitted_hours : float
        When it was fitted, in hours after the first exposure began.
    """
    fingerprints = sorted(observation(target, seed=seed).fingerprint for seed in seeds)
    versions = posterior_pb2.ModelVersions(
        software="0.1.0", emissivity_table="chianti-10.1", network="5f2c", instrument="letg-2024", priors=priors
    )
    single = kind == posterior_pb2.RESULT_KIND_SINGLE
    message = posterior_pb2.Posterior(
        result_id=(
            single_result_id(fingerprints[0], versions) if single else joint_result_id(target, fingerprints, versions)
        ),
        kind=kind,
        target=target,
        fingerprints=fingerprints,
        instrument="chandra-letg",
        source=spectrum_pb2.SOURCE_KIND_STAR,
        name=name,
        plasma_model=spectrum_pb2.PLASMA_MODEL_ISOTHERMAL,
        rung=posterior_pb2.RUNG_MODE if triage else posterior_pb2.RUNG_NUTS,
        flags=[posterior_pb2.FLAG_TRIAGE] if triage else [],
        versions=versions,
        diagnostics=posterior_pb2.Diagnostics(max_r_hat=1.004, min_effective_sample_size=612.0, fit_seconds=2.1),
    )
    message.observed_at.FromDatetime(EPOCH_ZERO + timedelta(days=min(seeds)))
    message.received_at.FromDatetime(EPOCH_ZERO + timedelta(days=min(seeds), hours=1))
    message.fitted_at.FromDatetime(EPOCH_ZERO + timedelta(days=min(seeds), hours=fitted_hours))
    centre = np.array([log_temperature, log_density, 52.8, 0.7, 0.9, 0.001, 0.05])
    draws = np.random.default_rng(int(message.result_id[:8], 16)).normal(centre, 0.02, (DRAWS, len(NAMES)))
    message.draws.names.extend(NAMES)
    message.draws.values.extend(draws.astype(np.float32).ravel())
    for name_, column in zip(NAMES, draws.T, strict=True):
        _summarise(message, name_, column)
    message.lines.add(
        label="O VII 21.602", wavelength=21.602, probability=0.98, flux=3.1e-4, flux_error=2e-5, identified=True
    )
    band = message.predictive.add(name="letg-negative", rebinned=1)
    for field in ("wavelength", "lower", "median", "upper"):
        getattr(band, field).extend(np.linspace(18.0, 23.0, 40))
    return message


def joint(target: str = "capella", *, seeds: Sequence[int], **options: object) -> posterior_pb2.Posterior:
    """Return a joint posterior of several observations of a target."""
    return posterior(target, seeds=seeds, kind=posterior_pb2.RESULT_KIND_JOINT, **options)  # type: ignore[arg-type]


def dead_letter(
    target: str = "capella",
    *,
    seed: int = 0,
    stage: str = "fitting",
    offset: int = 7,
    value: bytes | None = None,
    detail: str = "The worker died three times with this record.",
) -> dead_letter_pb2.DeadLetter:
    """Return a dead letter of the features of an observation, or of other bytes."""
    features = features_pb2.Features(observation=observation(target, seed=seed))
    message = dead_letter_pb2.DeadLetter(
        stage=stage,
        reason=dead_letter_pb2.DEAD_LETTER_REASON_CRASH,
        detail=detail,
        source_topic="coronium.features.v1",
        source_partition=3,
        source_offset=offset,
        key=target.encode(),
        value=features.SerializeToString() if value is None else value,
        headers={"coronium-trace-id": hashlib.sha256(target.encode()).hexdigest()[:32].encode()},
        attempts=3,
    )
    message.failed_at.FromDatetime(EPOCH_ZERO + timedelta(days=seed, hours=3))
    return message


def _summarise(message: posterior_pb2.Posterior, name: str, column: np.ndarray) -> None:
    lower95, lower68, median, upper68, upper95 = np.quantile(column, [0.025, 0.16, 0.5, 0.84, 0.975])
    message.parameters.add(
        name=name,
        median=median,
        mean=column.mean(),
        standard_deviation=column.std(),
        lower68=lower68,
        upper68=upper68,
        lower95=lower95,
        upper95=upper95,
        constraint=posterior_pb2.CONSTRAINT_MEASURED,
        r_hat=1.002,
        effective_sample_size=640.0,
    )
