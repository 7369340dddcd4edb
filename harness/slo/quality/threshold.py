"""The error ratio at which each pair of a rule set begins to fire, found to two adjacent doubles (or slices)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.contracts.model import Knob
from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.proof.positions import KnobPositions, refine, ulps_between
from harness.replay import Batch, Plan, Replay, SlotWriter
from harness.rules import RuleFile
from harness.rules.expr import alternatives, ends_now, ranges_ms
from harness.slo.model import BurnPair
from harness.slo.quality.policy import slack
from harness.slo.quality.results import PairThreshold
from harness.slo.quality.rules import AlertInGroup
from harness.slo.quality.series import EventSeries, StateSeries, WorldSeries
from harness.slo.quality.simulation import PHASE_MS, SCRAPE_MS
from harness.source import Text
from harness.units import format_duration

_ROUND = 64
_SLICES_ROUND = 12
"""Worlds of slices are played tick by tick, so fewer at a time."""
_MOST_FLIPS = 2


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the conditions that a severity's alerts join by `or`, as a rule of its own."""

    plan: Plan
    longest_ms: int
    """The longest range that it looks at: the long window of its pair."""


def branches(replay: Replay, rules: Sequence[AlertInGroup]) -> list[Alternative]:
    """Every alternative of every rule."""
    found = []
    for located in rules:
        for text in alternatives(located.rule.expr):
            rule = replace(located.rule, expr=Text(text, located.rule.expr.span))
            plan = replay.plan(located.group, rule)
            seen = [ms for expr in (rule.expr, *(r.expr for _, r in plan.recordings)) for ms in ranges_ms(expr)]
            found.append(Alternative(plan, max(seen, default=0)))
    return found


@dataclass(frozen=True, slots=True)
class ThresholdSearch:
    """Searches thresholds; each in a history of its own, for which the engine is emptied where it may be."""

    engine: Engine
    files: Sequence[RuleFile]
    series: WorldSeries
    target: Fraction
    slice_ms: int | None
    subtracts: bool
    """Whether errors are counted as all events less the good ones."""
    fresh_writer: Callable[[], SlotWriter]

    def search(self, pairs: Sequence[BurnPair], rules: Sequence[AlertInGroup]) -> list[PairThreshold]:
        """One threshold per pair whose condition can be told apart by its long window, else one for all of them."""
        found = branches(Replay(self.engine, self.files), rules)
        by_window = {pair.long_ms: [b for b in found if b.longest_ms == pair.long_ms] for pair in pairs}
        if len(by_window) == len(pairs) and any(by_window.values()):
            return [
                self._one(pair, by_window[pair.long_ms], "") if by_window[pair.long_ms] else self._absent(pair)
                for pair in pairs
            ]
        lowest = min(pairs, key=lambda pair: pair.threshold(self.target))
        windows = ", ".join(dict.fromkeys(format_duration(b.longest_ms) for b in found))
        note = f"for all conditions at once: their longest window is {windows}, which tells no pair from another"
        return [self._one(lowest, found, note)]

    def _absent(self, pair: BurnPair) -> PairThreshold:
        note = (
            f"is not in the rules: none of their conditions has {format_duration(pair.long_ms)} as its longest window"
        )
        return PairThreshold(pair, pair.threshold(self.target), Fraction(1), None, None, False, note)

    def _one(self, pair: BurnPair, found: Sequence[Alternative], note: str) -> PairThreshold:
        writer = self.fresh_writer()
        replay = Replay(self.engine, self.files)
        found = [Alternative(replay.plan(b.plan.group, b.plan.rule), b.longest_ms) for b in found]
        # Ranks of a double are for what is continuous; slices are counted.
        if isinstance(self.series, EventSeries) and self.slice_ms is None:
            return self._of_events(pair, found, note, writer, replay, self.series)
        return self._of_slices(pair, found, note, writer, replay, self.slice_ms or 0)

    def _fires(
        self, found: Sequence[Alternative], cases: Sequence[Sequence[Trace]], writer: SlotWriter, replay: Replay
    ) -> list[bool]:
        lead = _lead_ms(found)
        reach = max(branch.plan.reach_ms for branch in found)
        align = max(branch.plan.align_ms for branch in found)
        (slots,) = writer.record([Batch(cases, 0, reach, align, lead)])
        fires = [False] * len(cases)
        for branch in found:
            for i, elements in enumerate(replay.instant(branch.plan, slots)):
                fires[i] = fires[i] or bool(elements)
        return fires

    # -- events ------------------------------------------------------------------------------------------------------

    def _of_events(
        self,
        pair: BurnPair,
        found: Sequence[Alternative],
        note: str,
        writer: SlotWriter,
        replay: Replay,
        series: EventSeries,
    ) -> PairThreshold:
        theta = pair.threshold(self.target)
        axis = KnobPositions(Knob("error ratio", "", Fraction(0), Fraction(1), None, ""), min(theta, Fraction(1)))
        times = _times(found)

        def ask(positions: list[int]) -> dict[int, bool]:
            cases = [_steady(series, axis.value(position), times) for position in positions]
            return dict(zip(positions, self._fires(found, cases, writer, replay), strict=True))

        truth = ask(axis.survey())
        flips = refine(truth, axis.at_threshold, ask, _MOST_FLIPS, _ROUND)
        near = slack(theta, subtracts=self.subtracts)
        edges = [(axis.value(a), axis.value(b), truth[b]) for a, b in flips]
        judged = _judged(pair, theta, edges, truth, note, near)
        edge = judged.fires_at
        return judged if edge is None else replace(judged, ulps=ulps_between(float(edge), float(theta)))

    # -- slices ------------------------------------------------------------------------------------------------------

    def _of_slices(
        self, pair: BurnPair, found: Sequence[Alternative], note: str, writer: SlotWriter, replay: Replay, slice_ms: int
    ) -> PairThreshold:
        count = pair.long_ms // slice_ms
        theta = pair.threshold(self.target)
        first = -(-theta * count // 1) if pair.inclusive else theta * count // 1 + 1
        axis = KnobPositions(
            Knob("bad slices", "", Fraction(0), Fraction(count), Fraction(1), "slices"), Fraction(min(first, count))
        )
        lead = _lead_ms(found)

        def ask(positions: list[int]) -> dict[int, bool]:
            cases = [
                _outage(self.series, position * slice_ms, lead, min(SCRAPE_MS, slice_ms)) for position in positions
            ]
            return dict(zip(positions, self._fires(found, cases, writer, replay), strict=True))

        near = {first - 1, first, first + 1, 2 * first, first // 2}
        truth = ask(sorted(p for p in {0, count, *near} if 0 <= p <= count))
        flips = refine(truth, axis.at_threshold, ask, _MOST_FLIPS, _SLICES_ROUND)
        shares = [(Fraction(a, count), Fraction(b, count), truth[b]) for a, b in flips]
        judged = _judged(pair, theta, shares, truth, note, slack(theta, subtracts=True))
        return replace(judged, wanted=Fraction(first, count), slices=count)


def _judged(
    pair: BurnPair,
    wanted: Fraction,
    flips: Sequence[tuple[Fraction, Fraction, bool]],
    truth: dict[int, bool],
    note: str,
    near: Fraction,
) -> PairThreshold:
    """The boundary among the flips, and whether θ lies on it, or no further from it than `near`."""
    if not flips:
        always = all(truth.values())
        what = "fires even without errors" if always else "never fires, even if everything fails"
        fires_at, quiet_at = (Fraction(0), None) if always else (None, Fraction(1))
        return PairThreshold(pair, wanted, quiet_at, fires_at, None, False, "; ".join(filter(None, (what, note))))
    low, high, rises = next((flip for flip in flips if flip[2]), flips[0])
    if not rises:
        return PairThreshold(pair, wanted, low, high, None, False, f"fires below {float(high):g} and is quiet above")
    # Where rounding decides, neighbours may disagree; only a flip elsewhere is another threshold.
    far = [flip for flip in flips if flip[1] != high and abs(flip[1] - high) > near]
    if far:
        note = "; ".join(filter(None, (f"flips again at {float(far[0][1]):g}", note)))
    exact = low <= wanted + near and high >= wanted - near
    return PairThreshold(pair, wanted, low, high, None, exact and not far, note)


def _lead_ms(found: Sequence[Alternative]) -> int:
    """History in whole scrapes: as far as any rule sees, and a little."""
    return -(-max(branch.plan.reach_ms for branch in found) // SCRAPE_MS) * SCRAPE_MS + 2 * SCRAPE_MS


def _times(found: Sequence[Alternative]) -> list[int]:
    """When the counters are sampled before the tick at 0.

    While they grow evenly, a window's rate is that between its first and last sample, so scrapes in between may be left
    out; not where results are recorded over time and ranged over.
    """
    lead = _lead_ms(found)
    every = list(range(PHASE_MS - lead, 0, SCRAPE_MS))
    plans = [branch.plan for branch in found]
    read = [expr for plan in plans for expr in (plan.rule.expr, *(r.expr for _, r in plan.recordings))]
    if any(ms for plan in plans for ms in plan.warm_ms.values()) or not all(map(ends_now, read)):
        return every
    windows = {ms for expr in read for ms in ranges_ms(expr)}
    dense = 2 * SCRAPE_MS * 10
    return [at for at in every if at >= -dense or any(abs(at + ms) <= 2 * SCRAPE_MS for ms in windows)]


def _steady(series: EventSeries, ratio: Fraction, times: Sequence[int]) -> list[Trace]:
    """One event a second, of which a share is bad, ever since shortly before the first sample."""
    since = times[0] - SCRAPE_MS
    made = []
    for labels in series.all:
        share = (1 - ratio) * (labels in series.good) + ratio * (labels in series.bad)
        top, bottom = share.numerator, share.denominator * 1000
        if series.cumulative:
            values = [top * (at - since) / bottom for at in times]
        else:
            values = [top * SCRAPE_MS / bottom] * len(times)
        made.append(Trace(labels, times, values))
    return made


def _outage(series: WorldSeries, lasts_ms: int, lead_ms: int, scrape_ms: int) -> list[Trace]:
    """Everything good, and everything bad for the last `lasts_ms` before the tick at 0."""
    times = range(scrape_ms // 2 - lead_ms, 0, scrape_ms)
    bad = [at >= -lasts_ms for at in times]
    if isinstance(series, StateSeries):
        return [
            Trace(labels, times, [float(b if is_bad else g) for is_bad in bad])
            for labels, g, b in zip(series.series, series.good, series.bad, strict=True)
        ]
    made = []
    for labels in series.all:
        steps = [float((labels in series.bad) if is_bad else (labels in series.good)) for is_bad in bad]
        total, values = 0.0, []
        for step in steps:
            total += step
            values.append(total if series.cumulative else step)
        made.append(Trace(labels, times, values))
    return made
