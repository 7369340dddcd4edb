"""The project's own alerts, end to end: every one on its tick, delivered where its team looks, and resolved."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from harness.choices.shared import RunChoices
from harness.commands import live
from harness.config import load_config
from harness.live.model import LiveReport, LiveResult, LiveVerdict
from harness.report.live.json import live_json
from harness.report.live.terminal import live_summary, live_table
from harness.report.terminal import console

ROOT = Path(__file__).resolve().parents[2]
SILENCED = {"HighErrorRate", "SlowResponseTime", "NoActiveStreams"}
ROUNDS = {"SlowResponseTime", "RecordingFailures"}
"""Rates that round at their thresholds on this clock; all others stood at the last quiet value itself."""
RECEIVERS = {
    "HighErrorRate": "streaming-on-call",
    "SlowResponseTime": "streaming",
    "ServiceDown": "streaming-on-call",
    "NoActiveStreams": "video-operations",
    "HighCameraOfflineRate": "video-operations",
    "RecordingFailures": "video-operations-on-call",
    "HighCPUUsage": "platform",
    "HighMemoryUsage": "platform",
    "LowDiskSpace": "platform-on-call",
}


@pytest.fixture(scope="module")
def nine() -> LiveReport:
    config = load_config(ROOT)
    choices = RunChoices(engine="process")
    return live.run(config, choices, alertmanager=ROOT / "fixtures/monitoring/alertmanager.yml")


@pytest.fixture(scope="module", params=sorted(RECEIVERS))
def alert(request: pytest.FixtureRequest, nine: LiveReport) -> LiveResult:
    (result,) = [result for result in nine.results if result.alert == request.param]
    return result


def test_exact_on_its_tick(alert: LiveResult) -> None:
    assert alert.verdict is LiveVerdict.EXACT, alert.findings
    assert alert.hold_ticks == alert.hold_ticks_meant
    assert alert.at_threshold is (alert.alert not in ROUNDS)
    assert alert.quiet_ticks >= 2  # behind its way back at the least; on a busy machine the first scrape is late


def test_delivered_to_its_team_and_resolved(alert: LiveResult) -> None:
    assert list(alert.receivers) == [RECEIVERS[alert.alert]]
    assert alert.delivered is not None
    assert alert.delivered.group_labels["alertname"] == alert.alert
    assert alert.delivered.labels["severity"] == alert.contract.severity
    assert set(alert.contract.annotations) <= set(alert.delivered.annotations)
    assert "{{" not in "".join(alert.delivered.annotations.values())
    assert alert.resolved is not None
    assert alert.resolved.at_ms > alert.delivered.at_ms


def test_a_service_that_is_down_speaks_for_its_other_alerts(nine: LiveReport) -> None:
    silenced = {result.alert: tuple(result.inhibited_by) for result in nine.results if result.inhibited_by}
    assert silenced == dict.fromkeys(SILENCED, ("ServiceDown",))


def test_the_document_follows_its_schema(nine: LiveReport) -> None:
    schema = json.loads((ROOT / "docs/schema/live.schema.json").read_text(encoding="utf-8"))
    document = json.loads(live_json(nine, []))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["summary"] == {"exact": 9, "total": 9}
    described = set(re.findall(r'"(\w+)":', json.dumps(document["alerts"][0])))
    assert described <= set(re.findall(r'"(\w+)"', json.dumps(schema))) | set(
        document["alerts"][0]["delivered"]["labels"]
    ) | set(document["alerts"][0]["delivered"]["annotations"])


def test_the_table(nine: LiveReport, capsys: pytest.CaptureFixture[str]) -> None:
    live_table(nine, console())
    live_summary(nine, console())
    printed = capsys.readouterr().out
    assert re.search(
        r"^NoActiveStreams +1 streams +0 streams +1m +10m +10m +video-operations, silenced by ServiceDown +told +exact",
        printed,
        re.MULTILINE,
    )
    assert "9 of 9 exact, 60 times as fast as the world" in printed
