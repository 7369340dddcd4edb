"""Stretches of time, (begin, end] in milliseconds, in order and apart: made one, cut, taken away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Stretch = tuple[int, int]


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches that overlap or touch, made one; in order."""
    found: list[Stretch] = []
    for begin, end in sorted(stretches):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def within(stretches: Iterable[Stretch], begin_ms: int, end_ms: int) -> list[Stretch]:
    """What of the stretches lies between two moments."""
    cut = ((max(begin, begin_ms), min(end, end_ms)) for begin, end in stretches)
    return merged((begin, end) for begin, end in cut if begin < end)


def without(stretches: Iterable[Stretch], taken: Sequence[Stretch]) -> list[Stretch]:
    """What is left of merged stretches once others (merged too) are taken away."""
    found: list[Stretch] = []
    for begin, end in stretches:
        for first, last in taken:
            if first >= end:
                break
            if last <= begin:
                continue
            if first > begin:
                found.append((begin, first))
            begin = last
        if begin < end:
            found.append((begin, end))
    return found


def length_ms(stretches: Iterable[Stretch]) -> int:
    """How long merged stretches are together."""
    return sum(end - begin for begin, end in stretches)


def touches(stretches: Sequence[Stretch], begin_ms: int, end_ms: int) -> bool:
    """Whether any of (begin, end], or of the moment `end` if both are the same, lies in one of the stretches."""
    return any(begin < end_ms and (end > begin_ms or end_ms <= end) for begin, end in stretches)
