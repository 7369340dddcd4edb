# ruff: noqa: E501 (a table: one rule, one line)
"""A team's rules, contracts and routes, some of them broken: each alert reads a metric of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.live.model import LiveVerdict

ROUTES = """\
global: {slack_api_url: 'https://example.org/'}
route:
  receiver: chat
  group_by: [alertname]
  group_wait: 10s
  group_interval: 1m
  routes:
    - {matchers: ['severity="page"'], receiver: pager}
    - {matchers: ['severity="log"'], receiver: nowhere}
inhibit_rules:
  - {source_matchers: ['alertname="Parent"'], target_matchers: ['alertname="Child"']}
  - {source_matchers: ['alertname="Earlier"'], target_matchers: ['alertname="Swallowed"'], equal: [instance]}
  - {source_matchers: ['alertname="Worse"'], target_matchers: ['alertname="Bad"'], equal: [instance]}
  - {source_matchers: ['layer="below a:1"'], target_matchers: ['alertname="Above"'], equal: [instance]}
  - {source_matchers: ['alertname="BecomeOne"'], target_matchers: ['alertname="BesideIt"']}
receivers:
  - {name: chat, slack_configs: [{channel: '#alerts', send_resolved: true}]}
  - {name: pager, pagerduty_configs: [{routing_key: not-a-real-key}]}
  - {name: nowhere}
"""

GAUGE = 'gauge: METRIC{job="j", instance="a:1"}\n        value: x'


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert on the gauge or counter `m`, which stands for its own metric; the contract says > 5 for a minute."""

    name: str
    verdict: LiveVerdict
    reason: str = ""
    expr: str = "m > 5"
    hold: str = "1m"
    severity: str = "page"
    labels: str = ""
    """Further labels of the rule."""
    rule: str = ""
    op: str = ">"
    threshold: str = "5"
    knob: str = "range: [0, 10]"
    contract: str = ""
    metric: str = ""
    shape: str = GAUGE
    means_severity: str = "page"
    text: str = "'{{ $labels.instance }} has {{ $value }}'"

    def rule_text(self) -> str:
        metric = self.metric or f"m_{self.name.lower()}"
        expr = self.expr.replace("m ", f"{metric} ").replace("m[", f"{metric}[")
        return (
            f"      - alert: {self.name}\n        expr: {expr!r}\n        for: {self.hold}\n"
            f"        labels: {{severity: {self.severity}{self.labels}}}\n        annotations: {{summary: {self.text}}}\n{self.rule}"
        )

    def contract_text(self) -> str:
        shape = self.shape.replace("METRIC", self.metric or f"m_{self.name.lower()}")
        return (
            f"  - alert: {self.name}\n    means: something\n    knob: {{name: load, unit: '', {self.knob}}}\n"
            f"    op: '{self.op}'\n    threshold: {self.threshold}\n    for: 1m\n    severity: {self.means_severity}\n"
            f"    identifies: {{instance: 'a:1'}}\n    signal:\n      - {shape}\n{self.contract}"
        )


V = LiveVerdict
COUNTER = 'counter: METRIC{job="j", instance="a:1"}\n        rate: x'
UP = 'gauge: up{kind="none"}\n        value: 1 - x'
ALERTS = (
    Alert("Fine", V.EXACT),
    Alert("FineBelow", V.EXACT, expr="m < 5", op="<"),
    Alert("FineAtMost", V.EXACT, expr="m <= 5", op="<="),
    Alert("FineOfACount", V.EXACT, expr="m == 3", op="==", threshold="3", knob="range: [0, 10], step: 1, counts: things"),
    Alert("FineIncrease", V.EXACT, expr="increase(m[2m]) > 600", shape=COUNTER),
    Alert("FineSubquery", V.EXACT, expr="max_over_time(rate(m[1m])[2m:30s]) > 5", shape=COUNTER),
    Alert("FineOffset", V.EXACT, expr="avg_over_time(m[1m] offset 1m) > 5"),
    Alert("FineKept", V.EXACT, rule="        keep_firing_for: 1m\n", contract="    keep_firing_for: 1m\n"),
    Alert("FineByItsOwnName", V.EXACT, labels=", alertname: Other, alertstate: wild, team: ''"),
    Alert("BecomeOne", V.ERROR, "vector contains metrics with the same labelset after applying alert labels", labels=", instance: 'a:1'",
          shape=GAUGE + '\n      - ' + GAUGE.replace("a:1", "a:2")),
    Alert("BesideIt", V.EXACT, expr='m_becomeone{instance="a:1"} > 5', metric="m_becomeone", shape=GAUGE + '\n      - ' + GAUGE.replace("a:1", "a:2")),
    Alert("HeldTooLong", V.WRONG_HOLD, "fires 2m (4 ticks) after it becomes pending, the contract says 1m", hold="2m"),
    Alert("HeldTooShort", V.WRONG_HOLD, "fires 30s (1 ticks)", hold="30s"),
    Alert("AtTheLimit", V.FIRES_AT_THRESHOLD, "pending while load = 5, where the contract (> 5) wants quiet", expr="m >= 5"),
    Alert("TooLow", V.FIRES_AT_THRESHOLD, "while load = 5", expr="m > 4"),
    Alert("TooHigh", V.NEVER_FIRES, "stays quiet while load = 7.5", expr="m > 8"),
    Alert("WrongSeverity", V.WRONG_LABELS, "delivered to chat, but what the contract describes (severity page) is routed to pager", severity="chat"),
    Alert("NoText", V.WRONG_ANNOTATIONS, "annotation `summary` does not render", text="'{{ humanize $labels.instance }}'"),
    Alert("Unrouted", V.NOT_DELIVERED, "it is routed to `nowhere`, which sends nowhere", severity="log", means_severity="log"),
    Alert("Parent", V.EXACT),
    Alert("Child", V.EXACT, hold="1m"),
    Alert("Below", V.EXACT, labels=", layer: '{{ if $value }}below {{ end }}{{ $labels.instance }}'"),
    Alert("Above", V.EXACT),
    Alert("Earlier", V.EXACT, expr="m > 3", threshold="3", metric="shared", severity="chat", means_severity="chat"),
    Alert("Swallowed", V.NOT_DELIVERED, "it is inhibited by Earlier", metric="shared"),
    Alert("Worse", V.EXACT, expr="m > 6", threshold="6", metric="queue"),
    Alert("Bad", V.EXACT, metric="queue", severity="chat", means_severity="chat"),
    Alert("ReadsTheClock", V.NOT_LIVE, "reads the time of day", expr="m > 5 and on () hour() >= 0"),
    Alert("NoTarget", V.NOT_LIVE, "every target has a job and an instance", expr='up{kind="none"} == 0', shape=UP, knob="range: [0, 1], step: 1, counts: things", op=">=", threshold="1", metric="up"),
)  # fmt: skip


def write_team(folder: Path) -> tuple[Path, Path, Path]:
    """(rules, contracts, routes) of the whole team."""
    rules, contracts, routes = folder / "rules.yml", folder / "contracts.yml", folder / "alertmanager.yml"
    return (
        _written(
            rules,
            "groups:\n  - name: team\n    interval: 30s\n    rules:\n" + "".join(alert.rule_text() for alert in ALERTS),
        ),
        _written(
            contracts,
            "scrape_interval: 30s\nannotations: [summary]\ncontracts:\n"
            + "".join(alert.contract_text() for alert in ALERTS)
            + Alert("Forgotten", V.MISSING).contract_text(),
        ),
        _written(routes, ROUTES),
    )


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
