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
from harness.replay import Tape
from harness.rules import load_rules
from harness.series import is_stale
from harness.strategies import Trial, World, counters, gauges, histograms, pairs, positions, series, show

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
    return Trial(Tape(shared_engine, start_ms=1_200_000_000_000), files, cpu)


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


def test_the_printed_test_is_one_that_promtool_runs(trial: Trial, tmp_path: Path, promtool_path: Path) -> None:
    """It passes where rule and oracle agree, and fails where they do not."""
    promtool = Promtool(promtool_path)
    for x, fires in ((90, True), (70, False)):
        file = tmp_path / f"{x}.test.yml"
        world = World(x, trial.signal(Fraction(x)), fires)
        file.write_text(trial.as_promtool_test(world, tmp_path), encoding="utf-8")
        run = promtool.test_rules([file])
        got = promtool.failures(run)
        # Annotations are not the oracle's to say, so a firing alert differs in them at most.
        assert [len(failure.got) for failure in got.alerts] == ([1] if fires else [])
        file.write_text(trial.as_promtool_test(World(x, world.series, not fires), tmp_path), encoding="utf-8")
        assert promtool.test_rules([file]).returncode == 1


def test_a_given_that_is_not_there(trial: Trial) -> None:
    with pytest.raises(InputError, match="the contract gives no `cameras`"):
        trial.signal(Fraction(1), cameras=3)
