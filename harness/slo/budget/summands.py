"""An objective's queries as sums of counters: the selectors to read, or what the server is to add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import promql_parser as promql

from harness.rules.selectors import selectors_of
from harness.slo.model import Grouping, IndicatorQuery, WindowPlacement
from harness.slo.queries import grouping as grouping_of
from harness.slo.queries import or_zero, own_grouping, terms, tree

Summands = Sequence[tuple[int, str]]
"""Selectors with the sign with which their events are added."""


def summands(query: IndicatorQuery) -> Summands | None:
    """The query as a sum and difference of selectors of counters (or of events per sample); None if it is none."""
    if query.reading is not WindowPlacement.WINDOWED:
        return [(term.sign, str(term.selector)) for term in terms(query, "the query")]
    return _summed(tree(query), 1, grouping_of(query))


def _summed(node: object, sign: int, grouping: Grouping | None) -> Summands | None:
    """A windowed query's selectors with their signs, if it is a sum and difference of rates or of increases.

    Each sum must group as the whole query does.

    ``… or vector(0)`` adds nothing: without a series there are no events.
    """
    match node:
        case promql.ParenExpr():
            return _summed(node.expr, sign, grouping)
        case promql.BinaryExpr() if (kept := or_zero(node)) is not None:
            return _summed(kept, sign, grouping)
        case promql.AggregateExpr() if str(node.op) == "sum" and own_grouping(node) == grouping:
            inner: Any = node.expr
            while isinstance(inner, promql.ParenExpr) or or_zero(inner) is not None:
                inner = inner.expr if isinstance(inner, promql.ParenExpr) else or_zero(inner)
            if isinstance(inner, promql.Call) and inner.func.name in ("rate", "increase"):
                (ranged,) = inner.args
                if isinstance(ranged, promql.MatrixSelector):
                    selected = ranged.vector_selector
                    plain = selected.offset is None and selected.at is None and not selected.matchers.or_matchers
                    return [(sign, str(selectors_of(selected)[0]))] if plain else None
        case promql.BinaryExpr() if str(node.op) in ("+", "-") and node.modifier is None:
            left = _summed(node.lhs, sign, grouping)
            right = _summed(node.rhs, sign if str(node.op) == "+" else -sign, grouping)
            return None if left is None or right is None else [*left, *right]
    return None


def difference(selector: str, step_ms: int, of_samples: bool) -> str:
    """PromQL of what was counted since the step before, series by series; a value below the one before is a reset."""
    if of_samples:
        return f"sum_over_time({selector}[{step_ms}ms])"
    before = f"{selector} offset {step_ms}ms"
    return f"(({selector} - {before}) >= 0) or ({selector} < {before})"


def sum_by(expr: str, grouping: Grouping | None) -> str:
    return f"sum({expr})" if grouping is None else f"sum {grouping.clause} ({expr})"
