"""Samples that are never loaded, and assertions beyond the samples.

promtool loads a sample when an evaluation at or after it is due. What lies behind the last evaluation is never loaded;
where the samples end earlier than the assertion, the last one is still seen for 5 minutes (lookback), so a test may
pass on a value that its author thought to be over.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.prometheus import DEFAULTS
from harness.suites.checks import FileView, Hit
from harness.suites.model import AlertAssertion, ExprAssertion, InputSeries, TestGroup
from harness.suites.notation import ItemKind, SeriesItem
from harness.suites.reads import read_series
from harness.units import format_duration


def check(view: FileView) -> Iterator[Hit]:
    for group in view.groups:
        if not group.times_ms or not view.passed(group):
            continue
        yield from _between_ticks(view, group)
        yield from _never_loaded(view, group)
        yield from _beyond(view, group)


def _between_ticks(view: FileView, group: TestGroup) -> Iterator[Hit]:
    """The last asserted time lies between two evaluations, and so do samples: they look loaded but are not."""
    last_ms = group.times_ms[-1]
    tick_ms = view.suite.tick_ms(last_ms)
    assertions: list[AlertAssertion | ExprAssertion] = [*group.alerts, *group.exprs]
    for assertion in assertions:
        if assertion.eval_time_ms != last_ms:
            continue
        for series in group.series:
            if (index := _sample_between(series, group.interval_ms, tick_ms, last_ms)) is not None:
                yield Hit(
                    assertion.time_span,
                    f"the sample of `{series.series.value}` at {format_duration(index * group.interval_ms)} is not "
                    f"loaded: the last evaluation before eval_time {format_duration(last_ms)} is at "
                    f"{format_duration(tick_ms)}",
                    f"assert at a multiple of evaluation_interval ({format_duration(view.suite.evaluation_ms)})",
                    group.title,
                )
                break
        return


def _sample_between(series: InputSeries, interval_ms: int, after_ms: int, until_ms: int) -> int | None:
    at = 0
    for item in series.items or ():
        first = max(at, after_ms // interval_ms + 1)
        if item.kind is not ItemKind.GAP and first < at + item.count and first * interval_ms <= until_ms:
            return first
        at += item.count
    return None


def _never_loaded(view: FileView, group: TestGroup) -> Iterator[Hit]:
    """A whole item of the notation lies behind the last evaluation (a longer tail of one item is no mistake)."""
    tick_ms = view.suite.tick_ms(group.times_ms[-1])
    for series in group.series:
        at, before = 0, None
        for item in series.items or ():
            if at * group.interval_ms > tick_ms and item.kind is not ItemKind.GAP:
                if before is None or not _goes_on(before, item):
                    yield Hit(
                        series.values.span_at(item.offset, item.length),
                        f"`{series.values.value[item.offset : item.offset + item.length]}` begins at "
                        f"{format_duration(at * group.interval_ms)}, behind the last evaluation of this group at "
                        f"{format_duration(tick_ms)}, and is never loaded",
                        "assert at a later eval_time, or remove it",
                        group.title,
                        taste=True,
                    )
                break
            at, before = at + item.count, item


def _goes_on(before: SeriesItem, item: SeriesItem) -> bool:
    """Whether an item only continues the one before."""
    if before.kind is not item.kind or item.kind is ItemKind.HISTOGRAM:
        return before.kind is item.kind
    if item.kind is not ItemKind.NUMBER:
        return True
    same_step = item.count == 1 or before.count == 1 or before.step == item.step
    return same_step and (before.first + before.step * before.count == item.first or before.first == item.first)


def _beyond(view: FileView, group: TestGroup) -> Iterator[Hit]:
    """All that an alert reads has ended before the evaluation, so recently that lookback still shows it."""
    for assertion in group.alerts:
        if not assertion.expected:
            continue
        names, _ = view.reads.of_alert(assertion.alertname.value)
        series = [s for s in read_series(group.series, names) if s.items]
        tick_ms = view.suite.tick_ms(assertion.eval_time_ms)
        ends_ms = [(s.count - 1) * group.interval_ms for s in series]
        if series and max(ends_ms) < tick_ms < max(ends_ms) + DEFAULTS.lookback_ms and _ends_in_number(series):
            yield Hit(
                assertion.time_span,
                f"the last sample that `{assertion.alertname.value}` reads is at {format_duration(max(ends_ms))}; at "
                f"{format_duration(tick_ms)} it is seen only because Prometheus looks back 5m",
                "write samples up to the eval_time, or `stale` or `_` where they are meant to end",
                group.title,
                taste=True,
            )


def _ends_in_number(series: list[InputSeries]) -> bool:
    """Whether an end is not written down as one (`_`, `stale`)."""
    return all(s.items and s.items[-1].kind in (ItemKind.NUMBER, ItemKind.HISTOGRAM) for s in series)
