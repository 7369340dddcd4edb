"""What promtool says against replay is an error, unless rounding is shown to be the cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.contracts import Contract, load_contracts
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.prometheus import DEFAULTS
from harness.proof import AlertResult, Proof
from harness.proof.judging.confirmation import rounding_explains
from harness.proof.measuring.measure import Measurement, Measurer
from harness.proof.measuring.timings import JUST_PAST, LAST_QUIET, PULSE
from harness.proof.model import Case, LocatedAlert, Measured, RoundingRange, Verdict
from harness.proof.promtool.check import AlertDifference
from harness.proof.promtool.ordered import OrderedRules
from harness.proof.promtool.unit_test import CheckRequest
from harness.replay import AlertState, AlertTimeline
from harness.rules import load_rule_file, load_rules

A, B = {"alertname": "A", "host": "a"}, {"alertname": "A", "host": "b"}
LOST, GAINED = RoundingRange(lost=True), RoundingRange(gained=True)


@pytest.fixture
def request_of_three(tmp_path: Path) -> CheckRequest:
    """At the edge on either side, and a pulse; replay knows the alert of host a only."""
    file = tmp_path / "r.yml"
    file.write_text("groups: [{name: g, rules: [{alert: A, expr: m > 5}]}]\n", encoding="utf-8")
    loaded = load_rule_file(file)
    group = loaded.groups[0]
    timeline = AlertTimeline(tuple(sorted(A.items())), (AlertState.FIRING,), frozenset({0}), {0: 6.0})
    cases = tuple(Case(name, [], 30_000, 15_000, 1, (timeline,)) for name in (JUST_PAST, LAST_QUIET, PULSE))
    rules = OrderedRules((loaded,), ("g",), {"g": group.interval_ms})
    return CheckRequest(LocatedAlert(loaded, group, group.alerts()[0]), rules, cases, DEFAULTS)


@pytest.mark.parametrize(
    ("found", "rounded", "explained"),
    [
        (AlertDifference(0, "", missing=(A,)), LOST, True),
        (AlertDifference(0, "", missing=(A,)), GAINED, False),
        (AlertDifference(1, "", extra=(A,)), GAINED, True),
        (AlertDifference(1, "", extra=(A,)), LOST, False),
        (AlertDifference(1, "", extra=(B,)), GAINED, False),
        (AlertDifference(0, "", missing=(A,), extra=(A,)), LOST, False),
        (AlertDifference(0, "", missing=(A,), extra=(A,)), LOST | GAINED, True),
        (AlertDifference(0, ""), LOST | GAINED, False),
        (AlertDifference(2, "", missing=(A,)), LOST | GAINED, False),
        (AlertDifference(-1, "", pending=(1, 0)), LOST | GAINED, False),
        (AlertDifference(0, "", pending=(1, 0)), LOST, True),
        (AlertDifference(0, "", pending=(0, 1)), LOST, False),
        (AlertDifference(0, "", pending=(1, 0)), GAINED, True),
        (AlertDifference(0, "", missing=(A,)), RoundingRange(), False),
    ],
    ids=[
        "an alert lost", "one lost that can only be gained", "an alert gained", "one gained that can only be lost",
        "one of labels that replay never saw", "one for another that cannot be gained", "one for another",
        "as many alerts of the same labels", "in the pulse", "nobody knows where", "one pending less",
        "one pending more that can only be lost", "one that fires already", "nothing is near its limit",
    ],
)  # fmt: skip
def test_only_what_rounding_can_do_is_explained_by_it(
    request_of_three: CheckRequest, found: AlertDifference, rounded: RoundingRange, explained: bool
) -> None:
    measured = Measured(cases=list(request_of_three.cases), rounded={JUST_PAST: rounded, LAST_QUIET: rounded})
    assert rounding_explains(found, request_of_three, measured) is explained


CONTRACT = """\
scrape_interval: 30s
contracts:
- alert: A
  means: Something is more than it should be.
  knob: {name: level, unit: '', range: [0, 10]}
  op: ">"
  threshold: 5
  for: 1m
  identifies: {}
  signal:
"""
PLAIN = "  - {gauge: m, value: x}\n"
SUM = "  - {each: {h: [a, b, c, d, e, f, g]}, gauge: 'm{h=\"$h\"}', value: x / 7}\n"
"""No seventh is a double: the order in which they are added decides on the last bits."""


@pytest.fixture
def prove(module_engine: Engine, promtool_path: Path, tmp_path: Path) -> Callable[[str, str], AlertResult]:
    def run(expr: str, signal: str) -> AlertResult:
        rules, contracts = tmp_path / "rules.yml", tmp_path / "contracts.yml"
        rule = f"{{alert: A, expr: '{expr}', for: 1m}}"
        rules.write_text(f"groups: [{{name: g, interval: 30s, rules: [{rule}]}}]\n", encoding="utf-8")
        contracts.write_text(CONTRACT + signal, encoding="utf-8")
        module_engine.reset()
        proof = Proof(load_rules([rules]), load_contracts([contracts]), module_engine, Promtool(promtool_path))
        (result,) = proof.run()
        return result

    return run


@pytest.fixture
def wrong_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts the clock of replay a tick late in a case of this name, after it was measured."""
    measure = Measurer.measure

    def break_case(name: str) -> None:
        def broken(self: Measurer, contract: Contract, located: LocatedAlert) -> Measurement:
            found = measure(self, contract, located)
            found.measured.cases = [_late(c) if c.name == name else c for c in found.measured.cases]
            return found

        monkeypatch.setattr(Measurer, "measure", broken)

    return break_case


def _late(case: Case) -> Case:
    """Every state a tick late."""
    timelines = [replace(t, states=(AlertState.INACTIVE, *t.states[:-1])) for t in case.timelines]
    return replace(case, timelines=tuple(timelines))


@pytest.mark.parametrize(
    ("expr", "signal", "case", "verdict"),
    [
        # A gauge is compared as it was written: there is nothing to round, though the knob is a single double away.
        ("m > 5", PLAIN, JUST_PAST, Verdict.ERROR),
        ("sum(m) > 5", SUM, JUST_PAST, Verdict.EXACT),
        ("sum(m) > 5", SUM, PULSE, Verdict.ERROR),
    ],
    ids=["nothing is rounded", "a sum at the edge", "a sum clear of the edge"],
)
def test_a_disagreement_is_a_note_only_where_roundings_lie_as_far_apart(
    prove: Callable[[str, str], AlertResult],
    wrong_at: Callable[[str], None],
    expr: str,
    signal: str,
    case: str,
    verdict: Verdict,
) -> None:
    clean = prove(expr, signal)
    assert (clean.verdict, clean.confirmed) == (Verdict.EXACT, True), clean.reasons
    wrong_at(case)
    result = prove(expr, signal)
    differs = f"replay and promtool differ in `{case}`"
    assert (result.verdict, result.confirmed) == (verdict, verdict is Verdict.EXACT), result.reasons
    assert any(differs in note for note in result.notes) is (verdict is Verdict.EXACT)
    assert any(differs in reason for reason in result.reasons) is (verdict is Verdict.ERROR)
