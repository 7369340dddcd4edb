"""What of the alerts nobody has said or confirmed, for the page's list of what is untested."""

from __future__ import annotations

from harness.proof.model import Verdict
from harness.proof.report import ProofReport
from harness.report.wording import place


def untested(report: ProofReport) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(what is missing, of which alerts); the alerts may be none."""
    results = report.results
    return (
        (
            "Alerts that no contract speaks of",
            tuple(f"{r.alert} ({place(r)})" for r in results if r.verdict is Verdict.UNEXPECTED),
        ),
        (
            "Contracts that still are drafts, written from the rule by `init`",
            tuple(r.alert for r in results if r.contract is not None and r.contract.draft),
        ),
        (
            "Contracts that name no situation",
            tuple(r.alert for r in results if r.contract is not None and not r.contract.situations),
        ),
    )
