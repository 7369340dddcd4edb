"""What every chart is made of: frame, scales, axes, bands, paths, colours. Lengths are units of the SVG's view box."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from harness.units import format_duration

WIDTH = 640
"""Of every chart; a page stretches it to the room that there is."""
Number = float | Fraction
_T = TypeVar("_T")
Share = Callable[[Number], float]
"""How far along its axis a value stands, from 0 to 1."""

LIGHT: Mapping[str, str] = {
    "page": "#fff", "ink": "#1b1f24", "soft": "#57606a", "line": "#d0d7de", "panel": "#f6f8fa",
    "good": "#116329", "bad": "#b3261e", "warn": "#7a4d00", "mark": "#0550ae",
    "firing": "#d1453b", "pending": "#d9a514",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "page": "#0d1117", "ink": "#e6edf3", "soft": "#9da7b3", "line": "#3d444d", "panel": "#161b22",
    "good": "#56d364", "bad": "#ff8182", "warn": "#e3b341", "mark": "#79c0ff",
    "firing": "#f0645b", "pending": "#c9961a",
}  # fmt: skip
PAPER: Mapping[str, str] = {"ink": "#000", "soft": "#444", "line": "#bbb", "panel": "#fff"}
"""What differs from light on paper."""


def custom_properties(colours: Mapping[str, str], prefix: str = "") -> str:
    """Colours as CSS writes them down: ``--page: #fff; --ink: #1b1f24;``."""
    return " ".join(f"--{prefix}{name}: {colour};" for name, colour in colours.items())


# -- scales ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to its place: `start` is where share 0 stands, `end` where share 1 does."""

    share: Share
    start: float
    end: float
    digits: int = 1
    """Decimals of a place; more would not be seen."""

    def __call__(self, value: Number) -> float:
        return self.at(self.share(value))

    def at(self, share: float) -> float:
        """The place of a share."""
        return round(self.start + share * (self.end - self.start), self.digits)


def linear(low: Number, high: Number) -> Share:
    """Even; what is beyond an end stands at that end. Exact for fractions until the last step."""
    length = high - low

    def share(value: Number) -> float:
        return float((min(max(value, low), high) - low) / length) if length > 0 else 0.0

    return share


def logarithmic(low: float, high: float) -> Share:
    """Each factor as far as the same factor elsewhere; what is beyond an end stands at that end."""

    def share(value: Number) -> float:
        return math.log(min(max(float(value), low), high) / low) / math.log(high / low)

    return share


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a chart, and where the edges of its data stand."""

    height: int
    left: int
    right: int
    top: int
    bottom: int
    width: int = WIDTH

    def x(self, share: Share) -> Scale:
        """A scale from left to right."""
        return Scale(share, self.left, self.right)

    def y(self, share: Share) -> Scale:
        """A scale from the bottom to the top."""
        return Scale(share, self.bottom, self.top)


# -- axes --------------------------------------------------------------------------------------------------------------

_LABEL_HEIGHT = 16
_LABELS = 5
_MOST_TIMES = 8
_TIMES_MS = (1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000,
             86_400_000, 604_800_000)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """A labelled place on an axis, and whether it may go where there is little room."""

    at: float
    text: str
    minor: bool = False
    anchor: str = ""
    """``start`` or ``end``; else the middle."""


def x_axis(scale: Scale, labels: Iterable[tuple[Number, str]]) -> tuple[Mark, ...]:
    """A mark for each (value, text); one at an end of the axis does not reach beyond it."""
    anchors = {scale.at(0): "start", scale.at(1): "end"}
    return tuple(
        Mark(at, text, number % 2 == 1, anchors.get(at, ""))
        for number, (at, text) in enumerate((scale(value), text) for value, text in labels)
    )


def y_axis(scale: Scale, labels: Iterable[tuple[Number, str]], *, thin: bool = True) -> tuple[Mark, ...]:
    """A mark for each (value, text), from the top, without those that would stand on the one above.

    `thin`: every other may go where there is little room.
    """
    marks: list[Mark] = []
    for at, text in sorted((scale(value), text) for value, text in labels):
        if not marks or at - marks[-1].at >= _LABEL_HEIGHT:
            marks.append(Mark(at, text, thin and len(marks) % 2 == 1))
    return tuple(marks)


def even(low: float, high: float) -> list[float]:
    """Five values from one end to the other."""
    return [low + (high - low) * i / (_LABELS - 1) for i in range(_LABELS)]


def time_axis(scale: Scale, length_ms: int) -> tuple[Mark, ...]:
    """Round times along an axis that begins at 0, eight at the most; none so near the end that its text leaves it."""
    step = next((step for step in _TIMES_MS if length_ms / step <= _MOST_TIMES), _TIMES_MS[-1])
    return x_axis(scale, [(at_ms, format_duration(at_ms)) for at_ms in range(0, length_ms - step // 3, step)])


_SUFFIXES: Mapping[int, str] = {0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P"}


def short_number(value: float) -> str:
    """A number in six characters or so: 12.5, 250k, 1.2G."""
    size = abs(value)
    if 0 < size < 1e-3 or size >= 1e18:
        return f"{value:.1e}"
    power = min(5, int(math.log10(size) // 3)) if size >= 10_000 else 0
    return f"{value / 1000**power:.3g}{_SUFFIXES[power]}" if power or size < 1000 else f"{value:.4g}"


# -- bands and paths ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch along the x axis: what it is, and what is written in its middle."""

    left: float
    width: float
    kind: str = ""
    text: str = ""

    @classmethod
    def between(cls, left: float, right: float, kind: str = "", text: str = "", least: float = 0.0) -> Band:
        """From one place to another, at least so wide that one can see it."""
        return cls(left, max(least, round(right - left, 1)), kind, text)

    @property
    def middle(self) -> float:
        return round(self.left + self.width / 2, 1)


def runs(kinds: Iterable[_T]) -> Iterator[tuple[int, int, _T]]:
    """(first index, index after the last, kind) of each unbroken run of one kind."""
    begin = 0
    for kind, members in itertools.groupby(kinds):
        end = begin + sum(1 for _ in members)
        yield begin, end, kind
        begin = end


def line(points: Iterable[tuple[float, float]]) -> str:
    """The path from point to point."""
    return "".join(f"{'M' if i == 0 else 'L'}{x:g} {y:g}" for i, (x, y) in enumerate(points))


Step = tuple[float, float, float | None]
"""(from x, to x, y); no y: nothing is known there."""


def staircase(steps: Sequence[Step]) -> str:
    """The path of a line of steps, broken where there is no y."""
    return "".join(f"M{left:g} {first}H{right:g}" for left, right, first in _stairs(steps))


def filled(steps: Sequence[Step], base: float) -> str:
    """The path around what is between a line of steps and its base, one shape for each unbroken run."""
    return "".join(f"M{left:g} {base:g}V{first}H{right:g}V{base:g}z" for left, right, first in _stairs(steps))


def _stairs(steps: Sequence[Step]) -> Iterator[tuple[float, float, str]]:
    """(from x, to x, the path between them after its first x) of each unbroken run."""
    for begin, end, known in runs(y is not None for _, _, y in steps):
        if known:
            part, last = "", None
            for left, _, y in steps[begin:end]:
                if y != last:
                    part += f"{y:g}" if last is None else f"H{left:g}V{y:g}"
                last = y
            yield steps[begin][0], steps[end - 1][1], part


# -- lanes: several things over one time -------------------------------------------------------------------------------

_LANE_STEP = 46
"""From one lane to the next: a name, the bar, and room."""
_LONGEST_NAME = 44
_LEAST_BAND = 1.5


@dataclass(frozen=True, slots=True)
class Lane:
    """One thing over time; `told` and `ended` are where notifications arrived."""

    name: str
    y: int
    bands: tuple[Band, ...]
    told: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class LaneChart:
    """Named lanes under one another over one time axis."""

    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]

    @property
    def bottom(self) -> int:
        return len(self.lanes) * _LANE_STEP

    @property
    def height(self) -> int:
        return self.bottom + 26


def time_scale(length_ms: Number) -> Scale:
    """Over the whole width, from 0."""
    return Scale(linear(0, length_ms), 0, WIDTH)


def stretch(scale: Scale, from_ms: int, to_ms: int, kind: str) -> Band:
    """A stretch of time in a lane, wide enough to be seen."""
    return Band.between(scale(from_ms), scale(to_ms), kind, least=_LEAST_BAND)


def lane(number: int, name: str, bands: Iterable[Band], told: float | None = None, ended: float | None = None) -> Lane:
    """The lane of that number from the top; a long name is cut so that it fits above it, also on a phone."""
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return Lane(short, number * _LANE_STEP, tuple(bands), told, ended)
