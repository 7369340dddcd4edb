"""Objectives from OpenSLO v1 documents.

What a document refers to may stand in any of the files that are read together; it is resolved once all are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.errors import InputError, UnsupportedError
from harness.slo.annotations import ALERTING, GROUP_BY
from harness.slo.model import Budgeting, Metadata, Objective, Occurrences, RatioTimeslices, Timeslices
from harness.slo.queries import grouped
from harness.slo.spec.openslo.alerts import POLICY_FIELDS, alerting_of, check_target, condition_of
from harness.slo.spec.openslo.documents import DocumentIndex, description_of, filled, metadata_of, spec_of
from harness.slo.spec.openslo.indicator import indicator_fields, indicator_of, said_in_vain, sli_of
from harness.slo.spec.openslo.period import period_of
from harness.slo.spec.refuse import check_objective
from harness.slo.values import choice, shorthand
from harness.source import Fields, Text, number, whole_number

_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Pending:
    """An SLO whose references are still to be resolved."""

    fields: Fields


def add(document: Fields, index: DocumentIndex) -> list[Pending]:
    """Take one document into the index. An SLO is handed back for later; others are checked, used or not."""
    kind = index.take(document)
    if kind == "SLO":
        return [Pending(document)]
    _CHECKS[kind](document)
    return []


def resolve(pending: Pending, index: DocumentIndex, period_ms: int | None = None) -> list[Objective]:
    """The objectives of an SLO, one for each entry of its `objectives`.

    `period_ms` is the period of those that name none; without it they are refused.
    """
    document = pending.fields
    about = metadata_of(document)
    spec = spec_of(document)
    spec.only(
        "description", "service", "indicator", "indicatorRef", "timeWindow", "budgetingMethod", "objectives",
        "alertPolicies",
    )  # fmt: skip
    name = document.fields("metadata", "`metadata`").text("name")
    goals = [item.fields() for item in spec.items("objectives", f"an objective of `{about.name}`")]
    if not goals:
        raise InputError(f"`objectives` of `{about.name}` is empty", span=spec.key_span("objectives"), hint="add one")
    for goal in goals:
        _refuse_composite(goal)
        goal.only("displayName", "op", "value", "target", "targetPercent", "timeSliceTarget", "timeSliceWindow")
    indicator, indicator_about = indicator_fields(spec, index)
    if "thresholdMetric" in indicator and len(goals) > 1:
        raise InputError(
            f"`{about.name}` has a `thresholdMetric` and {len(goals)} objectives; OpenSLO allows one",
            span=goals[1].span,
            hint="write an SLO for each",
        )
    alerting, group_by = alerting_of(document, spec, index), _group_by(document)
    found = []
    for i, goal in enumerate(goals):
        display = goal.optional_text("displayName")
        objective = Objective(
            name=about.name if len(goals) == 1 else f"{about.name}-{_slug(display.value if display else '', i)}",
            service=filled(spec, "service"),
            target=_target(goal),
            period=period_of(spec, about.name, period_ms),
            indicator=grouped(indicator_of(indicator, goal, index), group_by),
            budgeting=_budgeting(spec, goal),
            alerting=alerting,
            display_name=about.display_name,
            description=description_of(spec),
            labels=about.labels,
            annotations={key: value for key, value in about.annotations.items() if key != ALERTING},
            goal=display.value if display else "",
            indicator_about=indicator_about,
            service_about=_service_about(spec, index),
            span=name.span,
            target_span=goal.text("target" if "target" in goal else "targetPercent").span,
            notices=tuple(said_in_vain(indicator, goal)),
        )
        check_objective(objective)
        found.append(objective)
    return found


def _group_by(document: Fields) -> tuple[str, ...]:
    """The labels of the annotation, in order of the alphabet; none without it."""
    metadata = document.fields("metadata", "`metadata`")
    annotations = metadata.fields("annotations", "`annotations`") if "annotations" in metadata else None
    if annotations is None or GROUP_BY not in annotations:
        return ()
    text = annotations.text(GROUP_BY)
    labels = [label.strip() for label in text.value.split(",")]
    for label in labels:
        if not _LABEL_NAME.fullmatch(label):
            raise InputError(
                f"`{label}` in `{GROUP_BY}` is no label name of Prometheus",
                span=text.span,
                hint="write the labels with commas between them: cluster, namespace",
            )
    return tuple(sorted(set(labels)))


def _service_about(spec: Fields, index: DocumentIndex) -> Metadata:
    document = index.documents.get(("Service", spec.text("service").value))
    return replace(metadata_of(document), description=description_of(spec_of(document))) if document else Metadata()


def _slug(display: str, index: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", display.lower()).strip("-") or str(index + 1)


def _target(goal: Fields) -> Fraction:
    if ("target" in goal) == ("targetPercent" in goal):
        raise InputError(
            f"{goal.what} needs exactly one of `target` and `targetPercent`", span=goal.span, hint="write target: 0.999"
        )
    if "target" in goal:
        return number(goal.text("target"), "`target`")
    return number(goal.text("targetPercent"), "`targetPercent`") / 100


def _budgeting(spec: Fields, goal: Fields) -> Budgeting:
    method = choice(spec.text("budgetingMethod"), ("Occurrences", "Timeslices", "RatioTimeslices"), "`budgetingMethod`")
    for key, methods in (("timeSliceTarget", ("Timeslices",)), ("timeSliceWindow", ("Timeslices", "RatioTimeslices"))):
        if (key in goal) != (method in methods):
            raise InputError(
                f"`{key}` {'means nothing' if key in goal else 'is needed'} with `budgetingMethod: {method}`",
                span=goal.key_span(key),
                hint=f"{'remove' if key in goal else 'add'} it, or choose another method",
            )
    if method == "Occurrences":
        return Occurrences()
    window_ms = _slice_window_ms(goal.text("timeSliceWindow"))
    if method == "RatioTimeslices":
        return RatioTimeslices(window_ms)
    text = goal.text("timeSliceTarget")
    target = number(text, "`timeSliceTarget`")
    if not 0 < target <= 1:
        raise InputError(
            f"`timeSliceTarget` is {text.value}, not above 0 and at most 1", span=text.span, hint="write a ratio: 0.95"
        )
    return Timeslices(target, window_ms)


def _slice_window_ms(text: Text) -> int:
    if text.value.isascii() and text.value.isdecimal() and (minutes := whole_number(text, "`timeSliceWindow`")):
        return minutes * 60_000  # "default interpretation of unit if specified as a number in minutes"
    length_ms, months = shorthand(text, "`timeSliceWindow`")
    if months:
        raise UnsupportedError(
            f"time slices of `{text.value}`", span=text.span, hint="a slice has a fixed length, such as 1m or 5m"
        )
    return length_ms


def _refuse_composite(goal: Fields) -> None:
    for key in ("indicator", "indicatorRef", "compositeWeight"):
        if key in goal:
            raise UnsupportedError(
                f"`{key}` in an objective: a composite SLO mixes indicators into one budget",
                span=goal.key_span(key),
                hint="write an SLO for each indicator, with `indicator` in its `spec`",
            )


# -- documents that only others use: wrong ones are told even if nobody does ----------------------------------------


def _check_sli(document: Fields) -> None:
    sli_of(document)


def _check_service(document: Fields) -> None:
    spec = spec_of(document)
    spec.only("description")
    description_of(spec)


def _check_source(document: Fields) -> None:
    spec = spec_of(document)
    spec.only("description", "type", "connectionDetails")
    filled(spec, "type")
    description_of(spec)


def _check_policy(document: Fields) -> None:
    spec_of(document).only(*POLICY_FIELDS)


def _check_condition(document: Fields) -> None:
    condition_of(document)


_CHECKS: Mapping[str, Callable[[Fields], None]] = {
    "SLI": _check_sli,
    "Service": _check_service,
    "DataSource": _check_source,
    "AlertPolicy": _check_policy,
    "AlertCondition": _check_condition,
    "AlertNotificationTarget": check_target,
}
