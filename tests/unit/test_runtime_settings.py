"""Settings come from where they are said to come from, and a mistake is a sentence."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from coronium.runtime.errors import SettingsError
from coronium.runtime.settings import ServiceSettings


class FittingLike(ServiceSettings):
    """Some service's settings."""

    service: ClassVar[str] = "fitting"

    draws: int = Field(default=400, ge=1, description="Draws per chain.")
    token: SecretStr = Field(default=SecretStr(""), description="A secret.")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("CORONIUM_"):
            monkeypatch.delenv(name)


def origin_of(name: str, **flags: object) -> tuple[str, str]:
    (found,) = [origin for origin in FittingLike.origins(**flags) if origin.name == name]
    return found.value, found.origin


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert origin_of("draws") == ("400", "default")
    file = tmp_path / "coronium.toml"
    file.write_text("[fitting]\ndraws = 100\n")
    monkeypatch.setenv("CORONIUM_SETTINGS_FILE", str(file))
    assert origin_of("draws") == ("100", str(file))
    monkeypatch.setenv("CORONIUM_FITTING__DRAWS", "200")
    assert origin_of("draws") == ("200", "CORONIUM_FITTING__DRAWS")
    assert origin_of("draws", draws=300) == ("300", "flag")


def test_a_name_for_all_services_is_beaten_by_the_name_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORONIUM_KAFKA__PREFIX", "everybody")
    assert FittingLike.load().kafka.prefix == "everybody"
    monkeypatch.setenv("CORONIUM_FITTING__KAFKA__PREFIX", "fitting-alone")
    assert FittingLike.load().kafka.prefix == "fitting-alone"


def test_an_unknown_name_fails_and_the_nearest_one_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORONIUM_FITTING__KAFKA__BOOTSTRAP_SERVER", "x:1")
    with pytest.raises(SettingsError, match="Did you mean CORONIUM_FITTING__KAFKA__BOOTSTRAP_SERVERS"):
        FittingLike.load()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[auht]\nrequired = true\n", "auht .* Did you mean auth"),
        ("[gatway]\nrequire_token = true\n", "gatway .* Did you mean gateway"),
        ("draws = 100\nreqired = true\n", "reqired in .* is neither the table of a service nor a setting of fitting"),
        ("gateway = true\n", "gateway in .* is not a table"),
        ("[fitting.auth]\nreqired = true\n", "auth.reqired"),
        ("[auth]\nreqired = true\n", "auth.reqired"),
    ],
)
def test_an_unknown_name_in_the_file_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "coronium.toml"
    file.write_text(content)
    monkeypatch.setenv("CORONIUM_SETTINGS_FILE", str(file))
    with pytest.raises(SettingsError, match=words):
        FittingLike.load()


def test_tables_of_other_services_and_what_is_for_all_may_stand_in_one_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "coronium.toml"
    own = 'log_level = "error"\n[auth]\nrequired = true\nprincipals_file = "p"\n'
    file.write_text(own + "[gateway]\nport = 1\n[client]\ntls = true\n")
    monkeypatch.setenv("CORONIUM_SETTINGS_FILE", str(file))
    loaded = FittingLike.load()
    assert (loaded.log_level, loaded.auth.required) == ("error", True)


def test_a_name_of_another_service_is_left_to_that_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORONIUM_RESULTS__DATABASE_URL", "sqlite://")
    FittingLike.load()


def test_a_secret_is_read_from_the_file_that_holds_it_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("hunter2\n")
    monkeypatch.setenv("CORONIUM_FITTING__TOKEN_FILE", str(file))
    assert FittingLike.load().token.get_secret_value() == "hunter2"
    assert origin_of("token") == ("********", "CORONIUM_FITTING__TOKEN_FILE")


def test_a_secret_that_is_set_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORONIUM_FITTING__TOKEN", "a")
    monkeypatch.setenv("CORONIUM_FITTING__TOKEN_FILE", str(tmp_path / "b"))
    with pytest.raises(SettingsError, match="both set"):
        FittingLike.load()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CORONIUM_FITTING__DRAWS", "0", "draws: .* greater than or equal to 1"),
        ("CORONIUM_FITTING__LOOP__DEADLINE_SECONDS", "95", "deadline_seconds < rebalance_seconds"),
        ("CORONIUM_FITTING__KAFKA__SESSION_SECONDS", "2", "three heartbeats"),
        ("CORONIUM_FITTING__GRPC__KEY_FILE", "key.pem", "belong together"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_the_name_to_set(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=sentence):
        FittingLike.load()
