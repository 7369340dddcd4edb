"""What was stored and received, against the contract and the course that the case must take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.alertmanager.file import AlertmanagerFile
from harness.live.cases import LiveCase, says
from harness.live.clock import Clock
from harness.live.model import Delivery, LiveResult, LiveVerdict
from harness.live.recording import EDGE_MS, Recording
from harness.live.world import group_key
from harness.proof.judging.hold import looks_back
from harness.proof.judging.labels import TextFault, faulty_texts
from harness.replay import AlertState
from harness.series import carries, format_labels
from harness.units import format_duration

_RANK = {AlertState.INACTIVE: 0, AlertState.PENDING: 1, AlertState.FIRING: 2}


def judge(
    case: LiveCase,
    recording: Recording,
    clock: Clock,
    routing: AlertmanagerFile,
    inhibited: Sequence[tuple[LiveCase, Recording]],
) -> LiveResult:
    """The outcome for a case; `inhibited` are its appearances beside alerts that inhibit it, where it
    must not be notified."""
    contract, rule = case.contract, case.located.rule
    result = LiveResult(
        case.name,
        contract,
        case.located,
        quiet_at=None if case.always else case.course.quiet,
        fires_at=None if case.always else case.course.fires,
        at_threshold=case.course.at_threshold,
        interval_ms=case.plan.interval_ms,
        moved_ms=case.tick_ms(case.course.on, clock),
        hold_ticks_meant=-(-contract.hold_ms // case.plan.interval_ms),
    )
    if not case.course.at_threshold:
        result.notes.append(
            f"rates round at the threshold on this clock: quiet was seen at {says(case, case.course.quiet)}"
        )
    if case.fades:
        result.notes.append("series that end do so without a stale marker here: they are gone after the lookback")
    told = [d for d in recording.told if d.labels.get("alertname") == rule.alert]
    if case.always:
        _always(case, recording, clock, result)
    else:
        _ticks(case, recording, clock, result)
        told = [d for d in told if d.at_ms >= case.tick_ms(case.course.on, clock)]
    _delivery(case, recording, routing, told, result)
    if result.delivered is not None:
        _receiver(case, result)
        _rendering(case, recording, result)
    for beside, seen in inhibited:
        _inhibited(beside, seen, clock, result)
    return result


# -- ticks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SeenTicks:
    """The ticks of a case that took place while its world was shown, up to shortly behind its end."""

    ticks: Sequence[int]
    states: Mapping[int, AlertState]

    def state(self, tick: int) -> AlertState:
        return self.states.get(tick, AlertState.INACTIVE)

    def first(self, state: AlertState, after: int) -> int | None:
        return next((i for i in self.ticks if i >= after and self.state(i) is state), None)


def _seen_ticks(case: LiveCase, recording: Recording, clock: Clock) -> _SeenTicks:
    offset = clock.shrink_ms(case.located.group.query_offset_ms)
    took_place = {at + offset for at in recording.ticks.get(group_key(case.located.group), [])}
    course, over = case.course, case.over()
    shown_ms = recording.first_shown_ms + EDGE_MS
    if case.fades:  # what was absent before its world was shown is over by the second sample, or fires on for a while
        first_ms = case.begin_ms + clock.shrink_ms(case.contract.scrape_ms + case.located.rule.keep_firing_ms)
        shown_ms = max(shown_ms, first_ms + case.plan.interval_ms // clock.factor)
    begin = next((i for i in range(course.on) if case.tick_ms(i, clock) > shown_ms), course.on)
    ends = min(course.ticks, course.ticks if over is None else over + 2)
    ticks = [i for i in range(begin, ends) if case.tick_ms(i, clock) in took_place]
    return _SeenTicks(ticks, _states(case, recording, clock))


def _ticks(case: LiveCase, recording: Recording, clock: Clock, result: LiveResult) -> None:
    """It is quiet, becomes pending, fires and is over, each when it should."""
    seen, course, over = _seen_ticks(case, recording, clock), case.course, case.over()
    result.quiet_ticks = sum(i < course.on or (over is not None and i >= over) for i in seen.ticks)
    early = next((i for i in seen.ticks if i < course.on and seen.state(i) is not AlertState.INACTIVE), None)
    if early is not None:
        what = says(case, course.quiet)
        result.find(
            LiveVerdict.FIRES_AT_THRESHOLD,
            f"{seen.state(early).value} while {what}, where the contract ({contract_says(case)}) wants quiet",
        )
    firing = seen.first(AlertState.FIRING, course.on)
    pending = seen.first(AlertState.PENDING, course.on)
    if firing is not None and (pending is None or pending > firing):
        pending = firing  # without a hold it fires at once
    resolved = None if firing is None else seen.first(AlertState.INACTIVE, firing)
    result.pending_ms, result.firing_ms, result.resolved_ms = (
        None if tick is None else case.tick_ms(tick, clock) for tick in (pending, firing, resolved)
    )
    if firing is None:
        done = "becomes pending but never fires" if pending is not None else "stays quiet"
        result.find(LiveVerdict.NEVER_FIRES, f"{done} while {says(case, course.fires)}, {contract_says(case)}")
        return
    if pending is None:
        raise AssertionError("an alert that fires was pending first")
    _hold(case, pending, firing, result)
    _moments(case, pending, firing, result)
    _end(case, resolved, len(seen.ticks), result)


def _hold(case: LiveCase, pending: int, firing: int, result: LiveResult) -> None:
    """Whether it waits for as long as the contract says."""
    course, interval = case.course, case.plan.interval_ms
    result.hold_ticks = firing - pending
    faded = case.plan.server.lookback_ms // interval if case.fades else 0
    if looks_back(case.contract, case.plan, (pending - course.on - faded) * interval):
        total = firing - course.on
        if not total - faded - 1 <= result.hold_ticks_meant <= total:
            result.find(
                LiveVerdict.WRONG_HOLD,
                f"fires {format_duration(total * interval)} after {says(case, course.fires)}, "
                f"the contract says {format_duration(case.contract.hold_ms)}",
            )
    elif result.hold_ticks != result.hold_ticks_meant:
        result.find(
            LiveVerdict.WRONG_HOLD,
            f"fires {format_duration(result.hold_ticks * interval)} ({result.hold_ticks} ticks) after it becomes "
            f"pending, the contract says {format_duration(case.contract.hold_ms)} ({result.hold_ticks_meant} ticks)",
        )


def _moments(case: LiveCase, pending: int, firing: int, result: LiveResult) -> None:
    """Whether it becomes pending and fires on the ticks of the same course on the world's clock."""
    meant = {state: case.first(state) for state in (AlertState.PENDING, AlertState.FIRING)}
    for state, got in ((AlertState.PENDING, pending), (AlertState.FIRING, firing)):
        wanted = meant[state] if meant[state] is not None or state is AlertState.FIRING else meant[AlertState.FIRING]
        if wanted is not None and abs(got - wanted) > case.play:
            result.find(
                LiveVerdict.WRONG_TICK,
                f"{state.value} {got - case.course.on} ticks after the knob moved, "
                f"on the world's clock {wanted - case.course.on}",
            )


def _end(case: LiveCase, resolved: int | None, seen: int, result: LiveResult) -> None:
    """Whether it is over when it should be; `seen` is how many ticks were."""
    course, over = case.course, case.over()
    if resolved is None:
        if over is not None:
            result.find(
                LiveVerdict.NOT_RESOLVED, f"still firing {seen} ticks later, back at {says(case, course.quiet)}"
            )
        elif course.at_threshold:
            result.find(
                LiveVerdict.FIRES_AT_THRESHOLD,
                f"keeps firing after the knob went back to {says(case, course.quiet)}, {contract_says(case)}",
            )
    elif over is not None and abs(resolved - over) > case.play:
        result.find(
            LiveVerdict.WRONG_TICK,
            f"resolved {resolved - course.off} ticks after the knob went back, "
            f"on the world's clock {over - course.off}",
        )


def _always(case: LiveCase, recording: Recording, clock: Clock, result: LiveResult) -> None:
    """It fires and goes on."""
    states = _states(case, recording, clock)
    offset = clock.shrink_ms(case.located.group.query_offset_ms)
    took_place = {at + offset for at in recording.ticks.get(group_key(case.located.group), [])}
    firing = min((i for i, state in states.items() if state is AlertState.FIRING), default=None)
    if firing is None:
        done = "becomes pending but never fires" if states else "stays quiet"
        result.find(LiveVerdict.NEVER_FIRES, f"{done}, {contract_says(case)}")
        return
    # Prometheus writes no ALERTS until it has looked for those of an earlier life, so the hold is not seen whole.
    result.moved_ms = result.firing_ms = case.tick_ms(firing, clock)
    after = [i for i in range(firing, case.course.ticks) if case.tick_ms(i, clock) in took_place]
    quiet = next((i for i in after if states.get(i) is not AlertState.FIRING), None)
    if quiet is not None:
        result.find(LiveVerdict.WRONG_TICK, f"is no longer firing {quiet - firing} ticks later, {contract_says(case)}")


def contract_says(case: LiveCase) -> str:
    """The contract's threshold in words."""
    contract = case.contract
    return contract.limit


def _states(case: LiveCase, recording: Recording, clock: Clock) -> dict[int, AlertState]:
    """Tick of the case → state, the worst of all alerts that carry the contract's labels."""
    interval = clock.shrink_ms(case.plan.interval_ms)
    offset = clock.shrink_ms(case.located.group.query_offset_ms)
    # `alertstate` in ALERTS is its own, whatever label of that name the alert carries.
    fixed, named = _but_state(case.located.fixed_labels), _but_state(case.contract.identifies or {})
    series = [found for found in recording.alerts.get(case.located.rule.alert, []) if carries(found[0], fixed)]
    ours = [found for found in series if carries(found[0], named)] or series
    states: dict[int, AlertState] = {}
    for labels, times in ours:
        state = AlertState(labels["alertstate"])
        for at in times:
            tick = (at + offset - case.begin_ms) // interval
            if _RANK[state] > _RANK[states.get(tick, AlertState.INACTIVE)]:
                states[tick] = state
    return states


def _is_of(case: LiveCase, labels: Mapping[str, str]) -> bool:
    """Whether an alert is this rule's, where two rules share a name: their plain labels tell them apart."""
    return carries(labels, case.located.fixed_labels)


def _but_state(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != "alertstate"}


# -- notification ------------------------------------------------------------------------------------------------


def _delivery(
    case: LiveCase, recording: Recording, routing: AlertmanagerFile, told: Sequence[Delivery], result: LiveResult
) -> None:
    told = [d for d in told if _is_of(case, d.labels)]
    firing = [d for d in told if d.status == "firing"]
    result.receivers = tuple(dict.fromkeys(d.receiver for d in firing))
    named = [d for d in firing if case.contract.names(d.labels)]
    result.delivered = next(iter(named or firing), None)
    if result.delivered is None:
        if result.firing_ms is not None:
            by = sorted(recording.inhibited.get(case.located.rule.alert, ()))
            why = f": it is inhibited by {', '.join(by)}" if by else ""
            if not by and case.routed and not any(routing.tells(name) for name in case.routed):
                why = f": it is routed to `{case.routed[0]}`, which sends nowhere"
            result.find(LiveVerdict.NOT_DELIVERED, f"fired, but no receiver was told{why}")
        return
    others = {format_labels(d.labels) for d in firing} - {format_labels(result.delivered.labels)}
    if others and case.main() is not None and sum(t.fires for t in case.timelines) <= 1:
        result.find(
            LiveVerdict.WRONG_LABELS, f"{len(others) + 1} alerts were notified where one is meant: {min(others)} …"
        )
    if not any(routing.tells_resolved(name) for name in result.receivers):
        result.notes.append(f"receiver `{result.delivered.receiver}` is not told of resolved alerts (send_resolved)")
        return
    mine = format_labels(result.delivered.labels)
    result.resolved = next((d for d in told if d.status == "resolved" and format_labels(d.labels) == mine), None)
    if result.resolved is None and result.resolved_ms is not None:
        result.find(LiveVerdict.NOT_RESOLVED, f"receiver `{result.delivered.receiver}` was not told that it is over")


def _receiver(case: LiveCase, result: LiveResult) -> None:
    if set(case.routed) != set(result.receivers):
        result.find(
            LiveVerdict.WRONG_RECEIVER,
            f"delivered to {', '.join(result.receivers)}, but what the contract describes "
            f"(severity {case.contract.severity}) is routed to {', '.join(case.routed)}",
        )


def _rendering(case: LiveCase, recording: Recording, result: LiveResult) -> None:
    told = result.delivered
    if told is None:
        return
    for faulty in faulty_texts(case.contract, told.labels, told.annotations):
        if faulty.fault is TextFault.WRONG_LABEL:
            says = f'the contract says `{faulty.name}="{faulty.wanted}"`'
            result.find(LiveVerdict.WRONG_LABELS, f"the notification carries {faulty.got}, {says}")
        else:
            asks = "; the contract asks for it" if faulty.fault is TextFault.NO_ANNOTATION else ""
            result.find(LiveVerdict.WRONG_ANNOTATIONS, f"{faulty.got}{asks}")
    for name, text in told.group_labels.items():
        if told.labels.get(name) != text:
            result.find(LiveVerdict.WRONG_LABELS, f'grouped under `{name}="{text}"`, which is not the alert\'s own')
    shown = [
        texts
        for labels, texts in recording.rendered.get(case.located.rule.alert, [])
        if case.plan.server.sent(dict(labels)) == told.labels
    ]
    if shown and dict(told.annotations) not in [dict(texts) for texts in shown]:
        result.notes.append("the notification's annotations are of a moment at which Prometheus was not asked for them")


def _inhibited(case: LiveCase, recording: Recording, clock: Clock, result: LiveResult) -> None:
    """The same alert beside those that inhibit it: it fires, and nobody is told."""
    by = ", ".join(case.inhibitors)
    told = [
        d for d in recording.told if d.labels.get("alertname") == case.located.rule.alert and _is_of(case, d.labels)
    ]
    told = [d for d in told if d.at_ms >= case.tick_ms(case.course.on, clock)]
    fired = AlertState.FIRING in _states(case, recording, clock).values()
    if told:
        result.find(
            LiveVerdict.NOT_INHIBITED,
            f"receiver `{told[0].receiver}` was told although {by} was firing, which inhibits it by the configuration",
        )
    elif fired:
        result.inhibited_by = tuple(case.inhibitors)
    else:
        result.find(LiveVerdict.NEVER_FIRES, f"does not fire beside {by}")
