"""What the tests of objectives share: documents as text, and compiled rules played over raw series on a real engine."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.engines import Engine, Samples, make_labels
from harness.series import STALE
from harness.slo import Objective, load_objectives
from harness.slo.compile.rules import CompiledGroup, CompiledRule

MINUTE_MS = 60_000
START_MS = 1_600_000_020_000
"""A whole minute."""
_NUMBERS = itertools.count()

OPENSLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: {name}
spec:
  service: shop
  indicator:
    metadata: {{name: requests}}
    spec:
{indicator}
  timeWindow:
    - {window}
  budgetingMethod: {method}
  objectives:
    - {goal}
"""

RATIO = """\
      ratioMetric:
        counter: true
        {part}: {{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}
        total: {{metricSource: {{type: Prometheus, spec: {{query: '{total}'}}}}}}"""

THRESHOLD = """\
      thresholdMetric: {{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}"""


def unique() -> str:
    """A name that no other test of this run has on a shared engine."""
    return f"t{next(_NUMBERS)}"


def ratio(part: str = "bad", query: str = 'errors_total{job="shop"}', total: str = 'requests_total{job="shop"}') -> str:
    return RATIO.format(part=part, query=query, total=total)


def document(
    name: str = "answers",
    indicator: str | None = None,
    window: str = "{duration: 30d, isRolling: true}",
    method: str = "Occurrences",
    goal: str = "{target: 0.999}",
    policies: Sequence[tuple[str, str]] = (),
) -> str:
    """An OpenSLO document; `policies` are (burn rate, lookback window) of severity page."""
    text = OPENSLO.format(
        name=name, indicator=ratio() if indicator is None else indicator, window=window, method=method, goal=goal
    )
    if policies:
        text += "  alertPolicies:\n"
    for i, (factor, lookback) in enumerate(policies):
        text += f"""\
    - kind: AlertPolicy
      metadata: {{name: policy-{i}}}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {{name: condition-{i}}}
            spec:
              severity: page
              condition: {{kind: burnrate, threshold: {factor}, lookbackWindow: {lookback}, alertAfter: 0m}}
"""
    return text


def read(tmp_path: Path, *texts: str, name: str = "slo.yml") -> list[Objective]:
    """The objectives of documents, in one file."""
    file = tmp_path / name
    file.write_text("---\n".join(texts), encoding="utf-8")
    return load_objectives([file])


def write_series(engine: Engine, name: str, labels: Mapping[str, str], points: Mapping[int, float]) -> None:
    """A raw series: milliseconds after START_MS → value."""
    times = sorted(points)
    engine.write([Samples(make_labels(name, **labels), [START_MS + at for at in times], [points[at] for at in times])])


def play(engine: Engine, group: CompiledGroup, minutes: int, start_ms: int = START_MS) -> None:
    """Every recording rule at every tick, in order, written back as Prometheus' rule manager would."""
    for rule in group.rules:
        if not rule.is_alert:
            _record(engine, rule, group.interval_ms, minutes, start_ms)


def _record(engine: Engine, rule: CompiledRule, interval_ms: int, minutes: int, start_ms: int) -> None:
    made = []
    for series in engine.query_range(rule.expr, start_ms, start_ms + minutes * MINUTE_MS, interval_ms):
        points = dict(zip(series.timestamps_ms, series.values, strict=True))
        ends = {at + interval_ms: STALE for at in points if at + interval_ms not in points}
        everything = {**points, **ends}
        labels = {k: v for k, v in series.metric.items() if k != "__name__"}
        times = sorted(everything)
        name = make_labels(rule.name, **{**labels, **rule.labels})
        made.append(Samples(name, times, [everything[at] for at in times]))
    engine.write(made)


def ticks(engine: Engine, expr: str, minutes: int, start_ms: int = START_MS) -> dict[int, float]:
    """Tick (in minutes) → value of an expression that returns at most one series."""
    found = engine.query_range(expr, start_ms, start_ms + minutes * MINUTE_MS, MINUTE_MS)
    assert len(found) <= 1, found
    return {
        (at - start_ms) // MINUTE_MS: value
        for series in found
        for at, value in zip(series.timestamps_ms, series.values, strict=True)
    }
