"""The start of a project."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.text import Text

from harness.errors import EXIT_INPUT, EXIT_OK
from harness.init import init as start_project
from harness.report.terminal import console
from harness.report.wording import one_line
from harness.source import display_path
from harness.units import count_of


def run(folder: Path) -> int:
    """Write the start of a project, and say what was written, what was there, and what to do next; 2 if there are
    rules that are wrong."""
    start = start_project(folder)
    out = console()
    for file in start.written:
        what = ("wrote", "green") if file.new else ("kept", "dim")
        note = "" if file.new else ", which was there"
        out.print(
            Text.assemble((f"{what[0]:>6}", what[1]), f"  {one_line(display_path(file.path))}{note}"), soft_wrap=True
        )
    out.print()
    out.print(
        Text(
            f"{count_of(start.alerts, 'alert')} found. The contracts are drafts: confirm or correct what says "
            "`confirm:`, take `draft: true` away, then run alert-harness prove."
        ),
        soft_wrap=True,
    )
    for fault in start.faults:
        print(f"alert-harness: {fault}", file=sys.stderr)
    return EXIT_INPUT if start.faults else EXIT_OK
