"""Charts as numbers and paths, drawn by the page's template: the response curve and the timeline of an alert."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.contracts.model import ContractKind, Shape
from harness.contracts.world import Trace
from harness.proof.model import AlertResult, CurvePoint, Fact
from harness.replay import AlertState, AlertTimeline
from harness.series import format_labels, is_stale
from harness.units import format_duration, format_number, format_with_unit

WIDTH, HEIGHT = 640, 262
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 16, 58, 40
_MOST_POINTS = 48
"""Points of a curve that are drawn; more would not be seen, and a page holds a hundred alerts."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick of an axis: where, what it says, and whether it may go where there is little room."""

    at: float
    text: str
    minor: bool = False
    anchor: str = ""
    """``start`` or ``end``; else the middle."""


@dataclass(frozen=True, slots=True)
class Callout:
    """One of the two adjacent values, written above the curve beside the line of the boundary."""

    text: str
    y: int
    kind: str
    """``quiet`` or ``fires``."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The boundary: where its line stands, and the two adjacent values that it parts."""

    x: float
    text_x: float
    anchor: str
    callouts: tuple[Callout, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """The rule's left side over the knob: the path in pixels, the firing stretches, the limit and the boundary."""

    path: str
    firing: tuple[tuple[float, float], ...]
    """(left, width) of the stretches in which the alert fires."""
    limit_y: float | None
    limit_text: str
    limit_text_y: float
    edge: Edge | None
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    described: str


def response_curve(result: AlertResult) -> Curve | None:
    """The curve of an alert whose knob was surveyed; None where there is nothing to draw."""
    points = [p for p in result.measured.curve if math.isfinite(p.x)]
    contract = result.contract
    if contract is None or contract.kind is not ContractKind.THRESHOLD or len(points) < 2:
        return None
    known = [(p, p.value) for p in points if p.value is not None and math.isfinite(p.value)]
    low_x, high_x = points[0].x, points[-1].x
    values = [value for _, value in known]
    limit = result.measured.limit
    if limit is not None and math.isfinite(limit):
        values.append(limit)
    low_y, high_y = (min(values), max(values)) if values else (0.0, 1.0)
    if low_y == high_y:
        low_y, high_y = low_y - 1, high_y + 1

    def x_of(x: float) -> float:
        return round(_LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - _LEFT - _RIGHT), 1)

    def y_of(y: float) -> float:
        return round(HEIGHT - _BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - _TOP - _BOTTOM), 1)

    dots = _thinned(list(dict.fromkeys((x_of(p.x), y_of(value)) for p, value in known)))
    boundary = result.measured.boundary
    unit = contract.knob.unit
    described = f"{contract.knob.name} from {format_number(low_x)} to {format_with_unit(high_x, unit)}"
    edge = None
    if boundary is not None:
        quiet, fires = format_with_unit(boundary.quiet_at, unit), format_with_unit(boundary.fires_at, unit)
        described += f": last quiet at {quiet}, first firing at {fires}"
        at = x_of(float(boundary.fires_at))
        left = at > (_LEFT + WIDTH - _RIGHT) / 2
        callouts = (Callout(f"quiet at {quiet}", 18, "quiet"), Callout(f"fires at {fires}", 42, "fires"))
        edge = Edge(at, round(at - 12 if left else at + 12, 1), "end" if left else "start", callouts)
    limit_y = y_of(limit) if limit is not None and math.isfinite(limit) else None
    return Curve(
        path=_path(dots),
        firing=tuple(_firing(points, x_of)),
        limit_y=limit_y,
        limit_text=f"limit {_short(limit)}" if limit is not None else "",
        limit_text_y=0 if limit_y is None else (limit_y - 6 if limit_y > _TOP + 26 else limit_y + 18),
        edge=edge,
        x_marks=tuple(
            Mark(x_of(x), f"{_short(x)} {unit}".rstrip() if i in (0, 4) else _short(x), i % 2 == 1, anchor)
            for i, (x, anchor) in enumerate(zip(_even(low_x, high_x), ("start", "", "", "", "end"), strict=True))
        ),
        y_marks=tuple(Mark(y_of(y), _short(y), i % 2 == 1) for i, y in enumerate(_even(low_y, high_y))),
        described=described,
    )


def _thinned(dots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The ends and the points at which the curve bends; at most :data:`_MOST_POINTS` of them."""
    bends = [
        dot for i, dot in enumerate(dots) if i in (0, len(dots) - 1) or not _straight(dots[i - 1], dot, dots[i + 1])
    ]
    if len(bends) <= _MOST_POINTS:
        return bends
    step = (len(bends) - 1) / (_MOST_POINTS - 1)
    return [bends[round(i * step)] for i in range(_MOST_POINTS)]


def _straight(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies within half a pixel of the line from a to c."""
    if a[0] == c[0]:
        return False
    return abs(a[1] + (c[1] - a[1]) * (b[0] - a[0]) / (c[0] - a[0]) - b[1]) < 0.05


def _path(dots: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{'M' if i == 0 else 'L'}{x:g} {y:g}" for i, (x, y) in enumerate(dots))


def _firing(points: Sequence[CurvePoint], place: Callable[[float], float]) -> list[tuple[float, float]]:
    """(left, width) of each unbroken run of firing positions."""
    stretches: list[tuple[float, float]] = []
    start: float | None = None
    for i, point in enumerate(points):
        if point.fires and start is None:
            start = place(point.x)
        if start is not None and (not point.fires or i == len(points) - 1):
            end = place(points[i - 1].x if not point.fires else point.x)
            # A single firing position (0 streams) would be a stretch of no width.
            stretches.append((max(_LEFT, start - 2) if end - start < 4 else start, max(4.0, round(end - start, 1))))
            start = None
    return stretches


def _even(low: float, high: float) -> list[float]:
    return [low + (high - low) * i / 4 for i in range(5)]


_SUFFIXES: Mapping[int, str] = {0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P"}


def _short(value: float) -> str:
    """A number in six characters or so: 12.5, 250k, 1.2G."""
    size = abs(value)
    if 0 < size < 1e-3 or size >= 1e18:
        return f"{value:.1e}"
    power = min(5, int(math.log10(size) // 3)) if size >= 10_000 else 0
    return f"{value / 1000**power:.3g}{_SUFFIXES[power]}" if power or size < 1000 else f"{value:.4g}"


# -- time --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """A run of ticks in one state."""

    left: float
    width: float
    kind: str
    y: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """One course of the knob on the tick grid: the input, where the condition holds, and the alert's states."""

    bars: tuple[Bar, ...]
    input: str
    """The path of the series that the knob moves most."""
    input_text: str
    marks: tuple[Mark, ...]
    resolved_x: float | None
    cell: float
    height: int
    described: str


_LONGEST_NAME = 44
LANE_STEP = 46
"""From one lane of a run to the next: a name, the bar, and room."""
_STEPS_MS = (30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000, 86_400_000)


@dataclass(frozen=True, slots=True)
class ChartStretch:
    """A stretch of a lane, in pixels: ``pending``, ``firing``, ``fault`` or ``meant``."""

    left: float
    width: float
    kind: str

    @classmethod
    def between(cls, left: float, right: float, kind: str) -> ChartStretch:
        """At least as wide as one can see."""
        return cls(left, max(1.5, round(right - left, 1)), kind)


@dataclass(frozen=True, slots=True)
class Lane:
    """An alert or a fault over the time of a run; `told` and `ended` are where notifications arrived."""

    name: str
    y: int
    stretches: tuple[ChartStretch, ...]
    told: float | None = None
    ended: float | None = None


def time_marks(length_ms: int) -> list[Mark]:
    """Round times along an axis that begins at 0, eight at the most."""
    step = next((step for step in _STEPS_MS if length_ms / step <= 8), _STEPS_MS[-1])
    return [
        Mark(time_x(at_ms, length_ms), format_duration(at_ms), number % 2 == 1, "" if at_ms else "start")
        for number, at_ms in enumerate(range(0, length_ms - step // 3, step))
    ]


def time_x(at_ms: float, length_ms: float) -> float:
    """A moment of a run, in pixels from the left."""
    return round(WIDTH * at_ms / length_ms, 1)


def lane_name(text: str) -> str:
    """A name that fits above its lane, also on a phone; the table below the chart has all of it."""
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


LANE_HEIGHT, _LANES = 26, 4
_BAR = 20


def timeline(fact: Fact, interval_ms: int, counters: frozenset[str] = frozenset()) -> Timeline | None:
    """The timeline of the alert that fires in a fact; None if none is ever pending.

    `counters` are the metrics of which the increase is the input, not the value.
    """
    if not fact.timelines:
        return None
    alert = max(fact.timelines, key=lambda t: len(t.true_at))
    cell = (WIDTH - _LEFT - _RIGHT) / fact.ticks
    truth = ["true" if tick in alert.true_at else "" for tick in range(fact.ticks)]
    pending = [state.value if state is AlertState.PENDING else "" for state in alert.states]
    firing = [state.value if state is AlertState.FIRING else "" for state in alert.states]
    bars = [bar for lane, kinds in enumerate((truth, pending, firing), 1) for bar in _bars(kinds, cell, lane)]
    path, text = _input(fact, interval_ms, cell, counters)
    step = max(1, -(-fact.ticks // 6))
    marks = tuple(
        Mark(round(_LEFT + tick * cell, 1), format_duration(tick * interval_ms), i % 2 == 1)
        for i, tick in enumerate(range(0, fact.ticks, step))
    )
    resolved = _resolved(alert)
    said = [
        f"{name} at {format_duration(tick * interval_ms)}"
        for name, tick in (
            ("pending", alert.first(AlertState.PENDING)),
            ("firing", alert.first(AlertState.FIRING)),
            ("resolved", resolved),
        )
        if tick is not None
    ]
    if alert.first(AlertState.FIRING) is None:
        said.append("never firing")
    return Timeline(
        tuple(bars),
        path,
        text,
        marks,
        round(_LEFT + resolved * cell, 1) if resolved is not None else None,
        round(cell, 3),
        _LANES * LANE_HEIGHT + 34,
        f"{fact.name}: {', '.join(said)}" if ":" not in fact.name else f"{fact.name}; {', '.join(said)}",
    )


def _resolved(alert: AlertTimeline) -> int | None:
    """The first tick after the first firing stretch."""
    first = alert.first(AlertState.FIRING)
    if first is None:
        return None
    return next((t for t in range(first, len(alert.states)) if alert.states[t] is not AlertState.FIRING), None)


def _bars(kinds: Sequence[str], cell: float, lane: int) -> list[Bar]:
    bars: list[Bar] = []
    start = 0
    for tick in range(1, len(kinds) + 1):
        if tick == len(kinds) or kinds[tick] != kinds[start]:
            if kinds[start]:
                left, width = round(_LEFT + start * cell, 1), round((tick - start) * cell, 1)
                bars.append(Bar(left, width, kinds[start], lane * LANE_HEIGHT + 4))
            start = tick
    return bars


def _input(fact: Fact, interval_ms: int, cell: float, counters: frozenset[str]) -> tuple[str, str]:
    """Path and words of the series that the knob moves most: a gauge's value, a counter's increase at each scrape."""
    moved: list[tuple[float, Trace, list[tuple[int, float]]]] = []
    for trace in fact.traces:
        levels = _levels(trace, counters)
        values = [value for _, value in levels]
        size = max(map(abs, values), default=0.0)
        if size and max(values) > min(values):
            moved.append(((max(values) - min(values)) / size, trace, levels))
    if not moved:
        return "", ""
    _, trace, levels = max(moved, key=lambda item: item[0])
    low, high = min(v for _, v in levels), max(v for _, v in levels)
    per_ms, steps, last = cell / interval_ms, "", None
    for at, value in levels:
        y = round(_BAR - 1 - (value - low) / (high - low) * (_BAR - 2), 1)
        x = round(_LEFT + max(at, 0) * per_ms, 1)
        if x > WIDTH - _RIGHT:
            break
        if last is None:
            steps = f"M{x:g} {y:g}"
        elif y != last:
            steps += f"H{x:g}V{y:g}"
        last = y
    what = "increase of " if dict(trace.labels).get("__name__", "") in counters else ""
    text = f"{what}{format_labels(trace.labels)}: {_short(low)} to {_short(high)}"
    return f"{steps}H{WIDTH - _RIGHT}", text


def _levels(trace: Trace, counters: frozenset[str]) -> list[tuple[int, float]]:
    known = [
        (at, v) for at, v in zip(trace.times_ms, trace.values, strict=True) if not is_stale(v) and math.isfinite(v)
    ]
    if dict(trace.labels).get("__name__", "") not in counters:
        return known
    # Rounded, for the increases of a steady counter differ in their last bits.
    increases = [
        (at, float(f"{max(0.0, value - before):.9g}")) for (_, before), (at, value) in itertools.pairwise(known)
    ]
    return [(known[0][0], increases[0][1]), *increases] if increases else []


def counters_of(result: AlertResult) -> frozenset[str]:
    """The metrics of a contract's signal that count."""
    if result.contract is None:
        return frozenset()
    found: set[str] = set()
    for spec in result.contract.signal.series:
        if spec.shape in (Shape.COUNTER, Shape.NATIVE):
            found.add(spec.metric)
        elif spec.shape is Shape.HISTOGRAM:
            found |= {f"{spec.metric}_{part}" for part in ("bucket", "count", "sum")}
    return frozenset(found)


FRAME = {
    "width": WIDTH,
    "height": HEIGHT,
    "left": _LEFT,
    "right": WIDTH - _RIGHT,
    "top": _TOP,
    "bottom": HEIGHT - _BOTTOM,
}
"""The curve's frame, for the template."""
