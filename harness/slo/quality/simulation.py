"""An incident as samples, and as exact counts: the same events, once written to an engine and once counted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.contracts.world import Trace
from harness.series import Labels
from harness.slo.quality.groups import Groups
from harness.slo.quality.incidents import Incident
from harness.slo.quality.series import EventSeries, StateSeries, WorldSeries

SCRAPE_MS = 30_000
PHASE_MS = SCRAPE_MS // 2
RELAXED_SCRAPE_MS = 60_000
"""Enough where every range holds five such samples; a range costs what it holds."""
_PAST_EVENTS = 1 << 20
"""What every counter already shows: errors are nothing new to a service, and rate() must not take them for a start."""


@dataclass(frozen=True, slots=True)
class CaseTimes:
    """Where an incident stands in its case: all in milliseconds since the case began."""

    begins_ms: int
    """The first scrape interval; at or before 0, as far as the rules look back."""
    onset_ms: int
    length_ms: int
    """Until when rules are evaluated."""
    scrape_ms: int = SCRAPE_MS

    @property
    def scrapes(self) -> range:
        """When samples are taken: half an interval beside the ticks, so that none lies on the edge of a window."""
        return range(self.begins_ms + self.phase_ms, self.length_ms + 1, self.scrape_ms)

    @property
    def phase_ms(self) -> int:
        return self.scrape_ms // 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Cumulative events (or slices) at ascending moments: what happened up to and including each of them."""

    times_ms: Sequence[int]
    total: Sequence[int]
    bad: Sequence[int]

    def until(self, at_ms: int) -> tuple[int, int]:
        """(all, bad) up to a moment."""
        i = bisect_right(self.times_ms, at_ms) - 1
        return (self.total[i], self.bad[i]) if i >= 0 else (0, 0)


@dataclass(frozen=True, slots=True)
class IncidentWorld:
    """An incident in its case."""

    incident: Incident
    case: CaseTimes
    true: Counts
    """What happened."""
    seen: Counts
    """What the scrapes saw of it."""
    traces: Sequence[Trace]
    slice_ms: int | None
    """The length of a slice; None where events count."""
    grows: bool = False
    """Whether a window sees what counters grew from its first sample to its last, and not the samples themselves."""
    part: Fraction = Fraction(1)
    """The share of the traffic that was counted: that of one group, where the objective has a budget for each."""


def events_world(
    incident: Incident, case: CaseTimes, series: EventSeries, groups: Groups | None = None
) -> IncidentWorld:
    """The world of an objective that counts events; with `groups` for an incident in which one of them burns."""
    times = case.scrapes
    true = _counted(incident, case, times)
    if not incident.one_group or groups is None:
        return IncidentWorld(incident, case, true, *_observed(incident, case, true, series), None, series.cumulative)
    split = _split(true, len(groups.members))
    made = [
        _observed(incident, case, counts, series, names) for counts, names in zip(split, groups.members, strict=True)
    ]
    traces = [trace for _, found in made for trace in found]
    if groups.apart:
        return IncidentWorld(incident, case, split[0], made[0][0], traces, None, series.cumulative, groups.part)
    seen = _observed(incident, case, true, series)[0]
    return IncidentWorld(incident, case, true, seen, traces, None, series.cumulative)


def _split(whole: Counts, groups: int) -> list[Counts]:
    """The events dealt out one by one, and all bad ones to the first group."""
    return [
        Counts(
            whole.times_ms,
            [(n + groups - 1 - i) // groups for n in whole.total],
            whole.bad if i == 0 else [0] * len(whole.bad),
        )
        for i in range(groups)
    ]


def slices_world(
    incident: Incident, case: CaseTimes, series: WorldSeries, slice_ms: int, lookback_ms: int
) -> IncidentWorld:
    """The world of an objective that counts slices: each is wholly good or wholly bad, a ratio is a share of them.

    `lookback_ms` is for how long Prometheus still sees a sample.
    """
    first = -((case.onset_ms - case.begins_ms) // slice_ms)
    last = (case.length_ms - case.onset_ms) // slice_ms
    pattern = _pattern(incident, slice_ms, first, last)
    ends = [case.onset_ms + (first + i + 1) * slice_ms for i in range(len(pattern))]
    bad = _accumulated(pattern)
    true = Counts(ends, range(1, len(ends) + 1), bad)
    times = case.scrapes

    def is_bad(at_ms: int) -> bool:
        i = (at_ms - case.onset_ms) // slice_ms - first
        return 0 <= i < len(pattern) and pattern[i]

    kept = [at for at in times if not _in_gap(incident, case, at)]
    if isinstance(series, StateSeries):
        traces = [
            Trace(labels, kept, [float(bad if is_bad(at) else good) for at in kept])
            for labels, good, bad in zip(series.series, series.good, series.bad, strict=True)
        ]
        seen = _slices_seen(incident, case, true, lookback_ms if series.held else 0, series.absent)
    else:
        per_scrape = int(incident.traffic.events(0, case.scrape_ms))
        wrong = _accumulated([is_bad(at) for at in times])
        events = Counts(times, [per_scrape * (i + 1) for i in range(len(times))], [per_scrape * n for n in wrong])
        seen = _slices_seen(incident, case, true, 0)  # a rate has no memory
        traces = _observed(incident, case, events, series)[1]
    return IncidentWorld(incident, case, true, seen, traces, slice_ms)


def _slices_seen(incident: Incident, case: CaseTimes, true: Counts, held_ms: int, absent: bool | None = None) -> Counts:
    """The slices as the scrapes show them: in a gap the last sample stands for `held_ms`.

    Then there is none, or what the query takes for good or bad without any.
    """
    if incident.gap_ms is None:
        return true
    begin, end = (case.onset_ms + at for at in incident.gap_ms)
    times: list[int] = []
    bad: list[int] = []
    last = 0
    for i, at in enumerate(true.times_ms):
        inside = begin < at <= end
        if inside and at - (begin - case.phase_ms) >= held_ms:
            if absent is None:
                continue
            last = int(not absent)
        elif not inside:
            last = true.bad[i] - (true.bad[i - 1] if i else 0)
        times.append(at)
        bad.append(last)
    return Counts(times, range(1, len(times) + 1), _accumulated(bad))


def _accumulated(steps: Sequence[int]) -> list[int]:
    total, made = 0, []
    for step in steps:
        total += step
        made.append(total)
    return made


def _pattern(incident: Incident, slice_ms: int, first: int, last: int) -> list[bool]:
    """Per slice from `first` (before the onset) whether it is bad: a share of them, spread as evenly as can be."""
    pattern = [False] * (last - first)
    ends = [at for at, _ in incident.steps[1:]] + [max(incident.ends_ms, last * slice_ms)]
    for (since, ratio), until in zip(incident.steps, ends, strict=True):
        for i in range((until - since) // slice_ms):
            at = since // slice_ms + i - first
            if 0 <= at < len(pattern):
                # The first one at once: an incident begins with an error.
                pattern[at] = -(-(i + 1) * ratio // 1) > -(-i * ratio // 1)
    return pattern


def _counted(incident: Incident, case: CaseTimes, times: Sequence[int]) -> Counts:
    """Whole events at every scrape: the traffic's, rounded down, and of those the incident's share, rounded down."""
    total: list[int] = []
    bad: list[int] = []
    events, wrong = Fraction(0), 0
    for since, until, per_s, ratio in _stretches(incident, case):
        inside = times[_first_at(times, since) : _first_at(times, until)]
        before = int(events)
        top, bottom = per_s.numerator, per_s.denominator * 1000
        shift = events.numerator * bottom, events.denominator
        here = [(shift[0] + top * (at - since) * shift[1]) // (bottom * shift[1]) for at in inside]
        total += here
        bad += [wrong + ratio.numerator * (n - before) // ratio.denominator for n in here]
        events += per_s * (until - since) / 1000
        wrong += int(ratio * (int(events) - before))
    return Counts(times, total, bad)


def _first_at(times: Sequence[int], at_ms: int) -> int:
    """The number of the first time at or after a moment."""
    return bisect_left(times, at_ms)


def _stretches(incident: Incident, case: CaseTimes) -> Iterator[tuple[int, int, Fraction, Fraction]]:
    """(from, to, events per second, error ratio) of each stretch in which both stand still; times of the case."""
    end = case.length_ms + 1
    steps = [(case.begins_ms, Fraction(0)), *((case.onset_ms + at, ratio) for at, ratio in incident.steps)]
    for i, (since, ratio) in enumerate(steps):
        until = min(end, steps[i + 1][0] if i + 1 < len(steps) else end)
        to_day = incident.onset_of_day_ms - case.onset_ms
        for begin, stop, per_s in incident.traffic.pieces(since + to_day, until + to_day):
            yield begin - to_day, stop - to_day, per_s, ratio


def _in_gap(incident: Incident, case: CaseTimes, at_ms: int) -> bool:
    return incident.gap_ms is not None and incident.gap_ms[0] <= at_ms - case.onset_ms < incident.gap_ms[1]


def _observed(
    incident: Incident, case: CaseTimes, true: Counts, series: EventSeries, names: Mapping[Labels, Labels] | None = None
) -> tuple[Counts, list[Trace]]:
    """What the scrapes see, and the series that they store; `names` are what the series are called in a group."""
    times = true.times_ms
    kept = [i for i, at in enumerate(times) if not _in_gap(incident, case, at)]
    seen = true if len(kept) == len(times) else _kept(true, kept, cumulative=series.cumulative)
    restart = None if incident.restart_ms is None else _first_at(times, case.onset_ms + incident.restart_ms)
    traces = []
    for labels in series.all:
        moved = _moved(true, labels in series.good, labels in series.bad)
        unborn = incident.unborn and labels not in series.good
        if not series.cumulative:
            values = [float(n - (moved[i - 1] if i else 0)) for i, n in enumerate(moved)]
        else:
            past = 0 if unborn else _PAST_EVENTS
            values = [float(past + n) for n in moved]
            if restart is not None:
                # Events between the last scrape and the restart are lost to everybody.
                values[restart:] = [float(n - moved[restart - 1]) for n in moved[restart:]]
        alive = [i for i in kept if moved[i] > 0] if unborn else kept
        if alive:
            own = labels if names is None else names[labels]
            traces.append(Trace(own, [times[i] for i in alive], [values[i] for i in alive]))
    return seen, traces


def _kept(true: Counts, kept: Sequence[int], *, cumulative: bool) -> Counts:
    """What is left of the counts if only some scrapes succeed: a gauge that shows what is new loses the others'."""
    times = [true.times_ms[i] for i in kept]
    if cumulative:
        return Counts(times, [true.total[i] for i in kept], [true.bad[i] for i in kept])
    steps = [[counts[i] - (counts[i - 1] if i else 0) for i in kept] for counts in (true.total, true.bad)]
    return Counts(times, _accumulated(steps[0]), _accumulated(steps[1]))


def _moved(counts: Counts, by_good: bool, by_bad: bool) -> Sequence[int]:
    """How often a series was moved up to each scrape."""
    if by_good and by_bad:
        return counts.total
    if by_bad:
        return counts.bad
    return [total - bad for total, bad in zip(counts.total, counts.bad, strict=True)]


def budget(target: Fraction, period_ms: int, incident: Incident, slice_ms: int | None) -> Fraction:
    """How many bad events (or slices) the whole period may have, the incident's own traffic given."""
    if slice_ms is not None:
        return (1 - target) * period_ms / slice_ms
    start = incident.onset_of_day_ms
    return (1 - target) * incident.traffic.events(start, start + period_ms)
