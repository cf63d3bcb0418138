"""What the fuzzer and a suspicious reader found, each kept as the few bytes that did it."""

from __future__ import annotations

import base64
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from coronium.cli.main import main
from coronium.cli.output import console
from coronium.cli.tables import results_table
from coronium.client.reading import read_dead_letter, read_result
from coronium.contract.conversion import InvalidSpectrum
from coronium.contract.spectrum_checks import check_contents
from coronium.gateway import answers
from coronium.pictures.words import target_title
from coronium.results.records import InvalidRecord, entry
from coronium.results.store import Store
from coronium.v1 import posterior_pb2, spectrum_pb2
from tests.fuzz import seeds
from tests.unit.posterior_factory import dead_letter, observation, posterior
from tests.unit.results_databases import database_url, engine, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "engine", "postgresql", "postgresql_url", "sqlite_url"]


def changed(**fields: object) -> posterior_pb2.Posterior:
    message = posterior_pb2.Posterior.FromString(seeds.posterior().SerializeToString())
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(message, name)[:] = value
        else:
            setattr(message, name, value)
    return message


# Random characters do not compress: a name of these would not fit a page of a PostgreSQL index.
LONG = base64.b64encode(bytes((7 * n * n + 13 * n) % 251 for n in range(3000))).decode()


@pytest.mark.parametrize(
    "message",
    [
        changed(target=LONG),
        changed(name=LONG),
        changed(instrument=LONG),
        changed(result_id=LONG),
        changed(fingerprints=[LONG]),
        changed(kind=posterior_pb2.RESULT_KIND_JOINT, fingerprints=[f"{n:064x}" for n in range(1025)]),
    ],
)
def test_a_posterior_that_a_database_cannot_index_is_refused_and_not_tried_for_ever(
    message: posterior_pb2.Posterior,
) -> None:
    with pytest.raises(InvalidRecord):
        entry(message)


def test_an_observation_that_a_database_cannot_index_is_refused(engine: Engine) -> None:
    message = observation()
    message.spectrum.name = LONG
    with pytest.raises(InvalidRecord):
        entry(message)


def test_a_dead_letter_is_stored_whatever_it_says(engine: Engine) -> None:
    letter = dead_letter(LONG, stage=LONG, value=b"\xff", detail=LONG * 50)
    letter.source_topic = LONG
    letter.failed_at.seconds = 2**60
    stranger = dead_letter(stage="extraction", value=spectrum_pb2.Observation(fingerprint=LONG).SerializeToString())
    assert [str(outcome) for outcome in Store(engine).write([entry(letter), entry(stranger)])] == ["stored"] * 2
    # And listed, by the client and by the gateway.
    assert read_dead_letter(letter).failed_at is None
    assert answers.dead_letter(letter).failed_at is None


def test_times_at_the_end_of_the_calendar_are_read_in_every_time_zone_of_the_server(engine: Engine) -> None:
    if engine.url.get_backend_name() == "postgresql":
        with engine.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {engine.url.database} SET timezone = 'Pacific/Kiritimati'"))
        engine.dispose()
    latest = datetime(9999, 12, 31, 20, tzinfo=UTC)
    first, second = changed(), changed(result_id="1" * 32)
    for message in (first, second):
        message.fitted_at.FromDatetime(latest)
    # The second is held against the first, whose times are read for it.
    assert [str(outcome) for outcome in Store(engine).write([entry(first)])] == ["stored"]
    assert [str(outcome) for outcome in Store(engine).write([entry(second)])] == ["stored"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.draws.names.__setitem__(1, m.draws.names[0]), "names a parameter of its draws twice"),
        (lambda m: m.draws.names.__setitem__(1, ""), "twice, or not at all"),
        (lambda m: m.draws.values.extend([1.0] * 7 * 513), "more than 512 draws"),
        (lambda m: setattr(m.lines[0], "wavelength", float("nan")), "a line without a wavelength"),
        (lambda m: m.predictive[0].lower.append(1.0), "a predictive band of unequal lengths"),
    ],
)
def test_a_posterior_that_no_client_could_read_is_refused(change, words) -> None:
    message = changed()
    change(message)
    with pytest.raises(InvalidRecord, match=words):
        entry(message)


def test_a_posterior_without_draws_is_a_table_without_rows() -> None:
    assert answers.draw_table("id", [posterior_pb2.Draws()]).draws == []


def test_an_observation_whose_arrays_do_not_fit_is_refused_by_the_store_too() -> None:
    message = observation()
    message.spectrum.channels[0].counts.append(1.0)
    with pytest.raises(InvalidRecord, match="counts has 41 values"):
        entry(message)


@pytest.mark.parametrize("name", ["x" * 3000, "\U0010ffff" * 700])
def test_no_sentence_repeats_a_name_without_end(name: str) -> None:
    message = seeds.two_exposures()
    message.channels[0].name = message.channels[1].name = name
    with pytest.raises(InvalidSpectrum) as refused:
        check_contents(message)
    # gRPC hands on eight kibibytes of it at most.
    assert len(str(refused.value).encode()) < 2000


@pytest.mark.parametrize("name", ["[/red]", "[bold", "[link=x]y[/link]", "a\\[b"])
def test_names_with_brackets_are_printed_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console().print(results_table([read_result(posterior(name=name))]))
    assert name in capsys.readouterr().out


@pytest.mark.parametrize("annotation", ["north", "nan", "", "1e999"])
def test_annotations_of_places_that_are_no_numbers_are_no_place(annotation: str) -> None:
    result = replace(
        read_result(posterior("sun/ar12807/x001y002")),
        annotations={"solar_x_arcsec": annotation, "solar_y_arcsec": "3"},
    )
    assert target_title(result) == "AR 12807 x001y002"


@pytest.mark.parametrize("arguments", [["get", "\udcff"], ["results", "\udcff"], ["fit", "caf\udce9.csv"]])
def test_arguments_that_are_no_text_are_one_sentence(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["coronium", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "is not text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a" * 300 + ".h5", "a" * 300 + ".csv"])
def test_a_name_too_long_for_a_file_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["coronium", "publish", name, "--instrument", "chandra-meg"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "Traceback" not in capsys.readouterr().err
