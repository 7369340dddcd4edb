"""Replay: rules over recorded cases, one query_range per rule instead of one instant query per tick.

Recording rules that an alert depends on run first, in Prometheus' order, and their results are written back. Where a
rule reads what itself or a later rule records (or `ALERTS`), one query per rule cannot know the previous tick; such a
plan is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.engines.base import Engine, Samples, Series
from harness.errors import UnsupportedError
from harness.replay.labels import alert_labels, equal_labels, identity, recorded_labels, shown, told_apart_by
from harness.replay.slots import Reel, common_multiple_ms
from harness.replay.timeline import AlertTimeline, alert_states
from harness.rules import AlertRule, Group, RecordingRule, RuleFile
from harness.rules.expr import reach_ms, subquery_steps_ms
from harness.rules.selectors import metric_names, ranges_over, selects
from harness.series import STALE, Labels
from harness.source import Text
from harness.units import format_duration


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes to evaluate one alert: the recording rules before it, and how far back all of them see."""

    rule: AlertRule
    group: Group
    recordings: tuple[tuple[Group, RecordingRule], ...]
    reach_ms: int
    align_ms: int
    warm_ms: Mapping[int, int]
    """By id of a recording rule: how long before a tick its results matter, because a reader ranges over them."""

    @property
    def interval_ms(self) -> int:
        return self.group.interval_ms

    @property
    def tick_ms(self) -> int:
        """What divides every moment at which one of the rules is evaluated."""
        groups = (self.group, *(group for group, _ in self.recordings))
        return math.gcd(*(group.interval_ms for group in groups), *(group.query_offset_ms for group in groups))

    @property
    def hold_ticks(self) -> int:
        """Ticks from pending to firing: ceil(for / interval)."""
        return -(-self.rule.hold_ms // self.interval_ms)


class Replay:
    """Evaluates the rules of `files` on an engine. Recording rules may stand in any of the files."""

    def __init__(self, engine: Engine, files: Sequence[RuleFile]) -> None:
        self.engine = engine
        self._order = [(group, rule) for file in files for group in file.groups for rule in group.rules]
        self._recorded: set[tuple[int, int, str, int]] = set()
        self._warm_ms: dict[int, int] = {}
        """By id of a recording rule the longest time that any plan made so far needs it to be warm."""

    def plan(self, group: Group, rule: AlertRule) -> Plan:
        """The recording rules that `rule` needs, in order, and its reach.

        Raises UnsupportedError for rules that read their own or later results.
        """
        needed = self._needed(rule)
        chain = [(g, r) for g, r in needed if isinstance(r, RecordingRule)]
        steps = [step for e in (rule.expr, *(r.expr for _, r in chain)) for step in subquery_steps_ms(e)]
        align = common_multiple_ms(group.interval_ms, *(g.interval_ms for g, _ in chain), *steps)
        reach, warm = _looks_back([*chain, (group, rule)])
        for key, ms in warm.items():
            self._warm_ms[key] = max(ms, self._warm_ms.get(key, 0))
        return Plan(rule, group, tuple(chain), reach, align, warm)

    def _needed(self, rule: AlertRule) -> list[tuple[Group, RecordingRule]]:
        wanted: set[int] = set()
        todo: list[tuple[int, AlertRule | RecordingRule]] = [(self._position(rule), rule)]
        while todo:
            at, reader = todo.pop()
            names = metric_names(reader.expr)
            if names & {"ALERTS", "ALERTS_FOR_STATE"}:
                raise UnsupportedError(
                    f"`{_name(reader)}` reads ALERTS, the state of other alerts",
                    span=reader.expr.span_at(0),
                    hint="replay cannot follow alerts on alerts; test this rule with promtool",
                )
            for i, (group, other) in enumerate(self._order):
                # A selector without a fixed name may select any of them.
                if not isinstance(other, RecordingRule) or not _reads(reader, group, other):
                    continue
                if i >= at:
                    raise UnsupportedError(
                        f"`{_name(reader)}` reads `{other.record}`, which is recorded later (at {other.span})",
                        span=reader.expr.span_at(0),
                        hint="move the recording rule before its reader; as it is, the reader sees the previous tick",
                    )
                if at < len(self._order) and group.query_offset_ms > self._order[at][0].query_offset_ms:
                    raise UnsupportedError(
                        f"`{_name(reader)}` reads `{other.record}`, whose group has a query_offset of "
                        f"{format_duration(group.query_offset_ms)} and so records that much too late for it",
                        span=reader.expr.span_at(0),
                        hint="give the reader's group the same query_offset",
                    )
                if i not in wanted:
                    wanted.add(i)
                    todo.append((i, other))
        return [(g, r) for i, (g, r) in enumerate(self._order) if i in wanted and isinstance(r, RecordingRule)]

    def _position(self, rule: AlertRule) -> int:
        return next((i for i, (_, r) in enumerate(self._order) if r is rule), len(self._order))

    def instants(self, plan: Plan, expr: str, reel: Reel, offset_ms: int) -> list[dict[Labels, float]]:
        """What `expr` returns in each case, `offset_ms` after its beginning: label set → value.

        `expr` is the plan's own expression or a part of it.
        """
        self._record(plan, reel)
        at = reel.start_ms + offset_ms - plan.group.query_offset_ms
        found: list[dict[Labels, float]] = [{} for _ in range(reel.count)]
        for series in self.engine.query_range(expr, at, at + (reel.count - 1) * reel.slot_ms, reel.slot_ms):
            labels = tuple(sorted(series.labels))
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                found[(when - at) // reel.slot_ms][labels] = value
        return found

    def instant(self, plan: Plan, reel: Reel) -> list[dict[Labels, float]]:
        """What the alert's expression returns at the very beginning of each case: label set → value.

        Recording rules are evaluated at that tick alone, or before it as far as a reader ranges over them; so cases
        with a long history cost little. A reel is asked either for this or for whole timelines.
        """
        for group, rule in plan.recordings:
            if not self._first_time(reel, rule):
                continue
            merged: dict[Labels, dict[int, float]] = {}
            warm = self._warm(rule, group, reel)
            for series in self._at_beginnings(rule.expr, group, reel, warm):
                points = merged.setdefault(recorded_labels(rule, group, dict(series.labels)), {})
                points.update(zip(series.timestamps_ms, series.values, strict=True))
            self.engine.write(_with_stale_ends(merged, group.interval_ms))
        at = reel.start_ms - plan.group.query_offset_ms
        found: list[dict[Labels, float]] = [{} for _ in range(reel.count)]
        for series in self._at_beginnings(plan.rule.expr, plan.group, reel, 0):
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                found[(when - at) // reel.slot_ms][series.labels] = value
        return found

    def _at_beginnings(self, expr: Text, group: Group, reel: Reel, warm_ms: int) -> Iterator[Series]:
        """The expression at each case's beginning, or at every tick of the `warm_ms` before it too."""
        begins = [reel.begin_ms(case) - group.query_offset_ms for case in range(reel.count)]
        if warm_ms == 0:
            yield from self.engine.query_range(expr.value, begins[0], begins[-1], reel.slot_ms)
            return
        for begin in begins:
            yield from self.engine.query_range(expr.value, begin - warm_ms, begin, group.interval_ms)

    def timelines(self, plan: Plan, reel: Reel) -> list[list[AlertTimeline]]:
        """The alerts of each case, tick by tick from the case's beginning to its length."""
        self._record(plan, reel)
        rule, interval = plan.rule, plan.interval_ms
        ticks = reel.length_ms // interval + 1
        elements: list[list[dict[Labels, tuple[float, Labels]]]] = [
            [{} for _ in range(ticks)] for _ in range(reel.count)
        ]
        told_apart = told_apart_by(rule, plan.group)
        for series in self._over_reel(rule.expr, plan.group, reel):
            labels = alert_labels(rule, plan.group, dict(series.labels))
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                case, at = divmod(when + plan.group.query_offset_ms - reel.start_ms, reel.slot_ms)
                if at > reel.length_ms:
                    continue
                here = elements[case][at // interval]
                alert = identity(labels, told_apart, series.labels, value)
                if alert in here:
                    raise equal_labels(rule, labels, here[alert][1], series.labels)
                here[alert] = value, series.labels
        return [self._case_timelines(plan, case) for case in elements]

    def _case_timelines(self, plan: Plan, ticks: list[dict[Labels, tuple[float, Labels]]]) -> list[AlertTimeline]:
        states = alert_states(
            [frozenset(here) for here in ticks],
            interval_ms=plan.interval_ms,
            hold_ms=plan.rule.hold_ms,
            keep_firing_ms=plan.rule.keep_firing_ms,
            limit=plan.group.limit,
        )
        made = []
        for alert, history in sorted(states.items()):
            values = {i: here[alert][0] for i, here in enumerate(ticks) if alert in here}
            element = ticks[max(values)][alert][1]
            made.append(AlertTimeline(shown(alert), tuple(history), frozenset(values), values, element))
        return made

    def _first_time(self, reel: Reel, rule: RecordingRule) -> bool:
        """Whether a recording rule was not yet evaluated over a reel; after this question it counts as evaluated."""
        key = (reel.era, reel.start_ms, rule.record, id(rule))
        known = key in self._recorded
        self._recorded.add(key)
        return not known

    def _warm(self, rule: RecordingRule, group: Group, reel: Reel) -> int:
        """How long before a case's beginning the rule is evaluated, in whole ticks: for every plan that may come.

        What was recorded once is not recorded again, so all plans for a reel are made before it is evaluated.
        """
        return min(self._warm_ms.get(id(rule), 0), reel.lead_ms) // group.interval_ms * group.interval_ms

    def _over_reel(self, expr: Text, group: Group, reel: Reel, warm_ms: int = 0) -> list[Series]:
        start = reel.start_ms - warm_ms - group.query_offset_ms
        end = reel.begin_ms(reel.count - 1) + reel.length_ms - group.query_offset_ms
        return self.engine.query_range(expr.value, start, end, group.interval_ms)

    def _record(self, plan: Plan, reel: Reel) -> None:
        """Evaluate the plan's recording rules over the reel and write their results back, stale markers included."""
        for group, rule in plan.recordings:
            if not self._first_time(reel, rule):
                continue
            # Rules of one name (a common idiom: one ratio per source) write series of different labels.
            merged: dict[Labels, dict[int, float]] = {}
            warm = self._warm(rule, group, reel)
            for series in self._over_reel(rule.expr, group, reel, warm):
                labels = recorded_labels(rule, group, dict(series.labels))
                points = merged.setdefault(labels, {})
                for when, value in zip(series.timestamps_ms, series.values, strict=True):
                    at = (when + group.query_offset_ms - reel.start_ms) % reel.slot_ms
                    if reel.length_ms < at < reel.slot_ms - warm:
                        continue
                    if when in points:
                        raise equal_labels(rule, labels)
                    points[when] = value
            self.engine.write(_with_stale_ends(merged, group.interval_ms))


def _reads(reader: AlertRule | RecordingRule, group: Group, recorded: RecordingRule) -> bool:
    return selects(reader.expr, recorded.record, _static_labels(recorded, group))


def _looks_back(chain: Sequence[tuple[Group, AlertRule | RecordingRule]]) -> tuple[int, dict[int, int]]:
    """How far back the last rule sees through the recording rules before it, and how long each of those must be warm.

    A rule that ranges over what another records, which itself needs to be warm, needs both times.
    """
    warm: dict[int, int] = {id(rule): 0 for _, rule in chain}
    reach: dict[int, int] = {}
    for i, (group, rule) in enumerate(chain):
        below = [
            reach[id(other)] + chain[j][0].interval_ms
            for j, (g, other) in enumerate(chain[:i])
            if isinstance(other, RecordingRule) and _reads(rule, g, other)
        ]
        reach[id(rule)] = reach_ms(rule.expr) + group.query_offset_ms + max(below, default=0)
    for i in range(len(chain) - 1, -1, -1):
        _, rule = chain[i]
        for g, other in chain[:i]:
            if not isinstance(other, RecordingRule) or not _reads(rule, g, other):
                continue
            ranged = ranges_over(rule.expr, other.record, _static_labels(other, g))
            own = reach_ms(rule.expr) if ranged else 0
            warm[id(other)] = max(warm[id(other)], warm[id(rule)] + own)
    return reach[id(chain[-1][1])], warm


def _static_labels(rule: RecordingRule, group: Group) -> dict[str, str]:
    return {name: text.value for name, text in group.labels_of(rule).items()}


def _with_stale_ends(series: Mapping[Labels, Mapping[int, float]], interval_ms: int) -> list[Samples]:
    """The samples of a recording rule, with a stale marker on the first tick that no longer returns a series."""
    made = []
    for labels, points in series.items():
        ends = {when + interval_ms: STALE for when in points if when + interval_ms not in points}
        times = sorted({**points, **ends})
        made.append(Samples(labels, times, [points.get(when, STALE) for when in times]))
    return made


def _name(rule: AlertRule | RecordingRule) -> str:
    return rule.alert if isinstance(rule, AlertRule) else rule.record
