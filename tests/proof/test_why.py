"""Why an alert is not as meant, where the numbers of its comparison do not say it: measured on a real Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.proof import AlertResult, Proof, Verdict
from harness.proof.pairing import pair
from harness.replay import SlotWriter
from harness.rules import load_rules

Prove = Callable[..., AlertResult]


@pytest.fixture(scope="module")
def writer(prometheus_path: Path) -> Iterator[SlotWriter]:
    """One engine for all tests, which follow each other on one writer."""
    with ProcessEngine(prometheus_path) as running:
        yield SlotWriter(running)


@pytest.fixture
def prove(writer: SlotWriter, promtool_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prove:
    """Prove one alert `A` (> 5) whose expression stands in a block on line 7, over gauges in YAML's flow style."""

    def run(expr: str, *gauges: str, record: str = "", more: str = "", hold: str = "0s", op: str = ">") -> AlertResult:
        rules, contracts = tmp_path / "rules.yml", tmp_path / "contracts.yml"
        rules.write_text(
            f"groups:\n- name: g\n  interval: 30s\n  rules:\n  {record}\n  - alert: A\n    for: {hold}\n    expr: |\n"
            + "".join(f"      {line}\n" for line in expr.splitlines())
        )
        contracts.write_text(
            "contracts:\n- alert: A\n  means: it\n  knob: {name: k, unit: '', range: [0, 10]}\n"
            f"  op: '{op}'\n  threshold: 5\n  for: {hold}\n  signal:\n"
            + "".join(f"  - {{gauge: {gauge!r}, value: {value}}}\n" for gauge, _, value in map(_split, gauges))
            + more
        )
        monkeypatch.setattr("harness.proof.prove.EndlessSlotWriter", lambda _: writer)
        proof = Proof(load_rules([rules]), load_contracts([contracts]), writer.engine, Promtool(promtool_path))
        (result,) = proof.run()
        return result

    return run


def _split(gauge: str) -> tuple[str, str, str]:
    return gauge.rpartition(": ")


def parts(result: AlertResult, verdict: Verdict) -> tuple[str, ...]:
    assert result.verdict is verdict
    return result.findings[0].parts


# -- sides that match nothing ------------------------------------------------------------------------------------

LEFT, RIGHT = 'load{instance="a:1", zone="n"}: x', 'limit{job="b", zone="n"}: 3'


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        (
            "load > 5 and limit < 4",
            (
                "`load > 5` and `limit < 4` both hold but share no label set, so `and` matches nothing",
                'left has {instance="a:1", zone="n"}, right has {job="b", zone="n"}',
                'they are matched on all labels, and the nearest two differ in `instance` ("a:1" and none), `job` '
                '(none and "b")',
                "`and on (zone)` would match them",
            ),
        ),
        (
            "load > on (instance, zone) limit",
            (
                "`load` and `limit` both return something but share no label set, so `>` matches nothing",
                'left has {instance="a:1", zone="n"}, right has {job="b", zone="n"}',
                'they are matched on (instance, zone), and the nearest two differ in `instance` ("a:1" and none)',
                "`> on (zone)` would match them",
            ),
        ),
        (
            "(sum by (instance) (load) / ignoring (zone) sum by (job) (limit)) > 1",
            (
                "`sum by (instance) (load)` and `sum by (job) (limit)` both return something but share no label set, "
                "so `/` matches nothing",
                'left has {instance="a:1"}, right has {job="b"}',
                'they are matched on all labels but zone, and the nearest two differ in `instance` ("a:1" and none), '
                '`job` (none and "b")',
            ),
        ),
        (
            "load > 5 unless on (zone) limit",
            ('`limit` takes everything away: it returns {job="b", zone="n"}',),
        ),
    ],
)  # fmt: skip
def test_sides_that_match_nothing(prove: Prove, expr: str, said: tuple[str, ...]) -> None:
    assert parts(prove(expr, LEFT, RIGHT), Verdict.NEVER_FIRES) == said


def test_the_part_that_decides_is_pointed_at(prove: Prove) -> None:
    """Of a long expression over several lines, in the user's spelling."""
    result = prove("max(load) > 0\n  and (load{zone=`n`}>5 and # why\n  limit{}  < 4)", LEFT, RIGHT)
    finding = result.findings[0]
    assert result.verdict is Verdict.NEVER_FIRES
    assert finding.expr == "load{zone=`n`}>5 and limit{} < 4"
    assert finding.span is not None
    assert finding.span.source_line[finding.span.column - 1 :].startswith("load{zone=`n`}>5 and")
    assert finding.parts[0].startswith("`load{zone=`n`}>5` and `limit{} < 4` both hold but share no label set")


# -- one side that decides ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("load > 5 and on (zone) limit > 3", ('there `limit > 3` compares 3 > 3 for limit{job="b", zone="n"}',)),
        ("load > 11", ('there `load > 11` compares 10 > 11 for load{instance="a:1", zone="n"}',)),
        ("load > 11 or limit > 4", (
            'there `load > 11` compares 10 > 11 for load{instance="a:1", zone="n"}',
            'there `limit > 4` compares 3 > 4 for limit{job="b", zone="n"}',
        )),
        ("absent(load)", ('`absent(load)` returns nothing, for there is {instance="a:1", zone="n"}',)),
        ("rate(load[30s]) > 0", ("`load[30s]` holds 1 sample there, and rate() needs two",)),
        ("sum(load) > scalar(sum(load))", ("there `sum(load) > scalar(sum(load))` compares 10 > 10",)),
        ("histogram_quantile(0.9, sum by (zone) (load)) > 5", (
            "`sum by (zone) (load)` returns no label `le`, without which histogram_quantile() finds no buckets",
        )),
    ],
)  # fmt: skip
def test_the_side_that_holds_it_back(prove: Prove, expr: str, said: tuple[str, ...]) -> None:
    got = parts(prove(expr, LEFT, RIGHT), Verdict.NEVER_FIRES)
    assert tuple(part for part in got if "does not read" not in part) == said


@pytest.mark.parametrize(
    ("expr", "op", "said"),
    [
        ("load > 11", ">", "stays quiet at every k from 0 to 10, even at 10"),
        ("load < 0", "<", "stays quiet at every k from 0 to 10, even at 0"),
        ("load == 11", "==", "stays quiet at every k from 0 to 10, even at 5"),
        ("load >= 0", ">", "fires at every k from 0 to 10, even at 0"),
        ("load <= 10", "<", "fires at every k from 0 to 10, even at 10"),
    ],
)
def test_where_that_was_seen(prove: Prove, expr: str, op: str, said: str) -> None:
    """Where it is most surprising: quiet where it should most surely fire, firing where it should most surely not."""
    finding = prove(expr, "load: x", op=op).findings[0]
    assert finding.message == said
    assert f"compares {said.split()[-1]} " in finding.text


def test_of_a_rule_that_always_fires_the_comparison_that_holds_is_told(prove: Prove) -> None:
    result = prove("load > 11 or limit > 2", LEFT, RIGHT)
    assert result.verdict is Verdict.ALWAYS_FIRES
    assert "there `limit > 2` compares 3 > 2" in result.findings[0].details


# -- metrics that nobody makes, or nobody reads ------------------------------------------------------------------


def test_a_metric_that_nobody_makes(prove: Prove) -> None:
    assert parts(prove("queue_lenght > 5", "queue_length: x"), Verdict.NEVER_FIRES) == (
        "neither the signal nor a recording rule makes `queue_lenght` (did you mean `queue_length`?)",
        "the signal makes `queue_length`, which the rule does not read",
    )


def test_a_label_that_no_series_has(prove: Prove) -> None:
    assert parts(prove('load{job="db"} > 5', 'load{job="web"}: x'), Verdict.NEVER_FIRES) == (
        '`load{job="db"}` selects none of the signal\'s series: `load` has {job="web"}',
    )
    assert parts(prove("rate(load{job=`db`, }[5m] offset 1m) > 5", "load: x"), Verdict.NEVER_FIRES) == (
        "`load{job=`db`, }` selects none of the signal's series: `load` has no labels",
    )


def test_a_matcher_that_nothing_passes(prove: Prove) -> None:
    assert parts(prove("load{job!~`.*`} > 5", 'load{job="web"}: x'), Verdict.NEVER_FIRES) == (
        "`load{job!~`.*`}` can select no series: its matcher excludes every value of `job`, and none too",
    )


def test_a_histogram_that_is_read_in_part_is_read(prove: Prove) -> None:
    result = prove("wait_seconds_count > 10 + 1", "wait_seconds_count: x", "wait_seconds_sum: x", "depth: 1")
    assert parts(result, Verdict.NEVER_FIRES) == (
        "there `wait_seconds_count > 10 + 1` compares 10 > 11 for wait_seconds_count",
        "the signal makes `depth`, which the rule does not read",
    )


def test_what_a_recording_rule_makes_is_made(prove: Prove) -> None:
    record = "- {record: 'job:load:sum', expr: sum(loads)}"
    result = prove("job:load:sum > 5", "load: x", record=record)
    assert parts(result, Verdict.NEVER_FIRES) == (
        "neither the signal nor a recording rule makes `loads` (did you mean `load`?)",
        "the signal makes `load`, which the rule does not read",
    )


def test_a_guard_that_is_rightly_absent_is_no_matter(prove: Prove) -> None:
    assert prove("load > 5 unless on () maintenance == 1", "load: x").findings == []


# -- no comparison -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("load", "`load` compares nothing: it returns something as long as its series are there"),
        ("load > bool 5", "`load > bool 5` returns 0 or 1 and never nothing: without `bool` it would filter"),
        ("load > 5 or (sum(load))",
            "`sum(load)` compares nothing: it returns something as long as its series are there"),
        ("load > 5 or vector(1)", "`vector(1)` reads no series and compares nothing: it always returns something"),
    ],
)  # fmt: skip
def test_a_rule_without_comparison(prove: Prove, expr: str, said: str) -> None:
    assert parts(prove(expr, "load: x"), Verdict.ALWAYS_FIRES) == (said,)


# -- situations --------------------------------------------------------------------------------------------------


def situation(prove: Prove, what: str, expr: str = "load > 5", hold: str = "0s") -> tuple[str, ...]:
    more = f"  situations:\n  - {{name: s, {what}}}\n"
    result = prove(expr, 'load{instance="a:1"}: x', 'other{instance="b:2"}: 1', more=more, hold=hold)
    (finding,) = [finding for finding in result.findings if finding.verdict is Verdict.WRONG_SITUATION]
    return tuple(part for part in finding.parts if "does not read" not in part)


def test_what_fired_and_when(prove: Prove) -> None:
    course = "expect: quiet, knob: {0s: 1, 2m: 7}, lasts: 5m"
    assert situation(prove, course) == ('at 2m30s (tick 5) the rule returns 7 for {instance="a:1"}',)


def test_how_near_it_came(prove: Prove) -> None:
    course = "expect: fires, knob: {0s: 1, 2m: 4.5, 4m: 2}, lasts: 6m"
    assert situation(prove, course) == (
        'nearest at 2m30s (tick 5): there `load > 5` compares 4.5 > 5 for load{instance="a:1"}',
    )


def test_how_long_it_held(prove: Prove) -> None:
    course = "expect: fires, knob: {0s: 1, 2m: 7, 4m: 2}, lasts: 10m"
    assert situation(prove, course, hold="5m") == (
        'at most it holds for 4 ticks, from 2m30s (tick 5) on, for {instance="a:1"}',
        "`for: 5m` needs 11 in a row",
    )


def test_why_nothing_matched_in_a_situation(prove: Prove) -> None:
    course = "expect: fires, knob: {0s: 1, 2m: 7}, lasts: 5m"
    said = situation(prove, course, expr="load > 5 and other > 0")
    assert said[0].startswith("nearest at ")
    assert said[1] == "`load > 5` and `other > 0` both hold but share no label set, so `and` matches nothing"


# -- names -------------------------------------------------------------------------------------------------------


def test_an_alert_that_no_rule_has(
    writer: SlotWriter, promtool_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.proof.prove.EndlessSlotWriter", lambda _: writer)
    rules, contracts = tmp_path / "rules.yml", tmp_path / "contracts.yml"
    names = ["QueueTooLong", "DiskFull", "Unheard"]
    rules.write_text(
        "groups: [{name: g, rules: ["
        + ", ".join(f"{{alert: {name}, expr: load > 5}}" for name in names) + "]}]\n"
    )  # fmt: skip
    signal = "signal: [{gauge: load, value: x}]"
    common = f"means: it, knob: {{name: k, unit: '', range: [0, 10]}}, op: '>', threshold: 5, for: 0s, {signal}"
    contracts.write_text(
        "contracts:\n" + "".join(f"- {{alert: {name}, {common}}}\n" for name in ["QueueToLong", "DiskFull"])
    )
    proof = Proof(load_rules([rules]), load_contracts([contracts]), writer.engine, Promtool(promtool_path))
    results = {result.alert: result for result in proof.run()}
    assert results["DiskFull"].verdict is Verdict.EXACT
    missing, meant, unheard = (results[name].findings[0] for name in ("QueueToLong", "QueueTooLong", "Unheard"))
    assert missing.verdict is Verdict.MISSING
    span = str(results["QueueTooLong"].located.rule.span) if results["QueueTooLong"].located else ""
    assert missing.parts == (f"did you mean `QueueTooLong` ({span})? No contract speaks of it",)
    assert meant.verdict is Verdict.UNEXPECTED
    assert [part.split(" (")[0] for part in meant.parts] == ["the contract of `QueueToLong`"]
    assert meant.parts[0].endswith(":2:11) has no rule and may mean this one")
    assert unheard.message.startswith("no contract speaks of `Unheard` (")
    assert unheard.parts == ()


def test_each_rule_is_meant_once(tmp_path: Path) -> None:
    rules, contracts = tmp_path / "rules.yml", tmp_path / "contracts.yml"
    rules.write_text("groups: [{name: g, rules: [{alert: CameraOfline, expr: up}, {alert: TargetDown, expr: up}]}]\n")
    names = ["CamerasOffline", "CameraOffline", "DiskFull"]
    said = "means: it, op: absent, signal: [{gauge: up, value: 1}]"
    contracts.write_text("contracts:\n" + "".join(f"- {{alert: {name}, {said}}}\n" for name in names))
    found = pair(load_rules([rules]), load_contracts([contracts]))
    assert [(p.meant.rule.alert if p.meant else None) for p in found] == ["CameraOfline", None, None, None, None]
    assert [(p.meant_by.alert.value if p.meant_by else None) for p in found[3:]] == ["CamerasOffline", None]
