"""The rows of the tables on the SLO report's page: burn-rate alerts, incidents, hours, and the charts' steps."""

from __future__ import annotations

from fractions import Fraction

from harness.report.html.template import shown
from harness.report.slo.charts import LETTERS
from harness.report.slo.wording import signed_percent, state_text
from harness.slo.budget.buckets import EventTally
from harness.slo.budget.budget import Point, thinned
from harness.slo.budget.report import ObjectiveReport, count_text, unit_of
from harness.slo.budget.verdict import factor, lasting, percent
from harness.slo.periods import moment
from harness.units import count_of, format_duration

_ROWS = 31
"""Of the charts' steps: about a month."""


def alert_rows(one: ObjectiveReport) -> list[dict[str, str]]:
    """A row for each burn-rate alert: when it fires, what burns now, when it fired, how long the budget lasts."""
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


def incident_rows(one: ObjectiveReport) -> list[dict[str, str]]:
    """A row for each incident, the dearest first, as the charts have their letters."""
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


def small_incidents(one: ObjectiveReport, whole: ObjectiveReport) -> str:
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


def hour_rows(one: ObjectiveReport) -> list[tuple[str, ...]]:
    """The worst hours: when, how much was bad, the error ratio, and what it cost of the budget."""
    return [
        (
            moment(hour.start_ms),
            _bad(one, hour.tally),
            percent(hour.tally.error_ratio or Fraction(0)),
            percent(hour.cost),
        )
        for hour in one.hours
    ]


def _bad(one: ObjectiveReport, tally: EventTally) -> str:
    return f"{count_text(tally.bad)} of {count_text(tally.total)} {unit_of(one.objective)}"


def step_rows(one: ObjectiveReport) -> list[tuple[str, ...]]:
    """The charts' steps, joined to about a month of rows."""
    return [_step(one, point) for point in thinned(one.points, _ROWS)]


def _step(one: ObjectiveReport, point: Point) -> tuple[str, ...]:
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
        "–" if point.left is None else signed_percent(point.left),
        percent(Fraction(tally.measured_ms, point.end_ms - point.start_ms)),
    )
