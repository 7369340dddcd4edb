"""What the strategies draw is what a Prometheus could have scraped, and it shrinks to something that reads well."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import find, given, settings

from harness.contracts import load_contracts
from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.errors import InputError
from harness.replay import EndlessSlotWriter, SlotWriter
from harness.rules import load_rules
from harness.series import STALE, is_stale
from harness.strategies import Trial, World, counters, gauges, histograms, pairs, positions, series, show
from harness.toolchain import Toolchain

ROOT = Path(__file__).resolve().parents[2]
UP = series("up", job="a")
quick = settings(max_examples=60, deadline=None)


def _forward(trace: Trace) -> bool:
    return all(a < b for a, b in pairwise(trace.times_ms)) and len(trace.times_ms) == len(trace.values)


@quick
@given(drawn=gauges(UP, every_ms=15_000, phase_ms=7_500))
def test_gauges_go_forward_on_their_grid(drawn: Trace) -> None:
    assert _forward(drawn)
    assert all((at - 7_500) % 15_000 == 0 for at in drawn.times_ms)


@quick
@given(drawn=counters(series("errors_total"), gaps=False))
def test_counters_fall_only_when_they_begin_again(drawn: Trace) -> None:
    assert _forward(drawn)
    assert all(value >= 0 for value in drawn.values)
    assert all(b >= a or b <= 100 for a, b in pairwise(drawn.values))


@quick
@given(drawn=histograms(series("h", job="a")))
def test_histograms_are_whole(drawn: list[Trace]) -> None:
    *buckets, count, total = drawn
    assert [dict(b.labels)["le"] for b in buckets] == ["0.1", "0.5", "1.0", "5.0", "+Inf"]
    for low, high in pairwise(buckets):
        assert all(a <= b for a, b in zip(low.values, high.values, strict=True))
    assert list(buckets[-1].values) == list(count.values)
    assert dict(total.labels)["__name__"] == "h_sum"


@pytest.mark.parametrize("resets", [True, False])
def test_resets_gaps_and_stale_markers_do_occur(resets: bool) -> None:
    falls: Callable[[Trace], bool] = lambda t: any(b < a for a, b in pairwise(t.values))  # noqa: E731
    if resets:
        assert list(find(counters(UP, gaps=False), falls).values) == [1.0, 0.0]
    stale = find(gauges(UP), lambda t: any(is_stale(v) for v in t.values))
    assert show([stale]) == 'up{job="a"}  0s stale'
    gap = find(gauges(UP, every_ms=1_000), lambda t: any(b - a > 1_000 for a, b in pairwise(t.times_ms)))
    assert show([gap]) == 'up{job="a"}  0s 0, 2s 0'


@quick
@given(drawn=pairs(Fraction(1, 5), 50, least=1))
def test_pairs_are_k_of_n(drawn: tuple[int, int]) -> None:
    k, n = drawn
    assert 1 <= n <= 50
    assert 0 <= k <= n


def test_pairs_shrink_to_the_smallest_at_the_share() -> None:
    assert find(pairs(Fraction(17, 20), 10_000, least=1), lambda p: p[0] * 20 == p[1] * 17) == (17, 20)


@pytest.fixture(scope="module")
def trial(shared_engine: Engine) -> Trial:
    files = load_rules([ROOT / "rules" / "system.yml"])
    contracts = load_contracts([ROOT / "rules" / "contracts" / "system.yml"])
    cpu = next(c for c in contracts if c.alert.value == "HighCPUUsage")
    return Trial(SlotWriter(shared_engine, start_ms=1_200_000_000_000), files, cpu)


def test_a_knob_without_steps(trial: Trial) -> None:
    """At every drawn double but the threshold's closest neighbours, where sums of rates may round."""
    blur = Fraction(1, 10**9)
    contract = trial.contract
    found = trial.disagreements(
        [x for x in (Fraction(i, 7) for i in range(700)) if abs(x - 80) > blur],
        trial.signal,
        lambda x: contract.op.holds(x, contract.threshold),
    )
    assert found == []
    assert find(positions(contract), lambda x: x < 80) < 80
    assert find(positions(contract), lambda x: True) == 80


# -- what is printed ---------------------------------------------------------------------------------------------

RULES = """\
groups:
  - name: alerts
    interval: 1m
    rules:
      - alert: High
        expr: {high}
        for: 5m
        labels: {{severity: page}}
        annotations: {{summary: "{{{{ $value }}}} in {{{{ $labels.job }}}}"}}
      - alert: Fast
        expr: {fast}
      - alert: Kept
        expr: level > 50
        keep_firing_for: 10m
"""
RECORDS = """\
groups:
  - name: records
    rules:
      - record: job:done:increase10m
        expr: sum by (job) (increase(done_total[10m]))
"""
CONTRACTS = "contracts:\n" + "".join(
    f"""\
  - alert: {name}
    means: m
    knob: {{name: level, range: [0, 100], step: 1, counts: points}}
    op: ">"
    threshold: 50
    scrape_interval: 1m
    signal: [{{gauge: 'level{{job="a"}}', value: x}}]
"""
    for name in ("High", "Fast", "Kept")
)
GOOD = {"high": "level > 50", "fast": "job:done:increase10m > 300"}
BAD = {"high": "level >= 50", "fast": "job:done:increase10m > 500"}


def trials(folder: Path, writer: EndlessSlotWriter, exprs: dict[str, str]) -> dict[str, Trial]:
    folder.mkdir()
    for name, text in (("a.yml", RULES.format(**exprs)), ("z.yml", RECORDS), ("c.yml", CONTRACTS)):
        (folder / name).write_text(text, encoding="utf-8")
    files = load_rules([folder / "z.yml", folder / "a.yml"])
    contracts = load_contracts([folder / "c.yml"])
    return {c.alert.value: Trial(writer, files, c, length_ms=20 * 60_000) for c in contracts}


def last_in_sight(trace: Trace, at_ms: int) -> float | None:
    """The value that an instant selector sees: the last sample less than five minutes old, if it does not end there."""
    seen = [(t, v) for t, v in zip(trace.times_ms, trace.values, strict=True) if at_ms - 300_000 < t <= at_ms]
    return None if not seen or is_stale(seen[-1][1]) else seen[-1][1]


def gauge_worlds() -> list[list[Trace]]:
    """Ends, gaps, jumps at the end (`0 … 0 9`), values at and beside the limit."""
    steady = [[value] * 21 for value in (49.0, 50.0, 51.0)]
    jumps = [[0.0] * 20 + [90.0], [90.0] * 20 + [0.0], [float(i) for i in range(40, 61)], [50.0] * 20 + [49.0]]
    short = [[90.0] * 14, [90.0] * 17, [90.0] * 19 + [STALE], [50.0] * 18]
    gaps = [Trace(series("level", job="a"), [m * 60_000 for m in (0, 3, 9, 16)], [90.0] * 4)]
    odd = [Trace(series("level", job="b"), [7_500 + 45_000 * i for i in range(26)], [50.0] * 25 + [60.0])]
    runs = [
        [Trace(series("level", job="a"), [60_000 * i for i in range(len(v))], v)] for v in [*steady, *jumps, *short]
    ]
    return [*runs, gaps, odd, [*gaps, *odd]]


@pytest.fixture(scope="module")
def printing(shared_engine: Engine) -> EndlessSlotWriter:
    return EndlessSlotWriter(shared_engine, start_ms=1_250_000_000_000)


def test_a_printed_test_passes_on_a_correct_rule_and_fails_on_a_wrong_one(
    printing: EndlessSlotWriter, tmp_path: Path, promtool_path: Path
) -> None:
    """Whatever the world is like: gauges are not continued, gaps and ends stay, labels and notes do not matter."""
    good, bad = (trials(tmp_path / n, printing, e) for n, e in (("good", GOOD), ("bad", BAD)))
    at_ms = good["High"].length_ms
    worlds = [
        World(i, world, any((last_in_sight(one, at_ms) or 0) > 50 for one in world))
        for i, world in enumerate(gauge_worlds())
    ]
    assert {one.fires for one in worlds} == {True, False}
    assert good["High"].holds([one.series for one in worlds]) == [one.fires for one in worlds]
    # A counter of 40 a minute for 20 minutes; one that restarts; one that ends; 300 and a little more in ten minutes.
    done = series("done_total", job="a")
    counted = [[40.0 * i for i in range(21)], [40.0 * (i % 11) for i in range(21)], [40.0 * i for i in range(12)]]
    counted += [[30.0 * i for i in range(21)], [31.0 * i for i in range(21)]]
    fires = [True, True, False, False, True]
    rates = [
        World(i, [Trace(done, [60_000 * k for k in range(len(values))], values)], is_so)
        for i, (values, is_so) in enumerate(zip(counted, fires, strict=True))
    ]
    assert good["Fast"].holds([one.series for one in rates]) == fires
    promtool = Promtool(promtool_path)

    def verdict(trial: Trial, one: World[int]) -> bool:
        file = tmp_path / "printed.test.yml"
        file.write_text(trial.as_promtool_test(one, tmp_path), encoding="utf-8")
        run = promtool.test_rules([file])
        assert run.returncode == 0 or all("ALERTS" in text for text in promtool.failures(run).other), run.stderr
        return run.returncode == 0

    for name, known in (("High", worlds), ("Fast", rates)):
        assert [verdict(good[name], one) for one in known] == [True] * len(known)
        wrong = [
            one
            for one, does in zip(known, bad[name].holds([w.series for w in known]), strict=True)
            if does is not one.fires
        ]
        assert len(wrong) >= 2
        assert [verdict(bad[name], one) for one in wrong] == [False] * len(wrong)


def test_promtool_is_asked_before_a_test_is_printed(
    printing: EndlessSlotWriter, tmp_path: Path, promtool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (good, bad) = (trials(tmp_path / n, printing, e)["High"] for n, e in (("good", GOOD), ("bad", BAD)))
    world = World("at the limit", gauge_worlds()[1], False)
    text = bad.explain(world)
    assert text.startswith("High must stay quiet, but fires, for 'at the limit' (")
    assert "As a promtool unit test, which fails with the rule as it is (promtool " in text
    # A disagreement that is none: promtool says so.
    assert "(promtool does not confirm it: with the rule as it is, it passes)" in good.explain(world)
    monkeypatch.setattr(Toolchain, "locate", lambda *_: None)
    for trial in (good, bad):
        trial._promtool = None
    assert "(not confirmed: promtool is not here)" in bad.explain(world)


def test_a_rule_that_keeps_firing_has_no_test_of_being_quiet(printing: EndlessSlotWriter, tmp_path: Path) -> None:
    trial = trials(tmp_path / "good", printing, GOOD)["Kept"]
    text = trial.explain(World(0, gauge_worlds()[0], False))
    assert "cannot say so: the alert may still fire from before, for it keeps firing for 10m." in text
    assert "rule_files" not in text
    assert "rule_files" in trial.explain(World(0, gauge_worlds()[0], True))


def test_a_given_that_is_not_there(trial: Trial) -> None:
    with pytest.raises(InputError, match="the contract gives no `cameras`"):
        trial.signal(Fraction(1), cameras=3)
