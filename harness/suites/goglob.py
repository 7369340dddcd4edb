"""File patterns as promtool reads them: Go's filepath.Glob, which differs from Python's.

``*`` takes dotfiles too, ``**`` is no more than ``*``, ``[^a]`` negates, and a backslash takes the next character as
it is.
"""

from __future__ import annotations

import re
from pathlib import Path

_MAGIC = "*?[\\"


def expand(pattern: Path) -> list[Path]:
    """The paths that an absolute pattern names, sorted as Go sorts them; ValueError for a malformed pattern."""
    parts = pattern.parts
    found = [Path(parts[0])]
    for part in parts[1:]:
        if not any(char in part for char in _MAGIC):
            found = [path / part for path in found]
            continue
        matcher = _translate(part)
        matches = []
        for folder in found:
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                continue
            matches += [folder / name for name in names if matcher.fullmatch(name)]
        found = matches
    return [path for path in found if path.exists()]


def escape(path: Path) -> str:
    """A pattern that matches this path only."""
    return "".join(f"\\{char}" if char in _MAGIC else char for char in str(path))


def _translate(part: str) -> re.Pattern[str]:
    out, at = [], 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "\\":
            if at == len(part):
                raise ValueError("a pattern ends in a backslash")
            out.append(re.escape(part[at]))
            at += 1
        elif char == "[":
            end = part.find("]", at + 1)
            if end < 0:
                raise ValueError("`[` without `]`")
            inner = part[at:end]
            negated = inner.startswith("^")
            body = (inner[1:] if negated else inner).replace("[", "\\[").replace("&", "\\&").replace("~", "\\~")
            out.append(f"[{'^' if negated else ''}{body}]")
            at = end + 1
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error as err:
        raise ValueError(str(err)) from err
