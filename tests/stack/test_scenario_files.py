"""Scenario files: the shipped ones load, wrong ones are refused at their place, and judgements are right."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from harness.engines import Series
from harness.errors import EXIT_INPUT, InputError
from harness.rules import load_rules
from harness.series import labels_of
from harness.stack.scenarios.judge import episodes_of, judge
from harness.stack.scenarios.observed import late_answers
from harness.stack.scenarios.result import Episode, Judgement
from harness.stack.scenarios.scenario import Scenario, load_scenario

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "fixtures" / "scenarios").glob("*.yml"))
RULES = load_rules(sorted((ROOT / "rules").glob("*.yml")))

GOOD = """\
version: 1
name: n
means: m
lasts: 20m
load: {requests_per_s: 5, cameras: 2, streams: 1}
faults:
  - {at: 6m, until: 12m, error_ratio: 0.2}
expect:
  - alert: HighErrorRate
    labels: {job: streaming}
    fires: {from: 8m, to: 12m}
    resolved: {to: 18m}
tolerate:
  - {alerts: [HighCPUUsage], because: busy}
"""


def scenario_of(text: str, folder: Path) -> Scenario:
    file = folder / "scenario.yml"
    file.write_text(text, encoding="utf-8")
    return load_scenario(file)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenarios_load_and_name_our_alerts(file: Path) -> None:
    load_scenario(file).check_alerts(RULES)


def test_the_six_and_more_are_shipped() -> None:
    assert {file.stem for file in SHIPPED} >= {
        "calm", "error-burst", "slow-database", "camera-outage", "disk-of-recordings-fails", "crash-loop",
    }  # fmt: skip


def test_every_shipped_scenario_is_documented() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert [file.name for file in SHIPPED if f"scenarios/{file.name}" not in page] == []


def test_what_a_scenario_says_is_read(tmp_path: Path) -> None:
    scenario = scenario_of(GOOD, tmp_path)
    assert scenario.lasts_ms == 1_200_000
    assert scenario.load.requests_per_s == 5
    (fault,) = scenario.faults
    assert (fault.at_ms, fault.until_ms, fault.error_ratio) == (360_000, 720_000, Fraction(1, 5))
    assert scenario.faults_at(359_999) == ()
    assert scenario.faults_at(360_000) == (fault,)
    assert scenario.faults_at(720_000) == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("version: 1", "version: 2", "1:10", "version `2` is not known"),
        ("lasts: 20m", "lasts: 0s", "4:8", "must be longer than 0s"),
        ("lasts: 20m", "lasts: 20 m", "4:8", "is not a duration"),
        ("means: m\n", "", "1:1", "has no `means`"),
        ("requests_per_s: 5", "request_per_s: 5", "5:8", "did you mean `requests_per_s`"),
        ("requests_per_s: 5", "requests_per_s: 5000", "5:24", "a number from 0 to 2000"),
        ("requests_per_s: 5", "requests_per_s: many", "5:24", "expected a number, found `many`"),
        ("requests_per_s: 5", "requests_per_s: 3e88120450", "5:24", "whose exponent is beyond 999"),
        ("requests_per_s: 5", "requests_per_s: 1_0", "5:24", "expected a number, found `1_0`"),
        ("error_ratio: 0.2", "error_ratio: 1/0", "7:39", "a division by zero"),
        ("cameras: 2", "cameras: 1/2", "5:36", "must be a whole number"),
        ("cameras: 2, ", "", "5:36", "streams need a camera"),
        ("streams: 1", "streams: 1, heartbeat: 10ms", "5:62", "must be at least 1s"),
        ("until: 12m", "until: 5m", "7:14", "must begin before it ends"),
        ("until: 12m", "until: 21m", "7:14", "must begin before it ends"),
        ("error_ratio: 0.2", "error_ratio: 20", "7:39", "a number from 0 to 1"),
        (", error_ratio: 0.2", "", "7:5", "says nothing that goes wrong"),
        ("error_ratio: 0.2", "latency: 1m", "7:35", "at most 30s"),
        ("error_ratio: 0.2", "crash: {every: 1m, down: 1m}", "7:45", "shorter than `every`"),
        ("error_ratio: 0.2", "streams_ended: yes", "7:41", "must be true or false"),
        ("to: 12m", "to: 7m", "11:5", "must follow one another"),
        ("to: 18m", "to: 11m", "11:5", "must follow one another"),
        ("because: busy", "because: [busy]", "14:39", "must be a single value"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, old: str, new: str, place: str, message: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(InputError) as refused:
        scenario_of(GOOD.replace(old, new), tmp_path)
    assert message in str(refused.value)
    assert f"scenario.yml:{place}" in str(refused.value)
    assert refused.value.exit_code == EXIT_INPUT


def test_an_alert_that_no_rule_defines_is_refused(tmp_path: Path) -> None:
    scenario = scenario_of(GOOD.replace("HighErrorRate", "HighErorRate"), tmp_path)
    with pytest.raises(InputError, match="did you mean `HighErrorRate`") as refused:
        scenario.check_alerts(RULES)
    assert "scenario.yml:9:12" in str(refused.value)


def fired(alert: str = "HighErrorRate", at: float = 10, end: float | None = 15, **labels: str) -> Episode:
    """Minutes."""
    return Episode(
        alert, labels or {"job": "streaming"}, None, round(at * 60_000), None if end is None else round(end * 60_000)
    )


@pytest.mark.parametrize(
    ("episodes", "judgements"),
    [
        ([fired()], [Judgement.AS_EXPECTED]),
        ([], [Judgement.DID_NOT_FIRE]),
        ([fired(job="gateway")], [Judgement.DID_NOT_FIRE, Judgement.UNEXPECTED]),
        ([fired(at=8)], [Judgement.AS_EXPECTED]),
        ([fired(at=7.99)], [Judgement.FIRED_EARLY]),
        ([fired(at=12)], [Judgement.AS_EXPECTED]),
        ([fired(at=12.01)], [Judgement.FIRED_LATE]),
        ([fired(end=18)], [Judgement.AS_EXPECTED]),
        ([fired(end=18.01)], [Judgement.NOT_RESOLVED]),
        ([fired(end=None)], [Judgement.NOT_RESOLVED]),
        ([fired(end=11), fired(at=12)], [Judgement.FIRED_AGAIN]),
        ([fired(), fired("HighCPUUsage", instance="a")], [Judgement.AS_EXPECTED, Judgement.TOLERATED]),
        ([fired(), fired("ServiceDown")], [Judgement.AS_EXPECTED, Judgement.UNEXPECTED]),
        ([fired(), Episode("ServiceDown", {}, 60_000, None, 90_000)], [Judgement.AS_EXPECTED]),
    ],
)
def test_judgements(tmp_path: Path, episodes: list[Episode], judgements: list[Judgement]) -> None:
    judged = judge(scenario_of(GOOD, tmp_path), episodes)
    assert [one.judgement for one in judged] == judgements


def test_what_may_fire_again_may(tmp_path: Path) -> None:
    scenario = scenario_of(GOOD.replace("    labels:", "    again: true\n    labels:"), tmp_path)
    (judged,) = judge(scenario, [fired(end=11), fired(at=12)])
    assert judged.judgement is Judgement.AS_EXPECTED


def alerts(state: str, *ticks_s: float, alert: str = "HighErrorRate") -> Series:
    labels = labels_of("ALERTS", {"alertname": alert, "alertstate": state, "job": "streaming"})
    return Series(labels, [round(1000 * at) for at in ticks_s], [1.0] * len(ticks_s))


def test_episodes_come_from_the_stored_ticks() -> None:
    """HighErrorRate is evaluated every 30 s, at 60x every half second."""
    series = [alerts("pending", 1000.5, 1001.0, 1020.0), alerts("firing", 1001.5, 1002.0, 1002.5)]
    assert episodes_of(series, RULES, 60, began_s=1000.0, ended_s=1030.0) == [
        Episode("HighErrorRate", {"job": "streaming"}, 30_000, 90_000, 180_000),
        Episode("HighErrorRate", {"job": "streaming"}, 1_200_000, None, 1_230_000),
    ]


def test_an_alert_that_fires_to_the_last_tick_has_not_ended() -> None:
    (episode,) = episodes_of([alerts("firing", 1029.0, 1029.5)], RULES, 60, began_s=1000.0, ended_s=1029.9)
    assert episode.ended_ms is None


def test_one_late_tick_does_not_tear_an_episode() -> None:
    ticks = [alerts("firing", 1001.0, 1002.0, 1002.5)]
    assert len(episodes_of(ticks, RULES, 60, began_s=1000.0, ended_s=1010.0)) == 1
    assert len(episodes_of([alerts("firing", 1001.0, 1003.0)], RULES, 60, 1000.0, 1010.0)) == 2


def scrapes(name: str, instance: str, *values: float) -> Series:
    """Every half second, as a 30 s interval is at 60x."""
    return Series(
        labels_of(name, {"job": "node", "instance": instance}), [500 * n for n in range(len(values))], list(values)
    )


def test_a_scrape_that_waits_its_whole_interval_is_late_and_a_refused_one_is_not() -> None:
    up = [scrapes("up", "a", 1, 0, 1), scrapes("up", "b", 1, 0, 0), scrapes("up", "c", 0)]
    name = "scrape_duration_seconds"
    took = [scrapes(name, "a", 0.01, 0.002, 0.49), scrapes(name, "b", 0.01, 0.5003, 0.5), scrapes(name, "c", 0.5)]
    assert late_answers(up, took) == 2
