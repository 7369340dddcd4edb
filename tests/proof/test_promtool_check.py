"""The check by promtool: what replay saw, confirmed; and what it says when replay is wrong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from harness.contracts import Contract, load_contracts
from harness.contracts.world import Scrapes, traces
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.errors import EngineError
from harness.prometheus import DEFAULTS
from harness.proof import Proof
from harness.proof.judging.confirmation import confirm
from harness.proof.judging.judge import worst_first
from harness.proof.judging.rendered import judge_rendered
from harness.proof.model import AlertResult, Case, LocatedAlert, Measured, Verdict
from harness.proof.promtool.check import CheckAnswer, PromtoolCheck
from harness.proof.promtool.emit import ResultToEmit, emit
from harness.proof.promtool.ordered import OrderedRules
from harness.proof.promtool.unit_test import CheckRequest
from harness.replay import AlertState, AlertTimeline, Replay
from harness.rules import load_rule_file, load_rules

RULES = """\
groups:
  - name: queues
    interval: 30s
    rules:
      - alert: QueueTooLong
        expr: jobs_waiting > 100
        for: 2m
        labels: {severity: warning, note: NOTE}
        annotations: {summary: "QUOTE{{ $labels.queue }} holds {{ $value }}"}
"""
CONTRACTS = """\
scrape_interval: 30s
annotations: [summary]
contracts:
  - alert: QueueTooLong
    means: More than 100 jobs wait in a queue.
    knob: {name: waiting jobs, unit: jobs, range: [0, 1000], step: 1, counts: jobs}
    op: ">"
    threshold: 100
    for: 2m
    severity: warning
    identifies: {job: worker}
    signal:
      - each: {queue: [a, b]}
        gauge: jobs_waiting{job="worker", queue="$queue"}
        value: x
"""
P, F, I = AlertState.PENDING, AlertState.FIRING, AlertState.INACTIVE  # noqa: E741
TICKS = 24
# By hand: samples at 15 s, 45 s, …; 500 jobs from 3m to 6m, so ticks 7 (3m30s) to 12 (6m) see them; `for` is 4 ticks.
COURSE = ((0, Fraction(50)), (180_000, Fraction(500)), (360_000, Fraction(50)))
STATES = (I,) * 7 + (P,) * 4 + (F,) * 2 + (I,) * (TICKS - 13)


@pytest.fixture(scope="module")
def promtool(each_promtool: Path) -> Promtool:
    return Promtool(each_promtool)


def contract_in(folder: Path) -> Contract:
    file = folder / "contracts.yml"
    file.write_text(CONTRACTS, encoding="utf-8")
    return load_contracts([file])[0]


def check_request(
    folder: Path, *, note: str = "n", quote: str = "", queues: tuple[str, str] = ("a", "b")
) -> CheckRequest:
    """The rule, a course of the knob, and what must happen, worked out by hand."""
    folder.mkdir(exist_ok=True)
    file = folder / "rules.yml"
    file.write_text(RULES.replace("NOTE", _yaml(note)).replace("QUOTE", _yaml(quote)[1:-1]), encoding="utf-8")
    signal = contract_in(folder).signal
    scrapes = Scrapes.regular(30_000, (TICKS - 1) * 30_000)
    named = dict(zip("ab", queues, strict=True))
    world = [
        replace(t, labels=tuple((k, named[v] if k == "queue" else v) for k, v in t.labels))
        for t in traces(signal, COURSE, scrapes)
    ]
    true_at = frozenset(i for i, state in enumerate(STATES) if state is not I)
    timelines = tuple(
        AlertTimeline(
            (("alertname", "QueueTooLong"), ("job", "worker"), ("note", note), ("queue", q), ("severity", "warning")),
            STATES,
            true_at,
            dict.fromkeys(true_at, 500.0),
        )
        for q in queues
    )
    return _request_of(file, Case("a course", world, 30_000, 15_000, TICKS, timelines))


def _request_of(file: Path, *cases: Case) -> CheckRequest:
    """Facts about the first alert of a file that stands alone."""
    loaded = load_rule_file(file)
    group = loaded.groups[0]
    rules = OrderedRules((loaded,), tuple(g.name for g in loaded.groups), {group.name: group.interval_ms})
    return CheckRequest(LocatedAlert(loaded, group, group.alerts()[0]), rules, cases, DEFAULTS)


def checked(promtool: Promtool, requests: list[CheckRequest]) -> list[CheckAnswer]:
    """All requests answered by one check."""
    with PromtoolCheck(promtool) as check:
        return [answer.result() for answer in [check.submit(asked) for asked in requests]]


def emitted(promtool: Promtool, folder: Path, requests: list[CheckRequest], heard: list[CheckAnswer]) -> list[Path]:
    """The files that are written of alerts that are exact."""
    contract = contract_in(requests[0].located.file.path.parent) if requests else None
    proven = [
        ResultToEmit(AlertResult("QueueTooLong", contract, asked.located, Measured(), [], []), asked, answer)
        for asked, answer in zip(requests, heard, strict=True)
    ]
    return [one.file for one in emit(promtool, folder, proven) if one.file is not None]


def _yaml(text: str) -> str:
    """A double-quoted YAML scalar in which everything but letters is escaped."""
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'


def bare(promtool: Promtool, files: list[Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    named = [str(promtool.path), "test", "rules", *(os.path.relpath(file, cwd) for file in files)]
    return subprocess.run(named, cwd=cwd, capture_output=True, text=True, check=False)


def test_what_happened_is_confirmed_and_rendered(promtool: Promtool, tmp_path: Path) -> None:
    (answer,) = checked(promtool, [check_request(tmp_path)])
    assert (answer.refused, answer.disagreements) == ("", ())
    fires = {tick: alerts for (_, tick), alerts in answer.rendered.items() if alerts}
    assert sorted(fires) == [11, 12]
    labels = {"alertname": "QueueTooLong", "job": "worker", "note": "n", "severity": "warning"}
    expected = tuple(({**labels, "queue": q}, {"summary": f"{q} holds 500"}) for q in "ab")
    assert fires[11] == fires[12] == expected
    assert answer.first_alert() == expected[0]


@pytest.mark.parametrize("target", ["out", "deep/er/out", "a folder, and 'quotes'"])
def test_the_written_tests_pass_under_bare_promtool_from_anywhere(
    promtool: Promtool, tmp_path: Path, target: str
) -> None:
    requests = [check_request(tmp_path / "project")]
    written = emitted(promtool, tmp_path / target, requests, checked(promtool, requests))
    assert [file.name for file in written] == ["QueueTooLong.test.yml"]
    (tmp_path / "elsewhere").mkdir()
    for cwd in (tmp_path, tmp_path / target, tmp_path / "elsewhere"):
        run = bare(promtool, written, cwd)
        assert run.returncode == 0, run.stderr
        assert "SUCCESS" in run.stdout
    # They test something: the rule with another limit fails them.
    rules = tmp_path / "project" / "rules.yml"
    rules.write_text(rules.read_text().replace("> 100", "> 500"))
    run = bare(promtool, written, tmp_path)
    assert run.returncode == 1
    assert "FAILED" in run.stderr


def _states(case: Case, change: Callable[[tuple[AlertState, ...]], tuple[AlertState, ...]]) -> Case:
    return replace(case, timelines=tuple(replace(t, states=change(t.states)) for t in case.timelines))


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (lambda f: _states(f, lambda s: (I, *s[:-1])), "at 5m30s: replay has nothing firing, promtool {"),
        (lambda f: _states(f, lambda s: (*s[1:], I)), "at 5m: replay has {"),
        (lambda f: replace(f, timelines=f.timelines[:1]), 'at 5m30s: replay has {alertname="QueueTooLong"'),
        (lambda f: replace(f, timelines=()), "replay and promtool differ in `a course`"),
        (lambda f: _states(f, lambda s: s[:12] + (F,) * 12), "at 11m30s: replay has {"),
        (lambda f: _states(f, lambda s: (*s[:6], P, *s[7:])), "pending alerts differ in promtool"),
        (
            lambda f: replace(f, timelines=tuple(replace(t, labels=(*t.labels, ("z", "z"))) for t in f.timelines)),
            'z="z"} firing, promtool {',
        ),
    ],
    ids=[
        "a tick late",
        "a tick early",
        "an alert dropped",
        "all dropped",
        "never ends",
        "pending early",
        "other label",
    ],
)
def test_a_replay_that_is_wrong_is_found_out(
    promtool: Promtool, tmp_path: Path, tamper: Callable[[Case], Case], complaint: str
) -> None:
    honest = check_request(tmp_path)
    if complaint.startswith("replay and promtool differ"):
        # Without any timeline only the last tick is asked; let the world end while the alerts fire.
        honest = replace(honest, cases=(replace(honest.cases[0], ticks=12),))
    (answer,) = checked(promtool, [replace(honest, cases=tuple(map(tamper, honest.cases)))])
    told = [found.text for found in answer.disagreements]
    assert any(complaint in text for text in told), told
    found = confirm(contract_in(tmp_path), Measured(cases=list(honest.cases)), [], honest, answer, {})
    assert worst_first(found.findings)[0].verdict is Verdict.ERROR
    assert found.confirmed is False
    assert not [note for note in found.notes if "differ" in note]


def test_a_broken_replay_makes_the_verdict_error(
    shared_engine: Engine, promtool_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end: the same rule is exact with the real replay and an error with one whose clock is a tick late."""
    file = check_request(tmp_path, queues=("a", "b")).located.file.path
    contracts = tmp_path / "contracts.yml"
    contracts.write_text(contracts.read_text().replace("[a, b]", "[a]"), encoding="utf-8")

    def proved() -> tuple[Verdict, list[str]]:
        proof = Proof(load_rules([file]), load_contracts([contracts]), shared_engine, Promtool(promtool_path))
        (result,) = proof.run()
        return result.verdict, result.reasons

    shared_engine.reset()
    assert proved() == (Verdict.EXACT, [])
    true_timelines = Replay.timelines

    def late(self: Replay, *args: object) -> list[list[AlertTimeline]]:
        cases = true_timelines(self, *args)  # type: ignore[arg-type]
        return [[replace(t, states=(I, *t.states[:-1])) for t in case] for case in cases]

    monkeypatch.setattr(Replay, "timelines", late)
    shared_engine.reset()
    verdict, reasons = proved()
    assert verdict is Verdict.ERROR
    assert "replay and promtool differ" in reasons[0]


HOSTILE = "\"a\\b' }, {c='\\d', [0: - # & * ! | > %\n tab\t é 😀 ${x} %s"


def test_hostile_labels_and_annotations_survive(promtool: Promtool, tmp_path: Path) -> None:
    hostile = check_request(tmp_path, note=HOSTILE, quote=HOSTILE, queues=(HOSTILE, "b"))
    answers = checked(promtool, [hostile])
    assert (answers[0].refused, answers[0].disagreements) == ("", ())
    alerts = answers[0].rendered[0, 11]
    assert {labels["note"] for labels, _ in alerts} == {HOSTILE}
    assert {labels["queue"] for labels, _ in alerts} == {HOSTILE, "b"}
    assert {notes["summary"] for _, notes in alerts} == {f"{HOSTILE}{q} holds 500" for q in (HOSTILE, "b")}
    written = emitted(promtool, tmp_path / "out", [hostile], answers)
    assert bare(promtool, written, tmp_path).returncode == 0


@pytest.mark.parametrize("char", ["\x7f", "\x85", "\u2028", "\ufeff", "\x01"])
def test_letters_that_yaml_forbids_survive(promtool_path: Path, tmp_path: Path, char: str) -> None:
    promtool = Promtool(promtool_path)
    odd = check_request(tmp_path, note=f"a{char}b", quote=f"c{char}d")
    answers = checked(promtool, [odd])
    assert (answers[0].refused, answers[0].disagreements) == ("", ())
    written = emitted(promtool, tmp_path / "out", [odd], answers)
    assert bare(promtool, written, tmp_path).returncode == 0


def test_every_double_is_told_exactly(promtool: Promtool, tmp_path: Path) -> None:
    """promtool must read the very samples that replay wrote: an alert that compares them bit by bit fires."""
    values = [5e-324, 2.2250738585072014e-308, 0.1, 0.30000000000000004, 1e15, 1e22, 123456789012345680.0,
              1.7976931348623157e308, -80.00000000000001]  # fmt: skip
    file = tmp_path / "r.yml"
    exprs = " or ".join(f'm{{i="{i}"}} == {value!r}' for i, value in enumerate(values))
    file.write_text(f"groups: [{{name: g, interval: 30s, rules: [{{alert: A, expr: '{exprs}'}}]}}]\n")
    whole = check_request(tmp_path / "d").cases[0].traces[0]
    case = Case(
        "doubles",
        [
            replace(whole, labels=(("__name__", "m"), ("i", str(i))), values=[v] * len(whole.times_ms))
            for i, v in enumerate(values)
        ],
        30_000,
        15_000,
        TICKS,
        tuple(
            AlertTimeline((("alertname", "A"), ("i", str(i))), (I,) + (F,) * (TICKS - 1), frozenset(), {})
            for i in range(len(values))
        ),
    )
    (answer,) = checked(promtool, [_request_of(file, case)])
    assert answer.disagreements == ()
    assert len(answer.rendered[0, TICKS - 1]) == len(values)


def test_a_file_that_promtool_refuses_is_told_and_silences_no_other(promtool: Promtool, tmp_path: Path) -> None:
    good, bad = check_request(tmp_path / "good"), check_request(tmp_path / "bad")
    bad.rules.files[0].path.write_text(RULES.replace("jobs_waiting >", "nonsense(jobs_waiting) >"))
    answers = checked(promtool, [good, bad])
    assert (answers[0].refused, answers[0].disagreements) == ("", ())
    assert 'unknown function with name "nonsense"' in answers[1].refused
    assert answers[1].first_alert() is None
    (finding,) = judge_rendered(contract_in(tmp_path), bad.located, answers[1])
    assert finding.verdict is Verdict.ERROR
    assert finding.message.startswith("promtool cannot load the rule: ")
    written = emitted(promtool, tmp_path / "out", [good, bad], answers)
    assert len(written) == 1


def test_tests_that_promtool_does_not_confirm_are_an_engine_error(promtool: Promtool, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"(?s)promtool does not confirm the tests in .*FAILED") as caught:
        emitted(promtool, tmp_path / "out", [check_request(tmp_path)], [CheckAnswer()])
    assert caught.value.exit_code == 3


def test_nothing_to_confirm(promtool: Promtool, tmp_path: Path) -> None:
    assert checked(promtool, []) == []
    assert emitted(promtool, tmp_path / "out", [], []) == []
