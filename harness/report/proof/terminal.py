"""The table of a proof on a terminal: each row as it is known."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.proof.model import AlertResult
from harness.proof.pairing import Pairing
from harness.report.terminal import STYLES, shortened
from harness.report.wording import HEADER, expected_widths, row, tone_of

_WIDEST_VERDICT = 17
_NUMBERS = ("last quiet", "first firing", "off by", "hold", "situations")


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
        style = STYLES[tone_of(result)]
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
