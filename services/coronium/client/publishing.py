"""Spectra to the stream: over Kafka, or over gRPC for those without it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from kafka import KafkaProducer
from kafka.errors import AuthorizationError, KafkaError

from coronium.brokers.connection import CredentialsError, KafkaConnection
from coronium.brokers.handshake import refusal
from coronium.client.connection import Connection
from coronium.client.errors import ClientError, NotAllowed, ServiceUnreachable, SpectrumRejected
from coronium.contract.conversion import InvalidSpectrum, spectrum_from_message, spectrum_to_message
from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_PRODUCE_BYTES, MAX_SPECTRUM_BYTES, MEBIBYTE
from coronium.contract.topics import SPECTRA, TopicNames
from coronium.physics.spectrum import Spectrum
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc, spectrum_pb2

AnySpectrum = Spectrum | spectrum_pb2.Spectrum

# Most records, and most bytes, that wait for the broker's acknowledgement at once.
_MOST_WAITING = 256
_MOST_BYTES_WAITING = 64 * MEBIBYTE


class Publisher(Protocol):
    """A way into the stream."""

    def publish(self, spectra: Iterable[spectrum_pb2.Spectrum]) -> Iterator[str]:
        """Publish spectra and yield each one's fingerprint once the stream has it safely."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def as_message(spectrum: AnySpectrum, plasma: spectrum_pb2.PlasmaModel | None = None) -> spectrum_pb2.Spectrum:
    """Return a spectrum as a message whose lengths are consistent and whose size the stream takes.

    Parameters
    ----------
    spectrum : Spectrum, or its message
        A message is never changed.
    plasma : PlasmaModel or None
        What to ask for; None leaves what a message asks for itself.

    Raises
    ------
    SpectrumRejected
        One sentence that says what to change.
    """
    try:
        if isinstance(spectrum, Spectrum):
            message = spectrum_to_message(spectrum)
        else:
            message = spectrum
            spectrum_from_message(message)
    except InvalidSpectrum as problem:
        raise SpectrumRejected(str(problem)) from None
    if plasma is not None and message.plasma_model != plasma:
        asked = spectrum_pb2.Spectrum()
        asked.CopyFrom(message)
        asked.plasma_model = plasma
        message = asked
    size = message.ByteSize()
    if size > MAX_SPECTRUM_BYTES:
        raise SpectrumRejected(
            f"The spectrum of {message.target!r} has {size} bytes and the limit is {MAX_SPECTRUM_BYTES}: "
            "publish its exposures or channels as several spectra, or rebin."
        )
    return message


class KafkaPublisher:
    """Publishes to the spectra topic and waits for all in-sync replicas to have each record.

    Kafka's own limit is 1 MiB a request; `max_request_size` here and the topic's `max.message.bytes` both come
    from `coronium.contract.limits`, so that a spectrum of 8 MiB passes.

    Parameters
    ----------
    connection : KafkaConnection
        Addresses and credentials.
    prefix : str
        First part of the topic names.
    timeout : float
        Seconds until an unacknowledged record is an error.

    Raises
    ------
    NotAllowed
        The cluster does not let this client in.
    ServiceUnreachable
        No broker answers.
    ClientError
        A certificate or a key cannot be used.
    """

    def __init__(self, connection: KafkaConnection, prefix: str, timeout: float) -> None:
        self._topic = TopicNames(prefix).name(SPECTRA)
        self._connection = connection
        self._timeout = timeout
        milliseconds = round(timeout * 1000)
        options: dict[str, Any] = {
            "acks": "all",
            # Results are idempotent, so a record that a retry doubles costs nothing; and not every broker that
            # speaks the protocol knows idempotent producers.
            "enable_idempotence": False,
            "allow_auto_create_topics": False,
            "max_request_size": MAX_PRODUCE_BYTES,
            "max_block_ms": milliseconds,
            "bootstrap_timeout_ms": milliseconds,
            "delivery_timeout_ms": milliseconds,
            "request_timeout_ms": milliseconds,
        }
        try:
            options |= connection.options()
        except CredentialsError as error:
            raise ClientError(_sentence(str(error))) from None
        self._see_that_we_are_let_in()
        try:
            self._producer = KafkaProducer(**options)
        except KafkaError as error:
            raise self._explained(error) from error

    def publish(self, spectra: Iterable[spectrum_pb2.Spectrum]) -> Iterator[str]:
        """Publish spectra under their targets; yield each fingerprint when the broker has the record."""
        waiting: deque[tuple[str, int, Any]] = deque()
        try:
            for spectrum in spectra:
                waiting.append((fingerprint(spectrum), spectrum.ByteSize(), self._send(spectrum)))
                while len(waiting) > _MOST_WAITING or sum(size for _, size, _ in waiting) > _MOST_BYTES_WAITING:
                    yield self._acknowledged(waiting)
            while waiting:
                yield self._acknowledged(waiting)
        except SpectrumRejected:
            while waiting:
                self._acknowledged(waiting)
            raise
        except KafkaError as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Close the connection; everything yielded was acknowledged before."""
        self._producer.close(self._timeout)

    def _acknowledged(self, waiting: deque[tuple[str, int, Any]]) -> str:
        """Wait until the broker has the oldest record; return its fingerprint."""
        name, _, future = waiting.popleft()
        future.get(self._timeout)
        return name

    def _send(self, spectrum: spectrum_pb2.Spectrum) -> Any:
        return self._producer.send(
            self._topic,
            key=spectrum.target.encode(),
            value=spectrum.SerializeToString(),
            headers=list(Headers.new().encode().items()),
        )

    def _see_that_we_are_let_in(self) -> None:
        """Raise `NotAllowed` where a broker refuses this client."""
        if (refused := refusal(self._connection)) is not None:
            raise NotAllowed(_sentence(refused))

    def _explained(self, error: KafkaError) -> ClientError:
        servers = self._connection.bootstrap_servers
        if isinstance(error, AuthorizationError):
            return NotAllowed(
                f"Kafka at {servers} does not let {self._connection.who} write to {self._topic}: ask its operator for "
                "the publisher's permissions (`coronium topics access`)."
            )
        try:
            # The library tries again in silence, with a password that was changed too.
            self._see_that_we_are_let_in()
        except NotAllowed as denied:
            return denied
        return ServiceUnreachable(
            f"Kafka at {servers} did not take the spectrum: check that the broker runs and that the topic "
            f"{self._topic} exists (`coronium topics create`) ({str(error).rstrip('.')})."
        )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


class GrpcPublisher:
    """Submits to the ingestion service, one spectrum a call.

    Parameters
    ----------
    connection : Connection
        To the ingestion service.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._service = ingestion_pb2_grpc.IngestionServiceStub(connection.channel)

    def publish(self, spectra: Iterable[spectrum_pb2.Spectrum]) -> Iterator[str]:
        """Submit spectra; yield each fingerprint when the service has handed the spectrum to Kafka."""
        for spectrum in spectra:
            request = ingestion_pb2.SubmitRequest(spectrum=spectrum)
            yield self._connection.call(self._service.Submit, request).fingerprint

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
