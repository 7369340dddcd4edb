"""What promtool says of rule files before anything is measured.

A rule that it refuses is left out, and its file asked about again, so that one bad rule hides no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from harness.engines.gostrings import go_unquote
from harness.engines.promtool import Promtool
from harness.engines.promtool_complaints import RuleProblem, unknown_fields
from harness.engines.promtool_input import PromtoolInput, promtool_inputs
from harness.errors import InputError
from harness.rules import AlertRule, Group, RuleFault, RuleFile
from harness.rules.model import Rule
from harness.source import display_path

_IN_RULE = re.compile(
    r'group (?P<group>"(?:\\.|[^"\\])*"), rule (?P<rule>\d+), (?P<name>"(?:\\.|[^"\\])*"): (?P<what>.*)', re.DOTALL
)
_AT = re.compile(r"could not parse expression: (?:(\d+):(\d+): )?(?:parse error: )?(.*)", re.DOTALL)


@dataclass(slots=True)
class Checked:
    """Rule files without what promtool refuses."""

    files: list[RuleFile] = field(default_factory=list)
    complaints: dict[int, str] = field(default_factory=dict)
    """What it says against single alerts but for their expression, by the id of the rule: a broken template belongs to
    that alert's verdict."""
    faults: list[RuleFault] = field(default_factory=list)
    """What Prometheus would not load, each with its place in the user's file."""


def check_rule_files(promtool: Promtool, files: Sequence[RuleFile]) -> Checked:
    """Ask `promtool check rules` about each file, and about what is left of it where it refuses a part.

    What only a feature allows that this promtool does not know it may refuse: Prometheus is the judge of that.
    """
    checked = Checked()
    kept: dict[int, RuleFile] = {}
    asked = dict(enumerate(files))
    while asked:
        again: dict[int, RuleFile] = {}
        with promtool_inputs(list(asked.values())) as given:
            problems = promtool.check_rules([one.path for one in given], lint=False)
        for number, one in zip(asked, given, strict=True):
            found = _FileFaults()
            for problem in problems:
                if problem.file == display_path(one.path) and not promtool.misses(problem.message):
                    _take(one, problem, promtool.version, found)
            checked.faults += found.faults
            checked.complaints |= found.complaints
            rest = one.file.without(found.unwanted) if found.unwanted else one.file
            if found.unwanted and any(group.rules for group in rest.groups):
                again[number] = rest
            elif not found.faults:
                kept[number] = rest
        asked = again
    checked.files = [kept[number] for number in sorted(kept)]
    return checked


def lint(promtool: Promtool, files: Sequence[RuleFile]) -> list[RuleProblem]:
    """What `promtool check rules` finds in matters of style, by the user's files and lines."""
    with promtool_inputs(files) as given:
        problems = promtool.check_rules([one.path for one in given], lint=True)
    by_name = {display_path(one.path): one for one in given}
    return [
        replace(problem, file=one.file.name, line=one.line(problem.line) if problem.line else None)
        if (one := by_name.get(problem.file)) is not None
        else problem
        for problem in problems
    ]


@dataclass(slots=True)
class _FileFaults:
    """What is said of one file."""

    faults: list[RuleFault] = field(default_factory=list)
    complaints: dict[int, str] = field(default_factory=dict)
    unwanted: set[int] = field(default_factory=set)
    """The ids of rules and groups that are refused."""


def _take(one: PromtoolInput, problem: RuleProblem, version: str, found: _FileFaults) -> None:
    match = _IN_RULE.search(problem.message)
    placed = _rule_of(one.file, go_unquote(match["group"]), int(match["rule"])) if match else None
    if match is not None and placed is not None:
        what = match["what"].strip()
        if isinstance(placed, AlertRule) and not _AT.match(what):
            found.complaints[id(placed)] = what
        else:
            _refuse(found, [placed], _in_rule(placed, go_unquote(match["name"]), what))
        return
    unknown = unknown_fields(problem.message, version)
    source = one.file.origin.source if one.file.origin is not None else None
    for each in unknown:
        line = one.line(each.line)
        _refuse_line(one.file, line, each.error(source, line), found)
    if not unknown:
        line = one.line(problem.line) if problem.line else None
        error = InputError(
            f"promtool refuses {one.file.name}: {problem.message}",
            span=source.span(line, problem.column or 1) if line and source is not None else None,
            hint="promtool check rules shows it too",
        )
        _refuse_line(one.file, line, error, found)


def _in_rule(rule: Rule, name: str, what: str) -> InputError:
    at = _AT.match(what)
    if at is None:
        return InputError(f"`{name}`: {what}", span=rule.span, hint="promtool check rules shows it too")
    line, column = int(at[1] or 1), int(at[2] or 1)
    lines = rule.expr.value.split("\n")
    # Prometheus counts bytes.
    before = lines[line - 1].encode()[: column - 1].decode("utf-8", "ignore") if line <= len(lines) else ""
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + len(before)
    return InputError(
        f"`{name}`: not a valid PromQL expression: {at[3].strip()}",
        span=rule.expr.span_at(offset),
        hint='name the feature in the settings, as in features = ["promql-experimental-functions"]'
        if "not enabled" in at[3] or "must be enabled" in at[3]
        else "the caret stands where Prometheus' parser stopped",
    )


def _refuse(found: _FileFaults, parts: Iterable[Rule | Group], error: InputError) -> None:
    rules: list[Rule] = []
    for part in parts:
        found.unwanted.add(id(part))
        rules += part.rules if isinstance(part, Group) else [part]
    found.faults.append(RuleFault(error, frozenset(rule.alert for rule in rules if isinstance(rule, AlertRule))))


def _refuse_line(file: RuleFile, line: int | None, error: InputError, found: _FileFaults) -> None:
    """Refuse what stands on a line: a rule, else a group, else the whole file."""
    parts: list[Rule | Group] = [
        rule for group in file.groups for rule in group.rules if line is not None and _covers(rule, line)
    ] or [group for group in file.groups if line is not None and _covers(group, line)]
    _refuse(found, parts or file.groups, error)


def _covers(part: Rule | Group, line: int) -> bool:
    node = part.node
    return node is not None and node.start_mark.line < line <= node.end_mark.line + (node.end_mark.column > 0)


def _rule_of(file: RuleFile, group: str, number: int) -> Rule | None:
    for candidate in file.groups:
        if candidate.name == group and 0 < number <= len(candidate.rules):
            return candidate.rules[number - 1]
    return None
