"""A signal at x becomes exact series: rational arithmetic all the way, one rounding to a double at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache, partial
from itertools import accumulate

from harness.contracts.lines import Line, line_of
from harness.contracts.model import SeriesSpec, Shape, Signal, TimeRange
from harness.contracts.signal import expand
from harness.errors import InputError
from harness.numbers import parse_number
from harness.series import STALE, Labels, NativeHistogram, format_labels, labels_of

KnobSteps = Sequence[tuple[int, Fraction]]
"""Where the knob stands from which millisecond on; begins at 0."""


@dataclass(frozen=True, slots=True)
class Scrapes:
    """When a world is sampled: every `every_ms`, first at `phase_ms`, up to `lasts_ms` after the case began.

    The phase is half an interval by default. So no sample lies on the edge of a window, and 2.x (closed windows) and
    3.x (left-open) count the same samples; and over 30 s scrapes a 5m window spans 270 s, a length at which rate()
    reproduces whole numbers exactly.
    """

    every_ms: int
    lasts_ms: int
    phase_ms: int
    failed: TimeRange | None = None
    gap: TimeRange | None = None
    restarts_ms: tuple[int, ...] = ()
    tick_ms: int = 0
    """What divides the times at which rules look at the world; 0 where nobody knows. See :meth:`on_ticks`."""

    lead_ms: int = 0
    """How long the world was scraped before the case began, at negative times: see :func:`traces`."""

    @classmethod
    def regular(cls, every_ms: int, lasts_ms: int, tick_ms: int = 0, lead_ms: int = 0) -> Scrapes:
        return cls(every_ms, lasts_ms, every_ms // 2, tick_ms=tick_ms, lead_ms=lead_ms)

    def on_ticks(self) -> Scrapes:
        """The same for a gauge that follows the clock: sampled at the very ticks, so that the age of what it tells is
        to every rule what the knob says, and not the knob and the time since the last scrape."""
        return replace(self, every_ms=math.gcd(self.every_ms, self.tick_ms), phase_ms=0)

    def times_ms(self) -> list[int]:
        """All scrape times, also those that fail or fall into the gap (an exporter counts on meanwhile)."""
        first = self.phase_ms - (self.lead_ms + self.phase_ms) // self.every_ms * self.every_ms
        return list(range(first, self.lasts_ms + 1, self.every_ms))


@dataclass(frozen=True, slots=True)
class Trace:
    """One series of a case, in milliseconds since the case began."""

    labels: Labels
    times_ms: Sequence[int]
    values: Sequence[float]
    """Those of a case that begins at Unix time 0, as promtool's do, where a formula names `now`."""
    dated: Callable[[int], Trace] | None = field(default=None, repr=False, compare=False)
    """Makes it anew for another Unix time (ms); None for a series that is the same at any time."""

    def beginning_at(self, begin_ms: int) -> Trace:
        """The series of a case that begins at this Unix time."""
        return self if self.dated is None else self.dated(begin_ms)


def traces(signal: Signal, knob: KnobSteps, scrapes: Scrapes) -> list[Trace]:
    """Every series of the signal while the knob moves as given. Series without any sample are left out.

    Before a case begins (negative times) its world is steady: the knob at its first position, `t` as at the first
    scrape of the case. Only a gauge that is a straight line in `t` goes on as that line: its steady state is a drift.
    """
    worlds = {False: _World.of(knob, scrapes)}
    made: list[Trace] = []
    for spec in signal.series:
        names = spec.names
        on_ticks = spec.shape is Shape.GAUGE and "now" in spec.formula.names
        if on_ticks not in worlds:
            worlds[on_ticks] = _World.of(knob, scrapes.on_ticks())
        for row in spec.each:
            base = dict(signal.given)
            base.update({name: _number(value) for name, value in row.items() if name in names})
            world = worlds[on_ticks]
            found = _row(spec, row, base, world)
            if "now" in names:
                found = [
                    replace(trace, dated=partial(_dated, spec, row, base, world, i)) for i, trace in enumerate(found)
                ]
            made += found
    if len({trace.labels for trace in made}) < len(made):
        _refuse_overlap(signal, made)
    return [trace for trace in made if trace.times_ms or trace.dated]


def _refuse_overlap(signal: Signal, made: Sequence[Trace]) -> None:
    """Two entries may share a series in turn, by `present`; raises InputError where both give a sample of it."""
    seen: dict[Labels, set[int]] = {}
    for trace in made:
        times = seen.setdefault(trace.labels, set())
        if not times.isdisjoint(trace.times_ms):
            raise InputError(
                f"the signal makes the series {format_labels(trace.labels)} twice",
                span=next(
                    s.formula.text.span
                    for s in reversed(signal.series)
                    if dict(trace.labels)["__name__"].startswith(s.metric)
                ),
                hint="give one of them another label, or let `present:` say which of them is there when",
            )
        times.update(trace.times_ms)


@dataclass(frozen=True, slots=True)
class _World:
    """When a world is sampled, and what its formulas are evaluated with there."""

    scrapes: Scrapes
    times: Sequence[int]
    positions: Sequence[Fraction]
    """The knob's, at each of the times."""
    kept: Sequence[int]
    """The numbers of the times that do not fall into the gap."""
    begin_ms: int = 0
    """The world's beginning in Unix time."""

    @classmethod
    def of(cls, knob: KnobSteps, scrapes: Scrapes) -> _World:
        times = scrapes.times_ms()
        kept = [i for i, at in enumerate(times) if scrapes.gap is None or at not in scrapes.gap]
        return cls(scrapes, times, _positions(knob, times), kept)


def _row(spec: SeriesSpec, row: Mapping[str, str], base: Mapping[str, Fraction], world: _World) -> list[Trace]:
    """The series that one row of a spec stands for."""
    pairs = tuple(row.items())
    try:
        families = _families(spec, base, world)
    except OverflowError as err:
        text = spec.formula.text
        raise InputError(
            f"`{text.value}` is too large for a double", span=text.span, hint="a sample ends at about 1.8e308"
        ) from err
    made = []
    for metric, extra, values in families:
        series_labels = _labels(metric, spec.labels, pairs, tuple(extra.items()))
        if len(world.kept) == len(world.times) and world.scrapes.failed is None and spec.present is None:
            made.append(Trace(series_labels, world.times, values))
            continue
        there = _with_absences(spec, base, world, values)
        made.append(Trace(series_labels, *there))
    return made


def _dated(
    spec: SeriesSpec, row: Mapping[str, str], base: Mapping[str, Fraction], world: _World, number: int, begin_ms: int
) -> Trace:
    return _row(spec, row, base, replace(world, begin_ms=begin_ms))[number]


Pairs = tuple[tuple[str, str], ...]


# A search makes the same series thousands of times, only their values differ.
_number = lru_cache(maxsize=1 << 12)(parse_number)


@lru_cache(maxsize=1 << 14)
def _labels(metric: str, labels: Pairs, row: Pairs, extra: Pairs) -> Labels:
    """The labels of one series of a row."""
    names = dict(row)
    return labels_of(metric, {**{name: expand(value, names) for name, value in labels}, **dict(extra)})


def _positions(knob: KnobSteps, times: Sequence[int]) -> list[Fraction]:
    """The knob's position at each scrape."""
    if len(knob) == 1:
        return [knob[0][1]] * len(times)
    positions, i = [], 0
    for at in times:
        while i + 1 < len(knob) and knob[i + 1][0] <= at:
            i += 1
        positions.append(knob[i][1])
    return positions


def _families(
    spec: SeriesSpec,
    base: Mapping[str, Fraction],
    world: _World,
) -> list[tuple[str, dict[str, str], list[float]]]:
    """(metric, extra labels, values) of each series that one row of a spec stands for."""
    times, scrapes = world.times, world.scrapes
    line = _straight(spec, base, world)
    if line is not None:
        return [(spec.metric, {}, line.values(times))]
    over_time = _evaluate(spec.formula, base, world, drifts=spec.shape is Shape.GAUGE)
    if spec.shape is Shape.GAUGE:
        still = bool(over_time) and _stands_still(over_time)
        values = [float(over_time[0])] * len(times) if still else [float(value) for value in over_time]
        return [(spec.metric, {}, values)]
    if spec.shape is Shape.COUNTER:
        return [(spec.metric, {}, _count(over_time, times, scrapes))]
    quantile = spec.quantile
    if quantile is None:
        raise AssertionError("a histogram has a quantile")
    marks = _evaluate(quantile.at, base, world)
    shares = {mark: bucket_shares(spec.buckets, quantile.q, x) for mark, x in _distinct(marks).items()}
    means = {mark: _mean(spec.buckets, share) for mark, share in shares.items()}
    counted = _count(_products(over_time, marks, means), times, scrapes)
    if spec.shape is Shape.NATIVE:
        parts = [{mark: _own_share(share, i) for mark, share in shares.items()} for i in range(len(spec.buckets) + 1)]
        counts = [_count(_products(over_time, marks, part), times, scrapes) for part in parts]
        bounds, totals = tuple(map(float, spec.buckets)), _count(over_time, times, scrapes)
        inside = zip(*counts, strict=True)
        native: list[float] = [
            NativeHistogram(count, bounds, own, total)
            for count, own, total in zip(totals, inside, counted, strict=True)
        ]
        return [(spec.metric, {}, native)]
    made: list[tuple[str, dict[str, str], list[float]]] = []
    for i, bound in enumerate((*spec.buckets, None)):
        le = "+Inf" if bound is None else repr(float(bound))
        part = {mark: share[i] for mark, share in shares.items()}
        made.append((f"{spec.metric}_bucket", {"le": le}, _count(_products(over_time, marks, part), times, scrapes)))
    made.append((f"{spec.metric}_count", {}, made[-1][2]))
    made.append((f"{spec.metric}_sum", {}, counted))
    return made


def _straight(spec: SeriesSpec, base: Mapping[str, Fraction], world: _World) -> Line | None:
    """A gauge as a line in milliseconds since the case began, where it is one while the knob stands still: ages are,
    and to evaluate them scrape by scrape would take longer than all else."""
    positions = world.positions
    if spec.shape is not Shape.GAUGE or not spec.formula.names & {"t", "now"} or not _stands_still(positions):
        return None
    t, begin = Line(Fraction(0), Fraction(1, 1000)), Fraction(world.begin_ms, 1000)
    return line_of(spec.formula, {**base, "x": positions[0], "t": t, "now": t + begin})


def _own_share(cumulated: Sequence[Fraction], bucket: int) -> Fraction:
    """What lies in a bucket alone."""
    return cumulated[bucket] - (cumulated[bucket - 1] if bucket else 0)


def _distinct(values: Sequence[Fraction]) -> dict[int, Fraction]:
    """The objects among values, by identity."""
    return {id(value): value for value in values}


def _products(rates: Sequence[Fraction], marks: Sequence[Fraction], factors: Mapping[int, Fraction]) -> list[Fraction]:
    """rate × the factor of its mark, at each scrape; equal pairs share one object, as :func:`_count` likes it."""
    if rates and _stands_still(rates) and _stands_still(marks):
        return [rates[0] * factors[id(marks[0])]] * len(rates)
    known: dict[tuple[int, int], Fraction] = {}
    for rate, x in zip(rates, marks, strict=True):
        key = (id(rate), id(x))
        if key not in known:
            known[key] = rate * factors[id(x)]
    return [known[id(rate), id(x)] for rate, x in zip(rates, marks, strict=True)]


def _evaluate(
    formula: Callable[[Mapping[str, Fraction]], Fraction],
    base: Mapping[str, Fraction],
    world: _World,
    *,
    drifts: bool = False,
) -> list[Fraction]:
    positions, times = world.positions, world.times
    names: frozenset[str] = getattr(formula, "names", frozenset())
    if names & {"t", "now"}:
        from_ms = next((at for at in times if at >= 0), 0)
        if drifts and from_ms > times[0] and _is_line(formula, {**base, "x": positions[0]}, from_ms):
            from_ms = times[0]
        return [
            formula({**base, "x": x, "t": Fraction(max(at, from_ms), 1000), "now": Fraction(world.begin_ms + at, 1000)})
            for x, at in zip(positions, times, strict=True)
        ]
    if positions and _stands_still(positions):
        return [formula({**base, "x": positions[0]})] * len(positions)
    known: dict[int, Fraction] = {}  # by identity: positions repeat the same few objects, hashing a Fraction is slow
    values = []
    for x in positions:
        if id(x) not in known:
            known[id(x)] = formula({**base, "x": x})
        values.append(known[id(x)])
    return values


def _stands_still(values: Sequence[Fraction]) -> bool:
    """Whether all values are one, which is nearly always so; quick where they are one object."""
    return values.count(values[0]) == len(values)


def _is_line(formula: Callable[[Mapping[str, Fraction]], Fraction], base: Mapping[str, Fraction], from_ms: int) -> bool:
    """Whether a formula of `t` has one slope from a time on, as far as seven points of it tell."""
    first = Fraction(from_ms, 1000)

    def value(t: Fraction) -> Fraction:
        return formula({**base, "t": t, "now": t})

    try:
        start = value(first)
        slope = value(first + 1) - start
        return all(value(first + t) == start + slope * t for t in map(Fraction, ("7/3", "61", "599/2", "3601", "1e6")))
    except InputError:  # a division by zero at a time that no scrape may ever meet
        return False


def _count(rates: Sequence[Fraction], times: Sequence[int], scrapes: Scrapes) -> list[float]:
    """A counter that grew at `rates` (per second) up to each scrape, zero at the latest restart before it.

    In whole numbers over one denominator, for int / int is a single correctly rounded division, and quick. Rates
    mostly are a few objects many times, so they are told apart by identity.
    """
    every_s = Fraction(scrapes.every_ms, 1000)
    if rates and not scrapes.restarts_ms and _stands_still(rates):
        step = rates[0] * every_s
        top, bottom = step.numerator, step.denominator
        return [k * top / bottom for k in range(1, len(times) + 1)]
    steps = {key: rate * every_s for key, rate in _distinct(rates).items()}
    bottom = math.lcm(*(step.denominator for step in steps.values()))
    tops = {key: step.numerator * (bottom // step.denominator) for key, step in steps.items()}
    if not scrapes.restarts_ms:
        return [total / bottom for total in accumulate(tops[id(rate)] for rate in rates)]
    values, total = [], Fraction(0)
    for rate, at in zip(rates, times, strict=True):
        since = [at - restart for restart in scrapes.restarts_ms if at - scrapes.every_ms < restart <= at]
        total = rate * Fraction(min(since), 1000) if since else total + rate * every_s
        values.append(float(total))
    return values


def _with_absences(
    spec: SeriesSpec,
    base: Mapping[str, Fraction],
    world: _World,
    values: Sequence[float],
) -> tuple[list[int], list[float]]:
    """Samples where the series exists; a stale marker where it was there at the scrape before and is gone now."""
    times, failed = world.times, world.scrapes.failed
    there = [True] * len(times)
    if spec.present is not None:
        there = [bool(present) for present in _evaluate(spec.present, base, world)]
    out_times: list[int] = []
    out_values: list[float] = []
    alive, before = False, -1
    for i in world.kept:
        if i != before + 1:  # Prometheus itself was away: it no longer knows which series there were
            alive = False
        before = i
        exists = there[i] and (failed is None or times[i] not in failed)
        if exists or alive:
            out_times.append(times[i])
            out_values.append(values[i] if exists else STALE)
        alive = exists
    return out_times, out_values


def bucket_shares(bounds: Sequence[Fraction], q: Fraction, x: Fraction) -> list[Fraction]:
    """Cumulative shares per bucket (+Inf last) such that histogram_quantile(q) is exactly `x`.

    A share d lies in x's own bucket, evenly spread (as histogram_quantile assumes), so the quantile rises with x across
    all buckets. d is a little less than min(q, 1 - q), for Prometheus takes neighbouring buckets that differ by less
    than 1e-12 as equal (promql/quantile.go, smallDeltaTolerance), which would blur the boundary at a bucket's bound.
    In the first bucket the quantile cannot be below q times its bound, and above the highest bound it stays there.
    """
    d = min(q, 1 - q) * Fraction(4, 5)
    place = next((i for i, bound in enumerate(bounds) if x <= bound), None)
    if place is None:
        return [*(q * bound / x for bound in bounds), Fraction(1)]
    high = bounds[place]
    if place == 0:
        inside = min(Fraction(1), q * high / x) if x > 0 else Fraction(1)
        return [inside, *(Fraction(1) for _ in bounds[1:]), Fraction(1)]
    low = bounds[place - 1]
    at_low = q - d * (x - low) / (high - low)
    shares = [at_low * bound / low for bound in bounds[:place]]
    shares.append(at_low + d)
    shares += [Fraction(1)] * (len(bounds) + 1 - len(shares))
    return shares


def _mean(bounds: Sequence[Fraction], shares: Sequence[Fraction]) -> Fraction:
    """The mean observation, each bucket's mass in its middle (the top one's at the highest bound)."""
    total, below, previous = Fraction(0), Fraction(0), Fraction(0)
    for bound, share in zip(bounds, shares, strict=False):
        total += (share - previous) * (below + bound) / 2
        below, previous = bound, share
    return total + (1 - previous) * below
