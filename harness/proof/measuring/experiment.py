"""One rule over worlds of one kind, on an engine: what it does with the knob at a position, and under a course of it.

Nothing here knows a contract: a world is whatever a world maker makes of a course of the knob.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TypeVar

from harness.contracts.world import KnobSteps, Scrapes, Trace
from harness.proof.measuring.sampling import Sampling
from harness.proof.model import Case, Sides
from harness.proof.positions import KnobPositions
from harness.replay import AlertTimeline, Batch, Plan, Replay, SlotRange, SlotWriter
from harness.rules.expr import Comparison
from harness.rules.spans import one_line
from harness.series import Labels, format_labels

WorldMaker = Callable[[KnobSteps, Scrapes], Sequence[Trace]]
"""Makes the series of a world from a course of its knob and the times at which it is scraped."""

_MAX_PHASES = 6
_FAR_PHASES = 3


@dataclass(frozen=True, slots=True)
class SteadyWorlds:
    """Worlds that stand still, and the ends of them at which they are looked at."""

    slots: SlotRange
    worlds: Sequence[Sequence[Trace]]
    length_ms: int
    offsets_ms: Sequence[int]
    """Milliseconds since the worlds began, the last tick first: one for each phase in which ticks meet scrapes."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A rule (the plan's), a knob, and how a world follows from it."""

    plan: Plan
    make_world: WorldMaker
    positions: KnobPositions
    sampling: Sampling
    writer: SlotWriter
    replay: Replay

    @property
    def scrape_ms(self) -> int:
        return self.sampling.scrape_ms

    @property
    def window_ticks(self) -> int:
        return window_ticks(self.plan, self.scrape_ms)

    def played(self) -> Experiment:
        """The same with ticks as far apart as its sampling has them."""
        return replace(self, plan=self.sampling.played(self.plan))

    def in_other_phases(self) -> Iterator[Experiment]:
        """The same with the groups that the rule reads ticking at other moments, as Prometheus may let them."""
        for replay, plan in self.replay.otherwise(self.plan):
            yield replace(self, plan=plan, replay=replay)

    # -- the knob stands still -----------------------------------------------------------------------------------

    def steady(self, xs: Sequence[Fraction], scrape_ms: int = 0) -> SteadyWorlds:
        """Record the knob at each x, long enough for every window to see nothing else; `scrape_ms` if not as usual."""
        interval, scrape_ms = self.plan.interval_ms, scrape_ms or self.scrape_ms
        phases = math.lcm(scrape_ms, interval) // interval
        stride = 1
        if self.sampling.far:  # few, but all over the spacing of the scrapes
            stride = max(1, scrape_ms // interval // _FAR_PHASES)
            phases = min(_FAR_PHASES, phases)
        phases = min(_MAX_PHASES, phases)
        needed = self.plan.window_ms + 2 * scrape_ms + (phases - 1) * stride * interval
        length = -(-needed // interval) * interval
        scrapes = Scrapes.regular(scrape_ms, length, self.plan.tick_ms)
        worlds = [self.make_world(((0, x),), scrapes) for x in xs]
        return self.record(worlds, length, [length - i * stride * interval for i in range(phases)])

    def record(self, worlds: Sequence[Sequence[Trace]], length_ms: int, offsets_ms: Sequence[int]) -> SteadyWorlds:
        """Record worlds of so many milliseconds, to be looked at at these moments."""
        reach, first, align = self.plan.reach_ms, 0, self.plan.align_ms
        if self.sampling.far:
            # What it sees at the end of a world begins where the world does: between them need stand nothing but what
            # recording rules write when it is over.
            reach = max(reach - min(offsets_ms), self.plan.marked_ms)
            first = min(offsets_ms) // align * align
        (slots,) = self.writer.record([Batch(worlds, length_ms, reach, align, asked_from_ms=first)])
        return SteadyWorlds(slots, worlds, length_ms, offsets_ms)

    def at_end(self, steady: SteadyWorlds, expr: str) -> list[dict[Labels, float]]:
        """What `expr` (the rule's own or a part of it) returns on the last tick of each world."""
        return self.replay.instants(self.plan, expr, steady.slots, steady.offsets_ms[0])

    def holds(self, steady: SteadyWorlds) -> list[bool]:
        """Per world whether the rule returns something on every tick, in whatever phase it meets the scrapes."""
        truth = [True] * steady.slots.count
        for offset in steady.offsets_ms:
            for i, found in enumerate(self.replay.instants(self.plan, self.plan.rule.expr.value, steady.slots, offset)):
                truth[i] = truth[i] and bool(found)
        return truth

    def truth(self, positions: Sequence[int]) -> dict[int, bool]:
        """Whether the rule holds with the knob at each of these positions."""
        truth: dict[int, bool] = {}
        for asked in chunks(positions, self.sampling.at_once):
            steady = self.steady([self.positions.value(p) for p in asked])
            truth.update(zip(asked, self.holds(steady), strict=True))
        return truth

    def sides(self, comparison: Comparison, steady: SteadyWorlds) -> list[Sides]:
        """What a comparison of the rule compares in each world."""
        left, right = self.at_end(steady, comparison.left), self.at_end(steady, comparison.right)
        return [
            Sides(one_line(comparison.text), comparison.op, _shown(lhs), _shown(rhs), comparison.span)
            for lhs, rhs in zip(left, right, strict=True)
        ]

    # -- the knob moves ------------------------------------------------------------------------------------------

    def play(self, courses: Mapping[str, KnobSteps], ticks: int, *, led: bool = True) -> list[Case]:
        """Record a world under each course of the knob and replay the rule over it, by the name of the course; `led`:
        from a steady state on, else from nothing."""
        length = ticks * self.plan.interval_ms
        lead = lead_ms(self.plan, self.scrape_ms) if led else 0
        scrapes = Scrapes.regular(self.scrape_ms, length, self.plan.tick_ms, lead)
        worlds = [self.make_world(course, scrapes) for course in courses.values()]
        every, phase = self.scrape_ms, scrapes.phase_ms
        return [
            Case(name, world, every, phase, ticks + 1, tuple(timelines), lead, tick_ms=self.plan.interval_ms)
            for name, world, timelines in zip(courses, worlds, self.play_worlds(worlds, length, lead), strict=True)
        ]

    def play_sparsely(self, name: str, course: KnobSteps, ticks: int) -> Case:
        """A course of many ticks, of which few are evaluated, with history before it that is not evaluated at all."""
        length, lead = ticks * self.plan.interval_ms, lead_ms(self.plan, self.scrape_ms)
        scrapes = Scrapes.regular(self.scrape_ms, length, self.plan.tick_ms, lead)
        world = self.make_world(course, scrapes)
        (slots,) = self.writer.record([Batch([world], length, self.plan.reach_ms, self.plan.align_ms, lead)])
        (timelines,) = self.replay.sparse_timelines(self.plan, slots, self.sampling.tick_ms)
        return Case(name, world, self.scrape_ms, scrapes.phase_ms, ticks + 1, tuple(timelines), lead)

    def play_worlds(self, worlds: Sequence[Sequence[Trace]], length_ms: int, lead_ms: int) -> list[list[AlertTimeline]]:
        """The timelines of worlds that had a lead, from the case's beginning on. The rule is evaluated in the lead too,
        from its very first tick, as promtool does it."""
        slots = self.record_later(worlds, length_ms, lead_ms)
        first, interval = lead_ms // self.plan.interval_ms, self.plan.interval_ms
        return [
            [timeline.between(first, first + length_ms // interval + 1) for timeline in timelines]
            for timelines in self.replay.timelines(self.plan, slots)
        ]

    def play_worlds_from_steady(
        self, worlds: Sequence[Sequence[Trace]], length_ms: int, lead_ms: int
    ) -> list[list[AlertTimeline]]:
        """The same for a rule that looks back far: its lead is history alone, not evaluated tick by tick.

        What holds on the last tick before a case has held since long ago, as long as `for` asks.
        """
        batch = Batch(worlds, length_ms, self.plan.reach_ms, self.plan.align_ms, lead_ms)
        (slots,) = self.writer.record([batch])
        return self.replay.timelines(self.plan, slots, steady_before=True)

    def record_later(self, worlds: Sequence[Sequence[Trace]], length_ms: int, lead_ms: int) -> SlotRange:
        """Record worlds so that what is their lead is the beginning of their slots."""
        later = [_later(world, lead_ms) for world in worlds]
        (slots,) = self.writer.record([Batch(later, lead_ms + length_ms, self.plan.reach_ms, self.plan.align_ms)])
        return slots


def lead_ms(plan: Plan, scrape_ms: int) -> int:
    """How long a world stands still before its case begins, in whole ticks: every window is full by then, and what an
    empty window had let fire in the very beginning (`absent()`) is over."""
    needed = plan.window_ms + 2 * scrape_ms + plan.rule.keep_firing_ms
    return -(-needed // plan.align_ms) * plan.align_ms


def window_ticks(plan: Plan, scrape_ms: int) -> int:
    """After so many ticks nothing is seen of how the knob stood before."""
    return plan.window_ms // plan.interval_ms + scrape_ms // plan.interval_ms + 2


def busiest(timelines: Sequence[AlertTimeline]) -> AlertTimeline | None:
    """The alert that the expression returned most often; in a main signal there should be one only."""
    return max(timelines, key=lambda t: len(t.true_at), default=None)


def true_since(alert: AlertTimeline, tick: int) -> int:
    """The first tick of the unbroken run of returns that ends with `tick`.

    Backwards, for the first minutes of a series may return it too: rate() underestimates until its window fills.
    """
    while tick - 1 in alert.true_at:
        tick -= 1
    return tick


_T = TypeVar("_T")


def chunks(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    """The items in order, at most so many at a time."""
    for start in range(0, len(items), most):
        yield items[start : start + most]


def _shown(values: Mapping[Labels, float]) -> dict[str, float]:
    return {format_labels(labels): value for labels, value in values.items()}


def _later(world: Sequence[Trace], by_ms: int) -> list[Trace]:
    """The same series with all times moved; those that share their times still do, which makes them quick to write."""
    known: dict[int, list[int]] = {}

    def moved(trace: Trace) -> Trace:
        times = known.get(id(trace.times_ms)) or [at + by_ms for at in trace.times_ms]
        known[id(trace.times_ms)] = times
        return Trace(trace.labels, times, trace.values)

    def dated(trace: Trace, begin_ms: int) -> Trace:
        made = trace.beginning_at(begin_ms + by_ms)
        return Trace(made.labels, [at + by_ms for at in made.times_ms], made.values)

    return [
        moved(trace) if trace.dated is None else replace(dated(trace, 0), dated=partial(dated, trace))
        for trace in world
    ]
