"""The proof on a terminal: each row as it is known, progress below, then the reasons; plain text anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

from harness.errors import printable
from harness.proof.model import AlertResult, Verdict
from harness.proof.pairing import Pairing
from harness.report.wording import HEADER, expected_widths, one_line, place, row, verdict_cell

_COLOURS = {Verdict.EXACT: "green", Verdict.UNEXPECTED: "yellow", Verdict.DRAFT: "yellow"}
_MOST_REASONS = 4
_MOST_LETTERS = 80
_WIDEST_VERDICT = 17
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


class ProofTable:
    """The table of a proof, printed row by row: each result as soon as it is known.

    The columns are as wide as the contracts let expect. On a terminal that is narrower a result is two lines.
    """

    def __init__(self, pairings: Sequence[Pairing], out: Console) -> None:
        self._out = out
        self._widths = expected_widths(pairings)
        self._narrow = sum(self._widths) + 2 * len(self._widths) + _WIDEST_VERDICT > out.width
        self._begun = False

    def add(self, result: AlertResult) -> None:
        cells = [shortened(cell) for cell in row(result)]
        style = style_of(result)
        if self._narrow:
            name, *middle, verdict = cells
            said = ", ".join(f"{what} {cell}" for what, cell in zip(HEADER[1:-1], middle, strict=True) if cell != "–")
            self._print(Text.assemble((verdict, style), "  ", (name, "bold")))
            self._print(Text(f"    {said}"))
            return
        if not self._begun:
            self._begun = True
            self._print(Text(self._line(HEADER), style="bold"))
        line = self._line(cells)
        at = len(line) - len(cells[-1])
        self._print(Text.assemble(line[:at], (line[at:], style)))

    def _line(self, cells: Sequence[str]) -> str:
        """Each cell in its column; one that is wider than expected takes the room from those behind it."""
        line, column = "", 0
        for name, cell, width in zip(HEADER, cells, [*self._widths, 0], strict=True):
            left = column + (width - len(cell) if name in _NUMBERS else 0)
            line = line.ljust(max(left, len(line) + 2 if line else 0)) + cell
            column += width + 2
        return line

    def _print(self, text: Text) -> None:
        self._out.print(text, soft_wrap=True)


def style_of(result: AlertResult) -> str:
    if result.accepted:
        return "green" if result.exact else "yellow"
    return _COLOURS.get(result.verdict, "red")


def indented(out: Console, text: Text, by: int) -> None:
    """On a terminal also where it wraps; elsewhere lines stay whole, for grep."""
    if out.is_terminal:
        out.print(Padding(text, (0, 0, 0, by)))
        return
    for line in text.split(allow_blank=True):
        out.print(Text.assemble(" " * by, line), soft_wrap=True)


def proof_reasons(results: Sequence[AlertResult], out: Console) -> None:
    """Print what is wrong with whom, then notes."""
    for result in results:
        if not result.findings:
            continue
        out.print()
        out.print(
            Text.assemble(
                (shortened(one_line(result.alert)), "bold"),
                "  ",
                (verdict_cell(result), style_of(result)),
                f"  {place(result)}",
            )
        )
        if result.allowed is not None:
            indented(out, Text(f"set aside: {one_line(result.allowed)}"), 2)
        for finding in result.findings[:_MOST_REASONS]:
            indented(out, Text(f"- {finding.message}"), 2)
            for part in finding.details:
                indented(out, Text(part, style="dim"), 4)
        if len(result.findings) > _MOST_REASONS:
            out.print(Text(f"  - and {len(result.findings) - _MOST_REASONS} more reasons (all of them: --json -)"))
    notes = [(result.alert, note) for result in results for note in result.notes]
    if notes:
        out.print()
        for alert, note in notes:
            out.print(Text(f"note: {shortened(one_line(alert))}: {note}", style="dim"))
