"""Contract + measurement → findings, in the user's terms. No finding means exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.contracts import Contract, ContractKind, Op
from harness.proof.judging.hold import judge_hold
from harness.proof.judging.phases import judge_phases
from harness.proof.judging.rendered import one_alert, value_labels
from harness.proof.judging.situations import situation_finding
from harness.proof.measuring.measure import Measurement
from harness.proof.model import (
    GRAVITY,
    AlertFinding,
    Boundary,
    LocatedAlert,
    Sides,
    Verdict,
)
from harness.replay import AlertState
from harness.units import format_duration, format_number, format_with_unit

_OF_METRICS = frozenset(
    {
        Verdict.NEVER_FIRES,
        Verdict.ALWAYS_FIRES,
        Verdict.WRONG_COMPARISON,
        Verdict.OFF_THRESHOLD,
        Verdict.WRONG_SITUATION,
    }
)
"""What a metric that nobody makes, or nobody reads, may be the reason of."""


def judge(contract: Contract, located: LocatedAlert, found: Measurement) -> tuple[list[AlertFinding], list[str]]:
    """Findings about threshold, comparison, hold and situations, and notes that change no verdict."""
    findings, notes = _threshold(contract, found)
    findings = [_about_comparison(finding, found) for finding in findings]
    if found.measured.boundary is not None or (contract.kind is ContractKind.ALWAYS and not findings):
        findings += judge_hold(contract, located, found.measured)
        if contract.identifies is not None:
            findings += one_alert(contract, located, found.measured.cases)
    for name in value_labels(located):
        what = f"label `{name}` holds the value"
        findings.append(
            AlertFinding(
                Verdict.WRONG_LABELS, what, ("whenever that changes it is another alert, and `for` begins again",)
            )
        )
    if found.phases is not None:
        findings += judge_phases(found.phases, contract)
    findings += [situation_finding(situation) for situation in found.situations if situation.reason]
    speaks = next((i for i, finding in enumerate(findings) if finding.verdict in _OF_METRICS), None)
    if speaks is not None:
        findings[speaks] = replace(findings[speaks], parts=(*findings[speaks].parts, *found.unmatched()))
    return findings, notes


# -- threshold ---------------------------------------------------------------------------------------------------


def _threshold(contract: Contract, found: Measurement) -> tuple[list[AlertFinding], list[str]]:
    knob = contract.knob
    boundary = found.measured.boundary
    says = f"the contract says {contract.limit}"
    if contract.kind is ContractKind.ALWAYS:
        return _always(contract, found), []
    if boundary is None:
        return [_changing(found) or _one_state(contract, found)], []
    if contract.kind is not ContractKind.THRESHOLD:
        # With only two positions there is but one other way.
        message = f"fires while the series are {contract.at(boundary.fires_at)}"
        return [] if found.in_direction else [
            AlertFinding(Verdict.WRONG_COMPARISON, message, (says,), _there(found))
        ], []
    parts, there = (says, _where(contract, boundary)), _there(found)
    at_threshold = format_with_unit(contract.threshold, knob.unit)

    if not found.in_direction:
        side = "below" if contract.op.fires_above else "above"
        return [AlertFinding(Verdict.WRONG_COMPARISON, f"fires {side} the threshold", parts, there)], []
    # At the very threshold both sides of the comparison were the same number, and it went the other way.
    contrary = next((m for m in found.equal if m.fires is not contract.op.fires_at_threshold), None)
    if contrary and abs(boundary.steps) <= max(1, found.tolerated) and (knob.step is None or boundary.steps):
        verb = "fires" if contrary.fires else "stays quiet"
        return [AlertFinding(Verdict.WRONG_COMPARISON, f"{verb} at exactly {at_threshold}", parts, there)], []
    if abs(boundary.steps) > found.tolerated:
        early = "early" if boundary.steps < 0 else "late"
        step = knob.step if knob.step is not None else found.positions.age_step
        distance = abs(boundary.steps) * step if step is not None else boundary.fires_at - contract.threshold
        off = format_with_unit(abs(float(distance)), knob.unit)
        return [AlertFinding(Verdict.OFF_THRESHOLD, f"fires {off} too {early}", parts, there)], []
    if again := _other_side(contract, found):
        return [AlertFinding(Verdict.WRONG_COMPARISON, again, parts, there)], []
    notes = []
    if boundary.steps and found.gap:
        off = format_number(found.gap)
        notes.append(
            f"at {at_threshold} the rule's own arithmetic is {off} off its limit, which is within its rounding"
        )
    if found.changes_ms is not None:
        when = f"{format_duration(found.moment_ms)} after the beginning of a world"
        notes.append(f"the signal changes after the moment at which the boundary is taken, {when}")
    if knob.step is None and not found.equal:
        near = f"{max(1, found.tolerated)} {'steps' if found.positions.age_step else 'ULP'}"
        notes.append(f"the rule's sides never meet exactly at {at_threshold}: its comparison is proved only to {near}")
    return [], notes


def _changing(found: Measurement) -> AlertFinding | None:
    """Where there is no boundary because the contract's signal becomes what it is about only later, or is over by then:
    nothing is known about the rule."""
    if found.changes_ms is None:
        return None
    parts = (
        f"it is taken {format_duration(found.moment_ms)} after a world began, when every window is full; the signal "
        f"changes with `t` at {format_duration(found.changes_ms)}",
        "what to do: let the signal stand still with the knob, and say in situations what happens when",
    )
    message = "the signal changes after the moment at which the boundary is taken"
    return AlertFinding(Verdict.UNSUPPORTED, message, parts)


def _one_state(contract: Contract, found: Measurement) -> AlertFinding:
    knob = contract.knob
    span = f"at every {knob.name} from {format_number(knob.low)} to {format_with_unit(knob.high, knob.unit)}"
    if contract.kind is not ContractKind.THRESHOLD:
        span = "whether the series are there or gone"
    elif found.looked_at is not None:
        span += f", even at {contract.at(found.looked_at)}"
    if found.search.fires_somewhere():
        return _because(AlertFinding(Verdict.ALWAYS_FIRES, f"fires {span}", evidence=_there(found)), found)
    return _because(AlertFinding(Verdict.NEVER_FIRES, f"stays quiet {span}", _unseen(contract, found)), found)


def _unseen(contract: Contract, found: Measurement) -> tuple[str, ...]:
    """That series are gone between two scrapes, where they are."""
    scrape_ms, seen_ms = contract.scrape_ms, found.seen_ms
    if found.why is not None or scrape_ms <= seen_ms:
        return ()
    every, seen, gone = map(format_duration, (scrape_ms, seen_ms, scrape_ms - seen_ms))
    return (f"scraped every {every}, a series is gone for {gone} of it: samples are seen for {seen} (lookback_delta)",)


def _always(contract: Contract, found: Measurement) -> list[AlertFinding]:
    """It must fire at every position of the knob, which mostly is a single one."""
    says = (f"the contract says {contract.limit}",)
    if not found.search.fires_somewhere():
        return [_because(AlertFinding(Verdict.NEVER_FIRES, "stays quiet", says), found)]
    quiet = [p for p, fires in found.search.truth.items() if not fires]
    if quiet:
        nearest = contract.at(found.positions.value(min(quiet)))
        message = f"is quiet with {contract.knob.name} at {nearest}"
        return [AlertFinding(Verdict.OFF_THRESHOLD, message, says, _there(found))]
    for case in found.measured.cases:
        fired = [any(t.states[tick] is AlertState.FIRING for t in case.timelines) for tick in range(case.ticks)]
        if True in fired and not all(fired[fired.index(True) :]):
            return [AlertFinding(Verdict.WRONG_SITUATION, "fires, but not at every tick from then on", says)]
    return []


def _other_side(contract: Contract, found: Measurement) -> str:
    """Whether the rule also fires where it should not, or not where it should, beyond its boundary."""
    positions, truth = found.positions, found.search.truth
    boundary = found.measured.boundary
    if boundary is None:
        return ""
    fires = positions.position(boundary.fires_at)
    for position, fired in sorted(truth.items(), key=lambda item: abs(item[0] - positions.at_threshold)):
        if contract.op is Op.EQ:
            meant = position == fires
        else:
            meant = position >= fires if contract.op.fires_above else position <= fires
        if fired is not meant and not positions.is_blurred(position):
            x = contract.at(positions.value(position))
            return f"also {'fires' if fired else 'is quiet'} at {x}"
    return ""


def _where(contract: Contract, boundary: Boundary) -> str:
    quiet, fires = format_number(boundary.quiet_at), format_with_unit(boundary.fires_at, contract.knob.unit)
    return f"measured: quiet at {quiet}, fires at {fires}"


def _compared(found: Measurement) -> Sides | None:
    """The comparison to speak of: where the rule fires the first one that holds, else the first one that has something
    to compare."""
    at = found.measured.at_fires
    if found.search.fires_somewhere() and (holding := next(filter(_holds, at), None)) is not None:
        return holding
    return next((sides for sides in at if sides.left or sides.right), at[0] if at else None)


def _holds(sides: Sides) -> bool:
    return any(sides.holds(left, right) for left in sides.left.values() for right in sides.right.values())


def _about_comparison(finding: AlertFinding, found: Measurement) -> AlertFinding:
    sides = _compared(found) if finding.span is None else None
    return replace(finding, expr=sides.text, span=sides.span) if sides is not None else finding


def _because(finding: AlertFinding, found: Measurement) -> AlertFinding:
    """The finding with the reason for which the rule is the same at every position of the knob."""
    why = found.why
    if why is None:
        return finding if finding.evidence else replace(finding, evidence=_there(found))
    # That a metric is missing says less than that nobody makes it.
    parts = () if why.nothing_there and found.unmatched() else why.parts
    return replace(finding, parts=(*finding.parts, *parts), expr=why.expr, span=why.span)


def _there(found: Measurement) -> tuple[str, ...]:
    """What the rule computed at the firing value (or, if it never fires, at the far end), and for which series."""
    parts = []
    sides = _compared(found)
    if sides is not None:
        compares = f"compares {_values(sides)}" if sides.left or sides.right else "has nothing to compare"
        parts.append(f"there `{sides.text}` {compares}")
    matched = found.measured.matched
    if matched:
        shown = ", ".join(f"{labels} = {format_number(value)}" for labels, value in matched[:3])
        more = f" and {len(matched) - 3} more" if len(matched) > 3 else ""
        parts.append(f"matched: {shown}{more}")
    return tuple(parts)


def _values(sides: Sides) -> str:
    left = ", ".join(format_number(v) for v in list(sides.left.values())[:2]) or "nothing"
    right = ", ".join(format_number(v) for v in list(sides.right.values())[:2]) or "nothing"
    return f"{left} {sides.op} {right}"


def worst_first(findings: Sequence[AlertFinding]) -> list[AlertFinding]:
    """Findings by gravity; the first is the alert's verdict."""
    return sorted(findings, key=lambda finding: GRAVITY[finding.verdict])
