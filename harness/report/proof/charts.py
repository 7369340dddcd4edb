"""An alert's charts as numbers and paths, drawn by the page's template: its response curve and its timelines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.contracts.model import ContractKind, Shape
from harness.contracts.world import Trace
from harness.proof.model import AlertResult, Case, CurvePoint
from harness.replay import AlertState, AlertTimeline
from harness.report import svg
from harness.report.svg import Band, Frame, Lane, Mark, Scale, short_number
from harness.series import format_labels, is_stale
from harness.units import format_duration, format_number, format_with_unit

FRAME = Frame(height=262, left=84, right=624, top=58, bottom=222)
"""Of the response curve; timelines have its left and right."""
LANE_HEIGHT = 26
LANES = ("input", "condition", "pending", "firing")
_BAR = 20
_MOST_POINTS = 48
"""Points of a curve that are drawn; more would not be seen, and a page holds a hundred alerts."""
_LEAST_FIRING = 4.0


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
class Limit:
    """The value that the rule compares with."""

    y: float
    text: str
    text_x: int
    text_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The rule's left side over the knob: the path, the firing stretches, the limit and the boundary."""

    path: str
    firing: tuple[Band, ...]
    limit: Limit | None
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
    known = [(p.x, p.value) for p in points if p.value is not None and math.isfinite(p.value)]
    limit = result.measured.limit
    if limit is not None and not math.isfinite(limit):
        limit = None
    low_x, high_x = points[0].x, points[-1].x
    low_y, high_y = _ends([value for _, value in known] + ([] if limit is None else [limit]))
    x_of, y_of = FRAME.x(svg.linear(low_x, high_x)), FRAME.y(svg.linear(low_y, high_y))
    unit = contract.knob.unit
    described = f"{contract.knob.name} from {format_number(low_x)} to {format_with_unit(high_x, unit)}"
    if (boundary := result.measured.boundary) is not None:
        quiet, fires = format_with_unit(boundary.quiet_at, unit), format_with_unit(boundary.fires_at, unit)
        described += f": last quiet at {quiet}, first firing at {fires}"
    edge = _edge(result, x_of)
    xs = [(x, short_number(x)) for x in svg.even(low_x, high_x)]
    xs[0], xs[-1] = ((x, f"{text} {unit}".rstrip()) for x, text in (xs[0], xs[-1]))
    return Curve(
        path=svg.line(_thinned(list(dict.fromkeys((x_of(x), y_of(value)) for x, value in known)))),
        firing=tuple(_firing(points, x_of)),
        limit=None if limit is None else _limit(y_of(limit), limit, edge),
        edge=edge,
        x_marks=svg.x_axis(x_of, xs),
        y_marks=svg.y_axis(y_of, [(y, short_number(y)) for y in svg.even(low_y, high_y)]),
        described=described,
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest value; apart from each other where there is only one."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low - 1, high + 1) if low == high else (low, high)


def _limit(y: float, limit: float, edge: Edge | None) -> Limit:
    """Its text stands above the line, or below it near the top, on the side away from the boundary."""
    side = (FRAME.right - 6, "end") if edge is not None and edge.anchor == "start" else (FRAME.left + 6, "start")
    return Limit(y, f"limit {short_number(limit)}", side[0], y - 6 if y > FRAME.top + 26 else y + 18, side[1])


def _edge(result: AlertResult, x_of: Scale) -> Edge | None:
    boundary, contract = result.measured.boundary, result.contract
    if boundary is None or contract is None:
        return None
    at = x_of(float(boundary.fires_at))
    left = at > (FRAME.left + FRAME.right) / 2
    unit = contract.knob.unit
    callouts = (
        Callout(f"quiet at {format_with_unit(boundary.quiet_at, unit)}", 18, "quiet"),
        Callout(f"fires at {format_with_unit(boundary.fires_at, unit)}", 42, "fires"),
    )
    return Edge(at, round(at - 12 if left else at + 12, 1), "end" if left else "start", callouts)


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
    """Whether b lies so near to the line from a to c that nobody sees a bend."""
    if a[0] == c[0]:
        return False
    return abs(a[1] + (c[1] - a[1]) * (b[0] - a[0]) / (c[0] - a[0]) - b[1]) < 0.05


def _firing(points: Sequence[CurvePoint], x_of: Scale) -> list[Band]:
    """Each unbroken run of firing positions, from the first to the last of them."""
    bands = []
    for begin, end, fires in svg.runs(point.fires for point in points):
        left, right = x_of(points[begin].x), x_of(points[end - 1].x)
        if fires:  # a single firing position (0 streams) would be a band of no width
            narrow = right - left < _LEAST_FIRING
            bands.append(Band.between(max(FRAME.left, left - 2) if narrow else left, right, least=_LEAST_FIRING))
    return bands


# -- time --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timeline:
    """One course of the knob on the tick grid: the input, where the condition holds, and the alert's states."""

    lanes: tuple[Lane, ...]
    input: str
    """The path of the series that the knob moves most."""
    input_text: str
    marks: tuple[Mark, ...]
    resolved_x: float | None
    cell: float
    """From one tick to the next."""
    height: int
    described: str


def timeline(fact: Case, interval_ms: int, counters: frozenset[str] = frozenset()) -> Timeline | None:
    """The timeline of the alert that fires in a fact; None if none is ever pending.

    `counters` are the metrics of which the increase is the input, not the value.
    """
    if not fact.timelines:
        return None
    alert = max(fact.timelines, key=lambda t: len(t.true_at))
    x_of = FRAME.x(svg.linear(0, fact.ticks))
    kinds = [
        ["true" if tick in alert.true_at else "" for tick in range(fact.ticks)],
        *(
            [state.value if state is wanted else "" for state in alert.states]
            for wanted in (AlertState.PENDING, AlertState.FIRING)
        ),
    ]
    length_ms = fact.ticks * interval_ms
    path, text = _input(fact, FRAME.x(svg.linear(0, length_ms)), length_ms, counters)
    resolved = _resolved(alert)
    return Timeline(
        lanes=tuple(
            Lane(name, number * LANE_HEIGHT + 4, tuple(_bands(lane, x_of)))
            for number, (name, lane) in enumerate(zip(LANES[1:], kinds, strict=True), 1)
        ),
        input=path,
        input_text=text,
        marks=svg.time_axis(FRAME.x(svg.linear(0, length_ms)), length_ms),
        resolved_x=None if resolved is None else x_of(resolved),
        cell=round((FRAME.right - FRAME.left) / fact.ticks, 3),
        height=len(LANES) * LANE_HEIGHT + 34,
        described=_described(fact, alert, interval_ms),
    )


def _described(fact: Case, alert: AlertTimeline, interval_ms: int) -> str:
    """The timeline in words."""
    events = {"pending": alert.first(AlertState.PENDING), "firing": alert.first(AlertState.FIRING)}
    events["resolved"] = _resolved(alert)
    said = [f"{name} at {format_duration(tick * interval_ms)}" for name, tick in events.items() if tick is not None]
    if events["firing"] is None:
        said.append("never firing")
    return f"{fact.name}{';' if ':' in fact.name else ':'} {', '.join(said)}"


def _resolved(alert: AlertTimeline) -> int | None:
    """The first tick after the first firing stretch."""
    first = alert.first(AlertState.FIRING)
    if first is None:
        return None
    return next((t for t in range(first, len(alert.states)) if alert.states[t] is not AlertState.FIRING), None)


def _bands(kinds: Sequence[str], x_of: Scale) -> list[Band]:
    """A band for each run of ticks in one state; a tick lasts until the next."""
    return [Band.between(x_of(begin), x_of(end), kind) for begin, end, kind in svg.runs(kinds) if kind]


def _input(fact: Case, x_of: Scale, length_ms: int, counters: frozenset[str]) -> tuple[str, str]:
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
    y_of = Scale(svg.linear(low, high), _BAR - 1, 1)
    shown = [(at, y_of(value)) for at, value in levels if at <= length_ms]
    ends = [at for at, _ in shown[1:]] + [length_ms]
    path = svg.staircase([(x_of(at), x_of(end), y) for (at, y), end in zip(shown, ends, strict=True)])
    what = "increase of " if dict(trace.labels).get("__name__", "") in counters else ""
    return path, f"{what}{format_labels(trace.labels)}: {short_number(low)} to {short_number(high)}"


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
