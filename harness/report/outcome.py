"""What one run of a command found: the stream that every document is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import EXIT_ENGINE, EXIT_FINDINGS, EXIT_OK
from harness.proof.model import AlertResult, Verdict
from harness.suites.model import SuiteReport

if TYPE_CHECKING:
    from harness.alertmanager.unused import UnusedPart
    from harness.live.model import LiveReport
    from harness.slo.budget.report import SloReport
    from harness.stack.run import ScenarioResult


@dataclass(slots=True)
class Proved:
    """The alerts of one proof, and the engine that it ran on."""

    results: list[AlertResult]
    engine: str
    version: str
    complete: bool = True
    """False if the run was interrupted: there are alerts that it did not come to."""
    warnings: Sequence[UnusedPart] | None = None
    """What of the Alertmanager file does nothing; None: nobody looked."""

    @property
    def exact(self) -> int:
        return sum(result.exact for result in self.results)

    @property
    def drafts(self) -> int:
        return sum(result.verdict is Verdict.DRAFT for result in self.results)

    @property
    def good(self) -> bool:
        """Whether there are alerts and each is exact, or set aside with a reason."""
        return self.complete and bool(self.results) and all(result.accepted for result in self.results)

    @property
    def exit_code(self) -> int:
        """By the table of exit codes: an `error` first, then whatever else is not as meant."""
        if any(result.verdict is Verdict.ERROR and not result.accepted for result in self.results):
            return EXIT_ENGINE
        return EXIT_OK if self.good else EXIT_FINDINGS


@dataclass(frozen=True, slots=True)
class Outcome:
    """A proof, a run of unit tests, a live run, a played scenario; None is "not part of this run"."""

    proof: Proved | None = None
    suites: SuiteReport | None = None
    live: LiveReport | None = None
    scenario: ScenarioResult | None = None
    objectives: SloReport | None = None
    problems: Sequence[str] = ()
    """What else a run found wrong (promtool's lint), one line each."""
    warnings: Sequence[UnusedPart] = ()
    """Parts of the Alertmanager file that do nothing; they make no run fail."""

    @property
    def good(self) -> bool:
        return all(
            (
                self.proof is None or self.proof.good,
                self.suites is None or self.suites.passed,
                self.live is None or self.live.exact,
                self.scenario is None or self.scenario.passed,
                self.objectives is None or not self.objectives.defective,
                not self.problems,
            )
        )
