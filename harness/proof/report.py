"""A whole proof: the results of its alerts, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass

from harness.proof.model import AlertResult, Verdict


@dataclass(slots=True)
class ProofReport:
    """The alerts of one proof, and the engine that it ran on; it grows while the proof runs."""

    results: list[AlertResult]
    engine: str
    """``process``, ``docker`` or ``url``."""
    version: str
    """Of its Prometheus."""
    complete: bool = True
    """False if the run was interrupted: there are alerts that it did not come to."""

    @property
    def exact(self) -> int:
        return sum(result.exact for result in self.results)

    @property
    def drafts(self) -> int:
        return sum(result.verdict is Verdict.DRAFT for result in self.results)
