"""What was read of an objective, and how: exactly, or as exactly as the server could tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from harness.prometheus import DEFAULTS
from harness.series import Labels
from harness.slo.budget.buckets import EventBuckets
from harness.slo.budget.counting import CountingCaveats


class Counting(Enum):
    """How an objective's events were counted."""

    RAW = "raw"
    """From the samples themselves: exact."""
    GRID = "grid"
    """By the server, from step to step: exact but for what was lost at resets."""
    ESTIMATED = "estimated"
    """By the query's own rate(), which extrapolates."""
    TICKS = "ticks"
    """Each tick at which there is a value is one event."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an objective was read, and what was met on the way."""

    counting: Counting
    step_ms: int
    """The length of a bucket; of thresholds and ratios the distance of their ticks."""
    caveats: CountingCaveats
    missing: tuple[str, ...] = ()
    """Which queries returned nothing at all: ``all``, ``good``, ``bad``, ``value``."""
    out_of_range: int = 0
    """Ratios that were not between 0 and 1."""
    series: int = 1
    """The most series that a threshold's or ratio's query returned at once."""
    scrape_ms: int | None = None
    """The usual distance of a series' samples; None where they were not read."""
    warnings: tuple[str, ...] = ()
    """What the server said beside its answers."""
    strays: int = 0
    """Samples from outside of the time that was asked for; left out."""
    lookback_ms: int = DEFAULTS.lookback_ms
    """How old a sample may be that the server still sees."""


@dataclass(frozen=True, slots=True)
class ObservedObjective:
    """What was read of one objective."""

    counted: EventBuckets
    """What the budget is made of: events, or slices where the objective counts those."""
    events: EventBuckets
    """The events beneath slices; the same where events count."""
    provenance: Provenance
    group: Labels = ()
    """The labels of the group of which it was read; of all groups together none."""
