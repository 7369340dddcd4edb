"""What promtool says against a file: problems of rules, and fields that it does not know."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import InputError
from harness.source import SourceFile

_UNKNOWN_FIELD = re.compile(r"line (\d+): field (\S+) not found in type (\w+)\.(\w+)")
_TYPES = {
    "RuleGroups": "a rule file", "RuleGroup": "a rule group", "Rule": "a rule", "RuleNode": "a rule",
    "unitTestFile": "a unit-test file", "testGroup": "a test group", "series": "an input series",
    "alertTestCase": "an alert test", "alert": "an expected alert", "promqlTestCase": "an expression test",
    "sample": "an expected sample",
}  # fmt: skip
"""promtool's Go types, in words."""
_SINCE = {
    ("labels", "RuleGroup"): "3.0",
    ("query_offset", "RuleGroup"): "2.53",
    ("limit", "RuleGroup"): "2.31",
    ("keep_firing_for", "Rule"): "2.42",
    ("start_timestamp", "testGroup"): "3.9",
    ("fuzzy_compare", "unitTestFile"): "3.0",
}
"""The Prometheus with which promtool has come to know a field."""


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """What `promtool check rules` says against a file; line and column are 1-based, None where it gives none."""

    file: str
    message: str
    line: int | None = None
    column: int | None = None
    lint: bool = False
    """Whether it is a style complaint: the file loads."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line is not None else self.file
        return f"{where}: {self.message}"


def rule_problems(stderr: str, file: str, shown: str, *, lint: bool) -> list[RuleProblem]:
    """What `promtool check rules` prints against one file, which messages call `shown`; with `lint` one problem."""
    text = stderr.partition("FAILED:\n")[2] or stderr
    if lint:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [RuleProblem(shown, "; ".join(lines), lint=True)]
    problems: list[RuleProblem] = []
    for line in text.splitlines():
        if line.startswith(f"{file}: "):
            rest = line.removeprefix(f"{file}: ")
            place = re.match(r"(\d+):(\d+): ", rest)
            if place:
                problems.append(RuleProblem(shown, rest[place.end() :], int(place[1]), int(place[2])))
            else:
                problems.append(RuleProblem(shown, rest))
        elif line.strip():
            if not problems:
                problems.append(RuleProblem(shown, line.strip()))
                continue
            last = problems[-1]  # `yaml: unmarshal errors:` goes on in indented lines
            number = re.match(r"\s*line (\d+): ", line)
            problems[-1] = RuleProblem(
                shown,
                f"{last.message} {line.strip()}",
                last.line if last.line is not None or number is None else int(number[1]),
                last.column if last.column is not None or number is None else 1,
            )
    return problems


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field that promtool does not know, as it says; `line` is that of the file that it read."""

    line: int
    name: str
    message: str
    hint: str

    def error(self, source: SourceFile | None, line: int | None) -> InputError:
        """The same for people, at the user's line, if it is known."""
        span = None
        if source is not None and line:
            span = source.span(line, max(source.lines[line - 1].find(self.name), 0) + 1, len(self.name))
        return InputError(self.message, span=span, hint=self.hint)


def unknown_fields(message: str, version: str) -> list[UnknownField]:
    """The fields that promtool does not know, from a message of its own. One that a newer promtool knows is told as
    that."""
    found = []
    for line, field, _, kind in dict.fromkeys(_UNKNOWN_FIELD.findall(message)):
        what = _TYPES.get(kind, f"`{kind}`")
        since = _SINCE.get((field, kind.removesuffix("Node")))
        if since is None:
            found.append(
                UnknownField(int(line), field, f"promtool {version} knows no field `{field}` in {what}", "remove it")
            )
        else:
            told = f"promtool {version} does not know `{field}` in {what} yet: Prometheus has it since {since}"
            hint = f"set `versions` or `tools` to a promtool of {since} or later, or remove the field"
            found.append(UnknownField(int(line), field, told, hint))
    return found
