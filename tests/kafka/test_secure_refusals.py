"""Whoever is not let in is told why in one sentence, whichever way they came; no password is ever told."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coronium import Client, ClientError, NotAllowed
from coronium.brokers.connection import CredentialsError
from coronium.cli.main import main
from coronium.contract.access import Operation, Permission, Resource, Role, permissions
from coronium.contract.conversion import spectrum_from_message
from coronium.operations import access
from coronium.physics.readers.tabular import write_spectra
from coronium.runtime.admin import admin_client
from coronium.runtime.errors import StartError
from tests.certificates import Authority
from tests.kafka.secure import MUTUAL, SecureCluster, grant, password_of, take_away
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.spectra import good_spectrum

PREFIX = "refusals"


@pytest.fixture(scope="module")
def administrator(secure: SecureCluster) -> Stream:
    stream = secure.create_topics(PREFIX)
    access.apply(stream.kafka, {})
    return stream


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody on the cluster trusts."""
    return Authority(tmp_path_factory.mktemp("untrusted"), "somebody else")


Command = Callable[..., tuple[int, str, str]]
Case = Callable[[SecureCluster, Authority], tuple[Stream, str]]


def altered(stream: Stream, **credentials: str) -> Stream:
    return Stream(stream.address, stream.prefix, {**stream.credentials, **credentials})


def wrong_password(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    stream = altered(secure.stream(PREFIX, Role.INGESTION), password="another-secret")
    return stream, "refuses user ingestion (Authentication failed"


def unknown_user(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    stream = altered(secure.stream(PREFIX, Role.INGESTION), username="nobody")
    return stream, "refuses user nobody (Authentication failed"


def another_mechanism(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    stream = altered(secure.stream(PREFIX, Role.INGESTION), sasl_mechanism="SCRAM-SHA-256")
    return stream, "does not know sasl_mechanism SCRAM-SHA-256; it offers "


def untrusted_authority(secure: SecureCluster, untrusted: Authority) -> tuple[Stream, str]:
    stream = altered(secure.stream(PREFIX, Role.INGESTION), ca_file=untrusted.ca_file)
    return (
        stream,
        "is not trusted (unable to get local issuer certificate); give the authority that issued it as ca_file",
    )


def another_name(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    stream = secure.stream(PREFIX, Role.INGESTION)
    address = stream.address.replace("127.0.0.1", "localhost")
    return Stream(address, PREFIX, stream.credentials), "is not for this name: Hostname mismatch"


def no_certificate(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    credentials = {"security_protocol": "SSL", "ca_file": secure.authority.ca_file}
    stream = Stream(secure.cluster.addresses_of(MUTUAL), PREFIX, credentials)
    return stream, "asks for a client certificate; give certificate_file and key_file"


def certificate_of_an_untrusted_authority(secure: SecureCluster, untrusted: Authority) -> tuple[Stream, str]:
    stream = secure.mutual_stream(PREFIX, Role.INGESTION, untrusted)
    return stream, f"does not accept the certificate {stream.credentials['certificate_file']}"


def password_where_certificates_are_asked(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    mutual = secure.mutual_stream(PREFIX, Role.INGESTION)
    return Stream(
        mutual.address, PREFIX, mutual.credentials | secure.credentials(Role.INGESTION)
    ), "asks for no password"


def tls_without_a_password(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    credentials = {"security_protocol": "SSL", "ca_file": secure.authority.ca_file}
    return Stream(secure.cluster.addresses, PREFIX, credentials), "does it ask for SASL? security_protocol is SSL"


def plaintext(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    return Stream(secure.cluster.addresses, PREFIX), "does it ask for TLS? security_protocol is PLAINTEXT"


def password_without_tls(secure: SecureCluster, _: Authority) -> tuple[Stream, str]:
    credentials = {"security_protocol": "SASL_PLAINTEXT", "username": "ingestion", "password": password_of("ingestion")}
    return Stream(secure.cluster.addresses, PREFIX, credentials), "does it ask for TLS?"


NOT_LET_IN: list[Case] = [
    wrong_password,
    unknown_user,
    another_mechanism,
    untrusted_authority,
    another_name,
    no_certificate,
    certificate_of_an_untrusted_authority,
    password_where_certificates_are_asked,
    tls_without_a_password,
    plaintext,
    password_without_tls,
]


@pytest.mark.parametrize("case", NOT_LET_IN, ids=lambda case: case.__name__)
def test_the_libraries_say_only_that_nobody_answers_and_we_say_why(secure, untrusted, case):
    stream, words = case(secure, untrusted)
    with pytest.raises(StartError) as refused:
        admin_client(stream.kafka)
    sentence = str(refused.value)
    assert words in sentence
    assert stream.address in sentence
    assert refused.value.code == 1
    assert not sentence.endswith("..")
    with (
        Client(kafka=stream.kafka.connection, prefix=PREFIX, timeout=5) as client,
        pytest.raises(NotAllowed) as denied,
    ):
        client.publish(good_spectrum())
    assert words in str(denied.value)


def test_files_that_cannot_be_used_are_named(secure, tmp_path):
    authority = Authority(tmp_path)
    encrypted, other = authority.issue("encrypted", password="of-the-key"), authority.issue("other")
    junk = tmp_path / "junk"
    junk.write_text("no certificate")
    good = {"security_protocol": "SSL", "ca_file": authority.ca_file}
    own = {**good, "certificate_file": encrypted.certificate_file, "key_file": encrypted.key_file}
    for credentials, words in (
        (
            {**good, "ca_file": str(tmp_path / "none")},
            "the authority's certificate .*none cannot be read: No such file",
        ),
        ({**good, "ca_file": str(junk)}, "junk cannot be read: no certificate or crl found"),
        ({**own, "key_file": str(tmp_path / "none")}, "with the key .*none cannot be used: No such file"),
        ({**own, "key_file": other.key_file}, "other.key cannot be used: key values mismatch"),
        (own, "encrypted.key cannot be used: not readable; check the files and key_password"),
        ({**own, "key_password": "another"}, "encrypted.key cannot be used: not readable"),
    ):
        stream = Stream("127.0.0.1:9", PREFIX, credentials)
        with pytest.raises(CredentialsError, match=words):
            stream.kafka.connection.ssl_context()
        with pytest.raises(StartError, match=words) as error:
            admin_client(stream.kafka)
        assert error.value.code == 2
        with Client(kafka=stream.kafka.connection) as client, pytest.raises(ClientError, match=words[4:]):
            client.publish(good_spectrum())
    Stream("127.0.0.1:9", PREFIX, {**own, "key_password": "of-the-key"}).kafka.connection.ssl_context()


def test_an_encrypted_key_opens_the_door(secure, administrator):
    certificate = secure.authority.issue(Role.PUBLISHER, password="of-the-key")
    stream = Stream(
        secure.cluster.addresses_of(MUTUAL),
        PREFIX,
        {
            "security_protocol": "SSL",
            "ca_file": secure.authority.ca_file,
            "certificate_file": certificate.both_file,
            "key_password": "of-the-key",
        },
    )
    with Client(kafka=stream.kafka.connection, prefix=PREFIX) as client:
        client.publish(good_spectrum("with an encrypted key"))


def refused_start(stream: Stream, log: Path) -> str:
    """Return what a service says whose start fails: one sentence with exit code 1, and no password."""
    service = Service(stream, log, "coronium.ingestion")
    try:
        assert service.process.wait(60) == 1
    finally:
        service.kill()
    (sentence,) = [line for line in log.read_text().splitlines() if not line.startswith("{")]
    assert "secret" not in log.read_text()
    return sentence


@pytest.mark.parametrize("case", [wrong_password, untrusted_authority, no_certificate], ids=lambda case: case.__name__)
def test_a_service_that_is_not_let_in_ends_with_the_sentence(secure, administrator, untrusted, tmp_path, case):
    stream, words = case(secure, untrusted)
    assert words in refused_start(stream, tmp_path / "log")


def test_a_password_in_the_clear_is_in_no_log_at_the_most_talkative_level(secure, administrator, tmp_path):
    stream = altered(secure.stream(PREFIX, Role.INGESTION), sasl_mechanism="PLAIN")
    service = Service(stream, tmp_path / "log", "coronium.ingestion", LOG_LEVEL="debug").wait_until_ready()
    assert service.terminate(60) == 0
    assert len(service.lines()) > 50
    assert password_of(Role.INGESTION) not in service.log.read_text()


@pytest.mark.parametrize(
    "forbidden",
    [
        Permission(Resource.TOPIC, f"{PREFIX}.observations.v1", Operation.WRITE),
        Permission(Resource.TOPIC, f"{PREFIX}.spectra.v1", Operation.READ),
        Permission(Resource.GROUP, f"{PREFIX}.ingestion", Operation.READ),
    ],
    ids=str,
)
def test_a_service_that_lacks_a_permission_says_which(secure, administrator, tmp_path, forbidden):
    take_away(administrator, Role.INGESTION, [forbidden])
    try:
        sentence = refused_start(secure.stream(PREFIX, Role.INGESTION), tmp_path / "log")
    finally:
        grant(administrator, Role.INGESTION, [forbidden])
    assert f"user ingestion lacks {forbidden} on the Kafka cluster" in sentence
    assert "coronium topics access --apply" in sentence


@pytest.fixture
def coronium(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run a command with a stream's credentials in the environment; returns exit code, output and errors."""
    library = logging.getLogger("kafka")
    level = library.level

    def run(stream: Stream, *arguments: str) -> tuple[int, str, str]:
        settings = {"bootstrap_servers": stream.address, "prefix": stream.prefix, **stream.credentials}
        for name, value in settings.items():
            monkeypatch.setenv(f"CORONIUM_KAFKA__{name.upper()}", value)
        monkeypatch.setattr(sys, "argv", ["coronium", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    yield run
    library.setLevel(level)


def test_commands_are_told_in_one_sentence_too(secure, administrator, untrusted, coronium, tmp_path):
    spectra = tmp_path / "spectra.h5"
    write_spectra(spectra, [spectrum_from_message(good_spectrum())])
    for arguments in (["lag"], ["topics", "create"], ["publish", str(spectra)]):
        code, out, err = coronium(wrong_password(secure, untrusted)[0], *arguments)
        assert code == 1
        assert "efuses user ingestion" in err
        assert len(err.splitlines()) == 1
        assert "secret" not in out + err
    code, _, err = coronium(secure.stream(PREFIX, Role.PUBLISHER), "lag")
    assert code == 1
    # Who may write a topic may describe it.
    assert f"Describe on Topic {PREFIX}.spectra.v1" not in err
    assert f"user publisher lacks Describe on Topic {PREFIX}.observations.v1, " in err
    code, out, _ = coronium(secure.stream(PREFIX, Role.INGESTION), "config", "show", "ingestion")
    assert code == 0
    assert "secret" not in out
    assert "********" in out


def test_a_publisher_whose_permission_is_taken_away_is_told_and_goes_on_when_it_is_back(secure, administrator):
    needed = permissions(Role.PUBLISHER, administrator.kafka.topics)
    with Client(kafka=secure.stream(PREFIX, Role.PUBLISHER).kafka.connection, prefix=PREFIX, timeout=5) as client:
        client.publish(good_spectrum("before"))
        take_away(administrator, Role.PUBLISHER, needed)
        try:
            with pytest.raises(NotAllowed, match=rf"does not let user publisher write to {PREFIX}.spectra.v1"):
                eventually(lambda: client.publish(good_spectrum("between")) is None, 10)
        finally:
            grant(administrator, Role.PUBLISHER, needed)

        def published() -> str | None:
            try:
                return client.publish(good_spectrum("after"))
            except NotAllowed:
                return None

        assert eventually(published, 10)
