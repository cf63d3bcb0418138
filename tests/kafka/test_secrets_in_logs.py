"""No secret of a run is in what the services write: results and gateway, encrypted, with passwords and tokens."""

from __future__ import annotations

import os
import secrets
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import pytest
from sqlalchemy.engine import make_url

from coronium import Client, NotAllowed, ServiceUnreachable, Tls
from coronium.runtime.admin import create_topics
from coronium.runtime.auth.tokens import new_token
from coronium.runtime.settings import KafkaSettings
from coronium.v1 import control_pb2, control_pb2_grpc
from tests._shared import REPOSITORY
from tests.certificates import Authority, Pair
from tests.kafka.cluster import Cluster
from tests.stream.broker import PARTITIONS, Stream, free_port
from tests.stream.service import Service
from tests.unit.guarded_services import PrincipalsFile
from tests.unit.results_databases import administer, postgresql

__all__ = ["postgresql"]

USER = "coronium"
MECHANISM = "SCRAM-SHA-512"
DATABASE = "secrets"


class Run:
    """What one run is given, and where it writes.

    Parameters
    ----------
    folder : pathlib.Path
    database : str
        Address of a PostgreSQL server.
    """

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.sasl_password = secrets.token_urlsafe(24)
        self.database_password = secrets.token_urlsafe(24)
        administer(database, f"CREATE DATABASE {DATABASE}")
        administer(database, f"ALTER USER postgres PASSWORD '{self.database_password}'")
        address = make_url(database).set(database=DATABASE, password=self.database_password)
        self.database_url = address.render_as_string(hide_password=False)
        authority = Authority(folder / "authority")
        self.ca_file = authority.ca_file
        self.results, self.gateway = authority.issue("results"), authority.issue("gateway")
        principals = PrincipalsFile(folder / "principals.json")
        self.principals_file = str(principals.path)
        self.reader, self.controller = principals.add("reader", "read"), principals.add("operator", "control")
        self.expired = principals.add("reader", expires_at=datetime.now(UTC) - timedelta(days=1))
        self.unknown = new_token()

    @property
    def secrets(self) -> list[str]:
        """Everything that must not be written anywhere."""
        keys = [line for pair in (self.results, self.gateway) for line in _key_lines(pair)]
        tokens = [self.reader, self.controller, self.expired, self.unknown]
        return [self.sasl_password, self.database_password, *tokens, *keys]

    @property
    def tls(self) -> Tls:
        """Of a client."""
        return Tls(self.ca_file, self.gateway.certificate_file, self.gateway.key_file)


def _key_lines(pair: Pair) -> list[str]:
    return [line for line in pair.key.decode().splitlines() if not line.startswith("-")]


@pytest.fixture
def given(tmp_path: Path, postgresql: str) -> Iterator[Run]:
    yield Run(tmp_path, postgresql)
    administer(postgresql, f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


@pytest.fixture
def kafka(given: Run, tmp_path: Path) -> Iterator[KafkaSettings]:
    """A broker that asks for a password."""
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    properties = {
        "sasl.enabled.mechanisms": MECHANISM,
        "sasl.mechanism.inter.broker.protocol": MECHANISM,
        f"listener.name.sasl_plaintext.{MECHANISM.lower()}.sasl.jaas.config": (
            f'{login} username="{USER}" password="{given.sasl_password}";'
        ),
    }
    cluster = Cluster(
        tmp_path / "kafka",
        listeners={"SASL_PLAINTEXT": "SASL_PLAINTEXT"},
        properties=properties,
        scram={USER: given.sasl_password},
    )
    try:
        cluster.start()
        settings = KafkaSettings.model_validate(
            {
                "bootstrap_servers": cluster.addresses,
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": MECHANISM,
                "username": USER,
                "password": given.sasl_password,
            }
        )
        create_topics(settings, PARTITIONS)
        yield settings
    finally:
        cluster.stop()


@pytest.fixture
def start(given: Run, kafka: KafkaSettings, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start a service at its most talkative, with its secrets in files and in the environment."""
    started: list[Service] = []
    sasl, token = tmp_path / "sasl-password", tmp_path / "token"
    sasl.write_text(f"{given.sasl_password}\n")
    token.write_text(given.reader)

    def start(module: str, **settings: str) -> Service:
        common = {
            "LOG_LEVEL": "debug",
            "TOKEN_FILE": str(token),
            "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA__SASL_MECHANISM": MECHANISM,
            "KAFKA__USERNAME": USER,
            "KAFKA__PASSWORD_FILE": str(sasl),
        }
        stream = Stream(kafka.bootstrap_servers, kafka.prefix)
        log = tmp_path / f"{module}-{len(started)}.log"
        started.append(Service(stream, log, module, **common, **settings))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            service.kill()


@pytest.mark.timeout(300)
def test_no_secret_is_in_what_results_and_gateway_write(
    given: Run, start: Callable[..., Service], postgresql: str
) -> None:
    environment = {"CORONIUM_RESULTS__DATABASE_URL": given.database_url, "CORONIUM_LOG_LEVEL": "debug"}
    upgraded = _run("from coronium.cli.main import main; main()", "db", "upgrade", **environment)
    results = start(
        "coronium.results",
        RESULTS__DATABASE_URL=given.database_url,
        GRPC__CERTIFICATE_FILE=given.results.certificate_file,
        GRPC__KEY_FILE=given.results.key_file,
        GRPC__CLIENT_CA_FILE=given.ca_file,
        AUTH__PRINCIPALS_FILE=given.principals_file,
    ).wait_until_ready()
    port = free_port()
    gateway = start(
        "coronium.gateway",
        GATEWAY__PORT=str(port),
        GATEWAY__CERTIFICATE_FILE=given.gateway.certificate_file,
        GATEWAY__KEY_FILE=given.gateway.key_file,
        AUTH__PRINCIPALS_FILE=given.principals_file,
        GATEWAY__UPSTREAM__RESULTS=f"127.0.0.1:{results.grpc_port}",
        GATEWAY__UPSTREAM__CA_FILE=given.ca_file,
        GATEWAY__UPSTREAM__CERTIFICATE_FILE=given.gateway.certificate_file,
        GATEWAY__UPSTREAM__KEY_FILE=given.gateway.key_file,
    ).wait_until_ready()

    answers = [*_asked_over_grpc(given, results), *_asked_over_rest(given, port)]
    # What fails inside is written to the log: a database that is gone.
    administer(postgresql, f"DROP DATABASE {DATABASE} WITH (FORCE)")
    with Client(f"127.0.0.1:{results.grpc_port}", tls=given.tls, token=given.reader) as client:
        with pytest.raises(ServiceUnreachable) as away:
            list(client.list())
        answers.append(str(away.value))
    metrics = results.metrics()
    assert (results.terminate(), gateway.terminate()) == (0, 0)
    lost = start("coronium.results", RESULTS__DATABASE_URL=given.database_url.replace(DATABASE, "nowhere"))
    assert lost.process.wait(60) != 0
    assert "database" in lost.log.read_text()

    written = {
        "results": results.log.read_text(),
        "gateway": gateway.log.read_text(),
        "answers": "\n".join(answers),
        "metrics": metrics,
        "upgrade": upgraded,
        "a start that fails": lost.log.read_text(),
        "settings": _shown_settings(given),
    }
    assert '"level": "debug"' in written["results"], "it is at its most talkative"
    assert '"level": "debug"' in written["gateway"]
    assert "The results database did not answer" in written["results"]
    found = [(where, secret) for where, text in written.items() for secret in given.secrets if secret in text]
    assert not found


def _asked_over_grpc(given: Run, results: Service) -> list[str]:
    """Ask with good and bad tokens; return what was answered."""
    address = f"127.0.0.1:{results.grpc_port}"
    answers = []
    with Client(address, tls=given.tls, token=given.reader) as client:
        assert list(client.list()) == []
    for token in (given.expired, given.unknown, given.controller, ""):
        with Client(address, tls=given.tls, token=token) as client, pytest.raises(NotAllowed) as refused:
            list(client.list())
        answers.append(str(refused.value))
    with grpc.secure_channel(address, given.tls.credentials()) as channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        operator, reader = (
            {"metadata": (("authorization", f"Bearer {token}"),), "timeout": 20}
            for token in (given.controller, given.reader)
        )
        assert control.Pause(control_pb2.PauseRequest(), **operator).desired.paused
        assert not control.Resume(control_pb2.ResumeRequest(), **operator).desired.paused
        answers.append(str(control.Status(control_pb2.StatusRequest(), **reader)))
        with pytest.raises(grpc.RpcError) as denied:
            control.Pause(control_pb2.PauseRequest(), **reader)
        assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
        answers.append(denied.value.details())
    return answers


def _asked_over_rest(given: Run, port: int) -> list[str]:
    context = ssl.create_default_context(cafile=given.ca_file)
    answers = []
    with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}", timeout=20.0) as client:
        for token, status in ((given.reader, 200), (given.expired, 401), (given.unknown, 401), (given.controller, 403)):
            response = client.get("/v1/results", headers={"authorization": f"Bearer {token}"})
            assert response.status_code == status, response.text
            answers.append(f"{response.headers} {response.text}")
        assert client.get("/v1/results", headers={"authorization": f"Basic {given.reader}"}).status_code == 401
        answers.append(client.get("/metrics").text)
    return answers


def _shown_settings(given: Run) -> str:
    """Return what `coronium config show` makes of the secrets."""
    environment = {
        "CORONIUM_RESULTS__DATABASE_URL": given.database_url,
        "CORONIUM_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CORONIUM_KAFKA__USERNAME": USER,
        "CORONIUM_KAFKA__PASSWORD": given.sasl_password,
        "CORONIUM_CLIENT__TOKEN": given.reader,
    }
    script = "from coronium.cli.main import main; main()"
    shown = [_run(script, "config", "show", service, "--json", **environment) for service in ("results", "client")]
    for text in shown:
        assert "********" in text
    return "\n".join(shown)


def _run(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=REPOSITORY,
        env={**_clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CORONIUM_")}
