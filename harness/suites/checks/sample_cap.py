"""A rule that looks over more samples than promtool can load: it is only ever tested on a part of its window.

promtool refuses queries of more than 10,000 samples. A test that stays below by ending early passes, but the window of
the rule (30 days of an SLO, say) was never full.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import HarnessError
from harness.prometheus import ServerSettings
from harness.rules.expr import reach_ms
from harness.suites.checks import FileView, Hit
from harness.suites.model import TestGroup
from harness.suites.reads import read_series
from harness.units import format_duration

CAP = 10_000


def check(view: FileView) -> Iterator[Hit]:
    for group in view.groups:
        told: set[str] = set()
        for assertion in group.alerts:
            name = assertion.alertname.value
            if name in told:
                continue
            window_ms = _window_ms(view, name)
            seen = _seen(view, group, name)
            if seen and window_ms // group.interval_ms > CAP:
                told.add(name)
                yield Hit(
                    assertion.span,
                    f"`{name}` looks back {format_duration(window_ms)}, which is {window_ms // group.interval_ms} "
                    f"samples a series at an interval of {format_duration(group.interval_ms)}; promtool loads at most "
                    f"{CAP}, so this test only ever fills a part of the window",
                    f"set the group's `interval` to {format_duration(_coarser(window_ms, seen))} or more and write the "
                    "whole window, or measure the alert with `alert-harness prove`",
                    group.title,
                )


def _window_ms(view: FileView, alert: str) -> int:
    """The longest stretch that an expression behind the alert looks over."""
    longest, server = 0, ServerSettings(evaluation_ms=view.suite.evaluation_ms)  # promtool's own
    for expr in view.reads.exprs_of_alert(alert):
        try:
            longest = max(longest, reach_ms(expr, server) - server.lookback_ms)
        except HarnessError:
            continue  # `@` and negative offsets reach nowhere that we could name
    return longest


def _seen(view: FileView, group: TestGroup, alert: str) -> int:
    return len(read_series(group.series, view.reads.of_alert(alert)[0]))


def _coarser(window_ms: int, series: int) -> int:
    """An interval, in whole minutes, at which the window of all series stays below the cap."""
    return -(-window_ms * series // (CAP - series) // 60_000) * 60_000 if series < CAP else window_ms
