"""The words and cells that every writer of the SLO report shares, so that no two say it differently."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from harness.report.wording import one_line
from harness.slo.budget.budget import Burning
from harness.slo.budget.report import BurnPace, ObjectiveReport, SloReport, count_text, number_text, unit_of
from harness.slo.budget.verdict import BudgetVerdict, lasting, percent
from harness.slo.model import (
    Calendar,
    Events,
    IndicatorQuery,
    Objective,
    Occurrences,
    RatioTimeslices,
    RawRatio,
    ThresholdIndicator,
)
from harness.slo.periods import Window, moment
from harness.units import format_duration, format_number

TONES: Mapping[BudgetVerdict, str] = {
    BudgetVerdict.MET: "good",
    BudgetVerdict.AT_RISK: "warn",
    BudgetVerdict.EXHAUSTED: "bad",
    BudgetVerdict.NO_DATA: "soft",
}
MARKS: Mapping[BudgetVerdict, str] = {
    BudgetVerdict.MET: "✓",
    BudgetVerdict.AT_RISK: "!",
    BudgetVerdict.EXHAUSTED: "✗",
    BudgetVerdict.NO_DATA: "?",
}
"""Beside the colour, for those who do not see it."""

_BLOCKS = "▁▂▃▄▅▆▇█"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = one_line(text)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


def answer(report: SloReport) -> tuple[str, str]:
    """The report in a sentence, and its tone."""
    if not report.objectives:
        return "There are no objectives to report on.", "soft"
    said = []
    for verdict, one, many in (
        (BudgetVerdict.EXHAUSTED, "has spent its error budget", "have spent their error budgets"),
        (BudgetVerdict.AT_RISK, "is at risk", "are at risk"),
        (BudgetVerdict.NO_DATA, "cannot be judged", "cannot be judged"),
    ):
        number = report.count(verdict)
        if number:
            said.append((number, one if number == 1 else many))
    total = len(report.objectives)
    if not said:
        return f"{'The objective is' if total == 1 else f'All {total} objectives are'} met.", "good"
    number, words = said[0]
    text = f"{number} of {total} objectives {words}"
    text += "".join(f", {number} {words}" for number, words in said[1:])
    tone = "bad" if report.count(BudgetVerdict.EXHAUSTED) else "warn" if report.count(BudgetVerdict.AT_RISK) else "soft"
    return f"{text}.", tone


def range_text(report: SloReport) -> str:
    """What is judged, until when."""
    end = moment(report.to_ms)
    if report.window is Window.RUN and report.from_ms is not None:
        return f"The run from {moment(report.from_ms)} to {end}, {lasting(report.to_ms - report.from_ms)}."
    since = f" Data from {moment(report.from_ms)} on." if report.from_ms is not None else ""
    return f"Each objective over its own period, as it stood at {end}.{since}"


def period_text(one: ObjectiveReport) -> str:
    """``the 30d up to 2026-03-01 00:00 UTC``."""
    start, end = moment(one.judged.start_ms, one.judged.zone), moment(one.judged.end_ms, one.judged.zone)
    return f"{start} to {end}"


def period_cell(one: ObjectiveReport) -> str:
    """``30d``, ``1M so far``, ``this run (12m)``."""
    if one.window is Window.RUN:
        return f"this run ({lasting(one.judged.elapsed_ms)})"
    label = one.objective.period.label
    if isinstance(one.objective.period, Calendar):
        return f"{label} so far" if one.judged.closes_ms > one.judged.end_ms else label
    return f"{label} rolling"


def sli_cell(one: ObjectiveReport) -> str:
    return percent(one.whole.sli or Fraction(0)) if one.trusted else "–"


def target_cell(objective: Objective) -> str:
    return f"{format_number(objective.target * 100)} %"


def signed_percent(share: Fraction) -> str:
    """``25 %``, ``−20.9 %``."""
    return f"−{percent(-share)}" if share < 0 else percent(share).replace("-", "−")


def left_cell(one: ObjectiveReport) -> str:
    """The share of the error budget that is left; overspent: minus so much."""
    return "–" if one.left is None else signed_percent(one.left)


def coverage_cell(one: ObjectiveReport) -> str:
    return percent(one.coverage)


def events_cell(one: ObjectiveReport) -> str:
    """``180,000 bad of 5,788,800 events``."""
    unit = unit_of(one.objective)
    return f"{count_text(one.whole.bad)} bad of {count_text(one.whole.total)} {unit}"


def allowed_cell(one: ObjectiveReport) -> str:
    return f"{number_text(one.allowed_bad)} {unit_of(one.objective)}"


def trend_text(one: ObjectiveReport) -> str:
    """``spending faster: 12 % of the budget in the last 7d, 3 % in the 7d before``.

    It tells how the line beside it falls, which it does in every case: slower spending is no recovery.
    """
    if one.trend is None:
        return "–"
    last, before = one.trend.last, one.trend.before
    length = lasting(one.trend.length_ms)
    return f"{_trend_word(last, before)}: {percent(last)} of the budget in the last {length}, {percent(before)} before"


def _trend_word(last: Fraction, before: Fraction) -> str:
    if last == 0:
        return "nothing spent lately"
    if abs(last - before) < Fraction(1, 100):
        return "spending as before"
    return "spending faster" if last > before else "spending more slowly"


def lasts_text(pace: BurnPace) -> str:
    """How long the budget lasts at this pace."""
    if pace.burn is None:
        return "no events"
    if pace.lasts_ms is None:
        return "not burning"
    return "gone" if pace.lasts_ms == 0 else f"lasts {lasting(pace.lasts_ms)}"


def state_text(burning: Burning) -> str:
    if not burning.seen:
        return "no data"
    return "firing" if burning.firing else "quiet"


def what_is_counted(objective: Objective) -> str:
    """The definition in a sentence."""
    match objective.indicator:
        case Events(_, good, _):
            what = f"{'good' if good is not None else 'bad'} events out of all events"
        case ThresholdIndicator(_, op, threshold):
            what = f"a value that is good while it is {op.promql} {format_number(threshold)}"
        case RawRatio(_, is_error):
            what = f"a ready-made ratio of {'errors' if is_error else 'successes'}"
    match objective.budgeting:
        case Occurrences():
            how = "each event counts alike" if isinstance(objective.indicator, Events) else "each tick counts alike"
        case RatioTimeslices(window_ms):
            how = f"the mean of the ratios of slices of {format_duration(window_ms)}"
        case slices:
            how = (
                f"slices of {format_duration(slices.window_ms)} count alike, good if at least "
                f"{percent(slices.target)} of what is in them is"
            )
    return sentence(f"{what}; {how}")


def queries(objective: Objective) -> list[tuple[str, str]]:
    """(what it gives, PromQL) of the objective's queries."""
    named: list[tuple[str, IndicatorQuery | None]] = []
    match objective.indicator:
        case Events(total, good, bad):
            named = [("good", good), ("bad", bad), ("all", total)]
        case ThresholdIndicator(query) | RawRatio(query):
            named = [("value", query)]
    return [(name, query.expr) for name, query in named if query is not None]


def sparkline(one: ObjectiveReport, width: int = 24) -> str:
    """The budget left over time in blocks; ``·`` where nothing was measured."""
    if not one.points or not one.trusted:
        return ""
    return "".join(_block(one, i, width) for i in range(min(width, len(one.points))))


def _block(one: ObjectiveReport, index: int, width: int) -> str:
    width = min(width, len(one.points))
    part = one.points[index * len(one.points) // width : (index + 1) * len(one.points) // width]
    if all(point.gap for point in part) or part[-1].left is None:
        return "·"
    return _BLOCKS[max(0, min(7, int(part[-1].left * 8)))]


def verdict_counts(report: SloReport) -> list[tuple[BudgetVerdict, int]]:
    return [(verdict, report.count(verdict)) for verdict in BudgetVerdict]
