"""The incidents: sized by the budget, counted in whole events, and every kind among them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from harness.series import is_stale, labels_of
from harness.slo.model import DAY_MS, BurnPair
from harness.slo.quality.incidents import HOUR_MS, MINUTE_MS, Incident, IncidentKind, LibrarySetting, library
from harness.slo.quality.policy import Policy, runs
from harness.slo.quality.series import EventSeries, StateSeries
from harness.slo.quality.simulation import SCRAPE_MS, CaseTimes, IncidentWorld, budget, events_world, slices_world

PAIRS = (
    BurnPair("page", HOUR_MS, 5 * MINUTE_MS, Fraction("14.4")),
    BurnPair("page", 6 * HOUR_MS, 30 * MINUTE_MS, Fraction(6)),
    BurnPair("ticket", DAY_MS, 2 * HOUR_MS, Fraction(3)),
    BurnPair("ticket", 3 * DAY_MS, 6 * HOUR_MS, Fraction(1)),
)
GOOD, BAD = labels_of("requests_total", {"code": "200"}), labels_of("requests_total", {"code": "500"})
SERIES = EventSeries((GOOD,), (BAD,))
GAUGE = StateSeries((labels_of("streams", {}),), (Fraction(1),), (Fraction(0),))
TARGETS = [Fraction(9, 10), Fraction(99, 100), Fraction(995, 1000), Fraction(999, 1000), Fraction(9999, 10000)]


def setting(target: Fraction, slice_ms: int | None = None) -> LibrarySetting:
    pairs = tuple(pair for pair in PAIRS if pair.threshold(target) < 1)
    by_events = slice_ms is None
    return LibrarySetting(target, 30 * DAY_MS, pairs, slice_ms, by_events, counters=by_events, groups=3)


def world(incident: Incident, slice_ms: int | None = None) -> IncidentWorld:
    case = CaseTimes(-DAY_MS, 10 * MINUTE_MS, 10 * MINUTE_MS + incident.watched_ms)
    if slice_ms is None:
        return events_world(incident, case, SERIES)
    return slices_world(incident, case, GAUGE, slice_ms, 300_000)


def test_every_kind_is_there() -> None:
    assert {incident.kind for incident in library(setting(Fraction(999, 1000)))} == set(IncidentKind)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("slice_ms", [None, MINUTE_MS])
def test_incidents_are_possible_at_any_target(target: Fraction, slice_ms: int | None) -> None:
    found = library(setting(target, slice_ms))
    assert len({incident.name for incident in found}) == len(found)
    for incident in found:
        assert all(0 <= ratio <= 1 for _, ratio in incident.steps), incident.name
        assert incident.ends_ms <= incident.watched_ms
        assert [at for at, _ in incident.steps] == sorted({at for at, _ in incident.steps})


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_spikes_and_deploys_spend_what_they_say(target: Fraction) -> None:
    """Half of and one and a half of the smallest share (2 %, of a 90 % objective 5 %), and less than it a day."""
    found = {incident.name.partition(",")[0]: incident for incident in library(setting(target))}
    share = setting(target).smallest_share
    for name, times in (("spike within every pair's share", Fraction(1, 2)), ("spike beyond a share", Fraction(3, 2))):
        incident = found[name]
        spent = world(incident).true.bad[-1] / budget(target, 30 * DAY_MS, incident, None)
        assert abs(spent / (share * times) - 1) < Fraction(1, 1000)
    deploys = found["deploys within budget"]
    spent = world(deploys).true.bad[-1] / budget(target, 30 * DAY_MS, deploys, None)
    assert abs(spent / share - 1) < Fraction(1, 100)


def test_the_uneven_day_comes_out_as_it_should() -> None:
    """16 hours at 100 events a second, 8 at 1, an hour of 50 % errors: 3.11 % of the day's events, or 0.031 %."""
    found = {incident.name: incident for incident in library(setting(Fraction(999, 1000)))}
    shares = []
    for when in ("by day", "at night"):
        incident = found[f"50 % errors for an hour {when}"]
        shares.append(world(incident).true.bad[-1] / incident.traffic.events(0, DAY_MS))
    assert [f"{float(share * 100):.3g}" for share in shares] == ["3.11", "0.0311"]


@pytest.mark.parametrize("incident", library(setting(Fraction(999, 1000))), ids=lambda i: i.name)
def test_samples_and_counts_are_the_same_events(incident: Incident) -> None:
    """What the series grow by between scrapes, a restart apart, is what was counted."""
    made = world(incident)
    grown = {trace.labels: trace.values[-1] - trace.values[0] for trace in made.traces}
    seen = made.seen
    assert all(b >= a for a, b in zip(seen.bad, seen.bad[1:], strict=False))
    assert all(bad <= total for total, bad in zip(seen.total, seen.bad, strict=True))
    if incident.restart_ms is not None:
        return
    bad = seen.bad[-1] - seen.bad[0]
    if incident.unborn:
        (born,) = (trace for trace in made.traces if trace.labels == BAD)
        assert born.times_ms[0] > made.case.onset_ms
        assert born.values[-1] == bad
    else:
        assert grown[BAD] == bad
        assert grown[GOOD] == seen.total[-1] - seen.total[0] - bad
    assert not any(is_stale(value) for trace in made.traces for value in trace.values)


def test_error_ratios_are_kept_to_an_event() -> None:
    for incident in library(setting(Fraction(999, 1000))):
        if incident.ratio is None:
            continue
        counts = world(incident).true
        lasted = incident.ends_ms * 100 // 1000
        assert abs(counts.bad[-1] - lasted * incident.ratio) <= 1, incident.name


@pytest.mark.parametrize("ratio", [Fraction(1, 50), Fraction(1, 3), Fraction(1, 2), Fraction(1)], ids=str)
def test_bad_slices_are_spread_evenly(ratio: Fraction) -> None:
    steps = ((0, ratio), (HOUR_MS, Fraction(0)))
    made = world(Incident("x", IncidentKind.CONSTANT, steps, HOUR_MS, 2 * HOUR_MS), MINUTE_MS)
    states = {trace.labels: trace for trace in made.traces}[GAUGE.series[0]]
    sampled = sum(value == 0 for value in states.values) * SCRAPE_MS // MINUTE_MS
    assert made.true.bad[-1] == sampled == -(-60 * ratio // 1)
    first = next(at for at, value in zip(states.times_ms, states.values, strict=True) if value == 0)
    assert first == made.case.onset_ms + SCRAPE_MS // 2, "an incident begins with an error"


def test_the_policy_counts_what_a_window_holds() -> None:
    """One pair of one window of ten minutes: errors for 6 of them at a threshold of 50 %, seen minute by minute."""
    pair = BurnPair("page", 10 * MINUTE_MS, None, Fraction(5))
    incident = Incident(
        "x", IncidentKind.OUTAGE, ((0, Fraction(1)), (6 * MINUTE_MS, Fraction(0))), 6 * MINUTE_MS, HOUR_MS
    )
    made = world(incident, MINUTE_MS)
    fires = Policy((pair,), Fraction(9, 10), 30 * DAY_MS).firing(made, MINUTE_MS).exactly
    # The sixth bad minute is above 5 of 10, and so it is until the first leaves the window.
    assert runs(fires) == [(10 + 6, 10 + 10)]


def test_needed_is_what_overspends_a_window() -> None:
    pair = BurnPair("page", HOUR_MS, 5 * MINUTE_MS, Fraction("14.4"))  # 2 % of the budget in an hour
    policy = Policy((pair,), Fraction(999, 1000), 30 * DAY_MS)
    for events, needed in ((5184, False), (5185, True)):  # 2 % of 0.1 % of 259,200,000
        ratio = Fraction(events, 30_000)
        incident = Incident("x", IncidentKind.SPIKE, ((0, ratio), (300_000, Fraction(0))), 300_000, HOUR_MS)
        made = world(incident)
        assert made.true.bad[-1] == events
        allowed = budget(Fraction(999, 1000), 30 * DAY_MS, incident, None)
        assert any(policy.overspent(made, allowed, MINUTE_MS)) is needed
