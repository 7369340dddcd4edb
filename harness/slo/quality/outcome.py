"""What the alerts of one severity did in one incident, beside what the objective's pairs do there."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.replay import AlertState, AlertTimeline
from harness.slo import closedform
from harness.slo.compile.series import PAIR_LABEL
from harness.slo.quality.policy import Policy, runs
from harness.slo.quality.results import IncidentOutcome
from harness.slo.quality.simulation import CaseTimes, IncidentWorld, budget


def outcome_of(
    world: IncidentWorld, alerts: Sequence[AlertTimeline], policy: Policy, interval_ms: int
) -> IncidentOutcome:
    """Times are taken at ticks of the rules, `interval_ms` apart; budget is counted from every event that happened."""
    incident, case = world.incident, world.case
    ticks = case.length_ms // interval_ms + 1
    fires = [False] * ticks
    for alert in alerts:
        for i, state in enumerate(alert.states):
            fires[i] = fires[i] or state is AlertState.FIRING
    policy_fires = policy.firing(world, interval_ms)
    meant = policy_fires.exactly
    allowed = budget(policy.target, policy.period_ms, incident, world.slice_ms) * world.part
    overspent = policy.overspent(world, allowed, interval_ms)
    before, spent_to = world.true.until(case.onset_ms)[1], world.true.until
    detected = _first_ms(fires, case, interval_ms)
    ratio = incident.ratio
    return IncidentOutcome(
        incident,
        detected,
        _first_ms(meant, case, interval_ms),
        None if ratio is None else closedform.first_detection_ms(policy.pairs, policy.target, ratio),
        _first_pair(alerts),
        _reset_ms(fires, world, interval_ms),
        _reset_ms(meant, world, interval_ms),
        None if ratio is None else _theory_reset_ms(policy, ratio),
        None if detected is None else _share_of(spent_to(case.onset_ms + detected)[1] - before, allowed),
        _share_of(spent_to(case.length_ms)[1] - before, allowed),
        any(overspent),
        len(runs(fires)),
        _false_alerts(fires, overspent),
        _false_alerts(meant, overspent),
        _unmatched(fires, policy_fires.perhaps),
        _unmatched(policy_fires.surely, fires),
    )


def _share_of(bad: int, allowed: Fraction) -> Fraction:
    return Fraction(bad) / allowed if allowed else Fraction(0)


def _first_ms(fires: Sequence[bool], case: CaseTimes, interval_ms: int) -> int | None:
    """The first firing tick, from the onset."""
    return next((i * interval_ms - case.onset_ms for i, flag in enumerate(fires) if flag), None)


def _reset_ms(fires: Sequence[bool], world: IncidentWorld, interval_ms: int) -> int | None:
    """From the last error to the tick after the last that fires; None if it is quiet by then, or if it never ends."""
    stops = world.case.onset_ms + world.incident.ends_ms
    last = max((i for i, flag in enumerate(fires) if flag), default=-1)
    # Errors may stop between two ticks: the one before still fires then, the one after no longer.
    if (last + 1) * interval_ms <= stops or last == len(fires) - 1 or last < 0:
        return None
    return (last + 1) * interval_ms - stops


def _theory_reset_ms(policy: Policy, ratio: Fraction) -> Fraction | None:
    """The last of the severity's pairs to fall silent; each has fired, for the incident lasts until then."""
    found = [closedform.reset_ms(pair, policy.target, ratio) for pair in policy.pairs]
    return max((at for at in found if at is not None), default=None)


def _first_pair(alerts: Sequence[AlertTimeline]) -> str:
    """The pairs that fire on the first tick on which any does, by the label that compiled rules have."""
    firsts = [(first, alert) for alert in alerts if (first := alert.first(AlertState.FIRING)) is not None]
    at = min((first for first, _ in firsts), default=0)
    return ", ".join(sorted({dict(alert.labels).get(PAIR_LABEL, "") for first, alert in firsts if first == at} - {""}))


def _false_alerts(fires: Sequence[bool], overspent: Sequence[bool]) -> int:
    """How many stretches of firing never saw an overspent window."""
    return sum(not any(overspent[first : last + 1]) for first, last in runs(fires))


def _unmatched(fires: Sequence[bool], others: Sequence[bool]) -> int:
    """Ticks that fire while the other does not fire then, nor one tick earlier or later."""
    return sum(flag and not any(others[max(0, i - 1) : i + 2]) for i, flag in enumerate(fires))
