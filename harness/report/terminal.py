"""The proof on a terminal: progress while it runs, then a table and the reasons; plain text anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from harness.errors import printable
from harness.proof.model import AlertResult, Verdict
from harness.report.wording import HEADER, one_line, place, row, verdict_cell

_COLOURS = {Verdict.EXACT: "green", Verdict.UNEXPECTED: "yellow", Verdict.DRAFT: "yellow"}
_MOST_REASONS = 4
_MOST_LETTERS = 80
_NUMBERS = ("last quiet", "first firing", "off by", "hold", "situations")


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


@dataclass(frozen=True, slots=True)
class Watch:
    """What is told to somebody who watches: each step by name, and each result as soon as it is measured."""

    step: Callable[[str], None]
    result: Callable[[AlertResult], None]


@contextmanager
def watching(total: int, what: str) -> Iterator[Watch]:
    """A progress bar over `total` steps with the table of results growing above it. Silent off a terminal."""
    err = _PrintableConsole(file=sys.stderr, highlight=False)
    if not err.is_terminal or os.environ.get("TERM") == "dumb":
        yield Watch(lambda _: None, lambda _: None)
        return
    bar = Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err)
    task = bar.add_task(what, total=total)
    results: list[AlertResult] = []
    with Live(bar, console=err, transient=True, refresh_per_second=8) as live:

        def step(name: str) -> None:
            bar.update(task, advance=1, description=f"{what} {escape(shortened(one_line(name)))}")

        def add(result: AlertResult) -> None:
            results.append(result)
            live.update(Group(_table(results), bar))

        yield Watch(step, add)


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


def _table(results: Sequence[AlertResult]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in HEADER:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for result in results:
        cells = [Text(shortened(cell)) for cell in row(result)]
        cells[-1].stylize(_COLOURS.get(result.verdict, "red"))
        table.add_row(*cells)
    return table


def proof_table(results: Sequence[AlertResult], out: Console) -> None:
    """Print the table, then what is wrong with whom, then notes."""
    out.print(_table(results))
    for result in results:
        if not result.findings:
            continue
        out.print()
        style = _COLOURS.get(result.verdict, "red")
        out.print(
            Text.assemble(
                (shortened(one_line(result.alert)), "bold"), "  ", (verdict_cell(result), style), f"  {place(result)}"
            )
        )
        for finding in result.findings[:_MOST_REASONS]:
            out.print(Padding(Text(f"- {finding.message}"), (0, 0, 0, 2)))
            for part in finding.details:
                out.print(Padding(Text(part, style="dim"), (0, 0, 0, 4)))
        if len(result.findings) > _MOST_REASONS:
            out.print(Text(f"  - and {len(result.findings) - _MOST_REASONS} more reasons (all of them: --json -)"))
    notes = [(result.alert, note) for result in results for note in result.notes]
    if notes:
        out.print()
        for alert, note in notes:
            out.print(Text(f"note: {shortened(one_line(alert))}: {note}", style="dim"))
