"""A live run under Prometheus' own settings: what Alertmanager is sent carries external labels, and routes see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.choices.shared import RunChoices
from harness.commands import live
from harness.config import load_config
from harness.live.model import LiveVerdict

FILES = {
    "alert-harness.toml": """
rules = ["r.yml"]
contracts = ["c.yml"]
prometheus = "prometheus.yml"
alertmanager = "am.yml"
lookback_delta = "2m"
""",
    "prometheus.yml": """
global:
  scrape_interval: 30s
  evaluation_interval: 30s
  external_labels: {cluster: eu1, severity: none}
""",
    # Neither group nor subquery says how often: 30 s, by the settings. The rule's own severity stays.
    "r.yml": """
groups:
  - name: g
    rules:
      - alert: Hot
        expr: max_over_time(temp[2m:]) > 5
        for: 1m
        labels: {severity: page, where: "{{ $externalLabels.cluster }}"}
        annotations: {summary: "hot in {{ $externalLabels.cluster }}"}
      - {alert: Down, expr: down > 0, for: 1m, labels: {severity: page}}
""",
    "c.yml": """
contracts:
  - alert: Hot
    means: It is hot.
    knob: {name: t, range: [0, 10]}
    op: ">"
    threshold: 5
    for: 1m
    severity: page
    identifies: {where: eu1}
    annotations: [summary]
    silenced_by: [Down]
    signal: [{gauge: temp, value: x}]
  - alert: Down
    means: It is down.
    knob: {name: d, range: [0, 10]}
    op: ">"
    threshold: 0
    for: 1m
    severity: page
    signal: [{gauge: down, value: x}]
""",
    "am.yml": """
route:
  receiver: elsewhere
  group_by: [alertname]
  group_wait: 10s
  group_interval: 1m
  routes: [{receiver: eu, matchers: ['cluster="eu1"', 'severity="page"']}]
receivers:
  - {name: elsewhere, webhook_configs: [{url: "http://127.0.0.1/"}]}
  - {name: eu, webhook_configs: [{url: "http://127.0.0.1/"}]}
inhibit_rules:
  - {source_matchers: [alertname="Down"], target_matchers: [alertname="Hot", cluster="eu1"], equal: [cluster]}
""",
}


@pytest.mark.slow
def test_external_labels_reach_routes_inhibition_and_templates(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    hot, down = live.run(load_config(tmp_path, tmp_path / "alert-harness.toml"), RunChoices()).results
    assert (hot.verdict, hot.receivers, hot.inhibited_by) == (LiveVerdict.EXACT, ("eu",), ("Down",))
    assert (down.verdict, down.receivers) == (LiveVerdict.EXACT, ("eu",))
    assert hot.delivered is not None
    assert hot.delivered.labels == {"alertname": "Hot", "severity": "page", "where": "eu1", "cluster": "eu1"}
    assert hot.delivered.annotations == {"summary": "hot in eu1"}
    assert hot.hold_ticks == 2  # a minute, at 30 s
