"""Contract + measurement → findings, in the user's terms. No finding means exact."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from harness.contracts import Contract, ContractKind, Op
from harness.errors import Span
from harness.proof.judging.phases import judge_phases
from harness.proof.measuring.measure import Measurement
from harness.proof.model import (
    GRAVITY,
    AlertFinding,
    Boundary,
    Case,
    LocatedAlert,
    Measured,
    Sides,
    SituationResult,
    Verdict,
    told,
)
from harness.proof.positions import ulps_between
from harness.proof.promtool.check import CheckAnswer
from harness.replay import AlertState, opaque_labels
from harness.series import carries, format_labels
from harness.source import Text
from harness.units import format_duration, format_number, format_with_unit

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_LAST_BITS = 4
"""Sides of a comparison that are this near to each other (in ULP) may differ by the order in which a sum was added."""

_BROKEN_TEMPLATE = re.compile(r"<error expanding template|error executing template|<no value>|%!.?\(")
"""What Go's templates and printf leave in an annotation instead of failing."""
_PANIC = "panic expanding template"
"""What Prometheus says of a template that it could not evaluate at all (template/template.go)."""
_HOLDS_VALUE = re.compile(r"\{\{[^}]*(?:\$value\b|\.Value\b)")
_NAMED_LABEL = re.compile(r"\{\{-?\s*(?:\$labels|\.Labels)\.(\w+)\s*(?:\||-?\}\})")
_TESTED_LABEL = re.compile(r"\{\{-?\s*(?:else )?(?:if|with)\b[^}]*(?:\$labels|\.Labels)\.(\w+)")


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
        findings += _hold(contract, located, found)
        if contract.identifies is not None:
            findings += _one_alert(contract, located, found.measured.cases)
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


def situation_finding(situation: SituationResult) -> AlertFinding:
    """A situation that did not end as meant."""
    message = f"situation `{situation.name}`: {situation.reason}"
    verdict = Verdict.ERROR if situation.got == "error" else Verdict.WRONG_SITUATION
    return AlertFinding(verdict, message, situation.parts, situation=situation.name)


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
    holds = _COMPARED[sides.op]
    return any(holds(left, right) for left in sides.left.values() for right in sides.right.values())


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


# -- time --------------------------------------------------------------------------------------------------------


def _hold(contract: Contract, located: LocatedAlert, found: Measurement) -> list[AlertFinding]:
    measured, interval = found.measured, located.group.interval_ms
    wanted = -(-contract.hold_ms // interval) * interval
    says = f"the contract says {format_duration(contract.hold_ms)}"
    count = wanted // interval
    ticks = f"({count} {'tick' if count == 1 else 'ticks'} of {format_duration(interval)})"
    if measured.fires_after_ms is None:
        message = "becomes pending but never fires"
        if contract.kind is ContractKind.THRESHOLD:
            message += " while the knob stands past the threshold"
        return [AlertFinding(Verdict.WRONG_HOLD, message, (f"{says} {ticks}",))]
    findings = []
    if others := measured.held_otherwise - {measured.fires_after_ms}:
        shown = sorted(
            "not at all" if ms is None else f"{format_duration(ms)} after it becomes pending" for ms in others
        )
        message = f"as the groups that it reads happen to tick it fires {' or '.join(shown)}"
        findings.append(AlertFinding(Verdict.WRONG_HOLD, message, (f"{says} {ticks}",)))
    late = measured.late_ms
    stretched = wanted - contract.hold_ms
    if late is not None:
        total = late + measured.fires_after_ms
        if not wanted <= total <= wanted + interval:
            state = "gone" if contract.kind is ContractKind.ABSENCE else "there"
            seen = f"it becomes pending {format_duration(late)} after that, for the rule looks back"
            got = f"fires {format_duration(total)} after the series are {state}"
            findings.append(AlertFinding(Verdict.WRONG_HOLD, got, (f"{says} {ticks}", seen)))
    elif measured.fires_after_ms != wanted:
        got = format_duration(measured.fires_after_ms)
        findings.append(AlertFinding(Verdict.WRONG_HOLD, f"fires {got} after it becomes pending", (f"{says} {ticks}",)))
    elif stretched > contract.scrape_ms:
        got = f"fires {format_duration(wanted)} after it becomes pending, for the group's interval stretches the hold"
        findings.append(AlertFinding(Verdict.WRONG_HOLD, got, (f"{says} {ticks}",)))
    kept = -(-contract.keep_firing_ms // interval) * interval
    if measured.resolves_after_ms != kept and contract.kind is not ContractKind.ALWAYS:
        if measured.resolves_after_ms is None:
            got = "does not resolve after the condition ended"
        else:
            got = f"resolves {format_duration(measured.resolves_after_ms)} after the condition ended"
        says = f"the contract says {format_duration(kept)}"
        findings.append(AlertFinding(Verdict.WRONG_HOLD, got, (says,), recovery=True))
    return findings


# -- labels and annotations --------------------------------------------------------------------------------------


def _one_alert(contract: Contract, located: LocatedAlert, cases: Sequence[Case]) -> list[AlertFinding]:
    """In the main signal there is one culprit, so there should be one alert.

    A knob that counts things may turn several bad, so there only its first firing position tells; on a continuous one
    rounding may leave a second alert one double behind, so all courses do.
    """
    hidden = {"alertname", *located.rule.labels}
    for case in cases if contract.knob.step is None else cases[:1]:
        for tick in range(case.ticks):
            firing = [t for t in case.timelines if t.states[tick] is AlertState.FIRING]
            if len(firing) > 1:
                shown = ", ".join(format_labels({k: v for k, v in t.labels if k not in hidden}) for t in firing[:2])
                message = f"{len(firing)} alerts fire at once where the contract's signal has one culprit"
                return [AlertFinding(Verdict.WRONG_LABELS, message, (f"{shown} …",))]
    return []


def value_labels(located: LocatedAlert) -> list[str]:
    """The rule's labels whose templates hold the value, so that they change with it."""
    labels = located.group.labels_of(located.rule)
    return [name for name, text in labels.items() if _HOLDS_VALUE.search(text.value)]


def holes(contract: Contract, located: LocatedAlert, measured: Measured) -> tuple[list[AlertFinding], list[str]]:
    """Annotations that name a label which the rule's expression does not return: Prometheus renders nothing there.

    A misspelt one is a finding. One that is only missing here is a note: the signal need not model every label, and
    the alert may do without a device's name. Templates see the element's own labels, as the engine returned them.
    """
    firing = [timeline for case in measured.cases for timeline in case.timelines if timeline.fires]
    returned = {name for timeline in firing for name, _ in timeline.element}
    modelled = {name for spec in contract.signal.series for name, _ in spec.labels} | measured.made
    set_by_rule = {**located.group.labels_of(located.rule), "alertname": located.rule.alert}
    findings, notes = [], []
    for annotation, text in located.rule.annotations.items():
        tested = set(_TESTED_LABEL.findall(text.value))
        for name in dict.fromkeys(_NAMED_LABEL.findall(text.value)):
            if name in returned or name in tested:
                continue
            what = f"annotation `{annotation}` names `$labels.{name}`"
            if name in set_by_rule:
                by = "is the rule's name" if name == "alertname" else "the rule sets"
                notes.append(
                    f"{what}, which {by}: templates see the labels of the query's result only, so nothing is rendered "
                    "there"
                )
                continue
            what += ", which the rule's expression does not return"
            alike = [
                label
                for label in sorted(returned)
                if sorted(label) == sorted(name) or SequenceMatcher(None, label, name).ratio() >= 0.8
            ]
            if alike and name not in modelled:
                message = f"{what} (did you mean `{alike[0]}`?)"
                findings.append(AlertFinding(Verdict.WRONG_ANNOTATIONS, message, span=text.span))
            else:
                notes.append(f"{what}: nothing is rendered there")
    return findings, notes


def judge_labels(contract: Contract, labels: Mapping[str, str]) -> list[AlertFinding]:
    """What is wrong with the labels of an alert of the main signal."""
    findings = []
    for name, value in contract.meant_labels.items():
        if labels.get(name, "") != value:
            got = f'`{name}="{labels[name]}"`' if name in labels else f"no `{name}` label"
            shown = format_labels({k: v for k, v in labels.items() if k != "alertname"})
            parts = (f'the contract says `{name}="{value}"`', f"its labels: {shown}")
            findings.append(AlertFinding(Verdict.WRONG_LABELS, f"the alert carries {got}", parts))
    return findings


def judge_rendered(contract: Contract, located: LocatedAlert, answer: CheckAnswer) -> list[AlertFinding]:
    """Labels and annotations as promtool rendered them for the main signal just past the threshold."""
    written = {"annotation": located.rule.annotations, "label": located.group.labels_of(located.rule)}
    if answer.refused:
        what = "evaluate" if answer.refused.startswith("rule: ") else "load"
        return [AlertFinding(Verdict.ERROR, f"promtool cannot {what} the rule: {answer.refused}")]
    findings = [AlertFinding(Verdict.ERROR, text) for text in answer.disagreements[:3]]
    alert = answer.first_alert()
    if alert is None:
        return findings
    labels, annotations = alert
    findings += judge_labels(contract, labels)
    for name in contract.annotations:
        if not annotations.get(name, "").strip():
            what = "renders to nothing" if name in annotations else "is missing"
            findings.append(
                AlertFinding(
                    Verdict.WRONG_ANNOTATIONS,
                    f"annotation `{name}` {what}",
                    ("the contract asks for it",),
                    span=_span(written["annotation"], name),
                )
            )
    for kind, texts, verdict in (
        ("annotation", annotations, Verdict.WRONG_ANNOTATIONS),
        ("label", labels, Verdict.WRONG_LABELS),
    ):
        for name, text in texts.items():
            if _BROKEN_TEMPLATE.search(text):
                refused = Verdict.ERROR if _PANIC in text else verdict
                message = f"{kind} `{name}` does not render: {text}"
                findings.append(AlertFinding(refused, message, span=_span(written[kind], name)))
    return findings


def _span(texts: Mapping[str, Text], name: str) -> Span | None:
    return texts[name].span if name in texts else None


def names_opaque(contract: Contract, located: LocatedAlert) -> bool:
    """Whether a situation asks for a label that only promtool can tell, for its template is not ours to expand."""
    wanted = {name for situation in contract.situations for alert in situation.alerts or () for name in alert}
    return bool(wanted & opaque_labels(located.rule, located.group).keys())


def judge_rendered_situations(
    contract: Contract, measured: Measured, situations: Sequence[SituationResult], answer: CheckAnswer
) -> list[SituationResult]:
    """The situations, those that fire held against the labels that promtool rendered in them."""
    rendered: dict[str, list[Mapping[str, str]]] = {case.name: [] for case in measured.situation_cases}
    main, situation_cases = told(measured.cases), told(measured.situation_cases)
    for (number, _), alerts in answer.rendered.items():
        if number >= len(main):
            name = situation_cases[number - len(main)].name
            rendered[name] += [labels for labels, _ in answer.own(alerts) if labels not in rendered[name]]
    meant = {situation.name: situation.alerts or () for situation in contract.situations}
    judged = []
    for result in situations:
        shown = rendered.get(result.name, [])
        missing = next((w for w in meant[result.name] if not any(carries(labels, w) for labels in shown)), None)
        if result.ok and shown and missing is not None:
            fired = ", ".join(format_labels({k: v for k, v in labels.items() if k != "alertname"}) for labels in shown)
            reason = f"must fire with {format_labels(missing)}, but fires only for {fired}"
            result = replace(result, reason=reason)
        judged.append(result)
    return judged


def rounding_decides(measured: Measured) -> bool:
    """Whether the rule's sides are so near to each other at the boundary that the last bits of a sum decide there."""
    return any(
        ulps_between(left, right) <= _LAST_BITS
        for sides in (*measured.at_quiet, *measured.at_fires)
        for left in sides.left.values()
        for right in sides.right.values()
        if math.isfinite(left) and math.isfinite(right)
    )


def worst_first(findings: Sequence[AlertFinding]) -> list[AlertFinding]:
    """Findings by gravity; the first is the alert's verdict."""
    return sorted(findings, key=lambda finding: GRAVITY[finding.verdict])
