"""Groups, files and names: what Prometheus does not care about changes no verdict, and promtool's chance no proof."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.proof import AlertResult, Proof
from harness.proof.model import Verdict
from harness.proof.pairing import pair
from harness.rules import load_rules

CONTRACT = """\
version: 1
scrape_interval: 30s
contracts:
  - alert: QueueFull
    means: More than 90 % of a queue's places are taken.
    knob: {name: taken, unit: "%", range: [0, 100], step: 1, counts: "places in 100"}
    op: ">"
    threshold: 90
    for: 2m
    severity: page
    identifies: {queue: mail}
    signal:
      - gauge: places_taken{queue="mail"}
        value: 5 * x
      - gauge: places{queue="mail"}
        value: 500
"""
RECORD = '{record: "queue:taken:ratio", expr: places_taken / places}'
ALERT = '{alert: QueueFull, expr: "queue:taken:ratio > 0.9", for: 2m, labels: {severity: page}}'
EMITTED_RUNS = 12


def group(name: str, *rules: str, more: str = "interval: 1m") -> str:
    return f"  - {{name: {name}, {more}, rules: [{', '.join(rules)}]}}\n"


class Project:
    """Rule files and a contract in a folder, to be proved."""

    def __init__(self, folder: Path, engine: Engine, promtool: Promtool) -> None:
        self.folder, self.engine, self.promtool = folder, engine, promtool
        self.files: list[Path] = []

    def rules(self, name: str, *groups: str) -> Project:
        self.files.append(self.folder / name)
        self.files[-1].write_text("groups:\n" + "".join(groups), encoding="utf-8")
        return self

    def prove(self, contract: str = CONTRACT, emit_to: Path | None = None) -> list[AlertResult]:
        file = self.folder / "contracts.yml"
        file.write_text(contract, encoding="utf-8")
        self.engine.reset()
        return list(Proof(load_rules(self.files), load_contracts([file]), self.engine, self.promtool).run(emit_to))


@pytest.fixture
def project(tmp_path: Path, shared_engine: Engine, promtool_path: Path) -> Project:
    return Project(tmp_path, shared_engine, Promtool(promtool_path))


def told(result: AlertResult) -> tuple[Verdict, bool | None, list[str]]:
    return result.verdict, result.confirmed, result.reasons


IN_ONE_FILE = {
    "recordings first": (group("a", RECORD) + group("b", ALERT),),
    "alerts first": (group("a", ALERT) + group("b", RECORD),),
    "three groups": (
        group("b", '{record: "queue:full", expr: "queue:taken:ratio > 0.9"}')
        + group("c", ALERT.replace("queue:taken:ratio > 0.9", "queue:full"))
        + group("a", RECORD),
    ),
    "in two files": (group("a", ALERT), group("b", RECORD)),
    "of one name in two files": (group("same", ALERT), group("same", RECORD)),
    "of one name, and a third": (
        group("same", ALERT) + group("same (2)", '{record: "x", expr: "1"}'),
        group("same", RECORD),
    ),
}


@pytest.mark.parametrize("files", IN_ONE_FILE.values(), ids=IN_ONE_FILE.keys())
def test_the_order_of_groups_and_files_means_nothing(project: Project, files: tuple[str, ...]) -> None:
    for number, text in enumerate(files):
        project.rules(f"{number}.yml", text)
    for _ in range(3):
        (result,) = project.prove(emit_to=project.folder / "out")
        assert told(result) == (Verdict.EXACT, True, [])
    written = sorted((project.folder / "out").glob("*.test.yml"))
    command = [str(project.promtool.path), "test", "rules", *map(str, written)]
    failed = [run for _ in range(EMITTED_RUNS) if (run := subprocess.run(command, capture_output=True)).returncode]
    assert not failed


def test_a_rule_before_the_recording_that_it_reads_is_measured(project: Project) -> None:
    """It sees the previous tick, which the hold does not count."""
    (result,) = project.rules("r.yml", group("g", ALERT, RECORD)).prove()
    assert told(result) == (Verdict.EXACT, True, [])


def test_two_rules_that_record_the_same_cost_one_verdict(project: Project) -> None:
    twice = RECORD.replace("/ places", "/ places * 2")
    other = '{alert: Other, expr: "places_taken > 450", for: 2m, labels: {severity: page}}'
    project.rules("r.yml", group("a", RECORD, twice), group("b", ALERT), group("c", other))
    head, _, entry = CONTRACT.partition("contracts:\n")
    first, second = project.prove(f"{head}contracts:\n{entry}{entry.replace('QueueFull', 'Other')}")
    assert first.verdict is Verdict.ERROR
    assert "duplicate sample for timestamp" in first.reasons[0]
    assert told(second) == (Verdict.EXACT, None, [])
    assert second.confirmed_reason.startswith(
        "promtool ends a test where any rule of its files fails: rule: queue:taken:r"
    )


def test_what_promtool_cannot_judge_is_not_held_against_replay(project: Project) -> None:
    """Not as a note either, where it could have been rounding: the knob runs through the doubles."""
    both = '{alert: Both, expr: "vector(1) or label_replace(vector(2), \\"alertname\\", \\"x\\", \\"\\", \\"\\")"}'
    project.rules("r.yml", group("g", RECORD, ALERT), group("h", both))
    head, _, entry = CONTRACT.partition("contracts:\n")
    first, *_ = project.prove(f"{head}contracts:\n{entry}".replace(', step: 1, counts: "places in 100"', ""))
    assert told(first) == (Verdict.EXACT, None, [])
    assert first.confirmed_reason.startswith("promtool ends a test where any rule of its files fails: rule: Both")
    assert first.notes == []


def test_what_promtool_cannot_judge_is_no_error(project: Project) -> None:
    """It runs all groups at one interval, and ends a test where a `limit` is exceeded."""
    (slow,) = project.rules("slow.yml", group("a", RECORD, more="interval: 5m"), group("b", ALERT)).prove()
    assert slow.verdict is Verdict.EXACT
    assert slow.confirmed is None
    assert slow.confirmed_reason.startswith("promtool runs all groups every 1m, so `a`, which Prometheus runs every 5m")
    project.files.clear()
    two = '\n      - gauge: places_taken{queue="sms"}\n        value: x\n        present: x < 91\n'
    contract = CONTRACT.replace("        value: 500\n", f"        value: 500{two}")
    rules = group("a", '{record: "queue:taken", expr: places_taken}', more="limit: 1") + group(
        "b", ALERT.replace("queue:taken:ratio > 0.9", "queue:taken > 450")
    )
    (limited,) = project.rules("limited.yml", rules).prove(contract)
    assert limited.verdict is not Verdict.ERROR
    assert limited.confirmed is None
    assert "exceeded limit of 1 with 2 series" in limited.confirmed_reason


@pytest.mark.parametrize(
    ("files", "ticks"),
    [
        (group("g", RECORD, ALERT), None),
        (group("g", ALERT, RECORD), None),
        (group("a", RECORD) + group("b", ALERT), (2, 3)),
        # Each group on the way may be up to a tick late.
        (IN_ONE_FILE["three groups"][0], (2, 4)),
        # Every third minute: up to three ticks pass before its group sees that the queue is full.
        (group("a", RECORD, more="interval: 3m") + group("b", ALERT), (2, 5)),
    ],
    ids=["own group", "own group, later", "another group", "two groups", "a slower group"],
)
def test_the_hold_is_the_range_that_the_phases_of_groups_allow(
    project: Project, files: str, ticks: tuple[int, int] | None
) -> None:
    """Prometheus lets each group tick at a moment of its own (hash of its name and file), and the hold counts from the
    first tick at which the condition can be seen."""
    (result,) = project.rules("r.yml", files).prove()
    assert result.verdict is Verdict.EXACT
    assert result.measured.fires_after_ms == 120_000
    assert result.measured.phase_ticks == ticks


def test_a_situation_that_ends_well_only_as_groups_happen_to_tick_is_wrong(project: Project) -> None:
    """The queue is full on two ticks, and `for` asks for three; what is recorded later may show a third."""
    either = ALERT.replace("queue:taken:ratio > 0.9", "places_taken / places > 0.9 or queue:taken:ratio > 0.9")
    contract = (
        f"{CONTRACT}    situations:\n      - name: a short rush\n        expect: quiet\n"
        "        knob: {0s: 50, 5m: 95, 7m: 50}\n        lasts: 15m\n"
    )
    (own,) = project.rules("own.yml", group("g", RECORD, either)).prove(contract)
    assert told(own) == (Verdict.EXACT, True, [])
    project.files.clear()
    (other,) = project.rules("other.yml", group("a", RECORD) + group("b", either)).prove(contract)
    assert other.verdict is Verdict.WRONG_SITUATION
    assert "must stay quiet, but fires if the groups that it reads tick at other moments" in other.reasons[0]


# -- several rules of one name -----------------------------------------------------------------------------------

SEVERAL = group(
    "g",
    '{alert: QueueFull, expr: "places_taken / places > 0.8", for: 2m, labels: {severity: ticket, team: a}}',
    '{alert: QueueFull, expr: "places_taken / places > 0.9", for: 2m, labels: {severity: page, team: a}}',
    '{alert: QueueFull, expr: "places_taken / places > 0.7", for: 2m, labels: {severity: page, team: b}}',
)


@pytest.mark.parametrize(
    ("more", "chosen"),
    [
        ("severity: page", 1),
        ("severity: ticket", 0),
        ("labels: {severity: page, team: b}", 2),
        ("labels: {team: b}\n    severity: page", 2),
        ("labels: {team: c}", None),
        ("severity: nobody", 0),
    ],
)
def test_a_contract_says_which_rule_of_its_name_it_means(project: Project, more: str, chosen: int | None) -> None:
    project.rules("r.yml", SEVERAL)
    file = project.folder / "contracts.yml"
    file.write_text(CONTRACT.replace("severity: page", more), encoding="utf-8")
    rules = load_rules(project.files)
    first, *others = pair(rules, load_contracts([file]))
    every = rules[0].groups[0].alerts()
    assert (first.located.rule if first.located is not None else None) is (None if chosen is None else every[chosen])
    assert first.duplicates == ()
    assert len(others) == (3 if chosen is None else 2)


def test_rules_of_one_name_are_judged_each_by_its_labels(project: Project) -> None:
    project.rules("r.yml", SEVERAL)
    exact, *others = project.prove(CONTRACT.replace("severity: page", "labels: {severity: page, team: a}"))
    assert told(exact) == (Verdict.EXACT, True, [])
    assert {other.verdict for other in others} == {Verdict.UNEXPECTED}
    unnamed, *others = project.prove()
    assert unnamed.verdict is Verdict.EXACT
    assert "what to do: write a contract for this one, with `labels: {severity: page, team: b}`" in others[1].reasons[0]
    (missing, *_) = project.prove(CONTRACT.replace("severity: page", "labels: {team: c}"))
    assert missing.verdict is Verdict.MISSING
    assert "{severity: ticket, team: a} at " in missing.reasons[0]


def test_rules_that_nothing_tells_apart_are_wrong_labels(project: Project) -> None:
    """Legal in Prometheus: both fire, and nobody knows which; promtool cannot say which fired either."""
    second = ALERT.replace("> 0.9", "> 0.95")
    (result,) = project.rules("r.yml", group("a", RECORD), group("b", ALERT, second)).prove()
    assert result.verdict is Verdict.WRONG_LABELS
    assert result.reasons[0].startswith("`QueueFull` is defined twice with the same labels: ")
    assert result.measured.boundary is not None
    assert result.confirmed is not False
