"""Copies of rule files for promtool: what is not wanted is blanked, all else stays as and where the user wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.rules import RuleFile, load_rule_file
from harness.rules.copies import Copy, copy_of

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
def file(tmp_path: Path) -> RuleFile:
    return written(tmp_path, TEXT)


def written(folder: Path, text: str) -> RuleFile:
    (folder / "r.yml").write_text(text, encoding="utf-8")
    return load_rule_file(folder / "r.yml")


def again(copy: Copy, folder: Path) -> RuleFile:
    path = folder / "copy.yml"
    path.write_text(copy.text, encoding="utf-8")
    return load_rule_file(path)


def said(file: RuleFile) -> list[object]:
    """What the file says, without places."""
    return [
        (group.name, group.interval_ms, [(type(r), r.expr.value, r.labels.keys()) for r in group.rules])
        for group in file.groups
    ]


@pytest.mark.parametrize("kept", [["first"], ["second"], ["third"], ["first", "third"], ["first", "second", "third"]])
def test_only_some_groups_are_left_each_where_it_was(file: RuleFile, tmp_path: Path, kept: list[str]) -> None:
    part = file.of_groups(tuple(group for group in file.groups if group.name in kept))
    copy = copy_of(part)
    assert said(again(copy, tmp_path)) == said(part)
    assert copy.lines is None
    for mine, theirs in zip(copy.text.splitlines(), TEXT.splitlines(), strict=True):
        assert mine.rstrip() in ("", theirs.rstrip())


def test_one_rule_is_left_out_where_it_stands(tmp_path: Path) -> None:
    text = (
        "groups:\n- name: g\n  rules:\n  - {record: a, expr: b}\n  - alert: B\n    expr: b\n  - alert: C\n    expr: c\n"
    )
    file = written(tmp_path, text)
    rest = file.without({id(file.groups[0].rules[1])})
    copy = copy_of(rest)
    assert said(again(copy, tmp_path)) == said(rest)
    assert copy.text.splitlines()[-2:] == text.splitlines()[-2:]


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("groups: [{name: a, rules: [{record: a, expr: b}]}, {name: c, rules: []}]\n", "a"),
        (
            "groups:\n  - name: a\n    rules:\n      - {record: a, expr: &same b}\n"
            "  - name: c\n    rules:\n      - {record: c, expr: *same}\n",
            "c",
        ),
        (
            "groups:\n  - &a\n    name: a\n    rules:\n      - &r\n        record: a\n        expr: b\n"
            "  - <<: *a\n    name: c\n    rules:\n      - <<: *r\n        record: c\n",
            "c",
        ),
    ],
    ids=["flow", "alias", "merge"],
)
def test_what_cannot_be_blanked_is_written_anew_with_its_lines(tmp_path: Path, text: str, group: str) -> None:
    file = written(tmp_path, text)
    part = file.of_groups(tuple(each for each in file.groups if each.name == group))
    copy = copy_of(part)
    assert said(again(copy, tmp_path)) == said(part)
    assert copy.lines is not None
    for number, line in enumerate(copy.text.splitlines(), 1):
        if "record:" in line:  # the name's own line, wherever the rest was merged from
            assert copy.line(number) == part.groups[0].rules[0].span.line


def test_a_group_is_renamed_in_its_place(file: RuleFile) -> None:
    assert copy_of(file, {"second": "other: one"}).text == TEXT.replace('"second"', '"other: one"')
