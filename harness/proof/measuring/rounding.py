"""How far from its threshold a rule may fire because doubles are rounded, and no further.

Contract and rule compute the same quantity in different ways, each rounding as it goes, so a right rule's boundary may
lie some doubles beside the threshold: none for `x > 5`, one or two for a ratio of rates, dozens for a p99. How many is
derived for the rule at hand, from D, the left side of the comparison that flips minus its right side, at the threshold:

1. *Samples.* Each is a formula's exact value rounded once, so it is off by at most half an ULP. What that does to D is
   measured: all samples are moved by half an ULP (times 2**28, to stand out of the rounding itself), each up or down by
   lot, samples of equal value together, for they are rounded alike. The largest of 24 such changes of D is their share.
   Of few roundings that is the worst case; of many, some four standard deviations of their sum.
2. *Operations.* Each rounds its result by at most u = 2**-53 of it (or by 2**-1075, next to 0). That is the same as a
   world in which the series below it are that much larger or smaller (backward analysis), so it is measured likewise,
   with whole series scaled.
   `histogram_quantile` comes out with its amplification: inside a bucket that holds a share d of all observations, a
   relative error in a count moves the quantile by 1/d of that, and d is at most 1 - q. The k roundings from the samples
   to the comparison count as sqrt(k) of one; the last of them, of the compared values themselves, are u of each. Where
   a function cancels samples against each other (`deriv`), its own roundings are as large as theirs: they count in 1.
3. *Another engine.* Two that compute the same expression from the same samples may differ by what its operations may be
   off, once each: by twice that. Where nothing is computed (`x > 5`) they must agree to the last bit.
4. *Knob.* The sum of 1 and 2, divided by the slope of D from the threshold to a point a millionth beside it, is a
   distance on the knob. Where D does not move with the knob (`floor(x) > 5`) rounding explains nothing.

Sources: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002, sections 1.5 (backward error) and
3.1 (k roundings); N. J. Higham and T. Mary, A New Approach to Probabilistic Rounding Error Analysis, SIAM J. Sci.
Comput. 41(5), 2019 (sqrt(k) for k); Prometheus, promql/quantile.go (bucketQuantile) and functions.go
(extrapolatedRate).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.contracts.world import Trace
from harness.proof.positions import KnobPositions
from harness.rules.expr import Comparison, roundings
from harness.series import Labels, NativeHistogram, is_stale

Values = Mapping[Labels, float]
_DRAWS = 24
_GREATER = 1 << 28
"""How much larger than a rounding the moves are, so that the rounding of the measurement itself does not show."""
_U = Fraction(1, 1 << 53)
_ETA = Fraction(1, 1 << 1075)
"""And by this where results are so near to 0 that doubles have no more bits."""
_NEAR = Fraction(1, 1 << 20)
_SLACK = 1 + Fraction(1, 1 << 30)
"""For the slope, which is measured to fewer digits than that."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """What rounding can do to one comparison at the threshold."""

    error: Fraction
    """How far apart its sides may be where they are meant to be equal, in their own unit."""
    between_engines: Fraction
    """By how much the difference of its sides may differ from one engine to another."""
    positions: int
    """How many positions of the knob that is."""


def disturbed(world: Sequence[Trace]) -> list[list[Trace]]:
    """Worlds like this one in which samples are rounded otherwise (the first half), then series of another scale.

    Series that follow the clock keep theirs: ages move in steps that are exact.
    """
    lot = random.Random(0)  # noqa: S311 (the same worlds in every run)
    made = []
    for _ in range(_DRAWS):
        signs: dict[float, int] = {}
        made.append([_moved(trace, lambda v, signs=signs: _otherwise(v, signs, lot)) for trace in world])  # type: ignore[misc]
    for _ in range(_DRAWS):
        scales = [1 + lot.choice((-1, 1)) * float(_GREATER * _U) for _ in world]
        made.append([_moved(t, lambda v, by=by: v * by) for t, by in zip(world, scales, strict=True)])  # type: ignore[misc]
    return made


def _otherwise(value: float, signs: dict[float, int], lot: random.Random) -> float:
    sign = signs.setdefault(value, lot.choice((-1, 1)))
    return value + sign * math.ulp(value) * (_GREATER // 2)


def _moved(trace: Trace, move: Callable[[float], float]) -> Trace:
    if trace.dated is not None or isinstance(next(iter(trace.values), None), NativeHistogram):
        return trace
    values = [value if is_stale(value) or not math.isfinite(value) else move(value) for value in trace.values]
    return Trace(trace.labels, trace.times_ms, values)


def beside(positions: KnobPositions, fires_at: Fraction) -> Fraction:
    """The point to which the slope is measured: near the threshold, on the side of the measured boundary."""
    size = abs(positions.threshold) or positions.knob.high - positions.knob.low
    step = positions.knob.step or positions.age_step or 0
    away = max(size * _NEAR, step)
    threshold, highest = positions.threshold, positions.knob.high
    up = fires_at > threshold if fires_at != threshold else threshold < highest
    return min(max(threshold + (away if up else -away), positions.knob.low), highest)


def rounding(
    positions: KnobPositions,
    texts: tuple[str, str],
    series: int,
    sides: Sequence[tuple[Values, Values]],
    point: Fraction,
) -> Rounding | None:
    """From a comparison's sides (left and right per series) at the threshold, at `point`, and in the disturbed worlds.

    `texts` are the sides in PromQL, `series` is how many series the world has. None where the sides cannot be told
    (they are empty, or change their labels).
    """
    at = sides[0]
    pairs = [(abs(a - b), one, other) for one, a in at[0].items() for other, b in at[1].items() if _finite(a, b)]
    if not pairs:
        return None
    _, left, right = min(pairs)

    def difference(here: tuple[Values, Values]) -> Fraction | None:
        a, b = here[0].get(left), here[1].get(right)
        return Fraction(a) - Fraction(b) if a is not None and b is not None and _finite(a, b) else None

    found = [difference(here) for here in sides]
    base, near, *moved = [value for value in found if value is not None] if None not in found else (None, None)
    if base is None or near is None:
        return None
    changes = [abs(value - base) / _GREATER for value in moved]
    of_samples, of_series = max(changes[:_DRAWS]), max(changes[_DRAWS:])
    counts = [roundings(text, series) for text in texts]
    over_samples, k = sum(count for count, _ in counts), sum(count for _, count in counts)
    compared = _U * (abs(Fraction(at[0][left])) + abs(Fraction(at[1][right]))) + 2 * _ETA
    of_results = (of_series + compared) * Fraction(math.sqrt(k))
    error = of_samples * Fraction(math.sqrt(1 + over_samples)) + of_results
    between_engines = 2 * (of_samples * Fraction(math.sqrt(over_samples)) + of_results)
    slope = abs((near - base) / (point - positions.threshold)) if point != positions.threshold else Fraction(0)
    far = _whole_positions(positions, error / slope * _SLACK) if slope else 0
    return Rounding(error, between_engines, far)


def _finite(a: float, b: float) -> bool:
    return math.isfinite(a) and math.isfinite(b)


def _whole_positions(positions: KnobPositions, distance: Fraction) -> int:
    """How many positions of the knob a distance from the threshold is, whole ones."""
    most = 0
    for sign in (-1, 1):
        x = min(max(positions.threshold + sign * distance, positions.knob.low), positions.knob.high)
        steps = abs(positions.position(x) - positions.at_threshold)
        while steps and abs(positions.value(positions.at_threshold + sign * steps) - positions.threshold) > distance:
            steps -= 1
        most = max(most, steps)
    return most


def computes(comparison: Comparison, series: int) -> bool:
    """Whether anything is rounded on the way to the sides of a comparison in a world of so many series."""
    return any(sum(roundings(text, series)) for text in (comparison.left, comparison.right))
