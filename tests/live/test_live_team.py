"""Another team's rules, most of them broken in one way each, all in one live run: every fault has its verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.choices.live import LiveChoices
from harness.choices.shared import RunChoices
from harness.commands import live
from harness.config import Config
from harness.errors import EXIT_ENGINE, EXIT_FINDINGS
from harness.live.model import LiveReport, LiveVerdict
from tests.live.live_team import ALERTS, Alert, write_team


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> LiveReport:
    folder = tmp_path_factory.mktemp("team")
    rules, contracts, routes = write_team(folder)
    choices = RunChoices(rules=[str(rules)], contracts=[str(contracts)], engine="process")
    return live.run(Config(folder), choices, alertmanager=routes)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_fault_has_its_verdict(team: LiveReport, alert: Alert) -> None:
    (result,) = [result for result in team.results if result.alert == alert.name]
    told = "\n".join(finding.reason for finding in result.findings)
    assert result.verdict is alert.verdict, told
    assert alert.reason in told


def test_an_error_is_the_exit_code_of_the_run(
    team: LiveReport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others = [result for result in team.results if result.verdict is not LiveVerdict.ERROR]
    assert len(others) == len(team.results) - 1
    for report, code in ((team, EXIT_ENGINE), (replace(team, results=others), EXIT_FINDINGS)):
        monkeypatch.setattr(live, "run", lambda *args, report=report, **kept: report)
        assert live.command(Config(tmp_path), LiveChoices()) == code


def test_a_contract_without_a_rule(team: LiveReport) -> None:
    (result,) = [result for result in team.results if result.alert == "Forgotten"]
    assert result.verdict is LiveVerdict.MISSING


def test_inhibition_is_seen_on_the_running_system(team: LiveReport) -> None:
    assert {result.alert: tuple(result.inhibited_by) for result in team.results if result.inhibited_by} == {
        "Child": ("Parent",),
        "Above": ("Below",),
    }


def test_what_is_routed_where(team: LiveReport) -> None:
    told = {result.alert: result.delivered for result in team.results if result.delivered}
    assert told["Fine"].receiver == "pager"
    assert told["Fine"].group_labels == {"alertname": "Fine"}
    assert told["Fine"].annotations == {"summary": "a:1 has 7.5"}
    assert told["Earlier"].receiver == "chat"
