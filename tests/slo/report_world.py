"""A month of a made-up service on a real Prometheus, with an objective for every verdict; reports are made from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from harness.engines import Engine, Samples, make_labels
from harness.slo import Objective, load_objectives

MINUTE = 60_000
DAY = 1440 * MINUTE
END = 1_767_225_600_000
"""2026-01-01T00:00:00Z, so that the calendar month that ends is December."""
DAYS = 30
START = END - DAYS * DAY
TARGET = {"job": "shop", "instance": "a:80"}

OBJECTIVES = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout
  displayName: Checkout
  annotations:
    alert-harness/budget-policy: >-
      No releases but fixes until the budget is above 25 %; the team's next two weeks go to reliability.
spec:
  description: 99.9 % of all checkouts succeed.
  service: shop
  indicator:
    metadata: {name: checkouts}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Prometheus, spec: {query: 'checkouts_total{code="500"}'}}}
        total: {metricSource: {type: Prometheus, spec: {query: checkouts_total}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: search
  displayName: Search within 300 ms
  annotations:
    alert-harness/budget-policy: The search team looks into it this week.
spec:
  description: 99 % of all searches are answered within 300 ms.
  service: shop
  indicator:
    metadata: {name: searches}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'search_seconds_bucket{le="0.3"}'}}}
        total: {metricSource: {type: Prometheus, spec: {query: search_seconds_count}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: login, displayName: Login}
spec:
  description: 99.5 % of all logins succeed.
  service: accounts
  indicator:
    metadata: {name: logins}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Prometheus, spec: {query: 'logins_total{result="error"}'}}}
        total: {metricSource: {type: Prometheus, spec: {query: logins_total}}}
  timeWindow:
    - duration: 1M
      calendar: {startTime: 2025-01-01 00:00:00, timeZone: America/New_York}
  budgetingMethod: Occurrences
  objectives: [{target: 0.995}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: queue, displayName: Queue is short}
spec:
  description: The queue is shorter than 100 in 99 % of all minutes.
  service: shop
  indicator:
    metadata: {name: queue-length}
    spec:
      thresholdMetric: {metricSource: {type: Prometheus, spec: {query: max(queue_length)}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Timeslices
  objectives: [{op: lt, value: 100, target: 0.99, timeSliceTarget: 1, timeSliceWindow: 1m}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: export, displayName: Nightly export}
spec:
  description: 90 % of all exports succeed.
  service: shop
  indicator:
    metadata: {name: exports}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Prometheus, spec: {query: exports_failed_total}}}
        total: {metricSource: {type: Prometheus, spec: {query: exports_total}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.9}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: mail, displayName: Mail delivery}
spec:
  description: 99 % of all mails are delivered.
  service: mail
  indicator:
    metadata: {name: mails}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Prometheus, spec: {query: mails_bounced_total}}}
        total: {metricSource: {type: Prometheus, spec: {query: mails_total}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"""


def objectives(folder: Path, text: str = OBJECTIVES) -> list[Objective]:
    file = folder / "objectives.yml"
    file.write_text(text, encoding="utf-8")
    return load_objectives([file])


def counted(per_minute: Callable[[int], int], minutes: int) -> list[float]:
    """A counter's readings, the first before the first minute."""
    values, total = [0.0], 0
    for minute in range(minutes):
        total += per_minute(minute)
        values.append(float(total))
    return values


def daily(minute: int, most: int) -> int:
    """Traffic that follows the sun."""
    return int(most * (0.55 - 0.45 * math.cos(2 * math.pi * (minute % 1440 - 180) / 1440)))


def write_month(engine: Engine) -> None:
    """Everything that :data:`OBJECTIVES` asks for, one sample a minute; `mails_total` only in the last week."""
    minutes = DAYS * 1440
    times = [START + i * MINUTE for i in range(minutes + 1)]

    def checkouts_bad(m: int) -> int:
        share = 2 if 12_000 <= m < 12_070 else 8 if 31_000 <= m < 31_090 else 0
        return daily(m, 900) // share if share else (m % 97 == 0)

    def searches_slow(m: int) -> int:
        return daily(m, 2000) // 40 if m % 1440 in range(600, 900) or m >= minutes - 900 else daily(m, 2000) // 900

    series: list[tuple[str, dict[str, str], list[int], list[float]]] = [
        ("checkouts_total", {"code": "200"}, times, counted(lambda m: daily(m, 900) - checkouts_bad(m), minutes)),
        ("checkouts_total", {"code": "500"}, times, counted(checkouts_bad, minutes)),
        ("search_seconds_count", {}, times, counted(lambda m: daily(m, 2000), minutes)),
        ("search_seconds_bucket", {"le": "0.3"}, times,
         counted(lambda m: daily(m, 2000) - searches_slow(m), minutes)),
        ("logins_total", {"result": "ok"}, times, counted(lambda m: daily(m, 60), minutes)),
        ("logins_total", {"result": "error"}, times, counted(lambda m: m % 700 == 3, minutes)),
        ("queue_length", {}, times, [150.0 if 20_000 <= m < 20_050 else 20 + m % 13 for m in range(minutes + 1)]),
        ("exports_total", {}, times, counted(lambda m: m % 1440 == 60, minutes)),
        ("mails_total", {}, times[-10_080:], counted(lambda m: daily(m, 50), minutes)[-10_080:]),
    ]  # fmt: skip
    for name, labels, at, values in series:
        if name in ("search_seconds_count", "search_seconds_bucket", "queue_length"):  # a day without scrapes
            kept = [i for i in range(len(at)) if not 24_000 <= i < 25_700]
            at, values = [at[i] for i in kept], [values[i] for i in kept]
        engine.write([Samples(make_labels(name, **TARGET, **labels), at, values)])
