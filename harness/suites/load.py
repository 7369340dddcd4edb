"""Unit-test files from YAML, every field with its place. As strict as promtool (cmd/promtool/unittest.go)."""

from __future__ import annotations

from pathlib import Path

import promql_parser as promql
import yaml

from harness.errors import InputError, Span
from harness.rules.selectors import selectors_of
from harness.source import Fields, Item, SourceFile, Text, load_yaml
from harness.suites.model import (
    DEFAULT_EVALUATION_MS,
    AlertAssertion,
    ExpectedSample,
    ExprAssertion,
    InputSeries,
    Labelled,
    SuiteFile,
    TestGroup,
)
from harness.suites.notation import parse_values

_MERGE = "tag:yaml.org,2002:merge"
_LABELS = ("exp_labels", "exp_annotations", "external_labels")


def load_suite(path: Path) -> SuiteFile:
    """Raises InputError at the first thing that promtool would refuse; wrong series notation is noted, not raised."""
    source = SourceFile.read(path)
    documents = load_yaml(source)
    # promtool takes an empty file: it has no tests, as a check will say
    root = documents[0] if documents else yaml.compose("{}", Loader=yaml.SafeLoader)
    assert root is not None
    _flatten_merges(root, source, set())
    top = Fields(root, source, "a unit-test file")
    if "groups" in top and "tests" not in top:
        raise InputError(
            f"{source.name} is a rule file, expected unit tests",
            span=top.key_span("groups"),
            hint="name the file that lists it under `rule_files:`",
        )
    top.only("rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare")
    evaluation_ms = top.duration_ms("evaluation_interval", 0) or DEFAULT_EVALUATION_MS
    order = tuple(_texts(top, "group_eval_order"))
    for place, name in enumerate(order):
        if name.value in [other.value for other in order[:place]]:
            raise InputError(
                f"group `{name.value}` stands twice in `group_eval_order`", span=name.span, hint="name each group once"
            )
    groups = [_group(item, index, evaluation_ms) for index, item in enumerate(_items(top, "tests", "a test"))]
    assert isinstance(root, yaml.MappingNode)
    return SuiteFile(
        path=path,
        name=source.name,
        source=source,
        root=root,
        patterns=tuple(_texts(top, "rule_files")),
        evaluation_ms=evaluation_ms,
        evaluation_span=top.key_span("evaluation_interval"),
        groups=tuple(groups),
        span=top.key_span("tests"),
        order=order,
    )


def _flatten_merges(node: yaml.Node, source: SourceFile, done: set[int], *, labels: bool = False) -> None:
    """Put the fields of `<<: *anchor` in their place, as promtool does; `labels`: in one of _LABELS."""
    if id(node) in done or isinstance(node, yaml.ScalarNode):
        return
    done.add(id(node))
    if isinstance(node, yaml.MappingNode):
        node.value = _flattened(node, source, labels=labels)
        for key, value in node.value:
            _flatten_merges(value, source, done, labels=key.value in _LABELS)
    else:
        for child in node.value:
            _flatten_merges(child, source, done)


def _flattened(node: yaml.MappingNode, source: SourceFile, *, labels: bool) -> list[tuple[yaml.Node, yaml.Node]]:
    """The fields of a mapping as Go's YAML v2 has them, which promtool reads unit tests with (rule files: v3).

    What is written later wins, a merge over the mapping's own fields too; of a list of mappings the first. Among labels
    and annotations a name that comes twice stays twice, for promtool refuses it.
    """
    fields: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    twice: list[tuple[yaml.Node, yaml.Node]] = []
    own: set[str] = set()
    for key, value in node.value:
        if key.tag != _MERGE:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(id(key))
            if name in own or (labels and name in fields):
                twice.append((key, value))
            else:
                fields[name] = (key, value)
            own.add(name)
            continue
        for part in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(part, yaml.MappingNode):
                raise InputError(
                    "`<<` merges a mapping or a list of mappings",
                    span=source.span_of(part),
                    hint="name an anchor that stands before a mapping",
                )
            for inherited in _flattened(part, source, labels=labels):
                if labels and inherited[0].value in fields:
                    twice.append(inherited)
                else:
                    fields[inherited[0].value] = inherited
    return [*fields.values(), *twice]


def _items(fields: Fields, name: str, what: str) -> list[Item]:
    """A list that may be missing or empty (`tests:` with nothing behind it)."""
    return fields.items(name, what) if name in fields else []


def _texts(fields: Fields, name: str) -> list[Text]:
    return [item.text() for item in _items(fields, name, f"an item of `{name}`")]


def _group(item: Item, index: int, evaluation_ms: int) -> TestGroup:
    fields = item.fields()
    fields.only(
        "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url", "name",
        "start_timestamp",
    )  # fmt: skip
    name = fields.optional_text("name")
    url = fields.optional_text("external_url")
    if "external_labels" in fields:
        fields.fields("external_labels", "external labels").texts()
    return TestGroup(
        index=index,
        name=name.value if name else "",
        interval_ms=fields.duration_ms("interval", 0) or evaluation_ms,
        series=tuple(_series(item.fields()) for item in _items(fields, "input_series", "an input series")),
        alerts=tuple(_alert(item.fields()) for item in _items(fields, "alert_rule_test", "an alert test")),
        exprs=tuple(_expr(item.fields()) for item in _items(fields, "promql_expr_test", "an expression test")),
        external_url=url.value if url else "",
        span=name.span if name else fields.span,
        node=item.node,
    )


def _text(fields: Fields, name: str) -> Text:
    """A text that promtool takes as empty where it is missing."""
    return fields.text(name) if name in fields else Text("", fields.span)


def _series(fields: Fields) -> InputSeries:
    fields.only("series", "values")
    series, values = _text(fields, "series"), _text(fields, "values")
    try:
        items, problem = parse_values(values), None
    except InputError as err:
        items, problem = None, err
    return InputSeries(series, values, _metric(series), items, problem)


def _metric(series: Text) -> str | None:
    try:
        node = promql.parse(series.value)
    except ValueError:
        return None
    if not isinstance(node, promql.VectorSelector):
        return None
    return selectors_of(node)[0].metric or None


def _alert(fields: Fields) -> AlertAssertion:
    fields.only("eval_time", "alertname", "exp_alerts")
    name = _text(fields, "alertname")
    if not name.value:
        raise InputError("an alert test without `alertname`", span=fields.span, hint="name the alert that it speaks of")
    expected = []
    for item in _items(fields, "exp_alerts", "an expected alert"):
        # `- ` with nothing behind it, and `- {}`, are an alert without labels of its own
        if not item.is_mapping:
            raise InputError(
                "an expected alert must be a mapping", span=item.span, hint="write `exp_labels:` and `exp_annotations:`"
            )
        alert = item.fields()
        alert.only("exp_labels", "exp_annotations")
        labels, annotations = (
            {key: text.value for key, text in alert.fields(part, f"`{part}`").texts().items()} if part in alert else {}
            for part in ("exp_labels", "exp_annotations")
        )
        expected.append(Labelled({**labels, "alertname": name.value}, annotations))
    return AlertAssertion(name, fields.duration_ms("eval_time", 0), tuple(expected), fields.span, _time_span(fields))


def _time_span(fields: Fields) -> Span:
    return fields.text("eval_time").span if "eval_time" in fields else fields.span


def _expr(fields: Fields) -> ExprAssertion:
    fields.only("expr", "eval_time", "exp_samples")
    samples = []
    for item in _items(fields, "exp_samples", "an expected sample"):
        sample = item.fields()
        sample.only("labels", "value", "histogram")
        parts = [sample.optional_text(name) for name in ("labels", "value", "histogram")]
        samples.append(ExpectedSample(parts[0], parts[1], parts[2], sample.span))
    return ExprAssertion(
        _text(fields, "expr"), fields.duration_ms("eval_time", 0), tuple(samples), fields.span, _time_span(fields)
    )
