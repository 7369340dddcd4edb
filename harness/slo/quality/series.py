"""Which series an objective's events move: derived from its queries, tried on a real Prometheus, only then believed.

The selectors say which label sets can matter: one for every way to be selected by some of them and not by others.
Which of these series a good event moves, and which a bad one, is not guessed from names: every choice is written to the
engine, and the objective's own queries say what they see. The same goes for the states of gauges behind a threshold.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import promql_parser as promql

from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.errors import InputError, UnsupportedError
from harness.replay import Batch, SlotRange, SlotWriter
from harness.rules.expr import children, parse_expr, walk
from harness.rules.selectors import NAME, Matcher, Selector, selectors_of
from harness.series import Labels, labels_of
from harness.slo.annotations import SERIES
from harness.slo.model import (
    Events,
    Indicator,
    IndicatorQuery,
    Objective,
    RawRatio,
    ThresholdIndicator,
    ThresholdOp,
    WindowPlacement,
)
from harness.slo.queries import selected, tree, windowed
from harness.source import Fields, SourceFile, Text, load_yaml
from harness.units import format_duration, format_number

_MOST_CHOICES = 800
_MOST_LABEL_SETS = 512
_WINDOW_MS, _EVERY_MS = 300_000, 30_000
_COUNTING = frozenset({"rate", "increase", "irate", "delta", "idelta", "resets"})
_OTHER_VALUES = ("200", "other", "0")
"""Values for a label that must not match something; the first that fits is taken."""


@dataclass(frozen=True, slots=True)
class EventSeries:
    """Counters (or gauges of counts) and which of them a good and a bad event move by one."""

    good: tuple[Labels, ...]
    bad: tuple[Labels, ...]
    cumulative: bool = True
    """Counters; else gauges that hold the events since the last scrape."""

    @property
    def all(self) -> tuple[Labels, ...]:
        return tuple(dict.fromkeys((*self.good, *self.bad)))

    @property
    def only_errors(self) -> tuple[Labels, ...]:
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


def derive(objective: Objective, extra: Sequence[Selector], tape: SlotWriter) -> WorldSeries:
    """The series of an objective's world; `extra` are the selectors of the rules, which should find them too.

    Raises UnsupportedError, saying how to state the series, where no choice makes the queries see what they should.
    """
    queries = queries_of(objective.indicator)
    uses = [use for query in queries for use in uses_of(query)]
    for use in uses:
        if not use.selector.metric:
            raise _underivable(objective, queries[0], f"`{use.selector}` names no metric")
    if len({use.counts for use in uses}) > 1:
        raise _underivable(objective, queries[0], "its queries mix counters with gauges")
    counts = uses[0].counts
    if counts and isinstance(objective.indicator, ThresholdIndicator):
        raise UnsupportedError(
            f"the series of `{objective.name}`: its threshold is one on how fast counters grow",
            span=queries[0].text.span_at(0),
            hint="only thresholds on gauges have a good and a bad state to play; write a ratio of good events instead",
        )
    if SERIES in objective.annotations:
        return _stated(objective, tape, counts=counts)
    families = _families(uses, extra, objective)
    if isinstance(objective.indicator, Events) or counts:
        try:
            return _choose_events(objective, families, tape, cumulative=counts)
        except UnsupportedError:
            if counts or not isinstance(objective.indicator, Events):
                raise
            # Its events may be the samples themselves: `sum_over_time(up[…])` of `count_over_time(up[…])`.
            found = _choose_states(objective, families, tape, refuse=False)
            if found is None:
                raise
            return found
    states = _choose_states(objective, families, tape)
    assert states is not None
    return states


def queries_of(indicator: Indicator) -> list[IndicatorQuery]:
    """The indicator's queries; of events, all events first."""
    match indicator:
        case Events(total, good, bad):
            return [query for query in (total, good, bad) if query is not None]
        case RawRatio(query, _) | ThresholdIndicator(query, _, _):
            return [query]


def uses_of(query: IndicatorQuery) -> list[SelectorUse]:
    """The query's selectors, each with whether its samples are taken for a counter's."""
    if query.reading in (WindowPlacement.COUNTER, WindowPlacement.GAUGE):
        return [SelectorUse(selector, query.reading is WindowPlacement.COUNTER) for selector in selected(query)]
    return list(_uses(tree(query), False))


def grouping(node: Any) -> Iterator[str]:
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


def _underivable(objective: Objective, query: IndicatorQuery, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"the series of `{objective.name}` cannot be derived from its queries: {why}",
        span=query.text.span_at(0),
        hint=f"state them in the annotation `{SERIES}` of the SLO (docs/slo-prove.md has an example)",
    )


# -- label sets --------------------------------------------------------------------------------------------------------


def _families(uses: Sequence[SelectorUse], extra: Sequence[Selector], objective: Objective) -> list[list[Labels]]:
    """Per metric the label sets that its selectors can tell apart, one of each kind."""
    own: dict[str, list[Selector]] = {}
    for use in uses:
        own.setdefault(use.selector.metric, []).append(use.selector)
    return [
        _label_sets(metric, found, [s for s in extra if s.metric == metric], objective) for metric, found in own.items()
    ]


def _label_sets(metric: str, own: Sequence[Selector], extra: Sequence[Selector], objective: Objective) -> list[Labels]:
    matchers = [m for s in own for m in s.matchers]
    known = {m.label for m in matchers}
    # What a rule asks of labels that the objective leaves open is granted; of the others the objective alone decides.
    matchers += [m for s in extra for m in s.matchers if m.label not in known]
    values = {
        label: _values([m for m in matchers if m.label == label], objective)
        for label in dict.fromkeys(m.label for m in matchers)
    }
    if math.prod(map(len, values.values())) > _MOST_LABEL_SETS:
        raise _underivable(
            objective, queries_of(objective.indicator)[0], f"too many combinations of labels on `{metric}`"
        )
    best: dict[tuple[bool, ...], tuple[int, Labels]] = {}
    for chosen in itertools.product(*values.values()):
        labels = {NAME: metric, **dict(zip(values, chosen, strict=True))}
        seen_by = tuple(selector.accepts(labels) for selector in own)
        if not any(seen_by):
            continue
        worth = sum(selector.accepts(labels) for selector in extra) * 100 + sum(map(bool, chosen))
        if seen_by not in best or worth > best[seen_by][0]:
            best[seen_by] = (worth, labels_of(metric, dict(zip(values, chosen, strict=True))))
    return [labels for _, labels in best.values()]


def _values(matchers: Sequence[Matcher], objective: Objective) -> list[str]:
    """Values of one label: what each matcher wants, something that none of them names, and absence."""
    wanted: dict[str, None] = {}
    for matcher in matchers:
        if matcher.op in ("=", "!="):
            wanted[matcher.value] = None
        else:
            fits = [word for word in words_of(matcher.value) if matcher.accepts(word) is (matcher.op == "=~")]
            if not fits and matcher.op == "=~":
                raise _underivable(
                    objective, queries_of(objective.indicator)[0], f"no value was found that `{matcher}` matches"
                )
            wanted |= dict.fromkeys(fits[:3])
    others = [w for w in _OTHER_VALUES if all(m.accepts(w) is (m.op in ("!=", "!~")) for m in matchers)]
    wanted |= dict.fromkeys(others[:1])
    wanted[""] = None
    return list(wanted)


def words_of(pattern: str) -> list[str]:
    """Texts that a pattern may match, each of its alternatives made plain; the caller tries them."""
    made = []
    for part in (pattern, *re.split(r"[|()]", pattern)):
        for plain in ("0", "a"):
            text = re.sub(r"\\d", "5", part)
            text = re.sub(r"\[\^[^\]]*\]", plain, text)
            text = re.sub(r"\[([^\]])[^\]]*\]", r"\1", text)
            text = re.sub(r"(?<!\\)\.", plain, text)
            made.append(re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[\^$()?:*+]|\{\d+(,\d*)?\}", "", text)))
    return [*made, "500", "503", "404", "200", "301", "GET", "POST", "x"]


# -- counters: which of them an event moves ----------------------------------------------------------------------------


def _choose_events(
    objective: Objective, families: Sequence[Sequence[Labels]], tape: SlotWriter, *, cumulative: bool
) -> EventSeries:
    """The choices, of the fewest series, for which the queries see no errors, only errors, and a mix of both."""
    choices = [
        tuple(labels for labels in choice if labels is not None)
        for choice in itertools.product(*([*family, None] for family in families))
    ]
    choices = sorted((choice for choice in choices if choice), key=len)
    query = queries_of(objective.indicator)[0]
    if len(choices) > _MOST_CHOICES:
        raise _underivable(objective, query, f"there are {len(choices)} ways to move its series")
    # Series that an event does not move are there all the same, as in a service that has seen both.
    resting = {labels: 0 for family in families for labels in family}
    worlds = [{**resting, **dict.fromkeys(choice, 1)} for choice in choices]
    seen = _observe(objective, worlds, tape, cumulative=cumulative)
    good = [(c, total) for c, (ratio, total) in zip(choices, seen, strict=True) if _near(ratio, 0)]
    bad = [(c, total) for c, (ratio, total) in zip(choices, seen, strict=True) if _near(ratio, 1)]
    pairs = [EventSeries(g, b, cumulative) for g, t in good for b, u in bad if t is None or _near(u, t)]
    if not pairs:
        missing = "no choice of them makes its queries see " + ("only errors" if good else "no errors")
        raise _underivable(objective, query, missing if not (good and bad) else "good and bad events count differently")
    pairs = sorted(pairs, key=lambda pair: len(pair.all))[:16]
    # Three good events to one bad: a ratio that is not linear in its events has no place here.
    mixes = [{s: 3 * (s in pair.good) + (s in pair.bad) for s in pair.all} for pair in pairs]
    for pair, (ratio, _) in zip(pairs, _observe(objective, mixes, tape, cumulative=cumulative), strict=True):
        if _near(ratio, 0.25):
            return pair
    raise _underivable(objective, query, "three good events and a bad one are not seen as 25 % errors")


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)


def _observe(
    objective: Objective, worlds: Sequence[Mapping[Labels, int]], tape: SlotWriter, *, cumulative: bool
) -> list[tuple[float | None, float | None]]:
    """(error ratio, all events) that the objective's queries see in each world of so many events per second."""
    reel = _recorded([_steady(world, cumulative=cumulative) for world in worlds], tape)
    return _ratios(objective.indicator, tape.engine, reel)


def elements(objective: Objective, world: Mapping[Labels, int], tape: SlotWriter, *, cumulative: bool) -> int:
    """How many elements the objective's query of all events (or of its ratio) has in a world: one a group."""
    reel = _recorded([_steady(world, cumulative=cumulative)], tape)
    query = queries_of(objective.indicator)[0]
    return len(_values_at_end(tape.engine, windowed(query, format_duration(_WINDOW_MS)), reel))


def _steady(world: Mapping[Labels, int], *, cumulative: bool) -> list[Trace]:
    """So many events per second of each series."""
    times = range(_EVERY_MS // 2, 2 * _WINDOW_MS, _EVERY_MS)
    per_scrape = _EVERY_MS // 1000
    return [
        Trace(labels, times, [float(rate * per_scrape * (i + 1 if cumulative else 1)) for i in range(len(times))])
        for labels, rate in world.items()
    ]


def _ratios(indicator: Indicator, engine: Engine, reel: SlotRange) -> list[tuple[float | None, float | None]]:
    """(error ratio, all events) at the end of each case."""
    window = format_duration(_WINDOW_MS)
    match indicator:
        case Events(total, good, bad):
            every = _sums(engine, windowed(total, window), reel)
            part = good or bad
            assert part is not None
            found = _sums(engine, windowed(part, window), reel)
            found = [f if f is not None or e is None else 0.0 for f, e in zip(found, every, strict=True)]
            ratios = [f / e if f is not None and e else None for f, e in zip(found, every, strict=True)]
            if good is not None:
                ratios = [None if ratio is None else 1 - ratio for ratio in ratios]
            return list(zip(ratios, every, strict=True))
        case RawRatio(query, is_error):
            raw = _sums(engine, windowed(query, window), reel)
            return [(value if is_error or value is None else 1 - value, None) for value in raw]
        case ThresholdIndicator():
            raise AssertionError("a threshold has states, not events")


def _recorded(cases: Sequence[Sequence[Trace]], tape: SlotWriter) -> SlotRange:
    server = tape.engine.server
    (reel,) = tape.record([Batch(cases, 2 * _WINDOW_MS, 2 * _WINDOW_MS + server.lookback_ms, server.evaluation_ms)])
    return reel


def _sums(engine: Engine, expr: str, reel: SlotRange) -> list[float | None]:
    """What an expression's elements add up to at the end of each case; None where there are none, and for NaN."""
    found: list[float | None] = [None] * reel.count
    for case, value in _values_at_end(engine, expr, reel):
        found[case] = (found[case] or 0.0) + value
    return [None if value is None or math.isnan(value) else value for value in found]


def _values_at_end(engine: Engine, expr: str, reel: SlotRange) -> list[tuple[int, float]]:
    """(case, value) of every element at the end of each case."""
    at = reel.start_ms + reel.length_ms
    return [
        ((when - at) // reel.slot_ms, value)
        for series in engine.query_range(expr, at, at + (reel.count - 1) * reel.slot_ms, reel.slot_ms)
        for when, value in zip(series.timestamps_ms, series.values, strict=True)
    ]


# -- gauges: a good and a bad moment -----------------------------------------------------------------------------------


def _choose_states(
    objective: Objective, families: Sequence[Sequence[Labels]], tape: SlotWriter, *, refuse: bool = True
) -> StateSeries | None:
    """Values of the gauges for which the query is good, and bad, and that differ in as few of them as can be.

    None where there are none, or with `refuse` UnsupportedError.
    """
    series = [labels for family in families for labels in family]
    indicator = objective.indicator
    query = queries_of(indicator)[0]
    limit = indicator.threshold if isinstance(indicator, ThresholdIndicator) else Fraction(1)
    near = (Fraction(1), Fraction(0), limit, limit + 1, limit - 1, limit * 2, limit / 2, Fraction(100))
    # Most gauges are never negative; only a limit that is may need it.
    pool = list(dict.fromkeys(value for value in near if value >= 0 or limit < 0))
    most = next((n for n in range(len(pool), 1, -1) if n ** len(series) <= _MOST_CHOICES), 0)
    if most < 2:
        raise _underivable(objective, query, f"{len(series)} gauges have too many states to try")
    states = list(itertools.product(pool[:most], repeat=len(series)))
    absent, *judged = _judge_states(objective, [{}, *(dict(zip(series, state, strict=True)) for state in states)], tape)
    good = [state for state, verdict in zip(states, judged, strict=True) if verdict is True]
    bad = [state for state, verdict in zip(states, judged, strict=True) if verdict is False]
    if not good or not bad:
        if refuse:
            raise _underivable(objective, query, f"no values of its gauges make it {'bad' if good else 'good'}")
        return None
    one, other = min(itertools.product(good, bad), key=lambda pair: sum(a != b for a, b in zip(*pair, strict=True)))
    return StateSeries(tuple(series), one, other, _holds(objective), absent)


def _holds(objective: Objective) -> bool:
    """Whether a sample stands for the time after it: where series are read as they are at a tick, or in a subquery."""

    def at_a_moment(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector | promql.MatrixSelector):
            return isinstance(node, promql.VectorSelector)
        return any(map(at_a_moment, children(node)))

    readings = (WindowPlacement.INSTANT, WindowPlacement.WINDOWED)  # a window is put into the others
    return any(query.reading in readings and at_a_moment(tree(query)) for query in queries_of(objective.indicator))


def _judge_states(
    objective: Objective, states: Sequence[Mapping[Labels, Fraction]], tape: SlotWriter
) -> list[bool | None]:
    """Whether the objective's queries find each state wholly good (True) or wholly bad (False); None for neither."""
    times = range(_EVERY_MS // 2, 2 * _WINDOW_MS, _EVERY_MS)
    cases = [[Trace(labels, times, [float(value)] * len(times)) for labels, value in state.items()] for state in states]
    reel, indicator = _recorded(cases, tape), objective.indicator
    if not isinstance(indicator, ThresholdIndicator):
        return [{0.0: True, 1.0: False}.get(error) if error is not None else None for error, _ in
                _ratios(indicator, tape.engine, reel)]  # fmt: skip
    limit = float(indicator.threshold)
    exceeds = {
        ThresholdOp.LTE: operator.le,
        ThresholdOp.LT: operator.lt,
        ThresholdOp.GTE: operator.ge,
        ThresholdOp.GT: operator.gt,
    }[indicator.op]
    return [
        exceeds(value, limit) if value is not None and math.isfinite(value) else None
        for value in _sums(tape.engine, windowed(indicator.query, format_duration(_WINDOW_MS)), reel)
    ]


# -- stated by the document --------------------------------------------------------------------------------------------

_STATED = re.compile(r"(?P<series>.*?)(?:\s+(?P<value>[-+]?\d+(?:\.\d+)?))?", re.DOTALL)


def _stated(objective: Objective, tape: SlotWriter, *, counts: bool) -> WorldSeries:
    """The series as the annotation says: `good` and `bad`, each a list; behind a gauge stands its value.

    Raises InputError where the objective's queries see something else in them.
    """
    what = f"the annotation `{SERIES}` of `{objective.name}`"
    source = SourceFile.of_text(what, objective.annotations[SERIES])
    documents = load_yaml(source)
    if len(documents) != 1:
        raise InputError(f"{what} is empty", span=objective.span, hint="see docs/slo-prove.md for an example")
    fields = Fields(documents[0], source, what)
    fields.only("good", "bad")
    good, bad = ([_one(item.text()) for item in fields.items(key, "a series")] for key in ("good", "bad"))
    if all(value is None for _, value in (*good, *bad)):
        found = EventSeries(tuple(labels for labels, _ in good), tuple(labels for labels, _ in bad), counts)
        _check_events(objective, found, what, tape)
        return found
    states = dict(good), dict(bad)
    if set(states[0]) != set(states[1]) or any(value is None for state in states for value in state.values()):
        raise InputError(
            f"{what}: `good` and `bad` must give a value to the same gauges",
            span=objective.span,
            hint="write each series in both lists, with its value behind it",
        )
    order = tuple(states[0])
    at_good, at_bad = (tuple(value for labels in order if (value := state[labels]) is not None) for state in states)
    worlds = [{}, *(dict(zip(order, values, strict=True)) for values in (at_good, at_bad))]
    absent, *judged = _judge_states(objective, worlds, tape)
    for name, wanted, found_good in zip(("good", "bad"), (True, False), judged, strict=True):
        if found_good is not wanted:
            seen = {True: "good", False: "bad", None: "neither good nor bad"}[found_good]
            raise InputError(
                f"{what}: what it calls `{name}` is {seen} to the objective's queries",
                span=objective.span,
                hint=f"give each gauge the value that it has in a {name} moment",
            )
    return StateSeries(order, at_good, at_bad, _holds(objective), absent)


def _check_events(objective: Objective, stated: EventSeries, what: str, tape: SlotWriter) -> None:
    """Raise InputError unless the queries see no errors in good events, only errors in bad ones, a quarter in a mix."""
    if isinstance(objective.indicator, ThresholdIndicator):
        raise InputError(
            f"{what}: its gauges need values",
            span=objective.span,
            hint="write the value behind each series, as in `up 1`",
        )
    only_good, only_bad = dict.fromkeys(stated.good, 1), dict.fromkeys(stated.bad, 1)
    mix = {s: 3 * (s in stated.good) + (s in stated.bad) for s in stated.all}
    rest = dict.fromkeys(stated.all, 0)
    worlds = [{**rest, **only_good}, {**rest, **only_bad}, mix]
    seen = _observe(objective, worlds, tape, cumulative=stated.cumulative)
    for (ratio, _), wanted, events in zip(
        seen, (0.0, 1.0, 0.25), ("good events", "bad events", "three good events and a bad one"), strict=True
    ):
        if not _near(ratio, wanted):
            found = "nothing" if ratio is None else f"{format_number(float(f'{ratio * 100:.4g}'))} % errors"
            raise InputError(
                f"{what} says something else than the objective's queries see: {events} are {found} to them, and not "
                f"{wanted * 100:g} %",
                span=objective.span,
                hint="list under `good` the series that one good event moves, and under `bad` those that one bad event "
                "does: each by one (docs/slo-prove.md has an example)",
            )


def _one(text: Text) -> tuple[Labels, Fraction | None]:
    found = _STATED.fullmatch(text.value.strip())
    assert found is not None
    node = parse_expr(Text(found["series"], text.span))
    selector = selectors_of(node)[0] if isinstance(node, promql.VectorSelector) else None
    if selector is None or not selector.metric or any(m.op != "=" for m in selector.names + selector.matchers):
        raise InputError(
            f"`{text.value}` is no series", span=text.span, hint='write its name and labels, such as up{job="api"}'
        )
    labels = labels_of(selector.metric, {m.label: m.value for m in selector.matchers})
    return labels, None if found["value"] is None else Fraction(found["value"])
