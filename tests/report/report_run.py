"""A run as the tests of reports have it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.proof.report import ProofReport
from harness.report.section import Section, section_of
from harness.suites.model import SuiteReport


@dataclass(frozen=True)
class Run:
    """What a run of `verify` has at least: a proof, and unit tests."""

    proof: ProofReport
    suites: SuiteReport

    @property
    def sections(self) -> list[Section]:
        return [section_of(self.proof), section_of(self.suites)]
