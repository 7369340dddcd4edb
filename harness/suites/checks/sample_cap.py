"""A rule that looks over more samples than promtool can load, tested on a part of its window where that decides.

promtool refuses queries of more than 10,000 samples of a series. A test that stays below by ending early passes, but
the window of the rule (30 days of an SLO, say) was never full. Whether an assertion hangs on that is measured: see
`suites/filled.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import FileView, Hit
from harness.suites.filled import CAP, Past
from harness.units import format_duration

_PASTS = {
    Past.HELD: "had its series stood as they begin for all that time before",
    Past.GROWN: "had its counters grown as they begin for all that time before",
}


def check(view: FileView) -> Iterator[Hit]:
    for filling in view.fillings:
        group, name = filling.group, filling.assertion.alertname.value
        window, at = format_duration(filling.window_ms), format_duration(filling.assertion.eval_time_ms)
        known = (
            f"`{name}` looks back {window}, which is {filling.window_ms // group.interval_ms} samples a series at an "
            f"interval of {format_duration(group.interval_ms)}; promtool loads at most {CAP}, so this test only ever "
            "fills a part of the window"
        )
        if filling.past is None:
            said = f"{known}, and whether that matters cannot be told: {filling.why}"
        else:
            turned = "it would be active" if filling.active else "it would not be active"
            said = f"{known}, and its outcome hangs on that: {_PASTS[filling.past]}, {turned} at {at}"
        yield Hit(
            filling.assertion.span,
            said,
            f"set the group's `interval` to {format_duration(_coarser(filling.window_ms))} or more and write the "
            "whole window, or measure the alert with `alert-harness prove`",
            group.title,
            taste=filling.past is None,
        )


def _coarser(window_ms: int) -> int:
    """An interval, in whole minutes, at which the window stays below the cap."""
    return -(-window_ms // (CAP - 1) // 60_000) * 60_000
