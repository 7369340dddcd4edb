"""Objectives from OpenSLO v1 documents, and back (github.com/OpenSLO/OpenSLO, the field rules of its go-sdk).

What a document refers to may stand in any of the files that are read together; it is resolved once all are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo, available_timezones

from harness.errors import InputError, Notice, UnsupportedError, near_miss
from harness.slo.alerting import ANNOTATION, read_annotation
from harness.slo.model import (
    DAY_MS,
    WINDOW_PLACEHOLDER,
    Alerting,
    Budgeting,
    BurnPair,
    Calendar,
    Events,
    Indicator,
    IndicatorQuery,
    Metadata,
    Objective,
    Occurrences,
    Period,
    RatioTimeslices,
    RawRatio,
    Rolling,
    ThresholdIndicator,
    ThresholdOp,
    Timeslices,
    WindowPlacement,
)
from harness.slo.queries import GROUP_BY, grouped, normal_placeholder
from harness.slo.spec.refuse import check_objective
from harness.slo.values import choice, shorthand, truth
from harness.source import Fields, Item, Text, number, whole_number

API_VERSION = "openslo/v1"
KINDS = ("DataSource", "SLO", "SLI", "AlertPolicy", "AlertCondition", "AlertNotificationTarget", "Service")
OWN_ANNOTATIONS = (ANNOTATION, "alert-harness/budget-policy", "alert-harness/series", GROUP_BY)
"""Annotations that mean something here: how alerts are named, what a spent budget leads to, a world to prove in."""
SOURCE_TYPES = ("prometheus", "thanos", "mimir", "cortex", "victoriametrics", "grafanamimir", "amazonprometheus")
"""Types of data sources that speak PromQL, without regard to case and `-`."""
TARGET_LABEL = "notification_target"
"""The alert label that carries the names of a policy's notification targets, for Alertmanager's routes."""
_MAX_DESCRIPTION = 1050
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_ANNOTATION_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_START = "%Y-%m-%d %H:%M:%S"
_LAST_SAFE_DAY = 28


@dataclass(frozen=True, slots=True)
class Pending:
    """An SLO whose references are still to be resolved."""

    fields: Fields


@dataclass(frozen=True, slots=True)
class DocumentIndex:
    """The documents that others refer to, by kind and name."""

    documents: dict[tuple[str, str], Fields] = field(default_factory=dict)

    def add(self, fields: Fields) -> list[Pending]:
        """Take one document; an SLO is handed back for later."""
        fields.only("apiVersion", "kind", "metadata", "spec")
        kind = choice(fields.text("kind"), KINDS, "`kind`")
        name = _about(fields).name
        span = fields.fields("metadata", "`metadata`").text("name").span
        if (first := self.documents.setdefault((kind, name), fields)) is not fields:
            raise InputError(
                f"two documents of kind {kind} are named `{name}` (the first is at {first.span})",
                span=span,
                hint="rename one; references could not tell them apart",
            )
        if kind == "SLO":
            return [Pending(fields)]
        _CHECKS[kind](fields)
        return []

    def find(self, kind: str, reference: Text) -> Fields:
        """The document that a reference names; raises InputError, with the near miss, if there is none."""
        found = self.documents.get((kind, reference.value))
        if found is None:
            names = [name for of, name in self.documents if of == kind]
            raise InputError(
                f"no document of kind {kind} is named `{reference.value}`{near_miss(reference.value, names)}",
                span=reference.span,
                hint=f"add it to the files that are read, or correct the name (known: {', '.join(names) or 'none'})",
            )
        return found


def resolve(pending: Pending, shelf: DocumentIndex, period_ms: int | None = None) -> list[Objective]:
    """The objectives of an SLO, one for each entry of its `objectives`.

    `period_ms` is the period of those that name none; without it they are refused.
    """
    document = pending.fields
    about = _about(document)
    spec = _spec(document)
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
    indicator, indicator_about = _indicator_fields(spec, shelf)
    if "thresholdMetric" in indicator and len(goals) > 1:
        raise InputError(
            f"`{about.name}` has a `thresholdMetric` and {len(goals)} objectives; OpenSLO allows one",
            span=goals[1].span,
            hint="write an SLO for each",
        )
    alerting, group_by = _alerting(document, spec, shelf), _group_by(document)
    found = []
    for index, goal in enumerate(goals):
        display = goal.optional_text("displayName")
        objective = Objective(
            name=about.name if len(goals) == 1 else f"{about.name}-{_slug(display.value if display else '', index)}",
            service=_filled(spec, "service"),
            target=_target(goal),
            period=_period(spec, about.name, period_ms),
            indicator=grouped(_indicator(indicator, goal, shelf), group_by),
            budgeting=_budgeting(spec, goal),
            alerting=alerting,
            display_name=about.display_name,
            description=_description(spec),
            labels=about.labels,
            annotations={key: value for key, value in about.annotations.items() if key != ANNOTATION},
            goal=display.value if display else "",
            indicator_about=indicator_about,
            service_about=_service_about(spec, shelf),
            span=name.span,
            target_span=goal.text("target" if "target" in goal else "targetPercent").span,
            notices=tuple(_said_in_vain(indicator, goal)),
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


def _about(fields: Fields) -> Metadata:
    metadata = fields.fields("metadata", f"`metadata` of {fields.what}")
    metadata.only("name", "displayName", "labels", "annotations")
    display = metadata.optional_text("displayName")
    return Metadata(
        name=_filled(metadata, "name"),
        display_name=display.value if display else "",
        labels=_labels(metadata),
        annotations=_annotations(metadata),
    )


def _labels(metadata: Fields) -> Mapping[str, str | tuple[str, ...]]:
    if "labels" not in metadata:
        return {}
    found: dict[str, str | tuple[str, ...]] = {}
    for key, item in metadata.fields("labels", "`labels`").each():
        if not _LABEL_KEY.fullmatch(key.value):
            raise InputError(
                f"`{key.value}` is no label key of OpenSLO",
                span=key.span,
                hint="at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
            )
        found[key.value] = (
            tuple(element.text().value for element in item.items()) if item.is_list else item.text().value
        )
    return found


def _annotations(metadata: Fields) -> Mapping[str, str]:
    if "annotations" not in metadata:
        return {}
    fields = metadata.fields("annotations", "`annotations`")
    for key in fields.names():
        if not _ANNOTATION_KEY.fullmatch(key.value):
            raise InputError(
                f"`{key.value}` is no annotation key of OpenSLO",
                span=key.span,
                hint="`name` or `prefix/name`; the name at most 63 letters, digits, `-`, `_` and `.`",
            )
        if key.value.startswith("alert-harness/") and key.value not in OWN_ANNOTATIONS:
            raise InputError(
                f"unknown annotation `{key.value}`{near_miss(key.value, OWN_ANNOTATIONS)}",
                span=key.span,
                hint=f"`alert-harness/` is ours, and holds only: {', '.join(OWN_ANNOTATIONS)}",
            )
    return {key: text.value for key, text in fields.texts().items()}


def _spec(document: Fields) -> Fields:
    return document.fields("spec", f"`spec` of {document.what}")


def _filled(fields: Fields, key: str) -> str:
    text = fields.text(key)
    if not text.value.strip():
        raise InputError(f"`{key}` of {fields.what} is empty", span=text.span, hint=f"fill in the {key}")
    return text.value


def _description(fields: Fields) -> str:
    text = fields.optional_text("description")
    if text is None:
        return ""
    if len(text.value) > _MAX_DESCRIPTION:
        raise InputError(
            f"`description` has {len(text.value)} characters, OpenSLO allows {_MAX_DESCRIPTION}",
            span=text.span,
            hint="shorten it, and link to the rest in an annotation",
        )
    return text.value


def _service_about(spec: Fields, shelf: DocumentIndex) -> Metadata:
    document = shelf.documents.get(("Service", spec.text("service").value))
    return replace(_about(document), description=_description(_spec(document))) if document else Metadata()


def _slug(display: str, index: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", display.lower()).strip("-") or str(index + 1)


# -- when ----------------------------------------------------------------------------------------------------------


def _period(spec: Fields, name: str, usual_ms: int | None) -> Period:
    if "timeWindow" not in spec:
        if usual_ms is not None:
            return Rolling(usual_ms)
        raise InputError(
            f"`{name}` has no `timeWindow`, so its budget has no period",
            span=spec.span,
            hint="add `timeWindow:` with `- duration: 30d` and `isRolling: true`, or name the period of all that have "
            'none: `slo_period = "30d"` in the settings, or --default-slo-period 30d',
        )
    windows = spec.items("timeWindow", "a time window")
    if len(windows) != 1:
        raise InputError(
            f"`timeWindow` of `{name}` has {len(windows)} entries; OpenSLO allows exactly one",
            span=windows[1].span if windows else spec.key_span("timeWindow"),
            hint="write a document of its own for each period",
        )
    window = windows[0].fields()
    window.only("duration", "isRolling", "calendar")
    duration = window.text("duration")
    length_ms, months = shorthand(duration, "`duration` of the time window")
    is_rolling = truth(window, "isRolling", default="calendar" not in window)
    if is_rolling and "calendar" in window:
        raise InputError(
            "a rolling window has no `calendar`", span=window.key_span("calendar"), hint="remove one of the two"
        )
    if is_rolling:
        if months:
            raise UnsupportedError(
                f"a rolling window of `{duration.value}`: months and years have no fixed length",
                span=duration.span,
                hint="write days, such as 30d or 365d, or align it to a calendar",
            )
        return Rolling(length_ms)
    if "calendar" not in window:
        raise InputError(
            "a window that is not rolling needs a `calendar`", span=window.span, hint="add `startTime` and `timeZone`"
        )
    return _calendar(window.fields("calendar", "`calendar`"), duration, length_ms, months)


def _calendar(fields: Fields, duration: Text, length_ms: int, months: int) -> Calendar:
    fields.only("startTime", "timeZone")
    if length_ms % DAY_MS:
        raise UnsupportedError(
            f"a calendar window of `{duration.value}`: only whole days, weeks, months, quarters and years are",
            span=duration.span,
            hint="write 1M for a month (1m is a minute), or 1d, 1w, 1Q, 1Y",
        )
    begin = fields.text("startTime")
    try:
        start = datetime.strptime(begin.value, _START)
    except ValueError as err:
        raise InputError(
            f"`startTime` is `{begin.value}`, no local date and time",
            span=begin.span,
            hint="write it as 2026-01-01 00:00:00, without a zone",
        ) from err
    if months and start.day > _LAST_SAFE_DAY:
        raise UnsupportedError(
            f"months that begin on the {start.day}th: some months have no such day",
            span=begin.span,
            hint=f"start on the 1st to the {_LAST_SAFE_DAY}th",
        )
    zone = fields.text("timeZone")
    try:
        ZoneInfo(zone.value)
    except (ValueError, OSError, LookupError) as err:  # a folder, a path outside, an unknown name
        raise InputError(
            f"`{zone.value}` is no time zone{near_miss(zone.value, sorted(available_timezones()))}",
            span=zone.span,
            hint="write its name in the IANA database, such as Europe/Berlin or UTC",
        ) from err
    return Calendar(months, length_ms // DAY_MS, start, zone.value)


# -- how much ------------------------------------------------------------------------------------------------------


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


# -- of what -------------------------------------------------------------------------------------------------------


def _indicator_fields(spec: Fields, shelf: DocumentIndex) -> tuple[Fields, Metadata]:
    if ("indicator" in spec) == ("indicatorRef" in spec):
        raise InputError(
            f"{spec.what} needs exactly one of `indicator` and `indicatorRef`", span=spec.span, hint="keep or add one"
        )
    if "indicatorRef" in spec:
        document = shelf.find("SLI", spec.text("indicatorRef"))
    else:
        document = spec.fields("indicator", "`indicator`")
        document.only("metadata", "spec")
    return _sli(document)


def _sli(document: Fields) -> tuple[Fields, Metadata]:
    fields = _spec(document)
    fields.only("description", "thresholdMetric", "ratioMetric")
    if ("thresholdMetric" in fields) == ("ratioMetric" in fields):
        raise InputError(
            f"{fields.what} needs exactly one of `thresholdMetric` and `ratioMetric`", span=fields.span, hint="keep one"
        )
    return fields, replace(_about(document), description=_description(fields))


def _indicator(fields: Fields, goal: Fields, shelf: DocumentIndex) -> Indicator:
    if "thresholdMetric" in fields:
        query = _query(fields.fields("thresholdMetric", "`thresholdMetric`"), WindowPlacement.INSTANT, shelf)
        _refuse_placeholder(query)
        for key in ("op", "value"):
            if key not in goal:
                raise InputError(
                    f"{goal.what} has no `{key}`, which a `thresholdMetric` is compared with",
                    span=goal.span,
                    hint="add `op: lte` (what is good) and `value: …`",
                )
        op = ThresholdOp(choice(goal.text("op"), tuple(op.value for op in ThresholdOp), "`op`"))
        return ThresholdIndicator(query, op, number(goal.text("value"), "`value`"))
    if "value" in goal:
        raise InputError(
            "`value` means nothing with a `ratioMetric`",
            span=goal.key_span("value"),
            hint="remove it; a ratio is compared with `target`, a slice's with `timeSliceTarget`",
        )
    return _ratio(fields.fields("ratioMetric", "`ratioMetric`"), shelf)


def _said_in_vain(indicator: Fields, goal: Fields) -> Iterator[Notice]:
    if "op" in goal and "ratioMetric" in indicator:
        choice(goal.text("op"), tuple(op.value for op in ThresholdOp), "`op`")
        yield Notice(
            "`op` means nothing with a `ratioMetric`: at least `target` of it must be good, whatever it says",
            goal.key_span("op"),
            "remove it; OpenSLO wants it only beside a `thresholdMetric`",
        )


def _ratio(ratio: Fields, shelf: DocumentIndex) -> Indicator:
    ratio.only("counter", "good", "bad", "total", "rawType", "raw")
    if "raw" in ratio:
        for key in ("good", "bad", "total"):
            if key in ratio:
                raise InputError(
                    f"`raw` and `{key}` exclude each other", span=ratio.key_span(key), hint="a raw ratio is all of it"
                )
        kind = choice(ratio.text("rawType"), ("success", "failure"), "`rawType`")
        return RawRatio(
            _query(ratio.fields("raw", "`raw`"), WindowPlacement.INSTANT, shelf), is_error=kind == "failure"
        )
    if "rawType" in ratio:
        raise InputError("`rawType` means nothing without `raw`", span=ratio.key_span("rawType"), hint="remove it")
    if ("good" in ratio) == ("bad" in ratio):
        raise InputError(
            "`ratioMetric` needs exactly one of `good` and `bad` beside `total`",
            span=ratio.key_span("bad") if "bad" in ratio else ratio.span,
            hint="keep one; the other follows from the total",
        )
    reading = WindowPlacement.COUNTER if truth(ratio, "counter") else WindowPlacement.GAUGE
    queries = {
        key: _query(ratio.fields(key, f"`{key}`"), reading, shelf) for key in ("good", "bad", "total") if key in ratio
    }
    if "total" not in queries:
        raise InputError("`ratioMetric` has no `total`", span=ratio.span, hint="add the query of all events")
    if len({query.reading for query in queries.values()}) > 1:
        raise InputError(
            f"only one of the two queries has {WINDOW_PLACEHOLDER}",
            span=queries["total"].text.span,
            hint="write it in both, or in none",
        )
    return Events(total=queries["total"], good=queries.get("good"), bad=queries.get("bad"))


def _query(metric: Fields, reading: WindowPlacement, shelf: DocumentIndex) -> IndicatorQuery:
    metric.only("metricSource")
    source = metric.fields("metricSource", "`metricSource`")
    source.only("metricSourceRef", "type", "spec")
    reference = source.optional_text("metricSourceRef")
    kind = source.optional_text("type")
    if kind is None:
        if reference is None:
            raise InputError(
                f"{source.what} has neither `type` nor `metricSourceRef`", span=source.span, hint="add type: Prometheus"
            )
        kind = _spec(shelf.find("DataSource", reference)).text("type")
    if re.sub(r"[-_ ]", "", kind.value.lower()) not in SOURCE_TYPES:
        raise UnsupportedError(
            f"a data source of type `{kind.value}`{near_miss(kind.value, ['Prometheus'])}",
            span=kind.span,
            hint="rules can only be made of PromQL: Prometheus, Thanos, Mimir, Cortex, VictoriaMetrics",
        )
    text = _promql(source.fields("spec", "`spec` of the metric source"))
    if WINDOW_PLACEHOLDER in normal_placeholder(text.value):
        reading = WindowPlacement.WINDOWED
    return IndicatorQuery.of(text, reading, kind.value, reference.value if reference else None)


def _promql(spec: Fields) -> Text:
    for key in spec.names():
        if key.value not in ("query", "promql", "queryType"):
            raise UnsupportedError(
                f"`{key.value}` in the `spec` of a Prometheus source",
                span=key.span,
                hint="write the PromQL as `query`; there is nothing beside it but `queryType: promql`",
            )
    if "queryType" in spec:
        choice(spec.text("queryType"), ("promql",), "`queryType`")
    if "query" in spec and "promql" in spec:
        raise InputError(
            "`query` and `promql` are two names of one thing", span=spec.key_span("promql"), hint="keep `query`"
        )
    return spec.text("promql" if "promql" in spec else "query")  # Nobl9 calls it `promql`


def _refuse_placeholder(query: IndicatorQuery) -> None:
    if query.reading is WindowPlacement.WINDOWED:
        raise UnsupportedError(
            f"{WINDOW_PLACEHOLDER} in a `thresholdMetric`: it is compared tick by tick, not over alert windows",
            span=query.text.span,
            hint="write a range of its own, such as [5m]",
        )


# -- alerts --------------------------------------------------------------------------------------------------------


def _alerting(document: Fields, spec: Fields, shelf: DocumentIndex) -> Alerting:
    metadata = document.fields("metadata", "`metadata`")
    annotations = metadata.fields("annotations", "`annotations`") if "annotations" in metadata else None
    alerting = (
        read_annotation(annotations.text(ANNOTATION)) if annotations and ANNOTATION in annotations else Alerting()
    )
    if "alertPolicies" not in spec:
        return alerting
    policies: list[_Policy] = []
    for item in spec.items("alertPolicies", "an alert policy"):
        policies.append(_policy(_referred(item, "AlertPolicy", "alertPolicyRef", shelf)[0], shelf))
    if not policies:
        return alerting
    labels = dict(alerting.labels)
    if targets := dict.fromkeys(name for policy in policies for name in policy.targets):
        labels.setdefault(TARGET_LABEL, ",".join(targets))
    silent = all(policy.when_no_data is None for policy in policies)
    return replace(
        alerting,
        pairs=tuple(policy.pair for policy in policies if policy.when_breaching),
        labels=labels,
        no_data_severities=None
        if silent
        else tuple(dict.fromkeys(policy.pair.severity for policy in policies if policy.when_no_data)),
    )


@dataclass(frozen=True, slots=True)
class _Policy:
    """What an alert policy says."""

    pair: BurnPair
    targets: list[str]
    when_breaching: bool
    when_no_data: bool | None
    """None where it does not say."""


_SHAPES = {
    "AlertPolicy": "{kind: AlertPolicy, metadata: {name: NAME}, spec: {alertWhenBreaching: true, conditions: "
    "[{conditionRef: CONDITION}], notificationTargets: []}}",
    "AlertCondition": "{kind: AlertCondition, metadata: {name: NAME}, spec: {severity: page, condition: "
    "{kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h, alertAfter: 5m}}}",
    "AlertNotificationTarget": "{kind: AlertNotificationTarget, metadata: {name: NAME}, spec: {target: slack}}",
}


def _referred(item: Item, kind: str, key: str, shelf: DocumentIndex) -> tuple[Fields, bool]:
    """What an element of a list means, and whether it stands there itself, and not as `x`, `name: x` or `key: x`."""
    if item.is_mapping:
        fields = item.fields()
        if key in fields:
            fields.only(key)
            return shelf.find(kind, fields.text(key)), False
        if [text.value for text in fields.names()] != ["name"]:
            _inline(fields, kind)
            return fields, True
        name = fields.text("name")
    else:
        name = item.text()
    if (kind, name.value) in shelf.documents:
        return shelf.documents[(kind, name.value)], False
    known = [known for of, known in shelf.documents if of == kind]
    raise InputError(
        f"no document of kind {kind} is named `{name.value}`{near_miss(name.value, known)}",
        span=name.span,
        hint=f"add a document of that name, which a name or `{key}: {name.value}` refers to, or write it here as "
        f"- {_SHAPES[kind].replace('NAME', name.value)}",
    )


def _inline(fields: Fields, kind: str) -> None:
    fields.only("apiVersion", "kind", "metadata", "spec")
    if fields.text("kind").value != kind:
        choice(fields.text("kind"), (kind,), "`kind`")


def _policy(document: Fields, shelf: DocumentIndex) -> _Policy:
    _about(document)
    spec = _spec(document)
    spec.only(
        "description", "alertWhenNoData", "alertWhenResolved", "alertWhenBreaching", "conditions", "notificationTargets"
    )
    _description(spec)
    if truth(spec, "alertWhenResolved", default=False):
        raise UnsupportedError(
            "`alertWhenResolved: true`",
            span=spec.key_span("alertWhenResolved"),
            hint="set it to false; `send_resolved` of Alertmanager's receivers does this",
        )
    when_no_data = truth(spec, "alertWhenNoData", default=False) if "alertWhenNoData" in spec else None
    when_breaching = truth(spec, "alertWhenBreaching", default=True)
    if not when_breaching and not when_no_data:
        raise UnsupportedError(
            "`alertWhenBreaching: false`: this policy would never alert",
            span=spec.key_span("alertWhenBreaching"),
            hint="set it to true, or remove the policy",
        )
    conditions = spec.items("conditions", "an alert condition")
    if len(conditions) != 1:
        raise InputError(
            f"`conditions` has {len(conditions)} entries; OpenSLO allows exactly one",
            span=spec.key_span("conditions"),
            hint="write a policy for each",
        )
    condition, _ = _referred(conditions[0], "AlertCondition", "conditionRef", shelf)
    targets = spec.items("notificationTargets", "a notification target") if "notificationTargets" in spec else []
    return _Policy(_condition(condition), [_target_name(item, shelf) for item in targets], when_breaching, when_no_data)


def _condition(document: Fields) -> BurnPair:
    _about(document)
    spec = _spec(document)
    spec.only("description", "severity", "condition")
    _description(spec)
    condition = spec.fields("condition", "`condition`")
    condition.only("kind", "op", "threshold", "lookbackWindow", "alertAfter")
    if "kind" in condition:
        choice(condition.text("kind"), ("burnrate",), "`kind` of the condition")
    inclusive = False
    if "op" in condition:
        op = ThresholdOp(choice(condition.text("op"), tuple(op.value for op in ThresholdOp), "`op` of the condition"))
        if op in (ThresholdOp.LT, ThresholdOp.LTE):
            raise UnsupportedError(
                f"a condition of `op: {op.value}` alerts while the budget is not being burned",
                span=condition.text("op").span,
                hint="write `op: gt` or `op: gte`: an alert is for a burn rate that is too high",
            )
        inclusive = op is ThresholdOp.GTE
    threshold = condition.text("threshold")
    factor = number(threshold, "`threshold`")
    if factor <= 0:
        raise InputError(
            f"a burn rate of {threshold.value} is always exceeded", span=threshold.span, hint="write one above 0"
        )
    return BurnPair(
        severity=_filled(spec, "severity"),
        long_ms=_span_ms(condition.text("lookbackWindow"), "`lookbackWindow`"),
        short_ms=None,
        factor=factor,
        hold_ms=_hold_ms(condition),
        inclusive=inclusive,
        span=threshold.span,
    )


def _hold_ms(condition: Fields) -> int:
    text = condition.optional_text("alertAfter")
    return 0 if text is None or text.value == "0m" else _span_ms(text, "`alertAfter`")


def _span_ms(text: Text, what: str) -> int:
    length_ms, months = shorthand(text, what)
    if months:
        raise UnsupportedError(
            f"{what} of `{text.value}`: months have no fixed length", span=text.span, hint="write days: 30d"
        )
    return length_ms


def _target_name(item: Item, shelf: DocumentIndex) -> str:
    fields, is_here = _referred(item, "AlertNotificationTarget", "targetRef", shelf)
    if is_here:
        _notification_target(fields)
    return _about(fields).name


def _notification_target(document: Fields) -> None:
    spec = _spec(document)
    spec.only("target", "description")
    _filled(spec, "target")
    _description(spec)


# -- documents that only others use: wrong ones are told even if nobody does ----------------------------------------


def _check_sli(document: Fields) -> None:
    _sli(document)


def _check_service(document: Fields) -> None:
    spec = _spec(document)
    spec.only("description")
    _description(spec)


def _check_source(document: Fields) -> None:
    spec = _spec(document)
    spec.only("description", "type", "connectionDetails")
    _filled(spec, "type")
    _description(spec)


def _check_policy(document: Fields) -> None:
    _spec(document).only(
        "description", "alertWhenNoData", "alertWhenResolved", "alertWhenBreaching", "conditions", "notificationTargets"
    )


def _check_condition(document: Fields) -> None:
    _condition(document)


_CHECKS: Mapping[str, Callable[[Fields], None]] = {
    "SLI": _check_sli,
    "Service": _check_service,
    "DataSource": _check_source,
    "AlertPolicy": _check_policy,
    "AlertCondition": _check_condition,
    "AlertNotificationTarget": _notification_target,
}
