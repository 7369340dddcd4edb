"""Replay: rules over recorded cases, one query_range per rule instead of one instant query per tick.

Recording rules that an alert depends on are evaluated first, each after those that it reads, and their results are
written back; whom a rule reads before it ran shows it the previous tick (order.py). Where rules read each other in a
circle (or `ALERTS`), one query per rule cannot know the previous tick; such a plan is refused by name.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from harness.engines import Engine, QueryError, Samples, Series
from harness.errors import UnsupportedError
from harness.replay.labels import alert_labels, equal_labels, identity, recorded_labels, shown, told_apart_by
from harness.replay.order import GroupPhases, Order, looks_back, other_phases
from harness.replay.plan import Plan
from harness.replay.slots import SlotRange, common_multiple_ms
from harness.replay.timeline import AlertTimeline, alert_states
from harness.rules import AlertRule, Group, RecordingRule, Rule, RuleFile
from harness.rules.expr import subquery_steps_ms
from harness.series import STALE, Labels, format_labels
from harness.source import Text

_FAR_APART = 8
_Returned = dict[Labels, tuple[float, Labels]]
"""What a rule returned at a tick: an alert's identity → value, and the labels of the element."""
_Recorded = dict[Labels, dict[int, float]]
"""Series by their labels: time stamp in milliseconds → value."""


class Replay:
    """Evaluates the rules of `files` on an engine. Recording rules may stand in any of the files."""

    def __init__(self, engine: Engine, files: Sequence[RuleFile], phases: GroupPhases | None = None) -> None:
        self.engine = engine
        self._files = files
        self.order = Order(files, engine.server, phases)
        self._recorded: set[tuple[int, int, str, int]] = set()
        self._warm_ms: dict[int, int] = {}
        """By id of a recording rule the longest time that any plan made so far needs it to be warm."""
        self._written: dict[tuple[int, int, str], dict[Labels, tuple[RecordingRule, Mapping[int, float]]]] = {}
        """By slot range and name what was written by which rule, where several record under one name."""
        self._names = Counter(
            r.record for f in files for g in f.groups for r in g.rules if isinstance(r, RecordingRule)
        )

    def otherwise(self, plan: Plan) -> Iterator[tuple[Replay, Plan]]:
        """The same plan in other phases of the groups that it reads; nothing where it reads no other group's."""
        groups = {id(group): group for group, _ in plan.recordings if group is not plan.group}
        recording = sorted(groups.values(), key=self.order.rank)
        for phases in other_phases(plan.group, recording) if recording else ():
            replay = Replay(self.engine, self._files, phases)
            yield replay, replay.plan(plan.group, plan.rule)

    def plan(self, group: Group, rule: AlertRule) -> Plan:
        """The recording rules that `rule` needs, in order, and its reach.

        Raises UnsupportedError for rules that read each other in a circle.
        """
        chain = self.order.chain(group, rule)
        steps = [
            step for e in (rule.expr, *(r.expr for _, r in chain)) for step in subquery_steps_ms(e, self.engine.server)
        ]
        align = common_multiple_ms(group.interval_ms, *(g.interval_ms for g, _ in chain), *steps)
        reach, warm = looks_back(self.order, [*chain, (group, rule)])
        for key, ms in warm.items():
            self._warm_ms[key] = max(ms, self._warm_ms.get(key, 0))
        marked = [g.interval_ms + self.order.runs_ms(g) + self.order.stored_ms(r) for g, r in chain]
        return Plan(rule, group, tuple(chain), reach, align, warm, self.engine.server, max(marked, default=0))

    def instants(self, plan: Plan, expr: str, slots: SlotRange, offset_ms: int) -> list[dict[Labels, float]]:
        """What `expr` returns in each case, `offset_ms` after its beginning: label set → value.

        `expr` is the plan's own expression or a part of it.
        """
        self._record(plan, slots)
        offset = offset_ms - plan.group.query_offset_ms + self.order.looks_ms(plan.group, plan.rule)
        found: list[dict[Labels, float]] = [{} for _ in range(slots.count)]
        for first, count, step in slots.runs():
            at = slots.begin_ms(first) + offset
            for series in self.engine.query_range(expr, at, at + (count - 1) * step, step):
                labels = tuple(sorted(series.labels))
                for when, value in zip(series.timestamps_ms, series.values, strict=True):
                    found[first + (when - at) // step][labels] = value
        return found

    def course(self, plan: Plan, expr: str, slots: SlotRange, first_ms: int, ticks: int) -> list[dict[Labels, float]]:
        """What `expr` returns in the first case, tick by tick from `first_ms` after its beginning on.

        `expr` is the plan's own expression or a part of it.
        """
        self._record(plan, slots)
        start = slots.start_ms + first_ms - plan.group.query_offset_ms
        found: list[dict[Labels, float]] = [{} for _ in range(ticks)]
        end = start + (ticks - 1) * plan.interval_ms
        for series in self.engine.query_range(expr, start, end, plan.interval_ms):
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                found[(when - start) // plan.interval_ms][tuple(sorted(series.labels))] = value
        return found

    def instant(self, plan: Plan, slots: SlotRange) -> list[dict[Labels, float]]:
        """What the alert's expression returns at the very beginning of each case: label set → value.

        Recording rules are evaluated at that tick alone, or before it as far as a reader ranges over them; so cases
        with a long history cost little. Slots are asked either for this or for whole timelines.
        """
        for group, rule in plan.recordings:
            if self._first_time(slots, rule):
                self._write(
                    group,
                    rule,
                    slots,
                    self._at_beginnings(rule.expr, group, rule, slots, self._warm(rule, group, slots)),
                )
        at = slots.start_ms - plan.group.query_offset_ms + self.order.looks_ms(plan.group, plan.rule)
        found: list[dict[Labels, float]] = [{} for _ in range(slots.count)]
        for series in self._at_beginnings(plan.rule.expr, plan.group, plan.rule, slots, 0):
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                found[(when - at) // slots.slot_ms][series.labels] = value
        return found

    def _at_beginnings(self, expr: Text, group: Group, rule: Rule, slots: SlotRange, warm_ms: int) -> Iterator[Series]:
        """The expression at each case's beginning, or at every tick of the `warm_ms` before it too."""
        first = self._first_ms(group, rule)
        yield from self._case_by_case(expr, slots, first - warm_ms, first, group.interval_ms)

    def _first_ms(self, group: Group, rule: Rule) -> int:
        """How long after a case's beginning a rule is first evaluated there."""
        return self.order.runs_ms(group) - group.query_offset_ms + self.order.looks_ms(group, rule)

    def timelines(self, plan: Plan, slots: SlotRange, *, steady_before: bool = False) -> list[list[AlertTimeline]]:
        """The alerts of each case, tick by tick from the case's beginning to its length.

        With `steady_before` what the rule returns on the last tick of a case's lead it has returned for `for` already.
        """
        self._record(plan, slots)
        rule, interval = plan.rule, plan.interval_ms
        ticks = slots.length_ms // interval + 1
        elements: list[list[_Returned]] = [[{} for _ in range(ticks)] for _ in range(slots.count)]
        before: list[_Returned] = [{} for _ in range(slots.count)]
        shift = self._first_ms(plan.group, rule)
        for series in self._over_slots(rule.expr, plan.group, rule, slots, interval if steady_before else 0, interval):
            enter = _entering(plan, series)
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                case, at = slots.case_at(when - shift)
                if case >= 0 and at <= slots.length_ms:
                    enter(elements[case][at // interval], value)
                    continue
                case, at = slots.case_at(when - shift + interval)
                if steady_before and at == 0:
                    enter(before[case], value)
        held = plan.hold_ticks + 1 if steady_before else 0
        played = [self._case_timelines(plan, [here] * held + case) for here, case in zip(before, elements, strict=True)]
        return [[alert.between(held, held + ticks) for alert in case] for case in played] if held else played

    def sparse_timelines(self, plan: Plan, slots: SlotRange, every_ms: int) -> list[list[AlertTimeline]]:
        """As :meth:`timelines`, for cases of many ticks in which little happens.

        The expression is evaluated every `every_ms` (whole ticks), and between two such ticks that differ at further
        ones, by halves, until the tick is found at which it changed. Between two that agree nothing is taken to happen.
        """
        self._record(plan, slots)
        last, stride = slots.length_ms // plan.interval_ms, every_ms // plan.interval_ms
        cases = []
        for case in range(slots.count):
            begin = slots.begin_ms(case) + self._first_ms(plan.group, plan.rule)
            known: dict[int, _Returned] = {}
            self._look(plan, known, begin, range(0, last + 1, stride))
            self._look(plan, known, begin, range(last, last + 1))
            todo = list(itertools.pairwise(sorted(known)))
            while todo:
                low, high = todo.pop()
                if high - low > 1 and known[low].keys() != known[high].keys():
                    middle = (low + high) // 2
                    self._look(plan, known, begin, range(middle, middle + 1))
                    todo += [(low, middle), (middle, high)]
            ticks = [known[low] for low, high in itertools.pairwise(sorted(known)) for _ in range(high - low)]
            cases.append(self._case_timelines(plan, [*ticks, known[last]]))
        return cases

    def _look(self, plan: Plan, known: dict[int, _Returned], begin_ms: int, ticks: range) -> None:
        """Enter what the rule returns at some ticks."""
        interval = plan.interval_ms
        known.update({tick: {} for tick in ticks})
        start, end = begin_ms + ticks[0] * interval, begin_ms + ticks[-1] * interval
        for series in self.engine.query_range(plan.rule.expr.value, start, end, ticks.step * interval):
            enter = _entering(plan, series)
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                enter(known[(when - begin_ms) // interval], value)

    def _case_timelines(self, plan: Plan, ticks: list[_Returned]) -> list[AlertTimeline]:
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

    def _first_time(self, slots: SlotRange, rule: RecordingRule) -> bool:
        """Whether a recording rule was not yet evaluated over these slots; once asked, it counts as evaluated."""
        key = (slots.era, slots.start_ms, rule.record, id(rule))
        known = key in self._recorded
        self._recorded.add(key)
        return not known

    def _warm(self, rule: RecordingRule, group: Group, slots: SlotRange) -> int:
        """How long before a case is asked about the rule is evaluated, in whole ticks: for every plan that may come.

        What was recorded once is not recorded again, so all plans for a slots are made before it is evaluated.
        """
        history_ms = slots.lead_ms + slots.asked_from_ms
        return min(self._warm_ms.get(id(rule), 0), history_ms) // group.interval_ms * group.interval_ms

    def _over_slots(
        self, expr: Text, group: Group, rule: Rule, slots: SlotRange, warm_ms: int, interval_ms: int
    ) -> Iterator[Series]:
        """The expression at every tick of the slots: in one query, unless the time between its cases is far longer than
        what is asked about of them. A series may come in pieces."""
        shift = self._first_ms(group, rule)
        first, last = slots.asked_from_ms - warm_ms, slots.length_ms
        if slots.slot_ms >= _FAR_APART * (last - first):
            yield from self._case_by_case(expr, slots, shift + first, shift + last, interval_ms)
            return
        for one, other in slots.stretches():
            start, end = slots.begin_ms(one) + first, slots.begin_ms(other) + last
            yield from self.engine.query_range(expr.value, start + shift, end + shift, interval_ms)

    def _case_by_case(
        self, expr: Text, slots: SlotRange, first_ms: int, last_ms: int, interval_ms: int
    ) -> Iterator[Series]:
        """The expression at some ticks of each case, counted from its beginning, in as few queries as that takes: one a
        tick for cases in equal steps, or one a case."""
        ticks = range(first_ms, last_ms + 1, interval_ms)
        runs = list(slots.runs())
        if len(ticks) * len(runs) <= slots.count:
            for at in ticks:
                for case, count, step in runs:
                    start = slots.begin_ms(case) + at
                    yield from self.engine.query_range(expr.value, start, start + (count - 1) * step, step)
            return
        for case in range(slots.count):
            begin = slots.begin_ms(case)
            yield from self.engine.query_range(expr.value, begin + first_ms, begin + last_ms, interval_ms)

    def _record(self, plan: Plan, slots: SlotRange) -> None:
        """Evaluate the plan's recording rules over the slots and write their results back, stale markers included."""
        for group, rule in plan.recordings:
            if self._first_time(slots, rule):
                # Where there is history, at the tick before the case too: see `steady_before`.
                once = -(-plan.interval_ms // group.interval_ms) * group.interval_ms
                warm = max(self._warm(rule, group, slots), once if once <= slots.lead_ms + slots.asked_from_ms else 0)
                returned = self._over_slots(rule.expr, group, rule, slots, warm, group.interval_ms)
                self._write(group, rule, slots, returned, warm)

    def _write(
        self,
        group: Group,
        rule: RecordingRule,
        slots: SlotRange,
        returned: Iterable[Series],
        warm_ms: int | None = None,
    ) -> None:
        """Write what a rule returned as what it records. With `warm_ms`, what lies between the cases and more than that
        before the next is left out."""
        first, stored = self._first_ms(group, rule), self.order.stored_ms(rule) - self.order.looks_ms(group, rule)
        recorded: _Recorded = {}
        for series in returned:
            labels = recorded_labels(rule, group, dict(series.labels))
            points = recorded.setdefault(labels, {})
            for when, value in zip(series.timestamps_ms, series.values, strict=True):
                _, at = slots.case_at(when - first)
                between = at > slots.length_ms and (slots.begins_ms or at < slots.slot_ms - (warm_ms or 0))
                if warm_ms is not None and between:
                    continue
                if when + stored in points:
                    raise equal_labels(rule, labels)
                points[when + stored] = value
        recorded, failed = _within(group.limit, recorded)
        if self._names[rule.record] > 1:
            recorded = self._unlike_namesakes(rule, slots, recorded)
        self.engine.write(_with_stale_ends(recorded, group.interval_ms, failed))

    def _unlike_namesakes(self, rule: RecordingRule, slots: SlotRange, returned: _Recorded) -> _Recorded:
        """What no other rule of this name has recorded already with the same values.

        Raises QueryError where the values differ: Prometheus keeps the first sample and fails the second rule.
        """
        known = self._written.setdefault((slots.era, slots.start_ms, rule.record), {})
        kept = {}
        for labels, points in returned.items():
            if labels not in known:
                known[labels] = (rule, points)
                kept[labels] = points
                continue
            other, before = known[labels]
            if any(not _same(before[when], value) for when, value in points.items() if when in before):
                error = QueryError(
                    "execution",
                    f"duplicate sample for timestamp: {format_labels(labels)} is recorded at {other.span} and at "
                    f"{rule.span}, with other values",
                    rule.expr.value,
                )
                error.span, error.hint = rule.span, "give each a label of its own"
                raise error
            if not points.keys() <= before.keys():
                raise UnsupportedError(
                    f"two rules record {format_labels(labels)} in turns (the other at {other.span})",
                    span=rule.span,
                    hint="give each a label of its own, or join them with `or`",
                )
        return kept


def _entering(plan: Plan, series: Series) -> Callable[[_Returned, float], None]:
    """What enters a value of a series that a rule returned among those of its tick; raises where one has its labels."""
    rule = plan.rule
    labels = alert_labels(rule, plan.group, dict(series.labels))
    told_apart = told_apart_by(rule, plan.group)

    def enter(here: _Returned, value: float) -> None:
        alert = identity(labels, told_apart, series.labels, value)
        if alert in here:
            raise equal_labels(rule, labels, here[alert][1], series.labels)
        here[alert] = value, series.labels

    return enter


def _within(limit: int, recorded: _Recorded) -> tuple[_Recorded, Collection[int]]:
    """What is recorded where a rule returns no more than its group's `limit` (0: none), and the ticks that fail: they
    write no sample and no stale marker (rules/recording.go)."""
    if not limit:
        return recorded, ()
    elements = Counter(when for points in recorded.values() for when in points)
    failed = {when for when, count in elements.items() if count > limit}
    return {
        labels: {when: value for when, value in points.items() if when not in failed}
        for labels, points in recorded.items()
    }, failed


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _with_stale_ends(
    series: Mapping[Labels, Mapping[int, float]], interval_ms: int, failed: Collection[int]
) -> list[Samples]:
    """The samples of a recording rule, with a stale marker on the first tick that no longer returns a series. A tick
    that `failed` writes nothing at all."""
    made = []
    for labels, points in series.items():
        times = set(points)
        for when in points:
            after = when + interval_ms
            while after in failed:
                after += interval_ms
            times.add(after)
        ordered = sorted(times)
        made.append(Samples(labels, ordered, [points.get(when, STALE) for when in ordered]))
    return made
