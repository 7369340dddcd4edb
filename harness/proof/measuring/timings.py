"""When the rule fires and when it is over, with the knob standing clearly on either side of a boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from harness.contracts.world import KnobSteps
from harness.proof.measuring.experiment import Experiment, busiest, true_since
from harness.proof.model import Case
from harness.replay import AlertState

ALWAYS = "always: fires at every tick from its hold on"
JUST_PAST, LAST_QUIET = "just past the threshold: fires", "at the last quiet value: stays quiet"
PULSE = "fires, then recovers"
TOO_SHORT, GAP = "one tick too short: never fires", "one gap starts the wait again"

_ALWAYS_TICKS = 10
"""How long an alert that is meant to fire always is watched once it does."""
_BEFORE = 2
"""Ticks of a course before the knob moves; the steady world before them has filled every window."""
_MORE_TICKS = 2
"""Of a course that is played with groups in other phases, beside the delays that those may bring."""
_PULSES = 8
"""How far around the expected length pulses are tried when one of an exact number of ticks is wanted."""
_MOST_DIPS = 40


@dataclass(frozen=True, slots=True)
class Standpoints:
    """Where the knob stands while time is measured."""

    quiet: Fraction
    """The last quiet position before the boundary …"""
    fires: Fraction
    """… and the first firing one."""
    off: Fraction
    """Well inside the quiet side …"""
    on: Fraction
    """… and well inside the firing one."""


@dataclass(slots=True)
class Timings:
    """What the courses showed; None is "not reached"."""

    cases: list[Case] = field(default_factory=list)
    """The courses that a check can be told."""
    rises_after_ms: int | None = None
    """From the move of the knob to the first tick at which the condition holds; None of a far-sighted rule too."""
    fires_after_ms: int | None = None
    phase_ticks: tuple[int, int] | None = None
    held_otherwise: set[int | None] = field(default_factory=set)
    too_short_ms: int | None = None
    resolves_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Pulse:
    """The course on which the knob goes past the boundary and comes back, in ticks of the rule."""

    steps: KnobSteps
    lead: int
    """When the knob goes past the boundary …"""
    ends: int
    """… and when it comes back."""
    ticks: int


def timings(experiment: Experiment, at: Standpoints) -> Timings:
    """Hold, one tick too short, a gap, recovery; with what other phases of the groups that the rule reads change."""
    plan, far, found = experiment.plan, experiment.sampling.far, Timings()
    pulse = _pulse(experiment, at)
    played = _play_sparsely(experiment, at, pulse, found) if far else _play(experiment, at, pulse, found)
    alert = busiest(played.timelines)
    firing = alert.first(AlertState.FIRING) if alert is not None else None
    if alert is None or firing is None:
        return found
    first_true = true_since(alert, firing)
    found.fires_after_ms = (firing - first_true) * plan.interval_ms
    if not far:
        found.rises_after_ms = (first_true - pulse.lead) * plan.interval_ms
        _in_other_phases(experiment, pulse, (first_true, firing), found)
    over = min((t for t in range(firing, played.ticks) if t not in alert.true_at), default=None)
    if over is None:
        return found
    resolved = next((t for t in range(over, played.ticks) if alert.states[t] is not AlertState.FIRING), None)
    if resolved is not None:
        found.resolves_after_ms = (resolved - over) * plan.interval_ms
    if found.fires_after_ms and not far:
        _too_short(experiment, at, pulse, (first_true, firing, over), found)
    return found


def always(experiment: Experiment, x: Fraction) -> tuple[Case, int | None]:
    """For a rule that is meant to fire always: the case in which it does, tick by tick, and how many milliseconds it
    waits before (None: for ever)."""
    played = experiment.played()
    ticks = played.window_ticks + played.plan.hold_ticks + _ALWAYS_TICKS
    (case,) = played.play({ALWAYS: [(0, x)]}, ticks, led=False)
    alert = busiest(case.timelines)
    firing = alert.first(AlertState.FIRING) if alert is not None else None
    if alert is None or firing is None:
        return case, None
    return case, (firing - true_since(alert, firing)) * played.plan.interval_ms


def _knob(experiment: Experiment, *steps: tuple[int, Fraction]) -> KnobSteps:
    """A course whose moments are ticks of the rule."""
    return [(tick * experiment.plan.interval_ms, x) for tick, x in steps]


def _keep_ticks(experiment: Experiment) -> int:
    return -(-experiment.plan.rule.keep_firing_ms // experiment.plan.interval_ms)


def _at_edge(experiment: Experiment, at: Standpoints) -> Mapping[str, KnobSteps]:
    return {
        JUST_PAST: _knob(experiment, (-1, at.quiet), (0, at.fires)),
        LAST_QUIET: _knob(experiment, (0, at.quiet)),
    }


def _pulse(experiment: Experiment, at: Standpoints) -> _Pulse:
    window = experiment.window_ticks
    ends = _BEFORE + window + experiment.plan.hold_ticks + 6
    steps = _knob(experiment, (0, at.off), (_BEFORE, at.on), (ends, at.off))
    return _Pulse(steps, _BEFORE, ends, ends + window + _keep_ticks(experiment) + 4)


def _play(experiment: Experiment, at: Standpoints, pulse: _Pulse, found: Timings) -> Case:
    found.cases += experiment.play(_at_edge(experiment, at), experiment.window_ticks + experiment.plan.hold_ticks + 2)
    (case,) = experiment.play({PULSE: pulse.steps}, pulse.ticks)
    found.cases.append(case)
    return case


def _play_sparsely(experiment: Experiment, at: Standpoints, pulse: _Pulse, found: Timings) -> Case:
    """The pulse of a far-sighted rule, for its tick; its cases are played with few ticks."""
    played = experiment.played()
    few = played.window_ticks + played.plan.hold_ticks
    found.cases += played.play(_at_edge(played, at), few + 2)
    case = experiment.play_sparsely(PULSE, pulse.steps, pulse.ticks)
    steps = _knob(played, (0, at.off), (pulse.lead, at.on), (pulse.lead + few + 6, at.off))
    found.cases += played.play({PULSE: steps}, pulse.lead + 2 * few + _keep_ticks(played) + 10)
    return case


def _in_other_phases(experiment: Experiment, pulse: _Pulse, here: tuple[int, int], found: Timings) -> None:
    """The same course with the groups that the rule reads ticking at other moments, as Prometheus may let them; `here`
    are the ticks from which on it holds and fires as they are."""
    seen: list[tuple[int, int]] = [here]
    for other in experiment.in_other_phases():
        (case,) = other.play({PULSE: pulse.steps}, pulse.ticks + _MORE_TICKS)
        alert = busiest(case.timelines)
        fires = alert.first(AlertState.FIRING) if alert is not None else None
        if alert is None or fires is None:
            found.held_otherwise.add(None)
            continue
        seen.append((true_since(alert, fires), fires))
        found.held_otherwise.add((fires - seen[-1][0]) * experiment.plan.interval_ms)
    first = min(true for true, _ in seen)
    shortest, longest = min(fires for _, fires in seen) - first, max(fires for _, fires in seen) - first
    if shortest != longest:
        found.phase_ticks = (shortest, longest)


def _too_short(
    experiment: Experiment, at: Standpoints, pulse: _Pulse, seen: tuple[int, int, int], found: Timings
) -> None:
    """The longest time for which the condition may hold without an alert; `seen` are the ticks of the pulse from which
    on it held, fired, and held no longer."""
    first_true, firing, over = seen
    waits = firing - first_true
    guess = max(1, waits + (first_true - pulse.lead) - (over - pulse.ends))
    lengths = [n for n in range(guess - _PULSES, guess + _PULSES + 1) if n > 0]
    shorts = experiment.play(
        {f"{n} ticks": _knob(experiment, (0, at.off), (pulse.lead, at.on), (pulse.lead + n, at.off)) for n in lengths},
        pulse.lead + max(lengths) + experiment.window_ticks + _keep_ticks(experiment) + 4,
    )
    quiet = [
        _longest_run(short, pulse.lead)
        for short in shorts
        if short.timelines and not any(t.fires for t in short.timelines)
    ]
    longest = max(quiet, default=0)
    if not longest:
        return
    found.too_short_ms = (longest - 1) * experiment.plan.interval_ms
    n, exact = next(
        (n, short) for n, short in zip(lengths, shorts, strict=True) if _longest_run(short, pulse.lead) == longest
    )
    found.cases.append(replace(exact, name=TOO_SHORT))
    _gap(experiment, at, pulse.lead, pulse.lead + n, waits, found)


def _gap(experiment: Experiment, at: Standpoints, lead: int, dip: int, waits: int, found: Timings) -> None:
    """The pulse that is one tick too short, and after the shortest dip that shows, the knob is back for good."""
    window = experiment.window_ticks
    lengths = range(1, min(window, _MOST_DIPS) + 1)
    courses = {f"{n}": _knob(experiment, (0, at.off), (lead, at.on), (dip, at.off), (dip + n, at.on)) for n in lengths}
    for case in experiment.play(courses, dip + lengths[-1] + 2 * waits + window + 4):
        alert = busiest(case.timelines)
        if alert is None or not alert.fires:
            continue
        true_at = [t for t in sorted(alert.true_at) if t >= lead]
        missing = [t for t in range(true_at[0], true_at[-1]) if t not in alert.true_at]
        if missing and (alert.first(AlertState.FIRING) or 0) - missing[-1] > waits:
            found.cases.append(replace(case, name=GAP))
            return


def _longest_run(case: Case, after: int) -> int:
    """The longest unbroken run of ticks from `after` on at which the expression returned the alert."""
    best = 0
    for timeline in case.timelines:
        run = 0
        for tick in range(after, case.ticks):
            run = run + 1 if tick in timeline.true_at else 0
            best = max(best, run)
    return best
