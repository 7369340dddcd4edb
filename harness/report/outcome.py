"""What one run of a command found: the stream that every document is written from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.proof.model import AlertResult
from harness.suites.model import Report

if TYPE_CHECKING:
    from harness.live.model import LiveReport
    from harness.slo.report import SloReport
    from harness.stack.run import ScenarioResult


@dataclass(frozen=True, slots=True)
class Proved:
    """The alerts of one proof, and the engine that it ran on."""

    results: Sequence[AlertResult]
    engine: str
    version: str
    seconds: Mapping[int, float] = field(default_factory=dict)
    """By `id` of a result: how long it took to measure."""

    @property
    def exact(self) -> int:
        return sum(result.exact for result in self.results)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A proof, a run of unit tests, a live run, a played scenario; None is "not part of this run"."""

    proof: Proved | None = None
    suites: Report | None = None
    live: LiveReport | None = None
    scenario: ScenarioResult | None = None
    objectives: SloReport | None = None
    problems: Sequence[str] = ()
    """What else a run found wrong (promtool's lint), one line each."""

    @property
    def good(self) -> bool:
        return all(
            (
                self.proof is None or (bool(self.proof.results) and self.proof.exact == len(self.proof.results)),
                self.suites is None or self.suites.passed,
                self.live is None or self.live.exact,
                self.scenario is None or self.scenario.passed,
                self.objectives is None or not self.objectives.defective,
                not self.problems,
            )
        )


class Stopwatch:
    """Seconds from one result to the next, by `id` of the result."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._last = time.monotonic()

    def lap(self, result: AlertResult) -> None:
        """A result is there."""
        now = time.monotonic()
        self.seconds[id(result)] = now - self._last
        self._last = now
