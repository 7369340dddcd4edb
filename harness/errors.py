"""What can go wrong, in three kinds, and where in a file it went wrong.

"Your input is wrong" (:class:`InputError`), "it is right but not supported" (:class:`UnsupportedError`) and "the engine
broke" (:class:`EngineError`) call for different actions, so they are different types with different exit codes.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

_MAX_EXCERPT = 160
_NOT_SHOWN = {
    # C0 as its own picture (␛ for ESC); DEL, C1, and what turns the direction of writing as a replacement character.
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    **dict.fromkeys((*range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F), 0xFFFD),
    **dict.fromkeys((*range(0x2028, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}

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
        """The source line with a caret under the exact column; empty if the line is unknown.

        Of a very long line only the surroundings of the column.
        """
        if not self.source_line:
            return ""
        text, column = self.source_line, self.column - 1
        if len(text) > _MAX_EXCERPT:
            start = max(0, min(column, len(text)) - _MAX_EXCERPT // 2)
            end = start + _MAX_EXCERPT
            text = f"{'…' if start else ''}{text[start:end]}{'…' if end < len(self.source_line) else ''}"
            column += (1 if start else 0) - start
        pad = "".join(_blank(char) for char in text[:column])
        carets = "".join("^" * max(1, len(_blank(char))) for char in text[column : column + self.length]) or "^"
        number = f"{self.line:>5} | "
        return f"{number}{text}\n{' ' * (len(number) - 2)}| {pad}{carets}"


def _blank(char: str) -> str:
    """White space as wide as the character on a screen."""
    if char == "\t":
        return char  # it keeps its width only as the same tab
    if unicodedata.combining(char):
        return ""
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "


def printable(text: str) -> str:
    """Text from files, tools and servers, made harmless for a terminal, each character standing for one.

    Line ends and tabs stay. Escape sequences could otherwise move the cursor or forge our output, and characters that
    turn the direction of writing could make a rule read other than it is.
    """
    return text.translate(_NOT_SHOWN)


class HarnessError(Exception):
    """Base of every error that a user may see; the command line prints it without a traceback."""

    exit_code: ClassVar[int] = EXIT_INPUT

    def __init__(self, message: str, *, span: Span | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint

    def __str__(self) -> str:
        return _told(self.message, self.span, self.hint)


class InputError(HarnessError):
    """What the user gave (a file, an option, a rule) is wrong."""


def by_place(errors: Iterable[HarnessError]) -> list[HarnessError]:
    """In the order in which a reader meets them: by file and line, those without a place first."""
    return sorted(errors, key=lambda err: (err.span.file, err.span.line, err.span.column) if err.span else ("", 0, 0))


class InputErrors(InputError):
    """Several at once, so that one hides no other; told by its first where there is room for one only."""

    def __init__(self, errors: Sequence[HarnessError]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more like this)" if len(errors) > 1 else ""
        super().__init__(f"{first.message}{more}", span=first.span, hint=first.hint)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


class UnsupportedError(HarnessError):
    """The input is legal for Prometheus, but this tool cannot treat it; never silently skipped."""


class EngineError(HarnessError):
    """promtool, Prometheus or the container engine is missing, broke, or did not answer in time."""

    exit_code: ClassVar[int] = EXIT_ENGINE


@dataclass(frozen=True, slots=True)
class Notice:
    """What a user should know of their input although it is taken: said like an error, and nothing fails."""

    message: str
    span: Span | None = None
    hint: str | None = None

    def __str__(self) -> str:
        return _told(self.message, self.span, self.hint)


def _told(message: str, span: Span | None, hint: str | None) -> str:
    """Where, what, the line, and what to do."""
    parts = [f"{span}: {message}" if span else message]
    if span and (excerpt := span.excerpt()):
        parts.append(excerpt)
    if hint:
        parts.append(f"  what to do: {hint}")
    return printable("\n".join(parts))


def with_log(message: str, log: str, what: str = "the last lines of its log") -> str:
    """The message with the end of an engine's log under it; the message alone if there is no log."""
    lines = [line.rstrip() for line in log.strip().splitlines()]
    if not lines:
        return message
    return "\n".join([message, f"  {what}:", *(f"    {line}" for line in lines)])


def near_miss(word: str, known: Iterable[str]) -> str:
    """`` (did you mean `x`?)`` for the closest known word, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""
