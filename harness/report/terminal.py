"""What every command prints alike: a plain or coloured console, progress, and what sections say of their subjects."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

from harness.errors import printable
from harness.report.section import Section
from harness.report.wording import one_line

STYLES = {"good": "green", "warn": "yellow", "bad": "red", "soft": "dim"}
"""The colours of tones."""
_MOST_REASONS = 4
_MOST_LETTERS = 80


class _PrintableConsole(Console):
    """Styles its own text, and obeys nobody else's: what rules and servers say reaches the terminal as text only."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def shortened(text: str) -> str:
    """At most a table cell's worth of a name that somebody made too long; documents carry all of it."""
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def console(stream: IO[str] | None = None) -> Console:
    """A console that is plain where it is no terminal (rich honours NO_COLOR itself)."""
    target = stream or sys.stdout
    width = None if target.isatty() else 200
    return _PrintableConsole(file=target, highlight=False, soft_wrap=False, width=width, legacy_windows=False)


@contextmanager
def watching(total: int, what: str, out: Console | None = None) -> Iterator[Callable[[str], None]]:
    """A progress bar over `total` steps, each told by name, below what is printed to `out` meanwhile.

    Silent off a terminal.
    """
    err = _PrintableConsole(file=sys.stderr, highlight=False)
    # On the same terminal as what is printed, else they would write over each other.
    target = out if out is not None and out.is_terminal else err
    if not target.is_terminal or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    bar = Progress(
        BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=target, transient=True, refresh_per_second=8, redirect_stdout=False, redirect_stderr=err.is_terminal,
    )  # fmt: skip
    task = bar.add_task(what, total=total)
    with bar:
        yield lambda name: bar.update(task, advance=1, description=f"{what} {escape(shortened(one_line(name)))}")


@contextmanager
def narrating(what: str, *, aloud: bool = True) -> Iterator[Callable[[str], None]]:
    """Tell what goes on, on standard error: the latest line beside a clock on a terminal, every line elsewhere.

    With `aloud` false it is silent off a terminal, for commands that print a line of their own for each step.
    """
    err = _PrintableConsole(file=sys.stderr, highlight=False)
    if not err.is_terminal or os.environ.get("TERM") == "dumb":

        def line_by_line(line: str) -> None:
            if aloud:
                print(f"{what}: {printable(one_line(line))}", file=sys.stderr, flush=True)

        yield line_by_line
        return
    bar = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True)
    task = bar.add_task(what, total=None)
    with bar:
        yield lambda line: bar.update(task, description=f"{escape(shortened(what))}: {escape(one_line(line))}")


def indented(out: Console, text: Text, by: int) -> None:
    """On a terminal also where it wraps; elsewhere lines stay whole, for grep."""
    if out.is_terminal:
        out.print(Padding(text, (0, 0, 0, by)))
        return
    for line in text.split(allow_blank=True):
        out.print(Text.assemble(" " * by, line), soft_wrap=True)


def tell_findings(section: Section, out: Console) -> None:
    """Print what is said of each subject that has a verdict, then the notes. What concerns no single subject (an
    interrupt, input that is left out) is told by its command.
    """
    subjects = [group for group in section.groups if group.verdict]
    for group in subjects:
        if not group.findings:
            continue
        out.print()
        where = f"  {group.place}" if group.place else ""
        subject = (shortened(one_line(group.name)), "bold")
        out.print(Text.assemble(subject, "  ", (group.verdict, STYLES[group.tone]), where))
        if group.allowed:
            indented(out, Text(f"set aside: {one_line(group.allowed)}"), 2)
        for finding in group.findings[:_MOST_REASONS]:
            indented(out, Text(f"- {finding.message}"), 2)
            for part in finding.parts:
                indented(out, Text(part, style="dim"), 4)
        if len(group.findings) > _MOST_REASONS:
            out.print(Text(f"  - and {len(group.findings) - _MOST_REASONS} more reasons (all of them: --json -)"))
    notes = [(group.name, note) for group in subjects for note in group.notes]
    if notes:
        out.print()
        for name, note in notes:
            out.print(Text(f"note: {shortened(one_line(name))}: {note}", style="dim"))
