"""What is written to an engine and what it answers: series with their samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.series import Labels, labels_of


@dataclass(frozen=True, slots=True)
class Samples:
    """One series to be written: as many timestamps (Unix milliseconds, ascending) as values; STALE ends a series."""

    labels: Labels
    timestamps_ms: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: the points that Prometheus returned, exactly."""

    labels: Labels
    timestamps_ms: list[int]
    values: list[float]

    @property
    def metric(self) -> dict[str, str]:
        """The labels as a dict."""
        return dict(self.labels)


def make_labels(name: str | None = None, /, **labels: str) -> Labels:
    """Sorted labels: ``make_labels("up", job="api")``."""
    return labels_of(name or "", labels)
