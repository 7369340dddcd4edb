"""Cases with a history: what recorded ranges see, single ticks, and rules of one name for different things."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.errors import Span, UnsupportedError
from harness.replay import AlertState, Batch, Replay, SlotWriter
from harness.rules import RuleFile, load_rules
from harness.rules.expr import alternatives, ends_now
from harness.rules.selectors import selections
from harness.series import labels_of
from harness.source import Text

_MINUTE_MS = 60_000
_RANGED = """\
groups:
  - name: g
    rules:
      - record: level:now
        expr: level_{n}
        labels: {{of: a}}
      - alert: High
        expr: avg_over_time(level:now{{of="a"}}[9m30s]) > 0.55
"""


def text(expr: str) -> Text:
    return Text(expr, Span("x.yml", 1, 1))


def _load(folder: Path, rules: str) -> list[RuleFile]:
    path = folder / "rules.yml"
    path.write_text(rules, encoding="utf-8")
    return load_rules([path])


def test_recorded_ranges_are_warm_when_a_case_begins(engine: Engine, tmp_path: Path) -> None:
    """The level is 1 for the last 6 of the 10 minutes before the case, and then 0: true until one of them has left."""
    files = _load(tmp_path, _RANGED.format(n=1))
    replay, writer = Replay(engine, files), SlotWriter(engine)
    group = files[0].groups[0]
    plan = replay.plan(group, group.alerts()[0])
    (recorded,) = (rule for _, rule in plan.recordings)
    assert plan.warm_ms[id(recorded)] >= 570_000
    lead = 15 * _MINUTE_MS
    times = range(_MINUTE_MS // 2 - lead, 10 * _MINUTE_MS, _MINUTE_MS)
    level = Trace(labels_of("level_1", {}), times, [float(-6 * _MINUTE_MS <= at < 0) for at in times])
    ranges = writer.record([Batch([[level]], 5 * _MINUTE_MS, plan.reach_ms, plan.align_ms, lead)] * 2)
    for slots in ranges:
        ((alert,),) = replay.timelines(plan, slots)
        # At tick 4 the window still holds 6 ones of 10; a tick later 5. (No sample is on its edge, where 2.x differs.)
        assert [state is AlertState.FIRING for state in alert.states] == [True, True, True, True, True, False]


def test_a_single_tick_says_what_the_timeline_begins_with(engine: Engine, tmp_path: Path) -> None:
    files = _load(tmp_path, _RANGED.format(n=2))
    replay, writer = Replay(engine, files), SlotWriter(engine)
    group = files[0].groups[0]
    plan = replay.plan(group, group.alerts()[0])
    lead = 15 * _MINUTE_MS
    times = range(_MINUTE_MS // 2 - lead, 0, _MINUTE_MS)
    cases = [
        [Trace(labels_of("level_2", {}), times, [float(at >= -ones * _MINUTE_MS) for at in times])]
        for ones in range(3, 9)
    ]
    (slots,) = writer.record([Batch(cases, 0, plan.reach_ms, plan.align_ms, lead)])
    assert [bool(found) for found in replay.instant(plan, slots)] == [False, False, False, True, True, True]


def test_a_rule_of_the_same_name_for_something_else_is_not_read(engine: Engine, tmp_path: Path) -> None:
    """As sloth writes them: the next objective's recording rules stand behind the alerts of the first."""
    rules = _RANGED.format(n=3) + "\n".join(
        ["      - record: level:now", "        expr: level_4", "        labels: {of: b}", ""]
    )
    files = _load(tmp_path, rules)
    group = files[0].groups[0]
    plan = Replay(engine, files).plan(group, group.alerts()[0])
    assert [rule.expr.value for _, rule in plan.recordings] == ["level_3"]
    files = _load(tmp_path, rules.replace("{of: b}", "{of: a}"))
    group = files[0].groups[0]
    with pytest.raises(UnsupportedError, match="which its own group records after it"):
        Replay(engine, files).plan(group, group.alerts()[0])


@pytest.mark.parametrize(
    ("expr", "reads"),
    [
        ("level:now", True),
        ('level:now{of="a"}', True),
        ('level:now{of="b"}', False),
        ('level:now{of!="a"}', False),
        ('level:now{of=~"a|b"}', True),
        ('level:now{of!~"a.*"}', False),
        ('level:now{other="x"}', True),
        ('{__name__=~"level:.*", of="a"}', True),
        ('{__name__=~"level:.*", of="b"}', False),
        ("other", False),
    ],
)
def test_which_selectors_may_read_a_recorded_series(expr: str, reads: bool) -> None:
    series = {"__name__": "level:now", "of": "a"}
    assert any(selector.may_accept(series) for selector, _ in selections(text(expr))) is reads


@pytest.mark.parametrize(
    ("expr", "ranged"),
    [
        ("level:now > 1", False),
        ("sum(avg_over_time(level:now[5m]))", True),
        ("max_over_time((level:now > 1)[5m:1m])", True),
        ("level:now offset 5m", True),
        ("rate(other[5m]) + level:now", False),
    ],
)
def test_which_expressions_range_over_it(expr: str, ranged: bool) -> None:
    found = [over_time for selector, over_time in selections(text(expr)) if selector.metric == "level:now"]
    assert found == [ranged]


def test_alternatives_are_the_outermost_ors() -> None:
    found = alternatives(text("(a > 1 and b > 1) or (c > 2 or d)"))
    assert [" ".join(part.replace("{}", "").split()) for part in found] == ["a > 1 and b > 1", "c > 2", "d"]
    assert alternatives(text("a and (b or c)")) == ["a and (b or c)"]


def test_what_ends_at_the_tick() -> None:
    assert ends_now(text("rate(a[5m]) > b"))
    assert not ends_now(text("rate(a[5m] offset 1m)"))
    assert not ends_now(text("max_over_time(a[5m:1m])"))
