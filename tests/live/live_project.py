"""Small live projects: one alert, quick routes; and how a test looks for what a run left behind."""

from __future__ import annotations

import os
from pathlib import Path

from harness.engines.owner import processes_with

RULES = """\
groups:
  - name: one
    interval: {interval}
    rules:
      - alert: Load
        expr: load > 5
        for: {hold}
        labels: {{severity: page}}
        annotations: {{summary: 'load is {{{{ $value }}}}'}}
"""
CONTRACT = """\
scrape_interval: 30s
annotations: [summary]
contracts:
  - alert: Load
    means: something
    knob: {{name: load, unit: '', range: [0, 10]}}
    op: '>'
    threshold: 5
    for: {hold}
    severity: page
    identifies: {{instance: 'a:1'}}
    signal:
      - gauge: load{{job="j", instance="a:1"}}
        value: x
"""
ROUTES = """\
route: {receiver: pager, group_by: [alertname], group_wait: 10s, group_interval: 1m}
receivers: [{name: pager, webhook_configs: [{url: 'http://127.0.0.1/'}]}]
"""


def write_project(folder: Path, *, interval: str = "30s", hold: str = "1m") -> Path:
    """A project of one alert; returns its folder."""
    (folder / "rules.yml").write_text(RULES.format(interval=interval, hold=hold), encoding="utf-8")
    (folder / "contracts.yml").write_text(CONTRACT.format(hold=hold), encoding="utf-8")
    (folder / "routes.yml").write_text(ROUTES, encoding="utf-8")
    (folder / "alert-harness.toml").write_text(
        'rules = ["rules.yml"]\ncontracts = ["contracts.yml"]\nalertmanager = "routes.yml"\n', encoding="utf-8"
    )
    return folder


def left_in(temp: Path) -> list[str]:
    """Private folders in a folder for temporary files, and processes that were started for them."""
    folders = [entry.name for entry in os.scandir(temp) if entry.name.startswith("alert-harness-")]
    return folders + [str(pid) for pid in processes_with(f"={temp}{os.sep}alert-harness-")]
