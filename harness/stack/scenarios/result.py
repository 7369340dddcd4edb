"""What a played scenario did to the stack: what fired when, and what is to be thought of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from harness.live.model import BusyRun
from harness.stack.scenarios.load import RequestTally
from harness.stack.scenarios.scenario import Expectation, Scenario


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from its first active tick to its end, in milliseconds of world time since the scenario began."""

    alert: str
    labels: Mapping[str, str]
    pending_ms: int | None
    """None: the alert has no `for`, and fired on its first tick."""
    firing_ms: int | None
    """None: it was pending only."""
    ended_ms: int | None
    """The first tick without it; None: it was still active at the end."""


class Judgement(Enum):
    """One alert of a scenario."""

    AS_EXPECTED = "as expected"
    """It fired when it should."""
    DID_NOT_FIRE = "did not fire"
    FIRED_EARLY = "fired too early"
    FIRED_LATE = "fired too late"
    FIRED_AGAIN = "fired again"
    NOT_RESOLVED = "not resolved in time"
    UNEXPECTED = "fired unexpectedly"
    TOLERATED = "tolerated"
    """It fired, and the scenario says why that may be."""

    @property
    def ok(self) -> bool:
        return self in (Judgement.AS_EXPECTED, Judgement.TOLERATED)


@dataclass(frozen=True, slots=True)
class JudgedAlert:
    """An expectation, or an alert that fired without one, and what became of it."""

    alert: str
    labels: Mapping[str, str]
    judgement: Judgement
    expected: Expectation | None
    episodes: tuple[Episode, ...]
    because: str = ""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What a scenario did to the stack."""

    scenario: Scenario
    runtime: str
    factor: int
    seed: int
    began_s: float
    """Unix time of the scenario's moment 0."""
    ended_s: float
    judged: tuple[JudgedAlert, ...]
    episodes: tuple[Episode, ...]
    tally: RequestTally
    counted: int | None
    """What the service itself counted of our requests; None where it crashed and so began anew."""
    missed_ticks: int
    """Evaluations that Prometheus was too busy for."""
    late_answers: int = 0
    """Scrapes that ran into their time-out, which on a fast clock is a fraction of a second."""
    attempts: tuple[BusyRun, ...] = ()
    """Runs before this one that were not believed."""

    @property
    def busy(self) -> str:
        """How it shows that the machine was too busy for this clock; empty if it was not."""
        signs = []
        if self.missed_ticks:
            signs.append(f"Prometheus missed {self.missed_ticks} evaluations")
        if self.late_answers:
            signs.append(f"{self.late_answers} scrapes ran into their time-out")
        return " and ".join(signs)

    @property
    def miscounted(self) -> bool:
        """Whether the service's counters differ from the answers that we got."""
        return self.counted is not None and self.counted != self.tally.total

    @property
    def passed(self) -> bool:
        return all(judged.judgement.ok for judged in self.judged) and not self.miscounted
