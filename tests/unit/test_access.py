"""Who may do what is declared once; the stages and the documentation say the same."""

import pytest

from coronium.cli import access_tables
from coronium.contract.access import Operation, Permission, Resource, Role, permissions, stage_permissions
from coronium.contract.topics import SPECTRA, TOPICS, TopicNames
from coronium.extraction.stage import ExtractionStage
from coronium.fitting.stage import FittingStage
from coronium.ingestion.settings import IngestionSettings
from coronium.ingestion.stage import IngestionStage
from coronium.results.stage import ResultsStage
from coronium.runtime.errors import SettingsError
from tests._shared import REPOSITORY

NAMES = TopicNames("sun")


@pytest.mark.parametrize("stage", [IngestionStage, ExtractionStage, FittingStage, ResultsStage])
def test_a_stage_asks_for_what_its_role_is_given(stage):
    needed = stage_permissions(stage.name, stage.sources, stage.products, stage.memory, NAMES)
    assert sorted(needed) == sorted(permissions(Role(stage.name.value), NAMES))
    assert Permission(Resource.GROUP, f"sun.{stage.name}", Operation.READ) in needed


def test_a_publisher_may_write_spectra_and_nothing_else():
    assert permissions(Role.PUBLISHER, NAMES) == (Permission(Resource.TOPIC, NAMES.name(SPECTRA), Operation.WRITE),)


def test_nobody_is_given_anything_twice_or_outside_the_prefix():
    for role in Role:
        given = permissions(role, NAMES)
        assert len(set(given)) == len(given)
        assert all(permission.name.startswith("sun.") for permission in given)


def test_whoever_makes_topics_may_make_all():
    made = {p.name for p in permissions(Role.TOPICS, NAMES) if p.operation is Operation.CREATE}
    assert made == {NAMES.name(topic) for topic in TOPICS}


def test_the_table_in_the_documentation_is_the_declaration():
    text = (REPOSITORY / "docs" / "security.md").read_text()
    table = text.partition("<!-- access: begin -->\n")[2].partition("\n<!-- access: end -->")[0]
    assert table == access_tables.markdown(TopicNames()), "put there what `coronium topics access --markdown` prints"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"security_protocol": "SASL_SSL", "username": "me"}, "SASL needs a username and a password"),
        ({"username": "me", "password": "secret"}, "need security_protocol SASL_SSL"),
        ({"ca_file": "ca.pem"}, "need security_protocol SSL or SASL_SSL"),
        ({"security_protocol": "SSL", "key_file": "my.key"}, "key_file needs certificate_file"),
    ],
)
def test_credentials_that_would_not_be_used_are_refused(wrong, words):
    with pytest.raises(SettingsError, match=words) as refused:
        IngestionSettings.load(kafka=wrong)
    assert "secret" not in str(refused.value)
