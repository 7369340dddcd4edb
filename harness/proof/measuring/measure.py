"""Measure one alert against its contract on a real Prometheus: where it fires, when, and in which situations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TypeVar

from harness.contracts import Contract, ContractKind, Op, Situation
from harness.contracts.model import Shape
from harness.contracts.world import KnobSteps, Scrapes, Trace, traces
from harness.engines import QueryError
from harness.proof.measuring.ages import check_ages, is_bound_to_a_clock, positive_from_ms
from harness.proof.measuring.explain import Why, always_returns, nearest, returns_nothing, unmatched
from harness.proof.measuring.phases import ANY_BEGIN, PhaseReport, find_phases, probe
from harness.proof.measuring.rounding import beside, disturbed, rounding
from harness.proof.measuring.sampling import Pace, pace_of, situation_scrape_ms, window_ms
from harness.proof.model import Boundary, CurvePoint, Fact, LocatedAlert, Measured, Sides, SituationResult
from harness.proof.positions import KnobPositions, refine, ulps_between
from harness.replay import AlertState, AlertTimeline, Batch, Plan, Replay, SlotRange, SlotWriter, opaque_labels
from harness.rules.expr import Comparison, comparisons, parse_expr
from harness.rules.selectors import made_labels
from harness.rules.spans import one_line
from harness.series import Labels, carries, format_labels
from harness.units import format_duration, format_number

_ROUND = 64
"""Positions per round of a search: each round is one write and one query."""
_MAX_FLIPS = 4
"""Flips that are refined; a rule with more of them is no threshold, and its verdict says so after the first."""
_MAX_PHASES = 6
_FAR_PHASES = 3
_WATCHED_MS = 7_200_000
_SAME_COURSE = 1e-9
_AS_GROUPS_TICK = " if the groups that it reads tick at other moments, as Prometheus may let them"
_MORE_TICKS = 2
"""Of a course that is played with groups in other phases, beside the delays that those may bring."""
_PULSES = 8
"""How far around the expected length pulses are tried when one of an exact number of ticks is wanted."""

_ALWAYS_TICKS = 10
"""How long an alert that is meant to fire always is watched once it does."""

ALWAYS = "always: fires at every tick from its hold on"
_MOST_EVALUATIONS = 12_000
"""How many rules promtool may evaluate (60 µs each) before a course that must lie late in its time."""
_BEFORE = 2
"""Ticks of a course before the knob moves; the steady world before them has filled every window."""

_PULSE = "fires, then recovers"
JUST_PAST, LAST_QUIET = "just past the threshold: fires", "at the last quiet value: stays quiet"
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Met:
    """A world in which, at the threshold, both sides of the rule's comparison are the same double."""

    world: str
    fires: bool
    value: float


@dataclass(slots=True)
class Search:
    """What the knob's survey found: truth per position and the refined flips between neighbours."""

    truth: dict[int, bool]
    flips: list[tuple[int, int]]
    surveyed: list[int]
    """The positions of the survey, in the order of its cases …"""
    survey: _Steady | None
    """… and where those are recorded; None if not all at once."""

    def fires_somewhere(self) -> bool:
        return any(self.truth.values())

    def quiet_somewhere(self) -> bool:
        return not all(self.truth.values())


@dataclass(slots=True)
class Measurement:
    """All that was learnt about one alert with a contract."""

    axis: KnobPositions
    measured: Measured
    search: Search
    met: list[Met]
    gap: float | None
    """At the threshold in the main world: how far apart the comparison's sides are (None: no comparison flipped)."""
    tolerated: int
    """How many positions of the knob rounding may put between the boundary and the threshold."""
    in_direction: bool
    """Whether the boundary runs the way the contract says (fires above for `>`)."""
    situations: list[SituationResult]
    moment_ms: int
    """When the boundary is taken, in milliseconds since its worlds began …"""
    changes_ms: int | None
    """… and when their signal changes after that though the knob stands still; None: not within two hours."""
    pace: Pace
    """How densely its worlds were sampled and its courses played."""
    phases: PhaseReport | None = None
    """What it does at other times of the calendar; None: the same at any."""
    why: Why | None = None
    """Why it never fires, or always."""
    looked_at: Fraction | None = None
    """The position of the knob at which that was looked into; None: it was not."""
    seen_ms: int = 0
    """For how long a sample is seen that no other follows: the server's lookback."""
    unmatched: Callable[[], tuple[str, ...]] = tuple
    """Tells metrics that the rule reads and nobody makes, and the other way round; not asked where all is as meant."""


def _end(contract: Contract, axis: KnobPositions, *, fires: bool) -> Fraction:
    """Where a rule without boundary surprises most: if it fires, where it should most surely be quiet; if it is quiet,
    where it should most surely fire."""
    ends = [axis.lowest, axis.highest]
    if contract.op is Op.EQ:
        if not fires:
            return contract.threshold
        return axis.value(max(ends, key=lambda position: abs(axis.value(position) - contract.threshold)))
    return axis.value(ends[contract.op.fires_above is not fires])


class Measurer:
    """Measures alerts on one engine; `advance` is told after each step, for progress."""

    def __init__(self, writer: SlotWriter, replay: Replay, advance: Callable[[], None] = lambda: None) -> None:
        self.writer = writer
        self.replay = replay
        self.advance = advance
        self._pace = Pace(0, 0, far=False, at_once=_ROUND, narrowed_by=_ROUND)

    def measure(self, contract: Contract, located: LocatedAlert) -> Measurement:
        """Measure boundary, timings and situations; raises QueryError where Prometheus cannot evaluate the rule."""
        plan = self.replay.plan(located.group, located.rule)
        check_ages(contract, plan)
        self._pace = pace_of(contract, plan, self.writer)
        contract = replace(contract, scrape_ms=self._pace.scrape_ms)
        axis = KnobPositions.of(contract)
        phases = find_phases(contract, plan, self.writer)
        if phases is None:
            result = self._measure(contract, plan, axis)
        else:
            report = probe(contract, plan, axis, phases, self.writer, self.replay)
            at_home = Measurer(report.writer(self.writer, plan), self.replay, self.advance)
            at_home._pace = self._pace
            result = at_home._measure(contract, plan, axis)
            result.phases = report
        runs = ANY_BEGIN if result.phases is None else result.phases.promtool_begins(plan)
        latest = _MOST_EVALUATIONS // sum(len(group.rules) for group in located.file.groups) * plan.interval_ms
        result.measured.facts = _for_promtool(result.measured.facts, runs, latest, plan)
        result.measured.situation_facts = _for_promtool(result.measured.situation_facts, runs, latest, plan)
        bound = {s.name for s in contract.situations if is_bound_to_a_clock(s.signal, plan)}
        result.measured.situation_facts = [
            replace(fact, promtool_ms=None) if fact.name in bound else fact for fact in result.measured.situation_facts
        ]
        if is_bound_to_a_clock(contract.signal, plan):
            result.measured.facts = [replace(fact, promtool_ms=None) for fact in result.measured.facts]
        return result

    def _measure(self, contract: Contract, plan: Plan, axis: KnobPositions) -> Measurement:
        search = self._search(contract, plan, axis)
        self.advance()
        measured = Measured(made=_made(plan))
        moment = window_ms(plan) + 2 * contract.scrape_ms
        changes = _changes_after(contract, axis, moment)
        result = Measurement(axis, measured, search, [], None, 0, True, [], moment, changes, self._pace)
        result.seen_ms = plan.server.lookback_ms
        if contract.kind is ContractKind.ALWAYS and search.fires_somewhere():
            self._always(contract, plan, axis, search, measured)
            self.advance()
        elif search.fires_somewhere() and search.quiet_somewhere():
            quiet, fires, result.in_direction = _pair(search, axis, contract.op)
            measured.boundary = _boundary(axis, contract.op, quiet, fires)
            self._attribute(contract, plan, axis, quiet, fires, result)
            axis = result.axis = replace(axis, blur=max(axis.blur, result.tolerated))
            self.advance()
            self._timings(contract, plan, axis, quiet, fires, search, measured)
        else:
            result.looked_at = _end(contract, axis, fires=search.fires_somewhere())
            result.why = self._at_the_end(contract, plan, result.looked_at, measured)
            self.advance()
        self.advance()
        recordings = [rule for _, rule in plan.recordings]
        result.unmatched = lambda: unmatched(plan.rule.expr, recordings, _series(contract, axis))
        result.situations, measured.situation_facts = self._situations(contract, plan)
        self.advance()
        return result

    # -- boundary ------------------------------------------------------------------------------------------------

    def _search(self, contract: Contract, plan: Plan, axis: KnobPositions) -> Search:
        surveyed = axis.survey()
        if not self._pace.far:
            survey = self._steady(contract, plan, [axis.value(p) for p in surveyed], contract.scrape_ms)
            truth = dict(zip(surveyed, self._holds(plan, survey, plan.rule.expr.value), strict=True))
        else:
            survey, truth = None, self._truth(contract, plan, axis, surveyed)
        flips = refine(
            truth,
            axis.at_threshold,
            lambda wanted: self._truth(contract, plan, axis, wanted),
            _MAX_FLIPS,
            self._pace.narrowed_by,
        )
        return Search(truth, flips, surveyed, survey)

    def _truth(self, contract: Contract, plan: Plan, axis: KnobPositions, positions: Sequence[int]) -> dict[int, bool]:
        truth: dict[int, bool] = {}
        for asked in _chunks(positions, self._pace.at_once):
            steady = self._steady(contract, plan, [axis.value(p) for p in asked], contract.scrape_ms)
            truth.update(zip(asked, self._holds(plan, steady, plan.rule.expr.value), strict=True))
        return truth

    def _steady(self, contract: Contract, plan: Plan, xs: Sequence[Fraction], scrape_ms: int) -> _Steady:
        """Record the main signal with the knob standing still, long enough for every window to see nothing else."""
        interval = plan.interval_ms
        phases = math.lcm(scrape_ms, interval) // interval
        stride = 1
        if self._pace.far:  # few, but all over the spacing of the scrapes
            stride = max(1, scrape_ms // interval // _FAR_PHASES)
            phases = min(_FAR_PHASES, phases)
        phases = min(_MAX_PHASES, phases)
        needed = window_ms(plan) + 2 * scrape_ms + (phases - 1) * stride * interval
        length = -(-needed // interval) * interval
        scrapes = Scrapes.regular(scrape_ms, length, plan.tick_ms)
        cases = [traces(contract.signal, ((0, x),), scrapes) for x in xs]
        return self._record(plan, cases, length, [length - i * stride * interval for i in range(phases)])

    def _record(self, plan: Plan, cases: Sequence[Sequence[Trace]], length: int, offsets_ms: Sequence[int]) -> _Steady:
        reach, first = plan.reach_ms, 0
        if self._pace.far:
            # What it sees at the end of a case begins where the case does: between them need stand nothing but what
            # recording rules write when the case is over.
            reach = max(reach - min(offsets_ms), plan.marked_ms)
            first = min(offsets_ms) // plan.align_ms * plan.align_ms
        (slots,) = self.writer.record([Batch(cases, length, reach, plan.align_ms, asked_from_ms=first)])
        return _Steady(slots, cases, length, offsets_ms)

    def _holds(self, plan: Plan, steady: _Steady, expr: str) -> list[bool]:
        """Per case whether `expr` returns something on every tick, in whatever phase it meets the scrapes."""
        truth = [True] * steady.slots.count
        for offset in steady.offsets_ms:
            for i, found in enumerate(self.replay.instants(plan, expr, steady.slots, offset)):
                truth[i] = truth[i] and bool(found)
        return truth

    # -- what flipped, and what it compares ----------------------------------------------------------------------

    def _attribute(
        self, contract: Contract, plan: Plan, axis: KnobPositions, quiet: int, fires: int, result: Measurement
    ) -> None:
        """Name the comparison that flips at the boundary, and find worlds in which it meets the threshold exactly."""
        xs = [axis.value(quiet), axis.value(fires), axis.threshold]
        steady = self._steady(contract, plan, xs, contract.scrape_ms)
        at = steady.offsets_ms[0]
        matched = self.replay.instants(plan, plan.rule.expr.value, steady.slots, at)[1]
        result.measured.matched = [(format_labels(labels), value) for labels, value in matched.items()]
        flipped = []
        for comparison in comparisons(plan.rule.expr):
            found = self.replay.instants(plan, comparison.text, steady.slots, at)
            if not comparison.is_bool and bool(found[0]) == bool(found[1]):
                continue
            if comparison.is_bool and found[0] == found[1]:
                continue
            flipped.append(comparison)
            sides = self._sides(plan, comparison, steady.slots, at)
            result.measured.at_quiet.append(sides[0])
            result.measured.at_fires.append(sides[1])
            result.gap = _closest(sides[2], result.gap)
        for name, scrape_ms in self._worlds(contract) if flipped else ():
            world = steady
            if name != MAIN:
                world = self._steady(contract, plan, [axis.threshold], scrape_ms)
            case = world.slots.count - 1
            truth = self._holds(plan, world, plan.rule.expr.value)[case]
            for comparison in flipped:
                sides_now = self._sides(plan, comparison, world.slots, world.offsets_ms[0])[case]
                shared = set(sides_now.left.values()) & set(sides_now.right.values())
                if shared:
                    result.met.append(Met(name, truth, min(shared)))
        boundary = result.measured.boundary
        if flipped and boundary is not None and (boundary.steps or not result.met):
            result.tolerated = self._tolerated(contract, plan, axis, flipped, boundary, result.gap)
        self._curve(contract, plan, axis, flipped[0] if flipped else None, result)

    def _tolerated(
        self,
        contract: Contract,
        plan: Plan,
        axis: KnobPositions,
        flipped: Sequence[Comparison],
        boundary: Boundary,
        gap: float | None,
    ) -> int:
        """How many positions of the knob lie within the rounding of contract and rule: see rounding.py."""
        point = beside(axis, boundary.fires_at)
        known = self._steady(contract, plan, [axis.threshold, point], contract.scrape_ms)
        sides: list[list[tuple[dict[Labels, float], dict[Labels, float]]]] = [[] for _ in flipped]

        def look(steady: _Steady) -> None:
            for comparison, seen in zip(flipped, sides, strict=True):
                left = self.replay.instants(plan, comparison.left, steady.slots, steady.offsets_ms[0])
                right = self.replay.instants(plan, comparison.right, steady.slots, steady.offsets_ms[0])
                seen += zip(left, right, strict=True)

        look(known)
        for worlds in _chunks(disturbed(known.cases[0]), self._pace.at_once):
            look(self._record(plan, worlds, known.length_ms, known.offsets_ms))
        most = 0
        for comparison, seen in zip(flipped, sides, strict=True):
            texts = comparison.left, comparison.right
            found = rounding(axis, texts, len(known.cases[0]), seen, point)
            if found is None:
                continue
            if axis.knob.step is None:
                most = max(most, found.positions)
            elif gap is not None and 0 < gap <= found.error:
                most = 1  # rounding takes the threshold's own position for that of its neighbour
        return most

    def _curve(
        self, contract: Contract, plan: Plan, axis: KnobPositions, comparison: Comparison | None, result: Measurement
    ) -> None:
        """What the comparison's left side is at every surveyed position, for people to look at."""
        search, shown = result.search, result.search.surveyed
        survey = search.survey
        if survey is None or not self.writer.holds(survey.slots):  # of a far-sighted rule some must do
            shown = shown[:: -(-len(shown) // self._pace.at_once)]
            survey = self._steady(contract, plan, [axis.value(p) for p in shown], contract.scrape_ms)
        left: list[dict[Labels, float]] = [{} for _ in shown]
        if comparison is not None:
            left = self.replay.instants(plan, comparison.left, survey.slots, survey.offsets_ms[0])
            right = result.measured.at_fires[0].right
            if len(right) == 1:
                (result.measured.limit,) = right.values()
        for position, values in zip(shown, left, strict=True):
            # Several series (neighbours of the culprit) make no one curve: the one that fires first is shown.
            first = min if comparison is not None and comparison.op in ("<", "<=", "==") else max
            value = first(values.values(), default=None)
            fires = search.truth[position]
            result.measured.curve.append(CurvePoint(float(axis.value(position)), value, fires))

    def _at_the_end(self, contract: Contract, plan: Plan, x: Fraction, measured: Measured) -> Why | None:
        """For a rule without boundary: what it computes with the knob at x, and why it is the same everywhere."""
        steady = self._steady(contract, plan, [x], contract.scrape_ms)
        at = steady.offsets_ms[0]
        matched = self.replay.instants(plan, plan.rule.expr.value, steady.slots, at)[0]
        measured.matched = [(format_labels(labels), value) for labels, value in matched.items()]
        measured.at_fires = [self._sides(plan, c, steady.slots, at)[0] for c in comparisons(plan.rule.expr)]
        if matched:
            return always_returns(plan.rule.expr)
        return returns_nothing(plan.rule.expr, lambda text: self.replay.instants(plan, text, steady.slots, at)[0])

    def _always(self, contract: Contract, plan: Plan, axis: KnobPositions, search: Search, measured: Measured) -> None:
        """For a rule that is meant to fire always: that it does, tick by tick, and how long it waits before."""
        x = axis.value(min(p for p, fires in search.truth.items() if fires))
        plan = self._pace.played(plan)
        window = _window_ticks(plan, contract)
        ticks = window + plan.hold_ticks + _ALWAYS_TICKS
        (fact,) = self._facts(contract, plan, {ALWAYS: [(0, x)]}, ticks, led=False)
        measured.facts.append(fact)
        alert = busiest(fact.timelines)
        first_firing = alert.first(AlertState.FIRING) if alert is not None else None
        if alert is not None and first_firing is not None:
            measured.fires_after_ms = (first_firing - true_since(alert, first_firing)) * plan.interval_ms

    def _worlds(self, contract: Contract) -> list[tuple[str, int]]:
        """The main world, and for counters the same scraped at other intervals: rounding differs, meaning does not."""
        worlds = [(MAIN, contract.scrape_ms)]
        if any(spec.shape is not Shape.GAUGE for spec in contract.signal.series):
            for factor in (Fraction(1, 2), Fraction(2)):
                scrape = contract.scrape_ms * factor
                if scrape >= 2000 and scrape.denominator == 1:
                    worlds.append((f"scraped every {float(scrape / 1000):g}s", int(scrape)))
        return worlds

    def _sides(self, plan: Plan, comparison: Comparison, slots: SlotRange, at: int) -> list[Sides]:
        left = self.replay.instants(plan, comparison.left, slots, at)
        right = self.replay.instants(plan, comparison.right, slots, at)
        return [
            Sides(one_line(comparison.text), comparison.op, _shown(lhs), _shown(rhs), comparison.span)
            for lhs, rhs in zip(left, right, strict=True)
        ]

    # -- time ----------------------------------------------------------------------------------------------------

    def _timings(
        self,
        contract: Contract,
        plan: Plan,
        axis: KnobPositions,
        quiet: int,
        fires: int,
        search: Search,
        measured: Measured,
    ) -> None:
        """Hold, one tick too short, a gap, recovery: all with the knob standing clearly on either side."""
        interval, hold = plan.interval_ms, plan.hold_ticks
        on, off = _clear(search, axis, fires, firing=True), _clear(search, axis, quiet, firing=False)
        window = _window_ticks(plan, contract)
        keep = -(-plan.rule.keep_firing_ms // interval)
        lead = _BEFORE
        ends = lead + window + hold + 6
        ticks = ends + window + keep + 4

        def knob(*steps: tuple[int, Fraction]) -> KnobSteps:
            return [(tick * interval, x) for tick, x in steps]

        steady = {
            JUST_PAST: knob((-1, axis.value(quiet)), (0, axis.value(fires))),
            LAST_QUIET: knob((0, axis.value(quiet))),
        }
        if self._pace.far:
            played = self._pace.played(plan)
            few = _window_ticks(played, contract) + played.hold_ticks
            steps: dict[str, KnobSteps] = {
                JUST_PAST: [(-played.interval_ms, axis.value(quiet)), (0, axis.value(fires))],
                LAST_QUIET: [(0, axis.value(quiet))],
            }
            measured.facts.extend(self._facts(contract, played, steps, few + 2))
            pulse = self._sparse_fact(contract, plan, _PULSE, knob((0, off), (lead, on), (ends, off)), ticks)
            on_off = [(0, off), (lead * played.interval_ms, on), ((lead + few + 6) * played.interval_ms, off)]
            keep_few = -(-plan.rule.keep_firing_ms // played.interval_ms)
            measured.facts.extend(self._facts(contract, played, {_PULSE: on_off}, lead + 2 * few + keep_few + 10))
        else:
            measured.facts.extend(self._facts(contract, plan, steady, window + hold + 2))
            course = {_PULSE: knob((0, off), (lead, on), (ends, off))}
            (pulse,) = self._facts(contract, plan, course, ticks)
            measured.facts.append(pulse)
        alert = busiest(pulse.timelines)
        if alert is None or not alert.true_at:
            return
        first_firing = alert.first(AlertState.FIRING)
        if first_firing is None:
            return
        first_true = true_since(alert, first_firing)
        measured.fires_after_ms = (first_firing - first_true) * interval
        if not self._pace.far:
            if looks_back(contract, plan, (first_true - lead) * interval):
                measured.late_ms = (first_true - lead) * interval
            self._other_phases(contract, plan, course, ticks, (first_true, first_firing), measured)
        false_again = min((t for t in range(first_firing, pulse.ticks) if t not in alert.true_at), default=None)
        if false_again is None:
            return
        resolved = next((t for t in range(false_again, pulse.ticks) if alert.states[t] is not AlertState.FIRING), None)
        if resolved is not None:
            measured.resolves_after_ms = (resolved - false_again) * interval
        if measured.fires_after_ms == 0 or self._pace.far:
            return
        waits = measured.fires_after_ms // interval  # ticks from pending to firing, as measured
        rise, fall = first_true - lead, false_again - ends
        guess = max(1, waits + rise - fall)
        lengths = [n for n in range(guess - _PULSES, guess + _PULSES + 1) if n > 0]
        shorts = self._facts(
            contract,
            plan,
            {f"{n} ticks": knob((0, off), (lead, on), (lead + n, off)) for n in lengths},
            lead + max(lengths) + window + keep + 4,
        )
        quiet_lengths = [0]
        for short in shorts:
            if short.timelines and not any(t.fires for t in short.timelines):
                quiet_lengths.append(_run_length(short, lead))
        longest = max(quiet_lengths)
        if longest:
            measured.too_short_ms = (longest - 1) * interval
            n, exact = next((n, s) for n, s in zip(lengths, shorts, strict=True) if _run_length(s, lead) == longest)
            measured.facts.append(replace(exact, name="one tick too short: never fires"))
            self._gap(contract, plan, (on, off), lead, lead + n, waits, measured)

    def _other_phases(
        self,
        contract: Contract,
        plan: Plan,
        course: dict[str, KnobSteps],
        ticks: int,
        here: tuple[int, int],
        measured: Measured,
    ) -> None:
        """The same course with the groups that the rule reads ticking at other moments, as Prometheus may let them."""
        seen: list[tuple[int, int]] = [here]
        for replay, other in self.replay.otherwise(plan):
            (fact,) = self._facts(contract, other, course, ticks + _MORE_TICKS, replay=replay)
            alert = busiest(fact.timelines)
            fires = alert.first(AlertState.FIRING) if alert is not None else None
            if alert is None or fires is None:
                measured.held_otherwise.add(None)
                continue
            seen.append((true_since(alert, fires), fires))
            measured.held_otherwise.add((fires - seen[-1][0]) * plan.interval_ms)
        first = min(true for true, _ in seen)
        shortest, longest = min(fires for _, fires in seen) - first, max(fires for _, fires in seen) - first
        if shortest != longest:
            measured.phase_ticks = (shortest, longest)

    def _gap(
        self,
        contract: Contract,
        plan: Plan,
        sides: tuple[Fraction, Fraction],
        lead: int,
        dip: int,
        waits: int,
        measured: Measured,
    ) -> None:
        """The pulse that is one tick too short, and after the shortest dip that shows, the knob is back for good."""
        on, off = sides
        interval = plan.interval_ms
        window = _window_ticks(plan, contract)
        lengths = range(1, min(window, 40) + 1)
        ticks = dip + lengths[-1] + 2 * waits + window + 4
        tried = self._facts(
            contract,
            plan,
            {
                f"{n}": [(0, off), (lead * interval, on), (dip * interval, off), ((dip + n) * interval, on)]
                for n in lengths
            },
            ticks,
        )
        for fact in tried:
            alert = busiest(fact.timelines)
            if alert is None or not alert.fires:
                continue
            true_at = [t for t in sorted(alert.true_at) if t >= lead]
            missing = [t for t in range(true_at[0], true_at[-1]) if t not in alert.true_at]
            if missing and (alert.first(AlertState.FIRING) or 0) - missing[-1] > waits:
                measured.facts.append(replace(fact, name="one gap starts the wait again"))
                return

    def _facts(
        self,
        contract: Contract,
        plan: Plan,
        courses: dict[str, KnobSteps],
        ticks: int,
        *,
        led: bool = True,
        replay: Replay | None = None,
    ) -> list[Fact]:
        """Record the main signal under each course of the knob and replay the rule over it; `led`: from a steady state
        on, else from nothing."""
        length = ticks * plan.interval_ms
        lead = lead_ms(plan, contract.scrape_ms) if led else 0
        scrapes = Scrapes.regular(contract.scrape_ms, length, plan.tick_ms, lead)
        cases = [traces(contract.signal, course, scrapes) for course in courses.values()]
        played = self._play(plan, cases, length, lead, replay)
        return [
            Fact(
                name,
                case,
                contract.scrape_ms,
                scrapes.phase_ms,
                ticks + 1,
                tuple(timelines),
                lead,
                tick_ms=plan.interval_ms,
            )
            for name, case, timelines in zip(courses, cases, played, strict=True)
        ]

    def _sparse_fact(self, contract: Contract, plan: Plan, name: str, course: KnobSteps, ticks: int) -> Fact:
        """A course of many ticks, of which few are evaluated, with history before it that is not evaluated at all."""
        length, lead = ticks * plan.interval_ms, lead_ms(plan, contract.scrape_ms)
        scrapes = Scrapes.regular(contract.scrape_ms, length, plan.tick_ms, lead)
        case = traces(contract.signal, course, scrapes)
        (slots,) = self.writer.record([Batch([case], length, plan.reach_ms, plan.align_ms, lead)])
        (timelines,) = self.replay.sparse_timelines(plan, slots, self._pace.tick_ms)
        return Fact(name, case, contract.scrape_ms, scrapes.phase_ms, ticks + 1, tuple(timelines), lead)

    def _play(
        self,
        plan: Plan,
        cases: Sequence[Sequence[Trace]],
        length: int,
        lead: int,
        replay: Replay | None = None,
    ) -> list[list[AlertTimeline]]:
        """The timelines of cases that had a lead, from the case's beginning on. The rule is evaluated in the lead too,
        from its very first tick, as promtool does it."""
        led = [_later(case, lead) for case in cases]
        (slots,) = self.writer.record([Batch(led, lead + length, plan.reach_ms, plan.align_ms)])
        first = lead // plan.interval_ms
        return [
            [timeline.between(first, first + length // plan.interval_ms + 1) for timeline in timelines]
            for timelines in (replay or self.replay).timelines(plan, slots)
        ]

    def _play_from_steady(
        self, plan: Plan, cases: Sequence[Sequence[Trace]], length: int, lead: int
    ) -> list[list[AlertTimeline]]:
        """The same for a rule that looks back far: its lead is history alone, not evaluated tick by tick.

        What holds on the last tick before a case has held since long ago, as long as `for` asks.
        """
        (slots,) = self.writer.record([Batch(cases, length, plan.reach_ms, plan.align_ms, lead)])
        return self.replay.timelines(plan, slots, steady_before=True)

    # -- situations ----------------------------------------------------------------------------------------------

    def _situations(self, contract: Contract, plan: Plan) -> tuple[list[SituationResult], list[Fact]]:
        if not contract.situations:
            return [], []
        interval = plan.interval_ms
        opaque = opaque_labels(plan.rule, plan.group)
        lead = max(lead_ms(plan, s.scrape_ms) for s in contract.situations)
        lead = -(-(lead + plan.rule.hold_ms) // plan.align_ms) * plan.align_ms
        if self._pace.far:
            lead = max(lead_ms(plan, s.scrape_ms) for s in contract.situations) + plan.align_ms
        worlds: list[tuple[Situation, list[Trace], Scrapes]] = []
        for situation in contract.situations:
            every = situation_scrape_ms(situation, plan)
            scrapes = Scrapes(
                every,
                situation.lasts_ms,
                every // 2,
                situation.failed_scrapes,
                situation.gap,
                situation.restarts_ms,
                plan.tick_ms,
                lead,
            )
            worlds.append((situation, traces(situation.signal, situation.knob, scrapes), scrapes))
        longest = -(-max(s.lasts_ms for s in contract.situations) // interval) * interval
        results: list[SituationResult] = []
        facts: list[Fact] = []
        cases = [case for _, case, _ in worlds]
        play = self._play_from_steady if self._pace.far else self._play
        outcomes: list[list[AlertTimeline] | QueryError] = []
        try:
            outcomes += play(plan, cases, longest, lead)
        except QueryError:
            for case in cases:  # one bad case fails the query for all, so each gets slots of its own
                try:
                    outcomes += play(plan, [case], longest, lead)
                except QueryError as err:
                    outcomes.append(err)
        for (situation, case, scrapes), outcome in zip(worlds, outcomes, strict=True):
            if isinstance(outcome, QueryError):
                reason = f"Prometheus cannot evaluate the rule in this situation: {outcome.message}"
                results.append(SituationResult(situation.name, situation.expected, "error", reason))
                continue
            ticks = situation.lasts_ms // interval + 1
            cut = [timeline.between(0, ticks) for timeline in outcome]
            result = judge_situation(situation, cut, interval, {"alertname", *plan.rule.labels}, opaque)
            if not result.ok and result.got == "quiet" and not self._pace.far:
                result = replace(result, parts=self._why_quiet(plan, case, lead, cut, ticks))
            results.append(result)
            if not self._pace.far:  # else promtool would have to evaluate all of the history
                facts.append(Fact(situation.name, case, situation.scrape_ms, scrapes.phase_ms, ticks, tuple(cut), lead))
        if not self._pace.far and all(isinstance(outcome, list) for outcome in outcomes):
            results = self._in_other_phases(contract, plan, cases, (longest, lead), results)
        return results, facts

    def _in_other_phases(
        self,
        contract: Contract,
        plan: Plan,
        cases: Sequence[Sequence[Trace]],
        span_ms: tuple[int, int],
        results: list[SituationResult],
    ) -> list[SituationResult]:
        """The situations with the groups that the rule reads ticking at other moments: one that ends well only as they
        happen to tick does not."""
        found = list(results)
        for replay, other in self.replay.otherwise(plan):
            played = self._play(other, cases, *span_ms, replay)
            for i, (situation, timelines) in enumerate(zip(contract.situations, played, strict=True)):
                last = situation.lasts_ms // plan.interval_ms
                cut = [timeline.between(0, last + 1) for timeline in timelines]
                fires = any(timeline.fires for timeline in cut)
                # What was pending at the end is only late.
                late = any(timeline.states[last] is not AlertState.INACTIVE for timeline in cut)
                if found[i].ok and situation.expected == "quiet" and fires:
                    found[i] = replace(found[i], got="fires", reason="must stay quiet, but fires" + _AS_GROUPS_TICK)
                elif found[i].ok and situation.expected == "fires" and not fires and not late:
                    found[i] = replace(found[i], got="quiet", reason="must fire, but stays quiet" + _AS_GROUPS_TICK)
        return found

    def _why_quiet(
        self, plan: Plan, case: Sequence[Trace], lead: int, timelines: Sequence[AlertTimeline], ticks: int
    ) -> tuple[str, ...]:
        """How near a rule came to firing in a situation in which it should have."""
        interval = plan.interval_ms
        pending = max((t for t in timelines if t.true_at), key=lambda t: max(_runs(t).values()), default=None)
        if pending is not None:
            since, length = max(_runs(pending).items(), key=lambda run: run[1])
            hold = f"`for: {format_duration(plan.rule.hold_ms)}` needs {plan.hold_ticks + 1} in a row"
            whose = format_labels({k: v for k, v in pending.labels if k not in ("alertname", *plan.rule.labels)})
            many = f"{length} tick{'s' if length > 1 else ''}"
            return (f"at most it holds for {many}, from {_moment(since, interval)} on, for {whose}", hold)
        length_ms = lead + (ticks - 1) * interval
        (slots,) = self.writer.record([Batch([_later(case, lead)], length_ms, plan.reach_ms, plan.align_ms)])

        def course(text: str) -> list[dict[Labels, float]]:
            return self.replay.course(plan, text, slots, lead, ticks)

        holding = [0] * ticks
        for comparison in comparisons(plan.rule.expr):
            held = [bool(found) for found in course(comparison.text)]
            if any(held):
                holding = [count + holds for count, holds in zip(holding, held, strict=True)]
            elif near := nearest(comparison, course(comparison.left), course(comparison.right)):
                return (f"nearest at {_moment(near[0], interval)}: there {near[1]}",)
        most = ticks - 1 - holding[::-1].index(max(holding))
        offset = lead + most * interval
        why = returns_nothing(plan.rule.expr, lambda text: self.replay.instants(plan, text, slots, offset)[0])
        return (f"nearest at {_moment(most, interval)}", *why.parts) if why is not None else ()


@dataclass(frozen=True, slots=True)
class _Steady:
    """Worlds that stand still, and the ends of them at which they are looked at."""

    slots: SlotRange
    cases: Sequence[Sequence[Trace]]
    length_ms: int
    offsets_ms: Sequence[int]


def _made(plan: Plan) -> frozenset[str]:
    made = {name for group, recording in plan.recordings for name in group.labels_of(recording)}
    for expr in (plan.rule.expr, *(recording.expr for _, recording in plan.recordings)):
        made |= made_labels(parse_expr(expr))
    return frozenset(made)


def _pair(search: Search, axis: KnobPositions, op: Op) -> tuple[int, int, bool]:
    """(quiet, fires, whether in the contract's direction): the flip that is to be reported."""

    def oriented(flip: tuple[int, int]) -> tuple[int, int]:
        low, high = flip
        return (low, high) if search.truth[high] else (high, low)

    pairs = [oriented(flip) for flip in search.flips[:_MAX_FLIPS]]
    if op is Op.EQ:
        return (*pairs[0], True)
    for quiet, fires in pairs:
        if (fires > quiet) == op.fires_above:
            return quiet, fires, True
    return (*pairs[0], False)


def _boundary(axis: KnobPositions, op: Op, quiet: int, fires: int) -> Boundary:
    here = axis.at_threshold
    # An age stands at a multiple of its step, which need not be the threshold.
    expected = here if op.holds(axis.value(here), axis.threshold) else here + (1 if op.fires_above else -1)
    steps = fires - expected if op.fires_above else expected - fires
    ulps = ulps_between(float(axis.value(fires)), float(axis.value(expected)))
    return Boundary(axis.value(quiet), axis.value(fires), ulps, steps)


def _clear(search: Search, axis: KnobPositions, edge: int, *, firing: bool) -> Fraction:
    """A knob position well inside the firing (or quiet) side: midway to the far end of the unbroken run."""
    places = [p for p in sorted(search.truth) if p == edge or not axis.is_blurred(p)]
    at = places.index(edge)
    step = 1 if at + 1 < len(places) and search.truth[places[at + 1]] is firing else -1
    end = at
    while 0 <= end + step < len(places) and search.truth[places[end + step]] is firing:
        end += step
    target = axis.between(edge, places[end], Fraction(1, 2))
    nearest = min(places[min(at, end) : max(at, end) + 1], key=lambda p: abs(axis.value(p) - axis.value(target)))
    return axis.value(nearest)


def _closest(sides: Sides, known: float | None) -> float | None:
    gaps = [
        abs(a - b) for a in sides.left.values() for b in sides.right.values() if math.isfinite(a) and math.isfinite(b)
    ]
    if known is not None:
        gaps.append(known)
    return min(gaps, default=None)


def _shown(values: dict[Labels, float]) -> dict[str, float]:
    return {format_labels(labels): value for labels, value in values.items()}


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


def _run_length(fact: Fact, after: int) -> int:
    """The longest unbroken run of ticks from `after` on at which the expression returned the alert."""
    best = 0
    for timeline in fact.timelines:
        run = 0
        for tick in range(after, fact.ticks):
            run = run + 1 if tick in timeline.true_at else 0
            best = max(best, run)
    return best


def _for_promtool(facts: Sequence[Fact], runs: Sequence[tuple[int, int]], latest_ms: int, plan: Plan) -> list[Fact]:
    """The facts, laid where promtool's clock says what the slots' clock said: in one of these runs of its time."""
    laid = []
    for fact in facts:
        length = fact.lead_ms + (fact.ticks - 1) * (fact.tick_ms or plan.interval_ms)
        earliest = -(-positive_from_ms(fact, plan) // plan.align_ms) * plan.align_ms
        begins = (max(start, earliest) for start, end in runs if max(start, earliest) + length <= end)
        # Even a course of weeks may begin at 0.
        begin = 0 if runs is ANY_BEGIN and not earliest else next(begins, None)
        begin = None if begin is not None and begin > latest_ms else begin
        laid.append(fact if begin == fact.promtool_ms else replace(fact, promtool_ms=begin))
    return laid


def lead_ms(plan: Plan, scrape_ms: int) -> int:
    """How long a world stands still before its case begins, in whole ticks: every window is full by then, and what an
    empty window had let fire in the very beginning (`absent()`) is over."""
    needed = window_ms(plan) + 2 * scrape_ms + plan.rule.keep_firing_ms
    return -(-needed // plan.align_ms) * plan.align_ms


def _changes_after(contract: Contract, axis: KnobPositions, moment_ms: int) -> int | None:
    """When the main signal first changes its course after a moment, because a formula of it names `t`.

    A straight line and a counter's steady rate are no change.
    """
    if not any("t" in spec.names for spec in contract.signal.series):
        return None
    scrapes = Scrapes.regular(contract.scrape_ms, moment_ms + _WATCHED_MS)
    found: list[int] = []
    for x in (axis.value(axis.lowest), axis.threshold, axis.value(axis.highest)):
        for trace in traces(contract.signal, ((0, x),), scrapes):
            steps = [
                (b - a, to - at)
                for (at, a), (to, b) in itertools.pairwise(zip(trace.times_ms, trace.values, strict=True))
            ]
            size = max((abs(value) for value in trace.values if math.isfinite(value)), default=0.0)
            for (before, _), (after, every), at in zip(steps, steps[1:], trace.times_ms[1:], strict=False):
                same = abs(after - before) <= size * _SAME_COURSE and every == contract.scrape_ms
                if at > moment_ms and not same:
                    found.append(at)
                    break
            if trace.times_ms and moment_ms < trace.times_ms[-1] <= moment_ms + _WATCHED_MS - contract.scrape_ms:
                found.append(trace.times_ms[-1])
    return min(found, default=None)


def _window_ticks(plan: Plan, contract: Contract) -> int:
    """After so many ticks nothing is seen of how the knob stood before."""
    return window_ms(plan) // plan.interval_ms + contract.scrape_ms // plan.interval_ms + 2


_T = TypeVar("_T")


def _chunks(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


def _later(case: Sequence[Trace], by_ms: int) -> list[Trace]:
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
        moved(trace) if trace.dated is None else replace(dated(trace, 0), dated=partial(dated, trace)) for trace in case
    ]


def looks_back(contract: Contract, plan: Plan, after_ms: int) -> bool:
    """Whether the rule of an absence or presence counts only `after_ms` after the series went or came, and not at the
    next scrapes and ticks.

    Of such a contract the hold is told from the moment itself: nothing but a window or an offset comes between, which a
    threshold's contract has no word for.
    """
    if contract.kind not in (ContractKind.ABSENCE, ContractKind.PRESENCE):
        return False
    # A rate needs two scrapes, and each recording rule may be a tick of its group behind.
    return after_ms > 2 * contract.scrape_ms + plan.interval_ms + sum(group.interval_ms for group, _ in plan.recordings)


def judge_situation(
    situation: Situation,
    timelines: Sequence[AlertTimeline],
    interval_ms: int,
    hidden: Collection[str] = (),
    opaque: Collection[str] = (),
) -> SituationResult:
    """Compare what fired with what the contract expects: each expected alert once, and nothing else.

    `hidden` labels (those that are the same on every alert of the rule) are left out of the reason, `opaque` ones (only
    promtool can tell them) out of the comparison.
    """
    fired = [t for t in timelines if t.fires]
    got = "fires" if fired else "quiet"
    if situation.alerts is None:
        reason = "" if fired else "must fire, but nothing fires"
        return SituationResult(situation.name, "fires", got, reason)
    if not situation.alerts:
        if not fired:
            return SituationResult(situation.name, "quiet", got)
        when = format_duration(min(t.first(AlertState.FIRING) or 0 for t in fired) * interval_ms)
        reason = f"must stay quiet, but fires after {when}: {_alerts(fired, hidden)}"
        return SituationResult(situation.name, "quiet", got, reason, _returned(fired, interval_ms, hidden))
    extra = list(fired)
    for wanted in situation.alerts:
        known = {name: value for name, value in wanted.items() if name not in opaque}
        match = next((t for t in extra if carries(dict(t.labels), known)), None)
        if match is None:
            what = f"fires only for {_alerts(fired, hidden)}" if fired else "nothing fires"
            return SituationResult(situation.name, "fires", got, f"must fire with {format_labels(wanted)}, but {what}")
        extra.remove(match)
    if extra:
        reason = (
            f"{len(fired)} alerts fire where {len(situation.alerts)} are meant; not meant: {_alerts(extra, hidden)}"
        )
        return SituationResult(situation.name, "fires", got, reason, _returned(extra, interval_ms, hidden))
    return SituationResult(situation.name, "fires", got)


def _returned(fired: Sequence[AlertTimeline], interval_ms: int, hidden: Collection[str]) -> tuple[str, ...]:
    """What the rule returned when the first of these alerts began to fire."""
    first = min(fired, key=lambda t: t.first(AlertState.FIRING) or 0)
    tick = first.first(AlertState.FIRING) or 0
    if tick not in first.values:
        return ()  # it is only kept firing
    whose = _alerts([first], hidden)
    return (f"at {_moment(tick, interval_ms)} the rule returns {format_number(first.values[tick])} for {whose}",)


def _moment(tick: int, interval_ms: int) -> str:
    """``5m (tick 10)``."""
    return f"{format_duration(tick * interval_ms)} (tick {tick})"


def _runs(alert: AlertTimeline) -> dict[int, int]:
    """Every unbroken run of ticks at which the rule returned the alert: its first tick → its length."""
    runs: dict[int, int] = {}
    for tick in sorted(alert.true_at):
        first = true_since(alert, tick)
        runs[first] = tick - first + 1
    return runs


def _series(contract: Contract, axis: KnobPositions) -> list[dict[str, str]]:
    """Every series of the contract's worlds, as a label set: those at the knob's ends and at the threshold."""
    found: dict[Labels, None] = {}
    scrapes = Scrapes.regular(contract.scrape_ms, contract.scrape_ms)
    for signal in (contract.signal, *(situation.signal for situation in contract.situations)):
        for x in (axis.value(axis.lowest), axis.value(axis.highest), axis.threshold):
            found.update(dict.fromkeys(trace.labels for trace in traces(signal, ((0, x),), scrapes)))
    return [dict(labels) for labels in found]


def _alerts(timelines: Sequence[AlertTimeline], hidden: Collection[str]) -> str:
    shown = [format_labels({k: v for k, v in t.labels if k not in hidden}) or "{}" for t in timelines[:2]]
    return ", ".join(shown) + (f" and {len(timelines) - 2} more" if len(timelines) > 2 else "")
