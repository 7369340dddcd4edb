"""A rule that looks over more samples than promtool can load, tested on a part of its window where that decides.

promtool refuses queries of more than 10,000 samples of a series. A test that stays below by ending early passes, but
the window of the rule (30 days of an SLO, say) was never full. Whether an assertion hangs on that is measured: see
`suites/capped_windows.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.backfill import Backfill
from harness.suites.checks import FileView, Hit
from harness.suites.window_use import CAP
from harness.units import format_duration

_BEFORE = {
    Backfill.HELD: "had its series stood as they begin for all that time before",
    Backfill.GROWN: "had its counters grown as they begin for all that time before",
}


def check(view: FileView) -> Iterator[Hit]:
    for window in view.capped_windows:
        group, name = window.group, window.assertion.alertname.value
        length, at = format_duration(window.window_ms), format_duration(window.assertion.eval_time_ms)
        known = (
            f"`{name}` looks back {length}, which is {window.window_ms // group.interval_ms} samples a series at an "
            f"interval of {format_duration(group.interval_ms)}; promtool loads at most {CAP}, so this test only ever "
            "fills a part of the window"
        )
        if window.backfill is None:
            said = f"{known}, and whether that matters cannot be told: {window.why}"
        else:
            turned = "it would be active" if window.active else "it would not be active"
            said = f"{known}, and its outcome hangs on that: {_BEFORE[window.backfill]}, {turned} at {at}"
        yield Hit(
            window.assertion.span,
            said,
            f"set the group's `interval` to {format_duration(_coarser(window.window_ms))} or more and write the "
            "whole window, or measure the alert with `alert-harness prove`",
            group.title,
            taste=window.backfill is None,
        )


def _coarser(window_ms: int) -> int:
    """An interval, in whole minutes, at which the window stays below the cap."""
    return -(-window_ms // (CAP - 1) // 60_000) * 60_000
