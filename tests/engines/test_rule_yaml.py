"""Anchors, merge keys and odd YAML in rule files: we read what promtool reads, and refuse what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.engines.promtool import Promtool
from harness.rules import read_rules

_GROUP = "groups:\n- name: g\n  rules:\n"
_BASE = "  - &a\n    alert: A\n    expr: up > 0\n    for: 5m\n    labels: {severity: page, team: x}\n"
_TRUE = {"up > 0", "up"}
"""Of the expressions below those that hold where `up` is 1."""

TAKEN = {
    "a merge, its fields overridden": _BASE + "  - <<: *a\n    alert: B\n    expr: up > 5\n",
    "own fields before the merge": _BASE + "  - alert: B\n    for: 0s\n    <<: *a\n",
    "the first of a list wins": _BASE + "  - &b {alert: B, expr: up}\n  - <<: [*b, *a]\n    labels: {own: z}\n",
    "a merge of a merge": _BASE + "  - &b\n    <<: *a\n    for: 0s\n  - <<: *b\n    alert: C\n",
    "a mapping in place": "  - <<: {expr: up}\n    alert: A\n",
    "a list in place": "  - <<: [{expr: up}, {for: 3m}]\n    alert: A\n",
    "an empty field takes the inherited one away": _BASE + "  - <<: *a\n    alert: B\n    for:\n    labels:\n",
    "labels replaced whole": _BASE + "  - <<: *a\n    alert: B\n    labels: {own: z}\n",
    "labels merged": "  - {alert: A, expr: up, labels: &l {a: b, c: d}}\n"
    "  - alert: B\n    expr: up\n    labels:\n      <<: *l\n      c: e\n",
    "one rule in two groups": _BASE + "- name: h\n  rules:\n  - *a\n",
    "a group merged": "groups:\n- &g {name: g, interval: 30s, rules: [{alert: A, expr: up}]}\n- <<: *g\n  name: h\n",
    "an anchor set again": _BASE + "  - &a\n    alert: B\n    expr: up\n  - <<: *a\n    for: 3m\n",
    "an expression by alias": "  - {alert: A, expr: &e up > 0}\n  - {alert: B, expr: *e, for: 1h}\n",
    "numbers and truth as labels": "  - {alert: A, expr: up, labels: {a: 1, b: true, c: 1.50}}\n",
    "nothing as fields": "  - {alert: A, expr: up, for: , labels: , annotations: ~, keep_firing_for: null}\n",
    "nothing as a rule": "  -\n  - {alert: A, expr: up}\n",
    "tags": "  - {alert: !!str A, expr: !mine up}\n",
    "an empty alert beside a record": "  - {alert: '', record: x, expr: up}\n",
    "JSON": '{"groups":[{"name":"g","rules":[{"alert":"A","expr":"up > 0"}]}]}\n',
}
REFUSED = {
    "a key twice": "  - alert: A\n    expr: up\n    expr: up > 1\n",
    "a label twice": "  - {alert: A, expr: up, labels: {a: b, a: c}}\n",
    "two merges": _BASE + "  - <<: *a\n    <<: *a\n",
    "two merges of labels": "  - {alert: A, expr: up, labels: &l {a: b}}\n"
    "  - {alert: B, expr: up, labels: {<<: *l, <<: *l}}\n",
    "a merge of text": "  - {alert: A, expr: &e up}\n  - alert: B\n    <<: *e\n",
    "a merge of nothing": "  - alert: A\n    expr: up\n    <<:\n",
    "a merge of a list of text": "  - {alert: A, expr: up, <<: [up]}\n",
    "a quoted merge key": _BASE + '  - "<<": *a\n    alert: B\n    expr: up\n',
    "an unknown field by merge": "  - {<<: {foo: bar}, alert: A, expr: up}\n",
    "alert and record by merge": "  - &r {record: r, expr: up}\n  - <<: *r\n    alert: A\n",
    "an alias before its anchor": "  - <<: *a\n" + _BASE,
    "an anchor in itself": "  - &a\n    alert: A\n    expr: up\n    <<: *a\n",
    "a key that only holds anchors": "x-labels: &l {a: b}\n" + _GROUP + "  - {alert: A, expr: up, labels: *l}\n",
    "a capital": "  - {Alert: A, expr: up}\n",
}


def laid(folder: Path, text: str) -> Path:
    file = folder / "r.yml"
    file.write_text(text if "groups" in text else _GROUP + text, encoding="utf-8")
    return file


def ours(file: Path) -> set[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """(alert, state, labels) of what is active after 2 m in which `up` is 1, by what the loader says."""
    loaded = read_rules([file])
    assert loaded.errors == []
    return {
        (
            rule.alert,
            "pending" if rule.hold_ms > 120_000 else "firing",
            tuple(sorted((name, text.value) for name, text in group.labels_of(rule).items())),
        )
        for each in loaded.files
        for group in each.groups
        for rule in group.alerts()
        if rule.expr.value in _TRUE
    }


@pytest.mark.parametrize("name", TAKEN)
def test_what_promtool_reads_is_read_alike(name: str, each_promtool: Path, tmp_path: Path) -> None:
    file = laid(tmp_path, TAKEN[name])
    promtool = Promtool(each_promtool)
    assert promtool.check_rules([file], lint=False) == []
    (tmp_path / "t.yml").write_text(
        "rule_files: [r.yml]\ntests:\n- input_series: [{series: up, values: 1x10}]\n"
        "  promql_expr_test: [{expr: ALERTS, eval_time: 2m, exp_samples: []}]\n",
        encoding="utf-8",
    )
    said = promtool.test_rules([tmp_path / "t.yml"]).stderr
    theirs = set()
    for series in re.findall(r'\{__name__="ALERTS", (.*?)\} 1E', said):
        labels = dict(re.findall(r'(\w+)="(.*?)"', series))
        theirs.add((labels.pop("alertname"), labels.pop("alertstate"), tuple(sorted(labels.items()))))
    if promtool.version.startswith("2.") and name == "an expression by alias":
        assert theirs == {("A", "firing", ())}  # Prometheus 2 takes `*e` for an expression `e`, and we do not
        return
    assert ours(file) == theirs
    assert theirs or "record" in TAKEN[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_promtool_refuses_is_refused_at_its_line(name: str, each_promtool: Path, tmp_path: Path) -> None:
    file = laid(tmp_path, REFUSED[name])
    (problem, *_) = Promtool(each_promtool).check_rules([file], lint=False)
    (error, *_) = read_rules([file]).errors
    assert error.span is not None
    if problem.line is not None and "only one of" not in problem.message:
        assert error.span.line == problem.line
