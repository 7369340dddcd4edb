"""The series of a signal as a contract file has them: what kind, which labels, which formulas, and one for each row."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import promql_parser as promql

from harness.contracts.formula import VARIABLES, constant, parse_formula
from harness.contracts.model import Quantile, SeriesSpec, Shape
from harness.errors import InputError, near_miss
from harness.numbers import parse_number
from harness.source import Fields, Item, Text

SERIES_FIELDS = {
    Shape.GAUGE: ("gauge", "value", "each", "present"),
    Shape.COUNTER: ("counter", "rate", "each", "present"),
    Shape.HISTOGRAM: ("histogram", "rate", "buckets", "quantile", "each", "present"),
    Shape.NATIVE: ("native_histogram", "rate", "buckets", "quantile", "each", "present"),
}
_MAX_SERIES = 10_000
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def read_series(items: Sequence[Item], given: Mapping[str, Fraction]) -> tuple[SeriesSpec, ...]:
    """The entries of a `signal:`; raises InputError where one is wrong, or makes more series than anybody reads."""
    specs = tuple(_spec(item.fields(), given) for item in items)
    total = sum(len(spec.each) * max(1, len(spec.buckets)) for spec in specs)
    if total > _MAX_SERIES:
        raise InputError(
            f"the signal has {total:,} series, more than {_MAX_SERIES:,}",
            span=items[0].span,
            hint="a few of each kind show as much",
        )
    return specs


def _spec(fields: Fields, given: Mapping[str, Fraction]) -> SeriesSpec:
    kinds = [shape for shape in Shape if shape.value in fields]
    if len(kinds) != 1:
        raise InputError(
            f"a series of a signal is exactly one of {', '.join(shape.value for shape in Shape)}",
            span=fields.span,
            hint='write `gauge: metric{label="value"}` and `value:`, or `counter:` and `rate:`',
        )
    shape = kinds[0]
    amount = "value" if shape is Shape.GAUGE else "rate"
    fields.what = f"a {shape.value.replace('_', ' ')}"
    fields.only(*SERIES_FIELDS[shape])
    each = _each(fields.item("each", "`each`"), given) if "each" in fields else ({},)
    texts = _texts(each)
    names = {*VARIABLES, *given, *(each[0].keys() - texts.keys() if each else ())}
    selector = fields.text(shape.value)
    metric, labels = _selector(selector, set(each[0]) if each else set())
    buckets: tuple[Fraction, ...] = ()
    quantile = None
    if shape in (Shape.HISTOGRAM, Shape.NATIVE):
        bounds = fields.items("buckets", "a bound")
        buckets = tuple(constant(item.text()) for item in bounds)
        if not buckets or list(buckets) != sorted(set(buckets)) or buckets[0] <= 0:
            raise InputError(
                "`buckets` must rise from a positive bound, without +Inf",
                span=fields.key_span("buckets"),
                hint="write buckets: [0.1, 0.5, 1]",
            )
        inner = fields.fields("quantile", "`quantile`")
        inner.only("q", "at")
        q = constant(inner.text("q"))
        if not 0 < q < 1:
            raise InputError("`q` must lie between 0 and 1", span=inner.text("q").span, hint="write 95/100 for P95")
        quantile = Quantile(q, parse_formula(inner.text("at"), names, texts))
    return SeriesSpec(
        shape=shape,
        metric=metric,
        labels=labels,
        each=each,
        formula=parse_formula(fields.text(amount), names, texts),
        present=parse_formula(fields.text("present"), names, texts) if "present" in fields else None,
        buckets=buckets,
        quantile=quantile,
    )


def _texts(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The names of `each` that are no numbers in some row, with what stands there; they are for labels only."""
    texts: dict[str, str] = {}
    for row in rows:
        for name in row.keys() - texts.keys():
            try:
                parse_number(row[name])
            except ValueError as err:
                texts[name] = str(err)
    return texts


def _each(item: Item, given: Mapping[str, Fraction]) -> tuple[Mapping[str, str], ...]:
    if item.is_list:
        rows = [{n: t.value for n, t in row.fields().texts().items()} for row in item.items()]
        for row, place in zip(rows, item.items(), strict=True):
            if set(row) != set(rows[0]):
                raise InputError(
                    "all rows of `each` must have the same names",
                    span=place.span,
                    hint=f"expected {', '.join(rows[0])}",
                )
        return tuple(rows)
    choices: list[list[tuple[str, str]]] = []
    for name, values in item.fields().each():
        if values.is_list:
            choices.append([(name.value, value.text().value) for value in values.items()])
            continue
        count = constant(values.text(), given)
        if count.denominator != 1 or not 0 <= count <= _MAX_SERIES:
            raise InputError(
                f"`{name.value}: {values.text().value}` must be a list or a whole number, found {count}",
                span=values.span,
                hint="`each: {cpu: 8}` makes cpu 0 to 7",
            )
        choices.append([(name.value, str(i)) for i in range(int(count))])
    total = math.prod(map(len, choices))
    if total > _MAX_SERIES:  # before they are made: a typo must not eat the memory
        raise InputError(
            f"`each` makes {total:,} series, more than {_MAX_SERIES:,}",
            span=item.span,
            hint="a few of each kind show as much",
        )
    return tuple(dict(row) for row in itertools.product(*choices))


def _selector(text: Text, names: set[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    try:
        node = promql.parse(text.value)
    except ValueError as err:
        raise InputError(
            f"not a series: {err}", span=text.span_at(0), hint='write metric{label="value", …}; quote it in YAML'
        ) from err
    matchers = node.matchers.matchers if isinstance(node, promql.VectorSelector) else []
    # A name in quotes, {"http.status"}, is to the parser a matcher.
    named = [m.value for m in matchers if m.name == "__name__" and m.op == promql.MatchOp.Equal]
    metric = (node.name or "".join(named)) if isinstance(node, promql.VectorSelector) else ""
    if not isinstance(node, promql.VectorSelector) or not metric or node.offset or node.at:
        raise InputError(f"`{text.value}` is not a series", span=text.span_at(0), hint='write metric{label="value", …}')
    labels = []
    for matcher in matchers:
        if matcher.name == "__name__" and named:
            continue
        if matcher.op != promql.MatchOp.Equal:
            raise InputError(
                f"label `{matcher.name}` of a series needs `=`", span=text.span_at(0), hint="a series has fixed labels"
            )
        for match in _REFERENCE.finditer(matcher.value):
            name = match[1] or match[2]
            if name not in names:
                raise InputError(
                    f"`${name}` is not defined by `each`{near_miss(name, names)}",
                    span=text.span_at(max(0, text.value.find(match[0])), len(match[0])),
                    hint=f"names here: {', '.join(sorted(names)) or 'none'}",
                )
        labels.append((matcher.name, matcher.value))
    return metric, tuple(labels)


def expand(value: str, row: Mapping[str, str]) -> str:
    """A label value with its ``$name`` references replaced."""
    return _REFERENCE.sub(lambda m: row[m[1] or m[2]], value) if "$" in value else value
