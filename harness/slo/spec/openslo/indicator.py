"""Of what an OpenSLO `SLO` is: its indicator, written in it or referred to, and the queries of that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from harness.errors import InputError, Notice, UnsupportedError, near_miss
from harness.slo.model import (
    WINDOW_PLACEHOLDER,
    Events,
    Indicator,
    IndicatorQuery,
    Metadata,
    RawRatio,
    ThresholdIndicator,
    ThresholdOp,
    WindowPlacement,
)
from harness.slo.queries import normal_placeholder
from harness.slo.spec.openslo.documents import DocumentIndex, description_of, metadata_of, spec_of
from harness.slo.values import choice, truth
from harness.source import Fields, Text, number

SOURCE_TYPES = ("prometheus", "thanos", "mimir", "cortex", "victoriametrics", "grafanamimir", "amazonprometheus")
"""Types of data sources that speak PromQL, without regard to case and `-`."""


def indicator_fields(spec: Fields, index: DocumentIndex) -> tuple[Fields, Metadata]:
    if ("indicator" in spec) == ("indicatorRef" in spec):
        raise InputError(
            f"{spec.what} needs exactly one of `indicator` and `indicatorRef`", span=spec.span, hint="keep or add one"
        )
    if "indicatorRef" in spec:
        document = index.find("SLI", spec.text("indicatorRef"))
    else:
        document = spec.fields("indicator", "`indicator`")
        document.only("metadata", "spec")
    return sli_of(document)


def sli_of(document: Fields) -> tuple[Fields, Metadata]:
    fields = spec_of(document)
    fields.only("description", "thresholdMetric", "ratioMetric")
    if ("thresholdMetric" in fields) == ("ratioMetric" in fields):
        raise InputError(
            f"{fields.what} needs exactly one of `thresholdMetric` and `ratioMetric`", span=fields.span, hint="keep one"
        )
    return fields, replace(metadata_of(document), description=description_of(fields))


def indicator_of(fields: Fields, goal: Fields, index: DocumentIndex) -> Indicator:
    if "thresholdMetric" in fields:
        query = _query(fields.fields("thresholdMetric", "`thresholdMetric`"), WindowPlacement.INSTANT, index)
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
    return _ratio(fields.fields("ratioMetric", "`ratioMetric`"), index)


def said_in_vain(indicator: Fields, goal: Fields) -> Iterator[Notice]:
    if "op" in goal and "ratioMetric" in indicator:
        choice(goal.text("op"), tuple(op.value for op in ThresholdOp), "`op`")
        yield Notice(
            "`op` means nothing with a `ratioMetric`: at least `target` of it must be good, whatever it says",
            goal.key_span("op"),
            "remove it; OpenSLO wants it only beside a `thresholdMetric`",
        )


def _ratio(ratio: Fields, index: DocumentIndex) -> Indicator:
    ratio.only("counter", "good", "bad", "total", "rawType", "raw")
    if "raw" in ratio:
        for key in ("good", "bad", "total"):
            if key in ratio:
                raise InputError(
                    f"`raw` and `{key}` exclude each other", span=ratio.key_span(key), hint="a raw ratio is all of it"
                )
        kind = choice(ratio.text("rawType"), ("success", "failure"), "`rawType`")
        return RawRatio(
            _query(ratio.fields("raw", "`raw`"), WindowPlacement.INSTANT, index), is_error=kind == "failure"
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
        key: _query(ratio.fields(key, f"`{key}`"), reading, index) for key in ("good", "bad", "total") if key in ratio
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


def _query(metric: Fields, reading: WindowPlacement, index: DocumentIndex) -> IndicatorQuery:
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
        kind = spec_of(index.find("DataSource", reference)).text("type")
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
