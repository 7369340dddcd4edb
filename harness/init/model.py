"""What is guessed of a contract."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from harness.contracts import ContractKind


@dataclass(slots=True)
class Guess:
    """What an expression tells of the knob and the world."""

    kind: ContractKind = ContractKind.THRESHOLD
    op: str = ">"
    threshold: float | None = None
    series: list[tuple[str, str]] = field(default_factory=list)
    """(kind, selector): first what comes to the compared side, then in the order in which the expression reads them."""
    comes_and_goes: frozenset[str] = frozenset()
    """The selectors, of an absence or presence, that are there or gone."""
    ages: Mapping[str, str] = field(default_factory=dict)
    """The selectors whose values are moments: `-` where the rule compares `time() - …`, `+` where `… - time()`."""
    amounts: dict[str, str] = field(default_factory=dict)
    """The formulas of those selectors that stand neither at x nor at 1."""
    within: tuple[float, float] = (-math.inf, math.inf)
    """What the knob can be at most, so that no series is less than nothing or more than all."""
    quantile: Fraction = Fraction(95, 100)
    unit: str = ""
    one_sided: bool = False
    """The rule says `!=`, which a contract can only say of a knob that goes no further than the threshold."""
