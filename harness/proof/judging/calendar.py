"""Times of the calendar in words: which weekdays, hours, dates and months a set of ticks is."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Collection, Sequence

from harness.contracts.when import DAYS, MINUTES, MONTHS, Moment, When

_FIELDS = ("day", "minute", "date", "month")


def in_words(these: Collection[Moment], of: Collection[Moment]) -> str:
    """Those moments among all `of` them: ``on Saturday and Sunday``, ``from 18:00 to 08:00 in July``.

    Where no weekdays, hours, dates and months make up the set, they only bound it: ``at times from 08:00 to 09:00``.
    """
    bad, universe = set(these), set(of)
    if fields := _fewest(bad, universe):
        return _and_within(bad, universe, fields)
    good = universe - bad
    if fields := _fewest(good, universe):
        rest = [_words(name, _values(universe, name) - _values(good, name), _values(universe, name)) for name in fields]
        return f"{', '.join(rest[:-1])}, and {rest[-1]}" if len(rest) > 1 else rest[0]
    narrowed = [name for name in _FIELDS if _values(bad, name) != _values(universe, name)]
    return f"at times {_and_within(bad, universe, narrowed)}".rstrip()


def _fewest(these: set[Moment], universe: set[Moment]) -> Sequence[str]:
    """The fewest fields whose values alone tell these moments from all others; none if they do not."""
    values = {name: _values(these, name) for name in _FIELDS}
    for count in range(1, len(_FIELDS) + 1):
        for names in itertools.combinations(_FIELDS, count):
            if all(all(getattr(m, n) in values[n] for n in names) == (m in these) for m in universe):
                return names
    return ()


def _and_within(these: set[Moment], universe: set[Moment], names: Sequence[str]) -> str:
    return " ".join(_words(name, _values(these, name), _values(universe, name)) for name in names)


def _values(moments: Collection[Moment], name: str) -> set[int]:
    return {getattr(moment, name) for moment in moments}


def _words(name: str, values: Collection[int], known: Collection[int]) -> str:
    if name == "minute":
        return _listed([f"from {_clock(a)} to {_clock(b)}" for a, b in _minutes(values, known)])
    if name == "day":
        # The week begins on Monday for most people, and ends with the weekend for all.
        return "on " + _runs([(d - 1) % 7 for d in values], 7, lambda d: DAYS[(d + 1) % 7])
    if name == "date":
        return (
            f"on day{'s' * (len(values) > 1)} {_runs([d - 1 for d in values], 31, lambda d: str(d + 1))} of the month"
        )
    return "in " + _runs([m - 1 for m in values], 12, lambda m: MONTHS[m])


def _minutes(values: Collection[int], known: Collection[int]) -> list[tuple[int, int]]:
    """(first minute, first minute behind) of each run of neighbours among the known minutes of the day."""
    clock = sorted(known)
    runs: list[tuple[int, int]] = []
    for i, minute in enumerate(clock):
        after = clock[i + 1] if i + 1 < len(clock) else clock[0] + MINUTES
        if minute not in values:
            continue
        if runs and runs[-1][1] == minute:
            runs[-1] = (runs[-1][0], after)
        else:
            runs.append((minute, after))
    if len(runs) > 1 and runs[0][0] + MINUTES == runs[-1][1]:
        runs = [*runs[1:-1], (runs[-1][0], runs[0][1])]
    return runs


def _clock(minute: int) -> str:
    return f"{minute % MINUTES // 60:02}:{minute % 60:02}"


def _runs(numbers: Collection[int], size: int, name: Callable[[int], str]) -> str:
    """``Monday to Friday``, ``Saturday and Sunday``; three in a row or more make a range."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == size - 1:
        runs = [*runs[1:-1], runs[-1] + runs[0]]
    said: list[str] = []
    for run in runs:
        said += [f"{name(run[0])} to {name(run[-1])}"] if len(run) > 2 else [name(n) for n in run]
    return _listed(said)


def _listed(said: Sequence[str]) -> str:
    return f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else "".join(said)


def at(unix_ms: int, when: When) -> str:
    """``Saturday 2001-09-15 at 18:00 (Europe/Berlin)``."""
    local = datetime.datetime.fromtimestamp(unix_ms / 1000, when.tz)
    return f"{DAYS[local.isoweekday() % 7]} {local:%Y-%m-%d} at {local:%H:%M} ({when.zone})"
