"""A pattern under `rule_files` that matches no file: promtool warns and goes on without the rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import near_miss
from harness.source import display_path
from harness.suites.checks import FileView, Hit


def check(view: FileView) -> Iterator[Hit]:
    for pattern in view.rules.unmatched:
        target = Path(os.path.normpath(view.suite.path.resolve().parent / pattern.value))
        yield Hit(
            pattern.span,
            f"`{pattern.value}` matches no file{near_miss(target.name, _beside(target))}, "
            "so its rules are not in the test",
            f"correct the path: it was looked for as {display_path(target)}",
        )


def _beside(target: Path) -> list[str]:
    try:
        return [
            entry.name for entry in target.parent.iterdir() if entry.is_file() and entry.suffix in (".yml", ".yaml")
        ]
    except OSError:
        return []
