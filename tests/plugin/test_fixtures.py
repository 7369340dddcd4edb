"""The fixtures' own promises: tests do not see each other's series, recording rules apply, errors read well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.errors import InputError, UnsupportedError
from harness.plugin.bench import Prometheus, Replayer, SharedTape, parse_series, trace
from harness.series import STALE, is_stale

RULES = """\
groups:
  - name: g
    interval: 30s
    rules:
      - record: job:bad:ratio
        expr: sum by (job) (rate(bad_total[130s])) / sum by (job) (rate(all_total[130s]))
      - alert: Bad
        expr: job:bad:ratio > 0.5
        for: 1m
        labels: {severity: page}
"""


@pytest.fixture(scope="module")
def tape(shared_engine: Engine) -> SharedTape:
    # Later than whatever other tests wrote to the shared engine: samples go forward only.
    return SharedTape(shared_engine, start_ms=1_300_000_000_000)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "r.yml"
    file.write_text(RULES, encoding="utf-8")
    return file


def test_series_of_one_test_are_not_seen_by_the_next(tape: SharedTape) -> None:
    first = Prometheus(tape).samples({'here{a="b"}': "1x10"})
    assert first.query("here", at="10m") == {'here{a="b"}': 1}
    second = Prometheus(tape).samples({"other": "2+1x10"}, interval="30s")
    assert second.query("{__name__=~'.+'}", at="5m") == {"other": 12}
    assert first.query("count_over_time(here[10m])", at="10m") == {'{a="b"}': 10}
    assert second.query("absent(other)", at="20m") == {"{}": 1}


def test_recording_rules_alerts_and_states(tape: SharedTape, rules: Path) -> None:
    bench = Prometheus(tape).load(rules)
    bench.samples({'bad_total{job="a"}': "0+6x20", 'all_total{job="a"}': "0+8x20"}, interval="30s")
    assert bench.query("job:bad:ratio", at="5m") == pytest.approx({'job:bad:ratio{job="a"}': 0.75})
    assert bench.alerts(at="5m") == [{"alertname": "Bad", "job": "a", "severity": "page"}]
    assert bench.alerts(at="30s", state="pending") == [{"alertname": "Bad", "job": "a", "severity": "page"}]
    assert bench.alerts(at="0s") == []


def test_a_second_bench_between_two_questions(tape: SharedTape, rules: Path) -> None:
    """What recording rules return is written; a bench that comes back to its series writes them anew, further on."""
    series = {'bad_total{job="a"}': "0+6x20", 'all_total{job="a"}': "0+8x20"}
    bench = Prometheus(tape).load(rules).samples(series)
    assert len(bench.alerts(at="10m")) == 1
    (story,) = Replayer(bench)(rules, series, until="25m", interval="1m")["Bad"]
    assert story.labels == {"job": "a", "severity": "page"}
    assert str(story) == "pending at 1m, firing at 2m, inactive at 21m30s"
    assert bench.query("job:bad:ratio", at="10m") == pytest.approx({'job:bad:ratio{job="a"}': 0.75})


def test_gaps_stale_markers_and_own_rhythms(tape: SharedTape) -> None:
    bench = Prometheus(tape).samples({"a": "1 _ _ stale", "b": "1 _ _ _"})
    bench.write([Trace((("__name__", "c"),), [1_500, 2_750], [1.0, 2.0])])
    assert bench.query("{__name__=~'a|b'}", at="2m") == {"a": 1, "b": 1}
    assert bench.query("{__name__=~'a|b'}", at="3m") == {"b": 1}
    assert bench.query("c", at=2_000) == {"c": 1}


def test_notation() -> None:
    found = trace('up{job="a"}', "1 2x1 _ 4+1x2 stale", 1_000)
    assert found.labels == (("__name__", "up"), ("job", "a"))
    assert list(found.times_ms) == [0, 1_000, 2_000, 4_000, 5_000, 6_000, 7_000]
    assert list(found.values[:6]) == [1, 2, 2, 4, 5, 6]
    assert is_stale(found.values[6])
    assert is_stale(STALE)


@pytest.mark.parametrize(
    ("series", "values", "message"),
    [
        ("up[5m]", "1", "`up[5m]` is no series"),
        ('up{a=~"b"}', "1", "selects by pattern"),
        ("up{", "1", "`up{` is no series"),
        ("up", "1,2", "cannot read `1,2` in the values of a series"),
    ],
)
def test_what_is_no_series(series: str, values: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        trace(series, values, 1_000)


def test_native_histograms_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="native histograms cannot be written"):
        trace("h", "{{count:3}}", 1_000)


def test_a_failure_is_one_sentence(tape: SharedTape, rules: Path) -> None:
    bench = Prometheus(tape).load(rules)
    with pytest.raises(pytest.fail.Exception, match=r"there is no alert `Bat` \(did you mean `Bad`\?\)"):
        bench.timelines("Bat", until="1m")
    with pytest.raises(pytest.fail.Exception, match="this expression cannot be read"):
        bench.query("sum(", at="1m")
    with pytest.raises(pytest.fail.Exception, match="`soon` is not a duration"):
        bench.query("up", at="soon")
    with pytest.raises(pytest.fail.Exception, match=r"nowhere\.yml does not exist"):
        bench.load("nowhere.yml")


def test_parsed_labels_are_sorted() -> None:
    assert parse_series('m{b="1", a="2"}') == (("__name__", "m"), ("a", "2"), ("b", "1"))
