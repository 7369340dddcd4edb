"""A test group moved behind a past: its series have samples, thinly, for as long before as a rule looks back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import yaml

from harness.suites.account import mapping, string
from harness.suites.model import InputSeries, TestGroup
from harness.suites.notation import ItemKind, SeriesItem
from harness.suites.window_use import CannotTellError, WindowUse
from harness.units import format_duration

_SEQ = "tag:yaml.org,2002:seq"


class Backfill(Enum):
    """What series with capped windows did before the test."""

    HELD = "as they begin, all the time before"
    GROWN = "grown as they begin, all the time before"


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """How the time before a test is filled with samples."""

    backfill: Backfill
    before_ms: int
    """How much later the test begins."""
    every: int
    """A sample every so many intervals."""
    thin: bool
    """Whether the test itself is sampled as thinly."""


def backfilled(group: TestGroup, ticks: Iterable[int], use: WindowUse, plan: BackfillPlan) -> TestGroup:
    """The group behind its past, asked at these ticks (milliseconds of the test, before it is moved) what is active.

    Raises CannotTellError for series that cannot be continued into the past.
    """
    count = plan.before_ms // group.interval_ms
    clear = -(-use.others_ms // group.interval_ms)
    made = []
    for series in group.series:
        if series.items is None:
            raise CannotTellError("one of its series cannot be read")
        if series.metric in use.capped or series.metric is None:
            grown = plan.backfill is Backfill.GROWN and series.items[:1] and series.items[0].step > 0
            apart = 0 if plan.thin else clear
            values = _values(series, count, plan.every, apart, grown=bool(grown), thin=plan.thin)
        else:
            values = f"_x{count} {series.values.value}"
        made.append(mapping(series=string(series.series.value), values=string(values)))
    fields = {
        "interval": string(format_duration(group.interval_ms)),
        "input_series": yaml.SequenceNode(_SEQ, list(made)),
    }
    fields |= {key.value: value for key, value in group.node.value if key.value in ("external_labels", "external_url")}
    later = tuple(replace(group.alerts[0], eval_time_ms=plan.before_ms + tick) for tick in sorted(ticks))
    return replace(group, name="", alerts=later, exprs=(), node=mapping(**fields))


def _values(series: InputSeries, count: int, every: int, apart: int, *, grown: bool, thin: bool) -> str:
    items = series.items or ()
    first = items[0] if items else None
    if first is None or first.kind not in (ItemKind.NUMBER, ItemKind.HISTOGRAM):
        return f"_x{count} {_thinned(items, every, 0.0) if thin else series.values.value}"
    step = first.step if grown else 0.0
    told = []
    for at in range(0, count - apart, every):
        told.append(_literal(series, first) if first.kind is ItemKind.HISTOGRAM else _text(first.first + at * step))
        if every > 1:
            told.append(f"_x{every - 1}")
    # the last sample's gap may reach into what must be clear, or into the test
    written = len(range(0, count - apart, every)) * every
    if written > count:
        told[-1] = f"_x{every - 1 - (written - count)}"
    elif written < count:
        told.append(f"_x{count - written}")
    if thin:
        told.append(_thinned(items, every, count * step))
    elif step:
        told += [_moved(item, count * step) for item in items]
    else:
        told.append(series.values.value)
    return " ".join(each for each in told if each != "_x0")


def _thinned(items: Sequence[SeriesItem], every: int, offset: float) -> str:
    """Only one sample out of `every`, and every stale marker."""
    told, at = [], 0
    for item in items:
        if item.kind is ItemKind.HISTOGRAM:
            raise CannotTellError("native histograms in its window")
        for value in item.values() if item.kind is ItemKind.NUMBER else [0.0] * item.count:
            if item.kind is ItemKind.STALE:
                told.append("stale")
            else:
                told.append(_text(value + offset) if item.kind is ItemKind.NUMBER and at % every == 0 else "_")
            at += 1
    return " ".join(told)


def _moved(item: SeriesItem, offset: float) -> str:
    if item.kind is ItemKind.GAP:
        return f"_x{item.count}"
    if item.kind is not ItemKind.NUMBER:
        return " ".join(["stale"] * item.count)
    return " ".join(_text(value + offset) for value in item.values())


def _literal(series: InputSeries, item: SeriesItem) -> str:
    return series.values.value[item.offset : item.offset + item.length].partition("}}")[0] + "}}"


def _text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return ("Inf" if value > 0 else "-Inf") if math.isinf(value) else repr(value)
