"""Valid messages of every kind, small, from which mutants are made."""

from __future__ import annotations

from functools import cache

from google.protobuf.message import Message

from coronium.contract.identity import fingerprint
from coronium.v1 import control_pb2, epoch_pb2, features_pb2, posterior_pb2, spectrum_pb2
from tests.unit import posterior_factory
from tests.unit.spectra import good_spectrum

DRAWS = 4


def two_exposures() -> spectrum_pb2.Spectrum:
    """Return two exposures of both orders of LETG, eight bins each, with background regions."""
    message = posterior_factory.spectrum(bins=8)
    message.exposures.add(name="second", seconds=1_000.0).start.seconds = 1_700_000_000
    (negative,) = message.channels
    positive = message.channels.add()
    positive.CopyFrom(negative)
    positive.name = "letg-positive"
    for channel in message.channels:
        for name in ("counts", "area_exposure"):
            getattr(channel, name).extend(list(getattr(channel, name)))
        channel.background.extend([3.0] * 16)
        channel.background_scale.extend([10.0, 10.0])
        channel.mask = b"\1" * 15 + b"\0"
    message.distance_pc = 13.0
    message.annotations["observer"] = "nobody"
    return message


def observation(spectrum: spectrum_pb2.Spectrum) -> spectrum_pb2.Observation:
    """Return a spectrum as ingestion passes it on."""
    made = spectrum_pb2.Observation(spectrum=spectrum, fingerprint=fingerprint(spectrum), signal_to_noise=5.0)
    made.received_at.seconds = 1_700_000_000
    return made


def features(spectrum: spectrum_pb2.Spectrum) -> features_pb2.Features:
    """Return an observation with what a network might say of it."""
    message = features_pb2.Features(observation=observation(spectrum), network_version="0123456789abcdef")
    message.grid.log_temperature.extend([6.0, 6.5, 7.0])
    message.grid.log_density.extend([9.0, 10.0])
    message.grid.probability.extend([0.1, 0.2, 0.3, 0.2, 0.1, 0.1])
    message.lines.add(label="Fe XII 186.88", wavelength=186.88, probability=0.9)
    for channel in spectrum.channels:
        message.denoised.add(name=channel.name, counts=[1.0] * (len(channel.wavelength_edges) - 1))
    message.extracted_at.seconds = 1_700_000_001
    return message


@cache
def posterior() -> posterior_pb2.Posterior:
    """Return a posterior of few draws."""
    message = posterior_factory.posterior()
    del message.draws.values[DRAWS * len(message.draws.names) :]
    for band in message.predictive:
        for name in ("wavelength", "lower", "median", "upper"):
            del getattr(band, name)[4:]
    del message.parameters[3:]
    message.annotations["observer"] = "nobody"
    return message


@cache
def spectra() -> tuple[spectrum_pb2.Spectrum, ...]:
    """Return a resolved pixel and a star."""
    return good_spectrum(), two_exposures()


@cache
def messages() -> dict[str, tuple[Message, ...]]:
    """Return valid messages by what a topic holds."""
    return {
        "spectrum": spectra(),
        "observation": tuple(observation(one) for one in spectra()),
        "features": tuple(features(one) for one in spectra()),
        "posterior": (posterior(),),
        "dead_letter": (
            posterior_factory.dead_letter(),
            posterior_factory.dead_letter(stage="ingestion", value=good_spectrum().SerializeToString()),
            posterior_factory.dead_letter(stage="results", value=b"\xff no message"),
        ),
        "epoch": (
            epoch_pb2.EpochRecord(
                target="sun", fingerprint="0" * 64, result_id="1" * 32, features=features(good_spectrum())
            ),
        ),
        "desired": (control_pb2.DesiredState(stage="ingestion", generation=3, log_level="info", model_hash="ab12"),),
        "replica": (
            control_pb2.ReplicaState(stage="ingestion", replica="a", applied_generation=3, partitions=[0, 1, 5]),
        ),
    }
