"""The SLO report as one self-contained HTML page: no script, nothing fetched, every label escaped."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from jinja2 import Template

from harness.report.html.template import page_template, shown
from harness.report.slo.alert_quality import quality_table
from harness.report.slo.charts import FRAME, budget_chart, sli_chart, spark
from harness.report.slo.tables import alert_rows, hour_rows, incident_rows, small_incidents, step_rows
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
    target_cell,
    trend_text,
    verdict_counts,
    what_is_counted,
)
from harness.slo.annotations import BUDGET_POLICY
from harness.slo.budget.budget import thinned
from harness.slo.budget.report import ObjectiveReport, SloReport, count_text, unit_of
from harness.slo.budget.verdict import HORIZON, PACE_MS, BudgetVerdict, Rules, factor, lasting, percent
from harness.slo.model import Calendar
from harness.slo.periods import Window, moment

_MANY = 30
"""Objectives beyond which details are left to the JSON: a page of a hundred stays under a megabyte."""
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
        "alerts": alert_rows(one),
        "quality": quality_table(report.quality, objective) if report.quality is not None else None,
        "incidents": incident_rows(one),
        "incident_count": len(whole.incidents.listed) if whole.incidents else 0,
        "small": small_incidents(one, whole),
        "hours": hour_rows(one),
        "table": [] if many else step_rows(one),
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
