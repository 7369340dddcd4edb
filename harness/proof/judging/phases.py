"""What a rule does in other phases of the calendar, against what its contract means."""

from __future__ import annotations

from collections.abc import Callable

from harness.contracts import Contract
from harness.proof.judging import calendar
from harness.proof.measuring.phase_probe import Pattern, PhaseReport, alike
from harness.proof.model import AlertFinding, Verdict


def judge_phases(report: PhaseReport, contract: Contract) -> list[AlertFinding]:
    """Findings about phases in which the alert does not do what it does elsewhere, or fires where it must not."""
    phases, firing = report.phases, report.positions.firing
    meant = "the contract has no `when`, so it means at any time"
    outside = "outside of the contract's `when` it must stay quiet"
    home = report.home

    def found(words: str, wanted: Callable[[int, Pattern], bool], says: str) -> list[AlertFinding]:
        these = [i for i, p in enumerate(phases.phase_of) if wanted(p, report.patterns[p])]
        if not these:
            return []
        inside = phases.inside[phases.phase_of[these[0]]]
        of = [m for m, p in zip(phases.moments, phases.phase_of, strict=True) if not inside or phases.inside[p]]
        when = calendar.in_words([phases.moments[i] for i in these], of)
        zone = f" ({phases.when.zone})" if phases.when.zone != "UTC" else ""
        example = f"for example on {calendar.at(phases.ticks_ms[these[0]], phases.when)}"
        message = words.format(f" {when}{zone}" if when else "")
        return [AlertFinding(Verdict.WRONG_SITUATION, message, (says, example))]

    inside_says = "the contract applies then" if contract.when is not None else meant
    inside = phases.inside
    return [
        *found("fires{}", lambda p, pattern: not inside[p] and any(pattern), outside),
        *found(
            "stays quiet{}",
            lambda p, pattern: inside[p] and any(home[:firing]) and not any(pattern[:firing]),
            inside_says,
        ),
        *found(
            "fires{} wherever the knob stands",
            lambda p, pattern: inside[p] and any(pattern[firing:]) and all(pattern) and not all(home),
            inside_says,
        ),
        *found(
            "has another threshold{}",
            lambda p, pattern: inside[p] and any(pattern[:firing]) and not all(pattern) and not alike(pattern, home),
            inside_says,
        ),
    ]
