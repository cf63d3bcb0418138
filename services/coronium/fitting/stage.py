"""Fitting as a stage: features in, posteriors and epochs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aiokafka.errors import KafkaError
from google.protobuf.message import DecodeError

from coronium.contract.conversion import InvalidSpectrum
from coronium.contract.features_checks import check_features, check_identity
from coronium.contract.flow import MEMORY, PRODUCTS, SOURCES
from coronium.contract.topics import EPOCHS, POSTERIORS, StageName
from coronium.contract.wire import read_message
from coronium.fitting.epochs import Epochs, epoch_key
from coronium.fitting.jobs import FitJob, Fitted
from coronium.fitting.settings import FittingSettings, warm_kinds
from coronium.runtime import metrics
from coronium.runtime.admin import unreachable
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage
from coronium.v1 import dead_letter_pb2, epoch_pb2, features_pb2


class FittingStage(Stage[FitJob, Fitted]):
    """Fit every spectrum and remember it among its target's epochs.

    Parameters
    ----------
    settings : FittingSettings
    """

    name = StageName.FITTING
    sources = SOURCES[StageName.FITTING]
    products = PRODUCTS[StageName.FITTING]
    memory = MEMORY[StageName.FITTING]
    worker: ClassVar[str | None] = "coronium.fitting.worker:create"

    def __init__(self, settings: FittingSettings) -> None:
        self._settings = settings
        self._epochs = Epochs(settings.kafka)
        self.batch_size = settings.batch_size
        self.batch_seconds = settings.batch_seconds

    @property
    def worker_settings(self) -> dict[str, Any]:
        """The settings that the worker process needs."""
        s = self._settings
        return {
            "emissivity_table": s.emissivity_table,
            "max_rung": s.max_rung,
            "chains": s.chains,
            "most_rounds": s.most_rounds,
            "warmup": s.warmup,
            "draws": s.draws,
            "deepest_tree": s.deepest_tree,
            "width": s.width,
            "devices": s.devices,
            "compilation_cache": str(s.compilation_cache or ""),
            "warm_instruments": warm_kinds(s.warm_instruments),
        }

    async def start(self) -> None:
        """Connect to the epochs."""
        try:
            await self._epochs.start()
        except KafkaError:
            raise unreachable(self._settings.kafka) from None

    async def stop(self) -> None:
        """Let go of the epochs."""
        await self._epochs.stop()

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Know the epochs of the targets in our partitions; see `Stage.assigned`."""
        await self._epochs.assigned(frozenset(partition for _, partition in partitions))

    def digests(self) -> dict[int, str]:
        """Digests of the epochs known, by partition."""
        return self._epochs.digests()

    def decode(self, incoming: Incoming) -> FitJob:
        """Refuse what is no features message; the rest goes to the worker as it came."""
        try:
            message = read_message(features_pb2.Features, incoming.value)
            check_identity(message.observation)
            check_features(message)
        except DecodeError:
            raise Rejected(
                dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED,
                f"The {len(incoming.value)} bytes are not a coronium.v1.Features message.",
            ) from None
        except InvalidSpectrum as problem:
            raise Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(problem)) from None
        return FitJob(incoming.value)

    def encode(self, incoming: Incoming, job: FitJob, result: Fitted) -> Sequence[Outgoing]:
        """Produce the posterior, and the epoch's record under target/fingerprint."""
        features = features_pb2.Features.FromString(job.features)
        epoch = epoch_pb2.EpochRecord(
            target=result.target,
            fingerprint=result.fingerprint,
            result_id=result.result_id,
            features=features,
            recorded_at=features.observation.received_at,
        )
        target = result.target.encode()
        return (
            Outgoing(POSTERIORS, target, result.posterior),
            Outgoing(
                EPOCHS,
                epoch_key(result.target, result.fingerprint),
                epoch.SerializeToString(deterministic=True),
                partition_key=target,
            ),
        )

    def observe(self, result: Fitted) -> None:
        """Record the measurements of a fit."""
        metrics.FITS.labels(rung=result.rung).inc()
        if result.numbers:
            _observe_fit(result)
        for flag in result.flags:
            metrics.RESULT_FLAGS.labels(flag=flag).inc()
        for parameter, constraint in result.constraints.items():
            if parameter in metrics.PARAMETERS:
                metrics.CONSTRAINTS_TOTAL.labels(parameter=parameter, constraint=constraint).inc()


def _observe_fit(result: Fitted) -> None:
    n = result.numbers
    metrics.FIT_SECONDS.labels(instrument=result.instrument).observe(n["fit_seconds"])
    metrics.DIVERGENCES.inc(n["divergences"])
    metrics.R_HAT.observe(n["max_r_hat"])
    metrics.EFFECTIVE_SAMPLE_SIZE.observe(n["min_effective_sample_size"])
    metrics.LEAPFROG_STEPS.observe(n["mean_leapfrog_steps"])
    metrics.PARETO_K_HAT.observe(n["pareto_k_hat"])
    metrics.GOODNESS_OF_FIT.observe(n["goodness_of_fit"])
    metrics.IDENTIFIED_LINES.observe(result.identified_lines)
