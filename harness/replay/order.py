"""In which order rules are evaluated, and what a rule therefore sees of what others record at the same tick.

Within a group rules run one after the other: who reads a later rule sees its previous tick. Groups run at moments of
their own, so the order of files and groups means nothing; taken together (as replay and promtool take them) they run
in the order in which they read each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import InputError, UnsupportedError
from harness.prometheus import ServerSettings
from harness.rules import AlertRule, Group, RecordingRule, Rule, RuleFile
from harness.rules.expr import reach_ms
from harness.rules.selectors import Selector, selections

_MOST_MOMENTS = 4
"""Of a group's longer interval at which it is let tick."""
_STATES = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


@dataclass(frozen=True, slots=True)
class GroupPhases:
    """When groups run, relative to each other."""

    order: tuple[Group, ...] = ()
    """Groups that tick at the same moment run in this order; those not named here, before them, as they read each
    other."""
    shift_ms: Mapping[int, int] = field(default_factory=dict)
    """By id of a group: how long after the multiples of its interval it runs."""


@dataclass(frozen=True, slots=True)
class RuleReads:
    """A rule reads what another records."""

    group: Group
    """The recording's group."""
    rule: RecordingRule
    late: bool
    """Whether it runs after its reader, which therefore sees the tick before."""
    ranged: bool
    """Whether more than its newest sample is looked at: a range, a subquery, an offset."""


@dataclass(frozen=True, slots=True)
class _Place:
    group: Group
    rule: Rule
    at: int
    """Its number in the group."""


class Order:
    """The order of all rules of some files."""

    def __init__(self, files: Sequence[RuleFile], server: ServerSettings, phases: GroupPhases | None = None) -> None:
        self.server = server
        self._phases = phases or GroupPhases()
        self._places = [_Place(g, r, i) for file in files for g in file.groups for i, r in enumerate(g.rules)]
        self._of_rule = {id(place.rule): place for place in self._places}
        self._of_name: dict[str, list[_Place]] = {}
        for place in self._places:
            if isinstance(place.rule, RecordingRule):
                self._of_name.setdefault(place.rule.record, []).append(place)
        self._recordings = [place for place in self._places if isinstance(place.rule, RecordingRule)]
        self._found: dict[int, tuple[tuple[_Place, bool], ...]] = {}
        self._rank = self._ranks(files)
        self._read_ms: dict[int, int] = {}
        self._stored_ms: dict[int, int] = {}
        self._settle()

    # -- what reads what -----------------------------------------------------------------------------------------

    def readings(self, group: Group, rule: Rule) -> list[RuleReads]:
        """What a rule reads of what is recorded. Raises InputError if its expression cannot be read."""
        place = self._place(group, rule)
        return [
            RuleReads(other.group, other.rule, self._is_late(place, other), ranged)
            for other, ranged in self._reads(place)
            if isinstance(other.rule, RecordingRule)
        ]

    def chain(self, group: Group, rule: Rule) -> list[tuple[Group, RecordingRule]]:
        """The recording rules that a rule needs, each after those that it reads itself.

        Raises UnsupportedError where rules read each other in a circle, or read ALERTS.
        """
        done: dict[int, tuple[Group, RecordingRule]] = {}
        path: list[Rule] = []

        def visit(group: Group, rule: Rule) -> None:
            _refuse_states(rule)
            path.append(rule)
            for reading in self.readings(group, rule):
                if any(reading.rule is above for above in path):
                    raise _circle(path, reading.rule)
                if id(reading.rule) not in done:
                    visit(reading.group, reading.rule)
                    self._refuse_ranges(group, rule, reading)
                    done[id(reading.rule)] = (reading.group, reading.rule)
            path.pop()

        visit(group, rule)
        return list(done.values())

    def rank(self, group: Group) -> float:
        """Its number in the order in which groups run at one tick; a query's group, which is in no file, runs last."""
        return self._rank.get(id(group), math.inf)

    def groups(self, files: Sequence[RuleFile]) -> list[Group]:
        """All groups of these files in the order in which they run at one tick."""
        return sorted((group for file in files for group in file.groups), key=self.rank)

    def _place(self, group: Group, rule: Rule) -> _Place:
        """A rule that is not in the files (a query) runs last; a part of one stands where that does."""
        if id(rule) in self._of_rule:
            return self._of_rule[id(rule)]
        at = next((i for i, other in enumerate(group.rules) if other.span == rule.span), len(group.rules))
        return _Place(group, rule, at)

    def _reads(self, place: _Place) -> tuple[tuple[_Place, bool], ...]:
        known = self._found.get(id(place.rule))
        if known is not None:
            return known
        ranged: dict[int, bool] = {}
        for selector, over_time in selections(place.rule.expr):
            for other in self._selected(selector):
                ranged[id(other.rule)] = ranged.get(id(other.rule), False) or over_time
        found = tuple((other, ranged[id(other.rule)]) for other in self._recordings if id(other.rule) in ranged)
        if id(place.rule) in self._of_rule:  # the id of a query's rule may soon be another's
            self._found[id(place.rule)] = found
        return found

    def _selected(self, selector: Selector) -> Iterator[_Place]:
        for place in self._of_name.get(selector.metric, []) if selector.metric else self._recordings:
            if isinstance(place.rule, RecordingRule) and selector.may_accept(_recorded_as(place.group, place.rule)):
                yield place

    def _known_reads(self, place: _Place) -> tuple[tuple[_Place, bool], ...]:
        """As :meth:`_reads`; nothing where the expression cannot be read, which is told when the rule is needed."""
        try:
            return self._reads(place)
        except InputError:
            return ()

    # -- order ---------------------------------------------------------------------------------------------------

    def _ranks(self, files: Sequence[RuleFile]) -> dict[int, int]:
        """By id of a group its number in the order of evaluation: who is read comes before who reads.

        Where groups read each other in a circle, the one that comes first in the files runs last.
        """
        below: dict[int, list[Group]] = {id(group): [] for file in files for group in file.groups}
        for place in self._places:
            below[id(place.group)] += [
                other.group for other, _ in self._known_reads(place) if other.group is not place.group
            ]
        ordered: list[Group] = []
        seen: set[int] = set()
        for file in files:
            for group in file.groups:
                todo = [(group, False)]
                while todo:
                    one, ends = todo.pop()
                    if ends:
                        ordered.append(one)
                    elif id(one) not in seen:
                        seen.add(id(one))
                        todo.append((one, True))
                        todo += [(other, False) for other in reversed(below[id(one)])]
        ranks = {id(group): number for number, group in enumerate(ordered)}
        return ranks | {id(group): len(ranks) + number for number, group in enumerate(self._phases.order)}

    def _is_late(self, reader: _Place, read: _Place) -> bool:
        if reader.group is read.group:
            return reader.at <= read.at
        return self.rank(read.group) > self.rank(reader.group) and _later_ms(reader.group, read.group) >= 0

    # -- moments -------------------------------------------------------------------------------------------------
    #
    # All ticks of these slots are evaluated in one query per rule, so what a rule may not see yet carries a later time
    # stamp than the one at which it looks. Stamps are moved by as few milliseconds as the order of evaluation asks for;
    # where every rule is read after it ran, by none.

    def looks_ms(self, group: Group, rule: Rule) -> int:
        """How long after its group's tick (less `query_offset`) a rule is evaluated."""
        if id(rule) in self._of_rule:
            return self._read_ms.get(id(rule), 0)
        return self._earliest(self._place(group, rule))

    def stored_ms(self, rule: RecordingRule) -> int:
        """How long after its group's tick (less `query_offset`) its results are stamped."""
        return self._stored_ms.get(id(rule), 0)

    def runs_ms(self, group: Group) -> int:
        """How long after the multiples of its interval a group runs."""
        return self._phases.shift_ms.get(id(group), 0)

    def _settle(self) -> None:
        """The least stamps that satisfy all readings; repeated, for one moves the next."""
        for _ in range(len(self._places) + 1):
            changed = False
            for place in self._places:
                reads = self._known_reads(place)
                if not reads:
                    continue
                looks = self._earliest(place)
                if looks > self._read_ms.get(id(place.rule), 0):
                    self._read_ms[id(place.rule)], changed = looks, True
                for other, _ in reads:
                    stored = self._least_stamp(place, other, self._read_ms.get(id(place.rule), 0))
                    if stored > self._stored_ms.get(id(other.rule), 0):
                        self._stored_ms[id(other.rule)], changed = stored, True
            if not changed:
                return

    def _earliest(self, place: _Place) -> int:
        """When a rule must be evaluated to see what ran before it."""
        seen = [
            self._stored_ms.get(id(other.rule), 0) - max(_later_ms(place.group, other.group), 0)
            for other, _ in self._known_reads(place)
            if not self._is_late(place, other)
        ]
        return max(seen, default=0)

    def _least_stamp(self, reader: _Place, read: _Place, looks_ms: int) -> int:
        """From which stamp on the reader does not see what is recorded only after it ran."""
        later = _later_ms(reader.group, read.group)
        if later < 0:
            return 0
        if self._is_late(reader, read):
            return looks_ms + later + 1
        shift = self.runs_ms(read.group) - self.runs_ms(reader.group)
        next_tick_ms = math.gcd(reader.group.interval_ms, read.group.interval_ms)
        if shift % next_tick_ms:
            next_tick_ms = shift % next_tick_ms
        return looks_ms + later - next_tick_ms + 1

    def _refuse_ranges(self, group: Group, rule: Rule, reading: RuleReads) -> None:
        """A window over moved stamps holds other samples than Prometheus' does."""
        if reading.ranged and not self._phases.order and self.stored_ms(reading.rule) > self.looks_ms(group, rule):
            why = (
                "which its own group records after it"
                if group is reading.group
                else "whose group has a larger `query_offset`"
                if _later_ms(group, reading.group) > 0
                else "whose group reads what this rule's group records"
            )
            raise UnsupportedError(
                f"`{name_of(rule)}` looks back over `{reading.rule.record}`, {why}",
                span=rule.expr.span_at(0),
                hint="record it before its reader, in one group, for a window over it to hold the newest sample",
            )


def other_phases(own: Group, recording: Sequence[Group]) -> list[GroupPhases]:
    """Ways in which Prometheus may let an alert's group and those whose recordings it reads tick, other than all
    together and in the order in which they read each other. `recording` is in that order.

    Up to two groups in every order, more from the freshest results to the stalest; a group with a longer interval at
    several moments of it.
    """
    usual = (*recording, own)
    if len(recording) <= 2:
        orders = list(itertools.permutations(usual))
    else:
        orders = [usual, tuple(reversed(usual))] + [(*(g for g in usual if g is not late), late) for late in recording]
    made = [GroupPhases(order) for order in orders[1:]]
    for group in recording:
        moments = group.interval_ms // own.interval_ms
        for k in sorted({1 + i * (moments - 1) // _MOST_MOMENTS for i in range(_MOST_MOMENTS)} if moments > 1 else ()):
            made += [GroupPhases(order, {id(group): k * own.interval_ms}) for order in (usual, tuple(reversed(usual)))]
    return made


def looks_back(order: Order, chain: Sequence[tuple[Group, Rule]]) -> tuple[int, dict[int, int]]:
    """How far back the last rule of a chain sees through the recording rules before it, and (by id of a rule) how long
    each of those must be warm.

    A rule that ranges over what another records, which itself needs to be warm, needs both times; one that runs before
    what it reads needs the tick before.
    """
    reach: dict[int, int] = {}
    warm: dict[int, int] = {id(rule): 0 for _, rule in chain}
    for group, rule in chain:
        below = [
            reach[id(r.rule)]
            + r.group.interval_ms * (2 if r.late else 1)
            + order.stored_ms(r.rule)
            + order.runs_ms(r.group)
            for r in order.readings(group, rule)
        ]
        reach[id(rule)] = reach_ms(rule.expr, order.server) + group.query_offset_ms + max(below, default=0)
    for group, rule in reversed(chain):
        for r in order.readings(group, rule):
            own = (reach_ms(rule.expr, order.server) if r.ranged else 0) + (r.group.interval_ms if r.late else 0)
            warm[id(r.rule)] = max(warm[id(r.rule)], warm[id(rule)] + own)
    return reach[id(chain[-1][1])], warm


def name_of(rule: Rule) -> str:
    """The name of the alert or of what is recorded."""
    return rule.alert if isinstance(rule, AlertRule) else rule.record


def _recorded_as(group: Group, rule: RecordingRule) -> dict[str, str]:
    """The labels that what a rule records surely carries, its name among them."""
    return {**{name: text.value for name, text in group.labels_of(rule).items()}, "__name__": rule.record}


def _later_ms(reader: Group, read: Group) -> int:
    """By how much later than its reader looks a group runs for the same stamp."""
    return read.query_offset_ms - reader.query_offset_ms


def _refuse_states(rule: Rule) -> None:
    if any(selector.metric in _STATES for selector, _ in selections(rule.expr)):
        raise UnsupportedError(
            f"`{name_of(rule)}` reads ALERTS, the state of other alerts",
            span=rule.expr.span_at(0),
            hint="replay cannot follow alerts on alerts; test this rule with promtool",
        )


def _circle(path: Sequence[Rule], again: RecordingRule) -> UnsupportedError:
    names = [name_of(rule) for rule in path[next(i for i, rule in enumerate(path) if rule is again) :]]
    if len(names) == 1:
        message = f"`{again.record}` reads itself: what it records depends on all ticks before"
    else:
        message = f"{', '.join(f'`{name}`' for name in names)} read each other in a circle"
    return UnsupportedError(
        message,
        span=path[-1].expr.span_at(0),
        hint="test this rule with promtool: replay evaluates all ticks of a rule at once",
    )
