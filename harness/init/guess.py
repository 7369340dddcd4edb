"""What a rule's expression tells of the contract that may be meant: its kind, knob, threshold and series."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import promql_parser as promql

from harness.contracts import ContractKind
from harness.init.fit import fit
from harness.init.model import Guess
from harness.init.series import series_read
from harness.init.tree import FLIPPED, INVERTED, absence, literal, moments, selects, turned_comparison, walk_firing
from harness.rules import AlertRule
from harness.rules.expr import parse_expr
from harness.source import Text

_COUNTING = {"rate", "irate", "increase", "resets"}
_CHANGING = {"delta", "deriv"}
"""How fast a gauge changes: for a draft it rises like a counter, where the rule asks for a rise."""
_UNITS = {"seconds": "s", "bytes": "bytes", "percent": "%", "celsius": "°C", "volts": "V"}
_NAMED_LABEL = re.compile(r"\$labels\.(\w+)|\.Labels\.(\w+)")


def guess_of(rule: AlertRule, recordings: Mapping[str, Text]) -> Guess:
    """What can be read from the rule; raises InputError where its expression cannot be parsed."""
    guess = Guess()
    tree = parse_expr(rule.expr)
    wanted = {
        name for text in rule.annotations.values() for pair in _NAMED_LABEL.findall(text.value) for name in pair if name
    }

    def read(node: Any) -> list[tuple[str, str]]:
        return list(dict.fromkeys(series_read(node, tree, recordings, wanted, counting)))

    comparison, inverted = turned_comparison(tree)
    turned = tree  # what the knob turns: of a comparison the side with series, the left one if both have some
    if comparison is not None:
        flipped = not selects(comparison.lhs)
        turned = comparison.rhs if flipped else comparison.lhs
        _compared(comparison, guess, flipped=flipped, inverted=inverted)
    rises = guess.threshold is not None and guess.threshold >= 0 and guess.op in (">", ">=")
    counting = _COUNTING | _CHANGING if rises else _COUNTING
    # A series that is read in two ways (counted, and as it is) is one series: the first way tells its kind.
    kinds = {selector: kind for kind, selector in reversed([*read(turned), *read(tree)])}
    made = {part for selector, kind in kinds.items() if kind == "histogram" for part in _parts(selector)}
    guess.series = [
        (kinds[selector], selector)
        for selector in dict.fromkeys(s for _, s in [*read(turned), *read(tree)])
        if selector not in made
    ]
    guess.ages = {selector: sign for moment, sign in moments(turned) for _, selector in read(moment)}
    gone = absence(turned)
    if not selects(tree):
        guess.kind = ContractKind.ALWAYS
    elif gone is not None and read(gone):
        guess.kind = ContractKind.ABSENCE
        guess.comes_and_goes = frozenset(selector for _, selector in read(gone))
    elif comparison is None and guess.series:
        guess.kind = ContractKind.PRESENCE
        guess.comes_and_goes = frozenset(selector for _, selector in guess.series)
    if guess.series and guess.threshold is not None and guess.threshold < 0 and guess.series[0][0] != "gauge":
        guess.threshold = None
    for node, _ in walk_firing(tree):
        if isinstance(node, promql.Call) and node.func.name == "histogram_quantile":
            q = literal(node.args[0])
            if q is not None and 0 < q < 1:
                guess.quantile = Fraction(repr(q))
    metric = guess.series[0][1].partition("{")[0] if guess.series else ""
    guess.unit = next((unit for word, unit in _UNITS.items() if word in metric.split("_")), "")
    if comparison is not None and guess.kind is ContractKind.THRESHOLD and guess.series:
        fit(guess, comparison, tree, recordings)
    return guess


def _compared(comparison: Any, guess: Guess, *, flipped: bool, inverted: bool) -> None:
    """Comparison and threshold as the rule has them, read from the side with series; where both sides have some there
    is no number, and the right one's series stand at 1."""
    op = str(comparison.op)
    op = FLIPPED[op] if flipped else op
    guess.op = INVERTED[op] if inverted else op
    guess.threshold = literal(comparison.lhs if flipped else comparison.rhs)
    if guess.op == "!=":
        guess.one_sided, guess.op = True, "<" if guess.threshold == 1 else ">"


def _parts(histogram: str) -> list[str]:
    """The series that a histogram of a signal makes, but for its buckets."""
    metric, brace, labels = histogram.partition("{")
    return [f"{metric}{part}{brace}{labels}" for part in ("_count", "_sum")]
