"""Alert quality on a real Prometheus: good rules are as meant, to tick and double; every broken rule is caught."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from harness.engines.base import Engine
from harness.engines.process import ProcessEngine
from harness.errors import InputError, UnsupportedError
from harness.slo import closedform
from harness.slo.model import BurnPair, Events, WindowPlacement
from harness.slo.quality.incidents import MINUTE_MS, IncidentKind
from harness.slo.quality.results import QualityVerdict
from tests.slo.quality_worlds import (
    GOOD_OF_ALL,
    PAGE,
    SLOW_PAGE,
    SLOW_TICKET,
    STREAMS,
    TICKET,
    at_ratios,
    compiled,
    measure,
    objective,
    of_kinds,
    query,
)

TICK_MS = 60_000
TWO = (PAGE, TICKET)
SHORT_LIBRARY = of_kinds(IncidentKind.QUIET, IncidentKind.OUTAGE, IncidentKind.SPIKE, IncidentKind.FLAPPING)


@pytest.fixture(scope="module")
def engine(prometheus_path: Path) -> Iterator[Engine]:
    """Of this module's own, for every proof empties it."""
    with ProcessEngine(prometheus_path) as engine:
        yield engine


# -- rules that are right ----------------------------------------------------------------------------------------------


@pytest.mark.sampled(3)
@pytest.mark.parametrize("pair", [PAGE, SLOW_PAGE, TICKET, SLOW_TICKET], ids=lambda pair: pair.label)
@pytest.mark.parametrize("hold_ms", [0, 2 * MINUTE_MS], ids=["no for", "for 2m"])
def test_each_pair_is_detected_and_reset_by_the_closed_form(
    engine: Engine, tmp_path: Path, pair: BurnPair, hold_ms: int
) -> None:
    """Over ratios from below θ, where nothing fires, to 100 %; the closed form is rounded up to a tick."""
    pair = BurnPair(pair.severity, pair.long_ms, pair.short_ms, pair.factor, hold_ms)
    theta = pair.threshold(Fraction(99, 100)) * 100
    ratios = {str(theta * Fraction(n, 100)) for n in (95, 105, 170)} | {"33", "71.3", "100"}
    one = objective([pair], "0.99")
    quality = measure(engine, tmp_path, one, compiled(one), at_ratios(*sorted(ratios)))
    (found,) = quality.severities
    assert found.findings == ()
    detected = 0
    for outcome in found.constant():
        ratio = outcome.incident.ratio
        assert ratio is not None
        theory = closedform.detection_ms(pair, one.target, ratio)
        reset = closedform.reset_ms(pair, one.target, ratio)
        if theory is None:
            assert outcome.detected_ms is None
            assert outcome.alerts == 0
            continue
        detected += 1
        assert outcome.detected_ms is not None
        assert outcome.reset_ms is not None
        assert reset is not None
        assert abs(outcome.detected_ms - -(-theory // TICK_MS) * TICK_MS) <= TICK_MS
        assert abs(outcome.reset_ms - -(-reset // TICK_MS) * TICK_MS) <= TICK_MS
        burn_rate = ratio / (1 - one.target)
        spent = burn_rate * theory / one.period.nominal_ms
        assert outcome.budget_at_detection is not None
        # One tick of budget at this ratio is the most that whole ticks can add, and scrapes take away.
        tick = burn_rate * TICK_MS / one.period.nominal_ms
        assert abs(outcome.budget_at_detection - spent) <= 2 * tick
    assert detected == 5
    (threshold,) = found.thresholds
    assert threshold.exact
    assert threshold.quiet_at is not None
    assert threshold.fires_at is not None
    assert threshold.quiet_at < threshold.fires_at
    assert float(threshold.fires_at) == pytest.approx(float(theta / 100), rel=1e-13)


def test_the_compiled_page_is_as_meant_in_every_kind_of_incident(engine: Engine, tmp_path: Path) -> None:
    one = objective([PAGE])
    quality = measure(engine, tmp_path, one, compiled(one), of_kinds(*(set(IncidentKind) - {IncidentKind.CONSTANT})))
    (page,) = quality.severities
    assert page.findings == ()
    by_name = {outcome.incident.name: outcome for outcome in page.outcomes}
    assert by_name["no errors"].alerts == 0
    assert by_name["deploys within budget"].alerts == 0
    assert by_name["spike within every pair's share, 5m"].alerts == 0
    assert by_name["spike beyond a share, 5m"].alerts == 1
    night = by_name["50 % errors for an hour at night"]
    assert (night.needed, night.alerts, night.false_alerts, night.policy_false_alerts) == (False, 1, 1, 1)
    assert page.missed == 0
    assert page.recall == 1
    assert page.precision == 1 - Fraction(1, page.alerts)


def test_good_events_of_all_and_slices_of_time(engine: Engine, tmp_path: Path) -> None:
    latency = objective([PAGE], "0.99", GOOD_OF_ALL)
    streams = objective([PAGE], "0.99", STREAMS)
    for one in (latency, streams):
        quality = measure(engine, tmp_path, one, compiled(one), SHORT_LIBRARY)
        (page,) = quality.severities
        assert page.findings == (), one.indicator
        assert page.alerts
    (threshold,) = page.thresholds  # 14.4 % of 60 slices are 8.64
    assert (threshold.quiet_at, threshold.fires_at) == (Fraction(8, 60), Fraction(9, 60))


def test_a_traffic_floor_keeps_one_failed_event_quiet(engine: Engine, tmp_path: Path) -> None:
    one = objective([PAGE], min_events=100)
    quality = measure(engine, tmp_path, one, compiled(one), of_kinds(IncidentKind.LOW_TRAFFIC, IncidentKind.OUTAGE))
    by_name = {o.incident.name: o for o in quality.severities[0].outcomes}
    assert by_name["one failed event of 6 in an hour"].alerts == 0
    assert by_name["total outage of 10m"].alerts == 1


# -- rules that others made --------------------------------------------------------------------------------------------

_SLOTH = """\
  - name: sloth-slo-sli-recordings-api-{name}
    rules:
      - record: slo:sli_error:ratio_rate5m
        expr: (sum(rate({metric}{{code=~"5.."}}[5m]))) / (sum(rate({metric}[5m])))
        labels: {{sloth_id: api-{name}, sloth_window: 5m}}
      - record: slo:sli_error:ratio_rate1h
        expr: (sum(rate({metric}{{code=~"5.."}}[1h]))) / (sum(rate({metric}[1h])))
        labels: {{sloth_id: api-{name}, sloth_window: 1h}}
  - name: sloth-slo-alerts-api-{name}
    rules:
      - alert: Burn
        expr: |
          max(slo:sli_error:ratio_rate5m{{sloth_id="api-{name}"}} > (14.4 * 0.001)) without (sloth_window)
          and
          max(slo:sli_error:ratio_rate1h{{sloth_id="api-{name}"}} > (14.4 * 0.001)) without (sloth_window)
        labels: {{sloth_severity: page}}
"""


def test_rules_of_sloths_shape_with_two_objectives_in_a_file(engine: Engine, tmp_path: Path) -> None:
    rules = "groups:\n" + _SLOTH.format(name="other", metric="other_total")
    rules += _SLOTH.format(name="requests", metric="requests_total")
    for name, metric in (("requests", "requests_total"), ("other", "other_total")):
        indicator = Events(query(metric), bad=query(f'{metric}{{code=~"5.."}}'))
        one = objective([PAGE], indicator=indicator, name=name)
        quality = measure(engine, tmp_path, one, rules, SHORT_LIBRARY)
        assert quality.as_meant, quality.severities[0].findings
        assert quality.severities[0].thresholds[0].exact


_BY_HAND = """\
groups:
  - name: by-hand
    rules:
      - alert: Burns
        expr: |
          (
            sum(rate(requests_total{code=~"5..", env="prod"}[1h])) / sum(rate(requests_total{env="prod"}[1h])) > 0.0144
            and
            sum(rate(requests_total{code=~"5..", env="prod"}[5m])) / sum(rate(requests_total{env="prod"}[5m])) > 0.0144
          ) or (
            sum(rate(requests_total{code=~"5..", env="prod"}[6h])) / sum(rate(requests_total{env="prod"}[6h])) > 0.006
            and
            sum(rate(requests_total{code=~"5..", env="prod"}[30m])) / sum(rate(requests_total{env="prod"}[30m])) > 0.006
          )
        labels: {severity: critical}
"""


def test_rules_by_hand_without_a_recording_rule(engine: Engine, tmp_path: Path) -> None:
    """Found by what they read; their own matchers are met; both sides of `or` are searched apart."""
    one = objective([PAGE, SLOW_PAGE])
    quality = measure(engine, tmp_path, one, _BY_HAND, SHORT_LIBRARY)
    (page,) = quality.severities
    assert page.findings == ()
    assert [(t.pair.label, t.exact) for t in page.thresholds] == [("1h/5m", True), ("6h/30m", True)]
    assert 'env="prod"' in quality.series["bad"][0]


_PYRRA = """\
groups:
  - name: requests
    rules:
      - record: requests:burnrate5m
        expr: sum(rate(requests_total{code=~"5.."}[5m])) / sum(rate(requests_total[5m]))
        labels: {slo: requests}
      - record: requests:burnrate1h
        expr: sum(rate(requests_total{code=~"5.."}[1h])) / sum(rate(requests_total[1h]))
        labels: {slo: requests}
      - alert: ErrorBudgetBurn
        expr: |
          requests:burnrate5m{slo="requests"} > (14 * (1-0.999))
            and requests:burnrate1h{slo="requests"} > (14 * (1-0.999))
        for: 2m
        labels: {severity: critical, slo: requests}
      - alert: SLOMetricAbsent
        expr: absent(requests_total) == 1
        for: 2m
        labels: {severity: critical, slo: requests}
"""


def test_rules_of_pyrras_shape_by_pyrras_pairs(engine: Engine, tmp_path: Path) -> None:
    pyrras = replace(PAGE, factor=Fraction(14), hold_ms=2 * MINUTE_MS)
    quality = measure(engine, tmp_path, objective([pyrras]), _PYRRA, SHORT_LIBRARY)
    assert quality.severities[0].findings == ()
    assert quality.severities[0].rules == ("ErrorBudgetBurn",)  # absent data are no burn
    # By the workbook's pairs, of which one is missing, they are something else; and the missing one is named.
    quality = measure(engine, tmp_path, objective([PAGE, SLOW_PAGE]), _PYRRA, SHORT_LIBRARY)
    (page,) = quality.severities
    assert [threshold.exact for threshold in page.thresholds] == [False, False]
    assert page.thresholds[0].fires_at == pytest.approx(0.014)
    said = " ".join(reason for _, reason in page.findings)
    assert "6h/30m × 6 is not in the rules" in said
    # A pair of days looks back further than these rules do, and must find healthy days there all the same.
    quality = measure(engine, tmp_path, objective([PAGE, SLOW_TICKET]), _PYRRA, of_kinds(IncidentKind.SPIKE))
    assert [(found.severity, found.needed) for found in quality.severities] == [("page", 1), ("ticket", 0)]
    assert all(outcome.policy_ms is None for outcome in quality.severities[1].outcomes)


# -- rules that are broken ---------------------------------------------------------------------------------------------


def _sub(pattern: str, text: str) -> Callable[[str], str]:
    def change(rules: str) -> str:
        changed, times = re.subn(pattern, text, rules, flags=re.DOTALL)
        assert times, f"nothing to break: {pattern}"
        return changed

    return change


def _swapped(rules: str) -> str:
    return rules.replace("severity: page", "severity: X").replace("severity: ticket", "severity: page").replace(
        "severity: X", "severity: ticket"
    )  # fmt: skip


BROKEN = {
    "wrong factor": (_sub(r"> 0\.0144\b", "> 0.0136"), QualityVerdict.OFF_THRESHOLD),
    "wrong budget": (_sub(r"> 0\.0", "> 0.00"), QualityVerdict.OFF_THRESHOLD),
    "threshold in percent": (_sub(r"> 0\.0144\b", "> 1.44"), QualityVerdict.NEVER_FIRES),
    "short window dropped": (_sub(r"ratio_rate5m(\{[^}]*\} > 0\.0144)", r"ratio_rate1h\1"), QualityVerdict.OFF_TIME),
    "long window dropped": (_sub(r"ratio_rate1h(\{[^}]*\} > 0\.0144)", r"ratio_rate5m\1"), QualityVerdict.FALSE_ALERT),
    "or for and": (_sub(r"and ignoring \(sloth_window\)", "or ignoring (sloth_window)"), QualityVerdict.FALSE_ALERT),
    "severities swapped": (_swapped, QualityVerdict.OFF_THRESHOLD),
    "a hold": (_sub(r"(labels:\n {10}[^\n]*slo_windows)", r"for: 10m\n        \1"), QualityVerdict.MISSED),
    "ticket missing": (_sub(r"sloth_severity: ticket", "sloth_severity: page"), QualityVerdict.NO_ALERT),
    "inverted": (_sub(r"(ratio_rate(?:5m|1h)\{[^}]*\}) > 0\.0144", r"\1 < 0.0144"), QualityVerdict.OFF_THRESHOLD),
    "errors of 4xx": (_sub(r'5\.\.', "4.."), QualityVerdict.NEVER_FIRES),
}  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_caught(engine: Engine, tmp_path: Path, name: str) -> None:
    change, expected = BROKEN[name]
    one = objective(TWO)
    whole = compiled(one)
    quality = measure(engine, tmp_path, one, change(whole), SHORT_LIBRARY)
    assert not quality.as_meant
    verdicts = {verdict for found in quality.severities for verdict, _ in found.findings}
    assert expected in verdicts, [found.findings for found in quality.severities]


def test_the_same_rules_unbroken_are_as_meant(engine: Engine, tmp_path: Path) -> None:
    one = objective(TWO)
    quality = measure(engine, tmp_path, one, compiled(one), SHORT_LIBRARY)
    assert quality.as_meant
    assert {found.severity for found in quality.severities} == {"page", "ticket"}


def test_a_pair_that_can_never_fire_is_said_so(engine: Engine, tmp_path: Path) -> None:
    """90 % × 14.4: the model refuses it where it is defined; of rules that others made it is a finding."""
    one = objective([PAGE], "0.9")
    rules = _BY_HAND.replace("0.0144", "1.44")
    quality = measure(engine, tmp_path, one, rules, of_kinds(IncidentKind.OUTAGE))
    (page,) = quality.severities
    assert page.verdict is QualityVerdict.UNREACHABLE
    assert "1h/5m × 14.4 can never fire: θ is 144 %" in page.findings[0][1]


# -- series ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indicator", "good", "bad"),
    [
        (
            Events(query("sum(hits_total)"), bad=query('sum(hits_total) - sum(hits_total{code!~"5..|429"})')),
            ['hits_total{code="200"}'],
            ["hits_total{}"],
        ),
        (
            Events(
                query(
                    "sum(increase(ok_total[{{.window}}])) + sum(increase(failed_total[{{.window}}]))",
                    WindowPlacement.WINDOWED,
                ),
                bad=query("sum(increase(failed_total[{{.window}}]))", WindowPlacement.WINDOWED),
            ),
            ["ok_total{}"],
            ["failed_total{}"],
        ),
        (GOOD_OF_ALL, ["latency_seconds_count{}", 'latency_seconds_bucket{le="0.5"}'], ["latency_seconds_count{}"]),
    ],
)
def test_series_are_derived_from_queries(
    engine: Engine, tmp_path: Path, indicator: Events, good: list[str], bad: list[str]
) -> None:
    one = objective([PAGE], indicator=indicator)
    quality = measure(engine, tmp_path, one, compiled(one), of_kinds(IncidentKind.QUIET))
    assert len(quality.series["good"]) == len(good)
    assert len(quality.series["bad"]) == len(bad)
    names = [re.match(r"\w+", text) for text in (*quality.series["good"], *quality.series["bad"])]
    assert [name and name[0] for name in names] == [text.partition("{")[0] for text in (*good, *bad)]


def test_what_cannot_be_derived_is_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    odd = Events(query("hits_total"), bad=query('hits_total{code="500"} + hits_total{code="500"}'))
    with pytest.raises(UnsupportedError, match="the series of `requests` cannot be derived") as caught:
        measure(engine, tmp_path, one := objective([PAGE], indicator=odd), compiled(one), of_kinds(IncidentKind.QUIET))
    assert "alert-harness/series" in (caught.value.hint or "")


def test_series_can_be_stated(engine: Engine, tmp_path: Path) -> None:
    stated = {"alert-harness/series": "good: ['hits_total{code=\"201\"}']\nbad: ['hits_total{code=\"500\"}']"}
    one = replace(objective([PAGE]), annotations=stated)
    indicator = Events(query("hits_total"), bad=query('hits_total{code="500"}'))
    one = replace(one, indicator=indicator)
    quality = measure(engine, tmp_path, one, compiled(one), SHORT_LIBRARY)
    assert quality.as_meant
    assert quality.series == {"good": ['hits_total{code="201"}'], "bad": ['hits_total{code="500"}']}
    gauges = replace(
        objective([PAGE], "0.99", STREAMS),
        annotations={"alert-harness/series": "good: ['streams{job=\"api\"} 7']\nbad: ['streams{job=\"api\"} 0']"},
    )
    quality = measure(engine, tmp_path, gauges, compiled(gauges), of_kinds(IncidentKind.OUTAGE))
    assert quality.as_meant
    assert quality.series["good"] == ['streams{job="api"} 7']


def test_an_alert_of_two_objectives_is_refused(engine: Engine, tmp_path: Path) -> None:
    from harness.replay import Replay
    from harness.rules import load_rules
    from harness.slo.quality.rules import alerts_of

    path = tmp_path / "rules.yml"
    path.write_text(_BY_HAND, encoding="utf-8")
    files = load_rules([path])
    first, second = objective([PAGE]), objective([PAGE], name="twin")
    with pytest.raises(InputError, match="`Burns` could speak of `requests`, `twin`"):
        alerts_of(first, [first, second], files, Replay(engine, files))


# -- the command -------------------------------------------------------------------------------------------------------

_DOCUMENT = """\
version: prometheus/v1
service: api
slos:
  - name: requests
    objective: {target}
    sli:
      events:
        error_query: sum(rate(requests_total{{code=~"5.."}}[{{{{.window}}}}]))
        total_query: sum(rate(requests_total[{{{{.window}}}}]))
    alerting: {{}}
"""


def _run(folder: Path, *arguments: str) -> int:
    from harness.cli import main

    return main(["--config", str(folder / "alert-harness.toml"), "slo", "prove", str(folder / "slo.yml"), *arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "alert-harness.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_refuses_alerts_that_can_never_fire(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """10 % × 14.4 and × 6."""
    (folder / "slo.yml").write_text(
        _DOCUMENT.format(target=10).replace("{}", "{ticket_alert: {disable: true}}"), encoding="utf-8"
    )
    assert _run(folder) == 2
    assert "can never fire" in capsys.readouterr().err


def test_the_command_names_the_near_miss(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "slo.yml").write_text(_DOCUMENT.format(target=99), encoding="utf-8")
    assert _run(folder, "--objective", "request") == 2
    assert "no objective is named `request` (did you mean `requests`?)" in capsys.readouterr().err


def test_of_rules_that_others_made_it_is_a_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rule set has one alert, which no error ratio can make fire."""
    (folder / "slo.yml").write_text(
        _DOCUMENT.format(target=90).replace("{}", "{ticket_alert: {disable: true}}"), encoding="utf-8"
    )
    (folder / "rules.yml").write_text(_BY_HAND.replace("0.0144", "1.44").replace("0.006", "0.6"), encoding="utf-8")
    assert _run(folder, "--rules", "rules.yml") == 1
    shown = capsys.readouterr().out
    assert "1h/5m × 14.4 can never fire: θ is 144 %, and no error ratio is above 100 %" in shown
    assert "unreachable pair" in shown


@pytest.mark.slow
def test_the_whole_command_over_the_whole_library(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "slo.yml").write_text(_DOCUMENT.format(target=99.9), encoding="utf-8")
    assert _run(folder, "--json", "-", "--picture", "quality.svg") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["summary"] == {"as_meant": 2, "total": 2}
    assert (folder / "quality.svg").read_text(encoding="utf-8").startswith("<svg")
