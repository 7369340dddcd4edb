"""What the rule does in a contract's situations, and how near it came where it should have fired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.contracts import Situation
from harness.contracts.world import Scrapes, Trace, traces
from harness.engines import QueryError
from harness.proof.judging.situations import at_tick, judge_situation
from harness.proof.measuring.experiment import Experiment, lead_ms, true_since
from harness.proof.measuring.explain import nearest, returns_nothing
from harness.proof.measuring.sampling import situation_scrape_ms
from harness.proof.model import Case, SituationResult
from harness.replay import AlertState, AlertTimeline, Plan, opaque_labels
from harness.rules.expr import comparisons
from harness.series import Labels, format_labels
from harness.units import format_duration

_AS_GROUPS_TICK = " if the groups that it reads tick at other moments, as Prometheus may let them"


@dataclass(frozen=True, slots=True)
class _SituationWorld:
    situation: Situation
    traces: Sequence[Trace]
    phase_ms: int


def play_situations(
    experiment: Experiment, situations: Sequence[Situation]
) -> tuple[list[SituationResult], list[Case]]:
    """The outcome of each situation, and the cases that a check can be told: none of a far-sighted rule."""
    if not situations:
        return [], []
    plan, far = experiment.plan, experiment.sampling.far
    lead = max(lead_ms(plan, s.scrape_ms) for s in situations)
    lead = lead + plan.align_ms if far else -(-(lead + plan.rule.hold_ms) // plan.align_ms) * plan.align_ms
    worlds = [_world(situation, plan, lead) for situation in situations]
    longest = -(-max(s.lasts_ms for s in situations) // plan.interval_ms) * plan.interval_ms
    outcomes = _outcomes(experiment, [world.traces for world in worlds], longest, lead)
    results: list[SituationResult] = []
    cases: list[Case] = []
    for world, outcome in zip(worlds, outcomes, strict=True):
        situation = world.situation
        if isinstance(outcome, QueryError):
            reason = f"Prometheus cannot evaluate the rule in this situation: {outcome.message}"
            results.append(SituationResult(situation.name, situation.expected, "error", reason))
            continue
        ticks = situation.lasts_ms // plan.interval_ms + 1
        cut = tuple(timeline.between(0, ticks) for timeline in outcome)
        case = Case(situation.name, world.traces, situation.scrape_ms, world.phase_ms, ticks, cut, lead)
        hidden = {"alertname", *plan.rule.labels}
        result = judge_situation(situation, cut, plan.interval_ms, hidden, opaque_labels(plan.rule, plan.group))
        if not result.ok and result.got == "quiet" and not far:
            result = replace(result, parts=_why_quiet(experiment, case))
        results.append(result)
        if not far:  # else promtool would have to evaluate all of the history
            cases.append(case)
    if not far and all(isinstance(outcome, list) for outcome in outcomes):
        results = _in_other_phases(experiment, worlds, (longest, lead), results)
    return results, cases


def _world(situation: Situation, plan: Plan, lead: int) -> _SituationWorld:
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
    return _SituationWorld(situation, traces(situation.signal, situation.knob, scrapes), scrapes.phase_ms)


def _outcomes(
    experiment: Experiment, worlds: Sequence[Sequence[Trace]], length_ms: int, lead: int
) -> list[list[AlertTimeline] | QueryError]:
    """The timelines of each world, or why Prometheus cannot evaluate the rule in it."""
    play = experiment.play_worlds_from_steady if experiment.sampling.far else experiment.play_worlds
    outcomes: list[list[AlertTimeline] | QueryError] = []
    try:
        outcomes += play(worlds, length_ms, lead)
    except QueryError:
        for world in worlds:  # one bad world fails the query for all, so each gets slots of its own
            try:
                outcomes += play([world], length_ms, lead)
            except QueryError as err:
                outcomes.append(err)
    return outcomes


def _in_other_phases(
    experiment: Experiment,
    worlds: Sequence[_SituationWorld],
    span_ms: tuple[int, int],
    results: Sequence[SituationResult],
) -> list[SituationResult]:
    """The situations with the groups that the rule reads ticking at other moments: one that ends well only as they
    happen to tick does not."""
    found = list(results)
    for other in experiment.in_other_phases():
        played = other.play_worlds([world.traces for world in worlds], *span_ms)
        for i, (world, timelines) in enumerate(zip(worlds, played, strict=True)):
            last = world.situation.lasts_ms // experiment.plan.interval_ms
            cut = [timeline.between(0, last + 1) for timeline in timelines]
            fires = any(timeline.fires for timeline in cut)
            # What was pending at the end is only late.
            late = any(timeline.states[last] is not AlertState.INACTIVE for timeline in cut)
            if found[i].ok and world.situation.expected == "quiet" and fires:
                found[i] = replace(found[i], got="fires", reason="must stay quiet, but fires" + _AS_GROUPS_TICK)
            elif found[i].ok and world.situation.expected == "fires" and not fires and not late:
                found[i] = replace(found[i], got="quiet", reason="must fire, but stays quiet" + _AS_GROUPS_TICK)
    return found


def _why_quiet(experiment: Experiment, case: Case) -> tuple[str, ...]:
    """How near a rule came to firing in a situation in which it should have."""
    plan, interval, ticks = experiment.plan, experiment.plan.interval_ms, case.ticks
    pending = max((t for t in case.timelines if t.true_at), key=lambda t: max(_runs(t).values()), default=None)
    if pending is not None:
        since, length = max(_runs(pending).items(), key=lambda run: run[1])
        hold = f"`for: {format_duration(plan.rule.hold_ms)}` needs {plan.hold_ticks + 1} in a row"
        whose = format_labels({k: v for k, v in pending.labels if k not in ("alertname", *plan.rule.labels)})
        many = f"{length} tick{'s' if length > 1 else ''}"
        return (f"at most it holds for {many}, from {at_tick(since, interval)} on, for {whose}", hold)
    slots = experiment.record_later([case.traces], (ticks - 1) * interval, case.lead_ms)

    def course(text: str) -> list[dict[Labels, float]]:
        return experiment.replay.course(plan, text, slots, case.lead_ms, ticks)

    holding = [0] * ticks
    for comparison in comparisons(plan.rule.expr):
        held = [bool(found) for found in course(comparison.text)]
        if any(held):
            holding = [count + holds for count, holds in zip(holding, held, strict=True)]
        elif near := nearest(comparison, course(comparison.left), course(comparison.right)):
            return (f"nearest at {at_tick(near[0], interval)}: there {near[1]}",)
    most = ticks - 1 - holding[::-1].index(max(holding))
    offset = case.lead_ms + most * interval
    why = returns_nothing(plan.rule.expr, lambda text: experiment.replay.instants(plan, text, slots, offset)[0])
    return (f"nearest at {at_tick(most, interval)}", *why.parts) if why is not None else ()


def _runs(alert: AlertTimeline) -> dict[int, int]:
    """Every unbroken run of ticks at which the rule returned the alert: its first tick → its length."""
    runs: dict[int, int] = {}
    for tick in sorted(alert.true_at):
        first = true_since(alert, tick)
        runs[first] = tick - first + 1
    return runs
