"""The PromQL of an objective: errors over a window, slices, the period. docs/slo-compile.md derives each of them."""

from __future__ import annotations

from datetime import datetime
from textwrap import indent

import promql_parser as promql

from harness.errors import Span, UnsupportedError
from harness.rules.expr import parse_expr
from harness.slo.calendar import fixed_offset_s
from harness.slo.compile import series
from harness.slo.model import (
    Calendar,
    Events,
    IndicatorQuery,
    Objective,
    Occurrences,
    RawRatio,
    Rolling,
    ThresholdIndicator,
    Timeslices,
    WindowPlacement,
)
from harness.slo.queries import answers_without_data, per_second, tree, windowed, windowed_terms, without_zero
from harness.source import Text
from harness.units import format_duration, format_number

_DAYS_OF_MONTHS = {1: 31, 3: 92, 12: 366}


def counts_events(objective: Objective) -> bool:
    """Whether the budget is one of events; else time is cut in slices, or somebody else computed a ratio."""
    return isinstance(objective.indicator, Events) and isinstance(objective.budgeting, Occurrences)


def is_sliced(objective: Objective) -> bool:
    """Whether an error is recorded per tick and windows are means over ticks."""
    if isinstance(objective.budgeting, Occurrences):
        indicator = objective.indicator
        return isinstance(indicator, ThresholdIndicator) or (
            isinstance(indicator, RawRatio) and indicator.query.reading is WindowPlacement.INSTANT
        )
    return True


def total(events: Events, window: str) -> str:
    """All events over a window."""
    return _operand(windowed(events.total, window))


def bad(events: Events, window: str) -> str:
    """Bad events over a window; 0 where there is no series of them yet, once there is one of all events."""
    every = total(events, window)
    if events.bad is not None:
        return _or_zero(events.bad, window, every)
    assert events.good is not None
    good = _or_zero(events.good, window, every)
    return f"{every}\n  - (\n{indent(good, '    ')}\n  )"


def _or_zero(query: IndicatorQuery, window: str, every: str) -> str:
    parts = windowed_terms(query, window)
    if len(parts) == 1 and parts[0][0] > 0:
        return f"{_operand(parts[0][1])}\n  or 0 * {every}"
    # Each summand may be the one that does not exist yet.
    return "\n".join(f"{'+' if sign > 0 else '-'} ({part} or 0 * {every})" for sign, part in parts).removeprefix("+ ")


def error_ratio(objective: Objective, window_ms: int) -> str:
    """The error ratio over a window, as the alerts read it; nothing (and not NaN) where there were no events."""
    window = format_duration(window_ms)
    if is_sliced(objective):
        return f"avg_over_time({series.select(series.SLICE_ERROR, objective)}[{window}])"
    return _ratio(objective, window)


def _ratio(objective: Objective, window: str) -> str:
    match objective.indicator:
        case Events() as events:
            return f"(\n{indent(bad(events, window), '  ')}\n)\n  / ({total(events, window)} > 0)"
        case RawRatio(query, is_error):
            value = _measured(windowed(query, window))
            return value if is_error else f"1 - ({value})"
        case ThresholdIndicator():
            raise AssertionError("a threshold has no window of its own")


def slice_error(objective: Objective) -> str:
    """The error of the slice that ends now."""
    budgeting, indicator = objective.budgeting, objective.indicator
    if isinstance(indicator, ThresholdIndicator):
        limit = format_number(indicator.threshold)
        return f"({_measured(windowed(indicator.query, ''))}) {indicator.op.promql_of_bad} bool {limit}"
    ratio = _ratio(objective, format_duration(objective.slice_ms or 0))
    if not isinstance(budgeting, Timeslices):
        return ratio
    return f"(\n{indent(ratio, '  ')}\n) > bool {format_number(1 - budgeting.target)}"


def base_events(objective: Objective, window_ms: int) -> tuple[str, str]:
    """(bad, all) events per second over the shortest window; NaN, of a query that divides by 0, is no data."""
    events = objective.indicator
    assert isinstance(events, Events)
    window = format_duration(window_ms)
    every, wrong = total(events, window), f"(\n{indent(bad(events, window), '  ')}\n)"
    if per_second(events.total) is False:
        seconds = format_number(window_ms / 1000)
        every, wrong = f"{every} / {seconds}", f"{wrong} / {seconds}"
    return f"{wrong} > -Inf", every


def no_data(objective: Objective, base_ms: int) -> str | None:
    """True while there are no data of the indicator; None where its query answers without any too.

    Of events it asks for those of all kinds: no traffic is a rate of 0, and no series of errors yet is no error.
    """
    indicator = objective.indicator
    query = indicator.total if isinstance(indicator, Events) else indicator.query
    expr = without_zero(windowed(query, format_duration(base_ms)))
    if answers_without_data(parse_expr(Text(expr, Span("", 1, 1)))):
        return None
    if counts_events(objective) and not answers_without_data(tree(query)):
        return f"absent({series.select(series.total_events(base_ms), objective)})"
    # count() takes the labels that absent() would read off a selector, so the alert has the same ones in every case.
    return f"absent(\n  count(\n{indent(expr, '    ')}\n  )\n)"


def base_ratio(objective: Objective, window_ms: int) -> str:
    """The error ratio over the shortest window, from the events that are recorded for it."""
    return (
        f"{series.select(series.bad_events(window_ms), objective)}\n"
        f"  / ({series.select(series.total_events(window_ms), objective)} > 0)"
    )


def period_ratio(objective: Objective, base_ms: int) -> str:
    """The error ratio over the period: bad events of all events, or the mean of the slices."""
    period = objective.period
    if isinstance(period, Rolling):
        return _over_period(objective, base_ms, period.label, in_calendar=False)
    days = _DAYS_OF_MONTHS.get(period.months, period.months * 31) + period.days
    inside = _over_period(objective, base_ms, f"{days}d", in_calendar=True)
    return (
        f"sum without ({series.CALENDAR_LABEL}) (\n{indent(f'({inside})', '  ')}\n"
        f"    * on ({series.CALENDAR_LABEL}) group_left ()\n{indent(period_number(period, objective), '  ')}\n)"
    )


def _over_period(objective: Objective, base_ms: int, window: str, *, in_calendar: bool) -> str:
    def selected(name: str) -> str:
        return f"{series.select(series.in_calendar(name) if in_calendar else name, objective)}[{window}]"

    if counts_events(objective):
        return (
            f"sum_over_time({selected(series.bad_events(base_ms))})\n"
            f"  / (sum_over_time({selected(series.total_events(base_ms))}) > 0)"
        )
    name = series.SLICE_ERROR if is_sliced(objective) else series.error_ratio(base_ms)
    return f"avg_over_time({selected(name)})"


def calendar_inputs(objective: Objective, base_ms: int) -> list[tuple[str, str]]:
    """(record, expr) of what a calendar's ratio is made of: each sample with the number of its period as a label."""
    period = objective.period
    assert isinstance(period, Calendar)
    if counts_events(objective):
        names = [series.bad_events(base_ms), series.total_events(base_ms)]
    else:
        names = [series.SLICE_ERROR if is_sliced(objective) else series.error_ratio(base_ms)]
    number = period_number(period, objective)
    return [
        (
            series.in_calendar(name),
            f"{series.select(name, objective)}\n  * on () group_left ({series.CALENDAR_LABEL})\n{number}",
        )
        for name in names
    ]


def period_number(calendar: Calendar, objective: Objective) -> str:
    """A vector of one element, 1, whose label `slo_period` numbers the calendar's present period.

    Raises UnsupportedError for a zone with summer time: PromQL has no time zones, only a clock in UTC.
    """
    offset_s = fixed_offset_s(calendar)
    if offset_s is None:
        raise UnsupportedError(
            f"`{objective.name}` follows the calendar of {calendar.zone}, whose clock changes; PromQL knows only UTC",
            span=objective.span,
            hint="use UTC or a zone without summer time for the rules; `alert-harness slo report` follows any zone",
        )
    start = calendar.start
    if calendar.days:
        epoch = (start - datetime(1970, 1, 1)).total_seconds()
        shift = format_number(epoch - offset_s)
        number = f"floor((vector(time()) - {shift}) / {calendar.days * 86400})"
    else:
        # Moved back by what lies between the first of the month and the period's begin, a month is a calendar's month.
        begin = (start.day - 1) * 86400 + start.hour * 3600 + start.minute * 60 + start.second - offset_s
        clock = "vector(time())" if begin == 0 else f"vector(time() {'-' if begin > 0 else '+'} {abs(begin)})"
        number = f"12 * year({clock}) + month({clock})"
        if calendar.months > 1:
            number = f"floor(({number} - {start.year * 12 + start.month}) / {calendar.months})"
    return f'  count_values("{series.CALENDAR_LABEL}", {number})'


def _measured(expr: str) -> str:
    """Without NaN, which is no data; every other number is above minus infinity."""
    return f"{_operand(expr)} > -Inf"


def _operand(expr: str) -> str:
    """An expression that binds tighter than any operator; a comment at its end must not swallow the parenthesis."""
    if "\n" in expr or "#" in expr:
        return f"(\n{indent(expr, '  ')}\n)"
    return expr if _is_call(expr) else f"({expr})"


def _is_call(expr: str) -> bool:
    """Whether the text is one `sum(…)`, by the AST: such an operand needs no parentheses."""
    return expr.startswith("sum(") and isinstance(parse_expr(Text(expr, Span("", 1, 1))), promql.AggregateExpr)
