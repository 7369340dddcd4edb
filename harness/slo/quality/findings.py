"""What is wrong with the alerts of one severity, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from harness.slo.quality.groups import Groups
from harness.slo.quality.incidents import IncidentKind
from harness.slo.quality.policy import Policy
from harness.slo.quality.results import IncidentOutcome, PairThreshold, QualityVerdict, SeverityQuality
from harness.units import count_of, format_duration, format_number

_MOST_NAMED = 3


def findings(
    quality: SeverityQuality, policy: Policy, groups: Groups | None, interval_ms: int, *, by_events: bool
) -> Iterator[tuple[QualityVerdict, str]]:
    """What is wrong, the worst first.

    The closed form is held against the alerts only where traffic weighs (`by_events`): it knows no slices.
    """
    for pair in policy.unreachable():
        yield (
            QualityVerdict.UNREACHABLE,
            (
                f"{pair.label} × {format_number(pair.factor)} can never fire: θ is "
                f"{_percent(pair.threshold(policy.target))}, "
                "and no error ratio is above 100 %"
            ),
        )
    if not quality.rules:
        yield QualityVerdict.NO_ALERT, f"the rules have no {quality.severity} alert for this objective"
        return
    if quality.needed and not quality.alerts:
        yield QualityVerdict.NEVER_FIRES, f"no incident makes it fire, {quality.needed} need it"
    for threshold in quality.thresholds:
        if not threshold.exact:
            yield QualityVerdict.OFF_THRESHOLD, _off_threshold(threshold)
    seen = [o for o in quality.outcomes if not o.as_the_policy]
    missed = [o for o in seen if o.detected_ms is None]
    extra = [o for o in seen if o.policy_ms is None]
    if quality.alerts and missed:
        yield QualityVerdict.MISSED, f"does not see {_named(missed)}{_grouped(missed, groups)}"
    if extra:
        yield QualityVerdict.FALSE_ALERT, f"fires although no pair does: {_named(extra)}{_grouped(extra, groups)}"
    off = [o for o in seen if o not in missed and o not in extra]
    if off:
        yield QualityVerdict.OFF_TIME, f"fires at other times than the pairs in {_named(off)}: {_times(off[0])}"
    if by_events:
        yield from _against_theory(quality, interval_ms)


def _grouped(outcomes: Sequence[IncidentOutcome], groups: Groups | None) -> str:
    """What rules and objective take for a whole, if that is where they differ."""
    if groups is None or not all(o.incident.kind is IncidentKind.GROUP for o in outcomes):
        return ""
    if groups.apart:
        return " (the objective has a budget for each group, the rules add them up)"
    by = f" by {', '.join(groups.labels)}" if groups.labels else ""
    return f" (the rules look at each group{by}, the objective's budget is one over all)"


def _times(outcome: IncidentOutcome) -> str:
    """How an incident's alert differs from its pairs: in detection, in reset, or on ticks between them."""
    name = outcome.incident.name
    parts = [
        f"{what} after {told} (the pairs: {meant})"
        for what, (told, meant) in (
            ("detected", told_apart(outcome.detected_ms, outcome.policy_ms)),
            ("reset", told_apart(outcome.reset_ms, outcome.policy_reset_ms)),
        )
        if told != meant
    ]
    if parts:
        return f"{name} is {' and '.join(parts)}"
    more = [f"on {count_of(outcome.extra_ticks, 'tick')} on which no pair does"] * bool(outcome.extra_ticks)
    less = [f"not on {count_of(outcome.lost_ticks, 'tick')} on which a pair does"] * bool(outcome.lost_ticks)
    return f"in between {name} fires {' and '.join((*more, *less))}"


def _against_theory(quality: SeverityQuality, interval_ms: int) -> Iterator[tuple[QualityVerdict, str]]:
    """The closed form, rounded up to a tick, must be met to a tick: a second word beside the counted one."""
    late = [o for o in quality.constant() if not _agrees(o.detected_ms, o.theory_ms, interval_ms)]
    slow = [o for o in quality.constant() if not _agrees(o.reset_ms, o.theory_reset_ms, interval_ms)]
    for found, what in ((late, "detected"), (slow, "reset")):
        if found:
            o = found[0]
            times = (o.detected_ms, o.theory_ms) if what == "detected" else (o.reset_ms, o.theory_reset_ms)
            measured, theory = told_apart(*times)
            yield (
                QualityVerdict.OFF_TIME,
                (
                    f"{what} at other times than the closed form in {_named(found)}: {o.incident.name} after "
                    f"{measured}, by the closed form {theory}"
                ),
            )


def _agrees(measured: int | None, theory: Fraction | None, interval_ms: int) -> bool:
    if measured is None or theory is None:
        return measured is None and theory is None
    return abs(measured - -(-theory // interval_ms) * interval_ms) <= interval_ms


def _off_threshold(found: PairThreshold) -> str:
    """Where it fires instead, or why that is not known."""
    where = f"{found.pair.label} × {format_number(found.pair.factor)}"
    if found.fires_at is None or found.quiet_at is None:
        return f"{where} {found.note}"
    at, theta = percents_apart(found.fires_at, found.wanted)
    return f"{where} fires from {at} on, θ is {theta}" + (f" ({found.note})" if found.note else "")


def _named(outcomes: Sequence[IncidentOutcome]) -> str:
    names = [f"`{o.incident.name}`" for o in outcomes[:_MOST_NAMED]]
    more = len(outcomes) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _percent(ratio: Fraction, digits: int = 6) -> str:
    return f"{format_number(float(f'{float(ratio * 100):.{digits}g}'))} %"


def percents_apart(one: Fraction, other: Fraction) -> tuple[str, str]:
    """Two ratios in percent, with as many digits (from six on) as it takes to tell them apart."""
    for digits in range(6, 18):
        told = _percent(one, digits), _percent(other, digits)
        if told[0] != told[1]:
            break
    return told


def told_apart(one: int | Fraction | None, other: int | Fraction | None) -> tuple[str, str]:
    """Two times in whole seconds, or in milliseconds where they differ in those; the same text twice if in nothing."""
    for step_ms in (1000, 1):
        told = _time(one, step_ms), _time(other, step_ms)
        if told[0] != told[1]:
            break
    return told


def _time(ms: int | Fraction | None, step_ms: int) -> str:
    return "never" if ms is None else format_duration(round(ms / step_ms) * step_ms)
