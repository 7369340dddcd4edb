"""The proof as a Markdown table, for CI logs and pull requests."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from harness.proof.report import ProofReport
from harness.report.markdown import escape_markdown, told_markdown
from harness.report.section import Section
from harness.report.wording import HEADER, row, summary


def proof_markdown(report: ProofReport, sections: Sequence[Section]) -> str:
    """Table, then what `sections` (those of the whole run) have to tell, then one line of summary."""
    rows = [[escape_markdown(cell) for cell in row(result)] for result in report.results]
    table = tabulate(rows, headers=HEADER, tablefmt="github", disable_numparse=True)
    parts = [table, *told_markdown(sections), summary(report.results, report.engine, report.version)]
    return "\n\n".join(parts) + "\n"
