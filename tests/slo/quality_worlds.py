"""What the tests of alert quality share: objectives made on the spot, their compiled rules, and short libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from harness.engines.base import Engine
from harness.errors import Span
from harness.rules import load_rules
from harness.slo.compile.rules import compile_objectives
from harness.slo.compile.write import rules_yaml
from harness.slo.model import (
    DAY_MS,
    Alerting,
    BurnPair,
    Events,
    Indicator,
    IndicatorQuery,
    Objective,
    Rolling,
    ThresholdIndicator,
    ThresholdOp,
    Timeslices,
    WindowPlacement,
)
from harness.slo.quality.incidents import HOUR_MS, MINUTE_MS, Incident, IncidentKind, LibrarySetting, constant, library
from harness.slo.quality.prove import ObjectiveUnderTest, prove
from harness.slo.quality.results import ObjectiveQuality, SeverityQuality
from harness.source import Text

PAGE = BurnPair("page", HOUR_MS, 5 * MINUTE_MS, Fraction("14.4"))
SLOW_PAGE = BurnPair("page", 6 * HOUR_MS, 30 * MINUTE_MS, Fraction(6))
TICKET = BurnPair("ticket", DAY_MS, 2 * HOUR_MS, Fraction(3))
SLOW_TICKET = BurnPair("ticket", 3 * DAY_MS, 6 * HOUR_MS, Fraction(1))


def query(text: str, reading: WindowPlacement = WindowPlacement.COUNTER) -> IndicatorQuery:
    return IndicatorQuery.of(Text(text, Span("objective.yml", 1, 1)), reading)


BAD_OF_ALL = Events(query("requests_total"), bad=query('requests_total{code=~"5.."}'))
GOOD_OF_ALL = Events(query("latency_seconds_count"), good=query('latency_seconds_bucket{le="0.5"}'))
STREAMS = ThresholdIndicator(
    query('sum(streams{job="api"}) or 0 * count(up{job="api"})', WindowPlacement.INSTANT), ThresholdOp.GT, Fraction(0)
)


def objective(
    pairs: Sequence[BurnPair],
    target: str = "0.999",
    indicator: Indicator = BAD_OF_ALL,
    *,
    name: str = "requests",
    min_events: int = 0,
) -> Objective:
    made = Objective(
        name, "api", Fraction(target), Rolling(30 * DAY_MS), indicator,
        alerting=Alerting(pairs=tuple(pairs), min_events=min_events),
    )  # fmt: skip
    return (
        replace(made, budgeting=Timeslices(Fraction(1), MINUTE_MS))
        if isinstance(indicator, ThresholdIndicator)
        else made
    )


def compiled(one: Objective) -> str:
    return rules_yaml(compile_objectives([one]))


def measure(
    engine: Engine,
    folder: Path,
    one: Objective,
    rules: str,
    incidents: Callable[[LibrarySetting], Sequence[Incident]],
) -> ObjectiveQuality:
    """One objective with rules given as text."""
    path = folder / "rules.yml"
    path.write_text(rules, encoding="utf-8")
    pairs = one.alerting.pairs
    assert pairs is not None
    (quality,) = prove([ObjectiveUnderTest(one, pairs, tuple(load_rules([path])))], engine, incidents=incidents)
    return quality


def severity(quality: ObjectiveQuality, name: str) -> SeverityQuality:
    return next(found for found in quality.severities if found.severity == name)


def of_kinds(*kinds: IncidentKind) -> Callable[[LibrarySetting], list[Incident]]:
    return lambda setting: [incident for incident in library(setting) if incident.kind in kinds]


def at_ratios(*ratios: str) -> Callable[[LibrarySetting], list[Incident]]:
    """Constant error ratios, in percent."""
    return lambda setting: [constant(setting, Fraction(ratio) / 100) for ratio in ratios]
