"""YAML written by hand: the same content always gives the same bytes, and any text reads back as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?::[A-Za-z0-9_]+)*", re.ASCII)
_NOT_PLAIN = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_BLOCK = re.compile(r"[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")


def scalar(text: str) -> str:
    """A YAML scalar that reads back as this text, whatever it holds."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_PLAIN:
        return text
    if "'" not in text and _BLOCK.fullmatch(text) and "\n" not in text and "\t" not in text:
        return f"'{text}'"
    return double_quoted(text)


def double_quoted(text: str) -> str:
    """A text between double quotes. JSON's escapes are YAML's too; what YAML calls unprintable is escaped besides."""
    return "".join(char if _BLOCK.fullmatch(char) else _escape(char) for char in json.dumps(text, ensure_ascii=False))


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def block(text: str, indent: int) -> Iterator[str]:
    """A text after its key: on that line, or as a block; escaped where a block would change it."""
    body = text.removesuffix("\n")
    if "\n" not in text or not _BLOCK.fullmatch(text) or body[:1] in ("", " ", "\t", "\n") or body[-1] in " \t\n":
        yield scalar(text)
        return
    yield "|" if body != text else "|-"
    for line in body.split("\n"):
        yield f"{' ' * indent}{line}" if line else ""
