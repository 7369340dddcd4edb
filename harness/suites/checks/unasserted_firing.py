"""An alert fires at an asserted time, and no assertion of the group speaks of it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import FileView, Hit
from harness.suites.coverage import alerts_selected
from harness.units import format_duration

TASTE = True


def check(view: FileView) -> Iterator[Hit]:
    names = view.rules.alert_names()
    for group in view.groups:
        spoken_of = {a.alertname.value for a in group.alerts}
        for expr in group.exprs:
            spoken_of |= alerts_selected(expr, names)
        seen: dict[str, tuple[int, int]] = {}
        for time_ms in group.times_ms:
            observed = view.observed(group, time_ms)
            for name, count in (observed.firing if observed else {}).items():
                # A watchdog (`vector(1)`) reads no metric: it fires whatever the series are.
                if name in names and name not in spoken_of and view.reads.of_alert(name)[0]:
                    seen.setdefault(name, (time_ms, count))
        for name, (time_ms, count) in seen.items():
            alerts = "one alert" if count == 1 else f"{count} alerts"
            yield Hit(
                group.span,
                f"`{name}` fires at {format_duration(time_ms)} ({alerts}), and no assertion of this group speaks of it",
                f"assert on `{name}`: that it fires, or change the series so that it is quiet and say so",
                group.title,
            )
