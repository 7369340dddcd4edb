"""How long a test may take, and what of whoever started us the processes that tests start must not inherit."""

from __future__ import annotations

import signal
from types import FrameType

import pytest

SYSTEM_S = 900
"""For a test of the whole stack, by real clocks."""
SLOW_S = 2400
"""For a test that takes minutes by itself, on a machine that is busy besides; all others: `timeout` in pyproject."""


def limit(items: list[pytest.Item]) -> None:
    """Give tests that are marked as slow or system a longer limit, unless they have one of their own."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            for name, seconds in (("slow", SLOW_S), ("system", SYSTEM_S)):
                if item.get_closest_marker(name) is not None:
                    item.add_marker(pytest.mark.timeout(seconds))
                    break


def children_obey_signals() -> None:
    """Whoever is started with SIGINT or SIGHUP ignored (nohup, the background of a script) hands that on to children.

    Tests send these signals to the commands that they start. An ignored signal stays ignored in a new program, one that
    is caught does not: so we catch it and do nothing, and what we start has the default.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _nothing)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
