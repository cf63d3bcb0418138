"""`Client`: everything a user of the stream does."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Self, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from coronium.brokers.connection import KafkaConnection
from coronium.client.connection import Connection
from coronium.client.credentials import Tls, tls_from_environment, token_from_environment
from coronium.client.publishing import AnySpectrum, GrpcPublisher, KafkaPublisher, Publisher, as_message
from coronium.client.queries import Filters, filter_message
from coronium.client.reading import draws_array, read_dead_letter, read_result
from coronium.client.result import DeadLetter, Result
from coronium.client.watching import Watch
from coronium.contract.plasma import plasma_number
from coronium.contract.topics import DEFAULT_PREFIX
from coronium.physics.spectrum import Spectrum
from coronium.v1 import results_pb2, results_pb2_grpc, spectrum_pb2

_PAGE = 100


class Client:
    """Publishes spectra, and queries and watches results. Use it in a `with` block, or close it.

    Connections are opened when they are first needed. Every call has a deadline.

    Parameters
    ----------
    results_address : str
        host:port of the results service.
    ingestion_address : str or None
        host:port of the ingestion service; spectra go there where `kafka` is None.
    kafka : str, KafkaConnection or None
        Brokers as host:port[,host:port], or those with credentials. Spectra go to Kafka where it is given: faster,
        and no service in between.
    prefix : str
        First part of the topic names.
    timeout : float
        Seconds after which a call is given up.
    tls : Tls or None
        Encryption of the gRPC connections. None: what CORONIUM_CLIENT__TLS, CORONIUM_CLIENT__CA_FILE,
        CORONIUM_CLIENT__CERTIFICATE_FILE and CORONIUM_CLIENT__KEY_FILE say; nothing set: no encryption.
    token : str or None
        Shown to the gRPC services. None: that of CORONIUM_TOKEN or of the file that CORONIUM_TOKEN_FILE names;
        nothing set, or an empty one: no token. It is never sent to another machine without encryption.

    Raises
    ------
    ClientError
        The token would be sent without encryption, or a file cannot be read.

    Examples
    --------
    >>> with Client("127.0.0.1:50054", kafka="127.0.0.1:9092") as client:  # doctest: +SKIP
    ...     fingerprint = client.publish(spectrum)
    ...     for result in client.watch(fingerprint=fingerprint):
    ...         print(result.log_temperature, result.log_density)
    ...         break
    """

    def __init__(
        self,
        results_address: str = "127.0.0.1:50054",
        ingestion_address: str | None = None,
        kafka: str | KafkaConnection | None = None,
        *,
        prefix: str = DEFAULT_PREFIX,
        timeout: float = 30.0,
        tls: Tls | None = None,
        token: str | None = None,
    ) -> None:
        self._ingestion_address = ingestion_address
        self._kafka = KafkaConnection(kafka) if isinstance(kafka, str) else kafka
        self._prefix = prefix
        self._timeout = timeout
        self._tls = tls_from_environment() if tls is None else tls
        self._token = token_from_environment() if token is None else token
        self._connection = Connection("results", results_address, self._tls, self._token, timeout)
        self._results = results_pb2_grpc.ResultsServiceStub(self._connection.channel)
        self._publisher: Publisher | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections."""
        self._connection.close()
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

    @overload
    def publish(self, spectra: AnySpectrum, plasma_model: str | None = None) -> str: ...

    @overload
    def publish(self, spectra: Iterable[AnySpectrum], plasma_model: str | None = None) -> builtins.list[str]: ...

    def publish(
        self, spectra: AnySpectrum | Iterable[AnySpectrum], plasma_model: str | None = None
    ) -> str | builtins.list[str]:
        """Publish one spectrum or many.

        Parameters
        ----------
        spectra : Spectrum, its message, or an iterable of them
            An iterable may be as long as it likes; it is read as it is sent.
        plasma_model : str or None
            The temperature structure to fit: `isothermal` or `gaussian-dem`. None: what a message asks for
            itself, and isothermal where it asks for nothing. The same data under two models are two spectra,
            each with its own fingerprint and result.

        Returns
        -------
        str or list of str
            The fingerprint of each, under which its result will appear. When this returns, the stream has the
            spectra safely.

        Raises
        ------
        SpectrumRejected
            A spectrum is larger than 8 MiB, inconsistent in itself, or (over gRPC) fails a check. Over Kafka
            the full checks come later: a spectrum that fails them is among `dead_letters`. Of an iterable,
            those before it were published.
        ServiceUnreachable
            The broker or the service does not answer.
        NotAllowed
            The cluster does not take this client's password or certificate, or does not let it write spectra.
        ValueError
            There is no such plasma model; nothing was sent.
        """
        plasma = None if plasma_model is None else plasma_number(plasma_model)
        if isinstance(spectra, Spectrum | spectrum_pb2.Spectrum):
            message = as_message(spectra, plasma)
            return next(self._way_in().publish([message]))
        return builtins.list(self._way_in().publish(as_message(spectrum, plasma) for spectrum in spectra))

    def get(self, id: str, with_observation: bool = False) -> Result:
        """Return one result with its draws and predictive bands.

        Parameters
        ----------
        id : str
            Of the result, or the fingerprint of the spectrum.
        with_observation : bool
            Also the canonical data that were fitted.

        Raises
        ------
        NotFound
            There is none, or none yet; the sentence says which.
        ServiceUnreachable
        """
        request = results_pb2.GetRequest(id=id, with_observation=with_observation)
        response = self._connection.call(self._results.Get, request)
        observation = response.observation if response.HasField("observation") else None
        return read_result(response.posterior, observation, response.superseded_by)

    def list(self, **filters: Unpack[Filters]) -> Iterator[Result]:
        """Iterate over results, the newest first, without draws and predictive bands.

        Parameters
        ----------
        **filters
            See `coronium.client.queries.Filters`.

        Raises
        ------
        ServiceUnreachable
        """
        request = results_pb2.ListRequest(filter=filter_message(filters), page_size=_PAGE)
        return self._pages(request)

    def draws(self, id: str) -> NDArray[np.void]:
        """Return the posterior draws of a result.

        Parameters
        ----------
        id : str
            Of the result, or the fingerprint of the spectrum.

        Returns
        -------
        structured array
            One row per draw (512 at most), one float32 field per parameter, in the units of `Result.parameters`.

        Raises
        ------
        NotFound
        ServiceUnreachable
        """

        def all_draws(request: results_pb2.DrawsRequest, **options: Any) -> NDArray[np.void]:
            return draws_array([response.draws for response in self._results.Draws(request, **options)])

        return self._connection.call(all_draws, results_pb2.DrawsRequest(result_id=id))

    def watch(self, since: datetime | None = None, seconds: float | None = None, **filters: Unpack[Filters]) -> Watch:
        """Watch results come in. When this returns, the watch has begun: publish after it and miss nothing.

        Parameters
        ----------
        since : datetime or None
            Also what was stored from this time on.
        seconds : float or None
            End after this time; None: never.
        **filters
            See `coronium.client.queries.Filters`.

        Returns
        -------
        Watch
            An iterator over `Result`, each once; `close` ends it.

        Raises
        ------
        ServiceUnreachable
            Now, or while iterating when the service stays away for longer than the client's timeout.
        """
        return Watch(self._results, self._connection, filter_message(filters), since, seconds)

    def dead_letters(self, stage: str = "") -> Iterator[DeadLetter]:
        """Iterate over messages that were set aside, the newest first.

        Parameters
        ----------
        stage : str
            `ingestion`, `extraction`, `fitting` or `results`; empty: all.

        Raises
        ------
        ServiceUnreachable
        """
        request = results_pb2.ListDeadLettersRequest(stage=stage, page_size=_PAGE)
        while True:
            response = self._connection.call(self._results.ListDeadLetters, request)
            yield from map(read_dead_letter, response.dead_letters)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def _pages(self, request: results_pb2.ListRequest) -> Iterator[Result]:
        while True:
            response = self._connection.call(self._results.List, request)
            yield from map(read_result, response.posteriors)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def _way_in(self) -> Publisher:
        if self._publisher is None:
            if self._kafka is not None:
                self._publisher = KafkaPublisher(self._kafka, self._prefix, self._timeout)
            elif self._ingestion_address is not None:
                self._publisher = GrpcPublisher(
                    Connection("ingestion", self._ingestion_address, self._tls, self._token, self._timeout)
                )
            else:
                raise ValueError("nowhere to publish to: give Client a kafka or an ingestion_address")
        return self._publisher
