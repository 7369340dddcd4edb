"""Slots: every case stands alone, whatever the expression, and what replay cannot follow it refuses by name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contracts.world import Trace
from harness.engines import STALE, Engine, QueryError, make_labels
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.errors import HarnessError, UnsupportedError
from harness.replay import AlertState, Batch, Plan, Replay, SlotRange, SlotWriter
from harness.replay.slots import common_multiple_ms
from harness.rules import load_rule_file

MINUTE = 60_000
_LETTERS = {AlertState.INACTIVE: ".", AlertState.PENDING: "p", AlertState.FIRING: "F"}


@pytest.fixture(scope="module")
def server(prometheus_path: Path) -> Iterator[tuple[Engine, SlotWriter]]:
    """One engine and one writer for the whole module: what a test leaves behind lies before the next one's slots."""
    with ProcessEngine(prometheus_path) as engine:
        yield engine, SlotWriter(engine)


class Bench:
    """Rules from text, and cases that hold minute by minute what a test says."""

    def __init__(self, server: tuple[Engine, SlotWriter], path: Path) -> None:
        self.engine, self.writer = server
        self.path = path

    def plan(self, *rules: str, group: str = "interval: 1m", alert: str = "A") -> tuple[Replay, Plan]:
        """The plan of an alert among rules of one group, each a YAML flow mapping."""
        listed = "".join(f"      - {rule}\n" for rule in rules)
        return self.plan_of(f"groups:\n  - name: g\n    {group}\n    rules:\n{listed}", alert)

    def plan_of(self, text: str, alert: str = "A") -> tuple[Replay, Plan]:
        self.path.write_text(text, encoding="utf-8")
        file = load_rule_file(self.path)
        replay = Replay(self.engine, [file])
        group, rule = next((g, r) for g in file.groups for r in g.alerts() if r.alert == alert)
        return replay, replay.plan(group, rule)

    def record(self, plan: Plan, cases: list[list[Trace]], minutes: int) -> SlotRange:
        (slots,) = self.writer.record([Batch(cases, minutes * MINUTE, plan.reach_ms, plan.align_ms)])
        return slots

    def states(self, replay: Replay, plan: Plan, cases: list[list[Trace]], minutes: int) -> list[list[str]]:
        """Per case the states of its alerts, one letter per tick."""
        found = replay.timelines(plan, self.record(plan, cases, minutes))
        return [["".join(_LETTERS[state] for state in alert.states) for alert in case] for case in found]


@pytest.fixture
def bench(server: tuple[Engine, SlotWriter], tmp_path: Path) -> Bench:
    return Bench(server, tmp_path / "rules.yml")


def minutely(values: list[float | None], name: str = "g", **labels: str) -> Trace:
    points = [(i * MINUTE, value) for i, value in enumerate(values) if value is not None]
    return Trace(make_labels(name, **labels), [at for at, _ in points], [value for _, value in points])


# -- isolation ---------------------------------------------------------------------------------------------------

_WORLDS = [
    [minutely([1.0] * 11, i="a"), minutely([2.0] * 11, i="b")],
    [],
    [minutely([5.0] * 11, i="a")],
    [],
    [minutely([None] * 10 + [7.0], i="c")],
]
"""Empty worlds right after worlds with samples up to their very end."""


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sum(g)", [3, None, 5, None, 7]),
        ("count(g)", [2, None, 1, None, 1]),
        ("absent(g)", [None, 1, None, 1, None]),
        ('absent(g{i="b"})', [None, 1, 1, 1, 1]),
        ("vector(scalar(g))", ["NaN", "NaN", 5, "NaN", 7]),
        ("max(g offset 10m)", [2, None, 5, None, None]),
        ("max(max_over_time(g[1h]))", [2, None, 5, None, 7]),
        ("max(count_over_time(g[1h]))", [11, None, 11, None, 1]),
        ("absent_over_time(g[1d])", [None, 1, None, 1, None]),
        ("max(last_over_time(g[12h] offset 6h))", [None] * 5),
        ("max(max_over_time((sum(g))[30m:1m]))", [3, None, 5, None, 7]),
        ("max(changes(g[2h]))", [0, None, 0, None, 0]),
        ("vector(1)", [1, 1, 1, 1, 1]),
    ],
)
def test_no_case_sees_another(bench: Bench, expr: str, expected: list[float | str | None]) -> None:
    replay, plan = bench.plan(f"{{alert: A, expr: '{expr}'}}")
    slots = bench.record(plan, _WORLDS, 10)
    found = [
        next(iter(case.values()), None) for case in replay.instants(plan, plan.rule.expr.value, slots, 10 * MINUTE)
    ]
    assert ["NaN" if value != value else value for value in found] == expected


def test_a_thousand_slots_are_alike(bench: Bench) -> None:
    replay, plan = bench.plan("{alert: A, expr: 'sum(increase(g[5m])) > 4'}")
    cases = [[minutely([float(k * i) for i in range(11)], i="a")] for k in range(1000)]
    slots = bench.record(plan, cases, 10)
    found = replay.instants(plan, "sum(increase(g[5m]))", slots, 10 * MINUTE)
    assert [next(iter(case.values())) for case in found] == pytest.approx([5 * k for k in range(1000)], rel=1e-12)
    fires = [bool(case) for case in replay.instants(plan, plan.rule.expr.value, slots, 10 * MINUTE)]
    assert fires == [False] + [True] * 999


def test_what_is_recorded_does_not_leak_either(bench: Bench) -> None:
    replay, plan = bench.plan(
        "{record: 'r:sum', expr: sum(g)}",
        "{record: 'r:peak', expr: 'max_over_time(r:sum[30m])'}",
        "{alert: A, expr: 'max_over_time(r:peak[1h]) > 4'}",
    )
    assert [r.record for _, r in plan.recordings] == ["r:sum", "r:peak"]
    assert bench.states(replay, plan, _WORLDS, 10) == [[], [], ["F" * 11], [], ["." * 10 + "F"]]


def test_batches_of_different_rules_stand_behind_each_other(bench: Bench) -> None:
    slow, far = bench.plan("{alert: A, expr: 'max_over_time(g[1d]) > 0'}")
    fast, near = bench.plan("{alert: A, expr: 'g > 0'}", group="interval: 7s")
    cases = [[minutely([1.0])], []]
    batches = [Batch(cases, 5 * MINUTE, plan.reach_ms, plan.align_ms) for plan in (near, far, near, far)]
    ranges = bench.writer.record(batches)
    for replay, plan, slots in zip((fast, slow, fast, slow), (near, far, near, far), ranges, strict=True):
        assert [len(case) for case in replay.timelines(plan, slots)] == [1, 0]
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(ranges))


# -- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "expr", "align_s"),
    [
        ("interval: 7s", "g", 7),
        ("interval: 30s", "max_over_time(g[5m:45s])", 90),
        ("interval: 1m", "max_over_time(g[5m:])", 60),
        ("interval: 90s", "max_over_time(max_over_time(g[5m:7m])[1h:4m])", 5040),
    ],
)
def test_slots_begin_where_intervals_and_subquery_steps_meet(bench: Bench, group: str, expr: str, align_s: int) -> None:
    _, plan = bench.plan(f"{{alert: A, expr: '{expr}'}}", group=group)
    assert plan.align_ms == align_s * 1000
    slots = bench.record(plan, [[], [], []], 3)
    assert [slots.begin_ms(case) % plan.align_ms for case in range(3)] == [0, 0, 0]
    assert slots.slot_ms >= 3 * MINUTE + plan.reach_ms


def test_intervals_that_never_meet() -> None:
    assert common_multiple_ms(MINUTE, 45_000) == 180_000
    with pytest.raises(UnsupportedError, match=r"^the intervals 7919 ms, 60000 ms, 3600000 ms meet only every"):
        common_multiple_ms(7919, MINUTE, 60 * MINUTE)


def test_reach_adds_up_along_a_chain(bench: Bench) -> None:
    _, plan = bench.plan(
        "{record: 'r:1', expr: 'rate(g[10m] offset 1h)'}",  # 1h + 10m + 5m lookback, and its own tick
        "{alert: A, expr: 'max_over_time(r:1[30m]) > 1'}",  # 30m + 5m
    )
    assert plan.reach_ms == (60 + 10 + 5 + 1 + 30 + 5) * MINUTE


def test_a_recording_read_through_a_window(bench: Bench) -> None:
    # sum is 1 2 3 4 … at each minute; [3m] is left-open since 3.0, so the tick's own sample and two before
    replay, plan = bench.plan(
        "{record: 'r:sum', expr: sum(g)}", "{alert: A, expr: 'min_over_time(r:sum[179s]) == 3', for: 1m}"
    )
    ramp = [minutely([float(i) for i in range(1, 11)])]
    assert bench.states(replay, plan, [ramp, ramp], 9) == [["....p....."]] * 2


def test_a_recording_ends_when_its_expression_does(bench: Bench) -> None:
    # The stale marker is written at the first tick without a result: no lookback of five minutes.
    replay, plan = bench.plan("{record: 'r:on', expr: g == 1}", "{alert: A, expr: 'r:on', for: 2m}")
    assert bench.states(replay, plan, [[minutely([0, 1, 1, 1, 0, 1, 1, 1, 1, STALE, None, None])]], 11) == [
        [".ppF.ppFF..."]
    ]


def test_recordings_of_one_name_and_of_other_files(server: tuple[Engine, SlotWriter], tmp_path: Path) -> None:
    engine, writer = server
    first, second = tmp_path / "1.yml", tmp_path / "2.yml"
    first.write_text(
        "groups: [{name: g, interval: 1m, rules: [{record: 'r:x', expr: g + 1, labels: {by: one}}, "
        "{record: 'r:x', expr: g * 10, labels: {by: ten}}]}]"
    )
    second.write_text("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'sum(r:x) > 30'}]}]")
    files = [load_rule_file(first), load_rule_file(second)]
    replay = Replay(engine, files)
    group = files[1].groups[0]
    plan = replay.plan(group, group.alerts()[0])
    cases = [[minutely([float(k)] * 3)] for k in (2, 3)]
    (slots,) = writer.record([Batch(cases, 2 * MINUTE, plan.reach_ms, plan.align_ms)])
    found = replay.timelines(plan, slots)
    assert [[alert.values for alert in case] for case in found] == [[], [{0: 34.0, 1: 34.0, 2: 34.0}]]


def test_subqueries_step_on_multiples_of_their_step(bench: Bench) -> None:
    # The spike at minute 3 alone is seen by steps of 3m, and until the window has passed it (just under
    # 4m: 2.x would count both its ends).
    replay, plan = bench.plan("{alert: A, expr: 'max_over_time(g[239s:3m]) > 1'}")
    spike = [minutely([1, 1, 1, 9, 1, 1, 1, 1, 1, 1])]
    beside = [minutely([1, 1, 1, 1, 9, 1, 1, 1, 1, 1])]
    assert bench.states(replay, plan, [spike, beside, spike], 9) == [["...FFFF..."], [], ["...FFFF..."]]


def test_query_offset_looks_back_and_leaves_the_ticks_alone(bench: Bench) -> None:
    course = [minutely([0, 0, 1, 1, 1, 0, 0, 0, 0])]
    expected = {"interval: 1m": "..pFF....", "interval: 1m\n    query_offset: 2m": "....pFF.."}
    for group, states in expected.items():
        replay, plan = bench.plan("{alert: A, expr: g > 0, for: 1m}", group=group)
        assert bench.states(replay, plan, [course, [], course], 8) == [[states], [], [states]]


def test_group_labels_stand_under_the_rules_own(bench: Bench) -> None:
    replay, plan = bench.plan(
        "{alert: A, expr: g, labels: {team: b, of: '{{ $labels.i }}', j: ''}}",
        group="interval: 1m\n    labels: {team: a, region: eu}",
    )
    slots = bench.record(plan, [[minutely([1.0], i="x", j="gone")]], 0)
    ((alert,),) = replay.timelines(plan, slots)
    assert dict(alert.labels) == {"alertname": "A", "i": "x", "of": "x", "region": "eu", "team": "b"}


def test_a_label_that_holds_the_value_never_completes_its_wait(bench: Bench) -> None:
    replay, plan = bench.plan("{alert: A, expr: g > 0, for: 1m, labels: {v: '{{ $value }}'}}")
    steady, moving = [minutely([5, 5, 5, 5])], [minutely([5, 6, 7, 8])]
    assert bench.states(replay, plan, [steady, moving], 3) == [["pFFF"], ["p...", ".p..", "..p.", "...p"]]


# -- what Prometheus fails to evaluate ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "of", "promtool_says"),
    [
        (
            ["{alert: A, expr: g > 0, labels: {i: ''}}"],
            ': {alertname="A"} from g{i="a"} and g{i="b"}',
            "vector contains metrics with the same labelset after applying alert labels",
        ),
        (
            ["{record: 'r:x', expr: g, labels: {i: same}}", "{alert: A, expr: 'r:x'}"],
            ': r:x{i="same"}',
            "vector contains metrics with the same labelset after applying rule labels",
        ),
    ],
)
def test_elements_that_become_one(
    bench: Bench, promtool_path: Path, rules: list[str], of: str, promtool_says: str
) -> None:
    replay, plan = bench.plan(*rules)
    slots = bench.record(plan, [[minutely([1.0], i="a"), minutely([1.0], i="b")]], 1)
    with pytest.raises(QueryError) as caught:
        replay.timelines(plan, slots)
    assert caught.value.message == promtool_says + of
    assert caught.value.hint == "keep a distinguishing label, or aggregate"
    test = bench.path.with_name("test.yml")
    test.write_text(
        "rule_files: [rules.yml]\ntests: [{interval: 1m, input_series: [{series: 'g{i=\"a\"}', values: '1 1'}, "
        "{series: 'g{i=\"b\"}', values: '1 1'}], alert_rule_test: [{eval_time: 1m, alertname: A}]}]\n"
    )
    assert promtool_says in Promtool(promtool_path).test_rules([test]).stderr


# -- what replay refuses -----------------------------------------------------------------------------------------

_LATER_GROUP = """\
groups:
  - {name: recorder, interval: 1m, query_offset: 2m, rules: [{record: "r:1", expr: sum(g)}]}
  - {name: reader, interval: 1m, rules: [{alert: A, expr: "max_over_time(r:1[5m]) > 1"}]}
"""
_CIRCLE_HINT = "test this rule with promtool: replay evaluates all ticks of a rule at once"
_WINDOW_HINT = "record it before its reader, in one group, for a window over it to hold the newest sample"


def _one_group(*rules: str) -> str:
    return "groups:\n  - name: g\n    rules:\n" + "".join(f"      - {rule}\n" for rule in rules)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            _one_group("{record: 'r:1', expr: 'r:1 + 1'}", "{alert: A, expr: 'r:1 > 1'}"),
            "`r:1` reads itself: what it records depends on all ticks before",
            _CIRCLE_HINT,
        ),
        (
            _one_group("{record: 'r:1', expr: 'sum({job=\"x\"})'}", "{alert: A, expr: 'r:1 > 1'}"),
            "`r:1` reads itself: what it records depends on all ticks before",
            _CIRCLE_HINT,
        ),
        (
            _one_group(
                "{record: 'r:1', expr: 'r:2 + 1'}", "{alert: A, expr: 'r:1 > 1'}", "{record: 'r:2', expr: 'r:1 + g'}"
            ),
            "`r:1`, `r:2` read each other in a circle",
            _CIRCLE_HINT,
        ),
        (
            _one_group("{alert: A, expr: 'max_over_time(r:1[5m]) > 1'}", "{record: 'r:1', expr: sum(g)}"),
            "`A` looks back over `r:1`, which its own group records after it",
            _WINDOW_HINT,
        ),
        (
            _one_group("{alert: B, expr: g}", "{alert: A, expr: 'sum(ALERTS) > 1'}"),
            "`A` reads ALERTS, the state of other alerts",
            "replay cannot follow alerts on alerts; test this rule with promtool",
        ),
        (
            _one_group("{record: 'r:1', expr: 'sum(ALERTS_FOR_STATE)'}", "{alert: A, expr: 'r:1 > 1'}"),
            "`r:1` reads ALERTS, the state of other alerts",
            "replay cannot follow alerts on alerts; test this rule with promtool",
        ),
        (
            _LATER_GROUP,
            "`A` looks back over `r:1`, whose group has a larger `query_offset`",
            _WINDOW_HINT,
        ),
        (
            _one_group("{alert: A, expr: 'g @ 100 > 1'}"),
            "`@` in `g @ 100` fixes an evaluation time, which synthetic history cannot follow",
            "write the rule without `@`",
        ),
        (
            _one_group("{alert: A, expr: 'g offset -5m > 1'}"),
            "`g offset -5m` looks into the future (negative offset)",
            "a rule cannot see samples that are still to come; write a positive offset",
        ),
    ],
)
def test_plans_that_are_refused(bench: Bench, text: str, message: str, hint: str) -> None:
    with pytest.raises(HarnessError) as caught:
        bench.plan_of(text)
    assert isinstance(caught.value, UnsupportedError)
    assert caught.value.message == message.replace("{path}", str(bench.path))
    assert caught.value.hint == hint
    assert caught.value.span is not None
    assert caught.value.span.file == str(bench.path)
