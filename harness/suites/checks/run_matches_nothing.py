"""`--run` with an expression that no test group's name matches: nothing was tested."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import near_miss
from harness.suites.checks import Hit, RunView


def check_run(view: RunView) -> Iterator[Hit]:
    if not view.run or not view.complete or any(file.ran for file in view.files):
        return
    names = [group.name for file in view.files if file.suite for group in file.suite.groups if group.name]
    patterns = ", ".join(f"`{pattern}`" for pattern in view.run)
    shown = "; ".join(names[:8]) + ("; …" if len(names) > 8 else "") if names else "none has a name"
    yield Hit(
        None,
        f"--run {patterns} matches no test group{near_miss(view.run[0], names)}, so nothing was tested",
        f"the groups are: {shown}",
    )
