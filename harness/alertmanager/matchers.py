"""The text of matchers, as Alertmanager reads it (pkg/labels/parse.go and, for quoted names, matcher/parse)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.engines.gostrings import go_unquote
from harness.errors import InputError, UnsupportedError
from harness.rules.selectors import Matcher
from harness.source import Text

_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*", re.DOTALL)
_QUOTED_NAME = re.compile(r'\s*("(?:\\.|[^"\\])*"|[^\s"=!~,\\{}`\']+)\s*(=~|=|!=|!~)\s*(.*?)\s*', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\n])')
_ONLY_GO = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[pPQCz]|\[\[:|\(\?[a-zA-Z]*U)")
"""What RE2 reads otherwise than Python, which would silently match something else: ``\\pL``, ``[[:alpha:]]``, …"""


def parse_matchers(text: Text) -> tuple[Matcher, ...]:
    """The matchers of one item of `matchers`: ``severity="page"``, or several, joined by commas, perhaps in braces.

    Raises InputError for what is none, UnsupportedError for a regular expression that only Go understands.
    """
    body = text.value.strip()
    if len(body) > 1 and body.startswith("{") and body.endswith("}"):
        body = body[1:-1]
    return tuple(_matcher(part, text) for part in _parts(body))


def matcher(label: str, op: str, value: Text) -> Matcher:
    """A matcher whose parts stand apart; raises UnsupportedError as :func:`parse_matchers`."""
    _check(op, value.value, value)
    return Matcher(label, op, value.value)


def _parts(body: str) -> Iterator[str]:
    """The text between commas that stand in no quotes; nothing behind the last comma is nothing."""
    part, inside, escaped = "", False, False
    for char in body:
        if char == "," and not inside:
            yield part
            part = ""
            continue
        if char == '"' and not escaped:
            inside = not inside
        escaped = char == "\\" and not escaped
        part += char
    if part.strip():
        yield part


def _matcher(part: str, text: Text) -> Matcher:
    if found := _CLASSIC.fullmatch(part):
        name, op, value = found[1], found[2], _classic_value(found[3])
    elif found := _QUOTED_NAME.fullmatch(part):
        try:
            name, value = (go_unquote(each) if each[:1] == '"' else each for each in (found[1], found[3]))
        except ValueError:
            value = None
        op = found[2]
    else:
        value = None
    if found is None or value is None:
        raise InputError(
            f"`{part.strip()}` is no matcher", span=text.span, hint='write label="value", or =~, != and !~'
        )
    _check(op, value, text)
    return Matcher(name, op, value)


def _classic_value(raw: str) -> str | None:
    """The value without its quotes; only ``\\"``, ``\\\\`` and ``\\n`` are escapes. None for quotes that do not fit."""
    if raw[:1] == '"':
        closed = re.fullmatch(r'"((?:\\.|[^"\\])*)"', raw, re.DOTALL)
        if closed is None:
            return None
        raw = closed[1]
    elif '"' in re.sub(r"\\.", "", raw, flags=re.DOTALL):
        return None
    return _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], raw)


def _check(op: str, value: str, text: Text) -> None:
    if op not in ("=~", "!~"):
        return
    if strange := _ONLY_GO.search(value):
        raise UnsupportedError(
            f"`{value}` has `{strange[0]}`, which Go's regular expressions read otherwise than Python's",
            span=text.span,
            hint="write it in a plainer way, [A-Za-z] for [[:alpha:]], say",
        )
    try:
        re.compile(value)
    except re.error as err:
        raise UnsupportedError(
            f"`{value}` is no regular expression that we can read: {err}",
            span=text.span,
            hint="write it in a plainer way",
        ) from err
