"""A knob's positions as whole numbers, so that "adjacent" means a difference of one on every knob."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from harness.contracts import Contract, Knob
from harness.contracts.ages import age_step

_BLUR = 32
"""Around a threshold, in doubles, differences of counters may round either way (an irate of five digits loses four
bits), so truth there says nothing about a rule. The boundary itself is held to less: see measuring/rounding.py."""


def double_ordinal(value: float) -> int:
    """The rank of a double among all doubles: neighbours differ by 1, -0.0 and 0.0 are both 0."""
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return int(bits) if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def ordinal_double(rank: int) -> float:
    """The double of a rank; inverse of :func:`double_ordinal`."""
    (value,) = struct.unpack("<d", struct.pack("<q", abs(rank)))
    return -value if rank < 0 else float(value)


def ulps_between(a: float, b: float) -> int:
    """How many doubles lie between two finite ones, 0 if they are equal."""
    return abs(double_ordinal(a) - double_ordinal(b))


@dataclass(frozen=True, slots=True)
class KnobPositions:
    """Positions of a knob: its steps if it counts things, multiples of `age_step` if it is an age, else every double in
    its range.

    The threshold's own position stands for the threshold exactly (1/10, not the double next to it), but that of an age
    is a multiple as well, so that it is the same at any clock.
    """

    knob: Knob
    threshold: Fraction
    age_step: Fraction | None = None
    blur: int = _BLUR
    """How many positions on either side of the threshold of a continuous knob rounding may decide."""

    @classmethod
    def of(cls, contract: Contract) -> KnobPositions:
        return cls(contract.knob, contract.threshold, age_step(contract))

    def position(self, x: Fraction) -> int:
        """The position nearest to x."""
        if self.age_step is not None:
            return round(x / self.age_step)
        if self.knob.step is not None:
            return round((x - self.knob.low) / self.knob.step)
        return double_ordinal(float(x))

    def value(self, position: int) -> Fraction:
        if self.age_step is not None:
            return position * self.age_step
        if position == self.at_threshold:
            return self.threshold
        if self.knob.step is not None:
            return self.knob.low + position * self.knob.step
        return Fraction(ordinal_double(position))

    @property
    def at_threshold(self) -> int:
        return self.position(self.threshold)

    @property
    def lowest(self) -> int:
        return math.ceil(self.knob.low / self.age_step) if self.age_step else self.position(self.knob.low)

    @property
    def highest(self) -> int:
        return math.floor(self.knob.high / self.age_step) if self.age_step else self.position(self.knob.high)

    def is_blurred(self, position: int) -> bool:
        """Whether a position of a continuous knob is so near to the threshold that rounding decides there."""
        return self.knob.step is None and abs(position - self.at_threshold) <= self.blur

    def survey(self) -> list[int]:
        """Positions that find every way in which a threshold is usually missed.

        The range's ends, evenly spread values, a ladder of doubling distances around the threshold (so a boundary that
        is off by 1, 2, 4, … positions is bracketed at once), and neighbours by 1 %, 1 and 10 units.
        """
        low, high, here = self.lowest, self.highest, self.at_threshold
        found = {low, high, here}
        for k in range(max(1, (high - low).bit_length())):
            found |= {here - (1 << k), here + (1 << k)}
        found |= {here - 3, here + 3, low + 1, high - 1}
        span = self.knob.high - self.knob.low
        found |= {self.position(self.knob.low + span * i / 24) for i in range(25)}
        for off in (Fraction(1, 10), Fraction(1), Fraction(10), abs(self.threshold) / 100):
            for x in (self.threshold - off, self.threshold + off):
                if self.knob.low <= x <= self.knob.high:
                    found.add(self.position(x))
        return sorted(p for p in found if low <= p <= high)

    def near(self) -> list[int]:
        """The threshold's position and its close neighbours."""
        here = self.at_threshold
        wanted = range(here - 6, here + 7)
        return [p for p in wanted if self.lowest <= p <= self.highest]

    def between(self, quiet: int, other: int, share: Fraction) -> int:
        """A position between two others, by value."""
        a, b = self.value(quiet), self.value(other)
        p = self.position(a + (b - a) * share)
        return min(max(p, min(quiet, other)), max(quiet, other))


def refine(
    truth: dict[int, bool], near: int, ask: Callable[[list[int]], Mapping[int, bool]], most_flips: int, most_asked: int
) -> list[tuple[int, int]]:
    """The flips of a surveyed truth, each narrowed to two adjacent positions, nearest to `near` first.

    `ask` is told up to `most_asked` positions in a round and returns their truth, which is added to `truth`.
    """
    while True:
        places = sorted(truth)
        flips = [(a, b) for a, b in itertools.pairwise(places) if truth[a] != truth[b]]
        flips.sort(key=lambda flip: min(abs(p - near) for p in flip))
        open_flips = [flip for flip in flips[:most_flips] if flip[1] - flip[0] > 1]
        if not open_flips:
            return flips
        most = most_asked // len(open_flips)
        truth.update(ask(sorted({p for low, high in open_flips for p in spread(low, high, most)})))


def spread(low: int, high: int, most: int) -> list[int]:
    """Up to `most` positions strictly between two, evenly spaced in rank."""
    gap = high - low
    count = min(most, gap - 1)
    return sorted({low + gap * i // (count + 1) for i in range(1, count + 1)} - {low, high})
