"""Truths, words and durations of objectives' documents, with their places."""

from __future__ import annotations

import re

from harness.errors import InputError
from harness.source import Fields, Text

_SHORTHAND = re.compile(r"(\d{1,9})([mhdwMQY])", re.ASCII)
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_UNIT_MONTHS = {"M": 1, "Q": 3, "Y": 12}


def truth(fields: Fields, name: str, default: bool | None = None) -> bool:
    """A boolean field; InputError if it is absent without a default, or is something else."""
    if name not in fields and default is not None:
        return default
    text = fields.text(name)
    if text.quoted or text.value not in ("true", "false", "True", "False"):
        raise InputError(
            f"`{name}` of {fields.what} must be true or false, found `{text.value}`",
            span=text.span,
            hint=f"write `{name}: true` or `{name}: false`, without quotes",
        )
    return text.value.lower() == "true"


def choice(text: Text, known: tuple[str, ...], what: str) -> str:
    """One of some words, exactly."""
    if text.value in known:
        return text.value
    close = next((word for word in known if word.lower() == text.value.lower()), None)
    near = f" (did you mean `{close}`?)" if close else ""
    raise InputError(f"{what} is `{text.value}`{near}", span=text.span, hint=f"expected one of: {', '.join(known)}")


def shorthand(text: Text, what: str) -> tuple[int, int]:
    """OpenSLO's duration shorthand, such as ``4w``: (milliseconds, months), of which one is 0."""
    match = _SHORTHAND.fullmatch(text.value)
    if match is None or int(match[1]) == 0:
        raise InputError(
            f"{what} is `{text.value}`, no duration of OpenSLO",
            span=text.span,
            hint="write one whole number above 0 and one of m, h, d, w, M (months), Q, Y, such as 30d",
        )
    count, unit = int(match[1]), match[2]
    if unit in _UNIT_MS:
        return count * _UNIT_MS[unit], 0
    return 0, count * _UNIT_MONTHS[unit]
