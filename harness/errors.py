"""What can go wrong, in three kinds, and where in a file it went wrong.

"Your input is wrong" (:class:`InputError`), "it is right but not supported" (:class:`UnsupportedError`) and "the engine
broke" (:class:`EngineError`) call for different actions, so they are different types with different exit codes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

EXIT_OK = 0
EXIT_FINDINGS = 1
EXIT_INPUT = 2
EXIT_ENGINE = 3


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a text file: 1-based line and column, and how many characters of that line it covers."""

    file: str
    line: int
    column: int
    length: int = 1
    source_line: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def excerpt(self) -> str:
        """The source line with a caret under the exact column; empty if the line is unknown."""
        if not self.source_line:
            return ""
        # A tab keeps its width on screen only if the caret's line has the same tab.
        pad = "".join("\t" if c == "\t" else " " for c in self.source_line[: self.column - 1])
        room = max(1, len(self.source_line) - self.column + 1)
        number = f"{self.line:>5} | "
        return f"{number}{self.source_line}\n{' ' * (len(number) - 2)}| {pad}{'^' * min(self.length, room)}"


class HarnessError(Exception):
    """Base of every error that a user may see; the command line prints it without a traceback."""

    exit_code: ClassVar[int] = EXIT_INPUT

    def __init__(self, message: str, *, span: Span | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.span}: " if self.span else ""
        parts = [f"{where}{self.message}"]
        if self.span and (excerpt := self.span.excerpt()):
            parts.append(excerpt)
        if self.hint:
            parts.append(f"  what to do: {self.hint}")
        return "\n".join(parts)


class InputError(HarnessError):
    """What the user gave (a file, an option, a rule) is wrong."""


class UnsupportedError(HarnessError):
    """The input is legal for Prometheus, but this tool cannot treat it; never silently skipped."""


class EngineError(HarnessError):
    """promtool, Prometheus or the container engine is missing, broke, or did not answer in time."""

    exit_code: ClassVar[int] = EXIT_ENGINE


def near_miss(word: str, known: Iterable[str]) -> str:
    """`` (did you mean `x`?)`` for the closest known word, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""
