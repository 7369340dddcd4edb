"""Raw series that an objective's plain queries select, for generated tests: made from the matchers, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from harness.rules.selectors import Matcher, Selector, quote
from harness.slo.compile import expressions
from harness.slo.compile.rules import CompiledGroup
from harness.slo.model import Events, IndicatorQuery, ThresholdIndicator, ThresholdOp, WindowPlacement
from harness.slo.queries import selected
from harness.units import format_number

Inputs = list[tuple[str, str]]
"""Series and values in promtool's notation."""

_PER_TICK = 10_000
_WORDS = ("200", "500", "0.1", "x", "a", "1", "GET", "POST", "ok", "error")


@dataclass(frozen=True, slots=True)
class Example:
    """How to make raw series for one objective."""

    share: Fraction
    """An error ratio that the series can have."""
    steady: Callable[[Fraction, int], Inputs]
    """(error ratio, ticks) → series that have it all the time."""
    without_errors: Callable[[int], Inputs] | None = None
    idle: Callable[[int], Inputs] | None = None


def example_of(group: CompiledGroup) -> Example | None:
    """An example, or None where a query is too free to make series for it."""
    objective = group.objective
    indicator = objective.indicator
    if isinstance(indicator, Events) and expressions.counts_events(objective):
        return _of_events(indicator)
    if isinstance(indicator, ThresholdIndicator):
        return _of_threshold(indicator)
    return None


def _of_events(events: Events) -> Example | None:
    part = events.bad or events.good
    assert part is not None
    total, chosen = _plain(events.total), _plain(part)
    if total is None or chosen is None:
        return None
    inside = _labels(chosen)
    outside = _labels(total, without=chosen)
    if inside is None or outside is None or inside == outside or (total.accepts(inside) and chosen.accepts(outside)):
        return None
    is_within = total.accepts(inside)
    gauge = events.total.reading is WindowPlacement.GAUGE

    def series_at(share_of_chosen: Fraction, ticks: int, events_per_tick: int = _PER_TICK) -> Inputs:
        chosen_count = share_of_chosen * events_per_tick
        other_count = events_per_tick - (chosen_count if is_within else 0)
        return [(_metric(inside), values(chosen_count, ticks)), (_metric(outside), values(other_count, ticks))]

    def values(per_tick: Fraction | int, ticks: int) -> str:
        count = format_number(per_tick)
        return f"{count}x{ticks}" if gauge else f"0+{count}x{ticks}"

    is_bad = events.bad is not None
    return Example(
        share=Fraction(1, 100),
        steady=lambda share, ticks: series_at(share if is_bad else 1 - share, ticks),
        without_errors=(lambda ticks: series_at(Fraction(0), ticks)[1:]) if is_bad else None,
        idle=lambda ticks: series_at(Fraction(0), ticks, 0),
    )


def _of_threshold(threshold: ThresholdIndicator) -> Example | None:
    selector = _plain(threshold.query)
    labels = _labels(selector) if selector else None
    if labels is None or not re.fullmatch(r"(sum|max|min|avg)?\(?[^()]*\)?", threshold.query.expr):
        return None
    value = threshold.threshold
    good, wrong = {
        ThresholdOp.GT: (value + 1, value),
        ThresholdOp.GTE: (value, value - 1),
        ThresholdOp.LT: (value - 1, value),
        ThresholdOp.LTE: (value, value + 1),
    }[threshold.op]

    def steady(share: Fraction, ticks: int) -> Inputs:
        return [(_metric(labels), f"{format_number(wrong if share else good)}x{ticks}")]

    return Example(share=Fraction(1), steady=steady)


def _plain(query: IndicatorQuery) -> Selector | None:
    """The selector of a query that has one, without arithmetic around it."""
    found = selected(query)
    plain = re.fullmatch(r"[\w:\s]*(\w+\()*[^()+*/-]*(\{.*\})?[^+*/-]*", query.expr, re.DOTALL)
    return found[0] if len(found) == 1 and found[0].metric and plain else None


def _labels(selector: Selector, without: Selector | None = None) -> dict[str, str] | None:
    """Labels that a selector accepts, and another one does not; None if none are found."""
    names = {m.label for m in selector.matchers}
    more = {m.label for m in without.matchers} - names if without else set()
    labels = {"__name__": selector.metric}
    for name in sorted(names):
        value = next((v for v in _candidates(selector, name) if _accepts(selector, name, v)), None)
        if value is None:
            return None
        labels[name] = value
    if without is None or not without.accepts(labels):
        return labels if selector.accepts(labels) else None
    for name in sorted(more):
        for value in _WORDS:
            changed = {**labels, name: value}
            if selector.accepts(changed) and not without.accepts(changed):
                return changed
    return None


def _candidates(selector: Selector, name: str) -> Iterator[str]:
    for matcher in selector.matchers:
        if matcher.label == name:
            yield from _values_of(matcher)
    yield from _WORDS


def _values_of(matcher: Matcher) -> Iterator[str]:
    if matcher.op == "=":
        yield matcher.value
    elif matcher.op == "=~":  # the first branch, with any character for `.`
        for branch in re.split(r"[()|]", matcher.value):
            yield re.sub(r"\.[*+]?", "0", branch)
            yield branch


def _accepts(selector: Selector, name: str, value: str) -> bool:
    return all(m.accepts(value) for m in selector.matchers if m.label == name)


def _metric(labels: dict[str, str]) -> str:
    inside = ", ".join(f"{k}={quote(v)}" for k, v in sorted(labels.items()) if k != "__name__" and v)
    return f"{labels['__name__']}{{{inside}}}"
