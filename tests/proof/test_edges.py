"""The edges of a world: how it begins, when it is looked at, how near to a threshold rounding may stay."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.proof import AlertResult, Proof, Verdict
from harness.replay import EndlessSlotWriter
from harness.rules import load_rules

Prove = Callable[..., AlertResult]


@pytest.fixture(scope="module")
def writer(prometheus_path: Path) -> Iterator[EndlessSlotWriter]:
    """One engine for all tests, which follow each other on one writer."""
    with ProcessEngine(prometheus_path) as running:
        yield EndlessSlotWriter(running)


@pytest.fixture
def prove(writer: EndlessSlotWriter, promtool_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prove:
    """Prove one alert `A`: the lines of its rule and of its contract, each in YAML's flow style."""

    def run(
        rule: str,
        contract: str,
        *,
        interval: str = "30s",
        scrape: str = "30s",
        emit: bool = False,
        groups: tuple[str, ...] = (),
    ) -> AlertResult:
        rules, contracts = tmp_path / "rules.yml", tmp_path / "contracts.yml"
        own = f"{{name: g, interval: {interval}, rules: [{{alert: A, labels: {{severity: page}}, {rule}}}]}}"
        rules.write_text(f"groups: [{', '.join((own, *groups))}]\n")
        contracts.write_text(
            f"scrape_interval: {scrape}\ncontracts: [{{alert: A, means: it, severity: page, {contract}}}]\n"
        )
        monkeypatch.setattr("harness.proof.prove.EndlessSlotWriter", lambda _: writer)
        proof = Proof(
            load_rules([rules]),
            load_contracts([contracts]),
            writer.engine,
            Promtool(promtool_path),
            alert_timeout_s=120,
        )
        (result,) = proof.run(tmp_path / "out" if emit else None)
        return result

    return run


# -- how it begins -----------------------------------------------------------------------------------------------

SHARE = "knob: {name: k, unit: '', range: [0, 10]}, op: '>', threshold: 5"
THERE = "knob: {name: k, unit: '', range: [0, 1], step: 1, counts: exporters}, op: '<', threshold: 1"


@pytest.mark.parametrize(
    ("expr", "hold"),
    [
        ("absent(m{job='a'})", "0s"),
        ("absent(m{job='a'})", "30s"),
        ("absent_over_time(m{job='a'}[5m])", "0s"),
        ("absent(m{job='a'} offset 20m)", "1m"),
        ("absent(rate(m{job='a'}[10m]))", "0s"),
        ("absent(avg_over_time(m{job='a'}[5m:1m] offset 10m))", "0s"),
    ],
)
def test_what_was_always_there_is_not_absent_in_the_beginning(prove: Prove, expr: str, hold: str) -> None:
    known = "{job: a}" if expr.startswith(("absent(m", "absent_over_time")) else "{}"  # only from a plain selector
    result = prove(
        f'expr: "{expr}", for: {hold}, keep_firing_for: 5m',
        f"for: {hold}, keep_firing_for: 5m, {THERE}, identifies: {known}, "
        "signal: [{gauge: 'm{job=\"a\"}', value: 1, present: x}], "
        "situations: [{name: there, expect: quiet, knob: 1}, {name: goes, expect: fires, knob: {0s: 1, 5m: 0}}]",
    )
    assert (result.verdict, result.reasons) == (Verdict.EXACT, [])
    assert result.confirmed


@pytest.mark.parametrize(
    ("expr", "signal", "knob", "expected"),
    [
        # A counter that always grew by one a second has grown by 600 in ten minutes, at every tick.
        ("increase(c[10m]) < 599", "counter: c, rate: x", "1", "quiet"),
        # A level that always was 9 was so on average, too; and one that falls has been higher.
        ("avg_over_time(c[1h]) > 5", "gauge: c, value: x", "{0s: 9, 1m: 0}", "fires"),
        ("max_over_time(c[1h]) > 5", "gauge: c, value: x", "{0s: 9, 1m: 0}", "fires"),
        ("count_over_time(c[1h]) < 120", "gauge: c, value: x", "1", "quiet"),
        # A ramp begins where it begins: before, it stood at its first value; a straight line was one before, too.
        ("max_over_time(c[1h]) > 10", "gauge: c, value: 'max(0, 10 - t / 60)'", "1", "quiet"),
        ("predict_linear(c[6h], 4 * 3600) < 0", "gauge: c, value: '40 - t * x / 600'", "1", "quiet"),
        ("predict_linear(c[6h], 4 * 3600) < 0", "gauge: c, value: '40 - t * x / 600'", "2", "fires"),
    ],
)
def test_a_situation_begins_in_a_steady_state(prove: Prove, expr: str, signal: str, knob: str, expected: str) -> None:
    situation = f"{{name: steady, expect: {expected}, alerts: [{{}}], lasts: 4m, knob: {knob}}}"
    if expected == "quiet":
        situation = situation.replace("alerts: [{}], ", "")
    result = prove(f'expr: "{expr}"', f"{SHARE}, identifies: {{}}, signal: [{{{signal}}}], situations: [{situation}]")
    assert [(one.name, one.reason) for one in result.situations] == [("steady", "")]


def test_emitted_tests_say_nothing_of_the_time_before_a_case(prove: Prove, promtool_path: Path, tmp_path: Path) -> None:
    """Before its first sample a metric is absent in promtool: no fact about the alert, so nothing is expected there."""
    result = prove(
        "expr: \"absent(m{job='a'} offset 10m)\", for: 1m",
        f"for: 1m, {THERE}, identifies: {{job: a}}, signal: [{{gauge: 'm{{job=\"a\"}}', value: 1, present: x}}], "
        "situations: [{name: there, expect: quiet, knob: 1}]",
        emit=True,
    )
    assert result.verdict is Verdict.EXACT
    (file,) = (tmp_path / "out").iterdir()
    there = file.read_text().split('name: "there"')[1]
    assert "exp_alerts: []" in there
    assert "exp_labels" not in there
    assert "ALERTS" not in there
    run = subprocess.run([promtool_path, "test", "rules", file], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


# -- rounding ----------------------------------------------------------------------------------------------------


def quantile(q: str, threshold: str, buckets: str, rate: str) -> str:
    return (
        f"knob: {{name: latency, unit: s, range: [0, 0.9]}}, op: '>', threshold: {threshold}, signal: "
        f"[{{histogram: h, rate: {rate}, buckets: [{buckets}], quantile: {{q: '{q}', at: x}}}}]"
    )


def rule(q: str, limit: str, op: str = ">") -> str:
    return f'expr: "histogram_quantile({q}, sum by (le) (rate(h_bucket[5m]))) {op} {limit}"'


@pytest.mark.parametrize(
    ("q", "threshold", "buckets", "rate"),
    [
        ("0.99", "0.5", "0.2, 0.5, 2", "120"),
        ("0.99", "0.7", "0.1, 0.3, 0.8, 2", "3/7"),
        ("0.999", "0.5", "0.25, 0.5, 1", "41"),
        ("0.95", "0.4", "0.3, 0.5, 1", "1/3"),
    ],
)
def test_a_quantile_is_as_exact_as_its_interpolation(
    prove: Prove, q: str, threshold: str, buckets: str, rate: str
) -> None:
    """In a bucket that holds 1 - q of all, a rounding of the counts moves the quantile 1 / (1 - q) times as much."""
    meant = quantile(q, threshold, buckets, rate)
    result = prove(rule(q, threshold), meant)
    assert (result.verdict, result.reasons) == (Verdict.EXACT, [])
    # A ten thousand millionth of the threshold is far beyond it, in either direction.
    for limit, told in ((f"{threshold} * (1 + 1e-10)", "too late"), (f"{threshold} * (1 - 1e-10)", "too early")):
        result = prove(rule(q, limit), meant)
        assert (result.verdict, told in result.reasons[0]) == (Verdict.OFF_THRESHOLD, True)


@pytest.mark.parametrize(
    ("expr", "signal", "threshold", "verdict"),
    [
        ("m > 0", "gauge: m, value: x / 60", "0", Verdict.EXACT),
        ("m / 3 > 0", "gauge: m, value: x / 7", "0", Verdict.EXACT),
        # What the contract's division cannot tell from 0 the rule need not, but no more than that: 5e-324 is too much.
        ("m > 5e-324", "gauge: m, value: x / 60", "0", Verdict.OFF_THRESHOLD),
        ("m > 0.3", "gauge: m, value: x", "0.3", Verdict.EXACT),
        # Nothing is rounded between the knob and the limit: the very next double is another limit.
        ("m > 0.30000000000000004", "gauge: m, value: x", "0.3", Verdict.OFF_THRESHOLD),
        ("m > 5.000000000000001", "gauge: m, value: x", "5", Verdict.OFF_THRESHOLD),
        ("m * 100 / 7 > 100 * 0.3 / 7", "gauge: m, value: x", "0.3", Verdict.EXACT),
        ("floor(m) > 5", "gauge: m, value: x", "5", Verdict.OFF_THRESHOLD),
        ("rate(m[5m]) * 60 > 0.7", "counter: m, rate: x / 60", "0.7", Verdict.EXACT),
        ("rate(m[5m]) * 60 > 0.70000000000001", "counter: m, rate: x / 60", "0.7", Verdict.OFF_THRESHOLD),
        ("deriv(m[10m]) > 0.3", "gauge: m, value: 5 + t * x", "0.3", Verdict.EXACT),
    ],
)
def test_a_boundary_may_be_off_by_what_is_rounded_and_no_more(
    prove: Prove, expr: str, signal: str, threshold: str, verdict: Verdict
) -> None:
    knob = f"knob: {{name: k, unit: '', range: [0, 60]}}, op: '>', threshold: {threshold}"
    assert prove(f'expr: "{expr}"', f"{knob}, signal: [{{{signal}}}]").verdict is verdict


# -- long windows ------------------------------------------------------------------------------------------------

FAR = [
    ("max_over_time(m[30d]) > 5", "1m", "gauge: m, value: x", Verdict.EXACT, True),
    ("max_over_time(m[30d]) > 5.5", "1m", "gauge: m, value: x", Verdict.OFF_THRESHOLD, True),
    ("rate(m[7d]) > 5", "1m", "counter: m, rate: x", Verdict.EXACT, True),
    ("m > 5", "1w", "gauge: m, value: x", Verdict.EXACT, True),
    ("m > 5 and m offset 30d > 2", "1m", "gauge: m, value: x", Verdict.EXACT, True),
    # A plain selector wants a sample every few minutes, a subquery a value every minute: more than promtool loads.
    ("avg_over_time(m[30d]) > 5 and m > 3", "1m", "gauge: m, value: x", Verdict.EXACT, None),
    ("max_over_time(m[1w:1m]) > 5", "1m", "gauge: m, value: x", Verdict.EXACT, None),
    # Counted sample by sample, it hangs on every scrape, and those are too many.
    ("count_over_time(m[30d]) > 5 and m > 5", "1m", "gauge: m, value: x", Verdict.UNSUPPORTED, None),
    ("avg_over_time(m[3y]) > 5", "1m", "gauge: m, value: x", Verdict.UNSUPPORTED, None),
    ("m > 5", "3y", "gauge: m, value: x", Verdict.UNSUPPORTED, None),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("expr", "hold", "signal", "verdict", "confirmed"), FAR)
def test_rules_that_look_back_or_wait_for_days(
    prove: Prove, expr: str, hold: str, signal: str, verdict: Verdict, confirmed: bool | None
) -> None:
    result = prove(
        f'expr: "{expr}", for: {hold}',
        f"{SHARE}, for: {hold}, signal: [{{{signal}}}], situations: [{{name: low, expect: quiet, knob: 3}}, "
        "{name: high, expect: fires, alerts: [{}], knob: 8}]",
        interval="1m",
    )
    assert (result.verdict, result.confirmed) == (verdict, confirmed), result.reasons
    if verdict is Verdict.EXACT:
        assert result.measured.fires_after_ms == {"1m": 60_000, "1w": 604_800_000}[hold]
        assert result.measured.resolves_after_ms == 0
        assert all(one.ok for one in result.situations)


BURNS = (
    "{name: slow, interval: 3m, rules: [{record: 'burn:1d', expr: 'rate(bad[1d]) / rate(all[1d])'}]}",
    "{name: fast, rules: [{record: 'burn:6h', expr: 'rate(bad[6h]) / rate(all[6h])', labels: {of: a}}, "
    "{record: 'burn:6h', expr: 'rate(none[6h])', labels: {of: b}}]}",
)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("expr", "verdict", "confirmed"),
    [
        ("burn:1d > 0.02 and on () burn:6h > 0.02", Verdict.EXACT, True),
        ("burn:1d > 0.02 and on () burn:6h > 0.021", Verdict.OFF_THRESHOLD, True),
        # promtool would record as rarely as it looks, which is another average.
        pytest.param(
            "avg_over_time(burn:1d[2h]) > 0.02 and on () burn:6h", Verdict.EXACT, None, marks=pytest.mark.slow
        ),
        ("burn:1d offset 2d > 0.02", Verdict.EXACT, None),
        ("burn:1d > 0.02 and on () absent(burn:6h{of='a'} offset 1h)", Verdict.NEVER_FIRES, None),
    ],
)
def test_rules_that_look_back_for_days_through_what_is_recorded(
    prove: Prove, expr: str, verdict: Verdict, confirmed: bool | None
) -> None:
    """One world follows the other on the writer; what recording rules write at the end of one is not in the way."""
    result = prove(
        f'expr: "{expr}", for: 15m',
        "knob: {name: k, unit: '', range: [0, 1]}, op: '>', threshold: 0.02, for: 15m, "
        "signal: [{counter: bad, rate: x}, {counter: all, rate: 1}]",
        interval="1m",
        groups=BURNS,
    )
    assert (result.verdict, result.confirmed) == (verdict, confirmed), result.reasons


@pytest.mark.parametrize(
    ("rule", "contract", "verdict", "told"),
    [
        ("for: 6d", "for: 1w", Verdict.WRONG_HOLD, "fires 6d after"),
        ("for: 1w", "for: 10080m", Verdict.EXACT, ""),
        ("for: 1w, keep_firing_for: 2d", "for: 1w", Verdict.WRONG_HOLD, "resolves 2d after"),
    ],
)
def test_a_hold_of_days_is_measured_to_the_tick(
    prove: Prove, rule: str, contract: str, verdict: Verdict, told: str
) -> None:
    result = prove(f'expr: "m > 5", {rule}', f"{SHARE}, {contract}, signal: [{{gauge: m, value: x}}]", interval="1m")
    assert result.verdict is verdict
    assert told in "\n".join(result.reasons)


def test_labels_are_told_where_promtool_cannot_be_asked(prove: Prove) -> None:
    result = prove(
        'expr: "max_over_time(m[1w:1m]) > 5"',
        f"{SHARE}, identifies: {{job: other}}, signal: [{{gauge: 'm{{job=\"a\"}}', value: x}}]",
        interval="1m",
    )
    assert (result.verdict, result.confirmed) == (Verdict.WRONG_LABELS, None)
    assert "10,000 samples" in result.confirmed_reason


def test_what_a_long_window_saw_before_a_situation_counts(prove: Prove) -> None:
    """The average over 30 days of a knob that stood at 9 and moves to 0 a minute before the end is still 9."""
    result = prove(
        'expr: "avg_over_time(m[30d]) > 5"',
        f"{SHARE}, signal: [{{gauge: m, value: x}}], situations: [{{name: was high, expect: fires, alerts: [{{}}], "
        "knob: {0s: 9, 1m: 0}}, {name: was low, expect: quiet, knob: {0s: 1, 1m: 10}}]",
        interval="1m",
    )
    assert [(one.name, one.reason) for one in result.situations] == [("was high", ""), ("was low", "")]


# -- the moment at which it is looked at -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "signal", "verdict", "said"),
    [
        ("m offset 10m unless m", "gauge: m, value: 1, present: 'if(t < 1500, 1, x <= 5)'", Verdict.UNSUPPORTED, True),
        ("m > 5", "gauge: m, value: 'if(t < 1500, 0, x)'", Verdict.UNSUPPORTED, True),
        ("m > 5", "gauge: m, value: 'if(t < 1500, x, 0)'", Verdict.EXACT, True),
        # Over before the moment, or never a change at all.
        ("m > 5", "gauge: m, value: 'if(t < 20, 0, x)'", Verdict.EXACT, False),
        ("deriv(m[10m]) > 5", "gauge: m, value: x * t", Verdict.EXACT, False),
        ("m > 50", "gauge: m, value: x", Verdict.NEVER_FIRES, False),
    ],
)
def test_a_signal_that_changes_after_the_moment_is_told(
    prove: Prove, expr: str, signal: str, verdict: Verdict, said: bool
) -> None:
    result = prove(f'expr: "{expr}"', f"{SHARE}, signal: [{{{signal}}}]")
    assert result.verdict is verdict, result.reasons
    told = "\n".join([*result.reasons, *result.notes])
    assert ("the signal changes after the moment at which the boundary is taken" in told) is said
