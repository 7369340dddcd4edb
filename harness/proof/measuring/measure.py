"""Measure one alert against its contract on a real Prometheus: where it fires, when, and in which situations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial

from harness.contracts import Contract, ContractKind, Op
from harness.contracts.model import Shape, Signal
from harness.contracts.world import KnobSteps, Scrapes, Trace, traces
from harness.proof.judging.hold import looks_back
from harness.proof.measuring.ages import check_ages, is_bound_to_a_clock, positive_from_ms
from harness.proof.measuring.attribution import EqualSides, attribute
from harness.proof.measuring.curve import response_curve
from harness.proof.measuring.experiment import Experiment
from harness.proof.measuring.explain import Explanation, always_returns, returns_nothing, unmatched
from harness.proof.measuring.phase_probe import PhaseReport, probe
from harness.proof.measuring.phases import ANY_BEGIN, find_phases
from harness.proof.measuring.sampling import Sampling, sampling_of
from harness.proof.measuring.search import Search, clear_of_edge, flip_towards, search
from harness.proof.measuring.situations import play_situations
from harness.proof.measuring.timings import JUST_PAST, LAST_QUIET, Standpoints, always, timings
from harness.proof.model import Boundary, Case, LocatedAlert, Measured, SituationResult
from harness.proof.positions import KnobPositions, ulps_between
from harness.replay import Plan, Replay, SlotWriter
from harness.rules.expr import comparisons, parse_expr
from harness.rules.selectors import made_labels
from harness.series import Labels, format_labels

_WATCHED_MS = 7_200_000
_SAME_COURSE = 1e-9
_MOST_EVALUATIONS = 12_000
"""How many rules promtool may evaluate (60 µs each) before a course that must lie late in its time."""
_LEAST_SCRAPE_MS = 2_000


@dataclass(slots=True)
class Measurement:
    """All that was learnt about one alert with a contract."""

    positions: KnobPositions
    search: Search
    moment_ms: int
    """When the boundary is taken, in milliseconds since its worlds began …"""
    changes_ms: int | None
    """… and when their signal changes after that though the knob stands still; None: not within two hours."""
    sampling: Sampling
    """How densely its worlds were sampled and its courses played."""
    seen_ms: int
    """For how long a sample is seen that no other follows: the server's lookback."""
    measured: Measured
    equal: list[EqualSides] = field(default_factory=list)
    """Worlds in which the comparison's sides are equal at the threshold."""
    gap: float | None = None
    """At the threshold in the main world: how far apart the comparison's sides are (None: no comparison flipped)."""
    tolerated: int = 0
    """How many positions of the knob rounding may put between the boundary and the threshold."""
    in_direction: bool = True
    """Whether the boundary runs the way the contract says (fires above for `>`)."""
    situations: list[SituationResult] = field(default_factory=list)
    phases: PhaseReport | None = None
    """What it does at other times of the calendar; None: the same at any."""
    why: Explanation | None = None
    """Why it never fires, or always."""
    looked_at: Fraction | None = None
    """The position of the knob at which that was looked into; None: it was not."""
    unmatched: Callable[[], tuple[str, ...]] = tuple
    """Tells metrics that the rule reads and nobody makes, and the other way round; not asked where all is as meant."""


class Measurer:
    """Measures alerts on one engine; `advance` is told after each step, for progress."""

    def __init__(self, writer: SlotWriter, replay: Replay, advance: Callable[[], None] = lambda: None) -> None:
        self.writer = writer
        self.replay = replay
        self.advance = advance

    def measure(self, contract: Contract, located: LocatedAlert) -> Measurement:
        """Measure boundary, timings and situations; raises QueryError where Prometheus cannot evaluate the rule."""
        plan = self.replay.plan(located.group, located.rule)
        check_ages(contract, plan)
        sampling = sampling_of(contract.signal, contract.scrape_ms, plan, self.writer, contract.situations)
        contract = replace(contract, scrape_ms=sampling.scrape_ms)
        positions = KnobPositions.of(contract)
        experiment = Experiment(plan, _maker(contract.signal), positions, sampling, self.writer, self.replay)
        phases = find_phases(contract.when, plan, self.writer)
        report = None if phases is None else probe(contract, experiment, phases)
        if report is not None:
            experiment = replace(experiment, writer=report.writer(self.writer, plan))
        result = self._measure(contract, experiment)
        result.phases = report
        runs = ANY_BEGIN if report is None else report.promtool_begins(plan)
        latest = _MOST_EVALUATIONS // sum(len(group.rules) for group in located.file.groups) * plan.interval_ms
        measured = result.measured
        measured.cases = _laid_for_promtool(measured.cases, runs, latest, plan)
        measured.situation_cases = _laid_for_promtool(measured.situation_cases, runs, latest, plan)
        bound = {s.name for s in contract.situations if is_bound_to_a_clock(s.signal, plan)}
        measured.situation_cases = [
            replace(case, promtool_ms=None) if case.name in bound else case for case in measured.situation_cases
        ]
        if is_bound_to_a_clock(contract.signal, plan):
            measured.cases = [replace(case, promtool_ms=None) for case in measured.cases]
        return result

    def _measure(self, contract: Contract, experiment: Experiment) -> Measurement:
        plan = experiment.plan
        found = search(experiment)
        self.advance()
        moment = plan.window_ms + 2 * contract.scrape_ms
        result = Measurement(
            experiment.positions,
            found,
            moment,
            _changes_after(contract, experiment.positions, moment),
            experiment.sampling,
            plan.server.lookback_ms,
            Measured(made=_made(plan)),
        )
        if contract.kind is ContractKind.ALWAYS and found.fires_somewhere():
            x = experiment.positions.value(min(p for p, fires in found.truth.items() if fires))
            case, result.measured.fires_after_ms = always(experiment, x)
            result.measured.cases.append(case)
            self.advance()
        elif found.fires_somewhere() and found.quiet_somewhere():
            self._at_boundary(contract, experiment, result)
        else:
            result.looked_at = _end(contract, experiment.positions, fires=found.fires_somewhere())
            result.why = _at_the_end(experiment, result.looked_at, result.measured)
            self.advance()
        self.advance()
        recordings = [rule for _, rule in plan.recordings]
        positions = result.positions
        result.unmatched = lambda: unmatched(plan.rule.expr, recordings, _series(contract, positions))
        result.situations, result.measured.situation_cases = play_situations(experiment, contract.situations)
        self.advance()
        return result

    def _at_boundary(self, contract: Contract, experiment: Experiment, result: Measurement) -> None:
        """What flips at the boundary, and the timings on both sides of it."""
        found, measured, positions = result.search, result.measured, experiment.positions
        towards = None if contract.op is Op.EQ else contract.op.fires_above
        quiet, fires, result.in_direction = flip_towards(found, fires_above=towards)
        measured.boundary = _boundary(positions, contract.op, quiet, fires)
        flips = attribute(experiment, quiet, fires, measured.boundary, _other_scrapes(contract))
        result.gap, result.equal, result.tolerated = flips.gap, flips.equal, flips.tolerated
        measured.matched, measured.at_quiet, measured.at_fires = flips.matched, flips.at_quiet, flips.at_fires
        measured.curve = response_curve(experiment, found, flips.flipped[0] if flips.flipped else None)
        if flips.at_fires and len(flips.at_fires[0].right) == 1:
            (measured.limit,) = flips.at_fires[0].right.values()
        measured.rounded = {JUST_PAST: flips.quiet | flips.fires, LAST_QUIET: flips.quiet}
        positions = result.positions = replace(positions, blur=max(positions.blur, flips.tolerated))
        self.advance()
        off, on = (
            clear_of_edge(found, positions, quiet, firing=False),
            clear_of_edge(found, positions, fires, firing=True),
        )
        seen = timings(experiment, Standpoints(positions.value(quiet), positions.value(fires), off, on))
        measured.cases += seen.cases
        rises = seen.rises_after_ms
        measured.late_ms = rises if rises is not None and looks_back(contract, experiment.plan, rises) else None
        measured.fires_after_ms, measured.resolves_after_ms = seen.fires_after_ms, seen.resolves_after_ms
        measured.phase_ticks, measured.held_otherwise = seen.phase_ticks, seen.held_otherwise
        measured.too_short_ms = seen.too_short_ms


def _maker(signal: Signal) -> Callable[[KnobSteps, Scrapes], Sequence[Trace]]:
    return partial(traces, signal)


def _end(contract: Contract, positions: KnobPositions, *, fires: bool) -> Fraction:
    """Where a rule without boundary surprises most: if it fires, where it should most surely be quiet; if it is quiet,
    where it should most surely fire."""
    ends = [positions.lowest, positions.highest]
    if contract.op is Op.EQ:
        if not fires:
            return contract.threshold
        return positions.value(max(ends, key=lambda position: abs(positions.value(position) - contract.threshold)))
    return positions.value(ends[contract.op.fires_above is not fires])


def _at_the_end(experiment: Experiment, x: Fraction, measured: Measured) -> Explanation | None:
    """For a rule without boundary: what it computes with the knob at x, and why it is the same everywhere."""
    expr, steady = experiment.plan.rule.expr, experiment.steady([x])
    matched = experiment.at_end(steady, expr.value)[0]
    measured.matched = [(format_labels(labels), value) for labels, value in matched.items()]
    measured.at_fires = [experiment.sides(comparison, steady)[0] for comparison in comparisons(expr)]
    if matched:
        return always_returns(expr)
    return returns_nothing(expr, lambda text: experiment.at_end(steady, text)[0])


def _other_scrapes(contract: Contract) -> dict[str, int]:
    """For counters other intervals, in milliseconds, at which their world may be scraped, by a name for it: rounding
    differs, meaning does not."""
    if all(spec.shape is Shape.GAUGE for spec in contract.signal.series):
        return {}
    scrapes = (contract.scrape_ms * factor for factor in (Fraction(1, 2), Fraction(2)))
    whole = [int(scrape) for scrape in scrapes if scrape >= _LEAST_SCRAPE_MS and scrape.denominator == 1]
    return {f"scraped every {scrape / 1000:g}s": scrape for scrape in whole}


def _made(plan: Plan) -> frozenset[str]:
    made = {name for group, recording in plan.recordings for name in group.labels_of(recording)}
    for expr in (plan.rule.expr, *(recording.expr for _, recording in plan.recordings)):
        made |= made_labels(parse_expr(expr))
    return frozenset(made)


def _boundary(positions: KnobPositions, op: Op, quiet: int, fires: int) -> Boundary:
    here = positions.at_threshold
    # An age stands at a multiple of its step, which need not be the threshold.
    expected = here if op.holds(positions.value(here), positions.threshold) else here + (1 if op.fires_above else -1)
    steps = fires - expected if op.fires_above else expected - fires
    ulps = ulps_between(float(positions.value(fires)), float(positions.value(expected)))
    return Boundary(positions.value(quiet), positions.value(fires), ulps, steps)


def _laid_for_promtool(
    cases: Sequence[Case], runs: Sequence[tuple[int, int]], latest_ms: int, plan: Plan
) -> list[Case]:
    """The cases, laid where promtool's clock says what the slots' clock said: in one of these runs of its time."""
    laid = []
    for case in cases:
        length = case.lead_ms + (case.ticks - 1) * (case.tick_ms or plan.interval_ms)
        earliest = -(-positive_from_ms(case, plan) // plan.align_ms) * plan.align_ms
        begins = (max(start, earliest) for start, end in runs if max(start, earliest) + length <= end)
        # Even a course of weeks may begin at 0.
        begin = 0 if runs is ANY_BEGIN and not earliest else next(begins, None)
        begin = None if begin is not None and begin > latest_ms else begin
        laid.append(case if begin == case.promtool_ms else replace(case, promtool_ms=begin))
    return laid


def _changes_after(contract: Contract, positions: KnobPositions, moment_ms: int) -> int | None:
    """When the main signal first changes its course after a moment, because a formula of it names `t`.

    A straight line and a counter's steady rate are no change.
    """
    if not any("t" in spec.names for spec in contract.signal.series):
        return None
    scrapes = Scrapes.regular(contract.scrape_ms, moment_ms + _WATCHED_MS)
    found: list[int] = []
    for x in (positions.value(positions.lowest), positions.threshold, positions.value(positions.highest)):
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


def _series(contract: Contract, positions: KnobPositions) -> list[dict[str, str]]:
    """Every series of the contract's worlds, as a label set: those at the knob's ends and at the threshold."""
    found: dict[Labels, None] = {}
    scrapes = Scrapes.regular(contract.scrape_ms, contract.scrape_ms)
    for signal in (contract.signal, *(situation.signal for situation in contract.situations)):
        for x in (positions.value(positions.lowest), positions.value(positions.highest), positions.threshold):
            found.update(dict.fromkeys(trace.labels for trace in traces(signal, ((0, x),), scrapes)))
    return [dict(labels) for labels in found]
