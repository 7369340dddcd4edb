"""Rules under other settings of Prometheus than its defaults: proved as that Prometheus runs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.prometheus import DEFAULTS, ServerSettings
from harness.proof import Proof, Verdict
from harness.proof.checked import check_rule_files
from harness.proof.model import AlertResult
from harness.replay import AlertState
from harness.rules import load_rules
from tests.needs import binary_of

RULES = """\
groups:
  - name: g
    rules:
      # Seven samples of a 20 s step, two or three of a minute's: only with that step the limit is 5.
      - alert: Hot
        expr: sum_over_time(temp[2m10s:]) > 35
        for: 1m
        annotations: {summary: "hot in {{ $externalLabels.cluster }}"}
      - alert: Gone
        expr: absent(up{job="api"})
  - name: experimental
    rules:
      - {alert: Odd, expr: "mad_over_time(odd[2m]) + odd > 5"}
"""
CONTRACTS = """\
contracts:
  - alert: Hot
    means: It is hot.
    knob: {name: t, range: [0, 10]}
    op: ">"
    threshold: 5
    for: 1m
    annotations: [summary]
    signal: [{gauge: temp, value: x}]
  - alert: Gone
    means: The API is gone, and three minutes without a sample are enough.
    op: absent
    signal: [{gauge: 'up{job="api"}', value: 1}]
    situations:
      - {name: Prometheus is away, expect: fires, gap: {from: 5m, to: 8m}, lasts: 12m}
  - alert: Odd
    means: It is odd.
    knob: {name: o, range: [0, 10]}
    op: ">"
    threshold: 5
    signal: [{gauge: odd, value: x}]
"""
SETTINGS = ServerSettings(
    evaluation_ms=20_000,
    lookback_ms=60_000,
    scrape_ms=15_000,
    external_labels={"cluster": "eu1"},
    features=("promql-experimental-functions",),
)
MINUTELY_BACK = "promtool always looks back 5m (--query.lookback-delta), and this Prometheus 1m"


def proved(
    folder: Path, version: str, server: ServerSettings, rules: str = RULES, contracts: str = CONTRACTS
) -> dict[str, AlertResult]:
    (folder / "r.yml").write_text(rules, encoding="utf-8")
    (folder / "c.yml").write_text(contracts, encoding="utf-8")
    files = load_rules([folder / "r.yml"], server)
    promtool = Promtool(binary_of("promtool", version), features=server.features)
    with ProcessEngine(binary_of("prometheus", version), server=server) as engine:
        proof = Proof(files, load_contracts([folder / "c.yml"], server), engine, promtool)
        return {result.alert: result for result in proof.run(folder / "tests")}


def verdicts(results: dict[str, AlertResult]) -> dict[str, Sequence[object]]:
    return {name: (one.verdict, one.confirmed, one.confirmed_reason) for name, one in results.items()}


def test_lookback_subquery_step_and_interval_are_those_of_the_server(tmp_path: Path) -> None:
    results = proved(tmp_path, "3.5", SETTINGS)
    exact = (Verdict.EXACT, None, MINUTELY_BACK)
    assert verdicts(results) == {"Hot": exact, "Gone": exact, "Odd": exact}
    alert = results["Hot"].measured.cases[0].timelines[0]
    pending, firing = alert.first(AlertState.PENDING), alert.first(AlertState.FIRING)
    assert pending is not None
    assert firing == pending + 3  # ticks of 20 s
    assert results["Hot"].annotations == {"summary": "hot in eu1"}


def test_what_promtool_can_say_it_confirms(tmp_path: Path) -> None:
    """With the usual lookback: external labels, features and the group's interval are told to promtool."""
    server = ServerSettings(20_000, scrape_ms=15_000, external_labels={"cluster": "eu1"}, features=SETTINGS.features)
    results = proved(tmp_path, "3.5", server)
    assert {name: (one.verdict, one.confirmed) for name, one in results.items()} == {
        "Hot": (Verdict.EXACT, True),
        "Gone": (Verdict.WRONG_SITUATION, True),  # five minutes back there still is a sample
        "Odd": (Verdict.EXACT, True),
    }
    text = (tmp_path / "tests" / "Hot.test.yml").read_text(encoding="utf-8")
    assert 'external_labels: {"cluster": "eu1"}' in text
    assert '"summary": "hot in eu1"' in text
    assert "promtool --enable-feature=promql-experimental-functions test rules FILE" in text
    plain = Promtool(binary_of("promtool", "3.5"))
    assert plain.test_rules([tmp_path / "tests" / "Odd.test.yml"]).returncode == 1


def test_a_promtool_without_the_feature_does_not_stop_the_proof(tmp_path: Path) -> None:
    """promtool 2.53 has experimental functions, but no way to enable them: the file does not load there."""
    results = proved(tmp_path, "2.53", ServerSettings(20_000, scrape_ms=15_000, features=SETTINGS.features))
    reason = "promtool 2.53.3 does not know promql-experimental-functions"
    assert verdicts(results)["Odd"] == (Verdict.EXACT, None, reason)
    assert verdicts(results)["Gone"] == (Verdict.WRONG_SITUATION, None, reason)


def test_a_feature_that_nobody_named_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(RULES, encoding="utf-8")
    (fault,) = check_rule_files(Promtool(binary_of("promtool", "3.5")), load_rules([tmp_path / "r.yml"])).faults
    assert re.search(r'(?s)r.yml:13:\d+: `Odd`: .*not enabled.*features = \["promql-exp', str(fault.error))


@pytest.mark.parametrize("version", ["2.53", "3.5"])
def test_promtool_gives_subqueries_another_step(version: str, tmp_path: Path) -> None:
    """Its own evaluation interval, where Prometheus takes its global one; no disagreement of ours."""
    rules = """
groups:
  - name: g
    interval: 30s
    rules: [{alert: Hot, expr: 'max_over_time(temp[2m10s:]) > 5', for: 1m}]
"""
    contract = CONTRACTS.partition("  - alert: Gone")[0].replace("    annotations: [summary]\n", "")
    found = verdicts(proved(tmp_path, version, DEFAULTS, rules, contract))
    reason = (
        "promtool gives a subquery without a step that of the test, 30s, and Prometheus its "
        "global.evaluation_interval, 1m"
    )
    assert found == {"Hot": (Verdict.EXACT, None, reason)}


def test_names_of_any_letters(tmp_path: Path) -> None:
    """As Prometheus 3 takes them; in promtool's input series they stand in quotes too."""
    rules = """
groups:
  - name: g
    rules:
      - {alert: Hot, expr: '{"room.temp", "my.room"="1"} > 5', labels: {"my.team": a}}
"""
    contract = """
contracts:
  - alert: Hot
    means: It is hot.
    knob: {name: t, range: [0, 10]}
    op: ">"
    threshold: 5
    identifies: {"my.room": "1", "my.team": a}
    signal: [{gauge: '{"room.temp", "my.room"="1"}', value: x}]
"""
    found = proved(tmp_path, "3.5", DEFAULTS, rules, contract)["Hot"]
    assert (found.verdict, found.confirmed) == (Verdict.EXACT, True)


def test_cases_stand_as_far_apart_as_a_longer_lookback_sees(tmp_path: Path) -> None:
    server = ServerSettings(scrape_ms=30_000, lookback_ms=900_000)
    rules = "groups: [{name: g, rules: [{alert: Gone, expr: 'absent(up{job=\"api\"})'}]}]"
    contract = """
contracts:
  - alert: Gone
    means: The API is gone; ten minutes without a sample are nothing.
    op: absent
    signal: [{gauge: 'up{job="api"}', value: 1}]
    situations:
      - {name: Prometheus is away, expect: quiet, gap: {from: 5m, to: 15m}, lasts: 20m}
      - {name: it is away for longer, expect: fires, gap: {from: 5m, to: 25m}, lasts: 30m}
      - {name: there is another, expect: fires, signal: [{gauge: 'up{job="b"}', value: 1}], lasts: 5m}
"""
    assert proved(tmp_path, "3.5", server, rules, contract)["Gone"].verdict is Verdict.EXACT


def test_series_that_are_gone_between_scrapes_are_named(tmp_path: Path) -> None:
    server = ServerSettings(scrape_ms=120_000, lookback_ms=60_000)
    rules = "groups: [{name: g, interval: 30s, rules: [{alert: Hot, expr: temp > 5, for: 5m}]}]"
    contract = """
contracts:
  - alert: Hot
    means: It is hot.
    knob: {name: t, range: [0, 10]}
    op: ">"
    threshold: 5
    for: 5m
    signal: [{gauge: temp, value: x}]
"""
    (finding,) = proved(tmp_path, "3.5", server, rules, contract)["Hot"].findings
    assert finding.verdict is Verdict.NEVER_FIRES
    assert finding.parts == (
        "scraped every 2m, a series is gone for 1m of it: samples are seen for 1m (lookback_delta)",
    )
