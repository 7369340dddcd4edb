"""What the theory says of a burn-rate alert while an error ratio stands still: exact fractions, whole formulas.

Formulas: Google, The Site Reliability Workbook (2018), chapter 5 (burn rate, factor, detection, budget spent), and for
the reset time our own derivation from the same picture. They hold for even traffic, with no errors before.

Two traps are in print. "10 % errors at 99.9 % burn at 1,000 ×" is 100 ×; and a detection time of
`1 − SLO / error ratio` lacks parentheses: it is (1 − SLO) / error ratio.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from harness.slo.model import BurnPair


def budget_fraction(pair: BurnPair, period_ms: int) -> Fraction:
    """The share of the period's budget whose spending within the long window the pair stands for: 2 %, 5 %, 10 %."""
    return pair.factor * pair.long_ms / period_ms


def factor_of(share: Fraction, period_ms: int, long_ms: int) -> Fraction:
    """The burn rate that spends a share of the period's budget within the long window: share × period / long."""
    return share * period_ms / long_ms


def can_fire(pair: BurnPair, target: Fraction) -> bool:
    """Whether any error ratio is above the pair's threshold; none is where θ ≥ 1 (of `gte`: > 1)."""
    return pair.burns(Fraction(1), target)


def crossing_ms(pair: BurnPair, target: Fraction, ratio: Fraction) -> Fraction | None:
    """How long the ratio must hold until every window is above θ: θ / ratio × the longest window; None if never."""
    return pair.threshold(target) / ratio * max(pair.windows_ms) if pair.burns(ratio, target) else None


def detection_ms(pair: BurnPair, target: Fraction, ratio: Fraction) -> Fraction | None:
    """From the first error to firing: (1 − objective) / ratio × long window × factor, and then the pair's `for`."""
    crossing = crossing_ms(pair, target, ratio)
    return None if crossing is None else crossing + pair.hold_ms


def first_detection_ms(pairs: Iterable[BurnPair], target: Fraction, ratio: Fraction) -> Fraction | None:
    """Of alternatives (the pairs of one severity) the earliest; None if none fires."""
    found = [at for pair in pairs if (at := detection_ms(pair, target, ratio)) is not None]
    return min(found, default=None)


def reset_ms(pair: BurnPair, target: Fraction, ratio: Fraction) -> Fraction | None:
    """From the last error until the pair is quiet, if it had fired: W × (1 − θ / ratio); None if it never fires.

    `s` after the last error a window W still holds (W − s) / W of the ratio, or all of a shorter incident, until W − s
    is less than that; so it falls to θ at s = W × (1 − θ / ratio), however long the incident was. The short window is
    the first to do so. (The book's 58 minutes, for a single window of an hour at 36 × and 99.9 %, are this.)
    """
    return min(pair.windows_ms) * (1 - pair.threshold(target) / ratio) if pair.burns(ratio, target) else None
