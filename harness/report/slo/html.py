"""The SLO report as one self-contained HTML page: no script, nothing fetched, every label escaped."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from jinja2 import Template

from harness.report.html.template import page_template, shown
from harness.report.slo.alert_quality import quality_table
from harness.report.slo.charts import FRAME, LETTERS, budget_chart, sli_chart, spark
from harness.report.slo.wording import (
    MARKS,
    TONES,
    allowed_cell,
    answer,
    coverage_cell,
    lasts_text,
    left_cell,
    period_cell,
    period_text,
    queries,
    range_text,
    sentence,
    sli_cell,
    state_text,
    target_cell,
    trend_text,
    verdict_counts,
    what_is_counted,
)
from harness.slo.annotations import BUDGET_POLICY
from harness.slo.budget.buckets import EventTally
from harness.slo.budget.budget import Point, thinned
from harness.slo.budget.report import ObjectiveReport, SloReport, count_text, unit_of
from harness.slo.budget.verdict import HORIZON, PACE_MS, BudgetVerdict, Rules, factor, lasting, percent
from harness.slo.model import Calendar
from harness.slo.periods import Window, moment
from harness.units import count_of, format_duration

_MANY = 30
"""Objectives beyond which details are left to the JSON: a page of a hundred stays under a megabyte."""
_ROWS = 31
_FEWER_STEPS, _FEWER_INCIDENTS = 120, 4
_LONGEST_QUERY = 4000


def slo_report_html(report: SloReport, title: str = "") -> str:
    """The whole page; the same report gives the same bytes."""
    said, tone = answer(report)
    many = len(report.objectives) > _MANY
    views = [
        _view(number, _lighter(one) if many else one, report, many) for number, one in enumerate(report.objectives, 1)
    ]
    pressing = [(view, one) for view, one in zip(views, report.objectives, strict=True) if one.policy_is_due]
    return _template().render(
        title=title or "Service level objectives",
        answer=said,
        tone=tone,
        explanation=range_text(report),
        tiles=[
            (number, verdict.value, TONES[verdict] if number else "soft") for verdict, number in verdict_counts(report)
        ],
        objectives=views,
        consequences=[(view["anchor"], view["name"], shown(one.policy)) for view, one in pressing if one.policy],
        without_policy=", ".join(view["name"] for view, one in pressing if not one.policy),
        policy_key=BUDGET_POLICY,
        rules=_rules(report.rules),
        charted=any(view["charts"] for view in views),
        planned=any(one.maintenance for one in report.objectives),
        frame=FRAME,
        footer=f"{sentence(range_text(report))} Written by alert-harness.",
    )


def _lighter(one: ObjectiveReport) -> ObjectiveReport:
    """What a page of many objectives has room for."""
    incidents = one.incidents
    if incidents is not None:
        incidents = replace(incidents, listed=incidents.listed[:_FEWER_INCIDENTS])
    return replace(one, points=tuple(thinned(one.points, _FEWER_STEPS)), incidents=incidents, hours=())


@lru_cache(maxsize=1)
def _template() -> Template:
    return page_template("slo/slo_report.html.j2", _unbroken)


def _unbroken(text: str) -> str:
    """No line ends between a number and its sign."""
    return text.replace(" %", "\u00a0%").replace(" ×", "\u00a0×")


def _view(number: int, one: ObjectiveReport, report: SloReport, many: bool) -> dict[str, Any]:
    whole = report.objectives[number - 1]
    objective, verdict = one.objective, one.ruling.verdict
    judged = verdict is not BudgetVerdict.NO_DATA
    return {
        "anchor": f"objective-{number}",
        "name": shown(one.title),
        "service": shown(objective.service),
        "description": shown(objective.description),
        "verdict": verdict.value,
        "tone": TONES[verdict],
        "mark": MARKS[verdict],
        "why": shown(sentence(one.ruling.reason)),
        "period": _period_line(one),
        "period_cell": period_cell(one),
        "policy": shown(one.policy) if one.policy else "",
        "pressing": one.policy_is_due,
        "sli": sli_cell(one) if judged else "–",
        "target": target_cell(objective),
        "left": left_cell(one) if judged else "–",
        "bar": _bar(one.left) if judged else None,
        "spark": spark(one) if judged else "",
        "trend_short": trend_text(one).partition(":")[0] if one.trend and judged else "",
        "defects": [shown(sentence(text)) for text in one.defects],
        "facts": _facts(one),
        "charts": [
            (name, chart)
            for name, chart in (("SLI against target", sli_chart(one)), ("Error budget left", budget_chart(one)))
            if chart is not None
        ],
        "alerts": _alerts(one),
        "quality": quality_table(report.quality, objective) if report.quality is not None else None,
        "incidents": _incidents(one),
        "incident_count": len(whole.incidents.listed) if whole.incidents else 0,
        "small": _small(one, whole),
        "hours": [
            (moment(hour.start_ms), _bad(one, hour.tally), percent(hour.tally.error_ratio or Fraction(0)),
             percent(hour.cost))
            for hour in one.hours
        ],
        "table": [] if many else _table(one),
        "caveats": [shown(sentence(text)) for text in one.caveats],
        "counted": what_is_counted(objective),
        "queries": [(name, _cut(expr)) for name, expr in queries(objective)],
        "place": shown(f"{objective.spec}, {objective.span.file}" if objective.span.file else objective.spec),
    }  # fmt: skip


def _bar(left: Fraction | None) -> str | None:
    """The bar's length in percent."""
    return None if left is None else f"{100 * float(min(Fraction(1), max(Fraction(0), left))):.0f}"


def _cut(expr: str) -> str:
    return expr if len(expr) <= _LONGEST_QUERY else f"{expr[:_LONGEST_QUERY]}… ({len(expr):,} characters)"


def _period_line(one: ObjectiveReport) -> str:
    text = period_text(one)
    if one.window is Window.RUN:
        return f"The run itself: {text}."
    kind = f"Calendar period in {one.judged.zone}" if isinstance(one.objective.period, Calendar) else "Rolling period"
    ends = f", ends {moment(one.judged.closes_ms, one.judged.zone)}" if one.judged.closes_ms > one.judged.end_ms else ""
    return f"{kind} of {one.objective.period.label}: {text}{ends}."


def _facts(one: ObjectiveReport) -> list[tuple[str, str, str]]:
    """(name, value, small print) of the numbers that an engineer looks for first."""
    unit = unit_of(one.objective)
    facts = [
        ("SLI", sli_cell(one), f"target {target_cell(one.objective)}"),
        ("Error budget left", left_cell(one), f"of {allowed_cell(one)}" if one.trusted else ""),
        ("Good", f"{count_text(one.whole.good)} {unit}", ""),
        ("Bad", f"{count_text(one.whole.bad)} {unit}", f"of {count_text(one.whole.total)}"),
    ]
    if one.objective.slice_ms is not None and one.events.total != one.whole.total:
        facts.append(("Beneath", f"{count_text(one.events.bad)} bad", f"of {count_text(one.events.total)} events"))
    if one.left is not None:
        facts += [
            (
                f"At the pace of the last {lasting(pace.length_ms)}",
                lasts_text(pace),
                "" if pace.burn is None else factor(pace.burn),
            )
            for pace in one.paces
        ]
        outage = int(max(Fraction(0), one.left) * one.objective.budget * one.judged.budget_ms)
        facts.append(("Left, as a total outage", lasting(outage) if outage else "none", "at even traffic"))
    facts.append(("Measured", coverage_cell(one), "of the time so far"))
    if one.maintenance:
        facts.append(("Planned maintenance", lasting(one.judged.elapsed_ms - one.judged.counted_ms), "left out"))
    if one.seen_of_period != one.coverage:
        facts.append(("Seen of the period", percent(one.seen_of_period), f"of {one.objective.period.label}"))
    if one.trend is not None:
        word, _, more = trend_text(one).partition(": ")
        facts.append(("Trend", word, more))
    return facts


def _alerts(one: ObjectiveReport) -> list[dict[str, str]]:
    rows = []
    for burning in one.alerts:
        pair = burning.pair
        now = [(format_duration(pair.long_ms), burning.long), (format_duration(pair.windows_ms[0]), burning.short)]
        fired = "never"
        if burning.times:
            count = f"{burning.times} time{'' if burning.times == 1 else 's'}"
            last = f", last until {moment(burning.last_ms, one.judged.zone)}" if burning.last_ms is not None else ""
            fired = f"{count}, {lasting(burning.firing_ms)}{last}"
        hold = f", for {format_duration(pair.hold_ms)}" if pair.hold_ms else ""
        lasts = "–"
        if burning.runs_out_ms is not None:
            lasts = "gone" if burning.runs_out_ms == 0 else lasting(burning.runs_out_ms)
        elif burning.long == 0:
            lasts = "not burning"
        rows.append(
            {
                "name": f"{shown(pair.severity)} {pair.label}",
                "above": f"{factor(pair.factor)} (θ = {percent(burning.threshold)}){hold}",
                "now": ", ".join(
                    f"{name}: {factor(burn) if burn is not None else 'no events'}" for name, burn in dict(now).items()
                ),
                "state": state_text(burning),
                "tone": "bad" if burning.firing else "" if burning.seen else "soft",
                "fired": fired,
                "lasts": lasts,
            }
        )
    return rows


def _incidents(one: ObjectiveReport) -> list[dict[str, str]]:
    if one.incidents is None:
        return []
    rows = []
    for i, incident in enumerate(one.incidents.listed):
        mean = percent(incident.bad.error_ratio or Fraction(0))
        worst = percent(incident.worst)
        rows.append(
            {
                "letter": LETTERS[i] if i < len(LETTERS) else "",
                "when": moment(incident.start_ms, one.judged.zone),
                "lasted": lasting(incident.end_ms - incident.start_ms),
                "bad": _bad(one, incident.bad),
                "ratio": mean if mean == worst else f"{mean}, at worst {worst}",
                "cost": percent(incident.cost),
            }
        )
    return rows


def _small(one: ObjectiveReport, whole: ObjectiveReport) -> str:
    """What the table of incidents leaves out: dear ones of a page of many objectives, and small ones."""
    if one.incidents is None or whole.incidents is None:
        return ""
    said, hidden = [], whole.incidents.listed[len(one.incidents.listed) :]
    if hidden:
        cost = sum((each.cost for each in hidden), Fraction(0))
        said.append(f"{count_of(len(hidden), 'more incident')}, together {percent(cost)} of the budget.")
    number, more = one.incidents.small, "more" if one.incidents.listed else "short"
    if number:
        said.append(
            f"{number} {more} {'stretch' if number == 1 else 'stretches'} of fast burning, together "
            f"{percent(one.incidents.small_cost)} of the budget."
        )
    return " ".join(said)


def _bad(one: ObjectiveReport, tally: EventTally) -> str:
    return f"{count_text(tally.bad)} of {count_text(tally.total)} {unit_of(one.objective)}"


def _table(one: ObjectiveReport) -> list[tuple[str, ...]]:
    """The charts' steps, joined to about a month of rows."""
    return [_row(one, point) for point in thinned(one.points, _ROWS)]


def _row(one: ObjectiveReport, point: Point) -> tuple[str, ...]:
    tally = point.tally
    if one.trusted and tally.sli is not None:
        sli = percent(tally.sli)
    else:
        sli = "no data" if tally.measured_ms == 0 else "no events"
    return (
        moment(point.start_ms, one.judged.zone),
        count_text(tally.total),
        count_text(tally.bad),
        sli,
        "–" if point.left is None else percent(point.left) if point.left >= 0 else f"−{percent(-point.left)}",
        percent(Fraction(tally.measured_ms, point.end_ms - point.start_ms)),
    )


def _rules(rules: Rules) -> list[tuple[str, str]]:
    return [
        ("no data", f"less than {percent(rules.coverage_floor)} of the time so far was measured, there were no events, "
                    "or what was counted cannot be right"),
        ("exhausted", "more was bad than the error budget holds: SLI below target over what was measured"),
        ("at risk", f"less than {percent(rules.at_risk)} of the budget is left; or at the pace of the last "
                    f"{lasting(PACE_MS)} it is gone within 1/{HORIZON} of a rolling period, or before a calendar one "
                    "ends; or a burn-rate alert is firing at the end"),
        ("met", "none of these"),
        ("error budget left", "1 − error ratio / (1 − target), over what was measured; nothing is extrapolated"),
    ]  # fmt: skip
