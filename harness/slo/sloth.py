"""Objectives from sloth's `prometheus/v1` files (github.com/slok/sloth, pkg/prometheus/api/v1)."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import InputError, UnsupportedError
from harness.slo.alerting import read_alerting, texts
from harness.slo.model import (
    WINDOW_PLACEHOLDER,
    Alerting,
    Events,
    Indicator,
    Objective,
    Query,
    RawRatio,
    Reading,
    Rolling,
)
from harness.slo.queries import normal_placeholder
from harness.slo.refuse import check_objective
from harness.source import Fields, Text, number

VERSION = "prometheus/v1"


def read(fields: Fields, period_ms: int) -> list[Objective]:
    """The objectives of one document, in order."""
    fields.only("version", "service", "labels", "slos", "slo_plugins")
    _refuse_plugins(fields, "slo_plugins")
    service = _name(fields, "service")
    labels = texts(fields, "labels")
    return [
        _objective(item.fields(), service, labels, period_ms)
        for item in (fields.items("slos", "an SLO") if "slos" in fields else [])
    ]


def _objective(fields: Fields, service: str, labels: Mapping[str, str], period_ms: int) -> Objective:
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
        indicator=_indicator(fields.fields("sli", f"`sli` of `{name.value}`")),
        alerting=read_alerting(fields.fields("alerting", f"`alerting` of `{name.value}`"))
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


def _indicator(fields: Fields) -> Indicator:
    fields.only("events", "raw", "denominator_corrected", "plugin")
    for key in ("plugin", "denominator_corrected"):
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
        raw.only("error_ratio_query")
        return RawRatio(_query(raw.text("error_ratio_query"), "`error_ratio_query`"), is_error=True)
    events = fields.fields("events", "`events`")
    events.only("error_query", "total_query")
    return Events(
        bad=_query(events.text("error_query"), "`error_query`"),
        total=_query(events.text("total_query"), "`total_query`"),
    )


def _query(text: Text, what: str) -> Query:
    if WINDOW_PLACEHOLDER not in normal_placeholder(text.value):
        raise InputError(
            f"{what} has no `{WINDOW_PLACEHOLDER}`, so every window would see the same",
            span=text.span,
            hint=f"write the range as [{WINDOW_PLACEHOLDER}]",
        )
    return Query.of(text, Reading.WINDOWED)


def _refuse_plugins(fields: Fields, key: str) -> None:
    if key in fields:
        raise UnsupportedError(
            f"`{key}` of {fields.what}: sloth's plugins are Go code, which is not run here",
            span=fields.key_span(key),
            hint="remove them; alert-harness brings alert holds (`for`) and traffic floors (`min_events`) itself",
        )
