"""How densely a world is sampled and a course is played when a rule looks back, or waits, for days.

A rule that sees 30 days scraped every 30 s sees 86,400 samples of each series, which costs minutes and gigabytes and is
more than promtool loads (10,000 a query). Its window is as full with some hundreds of samples, so they stand further
apart, evenly: rate() extrapolates by the mean spacing, averages weigh each sample alike. The spacing is bounded by

- what a plain selector still sees: Prometheus looks back 5 minutes for a sample, so they come every 4 at the latest;
- the shortest range beside the long one, which holds four at least;
- what is counted or added up sample by sample (`count_over_time`), which means the contract's own scrapes, as does a
  signal that moves with `t`, or an age: it keeps them.

Situations keep their own scrapes where one fails, where an exporter restarts or the knob moves quickly, and come every
4 minutes at least. What would still be too many samples, or would not fit between 2001 and now, is refused before
anything is written.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import promql_parser as promql

from harness.contracts import Signal, Situation
from harness.contracts.model import Shape
from harness.errors import UnsupportedError
from harness.replay import Plan, SlotWriter
from harness.rules.expr import children, parse_expr, walk
from harness.source import Text
from harness.units import format_duration

_DENSE = 360
"""A window of so many scrapes and ticks is played as it is …"""
_SAMPLES = 720
"""… one of more is sampled so often …"""
_SPARSE = 60
"""… or as rarely as this, if promtool is to load all of its series."""
_PROMTOOL_SAMPLES = 9_000
"""promtool gives up at 10,000."""
_PLAIN_MS = 240_000
_IN_SHORTEST = 4
_TICKS = 120
"""How many ticks of a course of a far-sighted rule are played, more or less."""
_MOST_SAMPLES = 50_000
"""Of one world."""
_MOST_IN_SITUATIONS = 3_000_000
_MOST_TICKS = 400_000
_AT_ONCE = 1_000_000
"""Samples of a search's worlds that are written at once."""
_NARROWING = 20_000
"""Samples of the worlds of one round that narrows a boundary."""
_FEWEST = 8
_COUNTS_SAMPLES = frozenset({"count_over_time", "sum_over_time"})


@dataclass(frozen=True, slots=True)
class Sampling:
    """Milliseconds all."""

    scrape_ms: int
    """How far apart the samples of the main signal are."""
    tick_ms: int
    """How far apart the ticks are at which its courses are played."""
    far: bool
    """Whether that is further than the rule's group says."""
    at_once: int
    """How many positions of the knob are asked about at once."""
    narrowed_by: int
    """How many of them narrow a boundary: few where a world is dear, for 8 find in 16 rounds what 64 do in 9."""

    def played(self, plan: Plan) -> Plan:
        """The plan with these ticks; recording rules keep their own."""
        return replace(plan, every_ms=self.tick_ms, align_ms=self.tick_ms) if self.far else plan


def sampling_of(
    signal: Signal, scrape_ms: int, plan: Plan, writer: SlotWriter, situations: Sequence[Situation] = ()
) -> Sampling:
    """The sampling for a signal under a rule, scraped every `scrape_ms` if it can be.

    Raises UnsupportedError for what is out of bounds, in situations too.
    """
    interval, window = plan.interval_ms, plan.window_ms
    span = window + plan.rule.hold_ms + plan.rule.keep_firing_ms
    rows = _rows(signal)
    exprs = [plan.rule.expr, *(rule.expr for _, rule in plan.recordings)]
    scrape = scrape_ms
    if window <= _DENSE * scrape and span <= _DENSE * interval:
        return Sampling(scrape, interval, far=False, at_once=64, narrowed_by=64)
    if not _needs_its_scrapes(signal, exprs):
        wanted = span // min(_SAMPLES, max(_SPARSE, _PROMTOOL_SAMPLES // (rows * len(list(_seen(exprs))))))
        most = min([wanted, *_seen(exprs, _only_recorded(plan, signal))])
        even = math.lcm(scrape, interval) if math.lcm(scrape, interval) <= most else scrape
        scrape = max(scrape, most // even * even)
    recorded = sum(plan.warm_ms.get(id(rule), 0) // group.interval_ms for group, rule in plan.recordings)
    samples = rows * (window // scrape + 2) + recorded
    far_sighted = f"`{plan.rule.alert}` looks back {format_duration(window)}"
    if samples > _MOST_SAMPLES:
        why = f"a world of its contract would take {samples:,} samples, scraped every {format_duration(scrape)}"
        raise _unsupported(f"{far_sighted}: {why}", plan)
    kept = sum(window // situation_scrape_ms(situation, plan) for situation in situations) * rows
    if kept > _MOST_IN_SITUATIONS:
        raise _unsupported(f"{far_sighted}: the contract's situations would take {kept:,} samples", plan)
    if (2 * window + plan.rule.hold_ms + plan.rule.keep_firing_ms) // interval > _MOST_TICKS:
        raise _unsupported(
            f"{far_sighted} and waits {format_duration(plan.rule.hold_ms)}: too many ticks to play", plan
        )
    fit = writer.room_ms // (3 * (window + plan.rule.hold_ms) + 1)
    if fit < 1:
        raise _unsupported(f"{far_sighted} and waits {format_duration(plan.rule.hold_ms)}: that does not fit", plan)
    at_once = min(64, _AT_ONCE // samples, writer.room_ms // (window + 4 * scrape + 1))
    at_once = max(_FEWEST, at_once)
    narrowed_by = max(_FEWEST, min(at_once, _NARROWING // samples))
    step = math.lcm(plan.align_ms, scrape)
    tick = -(-max(span // _TICKS, interval) // step) * step
    return Sampling(scrape, tick, far=True, at_once=at_once, narrowed_by=narrowed_by)


def situation_scrape_ms(situation: Situation, plan: Plan) -> int:
    """How far apart a situation's samples are: its own scrapes, unless a far-sighted rule would see too many and no
    scrape fails, no exporter restarts, and no position of the knob would be missed."""
    own, window = situation.scrape_ms, plan.window_ms
    if window <= _PROMTOOL_SAMPLES * own or situation.failed_scrapes or situation.gap or situation.restarts_ms:
        return own
    exprs = [plan.rule.expr, *(rule.expr for _, rule in plan.recordings)]
    if _needs_its_scrapes(situation.signal, exprs):
        return own
    shortest = min((b - a for (a, _), (b, _) in itertools.pairwise(situation.knob)), default=_PLAIN_MS)
    seen = _seen(exprs, _only_recorded(plan, situation.signal))
    return max(own, min(window // _PROMTOOL_SAMPLES + own, shortest // 2, _PLAIN_MS, *seen) // own * own)


def _unsupported(message: str, plan: Plan) -> UnsupportedError:
    return UnsupportedError(
        message, span=plan.rule.expr.span_at(0), hint="prove it with a shorter window or hold, which means the same"
    )


def _rows(signal: Signal) -> int:
    """How many series a signal has."""
    return sum(
        len(spec.each) * (len(spec.buckets) + 3 if spec.shape is Shape.HISTOGRAM else 1) for spec in signal.series
    )


def _needs_its_scrapes(signal: Signal, exprs: list[Text]) -> bool:
    moves = any(spec.names & {"t", "now"} for spec in signal.series)
    calls = (node for expr in exprs for node in walk(parse_expr(expr)) if isinstance(node, promql.Call))
    return moves or any(node.func.name in _COUNTS_SAMPLES for node in calls)


def _only_recorded(plan: Plan, signal: Signal) -> frozenset[str]:
    """Metrics whose samples stand at the ticks of recording rules, wherever the signal has its own."""
    return frozenset(rule.record for _, rule in plan.recordings) - {spec.metric for spec in signal.series}


def _seen(exprs: list[Text], besides: Collection[str] = ()) -> Iterator[int]:
    """Per selector of other metrics than these, how far apart its samples may be for it."""
    todo: list[tuple[Any, int]] = [(parse_expr(expr), 0) for expr in exprs]
    while todo:
        node, ranged = todo.pop()
        if isinstance(node, promql.VectorSelector):
            if node.name not in besides:
                yield ranged // _IN_SHORTEST if ranged else _PLAIN_MS
        elif isinstance(node, promql.MatrixSelector):
            ranged = round(node.range.total_seconds() * 1000)
        todo += [(child, ranged) for child in children(node)]
