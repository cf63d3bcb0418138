"""The alert rules speak of metrics that there are, and fire when they should."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from coronium.runtime import metrics
from tests._shared import REPOSITORY

FOLDER = REPOSITORY / "docker" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_is_about_metrics_that_there_are(rule: dict[str, Any]) -> None:
    names = set(re.findall(r"coronium_\w+", rule["expr"]))
    known = {name for family in metrics.REGISTRY.collect() for name in (family.name, f"{family.name}_total")}
    assert names
    assert names <= known
    for reason in re.findall(r'reason[=!]~"([^"]+)"', rule["expr"]):
        assert set(reason.split("|")) <= set(metrics.REASONS)


def test_prometheus_fires_what_it_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; Debian's prometheus brings it")
    subprocess.run([promtool, "check", "config", FOLDER / "prometheus.yml"], check=True, capture_output=True)
    own, bad = (
        f'coronium_messages_rejected_total{{job="coronium", instance="fitting", reason="{reason}"}}'
        for reason in ("crash", "invalid")
    )
    tests = {
        "rule_files": [str(FOLDER / "alerts.yml")],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": 'coronium_stopped_by_failures{job="coronium", instance="fitting"}', "values": "0x9 1x9"},
                    {"series": own, "values": "0x9 1x29"},
                    {"series": bad, "values": "0+60x40"},
                    {"series": 'coronium_messages_in_total{instance="fitting", job="coronium"}', "values": "0+120x40"},
                ],
                "alert_rule_test": [
                    _expectation("8m", "CoroniumStageStoppedByFailures", None),
                    _expectation("12m", "CoroniumStageStoppedByFailures", {"severity": "page"}),
                    _expectation("8m", "CoroniumOwnDeadLetters", None),
                    _expectation("12m", "CoroniumOwnDeadLetters", {"severity": "ticket", "reason": "crash"}),
                    _expectation("30m", "CoroniumBadInput", {"severity": "ticket"}),
                    _expectation("30m", "CoroniumLogCutShort", None),
                ],
            }
        ],
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(tests))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _expectation(time: str, alert: str, labels: dict[str, str] | None) -> dict[str, Any]:
    rule = next(rule for rule in RULES if rule["alert"] == alert)
    expected = []
    if labels is not None:
        own = {"job": "coronium", "instance": "fitting", **labels}
        words = rule["annotations"]["summary"]
        for name, value in own.items():
            words = words.replace(f"{{{{ $labels.{name} }}}}", value)
        expected = [{"exp_labels": own, "exp_annotations": {"summary": words}}]
    return {"eval_time": time, "alertname": alert, "exp_alerts": expected}
