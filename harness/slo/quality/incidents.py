"""The incident library: what a month may bring, as a course of error ratio and traffic in a period of its own.

Incidents are sized by the objective's own budget and window pairs ("spends half of the smallest pair's share"), so they
mean the same at 90 % and at 99.99 %. Times are milliseconds from the incident's onset, ratios exact fractions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction

from harness.slo import closedform
from harness.slo.model import DAY_MS, BurnPair
from harness.units import format_duration

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
_EVEN_PER_S = Fraction(100)
RATIOS = tuple(Fraction(percent, 100) for percent in (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100))
"""The constant error ratios that every objective meets."""
_NEAR = (Fraction(19, 20), Fraction(21, 20))
"""Ratios beside each θ, which must not be detected, and must."""


class IncidentKind(Enum):
    """What an incident is like."""

    QUIET = "quiet"
    """No errors at all."""
    CONSTANT = "constant"
    """One error ratio, until every pair that can see it has."""
    OUTAGE = "outage"
    """Everything fails for a while."""
    SPIKE = "spike"
    """Minutes of errors."""
    LEAK = "leak"
    """A ratio that grows slowly. (A low one that stands still is a constant beside the lowest θ.)"""
    FLAPPING = "flapping"
    """Errors on and off."""
    LOW_TRAFFIC = "low traffic"
    """So few events that one of them is a large part of the budget."""
    DAY_AND_NIGHT = "day and night"
    """Uneven traffic: the same ratio costs a hundred times more by day."""
    GAP = "gap"
    """Scrapes are missing."""
    RESET = "reset"
    """The process restarts, its counters at zero."""
    UNBORN = "no error series"
    """The series of errors does not exist before the first error."""
    GROUP = "one group burns"
    """Errors in one of three groups of the series, which over all of them stay below every θ."""
    DEPLOY = "deploy"
    """Short bursts of errors that together stay within budget."""


@dataclass(frozen=True, slots=True)
class TrafficCurve:
    """Events per second through the day, the same every day: (from which millisecond, rate), first at 0."""

    through_the_day: tuple[tuple[int, Fraction], ...] = ((0, _EVEN_PER_S),)

    def pieces(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, Fraction]]:
        """(from, to, events per second) of each stretch of even traffic; times of day are times modulo a day."""
        at = start_ms
        while at < end_ms:
            day, time = at - at % DAY_MS, at % DAY_MS
            steps = self.through_the_day
            i = max(i for i, (since, _) in enumerate(steps) if since <= time)
            until = day + (steps[i + 1][0] if i + 1 < len(steps) else DAY_MS)
            if len(steps) == 1:
                until = end_ms
            yield at, min(until, end_ms), steps[i][1]
            at = min(until, end_ms)

    def events(self, start_ms: int, end_ms: int) -> Fraction:
        """How many events there are between two moments, exactly."""
        return sum(
            (rate * (until - since) / 1000 for since, until, rate in self.pieces(start_ms, end_ms)), start=Fraction(0)
        )


EVEN = TrafficCurve()
DAY_AND_NIGHT = TrafficCurve(((0, Fraction(1)), (6 * HOUR_MS, Fraction(100)), (22 * HOUR_MS, Fraction(1))))
"""16 hours at 100 events per second, 8 at night at 1: an hour by day weighs a hundred times as much."""
ONE_IN_TEN_MINUTES = TrafficCurve(((0, Fraction(1, 600)),))
NO_TRAFFIC = TrafficCurve(((0, Fraction(0)),))


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident, alone in a period with no other errors."""

    name: str
    kind: IncidentKind
    steps: tuple[tuple[int, Fraction], ...]
    """(from which millisecond after the onset, error ratio), ascending; 0 before the first."""
    ends_ms: int
    """When the errors stop."""
    watched_ms: int
    """How long it is watched, from the onset."""
    traffic: TrafficCurve = EVEN
    onset_of_day_ms: int = 12 * HOUR_MS
    gap_ms: tuple[int, int] | None = None
    """From, to: no scrapes."""
    restart_ms: int | None = None
    """When the counters begin at zero again."""
    unborn: bool = False
    """Whether series that only errors move are absent before the first."""
    one_group: bool = False
    """Whether the errors are one group's; `steps` are ratios of all events."""

    @property
    def ratio(self) -> Fraction | None:
        """The error ratio of a constant incident."""
        return self.steps[0][1] if self.kind is IncidentKind.CONSTANT else None


@dataclass(frozen=True, slots=True)
class LibrarySetting:
    """For whom the library is made."""

    target: Fraction
    period_ms: int
    pairs: tuple[BurnPair, ...]
    slice_ms: int | None = None
    """The length of a time slice; None where events count."""
    by_events: bool = True
    """Whether traffic weighs: not for slices, and not for ratios that somebody else computed."""
    counters: bool = True
    """Whether there are counters that can start again at zero."""
    error_series: bool = True
    """Whether there are series that only errors move."""
    groups: int = 0
    """How many groups of series there are to burn apart; 0: none."""
    thresholds: tuple[Fraction, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(sorted({pair.threshold(self.target) for pair in self.pairs})))

    @property
    def smallest_share(self) -> Fraction:
        """The smallest share of the budget that a pair stands for."""
        return min(closedform.budget_fraction(pair, self.period_ms) for pair in self.pairs)

    @property
    def longest_short_ms(self) -> int:
        return max(min(pair.windows_ms) for pair in self.pairs)

    @property
    def slowest_reset_ms(self) -> int:
        """After so long, and a little, no pair can still fire."""
        keeps = max(pair.hold_ms for pair in self.pairs)
        return self.longest_short_ms + keeps

    def spending(self, share: Fraction, within_ms: int) -> tuple[Fraction, int]:
        """(error ratio, length) that spend a share of the period's budget, in about `within_ms` and whole minutes."""
        bad_ms = share * (1 - self.target) * self.period_ms
        if self.slice_ms is not None:
            return Fraction(1), max(1, round(bad_ms / self.slice_ms)) * self.slice_ms
        lasts_ms = max(within_ms, -(-int(bad_ms * 3 // 2) // MINUTE_MS) * MINUTE_MS)
        return bad_ms / lasts_ms, lasts_ms


def library(setting: LibrarySetting) -> list[Incident]:
    """The whole library for one objective, in the order in which it is reported."""
    made = [_quiet(setting), *constant_incidents(setting), *_outages(setting), *_spikes(setting), *_leaks(setting)]
    made += [*_flapping(setting), *_deploys(setting), *_gaps(setting)]
    if setting.by_events:
        made += _by_traffic(setting)
    if setting.by_events and setting.error_series:
        made.append(_unborn(setting))
    if setting.counters:
        made += _restarts(setting)
    if setting.by_events and setting.groups:
        made += _one_group(setting)
    return made


def constant_ratios(setting: LibrarySetting) -> list[Fraction]:
    """Ratios to be measured, ascending: 1 % to 100 %, and both sides of every θ.

    Left out is what lies on a θ, or so near that one count decides: the threshold search is for that.
    """
    beside = [theta * factor for theta in setting.thresholds for factor in _NEAR]
    wanted = sorted({ratio for ratio in (*RATIOS, *beside) if 0 < ratio <= 1})
    return [r for r in wanted if all(abs(r / theta - 1) > Fraction(1, 50) for theta in setting.thresholds)]


def constant(setting: LibrarySetting, ratio: Fraction) -> Incident:
    """A ratio that lasts until the last pair that can see it has fired; if none can, for the longest window."""
    longest = max(pair.long_ms for pair in setting.pairs)
    found = [
        closedform.detection_ms(pair, setting.target, ratio)
        for pair in setting.pairs
        if closedform.detection_ms(pair, setting.target, ratio) is not None
    ]
    lasts = max((int(at) for at in found if at is not None), default=longest)
    if setting.slice_ms is not None:  # the last slice that is needed may come a whole turn of the pattern later
        lasts += int(2 / ratio) * setting.slice_ms
    return _incident(
        setting, f"{_percent(ratio)} errors", IncidentKind.CONSTANT, ratio, _whole_minutes(lasts) + 10 * MINUTE_MS
    )


def constant_incidents(setting: LibrarySetting) -> list[Incident]:
    return [constant(setting, ratio) for ratio in constant_ratios(setting)]


def _incident(setting: LibrarySetting, name: str, kind: IncidentKind, ratio: Fraction, lasts_ms: int) -> Incident:
    steps = ((0, ratio), (lasts_ms, Fraction(0)))
    return Incident(name, kind, steps, lasts_ms, lasts_ms + setting.slowest_reset_ms + 10 * MINUTE_MS)


def _quiet(setting: LibrarySetting) -> Incident:
    return Incident("no errors", IncidentKind.QUIET, ((0, Fraction(0)),), 0, 2 * HOUR_MS)


def _outages(setting: LibrarySetting) -> list[Incident]:
    return [
        _incident(setting, f"total outage of {format_duration(lasts)}", IncidentKind.OUTAGE, Fraction(1), lasts)
        for lasts in (10 * MINUTE_MS, HOUR_MS)
    ]


def _spikes(setting: LibrarySetting) -> list[Incident]:
    share = setting.smallest_share
    found = []
    for times, name in ((Fraction(1, 2), "spike within every pair's share"), (Fraction(3, 2), "spike beyond a share")):
        ratio, lasts = setting.spending(share * times, 5 * MINUTE_MS)
        found.append(_incident(setting, f"{name}, {format_duration(lasts)}", IncidentKind.SPIKE, ratio, lasts))
    return found


def _leaks(setting: LibrarySetting) -> list[Incident]:
    """A ratio that grows hour by hour for a day, to twice the highest θ that there can be."""
    top = min(Fraction(1), setting.thresholds[-1] * 2)
    steps = tuple((hour * HOUR_MS, top * (hour + 1) / 24) for hour in range(24))
    ends = 24 * HOUR_MS
    watched = ends + setting.slowest_reset_ms + 10 * MINUTE_MS
    return [Incident("leak that grows for a day", IncidentKind.LEAK, (*steps, (ends, Fraction(0))), ends, watched)]


def _flapping(setting: LibrarySetting) -> list[Incident]:
    ratio = min(Fraction(1), setting.thresholds[-1] * 4)
    found = []
    for on, off in ((10, 10), (2, 18)):
        turns = 2 * HOUR_MS // ((on + off) * MINUTE_MS)
        steps: list[tuple[int, Fraction]] = []
        for turn in range(turns):
            begin = turn * (on + off) * MINUTE_MS
            steps += [(begin, ratio), (begin + on * MINUTE_MS, Fraction(0))]
        ends = steps[-1][0]
        watched = ends + setting.slowest_reset_ms + 10 * MINUTE_MS
        name = f"flapping, {on} min of errors in {on + off}"
        found.append(Incident(name, IncidentKind.FLAPPING, tuple(steps), ends, watched))
    return found


def _deploys(setting: LibrarySetting) -> list[Incident]:
    """Four a day, each a quarter of the smallest share at most: a normal day, which must wake nobody."""
    ratio, lasts = setting.spending(setting.smallest_share / 4, 2 * MINUTE_MS)
    steps: list[tuple[int, Fraction]] = []
    for turn in range(4):
        begin = turn * 4 * HOUR_MS
        steps += [(begin, ratio), (begin + lasts, Fraction(0))]
    ends = steps[-1][0]
    return [Incident("deploys within budget", IncidentKind.DEPLOY, tuple(steps), ends, ends + 2 * HOUR_MS)]


def _gaps(setting: LibrarySetting) -> list[Incident]:
    ratio = min(Fraction(1), setting.thresholds[-1] * 4)
    quiet = Incident(
        "gap in scrapes, no errors", IncidentKind.GAP, ((0, Fraction(0)),), 0, 2 * HOUR_MS,
        gap_ms=(30 * MINUTE_MS, 50 * MINUTE_MS),
    )  # fmt: skip
    lasts = 2 * HOUR_MS
    watched = lasts + setting.slowest_reset_ms + 10 * MINUTE_MS
    steps = ((0, ratio), (lasts, Fraction(0)))
    failing = Incident(
        "gap in scrapes while errors go on",
        IncidentKind.GAP,
        steps,
        lasts,
        watched,
        gap_ms=(40 * MINUTE_MS, 60 * MINUTE_MS),
    )
    return [quiet, failing]


def _by_traffic(setting: LibrarySetting) -> list[Incident]:
    half, ten = Fraction(1, 2), 10 * MINUTE_MS
    found = [
        Incident(
            f"50 % errors for an hour {when}", IncidentKind.DAY_AND_NIGHT, ((0, half), (HOUR_MS, Fraction(0))), HOUR_MS,
            HOUR_MS + setting.slowest_reset_ms + ten, DAY_AND_NIGHT, hour * HOUR_MS,
        )
        for when, hour in (("by day", 12), ("at night", 1))
    ]  # fmt: skip
    one = Incident(
        "one failed event of 6 in an hour", IncidentKind.LOW_TRAFFIC, ((0, Fraction(1)), (ten, Fraction(0))), ten,
        ten + setting.slowest_reset_ms + ten, ONE_IN_TEN_MINUTES,
    )  # fmt: skip
    none = Incident("no traffic at all", IncidentKind.LOW_TRAFFIC, ((0, Fraction(0)),), 0, 2 * HOUR_MS, NO_TRAFFIC)
    return [*found, one, none]


def _unborn(setting: LibrarySetting) -> Incident:
    watched = HOUR_MS + setting.slowest_reset_ms + 10 * MINUTE_MS
    steps = ((0, Fraction(1, 2)), (HOUR_MS, Fraction(0)))
    return Incident("the first errors ever", IncidentKind.UNBORN, steps, HOUR_MS, watched, unborn=True)


def _restarts(setting: LibrarySetting) -> list[Incident]:
    ratio = min(Fraction(1), setting.thresholds[-1] * 4)
    lasts = 2 * HOUR_MS
    watched = lasts + setting.slowest_reset_ms + 10 * MINUTE_MS
    middle = 30 * MINUTE_MS + 20_000
    return [
        Incident("restart, no errors", IncidentKind.RESET, ((0, Fraction(0)),), 0, 2 * HOUR_MS, restart_ms=middle),
        Incident(
            "restart while errors go on", IncidentKind.RESET, ((0, ratio), (lasts, Fraction(0))), lasts, watched,
            restart_ms=middle,
        ),
    ]  # fmt: skip


def _one_group(setting: LibrarySetting) -> list[Incident]:
    """Per severity four fifths of its lowest θ over all groups, so that no pair fires; in one of them far above it."""
    found = []
    for severity in dict.fromkeys(pair.severity for pair in setting.pairs):
        pairs = [pair for pair in setting.pairs if pair.severity == severity]
        lowest = min(pairs, key=lambda pair: pair.threshold(setting.target))
        theta = lowest.threshold(setting.target)
        ratio = min(theta * Fraction(4, 5), Fraction(1, setting.groups))
        inside = ratio * setting.groups
        after = closedform.detection_ms(lowest, setting.target, inside)
        if after is None or inside < theta * Fraction(21, 20):  # hardly above θ even if one group fails altogether
            continue
        name = f"one of {setting.groups} groups burns, within every {severity} pair's θ over all"
        incident = _incident(setting, name, IncidentKind.GROUP, ratio, _whole_minutes(int(after)) + 10 * MINUTE_MS)
        found.append(replace(incident, one_group=True))
    return found


def _percent(ratio: Fraction) -> str:
    return f"{float(ratio * 100):.4g} %"


def _whole_minutes(ms: int) -> int:
    return -(-ms // MINUTE_MS) * MINUTE_MS
