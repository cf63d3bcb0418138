"""Go through a broker's handshake one step at a time, to say which step it refuses.

The client libraries try again until their time is up and then know only that no broker let them in: a wrong
password, an unknown authority and a broker that is not there look the same. Here each has a sentence.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from kafka.errors import IllegalSaslStateError, KafkaProtocolError, NoError, UnsupportedSaslMechanismError, for_code
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.metadata import ApiVersionsRequest, MetadataRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from coronium.brokers.connection import KafkaConnection

_NOT_FOR_THIS_NAME = (62, 64)
"""OpenSSL's verification codes for a host name and for an address that the certificate does not have."""


class _Refused(Exception):
    pass


def refusal(connection: KafkaConnection, seconds: float = 5.0) -> str | None:
    """Return why the brokers let this client not in.

    Parameters
    ----------
    connection : KafkaConnection
    seconds : float
        Longest wait for each answer.

    Returns
    -------
    str or None
        One sentence without its end, which names the first broker that refuses and what to change. None where a
        broker lets the client in, or where none answers at all.

    Raises
    ------
    coronium.brokers.connection.CredentialsError
        A certificate or a key cannot be used.
    """
    context = connection.ssl_context() if connection.encrypted else None
    refused = None
    for server in connection.bootstrap_servers.split(","):
        try:
            _knock(connection, context, server.strip(), seconds)
            return None
        except _Refused as sentence:
            refused = refused or str(sentence)
        except OSError:
            continue
    return refused


def _knock(connection: KafkaConnection, context: ssl.SSLContext | None, server: str, seconds: float) -> None:
    """Connect, say who we are, and ask for the cluster. Raises `_Refused`, or OSError where nobody answers."""
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal():
        raise _Refused(f"{server!r} is not host:port; check bootstrap_servers")
    host = host.strip("[]")
    broker = f"the Kafka broker at {server}"
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((host, int(port)), seconds))
        channel = plain if context is None else stack.enter_context(_encrypted(plain, context, host, broker))
        ask = _Questions(channel)
        with _explained(broker, _if_closed_at_once(connection)):
            ask(ApiVersionsRequest(version=0))
        if connection.sasl:
            with _explained(broker, "closed the connection while the password was checked"):
                _authenticate(connection, ask, host, broker)
        with _explained(broker, f"closed the connection: does it ask for SASL? {_protocol(connection)}"):
            ask(MetadataRequest(version=1, topics=[]))


class _Questions:
    """Sends one request at a time and waits for its answer."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._protocol = KafkaProtocol(client_id="coronium")

    def __call__(self, request: Any) -> Any:
        self._protocol.send_request(request)
        self._channel.sendall(self._protocol.send_bytes())
        while True:
            received = self._channel.recv(65536)
            if not received:
                raise ConnectionResetError
            for _, response in self._protocol.receive_bytes(received):
                return response


def _encrypted(plain: socket.socket, context: ssl.SSLContext, host: str, broker: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message.rstrip(".")
        if error.verify_code in _NOT_FOR_THIS_NAME:
            raise _Refused(f"the certificate of {broker} is not for this name: {why}") from None
        raise _Refused(
            f"the certificate of {broker} is not trusted ({why}); give the authority that issued it as ca_file"
        ) from None
    except (ssl.SSLError, ConnectionError):
        raise _Refused(f"{broker} does not speak TLS there; check the port and security_protocol") from None


def _authenticate(connection: KafkaConnection, ask: _Questions, host: str, broker: str) -> None:
    offered = ask(SaslHandshakeRequest(version=1, mechanism=connection.sasl_mechanism))
    fault = for_code(offered.error_code)
    if fault is IllegalSaslStateError:
        raise _Refused(f"{broker} asks for no password there; {_protocol(connection)}")
    if fault is UnsupportedSaslMechanismError:
        raise _Refused(
            f"{broker} does not know sasl_mechanism {connection.sasl_mechanism}; it offers "
            f"{', '.join(offered.mechanisms) or 'none'}"
        )
    mechanism = get_sasl_mechanism(connection.sasl_mechanism)(
        host=host,
        sasl_mechanism=connection.sasl_mechanism,
        sasl_plain_username=connection.username,
        sasl_plain_password=connection.password,
    )
    while not mechanism.is_done():
        answer = ask(SaslAuthenticateRequest(version=0, auth_bytes=mechanism.auth_bytes()))
        if for_code(answer.error_code) is not NoError:
            raise _Refused(
                f"{broker} refuses {connection.who} ({(answer.error_message or 'authentication failed').rstrip('.')}); "
                "check username and password"
            )
        mechanism.receive(answer.auth_bytes)


@contextlib.contextmanager
def _explained(broker: str, words: str) -> Iterator[None]:
    """Say what it means when the broker breaks off the conversation here."""
    try:
        yield
    except ssl.SSLError as error:
        raise _Refused(f"{broker} {words} (TLS: {(error.reason or str(error)).replace('_', ' ').lower()})") from None
    except (ConnectionError, KafkaProtocolError):
        # What is no Kafka frame is an alert of TLS.
        raise _Refused(f"{broker} {words}") from None


def _if_closed_at_once(connection: KafkaConnection) -> str:
    if not connection.encrypted:
        return f"closed the connection: does it ask for TLS? {_protocol(connection)}"
    if connection.certificate_file:
        return f"does not accept the certificate {connection.certificate_file}"
    return "asks for a client certificate; give certificate_file and key_file"


def _protocol(connection: KafkaConnection) -> str:
    return f"security_protocol is {connection.security_protocol}"
