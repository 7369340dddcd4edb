"""What a failed item shows: an aspect of an alert, told in the command line's words."""

from __future__ import annotations

from collections.abc import Sequence

from harness.proof import AlertResult
from harness.proof.model import AlertFinding
from harness.report.proof.aspects import aspect
from harness.report.wording import (
    contract_cell,
    finding_lines,
    fires_cell,
    hold_cell,
    one_line,
    place,
    quiet_cell,
    verdict_cell,
)


def reasons(result: AlertResult, name: str) -> list[AlertFinding]:
    """Why an aspect is not as meant; empty if it is. What was not measured is not as meant either."""
    told = aspect(result, name)
    if told.measured:
        return list(told.findings)
    why = result.reasons[0] if result.findings else verdict_cell(result)
    return [AlertFinding(result.verdict, f"not measured, because the alert is in error or has no boundary: {why}")]


def failure_text(result: AlertResult, aspect: str, why: Sequence[AlertFinding]) -> str:
    """What a failed item shows: each reason with what was measured, the contract, and the rule's place.

    The reason comes first, for pytest's summary shows one line.
    """
    lines = finding_lines(why, "    ")
    lines.append(f"  alert     {one_line(result.alert)}, {aspect}; verdict: {verdict_cell(result)}")
    if result.contract is not None:
        lines.append(f"  contract  {contract_cell(result)} ({result.contract.alert.span})")
    if result.measured.boundary is not None:
        held = f", for {hold_cell(result)}" if result.measured.fires_after_ms is not None else ""
        lines.append(f"  measured  quiet at {quiet_cell(result)}, fires at {fires_cell(result)}{held}")
    if result.located is not None:
        lines.append(f"  rule      {place(result)}")
        part = next((finding.span for finding in why if finding.expr and finding.span), None)
        shown = (part or result.located.rule.expr.span_at(0)).excerpt().splitlines()
        lines += shown if part is not None else shown[:1]  # a caret only where it points at what is wrong
    return "\n".join(lines)
