"""What an objective's own queries see in made-up worlds of its series, on a real Prometheus."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import promql_parser as promql

from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.replay import Batch, SlotRange, SlotWriter
from harness.rules.expr import children
from harness.series import Labels
from harness.slo.model import Events, Indicator, Objective, RawRatio, ThresholdIndicator, ThresholdOp, WindowPlacement
from harness.slo.queries import queries_of, tree, windowed
from harness.units import format_duration

_WINDOW_MS, _EVERY_MS = 300_000, 30_000


def near(value: float | None, wanted: float) -> bool:
    return value is not None and math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)


def observe(
    objective: Objective, worlds: Sequence[Mapping[Labels, int]], writer: SlotWriter, *, cumulative: bool
) -> list[tuple[float | None, float | None]]:
    """(error ratio, all events) that the objective's queries see in each world of so many events per second."""
    slots = _recorded([_steady(world, cumulative=cumulative) for world in worlds], writer)
    return _ratios(objective.indicator, writer.engine, slots)


def elements(objective: Objective, world: Mapping[Labels, int], writer: SlotWriter, *, cumulative: bool) -> int:
    """How many elements the objective's query of all events (or of its ratio) has in a world: one a group."""
    slots = _recorded([_steady(world, cumulative=cumulative)], writer)
    query = queries_of(objective.indicator)[0]
    return len(_values_at_end(writer.engine, windowed(query, format_duration(_WINDOW_MS)), slots))


def _steady(world: Mapping[Labels, int], *, cumulative: bool) -> list[Trace]:
    """So many events per second of each series."""
    times = range(_EVERY_MS // 2, 2 * _WINDOW_MS, _EVERY_MS)
    per_scrape = _EVERY_MS // 1000
    return [
        Trace(labels, times, [float(rate * per_scrape * (i + 1 if cumulative else 1)) for i in range(len(times))])
        for labels, rate in world.items()
    ]


def _ratios(indicator: Indicator, engine: Engine, slots: SlotRange) -> list[tuple[float | None, float | None]]:
    """(error ratio, all events) at the end of each case."""
    window = format_duration(_WINDOW_MS)
    match indicator:
        case Events(total, good, bad):
            every = _sums(engine, windowed(total, window), slots)
            part = good or bad
            assert part is not None
            found = _sums(engine, windowed(part, window), slots)
            found = [f if f is not None or e is None else 0.0 for f, e in zip(found, every, strict=True)]
            ratios = [f / e if f is not None and e else None for f, e in zip(found, every, strict=True)]
            if good is not None:
                ratios = [None if ratio is None else 1 - ratio for ratio in ratios]
            return list(zip(ratios, every, strict=True))
        case RawRatio(query, is_error):
            raw = _sums(engine, windowed(query, window), slots)
            return [(value if is_error or value is None else 1 - value, None) for value in raw]
        case ThresholdIndicator():
            raise AssertionError("a threshold has states, not events")


def _recorded(cases: Sequence[Sequence[Trace]], writer: SlotWriter) -> SlotRange:
    server = writer.engine.server
    (slots,) = writer.record([Batch(cases, 2 * _WINDOW_MS, 2 * _WINDOW_MS + server.lookback_ms, server.evaluation_ms)])
    return slots


def _sums(engine: Engine, expr: str, slots: SlotRange) -> list[float | None]:
    """What an expression's elements add up to at the end of each case; None where there are none, and for NaN."""
    found: list[float | None] = [None] * slots.count
    for case, value in _values_at_end(engine, expr, slots):
        found[case] = (found[case] or 0.0) + value
    return [None if value is None or math.isnan(value) else value for value in found]


def _values_at_end(engine: Engine, expr: str, slots: SlotRange) -> list[tuple[int, float]]:
    """(case, value) of every element at the end of each case."""
    at = slots.start_ms + slots.length_ms
    return [
        ((when - at) // slots.slot_ms, value)
        for series in engine.query_range(expr, at, at + (slots.count - 1) * slots.slot_ms, slots.slot_ms)
        for when, value in zip(series.timestamps_ms, series.values, strict=True)
    ]


def holds(objective: Objective) -> bool:
    """Whether a sample stands for the time after it: where series are read as they are at a tick, or in a subquery."""

    def at_a_moment(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector | promql.MatrixSelector):
            return isinstance(node, promql.VectorSelector)
        return any(map(at_a_moment, children(node)))

    readings = (WindowPlacement.INSTANT, WindowPlacement.WINDOWED)  # a window is put into the others
    return any(query.reading in readings and at_a_moment(tree(query)) for query in queries_of(objective.indicator))


def judge_states(
    objective: Objective, states: Sequence[Mapping[Labels, Fraction]], writer: SlotWriter
) -> list[bool | None]:
    """Whether the objective's queries find each state wholly good (True) or wholly bad (False); None for neither."""
    times = range(_EVERY_MS // 2, 2 * _WINDOW_MS, _EVERY_MS)
    cases = [[Trace(labels, times, [float(value)] * len(times)) for labels, value in state.items()] for state in states]
    slots, indicator = _recorded(cases, writer), objective.indicator
    if not isinstance(indicator, ThresholdIndicator):
        return [{0.0: True, 1.0: False}.get(error) if error is not None else None for error, _ in
                _ratios(indicator, writer.engine, slots)]  # fmt: skip
    limit = float(indicator.threshold)
    exceeds = {
        ThresholdOp.LTE: operator.le,
        ThresholdOp.LT: operator.lt,
        ThresholdOp.GTE: operator.ge,
        ThresholdOp.GT: operator.gt,
    }[indicator.op]
    return [
        exceeds(value, limit) if value is not None and math.isfinite(value) else None
        for value in _sums(writer.engine, windowed(indicator.query, format_duration(_WINDOW_MS)), slots)
    ]
