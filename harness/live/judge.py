"""What was stored and received, against the contract and the course that the case must take."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.alertmanager.file import AlertmanagerFile
from harness.engines.base import Engine
from harness.live.cases import UP, LiveCase, says
from harness.live.clock import Clock
from harness.live.model import Delivery, LiveResult, LiveVerdict
from harness.live.world import LiveWorld, group_key
from harness.proof.judging.hold import looks_back
from harness.proof.judging.labels import TextFault, faulty_texts
from harness.replay import AlertState
from harness.series import Labels, carries, format_labels
from harness.units import format_duration

_EDGE_MS = 50
"""A scrape that ends so shortly before a tick may be committed after the tick has looked."""
_RANK = {AlertState.INACTIVE: 0, AlertState.PENDING: 1, AlertState.FIRING: 2}

Rendered = list[tuple[Mapping[str, str], Mapping[str, str]]]


@dataclass(slots=True)
class Recording:
    """Everything that a world left behind. Times are Unix milliseconds."""

    ticks: Mapping[str, list[int]] = field(default_factory=dict)
    """Group → the ticks that took place, less the group's query offset (as samples are stored)."""
    alerts: dict[str, list[tuple[dict[str, str], list[int]]]] = field(default_factory=dict)
    """Alert → its series of `ALERTS`, each with the times of its samples."""
    ups: dict[Labels, list[tuple[int, float]]] = field(default_factory=dict)
    stored: dict[Labels, int] = field(default_factory=dict)
    """How many samples of each exposed series Prometheus stored."""
    due: Mapping[Labels, list[int]] = field(default_factory=dict)
    rendered: dict[str, Rendered] = field(default_factory=dict)
    """Alert → (labels, annotations) as Prometheus' API showed them from time to time."""
    inhibited: dict[str, set[str]] = field(default_factory=dict)
    told: Sequence[Delivery] = ()
    first_shown_ms: int = 0
    read_ms: int = 0

    def read(self, engine: Engine, world: LiveWorld, until_ms: int) -> None:
        """Read the stored samples; one query per kind."""
        self.read_ms = until_ms
        for series in engine.query("ALERTS[1h]", until_ms):
            labels = dict(series.labels)
            self.alerts.setdefault(labels["alertname"], []).append((labels, series.timestamps_ms))
        if world.targets:
            for series in engine.query(f"{UP}[1h]", until_ms):
                self.ups[series.labels] = list(zip(series.timestamps_ms, series.values, strict=True))
        metrics = sorted({dict(labels)["__name__"] for labels in self.due})
        for metric in metrics:
            selector = f'{{__name__="{metric}"}}'
            for series in engine.query(f"count_over_time({selector}[1h])", until_ms):
                named = tuple(sorted({**dict(series.labels), "__name__": metric}.items()))
                self.stored[named] = round(series.values[0])

    def too_busy(self, world: LiveWorld, clock: Clock, since_ms: int, until_ms: int) -> str:
        """Why this run says nothing: a tick or scrape that the machine missed; empty if it kept up."""
        for case in world.all():
            group = case.located.group
            interval = clock.shrink_ms(group.interval_ms)
            ticks = [at for at in self.ticks.get(group_key(group), []) if at >= since_ms - 2 * interval]
            gaps = [b - a for a, b in itertools.pairwise(ticks)]
            if missed := sum(gap // interval - 1 for gap in gaps):
                return f"{missed} evaluations of group `{group.name}` were missed"
            if not ticks or until_ms - ticks[-1] > 3 * interval:
                return f"group `{group.name}` was not evaluated to the end"
        spare = min((clock.shrink_ms(case.contract.scrape_ms // 2) for case in world.all()), default=0)
        late = [s for s in world.feed.sent if s.due_ms >= since_ms and s.sent_ms > s.due_ms + spare - _EDGE_MS]
        if late:
            return f"{len(late)} samples of the exporter were scraped after the tick that needed them"
        for labels, due in self.due.items():
            wanted = sum(at <= self.read_ms for at in due)
            if (got := self.stored.get(labels, 0)) < wanted:
                return f"Prometheus stored {got} of {wanted} samples of {format_labels(labels)}"
        return self._targets(world, clock, since_ms)

    def _targets(self, world: LiveWorld, clock: Clock, since_ms: int) -> str:
        for case in world.all():
            every = clock.shrink_ms(case.contract.scrape_ms)
            for labels, feed in world.targets.items() if case.uses_up else ():
                seen = [(at, value) for at, value in self.ups.get(labels, []) if at >= since_ms - 2 * every]
                if any(b - a > 1.5 * every for (a, _), (b, _) in itertools.pairwise(seen)) or not seen:
                    return f"scrapes of {format_labels(labels)} were missed"
                for at, value in seen:
                    near = any(abs(at - edge) < 4 * _EDGE_MS for down in feed.down_ms for edge in down)
                    if not near and value == feed.is_down(at):
                        return f"a scrape of {format_labels(labels)} failed that was answered"
        return ""


def judge(
    case: LiveCase,
    witness: Recording,
    clock: Clock,
    routing: AlertmanagerFile,
    silenced: Sequence[tuple[LiveCase, Recording]],
) -> LiveResult:
    """The outcome for a case; `silenced` are its appearances as a companion, where it must not be notified."""
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
    told = [d for d in witness.told if d.labels.get("alertname") == rule.alert]
    if case.always:
        _always(case, witness, clock, result)
    else:
        _ticks(case, witness, clock, result)
        told = [d for d in told if d.at_ms >= case.tick_ms(case.course.on, clock)]
    _delivery(case, witness, routing, told, result)
    if result.delivered is not None:
        _receiver(case, result)
        _rendering(case, witness, result)
    for twin, other in silenced:
        _silence(twin, other, clock, result)
    return result


# -- ticks -------------------------------------------------------------------------------------------------------


def _ticks(case: LiveCase, witness: Recording, clock: Clock, result: LiveResult) -> None:
    states = _states(case, witness, clock)
    offset = clock.shrink_ms(case.located.group.query_offset_ms)
    took_place = {at + offset for at in witness.ticks.get(group_key(case.located.group), [])}
    course, interval = case.course, case.plan.interval_ms
    shown_ms = witness.first_shown_ms + _EDGE_MS
    if case.fades:  # what was absent before its world was shown is over by the second sample, or fires on for a while
        first_ms = case.begin_ms + clock.shrink_ms(case.contract.scrape_ms + case.located.rule.keep_firing_ms)
        shown_ms = max(shown_ms, first_ms + case.plan.interval_ms // clock.factor)
    begin = next((i for i in range(course.on) if case.tick_ms(i, clock) > shown_ms), course.on)
    over = case.over()
    ends = min(course.ticks, course.ticks if over is None else over + 2)
    seen = [i for i in range(begin, ends) if case.tick_ms(i, clock) in took_place]
    result.quiet_ticks = sum(i < course.on or (over is not None and i >= over) for i in seen)

    early = [i for i in seen if i <= course.on - 1 and states.get(i, AlertState.INACTIVE) is not AlertState.INACTIVE]
    if early:
        what = says(case, course.quiet)
        result.find(
            LiveVerdict.FIRES_AT_THRESHOLD,
            f"{states[early[0]].value} while {what}, where the contract ({contract_says(case)}) wants quiet",
        )

    def first(state: AlertState, after: int) -> int | None:
        return next((i for i in seen if i >= after and states.get(i, AlertState.INACTIVE) is state), None)

    firing = first(AlertState.FIRING, course.on)
    pending = first(AlertState.PENDING, course.on)
    if firing is not None and (pending is None or pending > firing):
        pending = firing  # without a hold it fires at once
    resolved = None if firing is None else first(AlertState.INACTIVE, firing)
    at = {name: None if i is None else case.tick_ms(i, clock) for name, i in
          (("pending", pending), ("firing", firing), ("resolved", resolved))}  # fmt: skip
    result.pending_ms, result.firing_ms, result.resolved_ms = at["pending"], at["firing"], at["resolved"]
    if firing is None:
        done = "becomes pending but never fires" if pending is not None else "stays quiet"
        result.find(LiveVerdict.NEVER_FIRES, f"{done} while {says(case, course.fires)}, {contract_says(case)}")
        return
    if pending is None:
        raise AssertionError("an alert that fires was pending first")
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
    meant = {state: case.first(state) for state in (AlertState.PENDING, AlertState.FIRING)}
    for state, got in ((AlertState.PENDING, pending), (AlertState.FIRING, firing)):
        wanted = meant[state] if meant[state] is not None or state is AlertState.FIRING else meant[AlertState.FIRING]
        if wanted is not None and abs(got - wanted) > case.play:
            result.find(
                LiveVerdict.WRONG_TICK,
                f"{state.value} {got - course.on} ticks after the knob moved, "
                f"on the world's clock {wanted - course.on}",
            )
    if resolved is None:
        if over is not None:
            result.find(
                LiveVerdict.NOT_RESOLVED, f"still firing {len(seen)} ticks later, back at {says(case, course.quiet)}"
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


def _always(case: LiveCase, witness: Recording, clock: Clock, result: LiveResult) -> None:
    """It fires and goes on."""
    states = _states(case, witness, clock)
    offset = clock.shrink_ms(case.located.group.query_offset_ms)
    took_place = {at + offset for at in witness.ticks.get(group_key(case.located.group), [])}
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


def _states(case: LiveCase, witness: Recording, clock: Clock) -> dict[int, AlertState]:
    """Tick of the case → state, the worst of all alerts that carry the contract's labels."""
    interval = clock.shrink_ms(case.plan.interval_ms)
    offset = clock.shrink_ms(case.located.group.query_offset_ms)
    # `alertstate` in ALERTS is its own, whatever label of that name the alert carries.
    fixed, named = _but_state(case.located.fixed_labels), _but_state(case.contract.identifies or {})
    series = [found for found in witness.alerts.get(case.located.rule.alert, []) if carries(found[0], fixed)]
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
    case: LiveCase, witness: Recording, routing: AlertmanagerFile, told: Sequence[Delivery], result: LiveResult
) -> None:
    told = [d for d in told if _is_of(case, d.labels)]
    firing = [d for d in told if d.status == "firing"]
    result.receivers = tuple(dict.fromkeys(d.receiver for d in firing))
    named = [d for d in firing if case.contract.names(d.labels)]
    result.delivered = next(iter(named or firing), None)
    if result.delivered is None:
        if result.firing_ms is not None:
            by = sorted(witness.inhibited.get(case.located.rule.alert, ()))
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


def _rendering(case: LiveCase, witness: Recording, result: LiveResult) -> None:
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
        for labels, texts in witness.rendered.get(case.located.rule.alert, [])
        if case.plan.server.sent(dict(labels)) == told.labels
    ]
    if shown and dict(told.annotations) not in [dict(texts) for texts in shown]:
        result.notes.append("the notification's annotations are of a moment at which Prometheus was not asked for them")


def _silence(twin: LiveCase, witness: Recording, clock: Clock, result: LiveResult) -> None:
    """The same alert beside its silencers: it fires, and nobody is told."""
    by = ", ".join(twin.inhibitors)
    told = [d for d in witness.told if d.labels.get("alertname") == twin.located.rule.alert and _is_of(twin, d.labels)]
    told = [d for d in told if d.at_ms >= twin.tick_ms(twin.course.on, clock)]
    fired = AlertState.FIRING in _states(twin, witness, clock).values()
    if told:
        result.find(
            LiveVerdict.NOT_INHIBITED,
            f"receiver `{told[0].receiver}` was told although {by} was firing, which inhibits it by the configuration",
        )
    elif fired:
        result.inhibited_by = tuple(twin.inhibitors)
    else:
        result.find(LiveVerdict.NEVER_FIRES, f"does not fire beside {by}")
