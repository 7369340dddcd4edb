"""The order of evaluation: groups and files stand in any order, rules of one group in theirs; promtool is the judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.contracts.world import Trace
from harness.engines import Engine, QueryError, make_labels
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.errors import UnsupportedError
from harness.replay import AlertState, Batch, GroupPhases, Replay, SlotWriter
from harness.rules import RuleFile, load_rule_file
from tests.replay.replay_examples import Example, World, difference, judged, replayed

MINUTE = 60_000
_LETTERS = {AlertState.INACTIVE: ".", AlertState.PENDING: "p", AlertState.FIRING: "F"}
_VALUE = {"annotations": {"value": "{{ $value }}"}}


@pytest.fixture(scope="module")
def server(prometheus_path: Path) -> Iterator[tuple[Engine, SlotWriter]]:
    with ProcessEngine(prometheus_path) as engine:
        yield engine, SlotWriter(engine)


def _alert(expr: str, **more: str) -> dict[str, Any]:
    return {"alert": "A", "expr": expr, **more, **_VALUE}


def _record(name: str, expr: str, **more: Any) -> dict[str, Any]:
    return {"record": name, "expr": expr, **more}


def _group(name: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "interval": "1m", "rules": list(rules), **more}


# Every tick another value, so that a tick too early or too late shows.
_WORLD = World(30, (("g", tuple(str(i * i % 7 + i) for i in range(24))),))
_SUM, _TWICE = _record("r:1", "g"), _record("r:2", "r:1 * 2")


@pytest.mark.parametrize(
    ("groups", "order"),
    [
        ([_group("a", _alert("r:1 > 3", **{"for": "1m"})), _group("z", _SUM)], "z a"),
        ([_group("a", _alert("r:2 > 6")), _group("m", _TWICE), _group("z", _SUM)], "z m a"),
        ([_group("a", _alert("max_over_time(r:1[3m]) > 3")), _group("z", _SUM)], "z a"),
        ([_group("a", _alert("r:1 > 3", **{"for": "1m"}), _SUM)], "a"),
        ([_group("a", _alert("r:2 > 6"), _TWICE, _SUM)], "a"),
        ([_group("a", _TWICE, _SUM, _alert("r:2 - r:1 > 2"))], "a"),
        ([_group("a", _alert("r:2 - r:1 > 2"), _SUM, _TWICE)], "a"),
        ([_group("a", _alert("r:2 - r:1 > 2"), _TWICE, _SUM)], "a"),
        ([_group("a", _TWICE, _SUM, _alert("r:2 - sum_over_time(r:1[2m]) > -9"))], "a"),
        # Groups that read each other: whichever runs first sees the other's previous tick.
        ([_group("a", _record("r:0", "g + 1"), _alert("r:2 > 6")), _group("z", _record("r:2", "r:0 * 2"))], "z a"),
        # What is recorded for an earlier time is read as soon as it was recorded, and never before.
        ([_group("a", _alert("r:1 > 3")), _group("z", _SUM, query_offset="1m")], "z a"),
        ([_group("a", _alert("r:1 > 3")), _group("z", _SUM, query_offset="2m")], "z a"),
        ([_group("a", _alert("r:1 > 3")), _group("z", _SUM, query_offset="30s")], "z a"),
        ([_group("a", _alert("r:1 > 3"), query_offset="1m"), _group("z", _SUM)], "z a"),
    ],
)
def test_every_order_is_as_promtool_has_it(
    server: tuple[Engine, SlotWriter], promtool_path: Path, tmp_path: Path, groups: list[dict[str, Any]], order: str
) -> None:
    example = Example(tuple(groups), 60, 12, (_WORLD,), tuple(order.split()))
    (ours,) = replayed(*server, tmp_path, [example])
    (theirs,) = judged(Promtool(promtool_path), tmp_path, [example])
    assert isinstance(ours, dict)
    assert sum(map(len, theirs.values())) >= 3, "the example shows nothing"
    assert difference(example, ours, theirs) == ""


def test_the_order_of_files_means_nothing(server: tuple[Engine, SlotWriter], tmp_path: Path) -> None:
    """And the order in which groups run is told for promtool, which draws it at random otherwise."""
    readers = _file(tmp_path / "1.yml", "{name: g, rules: [{alert: A, expr: 'r:1 > 3'}]}")
    recorders = _file(tmp_path / "2.yml", "{name: h, rules: [{record: 'r:1', expr: g}]}")
    world = [1.0, 5.0, 5.0, 1.0]
    for files in ([readers, recorders], [recorders, readers]):
        assert _states(server, files, world) == [".FF."]
        assert [group.name for group in Replay(server[0], files).order.groups(files)] == ["h", "g"]


def test_a_group_whose_phase_is_later_is_seen_a_tick_later(server: tuple[Engine, SlotWriter], tmp_path: Path) -> None:
    files = [
        _file(
            tmp_path / "1.yml",
            "{name: al, interval: 1m, rules: [{alert: A, expr: 'r:1 > 3'}]}",
            "{name: rec, interval: 1m, rules: [{record: 'r:1', expr: g}]}",
            "{name: slow, interval: 3m, rules: [{record: 'r:3', expr: g}]}",
            "{name: by3, interval: 1m, rules: [{alert: B, expr: 'r:3 > 3'}]}",
        )
    ]
    alert, recorder, slow, by_three = files[0].groups
    course = [1.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0]
    assert _states(server, files, course) == [".FFF...."]
    assert _states(server, files, course, GroupPhases(order=(recorder, alert))) == [".FFF...."]
    assert _states(server, files, course, GroupPhases(order=(alert, recorder))) == ["..FFF..."]
    # Every third minute only one sample in three is seen, and that for three ticks.
    assert _states(server, files, course, alert="B") == ["...FFF.."]
    assert _states(server, files, course, GroupPhases(shift_ms={id(slow): MINUTE}), alert="B") == [".FFF...."]
    assert _states(server, files, course, GroupPhases((by_three, slow), {id(slow): MINUTE}), alert="B") == ["..FFF..."]


def test_a_recording_rule_over_its_limit_writes_nothing(server: tuple[Engine, SlotWriter], tmp_path: Path) -> None:
    """No sample and no stale marker either: its readers see the last value for as long as the lookback (5m)."""
    rules = "{record: 'r:1', expr: g > 0}, {alert: A, expr: 'r:1 > 3'}"
    files = [_file(tmp_path / "1.yml", f"{{name: g, interval: 90s, limit: 1, rules: [{rules}]}}")]
    always = [5.0] * 8
    # Ticks 2 and 3 return two series: the value of tick 1 stays.
    assert _states(server, files, always, other=[0, 0, 5, 5, 0, 0, 0, 0]) == ["FFFFFFFF"]
    # From tick 1 on two series, for six ticks: what tick 0 wrote is gone at tick 4, six minutes later.
    assert _states(server, files, always, other=[0, 5, 5, 5, 5, 5, 5, 0]) == ["FFFF...F"]
    # The first tick that succeeds again ends what is no longer returned.
    assert _states(server, files, [5, 5, 0, 0], other=[0, 5, 5, 5]) == ["FF..", "..FF"]


def test_two_rules_that_record_the_same_series(
    server: tuple[Engine, SlotWriter], promtool_path: Path, tmp_path: Path
) -> None:
    text = "{{name: g, interval: 1m, rules: [{{record: 'r:1', expr: g}}, {{record: 'r:1', expr: {}}}, {}]}}"
    alert = "{alert: A, expr: 'r:1 > 3'}"
    different = [_file(tmp_path / "1.yml", text.format("g * 2", alert))]
    with pytest.raises(QueryError, match="duplicate sample for timestamp"):
        _states(server, different, [5.0, 5.0])
    test = tmp_path / "test.yml"
    test.write_text(
        "rule_files: [1.yml]\ntests: [{interval: 1m, input_series: [{series: g, values: '5 5'}], "
        "alert_rule_test: [{eval_time: 1m, alertname: A}]}]\n"
    )
    assert "duplicate sample for timestamp" in Promtool(promtool_path).test_rules([test]).stderr
    same = [_file(tmp_path / "2.yml", text.format("g + 0", alert))]
    assert _states(server, same, [5.0, 1.0]) == ["F."]
    in_turns = [_file(tmp_path / "3.yml", text.format("g < 3", alert).replace("expr: g}", "expr: g > 3}"))]
    with pytest.raises(UnsupportedError, match="in turns"):
        _states(server, in_turns, [5.0, 1.0])


def _file(path: Path, *groups: str) -> RuleFile:
    path.write_text("groups:\n" + "".join(f"  - {group}\n" for group in groups), encoding="utf-8")
    return load_rule_file(path)


def _states(
    server: tuple[Engine, SlotWriter],
    files: list[RuleFile],
    values: list[float],
    phases: GroupPhases | None = None,
    *,
    alert: str = "A",
    other: list[float] | None = None,
) -> list[str]:
    """The states of an alert, one letter a tick, where `g` has these values minute by minute."""
    engine, writer = server
    replay = Replay(engine, files, phases)
    group, rule = next((g, r) for f in files for g in f.groups for r in g.alerts() if r.alert == alert)
    plan = replay.plan(group, rule)
    times = [i * plan.interval_ms for i in range(len(values))]
    case = [Trace(make_labels("g"), times, values)]
    if other is not None:
        case.append(Trace(make_labels("g", i="b"), times, other))
    (slots,) = writer.record([Batch([case], times[-1], plan.reach_ms, plan.align_ms)])
    ((found),) = replay.timelines(plan, slots)
    return ["".join(_LETTERS[state] for state in timeline.states) for timeline in found]
