"""Native histograms: as written, as Prometheus reads them, and rules over them against contracts."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from harness.contracts import Contract, load_contracts
from harness.contracts.world import Scrapes, traces
from harness.engines import Engine, Samples
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.errors import UnsupportedError
from harness.proof import Proof, Verdict
from harness.rules import load_rules
from harness.series import STALE, NativeHistogram, labels_of

CONTRACT = """\
contracts:
  - alert: Slow
    means: m
    knob: {name: P95, unit: s, range: [0, 5]}
    op: ">"
    threshold: 0.4
    for: 2m
    signal:
      - native_histogram: h{job="api"}
        rate: 10
        buckets: [0.1, 0.25, 0.5, 1]
        quantile: {q: 95/100, at: x}
"""
RULE = "groups: [{{name: g, interval: 1m, rules: [{{alert: Slow, expr: '{expr}', for: 2m}}]}}]"
T0 = 1_000_000_020_000


@pytest.fixture(scope="module")
def engine(prometheus_path: Path) -> Iterator[Engine]:
    with ProcessEngine(prometheus_path) as engine:
        if engine.version.startswith("2."):
            pytest.skip("Prometheus 2 has no native histograms with bounds of their own")
        yield engine


def contract(folder: Path) -> Contract:
    (folder / "c.yml").write_text(CONTRACT, encoding="utf-8")
    return load_contracts([folder / "c.yml"])[0]


def test_it_holds_what_the_classic_histogram_of_the_same_contract_holds(tmp_path: Path) -> None:
    native = contract(tmp_path).signal
    (tmp_path / "c.yml").write_text(CONTRACT.replace("native_histogram", "histogram"), encoding="utf-8")
    classic = load_contracts([tmp_path / "c.yml"])[0].signal
    scrapes, knob = Scrapes.regular(30_000, 300_000), ((0, Fraction(2, 5)), (120_000, Fraction(3)))
    (one,) = traces(native, knob, scrapes)
    *buckets, count, total = traces(classic, knob, scrapes)
    assert dict(one.labels) == {"__name__": "h", "job": "api"}
    for i, sample in enumerate(one.values):
        assert isinstance(sample, NativeHistogram)
        assert sample.bounds == (0.1, 0.25, 0.5, 1.0)
        assert (float(sample), sample.total) == (count.values[i], total.values[i])
        cumulated = [sum(sample.counts[: k + 1]) for k in range(5)]
        assert cumulated == pytest.approx([bucket.values[i] for bucket in buckets], rel=1e-12)


def test_prometheus_reads_what_was_written(engine: Engine) -> None:
    engine.reset()
    times = [T0 + 30_000 * i for i in range(12)]
    made = [NativeHistogram(10.0 * n, (0.5, 1.0), (2.0 * n, 6.0 * n, 2.0 * n), 7.5 * n) for n in range(1, 12)]
    engine.write([Samples(labels_of("h", {"job": "a"}), times, [*made, STALE])])

    def value(expr: str, at: int) -> list[float]:
        return [series.values[0] for series in engine.query(expr, times[at])]

    assert value("histogram_count(h)", 4) == [50.0]
    assert value("histogram_sum(h)", 4) == [37.5]
    assert value("histogram_quantile(0.5, h)", 4) == [0.75]  # the middle of the middle bucket
    assert value("histogram_fraction(0, 0.5, h)", 4) == [0.2]
    assert value("count(h)", 11) == []  # the stale marker ends it


@pytest.mark.parametrize(
    ("expr", "verdict"),
    [
        ("histogram_quantile(0.95, sum(rate(h[5m]))) > 0.4", Verdict.EXACT),
        ("histogram_quantile(0.95, sum(rate(h[5m]))) > 0.5", Verdict.OFF_THRESHOLD),
        ("histogram_quantile(0.5, sum(rate(h[5m]))) > 0.4", Verdict.OFF_THRESHOLD),
        ("histogram_quantile(0.95, sum(rate(h[5m]))) < 0.4", Verdict.WRONG_COMPARISON),
        ("histogram_quantile(0.95, sum by (le) (rate(h_bucket[5m]))) > 0.4", Verdict.NEVER_FIRES),
        ("histogram_count(rate(h[5m])) < 5", Verdict.NEVER_FIRES),
    ],
)
def test_rules_over_them(expr: str, verdict: Verdict, tmp_path: Path, engine: Engine, promtool_path: Path) -> None:
    engine.reset()
    (tmp_path / "r.yml").write_text(RULE.format(expr=expr), encoding="utf-8")
    proof = Proof(load_rules([tmp_path / "r.yml"]), [contract(tmp_path)], engine, Promtool(promtool_path))
    (result,) = proof.run(tmp_path / "emitted" if verdict is Verdict.EXACT else None)
    assert result.verdict is verdict, result.reasons
    assert result.confirmed is (None if verdict is Verdict.NEVER_FIRES else True), result.notes


def test_an_older_prometheus_is_told_apart(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", "2.53.3")
    series = Samples(labels_of("h", {}), [T0], [NativeHistogram(1.0, (0.5,), (1.0, 0.0), 0.25)])
    with pytest.raises(UnsupportedError, match=r"\(2\.53\.3\) does not know native histograms"):
        engine.write([series])
