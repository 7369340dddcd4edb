"""What an objective's own window pairs say of an incident, counted exactly: the oracle that rules are held to.

Nothing here reads a rule. A pair burns while, in each of its windows, bad / all of what the scrapes saw is above θ; and
the budget that an incident spends is counted from every event that happened, seen or not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.replay.timeline import AlertState, alert_states
from harness.slo import closedform
from harness.slo.model import BurnPair
from harness.slo.quality.simulation import IncidentWorld


def slack(theta: Fraction, *, subtracts: bool) -> Fraction:
    """How far from θ rounding may decide: a rule is held to one part in 10⁹ of it.

    Where errors are counted as all events less the good ones (`subtracts`), to 64 last digits of 1 if that is more.
    """
    relative = abs(theta) / 10**9
    return max(relative, _DIGITS_OF_ONE) if subtracts else relative


_DIGITS_OF_ONE = Fraction(64, 2**53)


@dataclass(frozen=True, slots=True)
class Firing:
    """Per tick from the beginning of a case whether the policy's alert fires."""

    exactly: Sequence[bool]
    surely: Sequence[bool]
    """Where it fires whatever rounding does to ratios that lie on θ."""
    perhaps: Sequence[bool]
    """Where it fires if rounding is for it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The pairs of one severity: any of them may fire."""

    pairs: tuple[BurnPair, ...]
    target: Fraction
    period_ms: int
    min_events: int = 0

    def firing(self, world: IncidentWorld, interval_ms: int) -> Firing:
        """What its alert does; where no window's ratio lies on θ there is one answer."""
        ticks = world.case.length_ms // interval_ms + 1
        found = tuple([False] * ticks for _ in range(3))
        for pair in self.pairs:
            exactly, *others = self._burns(pair, world, interval_ms)
            usual = _fires(exactly, pair, interval_ms)
            every = [usual, *(usual if flags == exactly else _fires(flags, pair, interval_ms) for flags in others)]
            for fires, one in zip(found, every, strict=True):
                for tick, flag in enumerate(one):
                    fires[tick] = fires[tick] or flag
        return Firing(*found)

    def _burns(
        self, pair: BurnPair, world: IncidentWorld, interval_ms: int
    ) -> tuple[list[bool], list[bool], list[bool]]:
        """Per tick whether every window of the pair is above θ: exactly, surely, perhaps."""
        theta = pair.threshold(self.target)
        top, bottom = theta.numerator, theta.denominator
        near = slack(theta, subtracts=True) * bottom
        windows = [_WindowCounts(world, window_ms, interval_ms) for window_ms in pair.windows_ms]
        exactly, surely, perhaps = ([True] * len(windows[0]) for _ in range(3))
        for window in windows:
            for i, possible in enumerate(perhaps):
                total, bad = window.at(i) if possible else (0, 0)
                if not total:
                    exactly[i] = surely[i] = perhaps[i] = False
                    continue
                above, most = bad * bottom - top * total, near.numerator * total // near.denominator
                exactly[i] = exactly[i] and (above > 0 or (pair.inclusive and above == 0))
                surely[i] = surely[i] and above > most
                perhaps[i] = above >= -most
        if self.min_events:
            long = _WindowCounts(world, pair.long_ms, interval_ms)
            enough = [long.at(i)[0] >= self.min_events for i in range(len(long))]
            exactly, surely, perhaps = (
                [a and b for a, b in zip(flags, enough, strict=True)] for flags in (exactly, surely, perhaps)
            )
        return exactly, surely, perhaps

    def overspent(self, world: IncidentWorld, budget: Fraction, interval_ms: int) -> list[bool]:
        """Per tick whether some pair's long window holds more of the period's budget than the pair allows it."""
        ticks = world.case.length_ms // interval_ms + 1
        found = [False] * ticks
        bad = [0, *world.true.bad]
        for pair in self.pairs:
            allowed = int(closedform.budget_fraction(pair, self.period_ms) * budget)  # whole events: n > x is n > ⌊x⌋
            now = _places(world.true.times_ms, 0, interval_ms, ticks)
            then = _places(world.true.times_ms, -pair.long_ms, interval_ms, ticks)
            for i, (until, since) in enumerate(zip(now, then, strict=True)):
                found[i] = found[i] or bad[until] - bad[since] > allowed
        return found

    def unreachable(self) -> list[BurnPair]:
        """Pairs that no error ratio can make fire."""
        return [pair for pair in self.pairs if not closedform.can_fire(pair, self.target)]


def _fires(burns: Sequence[bool], pair: BurnPair, interval_ms: int) -> list[bool]:
    burning = [frozenset({()}) if flag else frozenset() for flag in burns]
    states = alert_states(burning, interval_ms=interval_ms, hold_ms=pair.hold_ms).get((), ())
    return [state is AlertState.FIRING for state in states] or [False] * len(burns)


class _WindowCounts:
    """What the samples in (tick − window, tick] show; of counters what they grew from the first of them to the last."""

    def __init__(self, world: IncidentWorld, window_ms: int, interval_ms: int) -> None:
        ticks = world.case.length_ms // interval_ms + 1
        times = world.seen.times_ms
        self._seen = world.seen
        # A slice is in the window by itself, an increase needs the sample before it.
        self._first = 1 if world.grows else 0
        self._until = _places(times, 0, interval_ms, ticks)
        self._since = _places(times, -window_ms, interval_ms, ticks)

    def __len__(self) -> int:
        return len(self._until)

    def at(self, tick: int) -> tuple[int, int]:
        """(all, bad) at a tick; (0, 0) where there is nothing to see."""
        last, before = self._until[tick] - 1, self._since[tick] - 1 + self._first
        if last <= before:
            return 0, 0
        total, bad = self._seen.total, self._seen.bad
        if before < 0:
            return total[last], bad[last]
        return total[last] - total[before], bad[last] - bad[before]


def _places(times_ms: Sequence[int], start_ms: int, step_ms: int, count: int) -> list[int]:
    """How many times are at or before start, start + step, …"""
    found, place = [], bisect_right(times_ms, start_ms)
    for at in range(start_ms, start_ms + count * step_ms, step_ms):
        while place < len(times_ms) and times_ms[place] <= at:
            place += 1
        found.append(place)
    return found


def runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """(first, last) of each unbroken run of true ticks."""
    found: list[tuple[int, int]] = []
    for i, flag in enumerate(flags):
        if flag and found and found[-1][1] == i - 1:
            found[-1] = (found[-1][0], i)
        elif flag:
            found.append((i, i))
    return found
