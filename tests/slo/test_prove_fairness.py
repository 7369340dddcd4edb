"""Rules that are right are not condemned for what rounding, intervals and groups do; those that only seem right are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from harness.engines.base import Engine
from harness.engines.process import ProcessEngine
from harness.errors import InputError, UnsupportedError
from harness.rules import load_rules
from harness.slo.compile.rules import compile_objectives
from harness.slo.compile.write import rules_yaml
from harness.slo.model import (
    BurnPair,
    Events,
    Indicator,
    Objective,
    RawRatio,
    Rolling,
    ThresholdIndicator,
    ThresholdOp,
    WindowPlacement,
)
from harness.slo.quality.findings import percents_apart, told_apart
from harness.slo.quality.incidents import HOUR_MS, MINUTE_MS, IncidentKind
from harness.slo.quality.prove import ObjectiveUnderTest, prove
from harness.slo.quality.results import ObjectiveQuality, QualityVerdict
from harness.slo.queries import grouped
from harness.slo.spec.windows import windows_of
from harness.slo.windows import pairs_of
from tests.slo.published_rules import pyrra, sloth
from tests.slo.quality_worlds import BAD_OF_ALL, PAGE, TICKET, at_ratios, compiled, measure, objective, of_kinds, query

DAY_MS = 86_400_000
SHORT_LIBRARY = of_kinds(IncidentKind.QUIET, IncidentKind.OUTAGE, IncidentKind.SPIKE, IncidentKind.GROUP)
QUIET = of_kinds(IncidentKind.QUIET)


@pytest.fixture(scope="module")
def engine(prometheus_path: Path) -> Iterator[Engine]:
    """Of this module's own, for every proof empties it."""
    with ProcessEngine(prometheus_path) as engine:
        yield engine


def _said(quality: ObjectiveQuality) -> list[tuple[str, QualityVerdict]]:
    return [(found.severity, verdict) for found in quality.severities for verdict, _ in found.findings]


# -- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [15, 30, 45, 90, 130, 300])
def test_rules_of_any_interval_are_as_meant(engine: Engine, tmp_path: Path, seconds: int) -> None:
    """45 s and 130 s are no whole number of half minutes: scrapes must still lie beside the ticks.

    A ratio 5 % above θ crosses it after 57 m 8.6 s, and 3 % after 28 m 48 s: a tick of 15 s must not wait for a scrape.
    """
    one = objective([PAGE])
    rules = rules_yaml(compile_objectives([one], interval_ms=seconds * 1000))
    constant, others = (
        at_ratios("1.512", "3"),
        of_kinds(IncidentKind.QUIET, IncidentKind.OUTAGE, IncidentKind.FLAPPING, IncidentKind.RESET),
    )
    quality = measure(engine, tmp_path, one, rules, lambda setting: [*constant(setting), *others(setting)])
    assert _said(quality) == []
    assert quality.interval_ms == seconds * 1000
    assert quality.severities[0].alerts


# -- rounding ----------------------------------------------------------------------------------------------------------


def test_a_threshold_is_held_to_one_part_in_a_billion(engine: Engine, tmp_path: Path) -> None:
    """5.7e-14 of θ is nothing; 1.4e-9 is another threshold, and is told with the digits that show it."""
    one = objective([PAGE])
    rules = compiled(one)
    assert rules.count("> 0.0144") == 2
    near = measure(engine, tmp_path, one, rules.replace("> 0.0144", "> 0.014400000000000822"), SHORT_LIBRARY)
    assert _said(near) == []
    off = measure(engine, tmp_path, one, rules.replace("> 0.0144", "> 0.01440000002"), SHORT_LIBRARY)
    assert _said(off) == [("page", QualityVerdict.OFF_THRESHOLD)]
    assert off.severities[0].findings[0][1] == "1h/5m × 14.4 fires from 1.440000002 % on, θ is 1.44 %"


UP = ThresholdIndicator(query("up", WindowPlacement.INSTANT), ThresholdOp.GTE, Fraction(1))
_BY_SLICES = """\
groups:
  - name: slices
    interval: 1m
    rules:
      - record: good
        expr: up >= bool 1
      - alert: Burns
        expr: 1 - avg_over_time(good[1h]) > 0.05 and 1 - avg_over_time(good[5m]) > 0.05
        labels: {severity: page, slo: requests}
"""


def test_a_share_that_rounds_below_the_threshold_is_none_either(engine: Engine, tmp_path: Path) -> None:
    """6 of 60 slices are 10 %, at which `gte` fires; 1 - 54/60 is 0.09999999999999998, and does not."""
    assert 1 - 54 / 60 < 0.1
    one = replace(objective([replace(PAGE, factor=Fraction(10), inclusive=True)], "0.99"), indicator=UP)
    rules = _BY_SLICES.replace("> 0.05", ">= 0.1")
    # An outage of six minutes, and one of six slices in the hour for two hours: the ratio stays at θ.
    library = at_ratios("10")
    quality = measure(engine, tmp_path, one, rules, lambda setting: [*library(setting), *SHORT_LIBRARY(setting)])
    assert _said(quality) == []
    assert quality.severities[0].thresholds[0].fires_at == Fraction(7, 60)


def test_a_share_that_rounds_over_the_threshold_is_no_other_threshold(engine: Engine, tmp_path: Path) -> None:
    """3 of 60 slices are 5 %, which does not burn; 1 - 57/60 is 0.050000000000000044, which does. Five are too many."""
    assert 1 - 57 / 60 > 0.05
    one = replace(objective([replace(PAGE, factor=Fraction(5))], "0.99"), indicator=UP)
    quality = measure(
        engine,
        tmp_path,
        one,
        _BY_SLICES,
        of_kinds(IncidentKind.QUIET, IncidentKind.OUTAGE, IncidentKind.SPIKE, IncidentKind.CONSTANT),
    )
    assert _said(quality) == []
    (threshold,) = quality.severities[0].thresholds
    assert (threshold.quiet_at, threshold.fires_at) == (Fraction(2, 60), Fraction(3, 60))
    late = measure(engine, tmp_path, one, _BY_SLICES.replace("0.05", "0.07"), QUIET)
    assert ("page", QualityVerdict.OFF_THRESHOLD) in _said(late)


def test_two_numbers_that_differ_are_told_with_the_digits_in_which_they_do() -> None:
    assert told_apart(990_000, 990_400) == ("16m30s", "16m30s400ms")
    assert told_apart(990_000, None) == ("16m30s", "never")
    assert told_apart(990_000, 990_000) == ("16m30s", "16m30s")
    assert percents_apart(Fraction("0.0144"), Fraction("0.014400000001")) == ("1.44 %", "1.4400000001 %")
    assert percents_apart(Fraction("0.5"), Fraction("0.05")) == ("50 %", "5 %")


def test_where_only_ticks_in_between_differ_they_are_counted(engine: Engine, tmp_path: Path) -> None:
    """A rule that pauses in the middle of an outage is detected and reset in time."""
    one = objective([PAGE])
    rules = re.sub(r"(> 0\.0144)$", r"\1 unless on () minute() == 30", compiled(one), flags=re.MULTILINE)
    quality = measure(engine, tmp_path, one, rules, of_kinds(IncidentKind.OUTAGE))
    reasons = [reason for verdict, reason in quality.severities[0].findings if verdict is QualityVerdict.OFF_TIME]
    assert all(" is detected after " in reason or "in between" in reason for reason in reasons)
    assert all(len(set(re.findall(r"after (\S+) \(the pairs: ([^)]+)\)", r)[0])) == 2 for r in reasons if "after" in r)


# -- groups ------------------------------------------------------------------------------------------------------------

_GROUPED = """\
groups:
  - name: rec
    rules:
      - record: burn5m
        expr: sum BY (rate(requests_total{code=~"5.."}[5m])) / sum BY (rate(requests_total[5m]))
      - record: burn1h
        expr: sum BY (rate(requests_total{code=~"5.."}[1h])) / sum BY (rate(requests_total[1h]))
      - alert: Burns
        expr: burn5m > 0.0144 and burn1h > 0.0144
        labels: {severity: page, slo: requests}
"""
ZONES = Events(
    query('requests_total{zone=~"a-1|b-2|c"}'), bad=query('requests_total{zone=~"a-1|b-2|c", code=~"5.."}')
)  # fmt: skip
BY_ZONE = Events(
    query("sum by (zone) (rate(requests_total[{{.window}}]))", WindowPlacement.WINDOWED),
    bad=query('sum by (zone) (rate(requests_total{code=~"5.."}[{{.window}}]))', WindowPlacement.WINDOWED),
)


@pytest.mark.parametrize(
    ("by", "indicator", "verdict", "why"),
    [
        ("", BAD_OF_ALL, None, ""),
        (
            "by (job)",
            BAD_OF_ALL,
            QualityVerdict.FALSE_ALERT,
            "the rules look at each group by job, the objective's budget",
        ),
        ("by (zone)", ZONES, QualityVerdict.FALSE_ALERT, "at each group by zone"),
        ("without (code)", BAD_OF_ALL, QualityVerdict.FALSE_ALERT, "the rules look at each group, the"),
        ("by (zone)", BY_ZONE, None, ""),
        ("", BY_ZONE, QualityVerdict.MISSED, "the objective has a budget for each group, the rules add them up"),
        ("", grouped(ZONES, ("zone",)), QualityVerdict.MISSED, "the objective has a budget for each group"),
    ],
    ids=[
        "over all",
        "by a free label",
        "by a matched label",
        "without",
        "objective by zone too",
        "only objective",
        "only objective, by a matched label of its annotation",
    ],
)
def test_rules_that_group_where_the_objective_does_not(
    engine: Engine, tmp_path: Path, by: str, indicator: Indicator, verdict: QualityVerdict | None, why: str
) -> None:
    one = objective([PAGE], indicator=indicator)
    quality = measure(
        engine, tmp_path, one, _GROUPED.replace("BY", by), of_kinds(IncidentKind.OUTAGE, IncidentKind.GROUP)
    )
    assert _said(quality) == ([] if verdict is None else [("page", verdict)])
    if verdict is not None:
        (reason,) = (reason for _, reason in quality.severities[0].findings)
        assert "one of 3 groups burns" in reason
        assert why in reason


def test_compiled_rules_of_a_grouped_objective_see_each_group(engine: Engine, tmp_path: Path) -> None:
    one = objective([PAGE], indicator=BY_ZONE)
    quality = measure(engine, tmp_path, one, compiled(one), of_kinds(IncidentKind.OUTAGE, IncidentKind.GROUP))
    assert _said(quality) == []
    (alone,) = (o for o in quality.severities[0].outcomes if o.incident.kind is IncidentKind.GROUP)
    assert alone.detected_ms == alone.policy_ms is not None
    assert alone.needed


# -- series ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        (["201"], ["500"], None),
        (["201", "204"], ["500"], "three good events and a bad one are 14.29 % errors to them, and not 25 %"),
        (["201"], ["404"], "bad events are 0 % errors to them, and not 100 %"),
        (["503"], ["500"], "good events are 100 % errors to them, and not 0 %"),
    ],
)
def test_the_series_annotation_is_what_the_queries_see(
    engine: Engine, tmp_path: Path, good: Sequence[str], bad: Sequence[str], said: str | None
) -> None:
    def listed(codes: Sequence[str]) -> str:
        return "".join(f'\n  - requests_total{{code="{code}"}}' for code in codes)

    one = replace(objective([PAGE]), annotations={"alert-harness/series": f"good:{listed(good)}\nbad:{listed(bad)}"})
    if said is None:
        assert _said(measure(engine, tmp_path, one, compiled(one), QUIET)) == []
        return
    with pytest.raises(InputError) as caught:
        measure(engine, tmp_path, one, compiled(one), QUIET)
    assert said in caught.value.message
    assert "each by one" in (caught.value.hint or "")


def test_stated_gauges_are_tried_too(engine: Engine, tmp_path: Path) -> None:
    one = replace(objective([PAGE], "0.99"), indicator=UP)
    wrong = replace(one, annotations={"alert-harness/series": "good: ['up 1']\nbad: ['up 2']"})
    with pytest.raises(InputError, match="what it calls `bad` is good to the objective's queries"):
        measure(engine, tmp_path, wrong, compiled(wrong), QUIET)
    wrong = replace(one, annotations={"alert-harness/series": "good: ['up']\nbad: ['up']"})
    with pytest.raises(InputError, match="its gauges need values"):
        measure(engine, tmp_path, wrong, compiled(wrong), QUIET)


GAUGES: dict[str, Indicator] = {
    "samples of samples": Events(
        query('sum(count_over_time(up{job="a"}[{{.window}}]))', WindowPlacement.WINDOWED),
        good=query('sum(sum_over_time(up{job="a"}[{{.window}}]))', WindowPlacement.WINDOWED),
    ),
    "a mean over time": RawRatio(query("avg_over_time(up[{{.window}}])", WindowPlacement.WINDOWED), is_error=False),
    "one less a mean": RawRatio(
        query("1 - avg_over_time(probe_success[{{.window}}])", WindowPlacement.WINDOWED), is_error=True
    ),
    "states in a subquery": Events(
        query("sum(count_over_time(satisfaction[{{.window}}:]))", WindowPlacement.WINDOWED),
        bad=query("sum(count_over_time((satisfaction <= 1)[{{.window}}:]))", WindowPlacement.WINDOWED),
    ),
    "a mean of targets": RawRatio(query('avg(up{job="a"})', WindowPlacement.INSTANT), is_error=False),
    "a threshold": ThresholdIndicator(query("up", WindowPlacement.INSTANT), ThresholdOp.GTE, Fraction(1)),
    "absent is down": ThresholdIndicator(
        query("count(up == 1) or vector(0)", WindowPlacement.INSTANT), ThresholdOp.GTE, Fraction(1)
    ),
    "events per sample": Events(
        query("jobs", WindowPlacement.GAUGE), good=query('jobs{ok="yes"}', WindowPlacement.GAUGE)
    ),
}


@pytest.mark.parametrize("name", GAUGES)
def test_gauges_get_series_by_themselves(engine: Engine, tmp_path: Path, name: str) -> None:
    """Their compiled rules are as meant, with gaps in the scrapes too."""
    one = replace(objective([PAGE], "0.99"), indicator=GAUGES[name])
    quality = measure(
        engine, tmp_path, one, compiled(one), of_kinds(IncidentKind.QUIET, IncidentKind.OUTAGE, IncidentKind.GAP)
    )
    assert _said(quality) == []
    assert quality.severities[0].alerts


def test_a_threshold_on_counters_is_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    indicator = ThresholdIndicator(
        query("sum(rate(errors_total[5m]))", WindowPlacement.INSTANT), ThresholdOp.LT, Fraction(1)
    )
    one = replace(objective([PAGE], "0.99"), indicator=indicator)
    with pytest.raises(UnsupportedError, match="its threshold is one on how fast counters grow"):
        measure(engine, tmp_path, one, compiled(one), QUIET)


# -- policies and periods ----------------------------------------------------------------------------------------------


def test_a_condition_of_gte_is_held_to_its_own_threshold(engine: Engine, tmp_path: Path) -> None:
    one = objective([BurnPair("page", HOUR_MS, None, Fraction(4), inclusive=True)])
    assert ">= 0.004" in compiled(one)
    assert _said(measure(engine, tmp_path, one, compiled(one), SHORT_LIBRARY)) == []


@pytest.mark.parametrize(("days", "windows"), [(1, "workbook"), (7, "workbook"), (7, "pyrra"), (90, "pyrra")])
def test_scaled_windows_are_as_meant(engine: Engine, tmp_path: Path, days: int, windows: str) -> None:
    one = replace(objective([]), period=Rolling(days * DAY_MS))
    one = replace(one, alerting=replace(one.alerting, pairs=None))
    pairs = tuple(pair for pair in pairs_of(one, windows_of(windows)) if pair.severity == "page")
    one = replace(one, alerting=replace(one.alerting, pairs=pairs))
    quality = measure(engine, tmp_path, one, compiled(one), SHORT_LIBRARY)
    assert _said(quality) == []
    assert quality.severities[0].alerts


# -- as pyrra and sloth publish theirs ---------------------------------------------------------------------------------

_ERRORS = (
    'sum(rate(http_requests_total{job="web",code=~"5.."}[RANGE])) / sum(rate(http_requests_total{job="web"}[RANGE]))'
)
_SLOW = (
    '(sum(rate(http_seconds_count{job="web"}[RANGE])) - sum(rate(http_seconds_bucket{job="web",le="1"}[RANGE])))'
    ' / sum(rate(http_seconds_count{job="web"}[RANGE]))'
)
PUBLISHED: dict[str, tuple[str, str, Events, str]] = {
    # (name, target, indicator, rules)
    "pyrra, errors": (
        "web-errors", "0.99",
        Events(query('http_requests_total{job="web"}'), bad=query('http_requests_total{job="web",code=~"5.."}')),
        pyrra("web-errors", "http_requests", _ERRORS, "0.99"),
    ),
    "pyrra, latency": (
        "web-latency", "0.995",
        Events(query('http_seconds_count{job="web"}'), good=query('http_seconds_bucket{job="web",le="1"}')),
        pyrra("web-latency", "http_seconds", _SLOW, "0.995"),
    ),
    "sloth, events": (
        "requests", "0.999",
        Events(query('http_requests_total{job="web"}'), bad=query('http_requests_total{job="web",code=~"5.."}')),
        sloth("api", "requests", f"({_ERRORS})", "0.9990000000000001", "0.0009999999999999432"),
    ),
    "sloth, latency": (
        "latency", "0.999",
        Events(query('http_seconds_count{job="web"}'), good=query('http_seconds_bucket{job="web",le="1"}')),
        sloth("api", "latency", f"({_SLOW})", "0.9990000000000001", "0.0009999999999999432"),
    ),
}  # fmt: skip


def _published(name: str, rules: str, tmp_path: Path) -> ObjectiveUnderTest:
    called, target, indicator, _ = PUBLISHED[name]
    one: Objective = objective([], target, indicator, name=called)
    days = 28 if name.startswith("pyrra") else 30
    one = replace(one, period=Rolling(days * DAY_MS), alerting=replace(one.alerting, pairs=None))
    path = tmp_path / "rules.yml"
    path.write_text(f"groups:\n{rules}", encoding="utf-8")
    return ObjectiveUnderTest(
        one, pairs_of(one, windows_of(name[:5] if days == 28 else "workbook")), tuple(load_rules([path]))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_rule_sets_as_they_are_published_are_as_meant(engine: Engine, tmp_path: Path, name: str) -> None:
    """The whole library: pyrra's 28 days in groups of 30 s, sloth's 30 days at 99.9 %."""
    (quality,) = prove([_published(name, PUBLISHED[name][3], tmp_path)], engine)
    assert _said(quality) == []
    assert quality.interval_ms == (30_000 if name.startswith("pyrra") else MINUTE_MS)
    assert {found.severity for found in quality.severities} == {"page", "ticket"}
    assert all(threshold.exact for found in quality.severities for threshold in found.thresholds)


FAULTS = {
    "pyrra, errors": (r"\(7 \* \(1-0\.99\)\)", "(6 * (1-0.99))", QualityVerdict.OFF_THRESHOLD, QUIET),
    # 5 % is between the two pages, so the second is the first to fire, after 4h12m and its `for`.
    "pyrra, latency": (r"for: 15m0s", "for: 45m0s", QualityVerdict.OFF_TIME, at_ratios("5")),
    "sloth, events": (
        r"sum\(rate\(http",
        "sum by (pod) (rate(http",
        QualityVerdict.FALSE_ALERT,
        of_kinds(IncidentKind.GROUP),
    ),
    "sloth, latency": (
        r'le="1"',
        'le="2"',
        QualityVerdict.NEVER_FIRES,
        of_kinds(IncidentKind.OUTAGE, IncidentKind.SPIKE),
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name.startswith("pyrra") else []) for name in FAULTS]
)
def test_a_fault_in_a_published_rule_set_is_found(engine: Engine, tmp_path: Path, name: str) -> None:
    """In a library in which the unbroken rules are as meant."""
    pattern, text, verdict, library = FAULTS[name]
    rules = PUBLISHED[name][3]
    broken = re.sub(pattern, text, rules)
    assert broken != rules
    for tried, expected in ((rules, None), (broken, verdict)):
        subject = _published(name, tried, tmp_path)
        pages = replace(subject, pairs=tuple(pair for pair in subject.pairs if pair.severity == "page"))
        (quality,) = prove([pages], engine, incidents=library)
        found = {one for _, one in _said(quality)}
        assert expected in found if expected else not found, quality.severities[0].findings


def test_a_ticket_that_groups_is_found_in_its_own_world(engine: Engine, tmp_path: Path) -> None:
    one = objective([PAGE, TICKET])
    rules = compiled(one)
    grouped = re.sub(r"sum\(rate\((requests_total[^)]*)\[(2h|1d)\]\)\)", r"sum by (pod) (rate(\1[\2]))", rules)
    assert grouped != rules
    quality = measure(engine, tmp_path, one, grouped, of_kinds(IncidentKind.GROUP))
    assert _said(quality) == [("ticket", QualityVerdict.FALSE_ALERT)]
