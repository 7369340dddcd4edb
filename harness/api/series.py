"""Series as a person writes them: label sets as Prometheus prints them, values in promtool's notation or as a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real

import promql_parser as promql

from harness.contracts.world import Trace
from harness.errors import HarnessError, InputError, UnsupportedError
from harness.series import STALE, Labels, labels_of
from harness.source import Text
from harness.suites.notation import ItemKind, parse_values
from harness.units import parse_duration_ms

_MAX_SAMPLES = 1_000_000

Time = str | int
"""A duration from the beginning of the series: ``"5m"``, or milliseconds."""

Values = str | Sequence[float | None]
"""promtool's notation (``"0+10x5 _ stale"``), or a list of numbers in which None is no sample and
`harness.series.STALE` ends the series."""


def time_ms(at: Time) -> int:
    """Milliseconds from the beginning of the series; InputError for what lies before it, or is no duration."""
    hint = "write a duration from the beginning of the series, such as 5m"
    try:
        ms = at if isinstance(at, int) else parse_duration_ms(at)
    except ValueError as err:
        raise InputError(str(err), hint=hint) from err
    if ms < 0:
        raise InputError(f"{ms} ms lies before the beginning of the series", hint=hint)
    return ms


def parse_series(text: str) -> Labels:
    """The labels of ``up{job="api"}``; InputError if it is anything but one plain series."""
    try:
        node = promql.parse(text)
    except ValueError as err:
        raise InputError(f"`{text}` is no series: {err}", hint='write name{label="value"}') from err
    if not isinstance(node, promql.VectorSelector) or node.offset is not None or node.at is not None:
        raise InputError(f"`{text}` is no series", hint='write name{label="value"}')
    matchers = node.matchers.matchers
    if any(m.op != promql.MatchOp.Equal for m in matchers):
        raise InputError(f"`{text}` selects by pattern, a series has fixed labels", hint='write name{label="value"}')
    return labels_of(node.name or "", {m.name: m.value for m in matchers})


def trace(series: str, values: Values, interval_ms: int, start_ms: int = 0) -> Trace:
    """One series, a sample every `interval_ms`, the first at `start_ms`; InputError with a caret where it is wrong."""
    labels = parse_series(series)
    if interval_ms <= 0:
        raise InputError(f"an interval of {interval_ms} ms", hint="write a duration, such as 30s")
    try:
        found = list(_notated(values) if isinstance(values, str) else _listed(values))
    except HarnessError as err:
        raise type(err)(f"{series}: {err.message}", span=err.span, hint=err.hint) from None
    there = [(start_ms + i * interval_ms, value) for i, value in enumerate(found) if value is not None]
    return Trace(labels, [at for at, _ in there], [value for _, value in there])


def _listed(values: Sequence[object]) -> Iterator[float | None]:
    for i, value in enumerate(values):
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise InputError(f"value {i + 1} of the list is {value!r}", hint="list numbers, and None for no sample")
        try:
            yield None if value is None else float(value)
        except OverflowError:
            raise InputError(f"value {i + 1} of the list is beyond every double", hint="they end at 1.8e308") from None


def _notated(values: str) -> Iterator[float | None]:
    items = parse_values(Text.of_text("values", values))
    if sum(item.count for item in items) > _MAX_SAMPLES:
        raise InputError(f"more than {_MAX_SAMPLES:,} samples", hint="write a shorter series, or a longer interval")
    for item in items:
        if item.kind is ItemKind.HISTOGRAM:
            raise UnsupportedError("native histograms cannot be written", hint="write its classic buckets")
        if item.kind is ItemKind.NUMBER:
            yield from item.values()
        else:
            yield from [STALE if item.kind is ItemKind.STALE else None] * item.count


def joined(traces: Sequence[Trace]) -> list[Trace]:
    """One trace per label set, its samples in order of time."""
    merged: dict[Labels, dict[int, float]] = {}
    for one in traces:
        merged.setdefault(one.labels, {}).update(zip(one.times_ms, one.values, strict=True))
    return [Trace(labels, sorted(points), [points[at] for at in sorted(points)]) for labels, points in merged.items()]
