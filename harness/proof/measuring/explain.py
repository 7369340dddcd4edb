"""Why a rule returns nothing, or always something: the part of its expression that decides, and what it was given.

All that is said here was asked of the engine at one moment of one world. `Ask` evaluates PromQL there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import promql_parser as promql

from harness.errors import Span, near_miss
from harness.rules import RecordingRule
from harness.rules.expr import COMPARISONS, Comparison, parse_expr, walk
from harness.rules.selectors import NAME, Selector, selectors, selectors_of
from harness.rules.spans import node_span, node_text, one_line
from harness.series import Labels, format_labels
from harness.source import Text
from harness.units import format_number

Ask = Callable[[str], Mapping[Labels, float]]
"""What an expression returns at the moment in question: label set → value; of a scalar, under no labels."""

_ABSENT = frozenset({"absent", "absent_over_time"})
_TWO_SAMPLES = frozenset({"rate", "increase", "irate", "delta", "idelta", "deriv", "predict_linear"})
_ANYTHING = frozenset({".*", "(.*)", "^.*$", ".*|", "|.*"})
"""Regular expressions that take every text, the empty one too."""
_MOST = 3
"""How many alternatives of an `or`, or metrics, are spoken of."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What decides: sentences, and the part of the expression that they are about."""

    parts: tuple[str, ...]
    expr: str
    span: Span
    nothing_there: bool = False
    """Whether a selector finds nothing."""


def returns_nothing(expr: Text, ask: Ask) -> Explanation | None:
    """Why an expression returns nothing; None where it does return something, or nothing can be said."""
    tree = parse_expr(expr)
    return None if ask(expr.value) else _Nothing(expr, ask).because(tree)


def always_returns(expr: Text) -> Explanation | None:
    """The part of an expression that returns something as long as its series are there, since it filters nothing."""
    for node in _alternatives(parse_expr(expr)):
        if _filters(node):
            continue
        shown = one_line(node_text(expr, node))
        outer = _within_parens(node)
        is_bool = isinstance(outer, promql.BinaryExpr) and str(outer.op) in COMPARISONS
        if is_bool:
            part = f"`{shown}` returns 0 or 1 and never nothing: without `bool` it would filter"
        elif any(True for _ in selectors(node)):
            part = f"`{shown}` compares nothing: it returns something as long as its series are there"
        else:
            part = f"`{shown}` reads no series and compares nothing: it always returns something"
        return Explanation((part,), shown, node_span(expr, node))
    return None


class _Nothing:
    """Goes down from what returns nothing to the part that makes it so."""

    def __init__(self, expr: Text, ask: Ask) -> None:
        self.expr = expr
        self.ask = ask

    def text(self, node: Any) -> str:
        return one_line(node_text(self.expr, node))

    def found(self, node: Any) -> Mapping[Labels, float]:
        return self.ask(node_text(self.expr, node))

    def said(self, node: Any, *parts: str) -> Explanation:
        return Explanation(parts, self.text(node), node_span(self.expr, node))

    def because(self, node: Any) -> Explanation | None:
        while True:
            below: Any = None
            match node:
                case promql.ParenExpr() | promql.UnaryExpr():
                    below = node.expr
                case promql.AggregateExpr():
                    below = None if self.found(node.expr) else node.expr
                case promql.VectorSelector():
                    return replace(self.said(node, f"nothing matches `{self.text(node)}` there"), nothing_there=True)
                case promql.Call():
                    below = next((arg for arg in node.args if not _is_text(arg) and not self._held(arg)), None)
                    if below is None:
                        return self._call(node)
                case promql.MatrixSelector():
                    return replace(self.said(node, f"`{self.text(node)}` holds no samples there"), nothing_there=True)
                case promql.BinaryExpr() if str(node.op) == "or":
                    whys = [why for each in _alternatives(node)[:_MOST] if (why := self.because(each)) is not None]
                    parts = dict.fromkeys(part for why in whys for part in why.parts)
                    missing = all(why.nothing_there for why in whys)
                    return Explanation(tuple(parts), whys[0].expr, whys[0].span, missing) if whys else None
                case promql.BinaryExpr():
                    left, right = self.found(node.lhs), self.found(node.rhs)
                    if left and (right or str(node.op) == "unless"):
                        return self._binary(node, left, right)
                    below = node.rhs if left else node.lhs
            if below is None:
                return None
            node = below

    def _held(self, node: Any) -> bool:
        if isinstance(node, promql.MatrixSelector):
            return bool(self.ask(f"count_over_time({node_text(self.expr, node)})"))
        if isinstance(node, promql.SubqueryExpr):
            return True  # what it holds was at other moments
        return bool(self.found(node))

    def _call(self, node: Any) -> Explanation | None:
        name = node.func.name
        if name in _ABSENT:
            inner = node.args[0]
            counted = isinstance(inner, promql.MatrixSelector)
            text = node_text(self.expr, inner)
            there = _some(self.ask(f"count_over_time({text})" if counted else text))
            return self.said(node, f"`{self.text(node)}` returns nothing, for there is {there}")
        if name in _TWO_SAMPLES and isinstance(node.args[0], promql.MatrixSelector):
            window = node.args[0]
            held = max(self.ask(f"count_over_time({node_text(self.expr, window)})").values(), default=0)
            if held < 2:
                what = f"`{self.text(window)}` holds {format_number(held)} sample there, and {name}() needs two"
                return self.said(node, what)
        if name == "histogram_quantile":
            buckets = node.args[-1]
            if not any("le" in dict(labels) for labels in self.found(buckets)):
                what = f"`{self.text(buckets)}` returns no label `le`, without which {name}() finds no buckets"
                return self.said(buckets, what)
        return None

    def _binary(self, node: Any, left: Mapping[Labels, float], right: Mapping[Labels, float]) -> Explanation | None:
        op, matching = str(node.op), _Matching(node)
        if op == "unless":
            return self.said(node, f"`{self.text(node.rhs)}` takes everything away: it returns {_some(right)}")
        plain = _is_scalar(node.lhs) or _is_scalar(node.rhs)
        pairs = [(a, b) for a in left for b in right if plain or matching.of(a) == matching.of(b)]
        if not pairs:
            return self.said(node, *self._no_pair(node, op, left, right, matching))
        if op not in COMPARISONS:
            return None
        a, b = min(pairs, key=lambda pair: _distance(left[pair[0]], right[pair[1]]))
        whose = format_labels(dict(a or b)) if a or b else ""
        more = f" ({len(pairs)} series, this one is nearest)" if len(pairs) > 1 else ""
        compares = f"{format_number(left[a])} {op} {format_number(right[b])}"
        part = f"there `{self.text(node)}` compares {compares}{f' for {whose}' if whose else ''}{more}"
        return self.said(node, part)

    def _no_pair(
        self, node: Any, op: str, left: Mapping[Labels, float], right: Mapping[Labels, float], matching: _Matching
    ) -> list[str]:
        holds = "hold" if _compares(node.lhs) and _compares(node.rhs) else "return something"
        a, b = min(((a, b) for a in left for b in right), key=lambda pair: len(matching.differ(*pair)))
        differ = matching.differ(a, b)
        one, other = matching.of(a), matching.of(b)
        shared = sorted(set(dict(a)) & set(dict(b)) - {NAME} - set(differ))
        values = ", ".join(f"`{name}` ({_value(one, name)} and {_value(other, name)})" for name in differ)
        parts = [
            f"`{self.text(node.lhs)}` and `{self.text(node.rhs)}` both {holds} but share no label set, so `{op}` "
            f"matches nothing",
            f"left has {_some(left)}, right has {_some(right)}",
            f"they are matched {matching}, and the nearest two differ in {values}",
        ]
        equal = [name for name in shared if dict(a)[name] == dict(b)[name]]
        if equal:
            parts.append(f"`{op} on ({', '.join(equal)})` would match them")
        return parts


class _Matching:
    """On which labels a binary operation pairs its sides up."""

    def __init__(self, node: Any) -> None:
        found = node.modifier.matching if node.modifier is not None else None
        self.on = found is not None and found.type == promql.LabelModifierType.Include
        self.names = frozenset(found.labels) if found is not None else frozenset()

    def of(self, labels: Labels) -> dict[str, str]:
        """The part of a label set that must be equal on both sides."""
        return {n: v for n, v in labels if v and (n in self.names if self.on else n not in {NAME, *self.names})}

    def differ(self, a: Labels, b: Labels) -> list[str]:
        one, other = self.of(a), self.of(b)
        return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))

    def __str__(self) -> str:
        names = ", ".join(sorted(self.names))
        if self.on:
            return f"on ({names})"
        return f"on all labels but {names}" if names else "on all labels"


# -- metrics -----------------------------------------------------------------------------------------------------


def unmatched(expr: Text, recordings: Sequence[RecordingRule], made: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """What the rule, or a recording rule that it reads, selects and nobody makes; and what is made and not selected.

    `made` are the series of the contract's worlds, as label sets with ``__name__``.
    """
    spelt = [
        (selector, one_line(node_text(text, node)))
        for text in (expr, *(rule.expr for rule in recordings))
        for node in walk(parse_expr(text))
        if isinstance(node, promql.VectorSelector)
        for selector in selectors_of(node)
    ]
    read = [selector for selector, _ in spelt]
    recorded = {rule.record for rule in recordings}
    names = {labels.get(NAME, "") for labels in made}
    said: dict[str, None] = {}
    for selector, shown in spelt:
        if selector.metric in recorded or any(selector.accepts(labels) for labels in made):
            continue
        alike = [labels for labels in made if labels.get(NAME) == selector.metric]
        if label := _excludes_all(selector):
            said[f"`{shown}` can select no series: its matcher excludes every value of `{label}`, and none too"] = None
        elif alike:
            labels = {name: value for name, value in alike[0].items() if name != NAME}
            has = format_labels(labels) if labels else "no labels"
            said[f"`{shown}` selects none of the signal's series: `{selector.metric}` has {has}"] = None
        else:
            guess = near_miss(selector.metric, names - _selected(read, made)) if selector.metric else ""
            said[f"neither the signal nor a recording rule makes `{shown}`{guess}"] = None
    wanted = {_family(selector.metric) for selector in read}  # a histogram that is read in part is read
    for name in sorted(names - _selected(read, made)):
        if _family(name) not in wanted:
            said[f"the signal makes `{name}`, which the rule does not read"] = None
    return tuple(said)[:_MOST]


def _excludes_all(selector: Selector) -> str:
    """The label of a matcher that no value passes, an absent label's neither."""
    return next((m.label for m in selector.matchers if m.op == "!~" and m.value in _ANYTHING), "")


def _family(metric: str) -> str:
    return re.sub("_(bucket|count|sum)$", "", metric)


def _selected(read: Iterable[Selector], made: Sequence[Mapping[str, str]]) -> set[str]:
    read = list(read)
    return {labels.get(NAME, "") for labels in made if any(selector.accepts(labels) for selector in read)}


# -- a course of time --------------------------------------------------------------------------------------------


def nearest(
    comparison: Comparison, left: Sequence[Mapping[Labels, float]], right: Sequence[Mapping[Labels, float]]
) -> tuple[int, str] | None:
    """The tick at which the two sides of a comparison come nearest to each other, and what they are there.

    `left` and `right` hold what each side returns, tick by tick. None where there is never anything to compare.
    """
    best: tuple[float, int, str] | None = None
    for tick, (ones, others) in enumerate(zip(left, right, strict=True)):
        for labels, value in ones.items():
            limit = others.get(labels, next(iter(others.values())) if len(others) == 1 else None)
            if limit is None:
                continue
            away = _distance(value, limit)
            if best is None or away < best[0]:
                whose = f" for {format_labels(dict(labels))}" if labels else ""
                what = f"{format_number(value)} {comparison.op} {format_number(limit)}{whose}"
                best = (away, tick, f"`{one_line(comparison.text)}` compares {what}")
    return best[1:] if best is not None else None


# -- what an expression is ---------------------------------------------------------------------------------------


def _within_parens(node: Any) -> Any:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return node


def _alternatives(node: Any) -> list[Any]:
    """The operands of the outermost `or`s."""
    parts, todo = [], [node]
    while todo:
        node = _within_parens(todo.pop())
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "or":
            todo += [node.rhs, node.lhs]
        else:
            parts.append(node)
    return parts


def _filters(node: Any) -> bool:
    """Whether any part of it may let a series drop out."""
    for part in walk(node):
        if isinstance(part, promql.Call) and part.func.name in _ABSENT:
            return True
        if isinstance(part, promql.BinaryExpr):
            if str(part.op) in ("and", "unless"):
                return True
            if str(part.op) in COMPARISONS and not (part.modifier and part.modifier.return_bool):
                return True
    return False


def _compares(node: Any) -> bool:
    node = _within_parens(node)
    return isinstance(node, promql.BinaryExpr) and str(node.op) in COMPARISONS


def _is_scalar(node: Any) -> bool:
    return not any(
        isinstance(part, promql.VectorSelector | promql.AggregateExpr)
        or (isinstance(part, promql.Call) and part.func.return_type != promql.ValueType.Scalar)
        for part in _own(node)
    )


def _own(node: Any) -> Iterable[Any]:
    """The node's parts without what stands inside a function that returns a number."""
    todo = [node]
    while todo:
        part = todo.pop()
        yield part
        if isinstance(part, promql.ParenExpr | promql.UnaryExpr):
            todo.append(part.expr)
        elif isinstance(part, promql.BinaryExpr):
            todo += [part.lhs, part.rhs]


def _is_text(node: Any) -> bool:
    return isinstance(_within_parens(node), promql.StringLiteral)


def _distance(a: float, b: float) -> float:
    away = abs(a - b)
    return math.inf if math.isnan(away) else away


def _some(values: Mapping[Labels, float]) -> str:
    """The first label sets of a result, without names."""
    shown = [format_labels({name: value for name, value in labels if name != NAME}) or "{}" for labels in values]
    return ", ".join(shown[:2]) + (f" and {len(shown) - 2} more" if len(shown) > 2 else "") or "nothing"


def _value(labels: Mapping[str, str], name: str) -> str:
    return f'"{labels[name]}"' if name in labels else "none"
