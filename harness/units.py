"""Durations as Prometheus writes them, and numbers as people read them."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from harness.numbers import MAX_WHOLE_DIGITS, shortened

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
_UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_MAX_MS = (2**63 - 1) // 1_000_000
"""Prometheus counts nanoseconds in an int64: 292 years."""
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)


class TooLongError(ValueError):
    """A duration that Prometheus cannot count."""


def parse_duration_ms(text: str) -> int:
    """Milliseconds of a Prometheus duration such as ``5m``, ``1h30m`` or ``0`` (prometheus/common model/time.go).

    Raises ValueError with a sentence for people.
    """
    text = text.strip()
    if text == "0":
        return 0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"`{text}` is not a duration; expected something like 30s, 5m or 1h30m")
    parts = [(n.lstrip("0"), unit) for n, unit in zip(match.groups(), _UNITS_MS.values(), strict=True) if n]
    if (
        any(len(n) > MAX_WHOLE_DIGITS for n, _ in parts)
        or (ms := sum(int(n or 0) * unit for n, unit in parts)) > _MAX_MS
    ):
        raise TooLongError(f"`{shortened(text)}` is longer than 292 years")
    return ms


def format_duration(ms: int) -> str:
    """The shortest Prometheus spelling: 300000 -> ``5m``, 90000 -> ``1m30s``, 0 -> ``0s``."""
    if ms < 0:
        return f"-{format_duration(-ms)}"
    parts = []
    for unit, size in _UNITS_MS.items():
        if unit in ("y", "w"):  # 7d reads better than 1w in a report, and 365d than 1y
            continue
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_number(value: float | Fraction) -> str:
    """Every digit that tells this double from its neighbours, without a trailing ``.0``."""
    number = float(value)
    if math.isfinite(number) and number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return repr(number).removesuffix(".0")


def format_with_unit(value: float | Fraction, unit: str) -> str:
    """``85 %``, ``1.0000000000000002 s``; the unit may be empty."""
    return f"{format_number(value)} {unit}".rstrip()


def count_of(number: int, noun: str) -> str:
    """``1 alert``, ``2 alerts``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
