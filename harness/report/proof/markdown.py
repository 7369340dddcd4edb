"""The proof as a Markdown table, for CI logs and pull requests."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from harness.proof.model import AlertResult
from harness.report.wording import HEADER, one_line, place, row, summary


def proof_markdown(results: Sequence[AlertResult], engine: str, version: str) -> str:
    """Table, then the reasons of every alert that is not exact, then one line of summary."""
    rows = [[escape_markdown(cell) for cell in row(result)] for result in results]
    parts = [tabulate(rows, headers=HEADER, tablefmt="github", disable_numparse=True)]
    for result in results:
        if result.findings or result.notes:
            parts.append(f"**{escape_markdown(result.alert)}** ({escape_markdown(place(result))})\n")
            aside = [] if result.allowed is None else [f"set aside: {result.allowed}"]
            said = [*aside, *(finding.text for finding in result.findings), *(f"note: {note}" for note in result.notes)]
            parts[-1] += "".join(f"\n- {escape_markdown(text)}" for text in said)
    parts.append(summary(results, engine, version))
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    """Neither a label nor a file name may end a cell or open a tag."""
    text = one_line(text)
    for char, safe in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("|", "\\|"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("](", "]\\("),
        ("*", "\\*"),
        ("`", "'"),
    ):
        text = text.replace(char, safe)
    return text
