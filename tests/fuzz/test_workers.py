"""The workers of extraction and fitting: a bad spectrum is rejected alone, and no answer is no number."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from coronium.extraction import worker as extraction
from coronium.extraction.settings import ExtractionSettings
from coronium.extraction.stage import ExtractionStage
from coronium.fitting import worker as fitting
from coronium.fitting.jobs import FitJob, Fitted
from coronium.fitting.settings import FittingSettings
from coronium.fitting.stage import FittingStage
from coronium.runtime.stage import Incoming, Rejected, Stage
from coronium.v1 import dead_letter_pb2, features_pb2, posterior_pb2
from tests.fuzz import seeds, spectra_values
from tests.unit.network_folder import untrained_network
from tests.unit.spectra import good_spectrum

INVALID = dead_letter_pb2.DEAD_LETTER_REASON_INVALID
BATCH = 8
GOOD = seeds.features(good_spectrum("sun/good"))


def decoded(stage: Stage, value: bytes) -> object | None:
    """Return the job of a record; None where the stage refuses it before a worker sees it."""
    try:
        return stage.decode(Incoming("topic", 0, 0, b"", value, {}, 1.7e9))
    except Rejected:
        return None


def numbers_of(posterior: posterior_pb2.Posterior) -> list[float]:
    return [
        number
        for summary in posterior.parameters
        for number in (summary.median, summary.mean, summary.standard_deviation, summary.lower95, summary.upper95)
    ]


def without_times(posterior: posterior_pb2.Posterior) -> posterior_pb2.Posterior:
    posterior.ClearField("fitted_at")
    posterior.diagnostics.ClearField("fit_seconds")
    return posterior


@pytest.mark.timeout(900)
def test_a_bad_spectrum_is_rejected_by_the_fit_alone_and_no_answer_is_no_number() -> None:
    settings = FittingSettings(max_rung="mode", chains=2, most_rounds=4, draws=50, width=4, devices=1)
    stage = FittingStage(settings)
    worker = fitting.create(stage.worker_settings)
    worker.warm()
    good = FitJob(GOOD.SerializeToString())
    (alone,) = worker.work([good])
    assert isinstance(alone, Fitted)
    expected = without_times(posterior_pb2.Posterior.FromString(alone.posterior))
    rejected = fitted = 0
    for first in range(0, 160, BATCH):
        drawn = [spectra_values.features(random.Random(f"fit/{first + i}")) for i in range(BATCH)]
        jobs = [job for one in drawn if (job := decoded(stage, one.SerializeToString())) is not None]
        *results, neighbour = worker.work([*jobs, good])
        assert isinstance(neighbour, Fitted)
        # The same answer, whoever stood beside it.
        assert without_times(posterior_pb2.Posterior.FromString(neighbour.posterior)) == expected
        assert len(results) == len(jobs)
        for result in results:
            if isinstance(result, Rejected):
                assert result.reason == INVALID
                assert result.detail.endswith(".")
                rejected += 1
                continue
            assert np.isfinite(numbers_of(posterior_pb2.Posterior.FromString(result.posterior))).all()
            fitted += 1
    assert rejected > 20
    assert fitted > 20


def test_a_bad_spectrum_is_rejected_by_the_network_alone_and_no_probability_is_no_number(tmp_path: Path) -> None:
    untrained_network(tmp_path, "hinode-eis")
    stage = ExtractionStage(ExtractionSettings(weights=str(tmp_path)))
    worker = extraction.create(stage.worker_settings)
    worker.warm()
    rejected = extracted = 0
    for first in range(0, 400, BATCH):
        drawn = [spectra_values.observation(random.Random(f"extract/{first + i}")) for i in range(BATCH)]
        jobs = [job for one in drawn if (job := decoded(stage, one.SerializeToString())) is not None]
        for result in worker.work([*jobs, GOOD.observation.SerializeToString()]):
            if isinstance(result, Rejected):
                assert result.reason == INVALID
                rejected += 1
                continue
            features = features_pb2.Features.FromString(result.features)
            assert np.isfinite(features.grid.probability).all()
            assert all(np.isfinite(channel.counts).all() for channel in features.denoised)
            assert all(np.isfinite(line.probability) for line in features.lines)
            extracted += 1
        assert not isinstance(result, Rejected)
    assert rejected > 50
    assert extracted > 150
