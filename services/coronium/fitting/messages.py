"""A fit as the message that results stores."""

from __future__ import annotations

import time
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from coronium.contract.identity import single_result_id
from coronium.fit import FitResult, Flag, Rung
from coronium.fitting.message_size import limit_size
from coronium.inference.summaries import Summary
from coronium.v1 import features_pb2, posterior_pb2

_RUNGS = {Rung.MODE: posterior_pb2.RUNG_MODE, Rung.NUTS: posterior_pb2.RUNG_NUTS}


def model_versions(versions: dict[str, str], network: str) -> posterior_pb2.ModelVersions:
    """Versions of a fitter and of the network that started it."""
    return posterior_pb2.ModelVersions(
        software=versions["software"],
        emissivity_table=versions["emissivity_table"],
        network=network,
        instrument=versions["instrument"],
        priors=versions["priors"],
    )


def heading(
    features: features_pb2.Features,
    versions: posterior_pb2.ModelVersions,
    rung: posterior_pb2.Rung,
    flags: Sequence[Flag],
) -> posterior_pb2.Posterior:
    """Everything of a posterior that does not come from its draws: whose it is, what made it, what to know of it."""
    observation = features.observation
    spectrum = observation.spectrum
    message = posterior_pb2.Posterior(
        result_id=single_result_id(observation.fingerprint, versions),
        kind=posterior_pb2.RESULT_KIND_SINGLE,
        target=spectrum.target,
        fingerprints=[observation.fingerprint],
        instrument=spectrum.instrument,
        source=spectrum.source,
        name=spectrum.name,
        received_at=observation.received_at,
        fitted_at=_now(),
        plasma_model=spectrum.plasma_model,
        rung=rung,
        versions=versions,
        annotations=spectrum.annotations,
        flags=[posterior_pb2.Flag.Value(f"FLAG_{flag.name}") for flag in flags],
    )
    if spectrum.exposures and spectrum.exposures[0].HasField("start"):
        message.observed_at.CopyFrom(spectrum.exposures[0].start)
    return message


def add_parameters(message: posterior_pb2.Posterior, summaries: Sequence[Summary]) -> None:
    """Write the summaries of the parameters."""
    for summary in summaries:
        message.parameters.add(
            name=summary.name,
            unit=summary.unit,
            median=summary.median,
            mean=summary.mean,
            standard_deviation=summary.standard_deviation,
            lower68=summary.interval68[0],
            upper68=summary.interval68[1],
            lower95=summary.interval95[0],
            upper95=summary.interval95[1],
            constraint=posterior_pb2.Constraint.Value(f"CONSTRAINT_{summary.constraint.name}"),
            limit95=summary.limit95,
            prior_dominated=summary.prior_dominated,
            r_hat=summary.r_hat,
            effective_sample_size=summary.effective_sample_size,
        )


def posterior_message(result: FitResult, features: features_pb2.Features) -> posterior_pb2.Posterior:
    """Write a fit as a message of at most `MAX_POSTERIOR_BYTES`, with at most `MAX_POSTERIOR_DRAWS` draws.

    What would not fit is thinned, the draws first, then the bands: see `coronium.fitting.message_size`.

    Parameters
    ----------
    result : FitResult
    features : Features
        What was fitted.
    """
    versions = model_versions(result.versions, features.network_version)
    message = heading(features, versions, _RUNGS[result.rung], result.flags)
    add_parameters(message, result.parameters)
    for line in result.lines:
        message.lines.add(
            label=line.label,
            wavelength=line.wavelength,
            probability=line.probability,
            flux=line.flux,
            flux_error=line.flux_error,
            predicted_signal_to_noise=line.signal_to_noise,
            identified=line.identified,
            theoretical=line.theoretical,
        )
    message.draws.names.extend(result.draw_names)
    message.draws.values.extend(result.draws.ravel().tolist())
    for band in result.predictive:
        message.predictive.add(
            name=band.name,
            wavelength=band.wavelength.tolist(),
            lower=band.lower.tolist(),
            median=band.median.tolist(),
            upper=band.upper.tolist(),
            rebinned=band.rebinned,
        )
    d = result.diagnostics
    message.diagnostics.CopyFrom(
        posterior_pb2.Diagnostics(
            max_r_hat=d.max_r_hat,
            min_effective_sample_size=d.min_effective_sample_size,
            divergences=d.divergences,
            pareto_k_hat=d.pareto_k_hat,
            log_evidence=d.log_evidence,
            log_evidence_error=d.log_evidence_error,
            statistic=d.statistic,
            expected_statistic=d.expected_statistic,
            statistic_deviation=d.statistic_deviation,
            goodness_of_fit=d.goodness_of_fit,
            fit_seconds=d.fit_seconds,
            network_seconds=features.network_seconds,
            modes=d.modes,
            mean_leapfrog_steps=d.mean_leapfrog_steps,
        )
    )
    limit_size(message)
    return message


def _now() -> Timestamp:
    now = time.time_ns()
    return Timestamp(seconds=now // 10**9, nanos=now % 10**9)
