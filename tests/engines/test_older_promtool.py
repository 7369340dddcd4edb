"""A promtool that is older than the files: what it does not know yet is told as that, at the user's line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engines.promtool import Promtool
from harness.proof.checked import check_rule_files
from harness.rules import load_rules
from harness.suites.run import SuiteRun
from tests.needs import binary_of

RULES = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
spec:
  groups:
    - name: old
      query_offset: 1m
      limit: 3
      rules:
        - {alert: Known, expr: up == 0, keep_firing_for: 5m}
    - name: new
      # a comment
      labels: {team: a}
      rules:
        - {alert: New, expr: up == 0}
"""
TESTS = """\
# a comment, and an empty line

rule_files: [r.yml]
tests:
  - interval: 1m
    input_series:
      - {series: up, values: 0x5}
    # another
    start_timestamp: 1753606800
    alert_rule_test:
      - {alertname: Known, eval_time: 1m, exp_alerts: [{}]}
"""


@pytest.fixture
def old() -> Promtool:
    return Promtool(binary_of("promtool", "2.53"))


@pytest.mark.parametrize("anew", [False, True], ids=["blanked", "written anew"])
def test_a_field_of_a_group_is_told_at_its_line_and_the_other_groups_stay(
    old: Promtool, tmp_path: Path, anew: bool
) -> None:
    text = RULES
    if anew:  # an anchor in a field that promtool is not given
        text = text.replace("limit: 3", "tenant: &d a").replace("{team: a}", "{team: *d}")
    file = tmp_path / "r.yml"
    file.write_text(text, encoding="utf-8")
    checked = check_rule_files(old, load_rules([file]))
    (fault,) = checked.faults
    assert fault.error.span is not None
    assert text.splitlines()[fault.error.span.line - 1].startswith("      labels: {team: ")
    assert "does not know `labels` in a rule group yet: Prometheus has it since 3.0" in fault.error.message
    assert fault.alerts == {"New"}
    assert [group.name for each in checked.files for group in each.groups] == ["old"]


def test_a_field_of_a_unit_test_is_told_at_its_line(old: Promtool, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(RULES.replace("      labels: {team: a}\n", ""), encoding="utf-8")
    (tmp_path / "a.test.yml").write_text(TESTS, encoding="utf-8")
    (result,) = SuiteRun([tmp_path / "a.test.yml"], old).results()
    assert result.problem is not None
    assert result.problem.span is not None
    assert result.problem.span.source_line == "    start_timestamp: 1753606800"
    assert "Prometheus has it since 3.9" in result.problem.message
