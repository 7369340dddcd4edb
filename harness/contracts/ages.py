"""Knobs that are ages: in which steps they move, so that a boundary is the same at any clock."""

from __future__ import annotations

from fractions import Fraction

from harness.contracts.model import Contract, Shape
from harness.errors import InputError

AGE_STEP = Fraction(1, 1 << 20)
"""Seconds. Between 1970 and 2200 every multiple of it is a double, and so is every difference of two, so ``time()``
minus a sample gives back the age to the last bit, on promtool's clock as on a server's."""

_NOW = Fraction(10**9)


def age_step(contract: Contract) -> Fraction | None:
    """The knob's step, in its own unit, that moves an age by AGE_STEP; None if no series tells an age by the knob.

    A knob that counts things keeps the steps of its own.
    """
    if contract.knob.step is not None:
        return None
    telling = (
        s for s in contract.signal.series if s.shape is Shape.GAUGE and {"now", "x"} <= s.formula.names and s.each
    )
    spec = next(telling, None)
    if spec is None:
        return None
    row = {name: Fraction(value) for name, value in spec.each[0].items() if name in spec.formula.names}
    base = {**contract.signal.given, **row, "t": Fraction(0)}
    x = contract.threshold
    try:
        here = spec.formula({**base, "x": x, "now": _NOW})
        by_knob = spec.formula({**base, "x": x + AGE_STEP, "now": _NOW}) - here
        by_clock = spec.formula({**base, "x": x, "now": _NOW + AGE_STEP}) - here
    except InputError:  # a division by zero just there
        return AGE_STEP
    return AGE_STEP * abs(by_clock / by_knob) if by_knob and by_clock else AGE_STEP
