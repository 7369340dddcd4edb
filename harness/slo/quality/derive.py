"""Which series an objective's events move: derived from its queries, tried on a real Prometheus, only then believed.

The selectors say which label sets can matter. Which of these series a good event moves, and which a bad one, is not
guessed from names: every choice is written to the engine, and the objective's own queries say what they see. The same
goes for the states of gauges behind a threshold.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from harness.errors import UnsupportedError
from harness.replay import SlotWriter
from harness.rules.selectors import Selector
from harness.series import Labels
from harness.slo.annotations import SERIES
from harness.slo.model import Events, Objective, ThresholdIndicator
from harness.slo.quality.labelsets import families_of
from harness.slo.quality.observe import holds, judge_states, near, observe
from harness.slo.quality.series import EventSeries, StateSeries, WorldSeries, underivable, uses_of
from harness.slo.quality.stated import stated
from harness.slo.queries import queries_of

_MOST_CHOICES = 800


def derive(objective: Objective, extra: Sequence[Selector], writer: SlotWriter) -> WorldSeries:
    """The series of an objective's world; `extra` are the selectors of the rules, which should find them too.

    Raises UnsupportedError, saying how to state the series, where no choice makes the queries see what they should.
    """
    queries = queries_of(objective.indicator)
    uses = [use for query in queries for use in uses_of(query)]
    for use in uses:
        if not use.selector.metric:
            raise underivable(objective, queries[0], f"`{use.selector}` names no metric")
    if len({use.counts for use in uses}) > 1:
        raise underivable(objective, queries[0], "its queries mix counters with gauges")
    counts = uses[0].counts
    if counts and isinstance(objective.indicator, ThresholdIndicator):
        raise UnsupportedError(
            f"the series of `{objective.name}`: its threshold is one on how fast counters grow",
            span=queries[0].text.span_at(0),
            hint="only thresholds on gauges have a good and a bad state to play; write a ratio of good events instead",
        )
    if SERIES in objective.annotations:
        return stated(objective, writer, counts=counts)
    families = families_of(uses, extra, objective)
    if isinstance(objective.indicator, Events) or counts:
        try:
            return _choose_events(objective, families, writer, cumulative=counts)
        except UnsupportedError:
            if counts or not isinstance(objective.indicator, Events):
                raise
            # Its events may be the samples themselves: `sum_over_time(up[…])` of `count_over_time(up[…])`.
            found = _choose_states(objective, families, writer, refuse=False)
            if found is None:
                raise
            return found
    states = _choose_states(objective, families, writer)
    assert states is not None
    return states


def _choose_events(
    objective: Objective, families: Sequence[Sequence[Labels]], writer: SlotWriter, *, cumulative: bool
) -> EventSeries:
    """The choices, of the fewest series, for which the queries see no errors, only errors, and a mix of both."""
    choices = [
        tuple(labels for labels in choice if labels is not None)
        for choice in itertools.product(*([*family, None] for family in families))
    ]
    choices = sorted((choice for choice in choices if choice), key=len)
    query = queries_of(objective.indicator)[0]
    if len(choices) > _MOST_CHOICES:
        raise underivable(objective, query, f"there are {len(choices)} ways to move its series")
    # Series that an event does not move are there all the same, as in a service that has seen both.
    resting = {labels: 0 for family in families for labels in family}
    worlds = [{**resting, **dict.fromkeys(choice, 1)} for choice in choices]
    seen = observe(objective, worlds, writer, cumulative=cumulative)
    good = [(c, total) for c, (ratio, total) in zip(choices, seen, strict=True) if near(ratio, 0)]
    bad = [(c, total) for c, (ratio, total) in zip(choices, seen, strict=True) if near(ratio, 1)]
    pairs = [EventSeries(g, b, cumulative) for g, t in good for b, u in bad if t is None or near(u, t)]
    if not pairs:
        missing = "no choice of them makes its queries see " + ("only errors" if good else "no errors")
        raise underivable(objective, query, missing if not (good and bad) else "good and bad events count differently")
    pairs = sorted(pairs, key=lambda pair: len(pair.all))[:16]
    # Three good events to one bad: a ratio that is not linear in its events has no place here.
    seen = observe(objective, [pair.mix for pair in pairs], writer, cumulative=cumulative)
    for pair, (ratio, _) in zip(pairs, seen, strict=True):
        if near(ratio, 0.25):
            return pair
    raise underivable(objective, query, "three good events and a bad one are not seen as 25 % errors")


def _choose_states(
    objective: Objective, families: Sequence[Sequence[Labels]], writer: SlotWriter, *, refuse: bool = True
) -> StateSeries | None:
    """Values of the gauges for which the query is good, and bad, and that differ in as few of them as can be.

    None where there are none, or with `refuse` UnsupportedError.
    """
    series = [labels for family in families for labels in family]
    indicator = objective.indicator
    query = queries_of(indicator)[0]
    limit = indicator.threshold if isinstance(indicator, ThresholdIndicator) else Fraction(1)
    tried = (Fraction(1), Fraction(0), limit, limit + 1, limit - 1, limit * 2, limit / 2, Fraction(100))
    # Most gauges are never negative; only a limit that is may need it.
    pool = list(dict.fromkeys(value for value in tried if value >= 0 or limit < 0))
    most = next((n for n in range(len(pool), 1, -1) if n ** len(series) <= _MOST_CHOICES), 0)
    if most < 2:
        raise underivable(objective, query, f"{len(series)} gauges have too many states to try")
    states = list(itertools.product(pool[:most], repeat=len(series)))
    absent, *judged = judge_states(
        objective, [{}, *(dict(zip(series, state, strict=True)) for state in states)], writer
    )
    good = [state for state, verdict in zip(states, judged, strict=True) if verdict is True]
    bad = [state for state, verdict in zip(states, judged, strict=True) if verdict is False]
    if not good or not bad:
        if refuse:
            raise underivable(objective, query, f"no values of its gauges make it {'bad' if good else 'good'}")
        return None
    one, other = min(itertools.product(good, bad), key=lambda pair: sum(a != b for a, b in zip(*pair, strict=True)))
    return StateSeries(tuple(series), one, other, holds(objective), absent)
