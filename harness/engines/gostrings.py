"""Strings as Go writes them, in the output of Prometheus' tools and in what they read."""

from __future__ import annotations

import re

_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_HEX = re.compile(r"[0-9a-fA-F]+")


def go_unquote(quoted: str) -> str:
    r"""The text of a Go string literal in double quotes, as strconv.Quote writes it (``\xNN`` is a byte, ``\uNNNN`` a
    character). Bytes that are no UTF-8 come out as ``\xNN`` again. Raises ValueError for anything else.
    """
    if len(quoted) < 2 or quoted[0] != '"' or quoted[-1] != '"':
        raise ValueError(f"not a quoted string: {quoted}")
    body = quoted[1:-1]
    out = bytearray()
    at = 0
    while at < len(body):
        char = body[at]
        at += 1
        if char in '"\n':
            raise ValueError(f"a bare {char!r} in {quoted}")
        if char != "\\":
            out += char.encode("utf-8", "surrogatepass")
            continue
        code = body[at : at + 1]
        at += 1
        if code in _HEX_DIGITS:
            digits = body[at : at + _HEX_DIGITS[code]]
            at += len(digits)
            if len(digits) < _HEX_DIGITS[code] or not _HEX.fullmatch(digits):
                raise ValueError(f"a broken escape in {quoted}")
            number = int(digits, 16)
            if code == "x":
                out.append(number)
            elif number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                raise ValueError(f"no character U+{number:X} in {quoted}")
            else:
                out += chr(number).encode("utf-8")
        elif code and code in _SIMPLE:
            out.append(_SIMPLE[code])
        else:
            raise ValueError(f"an unknown escape \\{code} in {quoted}")
    return out.decode("utf-8", "backslashreplace")
