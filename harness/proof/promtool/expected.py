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
from harness.proof.measuring.measure import Measurement, busiest, lead_ms, true_since
from harness.proof.model import AlertFinding, Fact, Verdict
from harness.replay import AlertState, Plan
from harness.units import format_duration

_MOST_CONTRARY = 3
"""Positions at which the rule does what it should not, beside those next to the threshold."""


@dataclass(frozen=True, slots=True)
class Want:
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
class Meant:
    """One world and what must come of it."""

    fact: Fact
    wants: tuple[Want, ...] = field(default=())


def meant(contract: Contract, plan: Plan, found: Measurement, findings: Sequence[AlertFinding]) -> list[Meant]:
    """The contract's expectations: around its threshold, where the rule does otherwise, of its hold, of situations."""
    contract, plan = replace(contract, scrape_ms=found.pace.scrape_ms), found.pace.played(plan)
    verdicts = {finding.verdict for finding in findings}
    made = [] if found.phases is not None else [_standing(contract, plan, x) for x in _positions(contract, found)]
    if not verdicts & {Verdict.OFF_THRESHOLD, Verdict.WRONG_COMPARISON} and Verdict.WRONG_HOLD in verdicts:
        made += _held(contract, plan, found)
    by_name = {fact.name: fact for fact in found.measured.situation_facts}
    made += [_situation(s, by_name[s.name], plan) for s in contract.situations if s.name in by_name]
    return [one for one in made if one.fact.promtool_ms is not None]


def _fires(contract: Contract, x: Fraction) -> bool:
    return contract.kind is ContractKind.ALWAYS or contract.op.holds(x, contract.threshold)


def _positions(contract: Contract, found: Measurement) -> list[Fraction]:
    """Where the knob stands: as near to the threshold on both sides as rounding allows, on it where the rule's sides
    are the same number there, and where the rule does otherwise than meant."""
    axis = found.axis
    here, blur = axis.at_threshold, found.tolerated + 1
    if contract.knob.step is not None:
        blur = max(1, found.tolerated)
    beside = [p for p in (here - blur, here, here + blur) if axis.lowest <= p <= axis.highest]
    if found.tolerated and not found.met:
        beside = [p for p in beside if p != here]
    contrary = [
        p
        for p in sorted(found.search.truth, key=lambda p: abs(p - here))
        if found.search.truth[p] is not _fires(contract, axis.value(p)) and abs(p - here) > found.tolerated
    ]
    if len(contrary) > _MOST_CONTRARY:
        contrary = [contrary[0], contrary[len(contrary) // 2], contrary[-1]]
    return [axis.value(p) for p in dict.fromkeys([*beside, *contrary])]


def _window_ticks(contract: Contract, plan: Plan) -> int:
    return plan.window_ms // plan.interval_ms + contract.scrape_ms // plan.interval_ms + 2


def _hold_ticks(contract: Contract, plan: Plan) -> int:
    return -(-contract.hold_ms // plan.interval_ms)


def _standing(contract: Contract, plan: Plan, x: Fraction) -> Meant:
    """The knob stands at x until every window is full and the hold is over."""
    ticks = _window_ticks(contract, plan) + _hold_ticks(contract, plan) + 2
    length, lead = ticks * plan.interval_ms, lead_ms(plan, contract.scrape_ms)
    scrapes = Scrapes.regular(contract.scrape_ms, length, plan.tick_ms, lead)
    world = traces(contract.signal, ((0, x),), scrapes)
    fires = _fires(contract, x)
    name = f"{contract.knob.name} at {contract.at(x)}: {'fires' if fires else 'stays quiet'}"
    fact = Fact(name, world, contract.scrape_ms, scrapes.phase_ms, ticks + 1, (), lead, tick_ms=plan.interval_ms)
    return Meant(fact, (Want(ticks, fires, *_culprit(contract)) if fires else Want(ticks, False),))


def _culprit(contract: Contract) -> tuple[tuple[Mapping[str, str], ...], bool]:
    """The alert of the main signal; without `identifies` neither its labels nor their number are checked."""
    return (contract.meant_labels,), contract.identifies is not None


def _held(contract: Contract, plan: Plan, found: Measurement) -> Iterator[Meant]:
    """The course of the measured hold, with the ticks that the contract's `for` and `keep_firing_for` ask for."""
    fact = next((f for f in found.measured.facts if f.name.startswith("fires, then")), None)
    alert = busiest(fact.timelines) if fact is not None else None
    if fact is None or alert is None or not alert.true_at:
        return
    first_firing = alert.first(AlertState.FIRING)
    last_true = max(alert.true_at)
    began = true_since(alert, first_firing if first_firing is not None else last_true)
    fires = began + _hold_ticks(contract, plan)
    over = next((t for t in range(fires, fact.ticks) if t not in alert.true_at), None)
    wants = [Want(fires - 1, False)] if fires else []
    wants.append(Want(fires, True, *_culprit(contract)))
    if over is not None:
        kept = -(-contract.keep_firing_ms // plan.interval_ms)
        if kept:
            wants.append(Want(over + kept - 1, True, *_culprit(contract)))
        wants += [Want(tick, False) for tick in dict.fromkeys((over + kept, fact.ticks - 1)) if tick < fact.ticks]
    name = f"fires {format_duration(contract.hold_ms)} after its condition begins"
    yield Meant(replace(fact, name=name, timelines=()), tuple(wants))


def _situation(situation: Situation, fact: Fact, plan: Plan) -> Meant:
    last = fact.ticks - 1
    ever = last * plan.interval_ms + plan.interval_ms // 2
    if situation.alerts == ():
        return Meant(fact, (Want(last, False, ever_ms=ever),))
    return Meant(fact, (Want(last, True, situation.alerts or ({},), situation.alerts is not None, ever),))
