"""The plasma model is asked for in the same words everywhere, reaches the fit, and makes another result."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from typer.testing import CliRunner

from coronium import Client
from coronium.cli.main import app
from coronium.cli.options import PlasmaModel
from coronium.client import publishing
from coronium.client.reading import read_result
from coronium.contract.conversion import spectrum_from_message
from coronium.contract.identity import fingerprint
from coronium.contract.plasma import PLASMA_MODELS, plasma_word
from coronium.fit import Plasma
from coronium.fitting.settings import FittingSettings
from coronium.fitting.stage import FittingStage
from coronium.fitting.worker import FittingWorker
from coronium.inference.engine import Engine
from coronium.operations import demo
from coronium.operations.demo_data import demo_spectra
from coronium.physics.readers.tabular import write_spectra
from coronium.runtime.errors import SettingsError
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc, posterior_pb2, spectrum_pb2
from tests.unit.spectra import good_spectrum

DEM = spectrum_pb2.PLASMA_MODEL_GAUSSIAN_DEM
NONE = spectrum_pb2.PLASMA_MODEL_UNSPECIFIED


class Producer:
    """kafka-python's producer as far as publishing goes; keeps what it was given."""

    def __init__(self, **_: object) -> None:
        self.sent: list[spectrum_pb2.Spectrum] = []

    def send(self, _topic: str, *, value: bytes, **_: object) -> "Producer":
        self.sent.append(spectrum_pb2.Spectrum.FromString(value))
        return self

    def get(self, _timeout: float) -> None:
        """Acknowledged."""

    def close(self, _timeout: float) -> None:
        """Nothing to close."""


class Ingestion(ingestion_pb2_grpc.IngestionServiceServicer):
    """An ingestion service that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[spectrum_pb2.Spectrum] = []

    def Submit(self, request, context):
        self.sent.append(request.spectrum)
        return ingestion_pb2.SubmitResponse(fingerprint=fingerprint(request.spectrum))


@pytest.fixture(params=["kafka", "grpc"])
def way_in(request, monkeypatch):
    """A client over Kafka, and one over gRPC, each with the list of what it sent."""
    if request.param == "kafka":
        producer = Producer()
        monkeypatch.setattr(publishing, "KafkaProducer", lambda **_: producer)
        with Client(kafka="127.0.0.1:9") as client:
            yield client, producer.sent
        return
    server = grpc.server(ThreadPoolExecutor(1))
    service = Ingestion()
    ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(ingestion_address=f"127.0.0.1:{port}") as client:
        yield client, service.sent
    server.stop(None)


def test_the_words_are_the_same_for_the_stream_the_fit_and_the_command_line():
    assert set(PLASMA_MODELS) == {plasma.value for plasma in Plasma} == {plasma.value for plasma in PlasmaModel}
    assert {NONE, *PLASMA_MODELS.values()} == set(spectrum_pb2.PlasmaModel.values())


def test_the_plasma_model_asked_for_is_published_and_makes_another_spectrum(way_in):
    client, sent = way_in
    spectrum = spectrum_from_message(good_spectrum())
    plain = client.publish(spectrum)
    dem = client.publish(spectrum, plasma_model="gaussian-dem")
    assert client.publish([spectrum], plasma_model="isothermal") == [plain]
    assert [message.plasma_model for message in sent] == [NONE, DEM, PLASMA_MODELS["isothermal"]]
    assert dem != plain
    assert dem == fingerprint(sent[1])


def test_a_message_keeps_what_it_asks_for_unless_told_otherwise_and_is_not_changed(way_in):
    client, sent = way_in
    message = good_spectrum()
    message.plasma_model = DEM
    client.publish([message, message])
    client.publish(message, plasma_model="isothermal")
    assert [one.plasma_model for one in sent] == [DEM, DEM, PLASMA_MODELS["isothermal"]]
    assert message.plasma_model == DEM


def test_a_wrong_word_is_one_sentence_and_nothing_is_sent(way_in):
    client, sent = way_in
    with pytest.raises(ValueError, match=r"^there is no plasma model 'gaussian_dem'; use isothermal or gaussian-dem$"):
        client.publish([good_spectrum()], plasma_model="gaussian_dem")
    assert sent == []


def test_the_command_publishes_with_the_plasma_model_that_fit_takes(tmp_path, monkeypatch):
    producer = Producer()
    monkeypatch.setattr(publishing, "KafkaProducer", lambda **_: producer)
    path = tmp_path / "spectra.h5"
    write_spectra(path, [spectrum_from_message(good_spectrum())])
    for words in ((), ("--plasma", "gaussian-dem")):
        assert CliRunner().invoke(app, ["publish", str(path), "--kafka", "127.0.0.1:9", *words]).exit_code == 0
    assert [message.plasma_model for message in producer.sent] == [PLASMA_MODELS["isothermal"], DEM]
    wrong = CliRunner().invoke(app, ["publish", str(path), "--plasma", "hot"])
    assert wrong.exit_code == 2
    assert "gaussian-dem" in wrong.output


def test_a_result_says_its_plasma_model_in_the_same_words():
    assert read_result(posterior_pb2.Posterior(plasma_model=DEM)).plasma_model == "gaussian-dem"
    words = [plasma_word(number) for number in (*PLASMA_MODELS.values(), NONE, 9)]
    assert words == [*PLASMA_MODELS, "unspecified", "9"]


def test_the_demonstration_asks_for_what_it_warms_up(monkeypatch):
    warmed = FittingSettings(warm_instruments=demo.SETTINGS["fitting"]["WARM_INSTRUMENTS"])
    kinds = FittingStage(warmed).worker_settings["warm_instruments"]
    model = demo.PLASMA_MODEL
    assert kinds == [("hinode-eis", model, 1), ("chandra-letg", model, 1), ("chandra-letg", model, demo.EPOCHS)]
    assert {(s.instrument, s.exposures) for s in demo_spectra()} == {(name, count) for name, _, count in kinds}
    assert demo.PLASMA_MODEL == "gaussian-dem"


def test_what_is_warmed_up_is_compiled_with_its_plasma_model(monkeypatch):
    compiled: list[tuple[str, bool, int]] = []

    def prepare(self: Engine, names: Sequence[str]) -> None:
        space = self.model.space
        compiled.append((self.model.instrument.name, space.gaussian_dem, space.exposures))
        assert set(names) >= {"modes", "chains"}

    monkeypatch.setattr(Engine, "prepare", prepare)
    stage = FittingStage(FittingSettings(warm_instruments="hinode-eis , hinode-eis:gaussian-dem:3,"))
    FittingWorker(stage.worker_settings).warm()
    assert compiled == [("hinode-eis", False, 1), ("hinode-eis", True, 3)]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("hubble", "warm_instruments: unknown instrument 'hubble'; known are hinode-eis, "),
        ("euve:hot", "warm_instruments: there is no plasma model 'hot'; use isothermal or gaussian-dem"),
        ("euve:", "warm_instruments: there is no plasma model ''"),
        ("euve:isothermal:many", r"'euve:isothermal:many' is not instrument\[:plasma\[:exposures\]\]"),
        ("euve:isothermal:0", "'euve:isothermal:0' is not instrument"),
        ("euve:isothermal:1:2", "'euve:isothermal:1:2' is not instrument"),
    ],
)
def test_a_wrong_word_among_what_is_to_be_warmed_up_is_one_sentence_at_the_start(monkeypatch, value, sentence):
    monkeypatch.setenv("CORONIUM_FITTING__WARM_INSTRUMENTS", value)
    with pytest.raises(SettingsError, match=sentence):
        FittingSettings.load()
