"""Three of our own alerts agree with exact rational arithmetic on every (k, n): thousands of them a query.

Why they can: each rule compares 100 * k / n with a whole limit L (5, 20, 85), and means k/n > L/100. 100 * k is a
multiple of 4, so it is a double while 25 * k < 2^53. The division is rounded correctly, so it can err only by rounding
a quotient onto L. At k/n = L/100 the quotient is L itself. Elsewhere |100 * k - L * n| is a multiple of 5 and not 0, so
the quotient is 5/n or more away from L, while half a unit in the last place beside L is at most 2^-47: nothing rounds
onto L while n < 5 * 2^47. For k <= n both hold up to n = 2^53 / 25, some 3.6 * 10^14: 360 TB of memory. Beyond, 100 * k
itself rounds; `test_where_exactness_ends` has the first number of cameras of which that shows.

HighErrorRate divides rates. Over 30 s scrapes rate() multiplies the increase in 270 s by (300 / 270) / 300 as doubles,
which is 1/270 * (1 + d) with |d| < 2^-54 (`test_the_factor_of_rate`), so a rate of few bits comes out exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.contracts.world import Trace
from harness.engines.base import Engine
from harness.replay import SlotWriter
from harness.rules import load_rules
from harness.strategies import Disagreement, Trial, pairs

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {
    "HighCameraOfflineRate": ("cameras", Fraction(1, 5)),
    "HighMemoryUsage": ("total", Fraction(17, 20)),
    "HighErrorRate": ("requests", Fraction(1, 20)),
}
EXACT_UP_TO = 2**53 // 25
FIRST_INEXACT = 360_287_970_189_643
Pair = tuple[int, int]


@pytest.fixture(scope="module")
def trial(shared_engine: Engine) -> Callable[[str], Trial]:
    writer = SlotWriter(shared_engine)
    files = load_rules(sorted((ROOT / "rules").glob("*.yml")))
    contracts = {c.alert.value: c for c in load_contracts(sorted((ROOT / "rules" / "contracts").glob("*.yml")))}
    return lambda name: Trial(writer, files, contracts[name])


def world_of(trial: Trial, name: str) -> Callable[[Pair], Sequence[Trace]]:
    given, _ = LIMITS[name]

    def world(pair: Pair) -> Sequence[Trace]:
        k, n = pair
        return trial.signal(Fraction(100 * k, n) if n else Fraction(0), **{given: n})

    return world


def oracle_of(name: str) -> Callable[[Pair], bool]:
    """k of n is too many: k/n > share, in whole numbers. Of nothing (n = 0) nothing is too many."""
    _, share = LIMITS[name]
    return lambda pair: pair[0] * share.denominator > pair[1] * share.numerator


@pytest.mark.parametrize("name", LIMITS)
def test_every_k_of_every_n_up_to_eighty(trial: Callable[[str], Trial], name: str) -> None:
    on_trial = trial(name)
    examples = [(k, n) for n in range(81) for k in range(n + 1)]
    on_trial.agrees(examples, world_of(on_trial, name), oracle_of(name))
    assert len(examples) > 3_000
    assert on_trial.queries == 1


@pytest.mark.parametrize("name", LIMITS)
def test_at_and_beside_the_limit_for_every_n(trial: Callable[[str], Trial], name: str) -> None:
    """The last quiet and the first firing k of 1,000 sizes, up to thousands, and the limit itself where it is whole."""
    on_trial = trial(name)
    _, share = LIMITS[name]
    examples = [(k, n) for n in range(81, 6_000, 13) for k in (int(n * share), int(n * share) + 1)]
    examples += [(int(n * share), n) for n in range(20, 20_000, 200)]
    on_trial.agrees(examples, world_of(on_trial, name), oracle_of(name))
    assert {oracle_of(name)(pair) for pair in examples} == {True, False}


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("HighCameraOfflineRate", EXACT_UP_TO),
        ("HighMemoryUsage", EXACT_UP_TO),
        ("HighErrorRate", 10**6),
    ],
)
def test_drawn_pairs_of_any_size(trial: Callable[[str], Trial], name: str, most: int) -> None:
    on_trial = trial(name)
    _, share = LIMITS[name]
    on_trial.agrees_on(pairs(share, most), world_of(on_trial, name), oracle_of(name), examples=600)


def test_the_factor_of_rate() -> None:
    """Half a unit in the last place of a mantissa below 2^53 is more than mantissa × d: the product rounds back."""
    d = Fraction((300.0 / 270.0) / 300.0) * 270 - 1
    assert abs(d) < Fraction(1, 2**54)


def test_where_exactness_ends(trial: Callable[[str], Trial]) -> None:
    """The first n at which the camera rule fires at exactly 20 %: 100 * k no longer fits a double and rounds up."""
    first = next(k for k in range(EXACT_UP_TO, EXACT_UP_TO + 100) if 100.0 * float(k) / float(5 * k) > 20)
    on_trial = trial("HighCameraOfflineRate")
    world, oracle = world_of(on_trial, "HighCameraOfflineRate"), oracle_of("HighCameraOfflineRate")
    (wrong,) = on_trial.disagreements([(first - 1, 5 * (first - 1)), (first, 5 * first)], world, oracle)
    assert wrong.example == (first, 5 * first)
    assert first == FIRST_INEXACT
    assert not wrong.fires


def test_a_rule_that_is_off_by_one_camera_is_caught_and_shrunk(trial: Callable[[str], Trial]) -> None:
    """A check is worth something once it was seen to fail: `>=` differs only where k/n is exactly the limit."""
    on_trial = trial("HighCameraOfflineRate")
    world = world_of(on_trial, "HighCameraOfflineRate")
    with pytest.raises(Disagreement, match=r"must fire, but stays quiet, for \(1, 5\)") as caught:
        on_trial.agrees_on(pairs(Fraction(1, 5), 10_000, least=1), world, lambda p: 5 * p[0] >= p[1], examples=200)
    assert "exp_samples: [{labels: '{}', value: 1}]" in str(caught.value)
