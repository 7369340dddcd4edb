# ruff: noqa: E501 (a table: one rule, one line)
"""Contracts without a threshold (absence, presence, always) and with less to check, against rules that keep and break
them, on a real Prometheus with promtool's word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engines.base import Engine
from harness.proof import AlertResult, Verdict
from harness.report.proof.aspects import aspects
from harness.report.wording import row
from tests.proof.proving import prove_files

EXACT = Verdict.EXACT
UP = "signal: [{gauge: 'up{job=\"api\"}', value: 1}]"
TWO = "signal: [{gauge: 'load{pod=\"$pod\"}', each: {pod: 2}, value: x}]"


@dataclass(frozen=True)
class Case:
    """What is meant, the rule, and what must be found."""

    name: str
    expr: str
    contract: str
    verdict: Verdict
    told: str = ""
    rule: str = ""


ABSENT = f"op: absent\nfor: 5m\n{UP}"
PRESENT = f"op: present\nfor: 5m\n{UP}"
ALWAYS = "always: true\nfor: 5m"
ABOVE = 'knob: {name: load, range: [0, 10]}\nop: ">"\nthreshold: 5\nfor: 5m\n'

CASES = [
    Case("absent", 'absent(up{job="api"})', ABSENT, EXACT),
    Case("absent, or down", 'up{job="api"} == 0 or absent(up{job="api"})', ABSENT + "\nsituations:\n"
         "  - {name: down, expect: fires, signal: [{gauge: 'up{job=\"api\"}', value: 0}]}", EXACT),
    Case("absent, but only down is seen", 'up{job="api"} == 0', ABSENT, Verdict.NEVER_FIRES, "whether the series are there"),
    Case("absent, but of another job", 'absent(up{job="apy"})', ABSENT, Verdict.ALWAYS_FIRES, "whether the series are there"),
    Case("absent, the wrong way round", 'up{job="api"}', ABSENT, Verdict.WRONG_COMPARISON, "fires while the series are there"),
    Case("absent for too short", 'absent(up{job="api"})', ABSENT.replace("5m", "10m"), Verdict.WRONG_HOLD, "fires 5m after"),
    Case("absent over time", 'absent_over_time(up{job="api"}[10m])', ABSENT, Verdict.WRONG_HOLD, "fires 15m after the series are gone"),
    Case("absent over time, and it is meant so", 'absent_over_time(up{job="api"}[10m])', ABSENT.replace("5m", "15m"), EXACT),
    Case("absent over time, and no hold is meant", 'absent_over_time(up{job="api"}[10m])', ABSENT.replace("5m", "0s"), Verdict.WRONG_HOLD,
         "fires 15m after the series are gone\nthe contract says 0s (0 ticks of 1m)\nit becomes pending 10m after that"),
    Case("absent over time instead of a hold", 'absent_over_time(up{job="api"}[5m])', ABSENT, EXACT, rule="for: 0s"),
    Case("absent over time, a tick too long", 'absent_over_time(up{job="api"}[7m])', ABSENT, Verdict.WRONG_HOLD, "fires 7m after the series", rule="for: 0s"),
    Case("absent, a rate", 'absent(rate(up{job="api"}[5m]))', ABSENT.replace("gauge", "counter").replace("value", "rate"), Verdict.WRONG_HOLD,
         "after the series are gone"),
    Case("absent, a while ago", 'absent(up{job="api"} offset 10m)', ABSENT, Verdict.WRONG_HOLD, "for the rule looks back"),
    Case("absent, a tick too short", 'absent(up{job="api"})', ABSENT.replace("5m", "6m"), Verdict.WRONG_HOLD, "fires 5m after it becomes pending"),
    Case("absent, a tick too long", 'absent(up{job="api"})', ABSENT.replace("5m", "4m"), Verdict.WRONG_HOLD, "fires 5m after it becomes pending"),
    Case("present only after ten minutes", 'count_over_time(up{job="api"}[10m]) >= 20', PRESENT, Verdict.WRONG_HOLD,
         "after the series are there"),
    Case("gone for three minutes", 'absent(up{job="api"})', ABSENT + "\nsituations:\n"
         "  - {name: short, expect: quiet, knob: {0s: 1, 10m: 0, 13m: 1}}\n"
         "  - {name: long, expect: fires, knob: {0s: 1, 10m: 0}}", EXACT),
    Case("a neighbour stays", 'absent(up{job="api"}) and on () other', "op: absent\nfor: 5m\n"
         "signal: [{gauge: 'up{job=\"api\"}', value: 1}, {gauge: other, value: 1, present: 1}]", EXACT),
    Case("present", 'up{job="api"}', PRESENT, EXACT),
    Case("present, the wrong way round", 'absent(up{job="api"})', PRESENT, Verdict.WRONG_COMPARISON, "fires while the series are gone"),
    Case("present, a counter", 'rate(panics_total[5m]) > 0', "op: present\nfor: 5m\nsignal: [{counter: panics_total, rate: 2}]", EXACT),
    Case("always", "vector(1)", ALWAYS, EXACT),
    Case("always, at once", "vector(1)", "always: true", EXACT, rule="for: 0s"),
    Case("always, a longer hold", "vector(1)", "always: true", Verdict.WRONG_HOLD, "fires 5m after"),
    Case("always, with a world", "up >= 0", f"always: true\nfor: 5m\n{UP}", EXACT),
    Case("always, but nothing is there", "up >= 0", ALWAYS, Verdict.NEVER_FIRES, "stays quiet"),
    Case("always, wherever the knob is", "load >= bool 5", "always: true\nfor: 5m\nknob: {name: load, range: [0, 10]}\n"
         "signal: [{gauge: load, value: x}]", EXACT),
    Case("not always", "load >= 5", "always: true\nfor: 5m\nknob: {name: load, range: [0, 10]}\n"
         "signal: [{gauge: load, value: x}]", Verdict.OFF_THRESHOLD, "is quiet with load at 0"),
    Case("no severity is checked", "load > 5", ABOVE + TWO.replace("each: {pod: 2}", "each: {pod: 1}"), EXACT),
    Case("none must be set", "load > 5", ABOVE + 'severity: ""\n' + TWO.replace("pod: 2", "pod: 1"), Verdict.WRONG_LABELS,
         'severity="page"'),
    Case("none is set", "load > 5", ABOVE + 'severity: ""\n' + TWO.replace("pod: 2", "pod: 1"), EXACT, rule="labels: {}"),
    Case("how many fire is not checked", "load > 5", ABOVE + TWO + "\nsituations:\n"
         "  - {name: high, expect: fires, knob: 9}\n  - {name: low, expect: quiet, knob: 1}", EXACT),
    Case("one is meant", "load > 5", ABOVE + "identifies: {}\n" + TWO, Verdict.WRONG_LABELS, "2 alerts fire at once"),
    Case("nothing fires where something must", "load > 5", ABOVE + TWO + "\nsituations:\n"
         "  - {name: low, expect: fires, knob: 1}", Verdict.WRONG_SITUATION, "must fire, but nothing fires"),
]  # fmt: skip


def prove(case: Case, folder: Path, module_engine: Engine, promtool: Path) -> AlertResult:
    rules, contracts = folder / "rules.yml", folder / "contracts.yml"
    parts = {"for": "5m", "labels": "{severity: page}"}
    parts |= dict([case.rule.split(": ", 1)] if case.rule else [])
    rest = "".join(f"        {name}: {value}\n" for name, value in parts.items())
    rules.write_text(
        f"groups:\n  - name: g\n    interval: 1m\n    rules:\n      - alert: A\n        expr: {case.expr!r}\n{rest}"
    )
    lines = "".join(f"    {line}\n" for line in case.contract.splitlines())
    contracts.write_text(f"contracts:\n  - alert: A\n    means: what the case says\n{lines}")
    (result,) = prove_files(rules, contracts, module_engine, promtool)
    return result


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_contracts_without_threshold(case: Case, tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    result = prove(case, tmp_path, module_engine, promtool_path)
    told = "\n".join(part for finding in result.findings for part in (finding.message, *finding.parts))
    assert result.verdict is case.verdict, told
    assert case.told in told
    nothing = result.verdict in (Verdict.NEVER_FIRES, Verdict.ALWAYS_FIRES)
    assert result.confirmed or (nothing and result.confirmed is None), result.notes


def test_what_is_told_of_them(tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    found = {case.name: row(prove(case, tmp_path, module_engine, promtool_path)) for case in CASES if case.name in (
        "absent", "present", "always", "always, at once")}  # fmt: skip
    assert found["absent"][1:6] == ("absent for 5m", "there", "gone", "0", "5m (5 ticks)")
    assert found["present"][1:6] == ("present for 5m", "gone", "there", "0", "5m (5 ticks)")
    assert found["always"][1:6] == ("always for 5m", "–", "–", "–", "5m (5 ticks)")
    assert found["always, at once"][1] == "always"


def test_every_aspect_of_an_exact_alert_is_measured(tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    for case in CASES:
        if case.name in ("absent", "always", "none is set"):
            result = prove(case, tmp_path, module_engine, promtool_path)
            assert [aspect.name for aspect in aspects(result) if not aspect.ok] == []
