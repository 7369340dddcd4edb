"""The fixtures' own promises: tests do not see each other's series, recording rules apply, errors read well."""

from __future__ import annotations

import re
import time
import warnings
from pathlib import Path

import pytest

from harness.api.series import parse_series, trace
from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.engines.process import ProcessEngine
from harness.errors import InputError, UnsupportedError
from harness.plugin.fixtures import NotPlayed, PlainPrometheus, Replayer
from harness.replay import EndlessSlotWriter
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
def writer(shared_engine: Engine) -> EndlessSlotWriter:
    # Later than whatever other tests wrote to the shared engine: samples go forward only.
    return EndlessSlotWriter(shared_engine, start_ms=1_300_000_000_000)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "r.yml"
    file.write_text(RULES, encoding="utf-8")
    return file


def test_series_of_one_test_are_not_seen_by_the_next(writer: EndlessSlotWriter) -> None:
    first = PlainPrometheus(writer).samples({'here{a="b"}': "1x10"})
    assert first.query("here", at="10m") == {'here{a="b"}': 1}
    second = PlainPrometheus(writer).samples({"other": "2+1x10"}, interval="30s")
    assert second.query("{__name__=~'.+'}", at="5m") == {"other": 12}
    assert first.query("count_over_time(here[10m])", at="10m") == {'{a="b"}': 10}
    assert second.query("absent(other)", at="20m") == {"{}": 1}


def test_recording_rules_alerts_and_states(writer: EndlessSlotWriter, rules: Path) -> None:
    bench = PlainPrometheus(writer).load(rules)
    bench.samples({'bad_total{job="a"}': "0+6x20", 'all_total{job="a"}': "0+8x20"}, interval="30s")
    assert bench.query("job:bad:ratio", at="5m") == pytest.approx({'job:bad:ratio{job="a"}': 0.75})
    assert bench.alerts(at="5m") == [{"alertname": "Bad", "job": "a", "severity": "page"}]
    assert bench.alerts(at="30s", state="pending") == [{"alertname": "Bad", "job": "a", "severity": "page"}]
    assert bench.alerts(at="0s") == []


def test_a_second_bench_between_two_questions(writer: EndlessSlotWriter, rules: Path) -> None:
    """What recording rules return is written; a bench that comes back to its series writes them anew, further on."""
    series = {'bad_total{job="a"}': "0+6x20", 'all_total{job="a"}': "0+8x20"}
    bench = PlainPrometheus(writer).load(rules).samples(series)
    assert len(bench.alerts(at="10m")) == 1
    (story,) = Replayer(lambda: PlainPrometheus(writer))(rules, series, until="25m", interval="1m")["Bad"]
    assert story.labels == {"job": "a", "severity": "page"}
    assert str(story) == "pending at 1m, firing at 2m, inactive at 21m30s"
    assert bench.query("job:bad:ratio", at="10m") == pytest.approx({'job:bad:ratio{job="a"}': 0.75})


def test_gaps_stale_markers_and_own_rhythms(writer: EndlessSlotWriter) -> None:
    bench = PlainPrometheus(writer).samples({"a": "1 _ _ stale", "b": "1 _ _ _"})
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


def test_values_as_lists_and_shifted_series(writer: EndlessSlotWriter) -> None:
    bench = PlainPrometheus(writer).samples({"a": [1, 2.5, None, STALE, 4]}, interval="30s", start="15s")
    assert bench.query("a", at="14s") == {}
    assert bench.query("a", at="15s") == {"a": 1}
    assert bench.query("a", at="44s") == {"a": 1}
    assert bench.query("a", at="1m") == {"a": 2.5}
    assert bench.query("count_over_time(a[4m])", at="3m") == {"{}": 3}
    assert bench.query("a", at="1m50s") == {}
    assert bench.query("a", at="2m15s") == {"a": 4}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "2"], "up: value 2 of the list is '2'"),
        ([True], "up: value 1 of the list is True"),
        ([10**400], "up: value 1 of the list is beyond every double"),
        ("0x1000000", "up: more than 1,000,000 samples"),
        ("1x99999999999999999999", "expected a whole number of at most 18 digits"),
    ],
)
def test_what_is_no_list_of_values(values: object, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        trace("up", values, 1_000)  # type: ignore[arg-type]


WITH_ALERTS = (
    RULES
    + """\
  - name: reading
    rules:
      - alert: Meta
        expr: count(ALERTS{alertname="Bad"}) > 0
      - alert: Plain
        expr: bad_total > 10
"""
)
SERIES = {'bad_total{job="a"}': "0+6x20", 'all_total{job="a"}': "0+8x20"}


def test_a_rule_that_reads_alerts_does_not_spoil_its_file(writer: EndlessSlotWriter, tmp_path: Path) -> None:
    file = tmp_path / "r.yml"
    file.write_text(WITH_ALERTS, encoding="utf-8")
    bench = PlainPrometheus(writer).load(file).samples(SERIES)
    with pytest.warns(NotPlayed, match="left out, it may fire: `Meta` reads ALERTS") as warned:
        assert {alert["alertname"] for alert in bench.alerts(at="10m")} == {"Bad", "Plain"}
    assert [Path(one.filename).name for one in warned] == [Path(__file__).name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bench.alerts(at="10m", alert="Plain") == [{"alertname": "Plain", "job": "a"}]
        with pytest.raises(pytest.fail.Exception, match="left out, it may fire: `Meta` reads ALERTS"):
            bench.alerts(at="10m")
    with pytest.raises(pytest.fail.Exception, match=r"r\.yml:14:15: `Meta` reads ALERTS"):
        bench.alerts(at="10m", alert="Meta")
    replay = Replayer(lambda: PlainPrometheus(writer))
    with pytest.warns(NotPlayed, match="`Meta` reads ALERTS") as warned:
        stories = replay(file, SERIES, until="15m")
    assert [Path(one.filename).name for one in warned] == [Path(__file__).name]
    assert list(stories) == ["Bad", "Plain"]
    assert str(stories["Plain"][0]) == "firing at 2m"
    with pytest.raises(pytest.fail.Exception, match="`Meta` reads ALERTS"):
        stories["Meta"]
    with pytest.raises(pytest.fail.Exception, match=r"there is no alert `Plane` \(did you mean `Plain`\?\)"):
        stories["Plane"]
    assert list(replay(file, SERIES, until="15m", alert="Bad")) == ["Bad"]
    with pytest.raises(pytest.fail.Exception, match="`Meta` reads ALERTS"):
        replay(file, SERIES, until="15m", alert="Meta")


def test_alerts_of_one_name_are_told_together(writer: EndlessSlotWriter, tmp_path: Path) -> None:
    file = tmp_path / "r.yml"
    rules = "".join(
        f"      - {{alert: High, expr: level > {limit}, labels: {{severity: {severity}}}}}\n"
        for limit, severity in ((5, "page"), (1, "ticket"))
    )
    file.write_text(f"groups:\n  - name: g\n    rules:\n{rules}", encoding="utf-8")
    stories = Replayer(lambda: PlainPrometheus(writer))(file, {"level": "0 3 9"}, until="2m")["High"]
    assert {story.labels["severity"]: str(story) for story in stories} == {
        "page": "firing at 2m", "ticket": "firing at 1m",
    }  # fmt: skip


def test_a_slot_writer_has_no_end(prometheus_path: Path, rules: Path) -> None:
    """A few days before now there is room for one bench; then the engine is empty again, and nothing is mixed up."""
    now_ms = time.time_ns() // 1_000_000
    with ProcessEngine(prometheus_path) as engine:
        writer = EndlessSlotWriter(engine, start_ms=now_ms // 86_400_000 * 86_400_000 - 4 * 86_400_000)
        benches = []
        for i in range(4):
            bench = PlainPrometheus(writer).load(rules)
            bench.samples({f'bad_total{{job="{i}"}}': "0+6x20", f'all_total{{job="{i}"}}': "0+8x20"})
            assert bench.alerts(at="10m") == [{"alertname": "Bad", "job": str(i), "severity": "page"}]
            benches.append(bench)
        assert writer.latest is not None
        assert writer.latest.era == 3
        assert benches[0].query("job:bad:ratio", at="10m") == pytest.approx({'job:bad:ratio{job="0"}': 0.75})
        assert benches[0].query("count({__name__=~'bad_total|job.*'})", at="10m") == {"{}": 2}
        writer.lose()
        assert benches[1].alerts(at="10m") == [{"alertname": "Bad", "job": "1", "severity": "page"}]


def test_a_failure_is_one_sentence(writer: EndlessSlotWriter, rules: Path) -> None:
    bench = PlainPrometheus(writer).load(rules)
    with pytest.raises(pytest.fail.Exception, match=r"there is no alert `Bat` \(did you mean `Bad`\?\)") as failed:
        bench.timelines("Bat", until="1m")
    assert failed.value.__context__ is None
    for expr, place in (("up + sum(foo) +", "query:1:16"), ("up +\n  rate(foo)", "query:2:8"), ("1 > 2", "query:1:3")):
        with pytest.raises(pytest.fail.Exception, match=f"{place}: Prometheus cannot read this: ") as failed:
            bench.query(expr, at="1m")
        assert failed.value.__context__ is None
    with pytest.raises(pytest.fail.Exception, match="`soon` is not a duration"):
        bench.query("up", at="soon")
    with pytest.raises(pytest.fail.Exception, match="-1 ms lies before the beginning"):
        bench.query("up", at=-1)
    with pytest.raises(pytest.fail.Exception, match=r"nowhere\.yml does not exist"):
        bench.load("nowhere.yml")


def test_what_prometheus_cannot_evaluate_is_told_with_its_words(writer: EndlessSlotWriter, tmp_path: Path) -> None:
    file = tmp_path / "r.yml"
    file.write_text("groups: [{name: g, rules: [{alert: A, expr: many / on (i) other > 1}]}]", encoding="utf-8")
    bench = PlainPrometheus(writer).load(file)
    bench.samples({'many{i="1"}': "1", 'other{i="1", k="1"}': "1", 'other{i="1", k="2"}': "1"})
    with pytest.raises(pytest.fail.Exception, match=r"r\.yml:1:45: `A` cannot be evaluated: found duplicate series"):
        bench.alerts(at="0s")
    with pytest.raises(pytest.fail.Exception, match="query:1:1: found duplicate series"):
        bench.query("many / on (i) other", at="0s")


def test_parsed_labels_are_sorted() -> None:
    assert parse_series('m{b="1", a="2"}') == (("__name__", "m"), ("a", "2"), ("b", "1"))
