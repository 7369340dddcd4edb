"""What the stack's own Prometheus says before, during and after a scenario."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

from harness.engines import Engine, Series
from harness.errors import EngineError
from harness.stack.runtime import Health, Runtime
from harness.stack.scenarios.scenario import Scenario

_SETTLE_MS = 900_000
"""World time that a stack is given to become quiet before a scenario begins."""
_FIRST_SCRAPE_S = 30.0
_POLL_S = 0.2
_WHOLE = 0.9
"""The share of an interval from which on a scrape took all of it."""


def settle(scenario: Scenario, runtime: Runtime, prometheus: Engine) -> None:
    """Wait until the service is scraped and no alert is active that the scenario would be blamed for."""
    tolerated = {alert for tolerance in scenario.tolerate for alert in tolerance.alerts}
    patience_s = _FIRST_SCRAPE_S + _SETTLE_MS / 1000 / runtime.clock.factor
    deadline = time.monotonic() + patience_s
    while True:
        waiting = [target.job for target in runtime.targets() if target.health in (Health.DOWN, Health.WAITING)]
        active = {series.metric["alertname"] for series in prometheus.query("ALERTS", _now_ms())} - tolerated
        if not waiting and not active:
            return
        if time.monotonic() > deadline:
            raise EngineError(
                f"the stack did not become quiet within {patience_s:.0f} s: "
                + "; ".join(
                    ([f"not up: {', '.join(sorted(waiting))}"] if waiting else [])
                    + ([f"active before anything went wrong: {', '.join(sorted(active))}"] if active else [])
                ),
                hint="look at `alert-harness stack status` and at the alerts in Prometheus",
            )
        time.sleep(_POLL_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _counted(prometheus: Engine) -> int:
    """Requests to the API that the service has counted, as of its last scrape."""
    found = prometheus.query('http_requests_total{job="streaming",endpoint=~"/api/.*"}', _now_ms())
    return round(sum(series.values[0] for series in found))


def counted_before(prometheus: Engine) -> int:
    """The count that a scrape after this moment sees: an earlier one lacks what came last; 0 if there was none ever."""
    since_s = time.time()
    deadline = time.monotonic() + _FIRST_SCRAPE_S * 2
    while scraped := prometheus.query('timestamp(up{job="streaming"})', _now_ms()):
        if max(series.values[0] for series in scraped) > since_s or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return _counted(prometheus)


def await_count(prometheus: Engine, wanted: int) -> int:
    """The service's count once it was scraped behind the last answer; what it is after a while if that never comes."""
    deadline = time.monotonic() + _FIRST_SCRAPE_S
    while (found := _counted(prometheus)) < wanted and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return found


def alerts_between(prometheus: Engine, began_s: float, ended_s: float) -> list[Series]:
    """The stored samples of ALERTS: each tick's exact state."""
    length_ms = round((ended_s - began_s) * 1000)
    return prometheus.query(f"ALERTS[{length_ms}ms]", round(ended_s * 1000))


def missed_ticks(prometheus: Engine, began_s: float) -> int:
    length_ms = max(1, _now_ms() - round(began_s * 1000))
    found = prometheus.query(f"sum(increase(prometheus_rule_group_iterations_missed_total[{length_ms}ms]))", _now_ms())
    return round(found[0].values[0]) if found else 0


def late_answers_of(prometheus: Engine, scenario: Scenario, began_s: float, ended_s: float) -> int:
    """Scrapes that failed by waiting, but not those of a service that the scenario kills: its name may be unknown."""
    killed = "streaming" if any(fault.crash for fault in scenario.faults) else ""
    window = f'{{job!="{killed}"}}[{round((ended_s - began_s) * 1000)}ms]'
    up, took = (
        prometheus.query(f"{name}{window}", round(ended_s * 1000)) for name in ("up", "scrape_duration_seconds")
    )
    return late_answers(up, took)


def late_answers(up: Sequence[Series], took: Sequence[Series]) -> int:
    """Of the samples of `up`, the zeros behind a scrape that took (`scrape_duration_seconds`) its whole interval.

    A service that is gone refuses at once. A fast clock leaves an interval for the time-out, as they cannot be longer.
    """
    seconds = {
        (_target(series), at_ms): value
        for series in took
        for at_ms, value in zip(series.timestamps_ms, series.values, strict=True)
    }
    late = 0
    for series in up:
        interval_ms = min((b - a for a, b in pairwise(series.timestamps_ms)), default=0)
        for at_ms, value in zip(series.timestamps_ms, series.values, strict=True):
            took_s = seconds.get((_target(series), at_ms), 0.0)
            late += value == 0 and interval_ms > 0 and took_s * 1000 >= _WHOLE * interval_ms
    return late


def _target(series: Series) -> tuple[str | None, str | None]:
    return series.metric.get("job"), series.metric.get("instance")
