"""Replay is Prometheus: random rule files in random worlds, the same alerts at every tick from promtool."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.replay import SlotWriter
from tests.replay.replay_examples import Account, Example, difference, examples, judged, refuses, replayed

_SHRINK_S = 30
"""After so long the smallest failing example so far has to do."""


class Judges:
    """Replay and promtool side by side, on one engine and one writer."""

    def __init__(self, prometheus: Path, promtool: Path, folder: Path) -> None:
        self._engine = ProcessEngine(prometheus)
        self._writer = SlotWriter(self._engine)
        self._promtool = Promtool(promtool)
        self._folder = folder

    def close(self) -> None:
        self._engine.close()

    def differences(self, batch: list[Example]) -> tuple[list[str], list[Account]]:
        """How each example differs (empty if it does not), and promtool's accounts of those that can be evaluated."""
        ours = replayed(self._engine, self._writer, self._folder, batch)
        told = [example for example, found in zip(batch, ours, strict=True) if isinstance(found, dict)]
        accounts = judged(self._promtool, self._folder, told)
        theirs = iter(accounts)
        texts = []
        for example, found in zip(batch, ours, strict=True):
            if found is None:
                texts.append("")
            elif not isinstance(found, str):
                texts.append(difference(example, found, next(theirs)))
            else:
                refused = refuses(self._promtool, self._folder, example)
                texts.append("" if refused else f"promtool evaluates it, replay says: {found}")
        return texts, accounts


@pytest.fixture
def judges(prometheus_path: Path, promtool_path: Path, tmp_path: Path) -> Iterator[Judges]:
    found = Judges(prometheus_path, promtool_path, tmp_path)
    yield found
    found.close()


def _draw(count: int, seed: int) -> list[Example]:
    """The examples that hypothesis would try one by one, all at once."""
    drawn: list[Example] = []

    def collect(example: Example) -> bool:
        drawn.append(example)
        return False

    with pytest.raises(NoSuchExample):
        find(examples(), collect, settings=_settings(count), random=Random(seed))
    return drawn


def _settings(count: int) -> settings:
    return settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def _check(judges: Judges, count: int, seed: int) -> list[Account]:
    """Compare `count` examples; the first that differs is shrunk and printed as a promtool test."""
    batch = _draw(count, seed)
    assert len(batch) >= count
    differences, accounts = judges.differences(batch)
    if not any(differences):
        return accounts
    known = {str(example): bool(text) for example, text in zip(batch, differences, strict=True)}

    deadline = time.monotonic() + _SHRINK_S

    def differs(example: Example) -> bool:
        name = str(example)
        if name not in known:
            if time.monotonic() > deadline:
                return False
            known[name] = bool(judges.differences([example])[0][0])
        return known[name]

    smallest = find(examples(), differs, settings=_settings(count), random=Random(seed))
    (text,), _ = judges.differences([smallest])
    pytest.fail(
        f"{sum(map(bool, differences))} of {len(batch)} examples (seed {seed}) differ; the smallest:\n\n"
        f"{smallest}\n{text}",
        pytrace=False,
    )


def _is_telling(account: Account) -> set[str]:
    return {state for seen in account.values() for state, _, _ in seen}


def test_a_hundred_examples(judges: Judges) -> None:
    accounts = _check(judges, 100, seed=1)
    # Lest they agree about nothing at all.
    assert sum("firing" in _is_telling(account) for account in accounts) >= 30
    assert sum("pending" in _is_telling(account) for account in accounts) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_two_thousand_examples(judges: Judges, seed: int) -> None:
    _check(judges, 200, seed)
