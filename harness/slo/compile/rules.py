"""Objectives to recording rules and multi-window, multi-burn-rate alerts (SRE Workbook, chapter 5), named as sloth's.

One group for each objective, so that its alerts see what was recorded on the same tick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import indent

from harness import __version__
from harness.errors import InputError, UnsupportedError
from harness.slo.compile import expressions, series
from harness.slo.model import BurnPair, Calendar, Events, Objective, SeverityAlert
from harness.slo.queries import per_second
from harness.slo.windows import Catalogue, pairs_of, recorded_windows_ms
from harness.units import format_duration, format_number

DEFAULT_INTERVAL_MS = 60_000
NO_DATA_HOLD_MS = 600_000
"""How long data must be absent: longer than a Prometheus or a service takes to restart. A window's five minutes, in
which the last samples still count, come before it."""
_MONTH = 1
_NAMES = "{{$labels.sloth_service}} {{$labels.sloth_slo}}"


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule to be written; `why` is a comment above it."""

    name: str
    expr: str
    labels: Mapping[str, str]
    is_alert: bool = False
    hold_ms: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    pairs: tuple[BurnPair, ...] = ()
    """Of a burn-rate alert: any of these fires it."""


@dataclass(frozen=True, slots=True)
class CompiledGroup:
    """The rules of one objective."""

    objective: Objective
    name: str
    interval_ms: int
    windows_ms: tuple[int, ...]
    """Over which error ratios are recorded, ascending; the first is the base of the period's ratio."""
    rules: tuple[CompiledRule, ...]

    @property
    def burn_alerts(self) -> list[CompiledRule]:
        return [rule for rule in self.rules if rule.pairs]

    @property
    def no_data_alerts(self) -> list[CompiledRule]:
        return [rule for rule in self.rules if rule.is_alert and not rule.pairs]


def compile_objectives(
    objectives: Sequence[Objective],
    *,
    windows: Sequence[Catalogue] = (),
    interval_ms: int = DEFAULT_INTERVAL_MS,
    one_alert: bool = False,
    no_data: bool = True,
) -> list[CompiledGroup]:
    """The rule group of each objective. Time slices set the interval of theirs themselves.

    `one_alert`: one alert for each severity, as sloth writes it, and not one for each pair. `no_data`: alert on absent
    data too, where the document does not opt out.

    Raises InputError and UnsupportedError for what cannot be a rule, at its place in the objective's document.
    """
    return [_compile(objective, windows, interval_ms, one_alert, no_data) for objective in objectives]


def _compile(
    objective: Objective, windows: Sequence[Catalogue], interval_ms: int, one_alert: bool, no_data: bool
) -> CompiledGroup:
    pairs = pairs_of(objective, windows)
    period_ms = objective.period.nominal_ms
    recorded = tuple(ms for ms in recorded_windows_ms(objective, windows) if ms < period_ms)
    if not recorded:
        raise InputError(
            f"`{objective.name}` has a period of {objective.period.label}, no longer than its shortest window",
            span=objective.span,
            hint="choose a period of days",
        )
    if objective.slice_ms is not None:
        interval_ms = objective.slice_ms
        if interval_ms > recorded[0]:
            raise InputError(
                f"time slices of {format_duration(interval_ms)} do not fit in the shortest window of "
                f"`{objective.name}`, {format_duration(recorded[0])}",
                span=objective.span,
                hint="choose shorter slices, such as 1m",
            )
    labels = series.labels_of(objective)
    rules = [
        *_indicator_rules(objective, recorded, labels),
        *_meta_rules(objective, recorded[0], labels),
        *_alert_rules(objective, pairs, recorded[0], interval_ms, one_alert),
        *(_no_data_rules(objective, pairs, recorded[0]) if no_data else ()),
    ]
    return CompiledGroup(objective, f"slo-{objective.id}", interval_ms, recorded, tuple(rules))


def _indicator_rules(
    objective: Objective, windows_ms: Sequence[int], labels: Mapping[str, str]
) -> Iterator[CompiledRule]:
    base_ms = windows_ms[0]
    in_base = {**labels, series.WINDOW_LABEL: format_duration(base_ms)}
    if expressions.counts_events(objective):
        wrong, every = expressions.base_events(objective, base_ms)
        yield CompiledRule(
            series.total_events(base_ms), every, in_base, why="All events, and the bad ones: 0 until the first is seen."
        )
        yield CompiledRule(series.bad_events(base_ms), wrong, in_base)
    if expressions.is_sliced(objective):
        yield CompiledRule(
            series.SLICE_ERROR, expressions.slice_error(objective), labels, why="One time slice for each evaluation."
        )
    for window_ms in windows_ms:
        from_events = expressions.counts_events(objective) and window_ms == base_ms
        yield CompiledRule(
            series.error_ratio(window_ms),
            expressions.base_ratio(objective, base_ms)
            if from_events
            else expressions.error_ratio(objective, window_ms),
            {**labels, series.WINDOW_LABEL: format_duration(window_ms)},
        )
    if isinstance(objective.period, Calendar):
        for name, expr in expressions.calendar_inputs(objective, base_ms):
            yield CompiledRule(name, expr, labels)
    label = objective.period.label
    why = "Bad events of all events in the period" if expressions.counts_events(objective) else "The period"
    yield CompiledRule(
        series.error_ratio(label),
        expressions.period_ratio(objective, base_ms),
        {**labels, series.WINDOW_LABEL: label},
        why=f"{why}, {'so far' if isinstance(objective.period, Calendar) else 'as far as there is history'}.",
    )


def _meta_rules(objective: Objective, base_ms: int, labels: Mapping[str, str]) -> Iterator[CompiledRule]:
    budget = format_number(objective.budget)
    period = objective.period
    days = f"vector({format_number(period.nominal_ms / 86_400_000)})"
    if isinstance(period, Calendar) and period.months == _MONTH:
        days = "vector(scalar(days_in_month()))"
    current = series.select(series.error_ratio(base_ms), objective)
    over_period = series.select(series.error_ratio(period.label), objective)
    for name, expr in (
        (series.OBJECTIVE, f"vector({format_number(objective.target)})"),
        (series.ERROR_BUDGET, f"vector({budget})"),
        (series.PERIOD_DAYS, days),
        (series.CURRENT_BURN_RATE, f"{current} / {budget}"),
        (series.PERIOD_BURN_RATE, f"{over_period} / {budget}"),
        (series.BUDGET_REMAINING, f"1 - {series.select(series.PERIOD_BURN_RATE, objective)}"),
    ):
        yield CompiledRule(name, expr, labels)
    values = ("alert-harness", format_number(objective.target * 100), objective.spec, __version__)
    yield CompiledRule(series.INFO, "vector(1)", {**labels, **dict(zip(series.INFO_LABELS, values, strict=True))})


def _alert_rules(
    objective: Objective, pairs: Sequence[BurnPair], base_ms: int, interval_ms: int, one_alert: bool
) -> Iterator[CompiledRule]:
    seen: set[tuple[str, str]] = set()
    for pair in pairs:
        if (pair.severity, pair.label) in seen:
            raise InputError(
                f"two {pair.severity} alerts of `{objective.name}` look at the same windows, {pair.label}",
                span=pair.span or objective.span,
                hint="keep the one with the lower burn rate",
            )
        seen.add((pair.severity, pair.label))
    if not one_alert:
        for pair in pairs:
            conditions = _conditions(objective, pair, base_ms, interval_ms)
            expr = f"\n  and ignoring ({series.WINDOW_LABEL})\n".join(conditions)
            yield _burn_alert(objective, (pair,), expr, {series.PAIR_LABEL: pair.label})
        return
    for severity in dict.fromkeys(pair.severity for pair in pairs):
        alike = tuple(pair for pair in pairs if pair.severity == severity)
        if len({pair.hold_ms for pair in alike}) > 1:
            held = ", ".join(f"{pair.label} for {format_duration(pair.hold_ms)}" for pair in alike)
            raise UnsupportedError(
                f"one {severity} alert for all pairs of `{objective.name}`, which wait differently long: {held}",
                span=objective.span,
                hint=f"set `for` of `{severity}_alert`, or leave --one-alert out",
            )
        # Without the window's label: if both pairs burn, `or` keeps one of them, and one alert fires.
        either = "\nor\n".join(
            "(\n" + indent("\nand\n".join(
                f"max without ({series.WINDOW_LABEL}) ({condition})"
                for condition in _conditions(objective, pair, base_ms, interval_ms)
            ), "  ") + "\n)"
            for pair in alike
        )  # fmt: skip
        yield _burn_alert(objective, alike, either, {})


def _conditions(objective: Objective, pair: BurnPair, base_ms: int, interval_ms: int) -> list[str]:
    threshold = format_number(pair.threshold(objective.target))
    conditions = [
        f"{series.select(series.error_ratio(window_ms), objective)} {pair.promql} {threshold}"
        for window_ms in pair.windows_ms
    ]
    if objective.alerting.min_events:
        conditions.append(_floor(objective, pair, base_ms, interval_ms))
    return conditions


def _burn_alert(objective: Objective, pairs: tuple[BurnPair, ...], expr: str, more: Mapping[str, str]) -> CompiledRule:
    alerting, severity = objective.alerting, pairs[0].severity
    own = alerting.severities.get(severity, SeverityAlert())
    labels = series.checked({**alerting.labels, **own.labels}, objective)
    budget = format_number(objective.budget * 100)
    told = ", or ".join(
        f"in {' and '.join(f'the last {format_duration(ms)}' for ms in pair.windows_ms)} "
        + (f"the error budget of {budget} % was spent " if pair is pairs[0] else "")
        + f"at {'at least' if pair.inclusive else 'more than'} {format_number(pair.factor)} × its even pace"
        for pair in pairs
    )
    factors = " or ".join(format_number(pair.factor) for pair in pairs)
    return CompiledRule(
        alert_name(objective),
        expr,
        {**labels, **more, series.SEVERITY_LABEL: severity},
        is_alert=True,
        hold_ms=pairs[0].hold_ms,
        annotations={
            "summary": f"{_NAMES} SLO error budget burn rate is over expected.",
            "title": f"({severity}) {_NAMES} SLO error budget burn rate is too fast.",
            "description": f"{told[:1].upper()}{told[1:]}.",
            **alerting.annotations,
            **own.annotations,
        },
        why=f"{factors} × the budget of {format_number(objective.budget)}.",
        pairs=pairs,
    )


def _no_data_rules(objective: Objective, pairs: Sequence[BurnPair], base_ms: int) -> Iterator[CompiledRule]:
    """Alerts on absent data: with the severities that the policies name, else with that of the mildest pair."""
    alerting = objective.alerting
    severities = alerting.no_data_severities
    if severities is None:
        severities = (min(pairs, key=lambda pair: pair.factor).severity,) if pairs else ()
    expr = expressions.no_data(objective, base_ms)
    if alerting.no_data.disabled or expr is None:
        return
    budget = format_number(objective.budget * 100)
    for severity in severities:
        own = alerting.severities.get(severity, SeverityAlert())
        given = series.checked({**alerting.labels, **own.labels, **alerting.no_data.labels}, objective)
        hold_ms = NO_DATA_HOLD_MS if alerting.no_data.hold_ms is None else alerting.no_data.hold_ms
        named = _literal(f"{objective.service} {objective.name}")
        yield CompiledRule(
            no_data_name(objective),
            expr,
            {**series.labels_of(objective), **given, series.SEVERITY_LABEL: severity},
            is_alert=True,
            hold_ms=hold_ms,
            annotations={
                **alerting.annotations,
                "summary": f"{named} SLO has no data.",
                "title": f"({_literal(severity)}) {named} SLO has no data.",
                "description": f"Whether the error budget of {budget} % is spent is unknown: its indicator has no "
                "data, and no burn-rate alert can fire. Is the service scraped, and is its metric still named so?",
                **alerting.no_data.annotations,
            },
            why="No data: neither good nor bad, and nobody would be told.",
        )


def _literal(text: str) -> str:
    """A text that Prometheus' templates leave as it is."""
    return text.replace("{{", '{{"{{"}}')


def _floor(objective: Objective, pair: BurnPair, base_ms: int, interval_ms: int) -> str:
    """The traffic floor: events in the long window, from the rate that is recorded at every tick."""
    indicator = objective.indicator
    if not (isinstance(indicator, Events) and expressions.counts_events(objective)):
        raise UnsupportedError(
            f"`min_events` of `{objective.name}`, whose budget is one of time and not of events",
            span=objective.span,
            hint="remove it",
        )
    if per_second(indicator.total) is None:
        raise UnsupportedError(
            f"`min_events` of `{objective.name}`: its query says neither rate() nor increase(), so its unit is unknown",
            span=indicator.total.text.span_at(0),
            hint="write the total as sum(rate(…[{{.window}}])), or remove `min_events`",
        )
    total = series.select(series.total_events(base_ms), objective)
    long = format_duration(pair.long_ms)
    seconds = format_number(interval_ms / 1000)
    return f"sum_over_time({total}[{long}]) * {seconds} >= {objective.alerting.min_events}"


def alert_name(objective: Objective) -> str:
    """The document's, else the service's and the objective's in one word: ``StreamingApiAvailabilityBudgetBurn``."""
    if objective.alerting.name:
        return objective.alerting.name
    words = re.split(r"[^0-9A-Za-z]+", f"{objective.service} {objective.name}")
    return "".join(word[:1].upper() + word[1:] for word in words) + "BudgetBurn"


def no_data_name(objective: Objective) -> str:
    """The name of the alert on absent data, beside the burn-rate alerts': ``StreamingApiAvailabilityNoData``."""
    return f"{alert_name(objective).removesuffix('BudgetBurn')}NoData"
