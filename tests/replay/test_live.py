"""The third oracle: a live Prometheus' own rule manager, over the same samples at the same ticks.

What promtool cannot show stands here: groups that keep their own intervals, a `limit` that is exceeded and recovers,
and real ticks. The samples are written ahead of time, so every tick sees the same as replay does.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from harness.contracts.world import Trace
from harness.engines import STALE, Engine, Samples, make_labels
from harness.engines.process import ProcessEngine
from harness.replay import AlertState, Batch, Replay, SlotWriter
from harness.rules import Group, RuleFile, load_rule_file
from harness.series import Labels

_LASTS_S = 13
_STEP_MS = 500

_RULES = """\
groups:
  - name: seconds
    interval: 1s
    rules:
      - {record: "tick:seconds", expr: vector(1)}
      - {record: "level:sum", expr: sum by (job) (level)}
      - {record: "level:peak", expr: "max_over_time(level:sum[3s])"}
      - {alert: AtOnce, expr: level > 2, labels: {severity: page, at: "{{ $labels.i }}"}}
      - {alert: Held, expr: level > 2, for: 2s}
      - {alert: HeldOddly, expr: level > 2, for: 2500ms}
      - {alert: Kept, expr: level > 2, for: 1s, keep_firing_for: 2s}
      - {alert: Recorded, expr: "level:sum > 4", for: 1s}
      - {alert: Peak, expr: "level:peak > 4", for: 3s}
      - {alert: Growth, expr: "increase(count_total[4s]) > 6"}
      - {alert: Absent, expr: 'absent(level{i="b"})', for: 2s}
      - {alert: ByValue, expr: level > 2, for: 1s, labels: {v: "{{ $value }}"}}
  - name: halves
    interval: 500ms
    rules:
      - {record: "tick:halves", expr: vector(1)}
      - {alert: Fast, expr: level > 2, for: 1200ms, keep_firing_for: 700ms}
  - name: limited
    interval: 1s
    limit: 1
    rules:
      - {record: "tick:limited", expr: vector(1)}
      - {alert: Limited, expr: level > 2, for: 1s}
  - name: late
    interval: 2s
    query_offset: 1s
    rules:
      - {record: "tick:late", expr: vector(1)}
      - {alert: Late, expr: level > 2, for: 2s}
"""

_LEVELS = {
    "a": [0, 0, 3, 3, 3, 3, 5, 5, 5, 5, 5, 1, 1, 4, 4, 4, None, None, STALE, None, 6, 6, 6, 6, 2, 2],
    "b": [1, 1, 1, 1, 1, 1, 1, 7, 7, 7, 7, 7, 0, 0, 0, STALE, None, None, None, None, None, 3, 3, 3, 3, 3],
}
_COUNTS: list[float | None]
_COUNTS = [10, 11, 13, 17, 20, 22, 22, 22, 22, 1, 2, 3, 9, 9, 9, 9, None, None, 12, 15, 18, 18, 18, 18, 18, 18]


def _samples(start_ms: int) -> list[Samples]:
    courses = {make_labels("level", job="j", i=i): values for i, values in _LEVELS.items()}
    courses[make_labels("count_total", job="j")] = _COUNTS
    made = []
    for labels, values in courses.items():
        points = [(start_ms + k * _STEP_MS, float(v)) for k, v in enumerate(values) if v is not None]
        made.append(Samples(labels, [at for at, _ in points], [value for _, value in points]))
    return made


def _stored(engine: Engine, expr: str, until_ms: int) -> dict[Labels, list[int]]:
    """The timestamps of the raw samples of each series; stale markers do not show."""
    return {series.labels: series.timestamps_ms for series in engine.query(f"{expr}[1m]", until_ms)}


def _ticks(engine: Engine, group: str, until_ms: int) -> list[int]:
    found = _stored(engine, f'{{__name__="tick:{group}"}}', until_ms)
    return next(iter(found.values()), [])


Account = dict[int, set[tuple[str, Labels]]]
"""Tick → (state, labels) of what is pending or firing."""


def _live(engine: Engine, group: Group, ticks: list[int], until_ms: int) -> Account:
    account: Account = {tick: set() for tick in range(len(ticks))}
    for rule in group.alerts():
        for labels, times in _stored(engine, f'ALERTS{{alertname="{rule.alert}"}}', until_ms).items():
            pairs = dict(labels)
            state, _ = pairs.pop("alertstate"), pairs.pop("__name__")
            pairs.pop("v", None)  # replay leaves out a label that only Prometheus can expand
            for at in times:
                account[ticks.index(at)].add((state, tuple(sorted(pairs.items()))))
    return account


def _replayed(
    engine: Engine, writer: SlotWriter, file: RuleFile, group: Group, ticks: list[int], data: list[Samples]
) -> Account:
    account: Account = {tick: set() for tick in range(len(ticks))}
    first = ticks[0] + group.query_offset_ms  # samples are stored at the tick less the offset
    case = [Trace(s.labels, [at - first for at in s.timestamps_ms], s.values) for s in data]
    for rule in group.alerts():
        replay = Replay(engine, [file])
        plan = replay.plan(group, rule)
        length = (len(ticks) - 1) * group.interval_ms
        (slots,) = writer.record([Batch([case], length, plan.reach_ms, plan.align_ms)])
        (timelines,) = replay.timelines(plan, slots)
        for timeline in timelines:
            for tick, state in enumerate(timeline.states):
                if state is not AlertState.INACTIVE:
                    account[tick].add((state.value, timeline.labels))
    return account


@pytest.mark.slow
def test_a_live_rule_manager_agrees(prometheus_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(_RULES, encoding="utf-8")
    file = load_rule_file(path)
    with ProcessEngine(prometheus_path, rule_files=[path]) as live:
        deadline = time.monotonic() + 20
        while not all(_ticks(live, group.name, _now_ms()) for group in file.groups):
            assert time.monotonic() < deadline, live.log_tail()
            time.sleep(0.05)
        start_ms = _now_ms() + 700
        data = _samples(start_ms)
        live.write(data)
        assert _now_ms() < start_ms, "too slow to write ahead of the first tick; the machine is overloaded"
        time.sleep(_LASTS_S + 1.5)
        until_ms = _now_ms() - 100
        ticks = {group.name: _ticks(live, group.name, until_ms) for group in file.groups}
        accounts = {group.name: _live(live, group, ticks[group.name], until_ms) for group in file.groups}
    with ProcessEngine(prometheus_path) as engine:
        writer = SlotWriter(engine)
        for group in file.groups:
            mine = ticks[group.name]
            gaps = {b - a for a, b in itertools.pairwise(mine)}
            assert gaps == {group.interval_ms}, f"the live Prometheus skipped ticks of `{group.name}`: {sorted(gaps)}"
            account = _replayed(engine, writer, file, group, mine, data)
            # A rule writes no ALERTS before its state has been restored, after the group's first evaluations.
            known = range(2, len(mine))
            assert {tick: account[tick] for tick in known} == {tick: accounts[group.name][tick] for tick in known}
            assert {state for seen in account.values() for state, _ in seen} == {"pending", "firing"}


def _now_ms() -> int:
    return round(time.time() * 1000)
