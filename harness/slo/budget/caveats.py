"""What bears on how an objective's numbers are to be read: where they come from, what was met, what they leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.errors import printable
from harness.slo.budget.budget import gaps
from harness.slo.budget.maintenance import Maintenance
from harness.slo.budget.observed import Counting, ObservedObjective, Provenance
from harness.slo.budget.report import count_text, number_text, unit_of
from harness.slo.budget.verdict import lasting, percent
from harness.slo.model import Calendar, Objective
from harness.slo.periods import JudgedPeriod, Window, moment
from harness.slo.stretches import length_ms, without
from harness.units import format_duration

_FEW_BAD_EVENTS = 10
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class JudgedObjective:
    """One objective as it was read and judged."""

    objective: Objective
    observed: ObservedObjective
    stretch: JudgedPeriod
    window: Window
    counts_from_ms: int | None
    """When the first data of the stretch begin, if that is later than the stretch itself."""
    compress: int


def caveats(judged: JudgedObjective, about_alerts: Sequence[str] = ()) -> Iterator[str]:
    """All that is to be said, in the order of the report; `about_alerts` is what the window pairs give rise to."""
    how = judged.observed.provenance
    whole = judged.observed.counted.whole()
    yield from _answers(how)
    yield from _period(judged)
    yield from _low_traffic(judged)
    yield from _unseen_time(judged)
    yield from _samples(how)
    yield _how_counted(how)
    if judged.observed.events.whole().total == 0 and whole.measured_ms > 0:
        yield "there was no traffic: 0 of 0 is no data, neither good nor bad"
    if how.series > 1:
        yield f"the query returned up to {how.series:,} series at once; each counts as an event of its own at each tick"
    yield from about_alerts
    if judged.compress > 1:
        yield (
            f"the run's clock ran {judged.compress} times as fast; times and durations are the world's, counts are as "
            "counted"
        )


def _answers(how: Provenance) -> Iterator[str]:
    yield from (f"the server warned: {' '.join(printable(text).split())}" for text in how.warnings)
    if "all" in how.missing or "value" in how.missing:
        yield "the query returned no series at all: is the metric misspelt, or is this another server?"
    elif "bad" in how.missing:
        yield "no series of bad events was ever seen: that is zero errors while the total exists, or a misspelt metric"


def _period(judged: JudgedObjective) -> Iterator[str]:
    """How much of the objective's own period was looked at."""
    stretch, period, zone = judged.stretch, judged.objective.period, judged.stretch.zone
    if judged.window is Window.RUN and stretch.elapsed_ms < period.nominal_ms:
        share = percent(Fraction(stretch.elapsed_ms, period.nominal_ms))
        yield (
            f"judged over the run itself: {lasting(stretch.elapsed_ms)}, {share} of the {period.label} of the "
            "objective's period; nothing is extrapolated to the rest"
        )
    elif judged.counts_from_ms is not None:
        yield (
            f"partial: counts from {moment(judged.counts_from_ms, zone)}, although the period began at "
            f"{moment(stretch.start_ms, zone)}; what lies before is neither good nor bad"
        )
    if isinstance(period, Calendar) and stretch.closes_ms > stretch.end_ms and judged.window is Window.PERIOD:
        yield (
            f"the period ends at {moment(stretch.closes_ms, zone)}; the budget is that of the events so far, and grows "
            "with those to come"
        )


def _low_traffic(judged: JudgedObjective) -> Iterator[str]:
    objective, total = judged.objective, judged.observed.counted.whole().total
    if total > 0 and unit_of(objective, 1) == "event":
        allowed = objective.budget * Fraction(total)
        if allowed < _FEW_BAD_EVENTS:
            each = "" if allowed == 0 else f": a single one spends {percent(1 / allowed)} of it"
            yield (
                f"low traffic: the budget of {count_text(total)} {unit_of(objective)} holds {number_text(allowed)} bad "
                f"ones{each}"
            )


def _unseen_time(judged: JudgedObjective) -> Iterator[str]:
    """Gaps, and data that end before the stretch does."""
    counted, stretch, zone = judged.observed.counted, judged.stretch, judged.stretch.zone
    last = counted.last_measured_ms()
    holes = [
        (begin, end)
        for begin, end in gaps(counted, stretch.left_out)
        if begin >= (counted.first_measured_ms() or end) and end <= (last or 0)
    ]
    if holes:
        begin, end = max(holes, key=lambda hole: (hole[1] - hole[0], -hole[0]))
        many = "a gap without data" if len(holes) == 1 else f"{len(holes):,} gaps without data, the longest"
        yield f"{many} from {moment(begin, zone)} to {moment(end, zone)} ({lasting(end - begin)})"
    if last is None:
        return
    if length_ms(without([(last, counted.grid.end_ms)], stretch.left_out)) > judged.observed.provenance.lookback_ms:
        yield (
            f"the newest data are of {moment(last, zone)}, {lasting(counted.grid.end_ms - last)} before the end: no "
            "scrapes since then, or a clock that is off"
        )


def _samples(how: Provenance) -> Iterator[str]:
    """What was met among the samples."""
    met = how.caveats
    if how.strays:
        yield f"{how.strays:,} samples came from outside of the time asked for; they were left out"
    if met.not_numbers:
        yield f"{met.not_numbers:,} samples are NaN, infinite or negative; they were left out"
    if met.after_gaps:
        yield (
            f"{count_text(met.after_gaps)} events are known only from the samples around gaps: they count, at the end "
            "of the gap"
        )
    if met.born_unseen:
        yield (
            f"{met.born_unseen:,} series began with nothing to show that they began at 0; their first values do not "
            "count, as in Prometheus"
        )


def _how_counted(how: Provenance) -> str:
    match how.counting:
        case Counting.RAW:
            text = "counted exactly, from every sample"
            if how.caveats.resets:
                text += f", across {how.caveats.resets:,} counter resets"
            return text
        case Counting.GRID:
            return (
                f"counted by the server in steps of {format_duration(how.step_ms)}, for there are too many series "
                "to read: exact but for what counters gained right before resets, and gaps shorter than five minutes "
                "are not seen"
            )
        case Counting.ESTIMATED:
            return (
                "the queries are no plain sums of counters, so events are estimated by their own windows of "
                f"{format_duration(how.step_ms)}: as exact as rate() is"
            )
        case Counting.TICKS:
            return (
                f"looked at every {format_duration(how.step_ms)}; Prometheus answers with a value for five "
                "minutes after the last sample, so shorter gaps are not seen"
            )


def maintenance_text(told: Sequence[Maintenance], stretch: JudgedPeriod) -> str:
    """``planned maintenance is left out, 2h: 2026-03-01 02:00 UTC to 2026-03-01 04:00 UTC (database move)``."""
    each = [
        f"{moment(one.from_ms, stretch.zone)} to {moment(one.to_ms, stretch.zone)}"
        + (f" ({printable(one.reason)})" if one.reason else "")
        for one in told
    ]
    more = f", and {len(each) - _MOST_NAMED} more" if len(each) > _MOST_NAMED else ""
    total = lasting(stretch.elapsed_ms - stretch.counted_ms)
    return f"planned maintenance is left out, {total}: {', '.join(each[:_MOST_NAMED])}{more}"
