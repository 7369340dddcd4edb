"""A situation against what fired in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.contracts import Situation
from harness.proof.model import AlertFinding, SituationResult, Verdict
from harness.replay import AlertState, AlertTimeline
from harness.series import carries, format_labels
from harness.units import format_duration, format_number


def judge_situation(
    situation: Situation,
    timelines: Sequence[AlertTimeline],
    interval_ms: int,
    hidden: Collection[str] = (),
    opaque: Collection[str] = (),
) -> SituationResult:
    """Compare what fired with what the contract expects: each expected alert once, and nothing else.

    `hidden` labels (those that are the same on every alert of the rule) are left out of the reason, `opaque` ones (only
    promtool can tell them) out of the comparison.
    """
    fired = [t for t in timelines if t.fires]
    got = "fires" if fired else "quiet"
    if situation.alerts is None:
        reason = "" if fired else "must fire, but nothing fires"
        return SituationResult(situation.name, "fires", got, reason)
    if not situation.alerts:
        if not fired:
            return SituationResult(situation.name, "quiet", got)
        when = format_duration(min(t.first(AlertState.FIRING) or 0 for t in fired) * interval_ms)
        reason = f"must stay quiet, but fires after {when}: {_alerts(fired, hidden)}"
        return SituationResult(situation.name, "quiet", got, reason, _returned(fired, interval_ms, hidden))
    extra = list(fired)
    for wanted in situation.alerts:
        known = {name: value for name, value in wanted.items() if name not in opaque}
        match = next((t for t in extra if carries(dict(t.labels), known)), None)
        if match is None:
            what = f"fires only for {_alerts(fired, hidden)}" if fired else "nothing fires"
            return SituationResult(situation.name, "fires", got, f"must fire with {format_labels(wanted)}, but {what}")
        extra.remove(match)
    if extra:
        reason = (
            f"{len(fired)} alerts fire where {len(situation.alerts)} are meant; not meant: {_alerts(extra, hidden)}"
        )
        return SituationResult(situation.name, "fires", got, reason, _returned(extra, interval_ms, hidden))
    return SituationResult(situation.name, "fires", got)


def situation_finding(situation: SituationResult) -> AlertFinding:
    """A situation that did not end as meant."""
    message = f"situation `{situation.name}`: {situation.reason}"
    verdict = Verdict.ERROR if situation.got == "error" else Verdict.WRONG_SITUATION
    return AlertFinding(verdict, message, situation.parts, situation=situation.name)


def _returned(fired: Sequence[AlertTimeline], interval_ms: int, hidden: Collection[str]) -> tuple[str, ...]:
    """What the rule returned when the first of these alerts began to fire."""
    first = min(fired, key=lambda t: t.first(AlertState.FIRING) or 0)
    tick = first.first(AlertState.FIRING) or 0
    if tick not in first.values:
        return ()  # it is only kept firing
    whose = _alerts([first], hidden)
    return (f"at {at_tick(tick, interval_ms)} the rule returns {format_number(first.values[tick])} for {whose}",)


def at_tick(tick: int, interval_ms: int) -> str:
    """``5m (tick 10)``."""
    return f"{format_duration(tick * interval_ms)} (tick {tick})"


def _alerts(timelines: Sequence[AlertTimeline], hidden: Collection[str]) -> str:
    shown = [format_labels({k: v for k, v in t.labels if k not in hidden}) or "{}" for t in timelines[:2]]
    return ", ".join(shown) + (f" and {len(timelines) - 2} more" if len(timelines) > 2 else "")
