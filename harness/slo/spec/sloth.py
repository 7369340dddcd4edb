"""Objectives from sloth's `prometheus/v1` files and its Kubernetes objects, which are the same in camelCase.

github.com/slok/sloth, pkg/prometheus/api/v1 and pkg/kubernetes/api/sloth/v1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from harness.errors import InputError, UnsupportedError, near_miss
from harness.slo.model import (
    WINDOW_PLACEHOLDER,
    Alerting,
    Events,
    Indicator,
    IndicatorQuery,
    Objective,
    RawRatio,
    Rolling,
    WindowPlacement,
)
from harness.slo.queries import normal_placeholder
from harness.slo.spec.alerting import read_alerting, texts
from harness.slo.spec.refuse import check_objective
from harness.source import Fields, Text, number

VERSION = "prometheus/v1"
KUBERNETES_VERSION = "sloth.slok.dev/v1"
KIND = "PrometheusServiceLevel"
WINDOWS_KIND = "AlertWindows"
Spelling = Callable[[str], str]
"""A field's name in the form that is read: ``error_query`` or ``errorQuery``."""


def read(fields: Fields, period_ms: int) -> list[Objective]:
    """The objectives of one document, in order."""
    fields.only("version", "service", "labels", "slos", "slo_plugins")
    return _objectives(fields, period_ms, str)


def read_kubernetes(fields: Fields, period_ms: int) -> list[Objective]:
    """The objectives of a `PrometheusServiceLevel`, in order."""
    kind = fields.text("kind")
    if kind.value == WINDOWS_KIND:
        raise InputError(
            f"{WINDOWS_KIND} are windows for alerts, and no objective",
            span=kind.span,
            hint=f"give the file as --windows {kind.span.file}, and keep it out of the folder of objectives",
        )
    if kind.value != KIND:
        raise InputError(
            f"`kind: {kind.value}` of {KUBERNETES_VERSION} is no objective{near_miss(kind.value, [KIND])}",
            span=kind.span,
            hint=f"expected `kind: {KIND}`",
        )
    fields.only("apiVersion", "kind", "metadata", "spec", "status")
    spec = fields.fields("spec", f"`spec` of the {KIND}")
    spec.only("service", "labels", "slos", "sloPlugins")
    return _objectives(spec, period_ms, _camel)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _objectives(fields: Fields, period_ms: int, spelt: Spelling) -> list[Objective]:
    _refuse_plugins(fields, spelt("slo_plugins"))
    service = _name(fields, "service")
    labels = texts(fields, "labels")
    return [
        _objective(item.fields(), service, labels, period_ms, spelt)
        for item in (fields.items("slos", "an SLO") if "slos" in fields else [])
    ]


def _objective(fields: Fields, service: str, labels: Mapping[str, str], period_ms: int, spelt: Spelling) -> Objective:
    fields.only("name", "description", "objective", "labels", "sli", "alerting", "plugins")
    _refuse_plugins(fields, "plugins")
    name = fields.text("name")
    percent = fields.text("objective")
    description = fields.optional_text("description")
    objective = Objective(
        name=_name(fields, "name"),
        service=service,
        target=number(percent, "`objective`") / 100,
        period=Rolling(period_ms),
        indicator=_indicator(fields.fields("sli", f"`sli` of `{name.value}`"), spelt),
        alerting=read_alerting(fields.fields("alerting", f"`alerting` of `{name.value}`"), spelt)
        if "alerting" in fields
        else Alerting(),
        description=description.value if description else "",
        labels={**labels, **texts(fields, "labels")},
        spec=VERSION,
        span=name.span,
        target_span=percent.span,
    )
    check_objective(objective)
    return objective


def _name(fields: Fields, key: str) -> str:
    text = fields.text(key)
    if not text.value.strip():
        raise InputError(f"`{key}` of {fields.what} is empty", span=text.span, hint=f"give the {key} a name")
    return text.value


def _indicator(fields: Fields, spelt: Spelling) -> Indicator:
    corrected = spelt("denominator_corrected")
    fields.only("events", "raw", corrected, "plugin")
    for key in ("plugin", corrected):
        if key in fields:
            which = fields.key_span(key)
            raise UnsupportedError(
                f"`{key}` of {fields.what}: sloth's plugins are Go code, which is not run here",
                span=which,
                hint="run `sloth generate` once and write the query that it makes as `events` or `raw`",
            )
    if ("events" in fields) == ("raw" in fields):
        raise InputError(f"{fields.what} needs exactly one of `events` and `raw`", span=fields.span, hint="keep one")
    if "raw" in fields:
        raw = fields.fields("raw", "`raw`")
        ratio = spelt("error_ratio_query")
        raw.only(ratio)
        return RawRatio(_query(raw.text(ratio), f"`{ratio}`"), is_error=True)
    events = fields.fields("events", "`events`")
    error, total = spelt("error_query"), spelt("total_query")
    events.only(error, total)
    return Events(bad=_query(events.text(error), f"`{error}`"), total=_query(events.text(total), f"`{total}`"))


def _query(text: Text, what: str) -> IndicatorQuery:
    if WINDOW_PLACEHOLDER not in normal_placeholder(text.value):
        raise InputError(
            f"{what} has no `{WINDOW_PLACEHOLDER}`, so every window would see the same",
            span=text.span,
            hint=f"write the range as [{WINDOW_PLACEHOLDER}]",
        )
    return IndicatorQuery.of(text, WindowPlacement.WINDOWED)


def _refuse_plugins(fields: Fields, key: str) -> None:
    if key in fields:
        raise UnsupportedError(
            f"`{key}` of {fields.what}: sloth's plugins are Go code, which is not run here",
            span=fields.key_span(key),
            hint="remove them; alert-harness brings alert holds (`for`) and traffic floors (`min_events`) itself",
        )
