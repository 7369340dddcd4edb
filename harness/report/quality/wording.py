"""Times and shares of alert quality as people read them."""

from __future__ import annotations

from fractions import Fraction

from harness.units import format_duration


def described_time(ms: int | Fraction | None) -> str:
    """Whole seconds below an hour, whole minutes above; a dash for none."""
    if ms is None:
        return "–"
    unit = 1000 if ms < 3_600_000 else 60_000
    return format_duration(round(ms / unit) * unit)


def described_percent(share: Fraction | None) -> str:
    """Three digits: ``2.03 %``; a dash for none."""
    return "–" if share is None else f"{float(share * 100):.3g} %"
