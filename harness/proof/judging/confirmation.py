"""What promtool's answer means for a result: whether it confirms it, and what it shows that replay cannot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.contracts import Contract
from harness.proof.judging.rendered import (
    holes,
    judge_labels,
    judge_rendered,
    judge_rendered_situations,
    names_opaque,
)
from harness.proof.judging.situations import situation_finding
from harness.proof.model import AlertFinding, Case, Measured, SituationResult, Verdict, told
from harness.proof.promtool.check import AlertDifference, CheckAnswer
from harness.proof.promtool.unit_test import CheckRequest, pinned
from harness.series import carries

OUT_OF_REACH = (
    "promtool's time begins on Thursday 1970-01-01, and as far as it can be followed from there, the clock never says "
    "what it must say"
)
"""Why promtool is not asked about a rule that fires in July only."""
UNRENDERED = "labels and annotations are not checked, for promtool renders them"
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is to be added to a result once promtool has answered."""

    confirmed: bool | None = None
    """Whether it saw what replay did; None where it cannot judge …"""
    reason: str = ""
    """… and why."""
    findings: tuple[AlertFinding, ...] = ()
    notes: tuple[str, ...] = ()
    situations: tuple[SituationResult, ...] = ()
    """Those of the result, judged by the labels that promtool rendered where only it can tell them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pinned: str = ""


def confirm(
    contract: Contract,
    measured: Measured,
    situations: Sequence[SituationResult],
    request: CheckRequest,
    answer: CheckAnswer,
    complaints: Collection[int],
) -> Confirmation:
    """Judge an answer; `complaints` are the ids of rules that Prometheus refuses."""
    located = request.located
    alert = answer.first_alert()
    labels, annotations = alert or ({}, {})
    by_rounding = [found for found in answer.disagreements if rounding_explains(found, request, measured)]
    against = [found for found in answer.disagreements if found not in by_rounding]
    notes = [found.text for found in by_rounding]
    main = tuple(told(measured.cases))
    out_of_reach = len(main) < len(measured.cases) and not answer.refused and not against
    if out_of_reach and not answer.cannot and alert is None:
        notes.append(UNRENDERED)
    confirmed = None if answer.cannot or out_of_reach else not answer.refused and not against
    reason = answer.cannot or (OUT_OF_REACH if out_of_reach else "")
    pin = pinned(replace(request, cases=main), answer.rendered) if main else ""
    known = Confirmation(confirmed, reason, (), tuple(notes), tuple(situations), labels, annotations, pin)
    if answer.refused and complaints:
        # Another rule of the file keeps Prometheus from loading it; that rule's own verdict says so.
        whose = "the rule" if id(located.rule) in complaints else f"another rule of {located.file.name}"
        return replace(known, confirmed=None, reason=f"promtool refuses {whose}")
    if alert is None and answer.cannot and not answer.rendered:
        return replace(known, findings=tuple(judge_labels(contract, _replayed_labels(measured))))
    findings = [AlertFinding(Verdict.ERROR, found.text) for found in against[:_MOST_SHOWN]]
    findings += judge_rendered(contract, located, answer)
    if alert is not None:
        wrong, unfilled = holes(contract, located, measured)
        findings += wrong
        notes += unfilled
    judged = tuple(situations)
    if names_opaque(contract, located):
        judged = tuple(judge_rendered_situations(contract, measured, situations, answer))
        findings += [situation_finding(each) for each in judged if each not in situations]
    return replace(known, findings=tuple(findings), notes=tuple(notes), situations=judged)


def rounding_explains(found: AlertDifference, request: CheckRequest, measured: Measured) -> bool:
    """Whether promtool may show this although both engines are right, for they round otherwise: only in a case whose
    knob stands next to the boundary, and only if what the rule compares there is nearer to its limit than two engines'
    roundings may lie apart (harness/proof/measuring/rounding.py)."""
    if not 0 <= found.case < len(request.cases):
        return False
    rounded = measured.rounded.get(request.cases[found.case].name)
    if rounded is None:
        return False
    ours, theirs = found.pending
    if ours != theirs:  # one that fires early is pending no more
        return rounded.gained or (rounded.lost and theirs < ours)
    if not found.missing and not found.extra:
        return False
    known = all(_is_known(labels, measured.cases) for labels in found.extra)
    return known and (rounded.lost or not found.missing) and (rounded.gained or not found.extra)


def _is_known(labels: Mapping[str, str], cases: Sequence[Case]) -> bool:
    """Whether replay saw such an alert in any course of the knob: rounding makes no labels."""
    return any(carries(labels, dict(timeline.labels)) for case in cases for timeline in case.timelines)


def _replayed_labels(measured: Measured) -> dict[str, str]:
    """The labels of the first alert that fires in replay, without those that only a template can tell."""
    firing = (alert for case in measured.cases for alert in case.timelines if alert.fires)
    return next((dict(alert.labels) for alert in firing), {})
