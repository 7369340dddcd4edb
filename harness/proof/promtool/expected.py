"""What a contract expects of its alert, as worlds and assertions for promtool: for alerts that are not exact.

Nothing here looks at what the rule does, but for the tick at which its condition begins and ends in a course whose hold
is wrong: windows are the rule's own affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from harness.contracts import Contract, Situation
from harness.contracts.model import ContractKind
from harness.contracts.world import Scrapes, traces
from harness.proof.measuring.experiment import busiest, lead_ms, true_since, window_ticks
from harness.proof.measuring.measure import Measurement
from harness.proof.measuring.timings import PULSE
from harness.proof.model import AlertFinding, Case, Verdict
from harness.replay import AlertState, Plan
from harness.units import format_duration

_MOST_CONTRARY = 3
"""Positions at which the rule does what it should not, beside those next to the threshold."""


@dataclass(frozen=True, slots=True)
class ExpectedTick:
    """What must be at one tick of a world."""

    tick: int
    fires: bool
    alerts: tuple[Mapping[str, str], ...] = ()
    """If it fires: labels that one alert each must carry, "" for one that it must not have."""
    only: bool = False
    """And no other alert of the rule may fire."""
    ever_ms: int = 0
    """Not at the tick, but at any time within so much of it."""


@dataclass(frozen=True, slots=True)
class ExpectedCase:
    """One world and what must come of it."""

    case: Case
    wanted: tuple[ExpectedTick, ...] = field(default=())


def expected_cases(
    contract: Contract, plan: Plan, found: Measurement, findings: Sequence[AlertFinding]
) -> list[ExpectedCase]:
    """The contract's expectations: around its threshold, where the rule does otherwise, of its hold, of situations."""
    contract, plan = replace(contract, scrape_ms=found.sampling.scrape_ms), found.sampling.played(plan)
    verdicts = {finding.verdict for finding in findings}
    made = [] if found.phases is not None else [_standing(contract, plan, x) for x in _positions(contract, found)]
    if not verdicts & {Verdict.OFF_THRESHOLD, Verdict.WRONG_COMPARISON} and Verdict.WRONG_HOLD in verdicts:
        made += _held(contract, plan, found)
    by_name = {case.name: case for case in found.measured.situation_cases}
    made += [_situation(s, by_name[s.name], plan) for s in contract.situations if s.name in by_name]
    return [one for one in made if one.case.promtool_ms is not None]


def _fires(contract: Contract, x: Fraction) -> bool:
    return contract.kind is ContractKind.ALWAYS or contract.op.holds(x, contract.threshold)


def _positions(contract: Contract, found: Measurement) -> list[Fraction]:
    """Where the knob stands: as near to the threshold on both sides as rounding allows, on it where the rule's sides
    are the same number there, and where the rule does otherwise than meant."""
    positions = found.positions
    here, blur = positions.at_threshold, found.tolerated + 1
    if contract.knob.step is not None:
        blur = max(1, found.tolerated)
    beside = [p for p in (here - blur, here, here + blur) if positions.lowest <= p <= positions.highest]
    if found.tolerated and not found.equal:
        beside = [p for p in beside if p != here]
    contrary = [
        p
        for p in sorted(found.search.truth, key=lambda p: abs(p - here))
        if found.search.truth[p] is not _fires(contract, positions.value(p)) and abs(p - here) > found.tolerated
    ]
    if len(contrary) > _MOST_CONTRARY:
        contrary = [contrary[0], contrary[len(contrary) // 2], contrary[-1]]
    return [positions.value(p) for p in dict.fromkeys([*beside, *contrary])]


def _hold_ticks(contract: Contract, plan: Plan) -> int:
    return -(-contract.hold_ms // plan.interval_ms)


def _standing(contract: Contract, plan: Plan, x: Fraction) -> ExpectedCase:
    """The knob stands at x until every window is full and the hold is over."""
    ticks = window_ticks(plan, contract.scrape_ms) + _hold_ticks(contract, plan) + 2
    length, lead = ticks * plan.interval_ms, lead_ms(plan, contract.scrape_ms)
    scrapes = Scrapes.regular(contract.scrape_ms, length, plan.tick_ms, lead)
    world = traces(contract.signal, ((0, x),), scrapes)
    fires = _fires(contract, x)
    name = f"{contract.knob.name} at {contract.at(x)}: {'fires' if fires else 'stays quiet'}"
    case = Case(name, world, contract.scrape_ms, scrapes.phase_ms, ticks + 1, (), lead, tick_ms=plan.interval_ms)
    return ExpectedCase(
        case, (ExpectedTick(ticks, fires, *_culprit(contract)) if fires else ExpectedTick(ticks, False),)
    )


def _culprit(contract: Contract) -> tuple[tuple[Mapping[str, str], ...], bool]:
    """The alert of the main signal; without `identifies` neither its labels nor their number are checked."""
    return (contract.meant_labels,), contract.identifies is not None


def _held(contract: Contract, plan: Plan, found: Measurement) -> Iterator[ExpectedCase]:
    """The course of the measured hold, with the ticks that the contract's `for` and `keep_firing_for` ask for."""
    case = next((each for each in found.measured.cases if each.name == PULSE), None)
    alert = busiest(case.timelines) if case is not None else None
    if case is None or alert is None or not alert.true_at:
        return
    first_firing = alert.first(AlertState.FIRING)
    last_true = max(alert.true_at)
    began = true_since(alert, first_firing if first_firing is not None else last_true)
    fires = began + _hold_ticks(contract, plan)
    over = next((t for t in range(fires, case.ticks) if t not in alert.true_at), None)
    wanted = [ExpectedTick(fires - 1, False)] if fires else []
    wanted.append(ExpectedTick(fires, True, *_culprit(contract)))
    if over is not None:
        kept = -(-contract.keep_firing_ms // plan.interval_ms)
        if kept:
            wanted.append(ExpectedTick(over + kept - 1, True, *_culprit(contract)))
        wanted += [
            ExpectedTick(tick, False) for tick in dict.fromkeys((over + kept, case.ticks - 1)) if tick < case.ticks
        ]
    name = f"fires {format_duration(contract.hold_ms)} after its condition begins"
    yield ExpectedCase(replace(case, name=name, timelines=()), tuple(wanted))


def _situation(situation: Situation, case: Case, plan: Plan) -> ExpectedCase:
    last = case.ticks - 1
    ever = last * plan.interval_ms + plan.interval_ms // 2
    if situation.alerts == ():
        return ExpectedCase(case, (ExpectedTick(last, False, ever_ms=ever),))
    return ExpectedCase(
        case, (ExpectedTick(last, True, situation.alerts or ({},), situation.alerts is not None, ever),)
    )
