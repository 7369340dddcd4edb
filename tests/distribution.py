"""How tests are spread over workers: those that share what is dear to make stay on one, and the longest begin first.

xdist's own `--dist loadgroup` cannot do it: with pytest 9.2 it silently stops grouping (pytest-xdist #1386).
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler.loadscope import LoadScopeScheduling

_FIRST = (
    # These wait for real clocks, so the other workers catch up meanwhile.
    "tests/stack/", "tests/live/", "tests/test_getting_started.py", "tests/report/",
    # And these are the longest, which must not begin when the others have ended.
    "tests/proof/test_faults.py", "tests/proof/test_nine.py", "tests/proof/test_edges.py", "tests/cli/",
    "tests/proof/", "tests/slo/", "tests/plugin/", "tests/streaming/", "tests/suites/",
)  # fmt: skip
_TOGETHER = ("tests/stack/", "tests/report/")
"""Stacks want the machine for themselves, one after the other; one proof serves all reports."""


class BySharedFixtures(LoadScopeScheduling):  # type: ignore[misc]  # xdist.scheduler has no types
    """A file is the unit of work, or a whole folder where its files share their fixtures."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in _TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def long_ones_first(items: list[Any]) -> None:
    """Sort tests so; within a rank they stay as they are."""

    def rank(item: Any) -> int:
        return next((rank for rank, folder in enumerate(_FIRST) if item.nodeid.startswith(folder)), len(_FIRST))

    items.sort(key=rank)
