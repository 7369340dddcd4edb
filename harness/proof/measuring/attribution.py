"""Which comparison of the rule flips at a boundary, what it compares there, and what rounding may do to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from harness.proof.measuring.experiment import Experiment, SteadyWorlds, chunks
from harness.proof.measuring.rounding import Rounding, beside, computes, disturbed, rounding
from harness.proof.model import Boundary, RoundingRange, Sides
from harness.rules.expr import Comparison, comparisons
from harness.series import Labels, format_labels

_MAIN = "main"


@dataclass(frozen=True, slots=True)
class EqualSides:
    """A world in which, at the threshold, both sides of the rule's comparison are the same double."""

    world: str
    fires: bool
    value: float


@dataclass(slots=True)
class Attribution:
    """What was seen of the rule's comparisons on both sides of a boundary, and at the threshold."""

    matched: list[tuple[str, float]]
    """The series that the rule returned at the firing position."""
    flipped: list[Comparison] = field(default_factory=list)
    """The comparisons that hold on one side of the boundary only …"""
    at_quiet: list[Sides] = field(default_factory=list)
    at_fires: list[Sides] = field(default_factory=list)
    """… and what each compares on either side."""
    gap: float | None = None
    """At the threshold: how far apart the nearest of their sides are (None: no comparison flipped)."""
    equal: list[EqualSides] = field(default_factory=list)
    tolerated: int = 0
    """How many positions of the knob rounding may put between the boundary and the threshold."""
    quiet: RoundingRange = field(default_factory=RoundingRange)
    fires: RoundingRange = field(default_factory=RoundingRange)
    """What rounding may change with the knob at the last quiet position, and at the first firing one."""


def attribute(
    experiment: Experiment, quiet: int, fires: int, boundary: Boundary, scrapes_ms: Mapping[str, int]
) -> Attribution:
    """Name the comparison that flips at the boundary, and find worlds in which it meets the threshold exactly: the main
    one, and those of `scrapes_ms`, by their names, in which it is scraped otherwise."""
    positions = experiment.positions
    steady = experiment.steady([positions.value(quiet), positions.value(fires), positions.threshold])
    matched = experiment.at_end(steady, experiment.plan.rule.expr.value)[1]
    found = Attribution([(format_labels(labels), value) for labels, value in matched.items()])
    for comparison in comparisons(experiment.plan.rule.expr):
        returned = experiment.at_end(steady, comparison.text)
        if not comparison.is_bool and bool(returned[0]) == bool(returned[1]):
            continue
        if comparison.is_bool and returned[0] == returned[1]:
            continue
        found.flipped.append(comparison)
        sides = experiment.sides(comparison, steady)
        found.at_quiet.append(sides[0])
        found.at_fires.append(sides[1])
        found.gap = _closest(sides[2], found.gap)
    if not found.flipped:
        return found
    found.equal += _equal(experiment, found.flipped, _MAIN, steady)
    for name, scrape_ms in scrapes_ms.items():
        found.equal += _equal(experiment, found.flipped, name, experiment.steady([positions.threshold], scrape_ms))
    at_threshold: list[Rounding | None] = []
    if boundary.steps or not found.equal:
        point = beside(positions, boundary.fires_at)
        at_threshold = _roundings(experiment, found.flipped, positions.threshold, point)
        found.tolerated = _tolerated(experiment, at_threshold, found.gap)
    series = len(steady.worlds[0])
    if any(computes(comparison, series) for comparison in found.flipped):
        near = at_threshold if at_threshold and abs(boundary.steps) <= found.tolerated else None
        near = near or _roundings(experiment, found.flipped, boundary.fires_at, boundary.quiet_at)
        found.quiet, found.fires = _ranges(found.at_quiet, near), _ranges(found.at_fires, near)
    return found


def _ranges(sides: Sequence[Sides], roundings: Sequence[Rounding | None]) -> RoundingRange:
    """What rounding may change of what these comparisons say."""
    found = RoundingRange()
    for compared, rounding_of in zip(sides, roundings, strict=True):
        if rounding_of is None:
            continue
        for left, right in compared.pairs():
            if math.isfinite(left) and math.isfinite(right):
                near = abs(Fraction(left) - Fraction(right)) <= rounding_of.between_engines
                holds = compared.holds(left, right)
                found |= RoundingRange(lost=near and holds, gained=near and not holds)
    return found


def _equal(experiment: Experiment, flipped: Sequence[Comparison], name: str, worlds: SteadyWorlds) -> list[EqualSides]:
    """The flipped comparisons whose sides meet in the last of these worlds."""
    last = worlds.slots.count - 1
    truth = experiment.holds(worlds)[last]
    equal = []
    for comparison in flipped:
        sides = experiment.sides(comparison, worlds)[last]
        if shared := set(sides.left.values()) & set(sides.right.values()):
            equal.append(EqualSides(name, truth, min(shared)))
    return equal


def _tolerated(experiment: Experiment, roundings: Sequence[Rounding | None], gap: float | None) -> int:
    """How many positions of the knob lie within the rounding of contract and rule."""
    most = 0
    for found in roundings:
        if found is None:
            continue
        if experiment.positions.knob.step is None:
            most = max(most, found.positions)
        elif gap is not None and 0 < gap <= found.error:
            most = 1  # rounding takes the threshold's own position for that of its neighbour
    return most


def _roundings(
    experiment: Experiment, flipped: Sequence[Comparison], x: Fraction, point: Fraction
) -> list[Rounding | None]:
    """What rounding can do to each comparison with the knob at x; its slope is measured from there to `point`."""
    known = experiment.steady([x, point])
    sides: list[list[tuple[dict[Labels, float], dict[Labels, float]]]] = [[] for _ in flipped]

    def look(steady: SteadyWorlds) -> None:
        for comparison, seen in zip(flipped, sides, strict=True):
            left, right = experiment.at_end(steady, comparison.left), experiment.at_end(steady, comparison.right)
            seen += zip(left, right, strict=True)

    look(known)
    for worlds in chunks(disturbed(known.worlds[0]), experiment.sampling.at_once):
        look(experiment.record(worlds, known.length_ms, known.offsets_ms))
    return [
        rounding(experiment.positions, (comparison.left, comparison.right), len(known.worlds[0]), seen, point)
        for comparison, seen in zip(flipped, sides, strict=True)
    ]


def _closest(sides: Sides, known: float | None) -> float | None:
    gaps = [
        abs(a - b) for a in sides.left.values() for b in sides.right.values() if math.isfinite(a) and math.isfinite(b)
    ]
    if known is not None:
        gaps.append(known)
    return min(gaps, default=None)
