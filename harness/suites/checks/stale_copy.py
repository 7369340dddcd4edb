"""The tests read another file than the one that is deployed: a copy that no longer says the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError
from harness.rules import RuleFile, load_rule_file
from harness.rules.model import AlertRule
from harness.source import display_path
from harness.suites.checks import FileView, Hit


def check(view: FileView) -> Iterator[Hit]:
    deployed = {path.resolve() for path in view.configured}
    for file in view.rules.files:
        path = file.path.resolve()
        if path in deployed or file.rules is None:
            continue
        for original in deployed:
            if not _same_name_or_group(path, original, file.rules) or _bytes(path) == _bytes(original):
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


def _same_name_or_group(path: Path, original: Path, rules: RuleFile) -> bool:
    """Whether this is a copy of the original: rules in common, and the file's or a group's name."""
    try:
        other = load_rule_file(original)
    except HarnessError:
        return False
    groups = {group.name for group in rules.groups} & {group.name for group in other.groups}
    return bool(_rules(rules) & _rules(other)) and (path.name == original.name or bool(groups))


def _rules(file: RuleFile) -> set[str]:
    return {r.alert if isinstance(r, AlertRule) else r.record for group in file.groups for r in group.rules}
