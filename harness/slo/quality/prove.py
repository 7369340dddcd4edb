"""How good an objective's burn-rate alerts are: the real rules, unmodified, over the incident library.

Every incident is played in a period of its own. Around its interesting stretch the rules are evaluated tick by tick,
with as much healthy history before it as they look back on; the rest of the period is counted, not played.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from harness.engines.base import Engine
from harness.errors import UnsupportedError
from harness.replay import AlertTimeline, Batch, Plan, Replay, SlotRange, SlotWriter
from harness.rules import RuleFile
from harness.rules.expr import ranges_ms
from harness.series import format_labels
from harness.slo.model import BurnPair, Events, Objective
from harness.slo.quality.derive import derive
from harness.slo.quality.findings import findings
from harness.slo.quality.groups import Groups, groups_of
from harness.slo.quality.incidents import MINUTE_MS, Incident, LibrarySetting, library
from harness.slo.quality.outcome import outcome_of
from harness.slo.quality.policy import Policy
from harness.slo.quality.results import (
    ObjectiveQuality,
    PairThreshold,
    SeverityQuality,
)
from harness.slo.quality.rules import BurnRateRules, alerts_of
from harness.slo.quality.series import EventSeries, WorldSeries
from harness.slo.quality.simulation import (
    RELAXED_SCRAPE_MS,
    SCRAPE_MS,
    CaseTimes,
    IncidentWorld,
    events_world,
    slices_world,
)
from harness.slo.quality.threshold import ThresholdSearch
from harness.slo.queries import grouping_of
from harness.units import format_duration, format_number

STEPS = 3
"""How often :func:`prove` calls `advance` for each objective."""
_BEFORE_MS = 10 * MINUTE_MS
"""How long a case is evaluated before its incident begins: it must be quiet there."""


@dataclass(frozen=True, slots=True)
class ObjectiveUnderTest:
    """An objective, the rules that are to watch it, and the pairs that they are held to."""

    objective: Objective
    pairs: tuple[BurnPair, ...]
    files: tuple[RuleFile, ...]


def prove(
    subjects: Sequence[ObjectiveUnderTest],
    engine: Engine,
    advance: Callable[[str], None] = lambda _: None,
    incidents: Callable[[LibrarySetting], Sequence[Incident]] = library,
) -> Iterator[ObjectiveQuality]:
    """Measure one objective after the other. The engine is emptied in between, where its data is ours."""
    writers = _SlotWriters(engine)
    objectives = [subject.objective for subject in subjects]
    for subject in subjects:
        yield _ObjectiveProver(subject, objectives, writers, partial(advance, subject.objective.name), incidents).run()


@dataclass(slots=True)
class _SlotWriters:
    """Slot writers: from the start again once the engine was emptied, else further on in its time."""

    engine: Engine
    _last: SlotWriter | None = None

    def fresh(self) -> SlotWriter:
        if self.engine.disposable:
            self.engine.reset()  # whatever was measured on it before
        if self._last is None or self.engine.disposable:
            self._last = SlotWriter(self.engine)
        return self._last


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What an objective's alerts are proved under."""

    rules: BurnRateRules
    series: WorldSeries
    groups: Groups | None
    """Groups of the series of which one can burn; None: nothing tells any apart."""
    setting: LibrarySetting
    interval_ms: int
    """How far the ticks of the rules are apart."""


@dataclass(slots=True)
class _ObjectiveProver:
    subject: ObjectiveUnderTest
    objectives: Sequence[Objective]
    writers: _SlotWriters
    advance: Callable[[], None]
    incidents: Callable[[LibrarySetting], Sequence[Incident]]

    def run(self) -> ObjectiveQuality:
        began = time.monotonic()
        writer = self.writers.fresh()
        replay = Replay(self.writers.engine, self.subject.files)
        conditions = self._conditions(replay, writer)
        played = self._play(conditions, replay, writer)
        thresholds = self._thresholds(conditions)
        self.advance()
        severities = [
            self._severity(severity, conditions, played, thresholds.get(severity, []))
            for severity in dict.fromkeys(pair.severity for pair in self.subject.pairs)
        ]
        return ObjectiveQuality(
            self.subject.objective,
            "events" if conditions.setting.slice_ms is None else "slices",
            tuple(severities),
            tuple(self._notes(conditions.rules)),
            _described(conditions.series),
            conditions.interval_ms,
            time.monotonic() - began,
            sum(world.case.length_ms - world.case.begins_ms for world in played.worlds),
        )

    def _conditions(self, replay: Replay, writer: SlotWriter) -> _Conditions:
        objective = self.subject.objective
        rules = alerts_of(objective, self.objectives, self.subject.files, replay)
        series = derive(objective, rules.selectors, writer)
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
            groups = groups_of(objective, series, rules.selectors, by, writer)
        setting = LibrarySetting(
            objective.target,
            objective.period.nominal_ms,
            self.subject.pairs,
            slice_ms,
            by_events=slice_ms is None,
            counters=isinstance(series, EventSeries) and series.cumulative,
            error_series=isinstance(series, EventSeries) and bool(series.only_errors),
            groups=0 if groups is None else len(groups.members),
        )
        return _Conditions(rules, series, groups, setting, interval_ms)

    def _play(self, conditions: _Conditions, replay: Replay, writer: SlotWriter) -> _PlayedLibrary:
        setting, interval_ms = conditions.setting, conditions.interval_ms
        every = [located for found in conditions.rules.alerts.values() for located in found]
        plans = [replay.plan(located.group, located.rule) for located in every]
        reach = max((plan.reach_ms for plan in plans), default=0)
        align = max((plan.align_ms for plan in plans), default=interval_ms)
        scrape_ms = _scrape_ms(plans, setting, interval_ms)
        # The pairs look back too, perhaps further than the rules.
        longest = max(pair.long_ms for pair in setting.pairs)
        lead = -(-max(reach, longest + 2 * scrape_ms) // scrape_ms) * scrape_ms
        lookback_ms = writer.engine.server.lookback_ms
        worlds = [
            _world(incident, conditions, _case(incident, conditions, lead, scrape_ms), lookback_ms)
            for incident in self.incidents(setting)
        ]
        batches = [Batch([world.traces], world.case.length_ms, reach, align, lead) for world in worlds]
        played = _PlayedLibrary(worlds, writer.record(batches), {})
        self.advance()
        for located, plan in zip(every, plans, strict=True):
            played.timelines[id(located.rule)] = [replay.timelines(plan, slots)[0] for slots in played.slot_ranges]
        self.advance()
        return played

    def _thresholds(self, conditions: _Conditions) -> dict[str, list[PairThreshold]]:
        indicator = self.subject.objective.indicator
        search = ThresholdSearch(
            self.writers.engine,
            self.subject.files,
            conditions.series,
            self.subject.objective.target,
            conditions.setting.slice_ms,
            isinstance(indicator, Events) and indicator.good is not None,
            self.writers.fresh,
        )
        found = {}
        for severity, located in conditions.rules.alerts.items():
            pairs = [pair for pair in self.subject.pairs if pair.severity == severity]
            if pairs:
                found[severity] = search.search(pairs, located)
        return found

    def _severity(
        self, severity: str, conditions: _Conditions, played: _PlayedLibrary, thresholds: Sequence[PairThreshold]
    ) -> SeverityQuality:
        setting, interval_ms = conditions.setting, conditions.interval_ms
        pairs = tuple(pair for pair in self.subject.pairs if pair.severity == severity)
        located = conditions.rules.alerts.get(severity, ())
        objective = self.subject.objective
        policy = Policy(pairs, objective.target, setting.period_ms, objective.alerting.min_events)
        outcomes = []
        for i, world in enumerate(played.worlds):
            alerts = [alert for one in located for alert in played.timelines[id(one.rule)][i]]
            outcomes.append(outcome_of(world, alerts, policy, interval_ms))
        quality = SeverityQuality(
            severity,
            pairs,
            tuple(dict.fromkeys(one.rule.alert for one in located)),
            tuple(outcomes),
            tuple(thresholds),
        )
        found = findings(quality, policy, conditions.groups, interval_ms, by_events=setting.by_events)
        return replace(quality, findings=tuple(found))

    def _notes(self, rules: BurnRateRules) -> Iterator[str]:
        known = {pair.severity for pair in self.subject.pairs}
        for severity in rules.alerts:
            if severity not in known:
                yield f"the rules have {severity} alerts, for which the objective has no window pairs: not judged"


@dataclass(frozen=True, slots=True)
class _PlayedLibrary:
    """The library as it was played: by rule (its id) and incident, the timelines of its alerts."""

    worlds: Sequence[IncidentWorld]
    slot_ranges: Sequence[SlotRange]
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


def _scrape_ms(plans: Sequence[Plan], setting: LibrarySetting, interval_ms: int) -> int:
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


def _case(incident: Incident, conditions: _Conditions, lead_ms: int, scrape_ms: int) -> CaseTimes:
    interval_ms = conditions.interval_ms
    grid = max(interval_ms, conditions.setting.slice_ms or 0)
    onset = -(-_BEFORE_MS // grid) * grid
    length = -(-(onset + incident.watched_ms) // interval_ms) * interval_ms
    return CaseTimes(-lead_ms, onset, length, scrape_ms)


def _world(incident: Incident, conditions: _Conditions, case: CaseTimes, lookback_ms: int) -> IncidentWorld:
    series, slice_ms = conditions.series, conditions.setting.slice_ms
    if isinstance(series, EventSeries) and slice_ms is None:
        return events_world(incident, case, series, conditions.groups)
    return slices_world(incident, case, series, slice_ms or conditions.interval_ms, lookback_ms)


def _described(series: WorldSeries) -> dict[str, list[str]]:
    if isinstance(series, EventSeries):
        return {"good": [format_labels(s) for s in series.good], "bad": [format_labels(s) for s in series.bad]}
    return {
        name: [f"{format_labels(s)} {format_number(v)}" for s, v in zip(series.series, values, strict=True)]
        for name, values in (("good", series.good), ("bad", series.bad))
    }
