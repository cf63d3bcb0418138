"""What a service needs and does not find ends its start with one sentence that says what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coronium.physics.atomic import table
from tests.stream.broker import Stream, free_port
from tests.stream.service import Service
from tests.unit.network_folder import untrained_network

Case = tuple[str, dict[str, str], int, tuple[str, ...]]


def missing_table(folder: Path) -> Case:
    path = str(folder / "none.npz.xz")
    words = (f"There is no emissivity table at {path}", "coronium atomic build")
    return "fitting", {"FITTING__EMISSIVITY_TABLE": path}, 1, words


def corrupt_table(folder: Path) -> Case:
    path = folder / "broken.npz.xz"
    path.write_bytes(table.SHIPPED.read_bytes()[:100_000])
    words = (f"The emissivity table {path} cannot be read", "coronium atomic build")
    return "fitting", {"FITTING__EMISSIVITY_TABLE": str(path)}, 1, words


def missing_weights(folder: Path) -> Case:
    untrained_network(folder, "hinode-eis")
    (folder / "hinode-eis.safetensors").unlink()
    words = ("hinode-eis.safetensors are missing", "coronium train --instrument hinode-eis")
    return "extraction", {"EXTRACTION__WEIGHTS": str(folder)}, 1, words


def corrupt_weights(folder: Path) -> Case:
    untrained_network(folder, "hinode-eis")
    path = folder / "hinode-eis.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    words = ("hinode-eis.safetensors are corrupt", "coronium train --instrument hinode-eis")
    return "extraction", {"EXTRACTION__WEIGHTS": str(folder)}, 1, words


def unreachable_database(_: Path) -> Case:
    port = free_port()
    url = f"postgresql://coronium:secret@127.0.0.1:{port}/coronium"
    words = (f"127.0.0.1:{port}/coronium cannot be used", "check that it is running", "CORONIUM_RESULTS__DATABASE_URL")
    return "results", {"RESULTS__DATABASE_URL": url}, 4, words


def unreachable_broker(_: Path) -> Case:
    address = f"127.0.0.1:{free_port()}"
    words = (f"no Kafka broker answers at {address}", "CORONIUM_KAFKA__BOOTSTRAP_SERVERS")
    return "ingestion", {"KAFKA__BOOTSTRAP_SERVERS": address}, 4, words


@pytest.mark.parametrize(
    "case",
    [missing_table, corrupt_table, missing_weights, corrupt_weights, unreachable_database, unreachable_broker],
    ids=lambda case: case.__name__,
)
def test_a_start_that_fails_says_what_to_do_in_one_sentence(
    stream: Stream, tmp_path: Path, case: Callable[[Path], Case]
) -> None:
    name, settings, code, words = case(tmp_path)
    service = Service(stream, tmp_path / "service.log", f"coronium.{name}", **settings)
    try:
        assert service.process.wait(60) == code
    finally:
        service.kill()
    text = service.log.read_text()
    (sentence,) = [line for line in text.splitlines() if not line.startswith("{")]
    assert sentence.startswith(f"coronium {name}: ")
    assert sentence.endswith(".")
    assert not sentence.endswith("..")
    assert all(word in sentence for word in words), sentence
    assert "Traceback" not in text
    assert "secret" not in text
    assert not [line for line in service.lines() if line["level"] in ("error", "critical")]
