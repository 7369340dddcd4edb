"""How good an objective's burn-rate alerts are: the real rules, unmodified, over the incident library.

Every incident is played in a period of its own. Around its interesting stretch the rules are evaluated tick by tick,
with as much healthy history before it as they look back on; the rest of the period is counted, not played.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from harness.engines.base import Engine
from harness.errors import UnsupportedError
from harness.replay import AlertState, AlertTimeline, Batch, Plan, Replay, SlotRange, SlotWriter
from harness.rules import RuleFile
from harness.rules.expr import ranges_ms
from harness.series import format_labels
from harness.slo import closedform
from harness.slo.compile.series import PAIR_LABEL
from harness.slo.model import BurnPair, Events, Objective
from harness.slo.quality.groups import Groups, groups_of
from harness.slo.quality.incidents import MINUTE_MS, Incident, IncidentKind, Setting, library
from harness.slo.quality.model import IncidentOutcome, ObjectiveQuality, PairThreshold, QualityVerdict, SeverityQuality
from harness.slo.quality.policy import Policy, runs
from harness.slo.quality.rules import BurnRateRules, alerts_of
from harness.slo.quality.series import EventSeries, WorldSeries, derive
from harness.slo.quality.threshold import ThresholdSearch
from harness.slo.quality.world import (
    RELAXED_SCRAPE_MS,
    SCRAPE_MS,
    IncidentWorld,
    Stage,
    budget,
    events_world,
    slices_world,
)
from harness.slo.queries import grouping_of
from harness.units import count_of, format_duration, format_number

STEPS = 3
"""How often :func:`prove` calls `advance` for each objective."""
_BEFORE_MS = 10 * MINUTE_MS
"""How long a case is evaluated before its incident begins: it must be quiet there."""
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """An objective, the rules that are to watch it, and the pairs that they are held to."""

    objective: Objective
    pairs: tuple[BurnPair, ...]
    files: tuple[RuleFile, ...]


def prove(
    subjects: Sequence[Subject],
    engine: Engine,
    advance: Callable[[str], None] = lambda _: None,
    incidents: Callable[[Setting], Sequence[Incident]] = library,
) -> Iterator[ObjectiveQuality]:
    """Measure one objective after the other. The engine is emptied in between, where its data is ours."""
    tapes = _Tapes(engine)
    objectives = [subject.objective for subject in subjects]
    for subject in subjects:
        yield _Prover(subject, objectives, tapes, partial(advance, subject.objective.name), incidents).run()


@dataclass(slots=True)
class _Tapes:
    """Time to record on: from the start again after each reset, or ever onward on an engine that is not ours."""

    engine: Engine
    _last: SlotWriter | None = None

    def fresh(self) -> SlotWriter:
        if self.engine.disposable:
            self.engine.reset()  # whatever was measured on it before
        if self._last is None or self.engine.disposable:
            self._last = SlotWriter(self.engine)
        return self._last


@dataclass(slots=True)
class _Prover:
    subject: Subject
    objectives: Sequence[Objective]
    tapes: _Tapes
    advance: Callable[[], None]
    incidents: Callable[[Setting], Sequence[Incident]]

    def run(self) -> ObjectiveQuality:
        began = time.monotonic()
        objective, files, engine = self.subject.objective, self.subject.files, self.tapes.engine
        tape = self.tapes.fresh()
        replay = Replay(engine, files)
        rules = alerts_of(objective, self.objectives, files, replay)
        series = derive(objective, rules.selectors, tape)
        interval_ms = _interval_ms(objective, rules)
        # A tick is one slice where nobody cuts time otherwise: thresholds and ready-made ratios.
        slice_ms = objective.slice_ms
        if slice_ms is None and not isinstance(series, EventSeries):
            slice_ms = interval_ms
        groups = None
        if isinstance(series, EventSeries) and slice_ms is None:
            grouping = grouping_of(objective.indicator)
            meant = () if grouping is None or grouping.without else grouping.labels
            by = tuple(dict.fromkeys((*rules.grouped_by, *meant)))
            groups = groups_of(objective, series, rules.selectors, by, tape)
        setting = Setting(
            objective.target,
            objective.period.nominal_ms,
            self.subject.pairs,
            slice_ms,
            by_events=slice_ms is None,
            counters=isinstance(series, EventSeries) and series.cumulative,
            error_series=isinstance(series, EventSeries) and bool(series.only_errors),
            groups=0 if groups is None else len(groups.members),
        )
        played = self._play(setting, series, groups, rules, replay, tape, interval_ms)
        thresholds = self._thresholds(series, rules, slice_ms)
        self.advance()
        severities = [
            self._severity(severity, setting, groups, rules, played, thresholds.get(severity, []), interval_ms)
            for severity in dict.fromkeys(pair.severity for pair in self.subject.pairs)
        ]
        return ObjectiveQuality(
            objective,
            "events" if slice_ms is None else "slices",
            tuple(severities),
            tuple(self._notes(rules)),
            _described(series),
            interval_ms,
            time.monotonic() - began,
            sum(world.stage.length_ms - world.stage.begins_ms for world in played.worlds),
        )

    def _play(
        self,
        setting: Setting,
        series: WorldSeries,
        groups: Groups | None,
        rules: BurnRateRules,
        replay: Replay,
        tape: SlotWriter,
        interval_ms: int,
    ) -> _Played:
        every = [located for found in rules.alerts.values() for located in found]
        plans = [replay.plan(located.group, located.rule) for located in every]
        reach = max((plan.reach_ms for plan in plans), default=0)
        align = max((plan.align_ms for plan in plans), default=interval_ms)
        scrape_ms = _scrape_ms(plans, setting, interval_ms)
        # The pairs look back too, perhaps further than the rules.
        longest, lookback_ms = max(pair.long_ms for pair in setting.pairs), tape.engine.server.lookback_ms
        lead = -(-max(reach, longest + 2 * scrape_ms) // scrape_ms) * scrape_ms
        worlds = [
            _world(incident, series, groups, setting.slice_ms, lead, interval_ms, scrape_ms, lookback_ms)
            for incident in self.incidents(setting)
        ]
        batches = [Batch([world.traces], world.stage.length_ms, reach, align, lead) for world in worlds]
        played = _Played(worlds, tape.record(batches), {})
        self.advance()
        for located, plan in zip(every, plans, strict=True):
            played.timelines[id(located.rule)] = [replay.timelines(plan, reel)[0] for reel in played.reels]
        self.advance()
        return played

    def _thresholds(
        self, series: WorldSeries, rules: BurnRateRules, slice_ms: int | None
    ) -> dict[str, list[PairThreshold]]:
        target = self.subject.objective.target
        indicator = self.subject.objective.indicator
        subtracts = isinstance(indicator, Events) and indicator.good is not None
        seeker = ThresholdSearch(
            self.tapes.engine, self.subject.files, series, target, slice_ms, subtracts, self.tapes.fresh
        )
        found = {}
        for severity, located in rules.alerts.items():
            pairs = [pair for pair in self.subject.pairs if pair.severity == severity]
            if pairs:
                found[severity] = seeker.search(pairs, located)
        return found

    def _severity(
        self,
        severity: str,
        setting: Setting,
        groups: Groups | None,
        rules: BurnRateRules,
        played: _Played,
        thresholds: Sequence[PairThreshold],
        interval_ms: int,
    ) -> SeverityQuality:
        pairs = tuple(pair for pair in self.subject.pairs if pair.severity == severity)
        located = rules.alerts.get(severity, ())
        objective = self.subject.objective
        policy = Policy(pairs, objective.target, setting.period_ms, objective.alerting.min_events)
        outcomes = []
        for i, world in enumerate(played.worlds):
            alerts = [alert for one in located for alert in played.timelines[id(one.rule)][i]]
            outcomes.append(_outcome(world, alerts, policy, interval_ms))
        quality = SeverityQuality(
            severity,
            pairs,
            tuple(dict.fromkeys(one.rule.alert for one in located)),
            tuple(outcomes),
            tuple(thresholds),
        )
        return replace(quality, findings=tuple(_findings(quality, policy, setting, groups, interval_ms)))

    def _notes(self, rules: BurnRateRules) -> Iterator[str]:
        known = {pair.severity for pair in self.subject.pairs}
        for severity in rules.alerts:
            if severity not in known:
                yield f"the rules have {severity} alerts, for which the objective has no window pairs: not judged"


@dataclass(frozen=True, slots=True)
class _Played:
    """The library as it was played: by rule (its id) and incident, the timelines of its alerts."""

    worlds: Sequence[IncidentWorld]
    reels: Sequence[SlotRange]
    timelines: dict[int, list[list[AlertTimeline]]]


def _interval_ms(objective: Objective, rules: BurnRateRules) -> int:
    intervals = {located.group.interval_ms: located for found in rules.alerts.values() for located in found}
    if len(intervals) > 1:
        odd = next(iter(intervals.values()))
        raise UnsupportedError(
            f"the alerts of `{objective.name}` stand in groups of different intervals: "
            f"{', '.join(format_duration(ms) for ms in intervals)}",
            span=odd.rule.span,
            hint="give their groups one interval",
        )
    return next(iter(intervals), MINUTE_MS)


def _scrape_ms(plans: Sequence[Plan], setting: Setting, interval_ms: int) -> int:
    """A minute where counters are read over nothing shorter than five of them, else half a minute; at most a tick.

    Ticks are whole scrapes apart, and samples are taken half a scrape beside them, so none lies on a window's edge.
    """
    shortest = min(
        (ms for plan in plans for e in (plan.rule.expr, *(r.expr for _, r in plan.recordings)) for ms in ranges_ms(e)),
        default=0,
    )
    most = RELAXED_SCRAPE_MS if setting.by_events and shortest >= 5 * RELAXED_SCRAPE_MS else SCRAPE_MS
    fewest = -(-interval_ms // most)
    even = (n for n in range(fewest, 4 * fewest + 4) if interval_ms % (2 * n) == 0)
    return interval_ms // next(even, fewest)


def _world(
    incident: Incident,
    series: WorldSeries,
    groups: Groups | None,
    slice_ms: int | None,
    lead_ms: int,
    interval_ms: int,
    scrape_ms: int,
    lookback_ms: int,
) -> IncidentWorld:
    grid = max(interval_ms, slice_ms or 0)
    onset = -(-_BEFORE_MS // grid) * grid
    length = -(-(onset + incident.watched_ms) // interval_ms) * interval_ms
    stage = Stage(-lead_ms, onset, length, scrape_ms)
    if isinstance(series, EventSeries) and slice_ms is None:
        return events_world(incident, stage, series, groups)
    return slices_world(incident, stage, series, slice_ms or interval_ms, lookback_ms)


def _outcome(
    world: IncidentWorld, alerts: Sequence[AlertTimeline], policy: Policy, interval_ms: int
) -> IncidentOutcome:
    incident, stage = world.incident, world.stage
    ticks = stage.length_ms // interval_ms + 1
    fires = [False] * ticks
    for alert in alerts:
        for i, state in enumerate(alert.states):
            fires[i] = fires[i] or state is AlertState.FIRING
    policy_fires = policy.firing(world, interval_ms)
    meant = policy_fires.exactly
    allowed = budget(policy.target, policy.period_ms, incident, world.slice_ms) * world.part
    overspent = policy.overspent(world, allowed, interval_ms)
    before, spent_to = world.true.until(stage.onset_ms)[1], world.true.until
    detected = _first_ms(fires, stage, interval_ms)
    ratio = incident.ratio
    return IncidentOutcome(
        incident,
        detected,
        _first_ms(meant, stage, interval_ms),
        None if ratio is None else closedform.first_detection_ms(policy.pairs, policy.target, ratio),
        _first_pair(alerts),
        _reset_ms(fires, world, interval_ms),
        _reset_ms(meant, world, interval_ms),
        None if ratio is None else _theory_reset_ms(policy, ratio),
        None if detected is None else _share(spent_to(stage.onset_ms + detected)[1] - before, allowed),
        _share(spent_to(stage.length_ms)[1] - before, allowed),
        any(overspent),
        len(runs(fires)),
        _false(fires, overspent),
        _false(meant, overspent),
        _unmatched(fires, policy_fires.perhaps),
        _unmatched(policy_fires.surely, fires),
    )


def _share(bad: int, allowed: Fraction) -> Fraction:
    return Fraction(bad) / allowed if allowed else Fraction(0)


def _first_ms(fires: Sequence[bool], stage: Stage, interval_ms: int) -> int | None:
    """The first firing tick, from the onset."""
    return next((i * interval_ms - stage.onset_ms for i, flag in enumerate(fires) if flag), None)


def _reset_ms(fires: Sequence[bool], world: IncidentWorld, interval_ms: int) -> int | None:
    """From the last error to the tick after the last that fires; None if it is quiet by then, or if it never ends."""
    stops = world.stage.onset_ms + world.incident.ends_ms
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


def _false(fires: Sequence[bool], overspent: Sequence[bool]) -> int:
    return sum(not any(overspent[first : last + 1]) for first, last in runs(fires))


def _unmatched(fires: Sequence[bool], others: Sequence[bool]) -> int:
    """Ticks that fire while the other does not fire then, nor one tick earlier or later."""
    return sum(flag and not any(others[max(0, i - 1) : i + 2]) for i, flag in enumerate(fires))


def _described(series: WorldSeries) -> dict[str, list[str]]:
    if isinstance(series, EventSeries):
        return {"good": [format_labels(s) for s in series.good], "bad": [format_labels(s) for s in series.bad]}
    return {
        name: [f"{format_labels(s)} {format_number(v)}" for s, v in zip(series.series, values, strict=True)]
        for name, values in (("good", series.good), ("bad", series.bad))
    }


# -- findings ----------------------------------------------------------------------------------------------------------


def _findings(
    quality: SeverityQuality, policy: Policy, setting: Setting, groups: Groups | None, interval_ms: int
) -> Iterator[tuple[QualityVerdict, str]]:
    """What is wrong, the worst first."""
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
    if setting.by_events:
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
