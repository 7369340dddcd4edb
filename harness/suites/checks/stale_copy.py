"""The tests read another file than the one that is deployed: a copy that no longer says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.rules import RuleFile, read_rules
from harness.rules.model import AlertRule
from harness.source import display_path
from harness.suites.checks import FileView, Hit


def check(view: FileView) -> Iterator[Hit]:
    deployed = {path.resolve() for path in view.configured}
    for file in view.rules.files:
        path = file.path.resolve()
        if path in deployed:
            continue
        rules = [one.file for one in file.given]
        for original in deployed:
            if not _same_name_or_group(path, original, rules) or _bytes(path) == _bytes(original):
                continue
            yield Hit(
                next((p.span for p in view.suite.patterns if Path(p.value).name == path.name), view.suite.span),
                f"the tests read {display_path(path)}, which differs from the deployed {display_path(original)}",
                f"name {display_path(original)} under `rule_files`, and remove the copy",
            )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _same_name_or_group(path: Path, original: Path, rules: Sequence[RuleFile]) -> bool:
    """Whether this is a copy of the original: rules in common, and the file's or a group's name."""
    other = read_rules([original]).files
    groups = {group.name for file in rules for group in file.groups}
    named = groups & {group.name for file in other for group in file.groups}
    return bool(_rules(rules) & _rules(other)) and (path.name == original.name or bool(named))


def _rules(files: Sequence[RuleFile]) -> set[str]:
    rules = (rule for file in files for group in file.groups for rule in group.rules)
    return {rule.alert if isinstance(rule, AlertRule) else rule.record for rule in rules}
