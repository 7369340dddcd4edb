"""What the server tells of an indicator's groups, step by step or tick by tick."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.series import Labels
from harness.slo.budget.buckets import Bins, Grid
from harness.slo.budget.counting import CountingCaveats
from harness.slo.model import Grouping


@dataclass(slots=True)
class GroupBins:
    """What was read of one group, step by step or tick by tick."""

    counts: tuple[Bins, Bins]
    """All events, and good or bad ones."""
    measured: Bins
    caveats: CountingCaveats = field(default_factory=CountingCaveats)
    seen: list[bool] = field(default_factory=lambda: [False, False])
    out_of_range: int = 0
    at_once: int = 0
    """The most series in one answer."""
    now: int = 0
    """Those of the present one."""


class GroupTable:
    """Groups as they are met; of what is not grouped there is one from the start."""

    def __init__(self, grid: Grid, grouping: Grouping | None) -> None:
        self._size, self._grouping = len(grid), grouping
        self.found: dict[Labels, GroupBins] = {}
        if grouping is None:
            self.of(())

    def of(self, labels: Labels) -> GroupBins:
        group = () if self._grouping is None else self._grouping.of(labels)
        found = self.found.get(group)
        if found is None:
            found = self.found[group] = GroupBins((Bins(self._size), Bins(self._size)), Bins(self._size))
        return found
