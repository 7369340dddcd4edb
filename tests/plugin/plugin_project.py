"""The files of the small project on which the plugin is tested."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

RULES = """\
groups:
  - name: g
    interval: 1m
    rules:
      - alert: Good
        expr: good_level > 80
        for: 5m
        labels: {severity: warning}
      - alert: Wrong
        expr: wrong_level >= 80
        for: 4m
        labels: {severity: critical}
"""
CONTRACT = """\
  - alert: {name}
    means: too high
    knob: {{name: level, unit: "%", range: [0, 100], step: 1, counts: points}}
    op: ">"
    threshold: 80
    for: 5m
    severity: warning
    identifies: {{job: a}}
    signal:
      - gauge: {metric}{{job="a"}}
        value: x
    situations:
      - name: full for long
        expect: fires
        knob: 100
      - name: at the limit
        expect: quiet
        knob: 80
"""
CONTRACTS = "version: 1\ncontracts:\n" + "".join(
    CONTRACT.format(name=name, metric=metric) for name, metric in (("Good", "good_level"), ("Wrong", "wrong_level"))
)
SUITE = """\
rule_files: [../rules/r.yml]
tests:
  - name: good fires
    interval: 1m
    input_series: [{series: 'good_level{job="a"}', values: '90x10'}]
    alert_rule_test:
      - {eval_time: 5m, alertname: Good, exp_alerts: [{exp_labels: {job: a, severity: warning}}]}
      - {eval_time: 4m, alertname: Good, exp_alerts: []}
  - interval: 1m
    input_series: [{series: 'good_level{job="a"}', values: '90x10'}]
    alert_rule_test:
      - {eval_time: 5m, alertname: Good, exp_alerts: [{exp_labels: {job: b, severity: warning}}]}
"""

Pytest = Callable[..., subprocess.CompletedProcess[str]]

FILES = {
    "rules/r.yml": RULES,
    "rules/contracts/c.yml": CONTRACTS,
    "tests/r.test.yml": SUITE,
    "tests/test_plain.py": "def test_plain():\n    pass\n",
    "pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['tests']\naddopts = ['--strict-markers']\n",
}
