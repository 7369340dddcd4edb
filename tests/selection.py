"""Which tests run when: one of several cases always, the others with the slow ones; and those that need no server."""

from __future__ import annotations

from collections import Counter

import pytest

_SERVERS = {"toolchain", "need_docker", "each_promtool", "start", "shared_server"}
"""Fixtures through which a test gets at a real binary, container or service; most of them at second hand."""
_PROCESSES = (
    "tests/live/", "tests/plugin/", "tests/proof/", "tests/rules/", "tests/stack/", "tests/streaming/", "tests/test_",
)  # fmt: skip
"""Where most tests start processes by themselves."""


def sample(items: list[pytest.Item]) -> None:
    """Make slow, of the cases of a test that is marked `sampled(n)`, all but each n-th, in the order of their table.

    ``items`` are as collected: in order.
    """
    seen: Counter[str] = Counter()
    for item in items:
        marker = item.get_closest_marker("sampled")
        if marker is not None:
            name = item.nodeid.partition("[")[0]
            if seen[name] % marker.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1


def mark_quick(items: list[pytest.Item]) -> None:
    """Mark as `quick` what needs no server, as far as its place and its fixtures tell."""
    for item in items:
        if item.nodeid.startswith(_PROCESSES) or _SERVERS & set(getattr(item, "fixturenames", ())):
            continue
        if all(item.get_closest_marker(name) is None for name in ("slow", "system")):
            item.add_marker(pytest.mark.quick)
