"""The knob of a contract as its file has it: range and step, threshold, and the named constants that they may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from harness.contracts.formula import VARIABLES, constant
from harness.contracts.model import ContractKind, Knob, Op
from harness.errors import InputError
from harness.numbers import LARGEST
from harness.source import Fields, Text

KNOB_FIELDS = ("name", "unit", "range", "step", "counts")
_SWITCH = Knob("presence", "", Fraction(0), Fraction(1), Fraction(1), "")
"""The knob of series that are there or gone."""
_STILL = Knob("knob", "", Fraction(0), Fraction(0), Fraction(1), "")
"""The knob of a contract that needs none."""


def read_given(fields: Fields, inherited: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """The constants under `given`, beside and before those `inherited`; each may use those above it."""
    given = dict(inherited)
    if "given" in fields:
        for name, item in fields.fields("given", "`given`").each():
            if not re.fullmatch(r"[A-Za-z_]\w*", name.value) or name.value in VARIABLES:
                raise InputError(
                    f"`{name.value}` cannot be a name in `given`", span=name.span, hint="x, t and now are taken"
                )
            given[name.value] = constant(item.text(), given)
    return given


def _knob(fields: Fields, given: Mapping[str, Fraction]) -> Knob:
    fields.only(*KNOB_FIELDS)
    bounds = [constant(item.text(), given) for item in fields.items("range", "a bound")]
    if len(bounds) != 2 or bounds[0] >= bounds[1]:
        raise InputError(
            f"`range` of {fields.what} must be two numbers, the smaller first",
            span=fields.key_span("range"),
            hint="write range: [0, 100]",
        )
    if max(map(abs, bounds)) > LARGEST:
        raise InputError(
            f"`range` of {fields.what} goes beyond what a double holds",
            span=fields.key_span("range"),
            hint="doubles end at about 1.8e308",
        )
    step = constant(fields.text("step"), given) if "step" in fields else None
    if step is not None and (step <= 0 or (bounds[1] - bounds[0]) % step):
        raise InputError(
            f"`step` of {fields.what} must be positive and divide its range",
            span=fields.text("step").span,
            hint="the knob stands at low, low + step, … up to high",
        )
    if "counts" in fields and step is None:
        raise InputError(
            f"{fields.what} counts things but has no `step`", span=fields.key_span("counts"), hint="add step: 1"
        )
    return Knob(
        name=fields.text("name").value,
        unit=fields.text("unit").value if "unit" in fields else "",
        low=bounds[0],
        high=bounds[1],
        step=step,
        counts=fields.text("counts").value if "counts" in fields else "",
    )


def read_limit(fields: Fields, kind: ContractKind, given: Mapping[str, Fraction]) -> tuple[Knob, Op, Fraction]:
    """Knob, comparison and threshold; what has none of its own gets the one that says the same."""
    if kind in (ContractKind.ABSENCE, ContractKind.PRESENCE):
        return _SWITCH, Op.LT if kind is ContractKind.ABSENCE else Op.GE, Fraction(1)
    if kind is ContractKind.THRESHOLD or "knob" in fields:
        knob = _knob(fields.fields("knob", f"the knob of {fields.what.removeprefix('the contract of ')}"), given)
    else:
        knob = _STILL
    if kind is not ContractKind.THRESHOLD:
        return knob, Op.GE, knob.low
    return knob, _op(fields.text("op")), _on_knob(fields.text("threshold"), knob, given, "the threshold")


def _op(text: Text) -> Op:
    try:
        return Op(text.value)
    except ValueError:
        what = (
            f"`{text.value}` is no comparison of a contract"
            if text.value
            else "`op` is empty; unquoted, YAML folds `>`"
        )
        raise InputError(
            what,
            span=text.span,
            hint=f"expected one of: {', '.join(op.value for op in Op)} (quoted), absent, present",
        ) from None


def _on_knob(text: Text, knob: Knob, given: Mapping[str, Fraction], what: str) -> Fraction:
    """A value within the knob's range and on its step; raises InputError at its place."""
    value = constant(text, given)
    if not knob.low <= value <= knob.high:
        raise InputError(
            f"{what} {text.value} lies outside the knob's range, "
            f"{float(knob.low):g} to {float(knob.high):g} {knob.unit}",
            span=text.span,
            hint="widen `range`, or correct the value",
        )
    if knob.step is not None and (value - knob.low) % knob.step:
        raise InputError(
            f"{what} {text.value} is no position of the knob, whose step is {knob.step} {knob.unit}",
            span=text.span,
            hint="choose a step that meets it exactly",
        )
    return value


def knob_position(text: Text, knob: Knob, given: Mapping[str, Fraction]) -> Fraction:
    """Where a situation puts the knob: within its range, on or between its steps; raises InputError at its place."""
    value = constant(text, given)
    if not knob.low <= value <= knob.high:
        return _on_knob(text, knob, given, "the knob's position")
    return value
