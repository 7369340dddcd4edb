"""JSON whose texts know where they stand in their file."""

from __future__ import annotations

import json
from json import decoder, scanner
from typing import Any

from harness.errors import InputError, Span
from harness.source import SourceFile


class PositionedText(str):
    """A text of a JSON file; as good as any text, and it knows its place."""

    offset: int
    """Where its opening quote stands in the file, in characters."""


class _Decoder(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__()
        # The scanner in Python, since the one in C calls no parser of ours.
        self.parse_string = _parse_string
        self.scan_once = scanner.py_make_scanner(self)  # type: ignore[attr-defined]  # typeshed leaves it out


def _parse_string(text: str, begin: int, strict: bool) -> tuple[PositionedText, int]:
    value, end = decoder.scanstring(text, begin, strict)  # type: ignore[attr-defined]
    placed = PositionedText(value)
    placed.offset = begin - 1
    return placed, end


def load_json(source: SourceFile) -> Any:
    """The file's value, its texts as :class:`PositionedText` (keys are plain); raises InputError at what is no JSON."""
    try:
        return _Decoder().decode(source.text)
    except json.JSONDecodeError as err:
        raise InputError(
            f"not valid JSON: {err.msg[:1].lower()}{err.msg[1:]}",
            span=source.span(err.lineno, err.colno),
            hint="export the dashboard from Grafana anew",
        ) from err
    except RecursionError as err:
        raise InputError(f"{source.name} is nested too deeply", hint="is this really a dashboard?") from err


def place_of(value: object, source: SourceFile) -> Span:
    """Where a text of the file stands; the file's beginning for anything else."""
    if not isinstance(value, PositionedText):
        return source.span(1, 1)
    before = source.text[: value.offset]
    line = before.count("\n") + 1
    return source.span(line, value.offset - (before.rfind("\n") + 1) + 1)
