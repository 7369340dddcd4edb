"""What an alert carries, as promtool rendered it or as replay knows it, against its contract: findings and notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from harness.contracts import Contract
from harness.errors import Span
from harness.proof.judging.labels import FaultyText, TextFault, faulty_labels, faulty_texts
from harness.proof.model import AlertFinding, Case, LocatedAlert, Measured, SituationResult, Verdict, told
from harness.proof.promtool.check import CheckAnswer
from harness.replay import AlertState, opaque_labels
from harness.series import carries, format_labels

_HOLDS_VALUE = re.compile(r"\{\{[^}]*(?:\$value\b|\.Value\b)")
_NAMED_LABEL = re.compile(r"\{\{-?\s*(?:\$labels|\.Labels)\.(\w+)\s*(?:\||-?\}\})")
_TESTED_LABEL = re.compile(r"\{\{-?\s*(?:else )?(?:if|with)\b[^}]*(?:\$labels|\.Labels)\.(\w+)")


def one_alert(contract: Contract, located: LocatedAlert, cases: Sequence[Case]) -> list[AlertFinding]:
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
    return [_finding(faulty, labels, None) for faulty in faulty_labels(contract, labels)]


def judge_rendered(contract: Contract, located: LocatedAlert, answer: CheckAnswer) -> list[AlertFinding]:
    """Labels and annotations as promtool rendered them for the main signal just past the threshold."""
    if answer.refused:
        what = "evaluate" if answer.refused.startswith("rule: ") else "load"
        return [AlertFinding(Verdict.ERROR, f"promtool cannot {what} the rule: {answer.refused}")]
    alert = answer.first_alert()
    if alert is None:
        return []
    labels, annotations = alert
    written = {"annotation": located.rule.annotations, "label": located.group.labels_of(located.rule)}
    return [
        _finding(
            faulty, labels, written[faulty.kind][faulty.name].span if faulty.name in written[faulty.kind] else None
        )
        for faulty in faulty_texts(contract, labels, annotations)
    ]


_VERDICTS = {
    TextFault.WRONG_LABEL: Verdict.WRONG_LABELS,
    TextFault.NO_ANNOTATION: Verdict.WRONG_ANNOTATIONS,
    TextFault.BROKEN_LABEL: Verdict.WRONG_LABELS,
    TextFault.BROKEN_ANNOTATION: Verdict.WRONG_ANNOTATIONS,
    TextFault.PANIC: Verdict.ERROR,
}


def _finding(faulty: FaultyText, labels: Mapping[str, str], span: Span | None) -> AlertFinding:
    verdict = _VERDICTS[faulty.fault]
    if faulty.fault is TextFault.WRONG_LABEL:
        shown = format_labels({k: v for k, v in labels.items() if k != "alertname"})
        says = f'the contract says `{faulty.name}="{faulty.wanted}"`'
        return AlertFinding(verdict, f"the alert carries {faulty.got}", (says, f"its labels: {shown}"))
    parts = ("the contract asks for it",) if faulty.fault is TextFault.NO_ANNOTATION else ()
    return AlertFinding(verdict, faulty.got, parts, span=span)


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
