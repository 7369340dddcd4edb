"""Error budgets, burn rates, incidents: arithmetic on an objective's events, exact to the last step.

burn rate = error ratio / (1 − objective); budget left = 1 − error ratio over the period / (1 − objective)
(SRE Workbook, chapter 5).
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from harness.slo.budget.buckets import Count, EventBuckets, EventTally
from harness.slo.model import BurnPair
from harness.slo.stretches import Stretch, length_ms, within, without

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
LONGEST_STEP_MS = 5 * _MINUTE
"""The steps in which incidents are looked for; finer over less than twelve hours, so that a run of minutes has some."""
_STEPS = 144
JOINED_WITHIN = 6
"""Fast burning that pauses for fewer steps than this is one incident: half an hour of steps of five minutes."""
SMALLEST_INCIDENT = Fraction(1, 100)
"""The share of the period's budget below which an incident is only counted, not listed."""


def burn_rate(tally: EventTally, budget: Fraction) -> Fraction | None:
    """How many times faster than its even pace the budget was spent; None without events."""
    ratio = tally.error_ratio
    return None if ratio is None else ratio / budget


def budget_left(tally: EventTally, budget: Fraction) -> Fraction | None:
    """The share of the budget that is left; negative once it is overspent; None without events."""
    burnt = burn_rate(tally, budget)
    return None if burnt is None else 1 - burnt


def cost(part: EventTally, whole: EventTally, budget: Fraction) -> Fraction:
    """The share of the whole stretch's budget that a part of it spent."""
    return Fraction(part.bad) / (budget * Fraction(whole.total)) if whole.total > 0 else Fraction(0)


def runs_out_after_ms(left: Fraction, burn: Fraction, length_ms: int) -> int | None:
    """How long what is left lasts if the budget burns on like this; None: it is not burning. 0: it is gone."""
    if left <= 0:
        return 0
    return int(left * length_ms / burn) if burn > 0 else None


@dataclass(frozen=True, slots=True)
class BurnIncident:
    """A stretch in which the budget burned faster than its even pace."""

    start_ms: int
    end_ms: int
    bad: EventTally
    """What happened in it."""
    cost: Fraction
    """The share of the period's budget that it spent."""
    worst: Fraction
    """The highest error ratio of one step of it."""


@dataclass(frozen=True, slots=True)
class BurnIncidents:
    """The incidents that cost something, dearest first, and how many small ones there were besides."""

    listed: Sequence[BurnIncident]
    small: int
    small_cost: Fraction
    step_ms: int


def incidents(counted: EventBuckets, budget: Fraction, most: int = 10) -> BurnIncidents:
    """Look at the events in steps of five minutes or less (a bucket where those are longer)."""
    length_ms = counted.grid.end_ms - counted.grid.start_ms
    per_step = max(1, min(LONGEST_STEP_MS, length_ms // _STEPS) // counted.grid.step_ms)
    step_ms = per_step * counted.grid.step_ms
    whole, above, below = counted.whole(), budget.numerator, budget.denominator
    found: list[tuple[int, int, Fraction]] = []  # first and last bucket, worst ratio
    for first in counted.steps(per_step):
        tally = counted.tally(first, first + per_step)
        if tally.total <= 0 or tally.bad * below <= above * tally.total:
            continue
        ratio = Fraction(tally.bad) / Fraction(tally.total)
        last = min(first + per_step, len(counted.grid))
        if found and first - found[-1][1] < JOINED_WITHIN * per_step:
            found[-1] = (found[-1][0], last, max(found[-1][2], ratio))
        else:
            found.append((first, last, ratio))
    every = []
    for first, last, worst in found:
        tally = counted.tally(first, last)
        begin, end = counted.grid.begin_of(first), counted.grid.end_of(last - 1)
        every.append(BurnIncident(begin, end, tally, cost(tally, whole, budget), worst))
    every.sort(key=lambda incident: (-incident.cost, incident.start_ms))
    listed = [incident for incident in every if incident.cost >= SMALLEST_INCIDENT][:most]
    small = every[len(listed) :]
    return BurnIncidents(listed, len(small), sum((one.cost for one in small), Fraction(0)), step_ms)


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the clock and the share of the period's budget that it spent."""

    start_ms: int
    tally: EventTally
    cost: Fraction


def worst_hours(counted: EventBuckets, budget: Fraction, most: int = 5) -> list[Hour]:
    """The hours (of UTC) that spent most of the budget, dearest first; none that spent nothing."""
    whole, grid = counted.whole(), counted.grid
    found = []
    for hour in range(grid.start_ms - grid.start_ms % _HOUR, grid.end_ms, _HOUR):
        tally = counted.between(hour, hour + _HOUR)
        if tally.bad > 0:
            found.append(Hour(hour, tally, cost(tally, whole, budget)))
    return sorted(found, key=lambda one: (-one.cost, one.start_ms))[:most]


# -- alerts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Burning:
    """A window pair over the counted time: how it stands at the end, and how often both windows burned too fast."""

    pair: BurnPair
    threshold: Fraction
    """θ, the error ratio above which it fires."""
    long: Fraction | None
    """Burn rate over the long window at the end."""
    short: Fraction | None
    """Over the short window; the long one's where there is only that."""
    firing: bool
    times: int
    """Stretches in which it fired."""
    firing_ms: int
    last_ms: int | None
    """The end of the last step at which it fired."""
    runs_out_ms: int | None
    """How long the budget lasts at the long window's burn rate."""
    seen: bool
    """Whether anything was measured in the long window."""


def burning(counted: EventBuckets, pair: BurnPair, target: Fraction, left: Fraction | None, length_ms: int) -> Burning:
    """Evaluate a pair at every step of the time, a minute or a bucket if that is longer, with its hold.

    Over what was counted, so it tells what the rule should have done; what it did, ``ALERTS`` knows.
    """
    budget, grid = 1 - target, counted.grid
    threshold = pair.threshold(target)
    exceeds = operator.ge if pair.inclusive else operator.gt
    per_step = max(1, _MINUTE // grid.step_ms)
    size = len(grid)
    widths = [max(1, ms // grid.step_ms) for ms in pair.windows_ms]
    waits = -(-pair.hold_ms // (per_step * grid.step_ms))
    times = firing_steps = 0
    last_ms: int | None = None
    # Only where a window may hold data: at the end of such a stretch none does, so nothing fires across two of them.
    for first, last in counted.stretches(max(widths) + per_step):
        begin = size % per_step or per_step
        ends = range(max(begin, first + 1 + (size - first - 1) % per_step), last + 1, per_step)
        totals, bads = counted.sums(first, last)
        both = [_above(totals, bads, ends, first, width, threshold, exceeds) for width in widths]
        at = 0
        for above, stretch in itertools.groupby(map(all, zip(*both, strict=True))):
            length = sum(1 for _ in stretch)
            at += length
            if above and length > waits:
                times += 1
                firing_steps += length - waits
                last_ms = grid.end_of(ends[at - 1] - 1)
    firing = last_ms is not None and last_ms == grid.end_ms
    short, long = (counted.between(grid.end_ms - ms, grid.end_ms) for ms in (pair.windows_ms[0], pair.long_ms))
    rate = burn_rate(long, budget)
    return Burning(
        pair, threshold, rate, burn_rate(short, budget), firing, times, firing_steps * per_step * grid.step_ms, last_ms,
        None if left is None or rate is None else runs_out_after_ms(left, rate, length_ms),
        long.measured_ms > 0,
    )  # fmt: skip


def _above(
    totals: list[Count],
    bads: list[Count],
    ends: range,
    first: int,
    width: int,
    threshold: Fraction,
    exceeds: Callable[[Count, Count], bool],
) -> list[bool]:
    """Whether the error ratio of the `width` buckets before each end is above the threshold; nothing is not above.

    The sums are those before each bucket from `first` on; nothing was counted in the `width` buckets before that. All
    ends at once: a month of minutes under four pairs would else be most of a report's time.
    """
    factor, over = threshold.numerator, threshold.denominator
    picked = slice(ends.start - first, ends.stop - first, ends.step)
    after = zip(totals[picked], bads[picked], strict=True)
    before = zip(*(([sums[0]] * width + sums)[: len(sums)][picked] for sums in (totals, bads)), strict=True)
    return [
        b1 > b0 and t1 > t0 and exceeds((b1 - b0) * over, factor * (t1 - t0))
        for (t1, b1), (t0, b0) in zip(after, before, strict=True)
    ]


# -- what is drawn -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a chart."""

    start_ms: int
    end_ms: int
    tally: EventTally
    left: Fraction | None
    """The share of the period's budget that was left at its end; None before anything was measured."""
    left_out_ms: int = 0
    """How much of it does not count."""

    @property
    def gap(self) -> bool:
        """Whether nothing was measured, or so little of what counts that a line would claim too much."""
        measured_ms = self.tally.measured_ms
        return not measured_ms or measured_ms * 2 < self.end_ms - self.start_ms - self.left_out_ms

    @property
    def unknown(self) -> bool:
        """Whether it is a gap, and not for the most part left out."""
        return self.gap and self.left_out_ms * 2 < self.end_ms - self.start_ms


def points(counted: EventBuckets, budget: Fraction, most: int = 360, left_out: Sequence[Stretch] = ()) -> list[Point]:
    """The events in at most `most` equal steps; `left_out` are the stretches that do not count."""
    size = len(counted.grid)
    per_point = max(1, -(-size // most))
    whole = counted.whole()
    found, bad, begun = [], Fraction(0), False
    for first in range(0, size, per_point):
        last = min(first + per_point, size)
        tally = counted.tally(first, last)
        bad += tally.bad
        begun = begun or tally.measured_ms > 0
        left = 1 - bad / (budget * whole.total) if begun and whole.total > 0 else None
        begin, end = counted.grid.begin_of(first), counted.grid.end_of(last - 1)
        found.append(Point(begin, end, tally, left, length_ms(within(left_out, begin, end))))
    return found


def thinned(drawn: Sequence[Point], most: int) -> list[Point]:
    """The same in fewer steps."""
    size = max(1, -(-len(drawn) // most))
    found = []
    for first in range(0, len(drawn), size):
        part = drawn[first : first + size]
        tally = EventTally(
            sum((point.tally.total for point in part), Fraction(0)),
            sum((point.tally.bad for point in part), Fraction(0)),
            sum(point.tally.measured_ms for point in part),
        )
        left_out_ms = sum(point.left_out_ms for point in part)
        found.append(Point(part[0].start_ms, part[-1].end_ms, tally, part[-1].left, left_out_ms))
    return found


def gaps(counted: EventBuckets, left_out: Sequence[Stretch] = ()) -> list[Stretch]:
    """The stretches of whole buckets of which nothing was measured, but for what does not count."""
    return without(_unmeasured(counted), left_out)


def _unmeasured(counted: EventBuckets) -> Iterator[Stretch]:
    grid, begin = counted.grid, 0
    for i in counted.measured_buckets():
        if i > begin:
            yield grid.begin_of(begin), grid.end_of(i - 1)
        begin = i + 1
    if begin < len(grid):
        yield grid.begin_of(begin), grid.end_ms


@dataclass(frozen=True, slots=True)
class Trend:
    """The budget spent in the last stretch and in the one of the same length before it, as shares of the whole."""

    length_ms: int
    last: Fraction
    before: Fraction


def trend(counted: EventBuckets, budget: Fraction) -> Trend | None:
    """A week against the week before; of what is shorter than a fortnight, a half against the other.

    None where one of the two was measured for less than half of its time.
    """
    grid, whole = counted.grid, counted.whole()
    begin = counted.first_measured_ms()
    if begin is None or whole.total <= 0:
        return None
    length = min(7 * 24 * _HOUR, (grid.end_ms - begin) // 2)
    middle = grid.end_ms - length
    parts = counted.between(middle, grid.end_ms), counted.between(middle - length, middle)
    if length <= 0 or any(part.measured_ms * 2 < length for part in parts):
        return None
    last, before = (cost(part, whole, budget) for part in parts)
    return Trend(length, last, before)


def utc(at_ms: int) -> str:
    """RFC 3339 in UTC, to the second where that is exact."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    rest = f".{at_ms % 1000:03d}" if at_ms % 1000 else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{rest}Z"
