"""Ages: alerts that compare a Unix time in a metric with the clock are measured on a real Prometheus at any slot, and
confirmed by promtool, whose time begins in 1970."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.proof import AlertResult, Proof, Verdict
from harness.proof.report import ProofReport
from harness.report.proof.json import proof_json
from harness.rules import load_rules

Prove = Callable[..., AlertResult]
STEP = Fraction(1, 2**20)


@dataclass(frozen=True, slots=True)
class Rule:
    """The expression of an alert, what stands before and beside it, and the group's interval."""

    expr: str
    before: str = ""
    interval: str = "1m"
    hold: str = "0s"


@dataclass(frozen=True, slots=True)
class Meant:
    """A contract over one series."""

    value: str
    op: str = ">"
    threshold: str = "600"
    knob: str = "name: age, unit: s, range: [0, 86400]"
    series: str = 'last_seen_seconds{job="j"}'
    scrape: str = "1m"
    more: str = ""


@pytest.fixture
def prove(module_engine: Engine, promtool_path: Path, tmp_path: Path) -> Prove:
    def prove(rule: Rule, meant: Meant, promtool: Path = promtool_path) -> AlertResult:
        rules, contracts = tmp_path / "rules.yml", tmp_path / "contracts.yml"
        rules.write_text(
            f"groups:\n  - name: g\n    interval: {rule.interval}\n    rules:\n{rule.before}"
            f"      - alert: Old\n        expr: {rule.expr}\n        for: {rule.hold}\n",
            encoding="utf-8",
        )
        contracts.write_text(
            f"scrape_interval: {meant.scrape}\ncontracts:\n  - alert: Old\n    means: too old\n"
            f"    knob: {{{meant.knob}}}\n    op: '{meant.op}'\n"
            f"    threshold: {meant.threshold}\n    for: {rule.hold}\n"
            f"    signal:\n      - gauge: '{meant.series}'\n        value: {meant.value}\n{meant.more}",
            encoding="utf-8",
        )
        module_engine.reset()
        proof = Proof(load_rules([rules]), load_contracts([contracts]), module_engine, Promtool(promtool))
        (result,) = proof.run(tmp_path / "emitted")
        return result

    return prove


EXACT = {
    "an event some time ago": (Rule("time() - last_seen_seconds > 600"), Meant("now - x")),
    "an event to come": (
        Rule("last_seen_seconds - time() < 600"), Meant("now + x", op="<", knob="name: left, range: [-60, 9000]")
    ),
    "the other way round": (Rule("last_seen_seconds + 600 < time()"), Meant("now - x")),
    "at least": (Rule("time() - last_seen_seconds >= 600", hold="5m"), Meant("now - x", op=">=")),
    "a knob in hours": (
        Rule("(time() - last_seen_seconds) / 3600 > 25"),
        Meant("now - x * 3600", threshold="25", knob="name: age, range: [0, 100]"),
    ),
    "a metric in milliseconds": (Rule("time() * 1000 - last_seen_seconds > 600000"), Meant("(now - x) * 1000")),
    "a metric in milliseconds, divided": (Rule("time() - last_seen_seconds / 1000 > 600"), Meant("1000 * (now - x)")),
    "a knob in milliseconds": (
        Rule("time() - last_seen_seconds > 0.5"),
        Meant("now - x / 1000", threshold="500", knob="name: age, range: [0, 9000]"),
    ),
    "at the time of the sample": (Rule("timestamp(last_seen_seconds) - last_seen_seconds > 600"), Meant("now - x")),
    "scraped more often than looked at": (Rule("time() - last_seen_seconds > 600"), Meant("now - x", scrape="15s")),
    "scraped less often than looked at": (
        Rule("time() - last_seen_seconds < 600", interval="15s", hold="1m"), Meant("now - x", op="<", scrape="1m")
    ),
    "recorded before": (
        Rule(
            "job:age > 600",
            before="      - {record: 'job:seen', expr: max by (job) (last_seen_seconds)}\n"
            "      - {record: 'job:age', expr: 'time() - job:seen'}\n",
        ),
        Meant("now - x"),
    ),
    "an event that must have been": (
        Rule("(time() - last_seen_seconds > 600) and last_seen_seconds > 0", hold="5m"),
        Meant("now - x"),
    ),
    "a limit that is a metric": (
        Rule("time() - last_seen_seconds > on (job) limit"),
        Meant("now - x", more='      - gauge: limit{job="j"}\n        value: 600\n'),
    ),
    "counted in whole minutes": (
        Rule("(time() - last_seen_seconds) / 60 > 10"),
        Meant("now - 60 * x", threshold="10", knob="name: age, unit: min, range: [0, 100], step: 1, counts: minutes"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "meant"), EXACT.values(), ids=EXACT)
def test_an_age_is_what_the_knob_says_at_every_tick(rule: Rule, meant: Meant, prove: Prove) -> None:
    result = prove(rule, meant)
    assert (result.verdict, [f.text for f in result.findings]) == (Verdict.EXACT, [])
    assert result.confirmed
    assert "never meet" not in " ".join(result.notes)


@pytest.mark.parametrize(
    ("expr", "verdict", "message"),
    [
        ("time() - last_seen_seconds >= 600", Verdict.WRONG_COMPARISON, "fires at exactly 600"),
        ("time() - last_seen_seconds > 599", Verdict.OFF_THRESHOLD, "fires 1 s too early"),
        ("time() - last_seen_seconds > 630", Verdict.OFF_THRESHOLD, "fires 30 s too late"),
        ("time() - last_seen_seconds > 600.00001", Verdict.OFF_THRESHOLD, "too late"),
        ("time() - last_seen_seconds < 600", Verdict.WRONG_COMPARISON, "fires below"),
        ("last_seen_seconds - time() > 600", Verdict.NEVER_FIRES, "stays quiet"),
        ("time() - last_seen_seconds * 1000 > 600", Verdict.NEVER_FIRES, "stays quiet"),
        ("time() - last_seen_seconds / 1000 > 600", Verdict.ALWAYS_FIRES, "fires at every"),
    ],
)
def test_a_wrong_age_is_found(expr: str, verdict: Verdict, message: str, prove: Prove) -> None:
    result = prove(Rule(expr), Meant("now - x"))
    assert (result.verdict, message in result.findings[0].text) == (verdict, True), result.findings


def test_the_boundary_is_the_adjacent_multiple(prove: Prove) -> None:
    boundary = prove(Rule("time() - last_seen_seconds > 600"), Meant("now - x")).measured.boundary
    assert boundary is not None
    assert (boundary.quiet_at, boundary.fires_at, boundary.ulps) == (600, 600 + STEP, 0)


def test_a_threshold_that_is_no_multiple_has_one_boundary_at_every_clock(prove: Prove) -> None:
    """0.05 is no double; a clock skew beyond it is one at the same multiple in 1970 and in 2001."""
    skew = Meant("now + x", threshold="0.05", knob="name: skew, unit: s, range: [-1, 1]")
    result = prove(Rule("last_seen_seconds - timestamp(last_seen_seconds) > 0.05"), skew)
    assert (result.verdict, result.confirmed) == (Verdict.EXACT, True)
    assert not [note for note in result.notes if "differ" in note]


@pytest.mark.parametrize("value", ["t - x", "x", "1000000000 - x", "t - 2 * x + 5"])
@pytest.mark.parametrize("before", ["", "      - {record: seen, expr: max(last_seen_seconds)}\n"])
def test_an_age_without_now_is_unsupported(value: str, before: str, prove: Prove) -> None:
    metric = "seen" if before else "last_seen_seconds"
    result = prove(Rule(f"time() - {metric} > 600", before), Meant(value))
    assert result.verdict is Verdict.UNSUPPORTED
    assert "write it with `now`" in result.findings[0].text
    assert result.findings[0].span is not None
    assert result.findings[0].span.source_line.strip() == f"value: {value}"
    assert f"it is written at {result.findings[0].span}" in result.findings[0].parts


def test_a_reason_s_line_is_one_of_the_file_that_its_row_names(prove: Prove) -> None:
    """Line 6 of the rules begins with the alert; what is wrong stands further down, in the contract."""
    result = prove(Rule("time() - last_seen_seconds > 600"), Meant("x"))
    (row,) = json.loads(proof_json(ProofReport([result], "", ""), []))["alerts"]
    assert (row["line"], row["reasons"][0]["line"], row["reasons"][0]["column"]) == (5, 5, 16)


@pytest.mark.parametrize(
    "expr",
    [
        "load > 600 and on () vector(time()) > 0",
        "load * on () group_left () (vector(time()) > bool 0) > 600",
        "load > 600 and time() - timestamp(load) < 120",
        "load > 600 unless on () vector(time()) - count(load) < 0",
    ],
)
def test_a_rule_that_takes_no_metric_for_a_time_is_measured(expr: str, prove: Prove) -> None:
    result = prove(Rule(expr), Meant("x + 0 * t", series='load{job="j"}', knob="name: load, range: [0, 9000]"))
    assert (result.verdict, [f.text for f in result.findings]) == (Verdict.EXACT, [])


def test_both_promtools_confirm(each_promtool: Path, prove: Prove) -> None:
    situations = (
        "    situations:\n      - {name: it grows old, expect: fires, lasts: 20m, "
        "signal: [{gauge: 'last_seen_seconds{job=\"j\"}', value: now - t - 5400}]}\n"
        "      - {name: it never was, expect: fires, signal: [{gauge: 'last_seen_seconds{job=\"j\"}', value: 0}]}\n"
        "      - {name: it came back, expect: quiet, knob: {0s: 0, 5m: 500, 9m: 10}}\n"
    )
    rule = Rule("time() - last_seen_seconds > 6000", hold="5m")
    result = prove(rule, Meant("now - x", threshold="6000", more=situations), each_promtool)
    assert [(situation.name, situation.ok) for situation in result.situations] == [
        ("it grows old", True),
        ("it never was", True),
        ("it came back", True),
    ]
    assert (result.verdict, result.confirmed) == (Verdict.EXACT, True)
