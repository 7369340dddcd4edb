"""Objectives as OpenSLO v1 documents; `harness.slo.spec.convert` sees to it that they read back as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Context, Decimal, Inexact
from fractions import Fraction

from harness.errors import UnsupportedError
from harness.slo.annotations import ALERTING
from harness.slo.model import (
    Alerting,
    BurnPair,
    Calendar,
    Events,
    IndicatorQuery,
    Metadata,
    Objective,
    Occurrences,
    RawRatio,
    Rolling,
    SeverityAlert,
    ThresholdIndicator,
    Timeslices,
    WindowPlacement,
)
from harness.slo.spec.alerting import NO_DATA, SEVERITY_KEYS
from harness.slo.spec.openslo.alerts import TARGET_LABEL
from harness.slo.spec.openslo.documents import API_VERSION
from harness.units import format_duration
from harness.yamltext import block, scalar

_UNITS_MS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000))
_EXACT = Context(prec=60, traps=[Inexact])


class _Plain(str):
    """A number or a truth, written as it is."""

    __slots__ = ()


def slo_document(objective: Objective) -> str:
    """One objective as a `SLO` document that refers to nothing but its service.

    Raises UnsupportedError for what OpenSLO has no words for.
    """
    return _text(_slo(objective))


def service_documents(objectives: Iterable[Objective]) -> str:
    """The services of which the objectives' documents say more than the name, each once; empty if there are none."""
    known = {about.name: about for one in objectives if (about := one.service_about) != Metadata()}
    return "---\n".join(
        _text(_document("Service", about, _present(description=about.description))) for about in known.values()
    )


def _text(document: Mapping[str, object]) -> str:
    return "".join(f"{line}\n" for line in _lines(document, 0))


def _document(kind: str, about: Metadata, spec: Mapping[str, object]) -> Mapping[str, object]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": _metadata(about), "spec": spec}


def _metadata(about: Metadata) -> Mapping[str, object]:
    return {
        "name": about.name,
        **_present(
            displayName=about.display_name,
            labels={key: v if isinstance(v, str) else list(v) for key, v in about.labels.items()},
            annotations=about.annotations,
        ),
    }


def _present(**fields: object) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value}


def _slo(objective: Objective) -> Mapping[str, object]:
    alerting = _alerting(objective.alerting)
    annotations = dict(objective.annotations)
    if alerting:
        annotations[ALERTING] = "".join(f"{line}\n" for line in _lines(alerting, 0))
    about = Metadata(objective.name, objective.display_name, labels=objective.labels, annotations=annotations)
    inner = objective.indicator_about
    goal: dict[str, object] = _present(displayName=objective.goal)
    if isinstance(objective.indicator, ThresholdIndicator):
        goal["op"] = _Plain(objective.indicator.op.value)
        goal["value"] = _decimal(objective.indicator.threshold, objective)
    goal["target"] = _decimal(objective.target, objective)
    if isinstance(objective.budgeting, Timeslices):
        goal["timeSliceTarget"] = _decimal(objective.budgeting.target, objective)
    if not isinstance(objective.budgeting, Occurrences):
        goal["timeSliceWindow"] = _shorthand(objective.budgeting.window_ms, objective)
    return _document(
        "SLO",
        about,
        {
            **_present(description=objective.description),
            "service": objective.service,
            "indicator": {
                "metadata": _metadata(
                    Metadata(inner.name or objective.name, inner.display_name, "", inner.labels, inner.annotations)
                ),
                "spec": {**_present(description=inner.description), **_indicator(objective)},
            },
            "timeWindow": [_window(objective)],
            "budgetingMethod": type(objective.budgeting).__name__,
            "objectives": [goal],
            **_present(alertPolicies=_policies(objective)),
        },
    )


def _indicator(objective: Objective) -> Mapping[str, object]:
    match objective.indicator:
        case ThresholdIndicator(query, _, _):
            return {"thresholdMetric": _source(query)}
        case RawRatio(query, is_error):
            return {"ratioMetric": {"rawType": "failure" if is_error else "success", "raw": _source(query)}}
        case Events(total, good, bad):
            counter = _Plain("false" if total.reading is WindowPlacement.GAUGE else "true")
            part = {"good": _source(good)} if good is not None else {"bad": _source(bad or total)}
            return {"ratioMetric": {"counter": counter, **part, "total": _source(total)}}


def _source(query: IndicatorQuery) -> Mapping[str, object]:
    reference = _present(metricSourceRef=query.source_ref)
    return {"metricSource": {**reference, "type": query.source_type, "spec": {"query": query.expr}}}


def _window(objective: Objective) -> Mapping[str, object]:
    period = objective.period
    match period:
        case Rolling(duration_ms):
            return {"duration": _shorthand(duration_ms, objective), "isRolling": _Plain("true")}
        case Calendar():
            return {
                "duration": period.label,
                "isRolling": _Plain("false"),
                "calendar": {
                    "startTime": period.start.isoformat(sep=" ", timespec="seconds"),
                    "timeZone": period.zone,
                },
            }


def _policies(objective: Objective) -> list[Mapping[str, object]]:
    """One for each pair; of a severity that alerts on absent data alone, one that alerts on nothing else."""
    pairs, absent = objective.alerting.pairs or (), objective.alerting.no_data_severities
    alone = dict.fromkeys(absent or ()).keys() - {pair.severity for pair in pairs}
    only_absent = [BurnPair(severity, 3_600_000, None, Fraction(1)) for severity in absent or () if severity in alone]
    return [_policy(objective, i, pair, i < len(pairs)) for i, pair in enumerate([*pairs, *only_absent])]


def _policy(objective: Objective, index: int, pair: BurnPair, when_breaching: bool) -> Mapping[str, object]:
    if pair.short_ms is not None:
        raise UnsupportedError(
            f"`{objective.name}` alerts on two windows at once ({pair.label}), for which OpenSLO has no words",
            span=objective.span,
            hint="leave the pairs to a window catalogue",
        )
    name = f"{objective.name}-{index + 1}"
    names = objective.alerting.labels.get(TARGET_LABEL, "")
    condition = {
        "kind": "AlertCondition",
        "metadata": {"name": name},
        "spec": {
            "severity": pair.severity,
            "condition": {
                "kind": "burnrate",
                "op": _Plain("gte" if pair.inclusive else "gt"),
                "threshold": _decimal(pair.factor, objective),
                "lookbackWindow": _shorthand(pair.long_ms, objective),
                "alertAfter": _shorthand(pair.hold_ms, objective) if pair.hold_ms else "0m",
            },
        },
    }
    targets = [
        {"kind": "AlertNotificationTarget", "metadata": {"name": target}, "spec": {"target": target}}
        for target in names.split(",")
        if target.strip()
    ]
    absent = objective.alerting.no_data_severities
    spec = {
        "alertWhenBreaching": _truth(when_breaching),
        **({} if absent is None else {"alertWhenNoData": _truth(pair.severity in absent)}),
        "conditions": [condition],
        **_present(notificationTargets=targets),
    }
    return {"kind": "AlertPolicy", "metadata": {"name": name}, "spec": spec}


def _alerting(alerting: Alerting) -> Mapping[str, object]:
    keys = {severity: key for key, severity in SEVERITY_KEYS.items()}
    found = _present(
        name=alerting.name,
        labels=alerting.labels,
        annotations=alerting.annotations,
        min_events=_Plain(alerting.min_events) if alerting.min_events else None,
    )
    for severity, settings in alerting.severities.items():
        found[keys[severity]] = _severity(settings)
    return found | _present(**{NO_DATA: _severity(alerting.no_data)})


def _severity(settings: SeverityAlert) -> dict[str, object]:
    own = _present(labels=settings.labels, annotations=settings.annotations)
    if settings.disabled:
        own["disable"] = _truth(True)
    if settings.hold_ms is not None:
        own["for"] = format_duration(settings.hold_ms)
    return own


def _truth(value: bool) -> _Plain:
    return _Plain("true" if value else "false")


def _decimal(value: Fraction, objective: Objective) -> _Plain:
    try:
        exact = _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))
    except Inexact as err:
        raise UnsupportedError(
            f"{value} of `{objective.name}` has no exact decimal", span=objective.span, hint="round it in the objective"
        ) from err
    return _Plain(f"{exact:f}")


def _shorthand(ms: int, objective: Objective) -> str:
    for unit, size in _UNITS_MS:
        if ms % size == 0:
            return f"{ms // size}{unit}"
    raise UnsupportedError(
        f"`{objective.name}`: OpenSLO has no duration of {format_duration(ms)}",
        span=objective.span,
        hint="its smallest unit is the minute",
    )


def _lines(node: object, depth: int) -> Iterator[str]:
    """A mapping as block lines."""
    pad = "  " * depth
    assert isinstance(node, Mapping)
    for key, value in node.items():
        name = f"{pad}{scalar(key)}:"
        if isinstance(value, Mapping):
            yield name if value else f"{name} {{}}"
            yield from _lines(value, depth + 1)
        elif isinstance(value, list):
            yield name if value else f"{name} []"
            for element in value:
                yield from _element(element, depth + 1)
        elif isinstance(value, _Plain):
            yield f"{name} {value}"
        else:
            first, *rest = block(str(value), len(pad) + 2)
            yield f"{name} {first}"
            yield from rest


def _element(element: object, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(element, Mapping):
        first, *rest = _lines(element, depth + 1)
        yield f"{pad}- {first.strip()}"
        yield from rest
    else:
        yield f"{pad}- {scalar(str(element))}"
