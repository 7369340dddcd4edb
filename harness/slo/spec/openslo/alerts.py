"""When an OpenSLO `SLO` alerts: its annotation, and its policies with their conditions and targets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.errors import InputError, UnsupportedError, near_miss
from harness.slo.annotations import ALERTING
from harness.slo.model import Alerting, BurnPair, ThresholdOp
from harness.slo.spec.alerting import read_annotation
from harness.slo.spec.openslo.documents import DocumentIndex, description_of, filled, metadata_of, spec_of
from harness.slo.values import choice, shorthand, truth
from harness.source import Fields, Item, Text, number

TARGET_LABEL = "notification_target"
"""The alert label that carries the names of a policy's notification targets, for Alertmanager's routes."""
POLICY_FIELDS = (
    "description", "alertWhenNoData", "alertWhenResolved", "alertWhenBreaching", "conditions", "notificationTargets",
)  # fmt: skip


def alerting_of(document: Fields, spec: Fields, index: DocumentIndex) -> Alerting:
    metadata = document.fields("metadata", "`metadata`")
    annotations = metadata.fields("annotations", "`annotations`") if "annotations" in metadata else None
    alerting = read_annotation(annotations.text(ALERTING)) if annotations and ALERTING in annotations else Alerting()
    if "alertPolicies" not in spec:
        return alerting
    policies: list[_Policy] = []
    for item in spec.items("alertPolicies", "an alert policy"):
        policies.append(_policy(_referred(item, "AlertPolicy", "alertPolicyRef", index)[0], index))
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


def _referred(item: Item, kind: str, key: str, index: DocumentIndex) -> tuple[Fields, bool]:
    """What an element of a list means, and whether it stands there itself, and not as `x`, `name: x` or `key: x`."""
    if item.is_mapping:
        fields = item.fields()
        if key in fields:
            fields.only(key)
            return index.find(kind, fields.text(key)), False
        if [text.value for text in fields.names()] != ["name"]:
            _inline(fields, kind)
            return fields, True
        name = fields.text("name")
    else:
        name = item.text()
    if (kind, name.value) in index.documents:
        return index.documents[(kind, name.value)], False
    known = [known for of, known in index.documents if of == kind]
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


def _policy(document: Fields, index: DocumentIndex) -> _Policy:
    metadata_of(document)
    spec = spec_of(document)
    spec.only(*POLICY_FIELDS)
    description_of(spec)
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
    condition, _ = _referred(conditions[0], "AlertCondition", "conditionRef", index)
    targets = spec.items("notificationTargets", "a notification target") if "notificationTargets" in spec else []
    return _Policy(
        condition_of(condition), [_target_name(item, index) for item in targets], when_breaching, when_no_data
    )


def condition_of(document: Fields) -> BurnPair:
    metadata_of(document)
    spec = spec_of(document)
    spec.only("description", "severity", "condition")
    description_of(spec)
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
        severity=filled(spec, "severity"),
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


def _target_name(item: Item, index: DocumentIndex) -> str:
    fields, is_here = _referred(item, "AlertNotificationTarget", "targetRef", index)
    if is_here:
        check_target(fields)
    return metadata_of(fields).name


def check_target(document: Fields) -> None:
    spec = spec_of(document)
    spec.only("target", "description")
    filled(spec, "target")
    description_of(spec)
