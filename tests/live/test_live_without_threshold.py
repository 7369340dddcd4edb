"""Absence, presence, always, silence, drafts and what is set aside, in one live run: every fault has its verdict."""

from __future__ import annotations

import pytest

from harness.choices.shared import RunChoices
from harness.commands import live
from harness.config import Config
from harness.live.model import LiveReport, LiveVerdict

V = LiveVerdict
RULES = """\
groups:
  - name: g
    interval: 30s
    rules:
      - {alert: Watchdog, expr: vector(1), for: 1m, labels: {severity: none}}
      - {alert: NotAlways, expr: nothing > 0, for: 1m}
      - {alert: Gone, expr: 'absent(heartbeat{job="api"})', for: 1m, labels: {severity: page}}
      - {alert: GoneAtOnce, expr: absent(beat), labels: {severity: page}}
      - {alert: GoneTooEarly, expr: absent(pulse), for: 1m}
      - {alert: GoneForLong, expr: 'absent_over_time(breath[8m])', for: 1m}
      - {alert: GoneForTooLong, expr: 'absent_over_time(sigh[8m])', for: 1m}
      - {alert: UpGone, expr: 'absent(up{job="api"})', for: 2m, labels: {severity: page, zone: a}}
      - {alert: Info, expr: 'info{health!="OK"}', for: 1m, labels: {severity: page}}
      - {alert: Load, expr: load > 5, for: 1m}
      - {alert: Draft, expr: draft > 5, for: 1m}
      - {alert: Known, expr: known > 6, for: 2m}
"""
ABOVE = """\
knob: {{name: load, range: [0, 10]}}
    op: ">"
    threshold: 5
    for: 1m
    signal: [{{gauge: {0}, value: x}}]
"""


def absent(series: str) -> str:
    return f"op: absent\n    signal: [{{gauge: '{series}', value: 1}}]\n"


CONTRACTS = {
    "Watchdog": "always: true\n    for: 1m\n    severity: none\n",
    "NotAlways": "always: true\n    for: 1m\n",
    "Gone": absent('heartbeat{job="api"}') + "    for: 1m\n    silenced_by: [UpGone]\n",
    "GoneAtOnce": absent("beat") + "    never_silenced_by: [UpGone]\n",
    "GoneTooEarly": absent("pulse") + "    for: 5m\n",
    "GoneForLong": absent("breath") + "    for: 9m\n",
    "GoneForTooLong": absent("sigh") + "    for: 1m\n",
    "UpGone": absent('up{job="api"}') + "    for: 2m\n    never_silenced_by: [Watchdog]\n",
    "Info": "op: present\n    for: 1m\n    silenced_by: [UpGon]\n"
    "    signal: [{gauge: 'info{health=\"bad\"}', value: 1}]\n",
    "Load": ABOVE.format("load") + '    severity: ""\n    silenced_by: [UpGone]\n',
    "Draft": ABOVE.format("draft") + "    draft: true\n",
    "Known": ABOVE.format("known") + "    allow: {reason: to be mended}\n",
}
ROUTES = """\
route: {receiver: pager, group_by: [alertname], group_wait: 10s, group_interval: 5m}
inhibit_rules:
  - {source_matchers: ['alertname="UpGone"'], target_matchers: ['alertname=~"Gone|GoneAtOnce"']}
  - {source_matchers: ['alertname="UpGone"'], target_matchers: ['alertname="Load"'], equal: [zone]}
  - {source_matchers: ['alert="UpGone"'], target_matchers: ['alertname="Info"']}
receivers: [{name: pager, webhook_configs: [{url: 'http://127.0.0.1/'}]}]
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> LiveReport:
    folder = tmp_path_factory.mktemp("without")
    for name, text in (("rules.yml", RULES), ("am.yml", ROUTES)):
        (folder / name).write_text(text, encoding="utf-8")
    entries = [f"  - alert: {alert}\n    means: m\n    {text}" for alert, text in CONTRACTS.items()]
    entries.append("  - alert: Aside\n    allow: {reason: reads ALERTS}\n")
    (folder / "contracts.yml").write_text("scrape_interval: 30s\ncontracts:\n" + "".join(entries), encoding="utf-8")
    choices = RunChoices(rules=[str(folder / "rules.yml")], contracts=[str(folder / "contracts.yml")], engine="process")
    return live.run(Config(folder), choices, alertmanager=folder / "am.yml")


@pytest.mark.parametrize(
    ("alert", "verdict", "told"),
    [
        ("Watchdog", V.EXACT, ""),
        ("NotAlways", V.NEVER_FIRES, "stays quiet, always"),
        ("Gone", V.EXACT, ""),
        ("GoneAtOnce", V.WRONG_SILENCE, "`UpGone` silences it by the inhibition rules"),
        ("GoneTooEarly", V.WRONG_HOLD, "fires 1m (2 ticks) after it becomes pending, the contract says 5m"),
        ("GoneForLong", V.EXACT, ""),
        ("GoneForTooLong", V.WRONG_HOLD, "fires 9m after its series are gone, the contract says 1m"),
        ("UpGone", V.EXACT, ""),
        ("Info", V.WRONG_SILENCE, "names `UpGon`, an alert that no rule has (did you mean `UpGone`?)"),
        ("Load", V.WRONG_SILENCE, "the rule wants them equal, but `zone` is `a` there, `` here"),
        ("Draft", V.DRAFT, ""),
        ("Known", V.WRONG_HOLD, ""),
    ],
)
def test_every_fault_has_its_verdict(report: LiveReport, alert: str, verdict: LiveVerdict, told: str) -> None:
    (result,) = [result for result in report.results if result.alert == alert]
    reasons = "\n".join(finding.reason for finding in result.findings)
    assert result.verdict is verdict, reasons
    assert told in reasons


def test_absences_come_and_go_and_are_told(report: LiveReport) -> None:
    found = {result.alert: result for result in report.results}
    assert found["Gone"].inhibited_by == ("UpGone",)
    for alert in ("Gone", "GoneAtOnce", "UpGone", "Info"):
        assert found[alert].delivered is not None
        assert found[alert].resolved is not None
    assert found["Watchdog"].delivered is not None
    assert found["Watchdog"].resolved is None


def test_what_is_set_aside_is_counted_and_does_not_fail(report: LiveReport) -> None:
    assert report.set_aside == 1
    assert not report.exact
    known = [result for result in report.results if result.alert in ("Known", "Gone", "Watchdog")]
    assert LiveReport(known, 60, "process", "", "", "", set_aside=1).exact
    assert LiveReport([], 60, "process", "", "", "", set_aside=1).exact
    assert not LiveReport([], 60, "process", "", "", "").exact


def test_an_inhibition_rule_that_fits_no_alert_is_named(report: LiveReport) -> None:
    told = [warning.message for warning in report.warnings]
    assert told[0].endswith("inhibition rule 2 silences nothing here: no source and target of it are equal in `zone`")
    assert "inhibition rule 3 silences nothing here: no alert fits its source" in told[1]
    assert told[1].endswith('{alert="UpGone"}: none here has a label `alert` (did you mean `alertname`?)')
    assert len(told) == 2
