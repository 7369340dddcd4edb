"""Text files, and places in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.errors import InputError, Span

_MAX_BYTES = 64 * 1024 * 1024
LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML 1.1 takes as the end of a line."""
_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A text file that was read, by the name under which the user knows it."""

    name: str
    text: str
    lines: tuple[str, ...] = field(repr=False)

    @classmethod
    def of_text(cls, name: str, text: str) -> SourceFile:
        return cls(name, text, tuple(LINE_END.split(text)))

    @classmethod
    def read(cls, path: Path) -> SourceFile:
        """Read UTF-8 text; raises InputError for anything that is no readable text file."""
        name = display_path(path)
        try:
            if path.is_dir():
                raise InputError(f"{name} is a folder, expected a file", hint="name a file in it")
            if path.stat().st_size > _MAX_BYTES:
                raise InputError(f"{name} is larger than {_MAX_BYTES >> 20} MiB", hint="is this really a YAML file?")
            data = path.read_bytes()
        except OSError as err:
            raise InputError(
                f"cannot read {name}: {err.strerror or err}", hint="check the path and its permissions"
            ) from err
        if data[:2] in _BOMS:
            raise InputError(f"{name} is {_BOMS[data[:2]]} text, expected UTF-8", hint="save the file as UTF-8")
        if b"\0" in data:
            raise InputError(f"{name} is a binary file, expected text", hint="is this the file that you mean?")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as err:
            before = data[: err.start].decode("utf-8-sig", "replace").split("\n")
            raise InputError(
                f"not UTF-8 text (byte 0x{data[err.start]:02x})",
                span=Span(name, len(before), len(before[-1]) + 1),
                hint="save the file as UTF-8",
            ) from err
        return cls.of_text(name, text)

    def span(self, line: int, column: int, length: int = 1) -> Span:
        """The span at a 1-based line and column."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Span(self.name, line, column, max(1, length), text)

    def span_of(self, node: yaml.Node) -> Span:
        """The span of a YAML node, to the end of its first line."""
        start, end = node.start_mark, node.end_mark
        length = end.column - start.column if end.line == start.line else 1
        return self.span(start.line + 1, start.column + 1, length)


def display_path(path: Path) -> str:
    """The path as a user would type it: relative to the current folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
