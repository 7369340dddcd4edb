"""What no objective may be, with the reason: checks that hold whichever format it came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import promql_parser as promql

from harness.errors import InputError
from harness.rules.selectors import Selector, selectors, selectors_of
from harness.slo.model import Events, IndicatorQuery, Objective, RawRatio, ThresholdIndicator, ThresholdOp
from harness.slo.queries import check_grouping, check_query, grouping, selected, tree
from harness.units import format_number

_STATUS_LABELS = frozenset(
    {"status", "code", "status_code", "http_status", "http_status_code", "response_code", "http_response_status_code"}
)
_RESULT_LABELS = frozenset({"result", "outcome", "success", "error"})
_CODES = [str(code) for code in range(100, 600)]
_BAD_NAME = re.compile(r"(^|_)(errors?|failures?|failed)(_|$)")
_GOOD_NAME = re.compile(r"(^|_)(success|successes|successful|succeeded)(_|$)")
_SLOW_NAME = re.compile(r"(^|_)(latency|duration|response_time)(_|$)")
_BAD_RESULT = re.compile(r"errors?|failures?|failed|fail")
_GOOD_RESULT = re.compile(r"success|successful|succeeded|ok")


def check_objective(objective: Objective) -> None:
    """Raise InputError for a target that leaves no budget, or all of it, and for an indicator that is upside down."""
    _check_target(objective)
    match objective.indicator:
        case Events(total, good, bad):
            check_query(total, "the query of all events")
            check_grouping(total)
            for query, what in ((good, "the query of good events"), (bad, "the query of bad events")):
                if query is not None:
                    check_query(query, what)
                    if query.expr == total.expr:
                        raise InputError(
                            f"{what} is the query of all events: the ratio is always 1",
                            span=query.text.span_at(0),
                            hint="select only the events that are meant",
                        )
                    check_grouping(query)
                    _check_same_groups(query, what, total)
        case RawRatio(query, _):
            check_query(query, "the ratio's query")
            check_grouping(query)
        case ThresholdIndicator(query, _, _):
            check_query(query, "the threshold's query")
            check_grouping(query)
    if reason := _upside_down(objective):
        query, why, hint = reason
        raise InputError(f"this indicator is upside down: {why}", span=query.text.span_at(0), hint=hint)


def _check_same_groups(query: IndicatorQuery, what: str, total: IndicatorQuery) -> None:
    mine, every = grouping(query), grouping(total)
    if mine != every:
        raise InputError(
            f"{what} is {f'grouped {mine.clause}' if mine else 'not grouped'}, that of all events "
            f"{f'{every.clause}' if every else 'not at all'}: divided, they match nothing",
            span=query.text.span_at(0),
            hint="group both by the same labels",
        )


def refuse_clashes(objectives: Sequence[Objective]) -> None:
    """Raise InputError for two objectives of one `sloth_id`, for their series would be one."""
    seen: dict[str, Objective] = {}
    for objective in objectives:
        if (first := seen.setdefault(objective.id, objective)) is not objective:
            raise InputError(
                f"two objectives have the id `{objective.id}` (service and name; the first is at {first.span})",
                span=objective.span,
                hint="give one of them another name: their recorded series would be the same",
            )


def _check_target(objective: Objective) -> None:
    percent = format_number(objective.target * 100)
    span = objective.target_span or objective.span
    if objective.target == 1:
        raise InputError(
            "an objective of 100 % leaves no error budget: every burn rate would be divided by 0",
            span=span,
            hint="choose what users do not notice, such as 99.9 %",
        )
    if objective.target == 0:
        raise InputError(
            "an objective of 0 % cannot be missed: everything may fail", span=span, hint="choose a target above 0"
        )
    if not 0 < objective.target < 1:
        raise InputError(
            f"an objective of {percent} % is not between 0 % and 100 %",
            span=span,
            hint="`target` is a ratio (0.999), `targetPercent` and sloth's `objective` are percent (99.9)",
        )


def _upside_down(objective: Objective) -> tuple[IndicatorQuery, str, str] | None:
    """The query that gives it away, why, and what to do; None if nothing does. Silent where it is not sure."""
    match objective.indicator:
        case Events(total, good, bad):
            if good is not None and (one := _only(good)) and (why := _selects_bad(one, _only(total))):
                return good, f"it counts {why} as good", "give this query as `bad`, or select the good events"
            if bad is not None and (one := _only(bad)) and (why := _selects_good(one, _only(total))):
                return bad, f"it counts {why} as bad", "give this query as `good`, or select the bad events"
        case RawRatio(query, is_error):
            one, rest = _only(query), _only(query, turned=True)  # of `1 - x` what x is not
            for found, as_error, turned in ((one, is_error, False), (rest, not is_error, True)):
                if found and (_GOOD_NAME if as_error else _BAD_NAME).search(found.metric):
                    what = "successes" if as_error is not turned else "errors"
                    said = f"{'1 less ' if turned else ''}`{found.metric}` is a ratio of {what} by its name"
                    return query, said, _turn(objective)
        case ThresholdIndicator(query, op, _):
            one = _only(query)
            if one and op in (ThresholdOp.GT, ThresholdOp.GTE) and _SLOW_NAME.search(one.metric):
                return query, f"`{one.metric}` counts as good where it is high", "write `op: lt` or `op: lte`"
    return None


def _turn(objective: Objective) -> str:
    """How to turn a ratio round in the format at hand."""
    indicator = objective.indicator
    if not objective.spec.startswith("openslo") or not isinstance(indicator, RawRatio):
        return "write `1 - (…)` around it, or take its `1 - ` away: sloth wants the ratio of errors"
    return f"write `rawType: {'success' if indicator.is_error else 'failure'}`"


def _only(query: IndicatorQuery, *, turned: bool = False) -> Selector | None:
    """The selector of a query whose value grows where its series do; with `turned`, of one whose value falls.

    None for a query of several selectors, which may be subtracted, and for all that is beyond a safe guess: a count of
    series, a comparison, a quotient of constants.
    """
    found = _grows(tree(query))
    if found is None or len(selected(query)) != 1:
        return None
    node, rises = found
    return selectors_of(node)[0] if rises is not turned else None


_GROWING = frozenset({"sum", "avg", "min", "max"})


def _grows(node: Any) -> tuple[Any, bool] | None:
    """(selector, whether the value rises with it) of a node that does nothing but scale, shift and sum; else None."""
    match node:
        case promql.VectorSelector():
            return node, True
        case promql.MatrixSelector():
            return node.vector_selector, True
        case promql.ParenExpr() | promql.SubqueryExpr():
            return _grows(node.expr)
        case promql.AggregateExpr() if str(node.op) in _GROWING:
            return _grows(node.expr)
        case promql.Call() if node.args and (
            node.func.name in ("rate", "irate", "increase", "delta") or node.func.name.endswith("_over_time")
        ):
            return None if node.func.name == "count_over_time" else _grows(node.args[-1])
        case promql.UnaryExpr():
            return _turned(_grows(node.expr))
        case promql.BinaryExpr():
            return _shifted(node)
    return None


def _shifted(node: Any) -> tuple[Any, bool] | None:
    op, left, right = str(node.op), _constant(node.lhs), _constant(node.rhs)
    if right is not None and (op in "+-" or (op in "*/" and right > 0)):
        return _grows(node.lhs)
    if left is not None and (op == "+" or (op == "*" and left > 0)):
        return _grows(node.rhs)
    if left is not None and op == "-":
        return _turned(_grows(node.rhs))
    if op == "or" and not list(selectors(node.rhs)):  # `or vector(0)`
        return _grows(node.lhs)
    return None


def _turned(found: tuple[Any, bool] | None) -> tuple[Any, bool] | None:
    return None if found is None else (found[0], not found[1])


def _constant(node: Any) -> float | None:
    if isinstance(node, promql.ParenExpr):
        return _constant(node.expr)
    return float(node.val) if isinstance(node, promql.NumberLiteral) else None


def _selects_bad(selector: Selector, total: Selector | None) -> str | None:
    codes = _codes(selector)
    if codes and all(code >= "500" for code in codes):
        return "only server errors (5xx)"
    if any(m.label in _RESULT_LABELS and m.op == "=" and _BAD_RESULT.fullmatch(m.value) for m in selector.matchers):
        return "what its labels call a failure"
    if _BAD_NAME.search(selector.metric) and not (total and _BAD_NAME.search(total.metric)):
        return f"`{selector.metric}`"
    return None


def _selects_good(selector: Selector, total: Selector | None) -> str | None:
    codes = _codes(selector)
    if codes and "200" in codes and not any(code >= "500" for code in codes):
        return "successes (200), and no server error,"
    if any(m.label in _RESULT_LABELS and m.op == "=" and _GOOD_RESULT.fullmatch(m.value) for m in selector.matchers):
        return "what its labels call a success"
    if _GOOD_NAME.search(selector.metric) and not (total and _GOOD_NAME.search(total.metric)):
        return f"`{selector.metric}`"
    if selector.metric.endswith("_bucket") and any(
        m.label == "le" and m.op == "=" and m.value != "+Inf" for m in selector.matchers
    ):
        return "the events up to a bucket's bound, the fast ones,"
    return None


def _codes(selector: Selector) -> set[str] | None:
    """The HTTP status codes that the selector's matchers let through; None if no matcher speaks of them."""
    on_status = [m for m in selector.matchers if m.label in _STATUS_LABELS]
    return {code for code in _CODES if all(m.accepts(code) for m in on_status)} if on_status else None
