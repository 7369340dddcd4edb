"""Objectives judged over what a server holds: the results that every writer of the report is fed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from harness.engines import Engine, QueryError
from harness.errors import InputError, UnsupportedError, printable
from harness.prometheus import DEFAULTS
from harness.series import Labels, format_labels
from harness.slo.annotations import BUDGET_POLICY
from harness.slo.budget.buckets import EventBuckets, EventTally
from harness.slo.budget.budget import (
    BurnIncidents,
    Burning,
    Hour,
    Point,
    Trend,
    budget_left,
    burn_rate,
    burning,
    gaps,
    incidents,
    points,
    runs_out_after_ms,
    trend,
    worst_hours,
)
from harness.slo.budget.history import History
from harness.slo.budget.maintenance import Maintenance
from harness.slo.budget.observed import Counting, ObservedObjective, Provenance
from harness.slo.budget.server import ServerClock
from harness.slo.budget.verdict import BudgetVerdict, Rules, Ruling, lasting, pace, percent, ruling
from harness.slo.model import Calendar, Objective
from harness.slo.periods import JudgedPeriod, Window, judged, moment
from harness.slo.queries import grouping_of
from harness.slo.stretches import length_ms, within, without
from harness.slo.windows import choose
from harness.units import format_duration

_HOUR = 3_600_000
_FEW_BAD_EVENTS = 10
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class BurnPace:
    """How fast the budget burned lately, and how long what is left would last at that."""

    length_ms: int
    burn: Fraction | None
    lasts_ms: int | None
    """None: it is not burning, or nothing happened."""


@dataclass(frozen=True, slots=True)
class ObjectiveReport:
    """One objective over one stretch of time."""

    objective: Objective
    judged: JudgedPeriod
    window: Window
    ruling: Ruling
    how: Provenance | None
    """How it was read; None where the server refused the query."""
    whole: EventTally
    """What the budget is made of: events, or slices."""
    events: EventTally
    """The events beneath."""
    left: Fraction | None
    """The share of the error budget that is left."""
    paces: tuple[BurnPace, ...]
    alerts: tuple[Burning, ...]
    incidents: BurnIncidents | None
    hours: tuple[Hour, ...]
    points: tuple[Point, ...]
    gaps: tuple[tuple[int, int], ...]
    trend: Trend | None
    counts_from_ms: int | None
    """When the first data of the stretch begin, if that is later than the stretch itself."""
    defects: tuple[str, ...]
    """What cannot be right about the indicator."""
    caveats: tuple[str, ...]
    """What bears on how the numbers are to be read."""
    group: Labels = ()
    """The labels of the group that it speaks of, where the indicator is grouped; else none."""
    maintenance: tuple[Maintenance, ...] = ()
    """What was planned within its time, and is left out."""
    sum_of: int | None = None
    """Of how many groups it is the sum, if that was asked for."""

    @property
    def title(self) -> str:
        """The objective's, with the labels of the group."""
        if self.sum_of is not None:
            return f"{self.objective.title} (all {self.sum_of} groups)"
        return f"{self.objective.title} {format_labels(self.group)}" if self.group else self.objective.title

    @property
    def coverage(self) -> Fraction:
        """The share of the judged time, as far as it has passed, that was measured."""
        return Fraction(self.whole.measured_ms, self.judged.counted_ms) if self.judged.counted_ms > 0 else Fraction(0)

    @property
    def seen_of_period(self) -> Fraction:
        """The share of the objective's own period that was measured."""
        length = self.judged.budget_ms if self.window is Window.PERIOD else self.objective.period.nominal_ms
        return min(Fraction(1), Fraction(self.whole.measured_ms, length)) if length > 0 else Fraction(0)

    @property
    def trusted(self) -> bool:
        """Whether its ratios may be shown as numbers: there are events, and nothing is broken."""
        return self.whole.total > 0 and self.left is not None and 0 <= self.whole.bad <= self.whole.total

    @property
    def policy(self) -> str | None:
        """What follows from a spent budget, as the objective's document says."""
        return self.objective.annotations.get(BUDGET_POLICY)

    @property
    def policy_is_due(self) -> bool:
        """Whether the policy now speaks: the period's budget is spent or at risk. A run of minutes decides nothing."""
        return self.window is Window.PERIOD and self.ruling.verdict in (BudgetVerdict.EXHAUSTED, BudgetVerdict.AT_RISK)

    @property
    def allowed_bad(self) -> Fraction:
        """How many bad events (or slices) the budget of what was seen holds."""
        return self.objective.budget * Fraction(self.whole.total)


@dataclass(frozen=True, slots=True)
class SloReport:
    """All objectives of a report in the order of their documents, and the groups of each from the worst on."""

    objectives: tuple[ObjectiveReport, ...]
    from_ms: int | None
    to_ms: int
    window: Window
    compress: int = 1
    rules: Rules = field(default_factory=Rules)
    quality: Mapping[str, Any] | None = None
    """The measured quality of the alerts: the document of `slo prove --json`."""

    def count(self, verdict: BudgetVerdict) -> int:
        return sum(one.ruling.verdict is verdict for one in self.objectives)

    @property
    def defective(self) -> int:
        return sum(bool(one.defects) for one in self.objectives)


Progress = Callable[[Objective, float], None]
"""Told which share of an objective has been read."""


def silent(objective: Objective, share: float) -> None:
    """Progress that nobody watches."""


def make_report(
    objectives: Sequence[Objective],
    engine: Engine,
    from_ms: int | None,
    to_ms: int,
    *,
    compress: int = 1,
    window: Window = Window.PERIOD,
    rules: Rules | None = None,
    gap_ms: int | None = None,
    step_ms: int | None = None,
    lookback_ms: int = DEFAULTS.lookback_ms,
    quality: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    sum_groups: bool = False,
    maintenance: Sequence[Maintenance] = (),
) -> SloReport:
    """Read and judge every objective at `to_ms` (Unix milliseconds of the server's clock).

    An indicator that is grouped by labels gives a report for each group, with a budget of its own; `sum_groups` puts
    one over all of them before these. What happened in a planned `maintenance` (in the server's time) does not count.

    `from_ms` is where reading begins; None: where each period does. `compress` is how many times as fast the server's
    clock ran; all times of the result are the world's, with the same end. `gap_ms`, `step_ms` and `lookback_ms`
    (of the server) are the world's too.

    Raises InputError for a range that ends before it begins, EngineError if the server does not answer. A query that it
    refuses makes its objective `no data`.
    """
    if from_ms is not None and from_ms >= to_ms:
        raise InputError(
            f"the range begins at {moment(from_ms)}, not before its end at {moment(to_ms)}",
            hint="swap --from and --to, or leave --from out",
        )
    if compress > 1 and from_ms is None:
        raise InputError("a compressed run needs its beginning", hint="name when it began with --from")
    clock = ServerClock(to_ms, compress)
    begins = None if from_ms is None else clock.world(from_ms)
    history = History(engine, clock, gap_ms, step_ms, lookback_ms)
    settled = rules or Rules()
    made = []
    planned = [replace(one, from_ms=clock.world(one.from_ms), to_ms=clock.world(one.to_ms)) for one in maintenance]
    for objective in objectives:
        stretch = judged(objective, begins, to_ms, window)
        mine = [one for one in planned if one.concerns(objective)]
        left_out = within(((one.from_ms, one.to_ms) for one in mine), stretch.start_ms, stretch.closes_ms)
        stretch = replace(stretch, left_out=tuple(left_out))
        found = _of_objective(objective, stretch, window, settled, history, compress, progress, sum_groups)
        told = tuple(one for one in mine if one.from_ms < stretch.end_ms and one.to_ms > stretch.start_ms)
        made += [_with_maintenance(one, told) for one in found]
    return SloReport(tuple(made), begins, to_ms, window, compress, settled, quality)


def _of_objective(
    objective: Objective,
    stretch: JudgedPeriod,
    window: Window,
    rules: Rules,
    history: History,
    compress: int,
    progress: Progress,
    sum_groups: bool,
) -> list[ObjectiveReport]:
    if stretch.elapsed_ms <= 0:
        return [_unread(objective, stretch, window, "the range holds no whole slice of this objective", ())]
    progress(objective, 0.0)
    grouping = grouping_of(objective.indicator)

    def whole() -> ObjectiveReport:
        observed = history.read(objective, stretch, lambda share: progress(objective, share))
        return judge(objective, observed, stretch, window, rules, compress)

    try:
        if grouping is None:
            return [whole()]
        read = history.read_groups(objective, stretch, grouping, lambda share: progress(objective, share))
        groups = sorted((judge(objective, one, stretch, window, rules, compress) for one in read), key=_worst_first)
        if not groups or sum_groups:
            return [replace(whole(), sum_of=len(groups) or None), *groups]
        return groups
    except QueryError as err:
        reason = f"the server refuses the query ({err.error_type}): {' '.join(printable(err.message).split())}"
        return [_unread(objective, stretch, window, reason, ())]
    except UnsupportedError as err:
        return [_unread(objective, stretch, window, err.message, ())]


def _with_maintenance(one: ObjectiveReport, told: tuple[Maintenance, ...]) -> ObjectiveReport:
    return replace(one, maintenance=told, caveats=(maintenance_text(told, one.judged), *one.caveats)) if told else one


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


def _worst_first(one: ObjectiveReport) -> tuple[int, Fraction, Labels]:
    order = (BudgetVerdict.EXHAUSTED, BudgetVerdict.AT_RISK, BudgetVerdict.NO_DATA, BudgetVerdict.MET)
    return order.index(one.ruling.verdict), Fraction(1) if one.left is None else one.left, one.group


def judge(
    objective: Objective,
    observed: ObservedObjective,
    stretch: JudgedPeriod,
    window: Window,
    rules: Rules,
    compress: int = 1,
) -> ObjectiveReport:
    """Everything that can be said of one objective from what was read; pure arithmetic."""
    course, budget = observed.course, objective.budget
    whole = course.whole()
    broken, defects = _defects(objective, observed)
    left = budget_left(whole, budget) if broken is None else None
    alerts, no_alerts = _alerts(objective, course, left, stretch.budget_ms)
    counts_from = course.first_measured_ms()
    unseen = without([(stretch.start_ms, counts_from or stretch.start_ms)], stretch.left_out)
    if length_ms(unseen) < max(2 * course.grid.step_ms, observed.how.lookback_ms):
        counts_from = None
    decided = ruling(objective, course, stretch, window, alerts, rules, broken)
    numbers = broken is None and whole.total > 0
    return ObjectiveReport(
        objective, stretch, window, decided, observed.how, whole, observed.events.whole(), left,
        paces=_paces(course, budget, left, stretch.budget_ms),
        alerts=alerts,
        incidents=incidents(course, budget) if numbers else None,
        hours=tuple(worst_hours(course, budget)) if numbers else (),
        points=tuple(points(course, budget, left_out=stretch.left_out)),
        gaps=tuple(gaps(course, stretch.left_out)),
        trend=trend(course, budget) if numbers else None,
        counts_from_ms=counts_from,
        defects=tuple(defects),
        caveats=tuple(_caveats(objective, observed, stretch, window, counts_from, no_alerts, compress)),
        group=observed.group,
    )  # fmt: skip


def _unread(
    objective: Objective, stretch: JudgedPeriod, window: Window, reason: str, caveats: tuple[str, ...]
) -> ObjectiveReport:
    return ObjectiveReport(
        objective,
        stretch,
        window,
        Ruling(BudgetVerdict.NO_DATA, reason),
        None,
        EventTally(),
        EventTally(),
        None,
        (),
        (),
        None,
        (),
        (),
        (),
        None,
        None,
        (),
        caveats,
    )


def _alerts(
    objective: Objective, course: EventBuckets, left: Fraction | None, length_ms: int
) -> tuple[tuple[Burning, ...], list[str]]:
    """The objective's window pairs over the course, and what is to be said of those that are not among them."""
    try:
        chosen = choose(objective)
    except InputError as err:
        return (), [f"no burn-rate alerts are shown: {err.message}"]
    found = tuple(burning(course, pair, objective.target, left, length_ms) for pair in chosen.pairs)
    if not found:
        return (), ["no burn-rate alerts are shown: its document disables the alerts"]
    return found, [notice.message for notice in chosen.notices]


def _paces(course: EventBuckets, budget: Fraction, left: Fraction | None, length_ms: int) -> tuple[BurnPace, ...]:
    end, found = course.grid.end_ms, []
    lengths = dict.fromkeys((min(_HOUR, end - course.grid.start_ms), pace(course)[0]))
    for length in lengths:
        burn = burn_rate(course.between(end - length, end), budget)
        lasts = runs_out_after_ms(left, burn, length_ms) if left is not None and burn is not None else None
        found.append(BurnPace(length, burn, lasts))
    return tuple(found)


def _defects(objective: Objective, observed: ObservedObjective) -> tuple[str | None, list[str]]:
    """Why the numbers cannot be right, if they cannot; and everything that is wrong with the indicator."""
    whole, missing = observed.events.whole(), observed.how.missing
    defects: list[str] = []
    broken: str | None = None
    if whole.total < 0:
        broken = f"the query of all events counts {count_text(whole.total)}, less than nothing"
    elif whole.bad < 0:
        broken = f"more good events ({count_text(whole.good)}) than events at all ({count_text(whole.total)})"
    elif whole.bad > whole.total:
        broken = f"more bad events ({count_text(whole.bad)}) than events at all ({count_text(whole.total)})"
    elif "good" in missing and whole.total > 0:
        broken = (
            "the query of good events returned nothing at all while there were events: all of them would be bad; is "
            "its metric misspelt?"
        )
    elif observed.how.out_of_range:
        broken = f"{observed.how.out_of_range:,} values of the ratio are not between 0 and 1"
    if broken is not None:
        return broken, [broken]
    ratio = whole.error_ratio
    if ratio is not None and ratio >= objective.target and whole.total >= 2:
        defects.append(
            f"{percent(ratio)} of the events count as bad: the other way round the objective would be met, so good and "
            "bad may be mixed up"
        )
    return None, defects


def _caveats(
    objective: Objective,
    observed: ObservedObjective,
    stretch: JudgedPeriod,
    window: Window,
    counts_from: int | None,
    no_alerts: Sequence[str],
    compress: int,
) -> list[str]:
    course, how, odd = observed.course, observed.how, observed.how.oddities
    whole, events = course.whole(), observed.events.whole()
    zone, period = stretch.zone, objective.period
    found = [f"the server warned: {' '.join(printable(text).split())}" for text in how.warnings]
    if "all" in how.missing or "value" in how.missing:
        found.append("the query returned no series at all: is the metric misspelt, or is this another server?")
    elif "bad" in how.missing:
        found.append(
            "no series of bad events was ever seen: that is zero errors while the total exists, or a misspelt metric"
        )
    if window is Window.RUN and stretch.elapsed_ms < period.nominal_ms:
        share = percent(Fraction(stretch.elapsed_ms, period.nominal_ms))
        found.append(
            f"judged over the run itself: {lasting(stretch.elapsed_ms)}, {share} of the {period.label} of the "
            "objective's period; nothing is extrapolated to the rest"
        )
    elif counts_from is not None:
        found.append(
            f"partial: counts from {moment(counts_from, zone)}, although the period began at "
            f"{moment(stretch.start_ms, zone)}; what lies before is neither good nor bad"
        )
    if isinstance(period, Calendar) and stretch.closes_ms > stretch.end_ms and window is Window.PERIOD:
        found.append(
            f"the period ends at {moment(stretch.closes_ms, zone)}; the budget is that of the events so far, and grows "
            "with those to come"
        )
    if whole.total > 0 and unit_of(objective, 1) == "event":
        allowed = objective.budget * Fraction(whole.total)
        if allowed < _FEW_BAD_EVENTS:
            each = "" if allowed == 0 else f": a single one spends {percent(1 / allowed)} of it"
            found.append(f"low traffic: the budget of {count_text(whole.total)} {unit_of(objective)} holds "
                         f"{number_text(allowed)} bad ones{each}")  # fmt: skip
    last = course.last_measured_ms()
    holes = [
        (begin, end)
        for begin, end in gaps(course, stretch.left_out)
        if begin >= (course.first_measured_ms() or end) and end <= (last or 0)
    ]
    if holes:
        begin, end = max(holes, key=lambda hole: (hole[1] - hole[0], -hole[0]))
        many = "a gap without data" if len(holes) == 1 else f"{len(holes):,} gaps without data, the longest"
        found.append(f"{many} from {moment(begin, zone)} to {moment(end, zone)} ({lasting(end - begin)})")
    if last is not None and length_ms(without([(last, course.grid.end_ms)], stretch.left_out)) > how.lookback_ms:
        found.append(
            f"the newest data are of {moment(last, zone)}, {lasting(course.grid.end_ms - last)} before the end: no "
            "scrapes since then, or a clock that is off"
        )
    if how.strays:
        found.append(f"{how.strays:,} samples came from outside of the time asked for; they were left out")
    if odd.not_numbers:
        found.append(f"{odd.not_numbers:,} samples are NaN, infinite or negative; they were left out")
    if odd.after_gaps:
        found.append(
            f"{count_text(odd.after_gaps)} events are known only from the samples around gaps: they count, at the end "
            "of the gap"
        )
    if odd.born_unseen:
        found.append(
            f"{odd.born_unseen:,} series began with nothing to show that they began at 0; their first values do not "
            "count, as in Prometheus"
        )
    found.append(_how_counted(how))
    if events.total == 0 and whole.measured_ms > 0:
        found.append("there was no traffic: 0 of 0 is no data, neither good nor bad")
    if how.series > 1:
        found.append(
            f"the query returned up to {how.series:,} series at once; each counts as an event of its own at each tick"
        )
    found += no_alerts
    if compress > 1:
        found.append(
            f"the run's clock ran {compress} times as fast; times and durations are the world's, counts are as counted"
        )
    return found


def _how_counted(how: Provenance) -> str:
    match how.counting:
        case Counting.RAW:
            text = "counted exactly, from every sample"
            if how.oddities.resets:
                text += f", across {how.oddities.resets:,} counter resets"
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


def unit_of(objective: Objective, number: int = 2) -> str:
    """``events``, ``slices`` or ``ticks``: what the budget is made of."""
    if objective.slice_ms is not None:
        word = "minute" if objective.slice_ms == 60_000 else "slice"
    else:
        word = "event" if type(objective.indicator).__name__ == "Events" else "tick"
    return word if number == 1 else f"{word}s"


def count_text(count: int | Fraction) -> str:
    """``5,788,800``; what is not whole in up to three more digits."""
    return f"{int(count):,}" if Fraction(count).denominator == 1 else number_text(Fraction(count))


def number_text(number: Fraction) -> str:
    value = float(number)
    return f"{value:,.0f}" if abs(value) >= 1000 or number.denominator == 1 else f"{value:.3g}"
