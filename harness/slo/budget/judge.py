"""Objectives judged over what a server holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from harness.engines import Engine, QueryError
from harness.errors import InputError, UnsupportedError, printable
from harness.prometheus import DEFAULTS
from harness.series import Labels
from harness.slo.budget.buckets import EventBuckets, EventTally
from harness.slo.budget.budget import (
    Burning,
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
from harness.slo.budget.caveats import JudgedObjective, caveats, maintenance_text
from harness.slo.budget.history import History
from harness.slo.budget.maintenance import Maintenance
from harness.slo.budget.observed import ObservedObjective
from harness.slo.budget.report import BurnPace, ObjectiveReport, SloReport, count_text
from harness.slo.budget.server import ServerClock
from harness.slo.budget.verdict import BudgetVerdict, Rules, Ruling, pace, percent, ruling
from harness.slo.model import Objective
from harness.slo.periods import JudgedPeriod, Window, judged, moment
from harness.slo.queries import grouping_of
from harness.slo.stretches import length_ms, within, without
from harness.slo.windows import choose

_HOUR = 3_600_000

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
    planned = [replace(one, from_ms=clock.world(one.from_ms), to_ms=clock.world(one.to_ms)) for one in maintenance]
    history = History(engine, clock, gap_ms, step_ms, lookback_ms)
    judging = _Judging(history, window, rules or Rules(), sum_groups, planned, progress)
    made = [
        one for objective in objectives for one in judging.reports(objective, judged(objective, begins, to_ms, window))
    ]
    return SloReport(tuple(made), begins, to_ms, window, compress, judging.rules, quality)


@dataclass(frozen=True, slots=True)
class _Judging:
    """What holds for all objectives of a report. Times are the world's."""

    history: History
    window: Window
    rules: Rules
    sum_groups: bool
    planned: Sequence[Maintenance]
    progress: Progress

    def reports(self, objective: Objective, stretch: JudgedPeriod) -> Iterator[ObjectiveReport]:
        """One of the objective, or one of each of its groups."""
        mine = [one for one in self.planned if one.concerns(objective)]
        left_out = within(((one.from_ms, one.to_ms) for one in mine), stretch.start_ms, stretch.closes_ms)
        stretch = replace(stretch, left_out=tuple(left_out))
        told = tuple(one for one in mine if one.from_ms < stretch.end_ms and one.to_ms > stretch.start_ms)
        for report in self._judged(objective, stretch):
            yield _with_maintenance(report, told)

    def _judged(self, objective: Objective, stretch: JudgedPeriod) -> list[ObjectiveReport]:
        if stretch.elapsed_ms <= 0:
            return [self._unread(objective, stretch, "the range holds no whole slice of this objective")]
        self.progress(objective, 0.0)
        try:
            return self._read(objective, stretch)
        except QueryError as err:
            reason = f"the server refuses the query ({err.error_type}): {' '.join(printable(err.message).split())}"
            return [self._unread(objective, stretch, reason)]
        except UnsupportedError as err:
            return [self._unread(objective, stretch, err.message)]

    def _read(self, objective: Objective, stretch: JudgedPeriod) -> list[ObjectiveReport]:
        grouping = grouping_of(objective.indicator)

        def progress(share: float) -> None:
            self.progress(objective, share)

        def whole() -> ObjectiveReport:
            return self._judge(objective, self.history.read(objective, stretch, progress), stretch)

        if grouping is None:
            return [whole()]
        read = self.history.read_groups(objective, stretch, grouping, progress)
        groups = sorted((self._judge(objective, one, stretch) for one in read), key=_worst_first)
        if not groups or self.sum_groups:
            return [replace(whole(), sum_of=len(groups) or None), *groups]
        return groups

    def _judge(self, objective: Objective, observed: ObservedObjective, stretch: JudgedPeriod) -> ObjectiveReport:
        return judge(objective, observed, stretch, self.window, self.rules, self.history.clock.factor)

    def _unread(self, objective: Objective, stretch: JudgedPeriod, reason: str) -> ObjectiveReport:
        """Of what was not read there is nothing to say but why."""
        return ObjectiveReport(
            objective, stretch, self.window, Ruling(BudgetVerdict.NO_DATA, reason),
            provenance=None, whole=EventTally(), events=EventTally(), left=None, paces=(), alerts=(), incidents=None,
            hours=(), points=(), gaps=(), trend=None, counts_from_ms=None, defects=(), caveats=(),
        )  # fmt: skip


def _with_maintenance(one: ObjectiveReport, told: tuple[Maintenance, ...]) -> ObjectiveReport:
    return replace(one, maintenance=told, caveats=(maintenance_text(told, one.judged), *one.caveats)) if told else one


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
    counted, budget = observed.counted, objective.budget
    whole = counted.whole()
    broken, defects = _defects(objective, observed)
    left = budget_left(whole, budget) if broken is None else None
    alerts, about_alerts = _alerts(objective, counted, left, stretch.budget_ms)
    counts_from = counted.first_measured_ms()
    unseen = without([(stretch.start_ms, counts_from or stretch.start_ms)], stretch.left_out)
    if length_ms(unseen) < max(2 * counted.grid.step_ms, observed.provenance.lookback_ms):
        counts_from = None
    decided = ruling(objective, counted, stretch, window, alerts, rules, broken)
    told = JudgedObjective(objective, observed, stretch, window, counts_from, compress)
    numbers = broken is None and whole.total > 0
    return ObjectiveReport(
        objective, stretch, window, decided, observed.provenance, whole, observed.events.whole(), left,
        paces=_paces(counted, budget, left, stretch.budget_ms),
        alerts=alerts,
        incidents=incidents(counted, budget) if numbers else None,
        hours=tuple(worst_hours(counted, budget)) if numbers else (),
        points=tuple(points(counted, budget, left_out=stretch.left_out)),
        gaps=tuple(gaps(counted, stretch.left_out)),
        trend=trend(counted, budget) if numbers else None,
        counts_from_ms=counts_from,
        defects=tuple(defects),
        caveats=tuple(caveats(told, about_alerts)),
        group=observed.group,
    )  # fmt: skip


def _alerts(
    objective: Objective, counted: EventBuckets, left: Fraction | None, length_ms: int
) -> tuple[tuple[Burning, ...], list[str]]:
    """The objective's window pairs over what was counted, and what is to be said of those that are not among them."""
    try:
        chosen = choose(objective)
    except InputError as err:
        return (), [f"no burn-rate alerts are shown: {err.message}"]
    found = tuple(burning(counted, pair, objective.target, left, length_ms) for pair in chosen.pairs)
    if not found:
        return (), ["no burn-rate alerts are shown: its document disables the alerts"]
    return found, [notice.message for notice in chosen.notices]


def _paces(counted: EventBuckets, budget: Fraction, left: Fraction | None, length_ms: int) -> tuple[BurnPace, ...]:
    end, found = counted.grid.end_ms, []
    lengths = dict.fromkeys((min(_HOUR, end - counted.grid.start_ms), pace(counted)[0]))
    for length in lengths:
        burn = burn_rate(counted.between(end - length, end), budget)
        lasts = runs_out_after_ms(left, burn, length_ms) if left is not None and burn is not None else None
        found.append(BurnPace(length, burn, lasts))
    return tuple(found)


def _defects(objective: Objective, observed: ObservedObjective) -> tuple[str | None, list[str]]:
    """Why the numbers cannot be right, if they cannot; and everything that is wrong with the indicator."""
    whole, missing = observed.events.whole(), observed.provenance.missing
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
    elif observed.provenance.out_of_range:
        broken = f"{observed.provenance.out_of_range:,} values of the ratio are not between 0 and 1"
    if broken is not None:
        return broken, [broken]
    ratio = whole.error_ratio
    if ratio is not None and ratio >= objective.target and whole.total >= 2:
        defects.append(
            f"{percent(ratio)} of the events count as bad: the other way round the objective would be met, so good and "
            "bad may be mixed up"
        )
    return None, defects
