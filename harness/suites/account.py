"""The copy of a unit-test file that promtool runs: the same tests, made to give a whole account of themselves.

promtool prints neither where a failure comes from nor what fires beside the alerts that it was asked about. In the copy
every group is followed by one that cannot be parsed, whose complaint ends the group's part of the output; and at every
asserted tick one more expression asks how many alerts fire and wait. Both are taken out of the output again. Nothing
else changes: nodes of the YAML are written back as they were read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.engines.gostrings import go_unquote
from harness.suites import goglob
from harness.suites.model import ObservedStates, SuiteFile, TestGroup
from harness.units import format_duration, parse_duration_ms

_MARK = "⏚"
"""A character that no series holds: promtool complains of it by name, and so ends a group's part of the output."""
_MARKER = f"unexpected character in series sequence: '{_MARK}'"
_PROBE = "count by (alertname, alertstate) (ALERTS)\n# alert-harness"
_STR, _MAP, _SEQ = (f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq"))
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_copy(
    suite: SuiteFile,
    groups: Sequence[TestGroup],
    rules: Sequence[Path],
    target: Path,
    order: Sequence[str] | None = None,
) -> yaml.Node:
    """Write the copy of these groups of a file to `target`; `rules` are what promtool reads as rule files.

    Returns what was written, in which the user's nodes know where they stood.

    `order` are the names of all rule groups, in the order in which they are evaluated; None: as the file says.
    """
    tests: list[yaml.Node] = []
    for group in groups:
        tests.append(_with_probes(suite, group))
        tests.append(_marker())
    ours = {"rule_files", "tests"} if order is None else {"rule_files", "tests", "group_eval_order"}
    fields = [(key, value) for key, value in suite.root.value if key.value not in ours]
    if order is not None:
        fields.append((string("group_eval_order"), yaml.SequenceNode(_SEQ, [string(name) for name in order])))
    files = yaml.SequenceNode(_SEQ, [string(goglob.escape(path)) for path in rules])
    fields += [(string("rule_files"), files), (string("tests"), yaml.SequenceNode(_SEQ, tests))]
    root = yaml.MappingNode(_MAP, fields)
    with target.open("w", encoding="utf-8") as out:
        yaml.serialize(root, out, Dumper=_DUMPER, allow_unicode=True, width=2**31 - 1)
    return root


def probes(group: TestGroup) -> bool:
    """Whether we ask the group what fires: not where `ALERTS` is an input of its own."""
    return not any(series.metric in ("ALERTS", None) for series in group.series)


def _with_probes(suite: SuiteFile, group: TestGroup) -> yaml.Node:
    node = group.node
    assert isinstance(node, yaml.MappingNode)
    if not probes(group):
        return node
    asked: list[yaml.Node] = [
        mapping(expr=string(_PROBE), eval_time=string(format_duration(tick)))
        for tick in sorted({suite.tick_ms(time) for time in group.times_ms})
    ]
    fields = []
    for key, value in node.value:
        if key.value == "promql_expr_test":
            asked = [*(value.value if isinstance(value, yaml.SequenceNode) else ()), *asked]
        else:
            fields.append((key, value))
    return yaml.MappingNode(_MAP, [*fields, (string("promql_expr_test"), yaml.SequenceNode(_SEQ, asked))])


def _marker() -> yaml.Node:
    series = mapping(series=string("x"), values=string(_MARK))
    return mapping(interval=string("1m"), input_series=yaml.SequenceNode(_SEQ, [series]))


def mapping(**fields: yaml.Node) -> yaml.MappingNode:
    """A YAML mapping of these fields."""
    return yaml.MappingNode(_MAP, [(string(name), value) for name, value in fields.items()])


def string(text: str) -> yaml.ScalarNode:
    """A YAML text, quoted."""
    return yaml.ScalarNode(_STR, text, style='"')


@dataclass(frozen=True, slots=True)
class Account:
    """What promtool said of each group, our own questions taken out."""

    groups: tuple[str, ...]
    """One text per group that was run; empty for one that passed."""
    before: str
    """What it said of the file as a whole, in place of running it."""
    observed: tuple[Mapping[int, ObservedStates | None], ...]
    """Per group: by tick, what fired and waited; a tick without alerts is missing, one without an answer None."""


_PRINTED = '"' + _PROBE.replace("\n", "\\n") + '"'
_ANSWER = re.compile(
    rf"    (?:name: [^\n]*,\n *)?expr: {re.escape(_PRINTED)}, time: (?P<time>\w+),"
    r"(?P<rest>[^\n]*(?:\n        (?:exp|got|diff):[^\n]*)*)\n?"
)
_SAMPLE = re.compile(r'\{(?P<labels>(?:\w+="(?:[^"\\]|\\.)*"(?:, )?)*)\} (?P<value>[0-9.E+]+)')
_LABEL = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')


def read_account(stderr: str, expected_groups: int) -> Account:
    """Cut promtool's standard error into what it said of each group."""
    said = stderr.partition("  FAILED:\n")[2] or stderr
    parts: list[list[str]] = [[]]
    for line in said.splitlines(keepends=True):
        if _MARKER in line:
            parts.append([])
        else:
            parts[-1].append(line)
    texts = ["".join(part) for part in parts]
    if len(texts) != expected_groups + 1:
        return Account((), said.strip("\n"), ())
    groups: list[str] = []
    observed: list[Mapping[int, ObservedStates | None]] = []
    for text in texts[:-1]:
        seen: dict[int, ObservedStates | None] = {}
        for answer in _ANSWER.finditer(text):
            refused = answer["rest"].lstrip().startswith("err:")
            seen[parse_duration_ms(answer["time"])] = None if refused else _observed(answer["rest"])
        groups.append(_ANSWER.sub("", text))
        observed.append(seen)
    return Account(tuple(groups), texts[-1].strip("\n"), tuple(observed))


def _observed(text: str) -> ObservedStates:
    states: dict[str, dict[str, int]] = {"firing": {}, "pending": {}}
    for sample in _SAMPLE.finditer(text):
        labels = {name: go_unquote(value) for name, value in _LABEL.findall(sample["labels"])}
        states.setdefault(labels.get("alertstate", ""), {})[labels.get("alertname", "")] = int(float(sample["value"]))
    return ObservedStates(states["firing"], states["pending"])
