"""Where the series of a draft must stand for the compared value to be the knob, as far as that is plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from harness.drafts import DraftSeries, DraftWorld, KnobLine, line, number_text, value
from harness.init.model import Guess
from harness.init.tree import literal, moments, needed, selects
from harness.rules.expr import parse_expr
from harness.rules.selectors import selectors_of
from harness.source import Text

_BEYOND = {">": 1, "<": -1, ">=": 0, "<=": 0, "==": 0, "!=": 1}
"""How far beyond its limit what else is compared stands, so that it holds."""
_PLACES = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))
"""Where three values are taken to see whether they lie on a straight line."""


@dataclass(slots=True)
class _Standing:
    """The series of a guess, by selector: labels, kind, and where each stands: 1 unless something needs more."""

    main: str
    """The selector of the series that the knob turns."""
    labels: Mapping[str, Mapping[str, str]]
    kinds: Mapping[str, str]
    recordings: Mapping[str, Text]
    age_scale: Fraction
    at: dict[str, Fraction] = field(default_factory=dict)

    def value(self, node: Any, moved: Mapping[str, Fraction]) -> Fraction | None:
        """What an expression returns while the `moved` series stand there and all others where they do."""
        entries = tuple(
            DraftSeries(self.kinds[selector], labels, moved.get(selector, self.at.get(selector, Fraction(1))))
            for selector, labels in self.labels.items()
        )
        return value(node, DraftWorld(entries, self.recordings, self.age_scale))

    def line(self, node: Any, selector: str, shares: list[str] | None = None) -> KnobLine | None:
        """How an expression follows one series while those in `shares` stand at what is left of a whole."""

        def at(v: Fraction) -> Fraction | None:
            return self.value(node, {selector: v, **dict.fromkeys(shares or [], 1 - v)})

        return line(at, *_PLACES)


def fit(guess: Guess, comparison: Any, tree: Any, recordings: Mapping[str, Text]) -> None:
    """Let the series of `guess` stand where the compared value is the knob; left as it is where that is unknown."""
    flipped = not selects(comparison.lhs)
    turned, other = (comparison.rhs, comparison.lhs) if flipped else (comparison.lhs, comparison.rhs)
    standing = _standing(guess, turned, recordings)
    _hold_the_rest(guess, standing, comparison, tree)
    limit = _limit(guess, standing, other)
    if limit is None:
        return
    shares: list[str] = []
    straight = standing.line(turned, standing.main)
    if straight is None:
        # Perhaps the rest of a whole: what fails, beside what does not.
        shares = [
            selector
            for selector, kind in standing.kinds.items()
            if selector != standing.main and kind == standing.kinds[standing.main] and selector not in guess.amounts
        ]
        straight = standing.line(turned, standing.main, shares)
    if straight is None:
        return
    at_limit = (limit - straight.base) / straight.slope
    if shares and not 0 < at_limit < 1:
        return
    ends = [straight.base] if at_limit > 0 else []
    if shares:
        ends.append(straight.base + straight.slope)
    for end in ends:
        low, high = guess.within
        guess.within = (max(low, float(end)), high) if end < limit else (low, min(high, float(end)))
    guess.threshold = float(limit)
    _write_formulas(guess, standing, straight, shares)


def _standing(guess: Guess, turned: Any, recordings: Mapping[str, Text]) -> _Standing:
    labels = {selector: _labels(selector) for _, selector in guess.series}
    kinds = {selector: "age" if selector in guess.ages else kind for kind, selector in guess.series}
    scale = Fraction(1)
    for moment, _ in moments(turned):
        gauges = tuple(DraftSeries("gauge", labels[s], Fraction(1)) for s in labels if s in guess.ages)
        found = value(moment, DraftWorld(gauges, recordings))
        if found:
            scale = found
    return _Standing(guess.series[0][1], labels, kinds, recordings, scale)


def _hold_the_rest(guess: Guess, standing: _Standing, comparison: Any, tree: Any) -> None:
    """Let the series of every other comparison stand where it holds, as far as it must for the alert to fire."""
    for node in needed(tree):
        held = literal(node.rhs) if node is not comparison else None
        if held is None:
            continue
        for selector, kind in standing.kinds.items():
            if selector == standing.main or kind not in ("gauge", "counter"):
                continue
            at = standing.line(node.lhs, selector)
            if at is not None:
                amount = (Fraction(repr(held)) + _BEYOND[str(node.op)] - at.base) / at.slope
                if amount >= 0 or kind == "gauge":
                    standing.at[selector] = amount
                    guess.amounts[selector] = number_text(amount)


def _limit(guess: Guess, standing: _Standing, other: Any) -> Fraction | None:
    """The rule's threshold, or what its other side comes to where that does not hang on the knob."""
    if guess.threshold is not None:
        return Fraction(repr(guess.threshold))
    limit = standing.value(other, {})
    return limit if limit == standing.value(other, {standing.main: Fraction(7)}) else None


def _write_formulas(guess: Guess, standing: _Standing, straight: KnobLine, shares: list[str]) -> None:
    """The formulas of the series that stand neither at x nor at 1."""
    main, text = standing.main, straight.back("x")
    if main in guess.ages:
        inner = f"({text})" if straight.base else text
        moment = f"now {guess.ages[main]} {inner}"
        if standing.age_scale != 1:
            moment = KnobLine(standing.age_scale, Fraction(0)).back(f"({moment})")
        guess.amounts[main] = moment
    elif text != "x" or shares:
        guess.amounts[main] = text
        guess.unit = ""
    for selector in shares:
        guess.amounts[selector] = f"1 - {text}" if straight.slope > 0 and not straight.base else f"1 - ({text})"


def _labels(selector: str) -> dict[str, str]:
    """The labels of a series of a draft, with ``__name__``."""
    (read,) = selectors_of(parse_expr(Text.of_text("draft", selector)))
    return {"__name__": read.metric, **{matcher.label: matcher.value for matcher in read.matchers}}
