"""Copies of rule files for promtool: groups cut out or renamed, all else as the user wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.rules import load_rule_file
from harness.rules.copies import with_group_names, with_groups

TEXT = """\
# rules of the team - all of them
groups:
  # the first one - with a dash
  - name: first
    rules:
      - alert: A
        expr: a > 1  # - not an item
        annotations:
          text: |
            - neither
            - name: is this
  -
    name: "second"
    interval: 30s
    rules:
      - {record: b:sum, expr: sum(b)}

  # what comes between
  - rules:
      - alert: C
        expr: c > 3
    name: third
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "r.yml"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize("kept", [["first"], ["second"], ["third"], ["first", "third"], ["first", "second", "third"]])
def test_only_some_groups_are_left_each_as_it_was(file: Path, tmp_path: Path, kept: list[str]) -> None:
    text = with_groups(file, kept)
    assert text is not None
    copy = tmp_path / "copy.yml"
    copy.write_text(text, encoding="utf-8")
    whole = {group.name: group for group in load_rule_file(file).groups}
    left = load_rule_file(copy).groups
    assert [group.name for group in left] == kept
    for group in left:
        assert [rule.expr.value for rule in group.rules] == [rule.expr.value for rule in whole[group.name].rules]
        assert group.interval_ms == whole[group.name].interval_ms
    assert set(text.splitlines()) <= set(TEXT.splitlines())


def test_what_cannot_be_cut_out_is_left_whole(tmp_path: Path) -> None:
    flow = tmp_path / "flow.yml"
    flow.write_text("groups: [{name: a, rules: [{record: a, expr: b}]}, {name: c, rules: []}]\n", encoding="utf-8")
    assert with_groups(flow, ["a"]) is None
    anchored = tmp_path / "anchored.yml"
    anchored.write_text(
        "groups:\n  - name: a\n    rules:\n      - {record: a, expr: &same b}\n"
        "  - name: c\n    rules:\n      - {record: c, expr: *same}\n",
        encoding="utf-8",
    )
    assert with_groups(anchored, ["c"]) is None
    assert with_groups(anchored, ["a"]) is not None


def test_a_group_is_renamed_in_its_place(file: Path) -> None:
    text = with_group_names(file, {"second": "other: one"})
    assert text == TEXT.replace('"second"', '"other: one"')
