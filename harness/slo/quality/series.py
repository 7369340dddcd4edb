"""The series that an objective's events move, and how its queries read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import promql_parser as promql

from harness.errors import UnsupportedError
from harness.rules.expr import children, walk
from harness.rules.selectors import Selector, selectors_of
from harness.series import Labels
from harness.slo.annotations import SERIES
from harness.slo.model import IndicatorQuery, Objective, WindowPlacement
from harness.slo.queries import selected, tree

_COUNTING = frozenset({"rate", "increase", "irate", "delta", "idelta", "resets"})


@dataclass(frozen=True, slots=True)
class EventSeries:
    """Counters (or gauges of counts) and which of them a good and a bad event move by one."""

    good: tuple[Labels, ...]
    bad: tuple[Labels, ...]
    cumulative: bool = True
    """Counters; else gauges that hold the events since the last scrape."""

    @property
    def all(self) -> tuple[Labels, ...]:
        """Each once."""
        return tuple(dict.fromkeys((*self.good, *self.bad)))

    @property
    def mix(self) -> dict[Labels, int]:
        """How far three good events and a bad one move each series: the objective sees a quarter of errors."""
        return {labels: 3 * (labels in self.good) + (labels in self.bad) for labels in self.all}

    @property
    def only_errors(self) -> tuple[Labels, ...]:
        """Those that only bad events move."""
        return tuple(labels for labels in self.bad if labels not in self.good)


@dataclass(frozen=True, slots=True)
class StateSeries:
    """Gauges, with the values that they have in a good and in a bad moment."""

    series: tuple[Labels, ...]
    good: tuple[Fraction, ...]
    bad: tuple[Fraction, ...]
    held: bool = True
    """Whether a sample stands for the time after it, as long as Prometheus looks back; not where ranges are read."""
    absent: bool | None = None
    """Whether the query takes absent samples for good (True) or bad (False); None: for no data."""


WorldSeries = EventSeries | StateSeries


@dataclass(frozen=True, slots=True)
class SelectorUse:
    """A selector of a query, and whether what it selects counts up."""

    selector: Selector
    counts: bool


def uses_of(query: IndicatorQuery) -> list[SelectorUse]:
    """The query's selectors, each with whether its samples are taken for a counter's."""
    if query.reading in (WindowPlacement.COUNTER, WindowPlacement.GAUGE):
        return [SelectorUse(selector, query.reading is WindowPlacement.COUNTER) for selector in selected(query)]
    return list(_uses(tree(query), False))


def labels_grouped_by(node: Any) -> Iterator[str]:
    """The labels of every `by (…)` below a node of an AST."""
    for part in walk(node):
        modifier = part.modifier if isinstance(part, promql.AggregateExpr) else None
        if modifier is not None and modifier.type == promql.AggModifierType.By:
            yield from modifier.labels


def _uses(node: Any, counts: bool) -> Iterator[SelectorUse]:
    if isinstance(node, promql.VectorSelector):
        yield from (SelectorUse(selector, counts) for selector in selectors_of(node))
        return
    if isinstance(node, promql.Call):
        counts = node.func.name in _COUNTING
    for child in children(node):
        yield from _uses(child, counts)


def underivable(objective: Objective, query: IndicatorQuery, why: str) -> UnsupportedError:
    """That the series must be stated, with how to do it."""
    return UnsupportedError(
        f"the series of `{objective.name}` cannot be derived from its queries: {why}",
        span=query.text.span_at(0),
        hint=f"state them in the annotation `{SERIES}` of the SLO (docs/slo-prove.md has an example)",
    )
