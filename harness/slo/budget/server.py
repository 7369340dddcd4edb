"""A Prometheus-compatible server asked for a stretch of its history, in pieces that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.engines import Engine, Series
from harness.slo.budget.buckets import Grid
from harness.slo.budget.counting import Raw

_TICKS_PER_ANSWER = 10_000
"""Prometheus gives no more than 11,000 points of a series at once."""

Progress = Callable[[float], None]
"""Told which share of an objective has been read."""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """From the server's time to the world's: a run on a clock `factor` times as fast ends at `end_ms` on both."""

    end_ms: int
    factor: int = 1

    def world(self, real_ms: int) -> int:
        return self.end_ms - (self.end_ms - real_ms) * self.factor

    def real(self, world_ms: int) -> int:
        """The last whole millisecond up to that moment, so that it lies in the same bucket."""
        return self.end_ms - -(-(self.end_ms - world_ms) // self.factor)


@dataclass(slots=True)
class HistoryServer:
    """The server behind `engine`. Times that are asked for are the server's, those of a grid the world's."""

    engine: Engine
    clock: ServerClock
    warnings: dict[str, None] = field(default_factory=dict)
    """What the server said beside its answers, each once."""
    strays: int = 0
    """Samples from outside of the time that was asked for, which were left out."""

    def samples(self, selector: str, begin_ms: int, end_ms: int) -> list[Series]:
        """The raw samples of (begin, end]."""
        found = self.engine.query(f"{selector}[{end_ms - begin_ms}ms]", end_ms)
        self.warnings.update(dict.fromkeys(self.engine.last_warnings))
        return self._within(found, begin_ms, end_ms)

    def ticks(self, expr: str, grid: Grid, from_ms: int, tick_ms: int, progress: Progress) -> Iterator[list[Series]]:
        """An expression at the ends of the grid's ticks after `from_ms`, in pieces of a week or so."""
        factor = self.clock.factor
        skipped = max(0, (from_ms - grid.start_ms) // tick_ms)
        first = self.clock.real(grid.start_ms + (skipped + 1) * tick_ms)
        end, step = self.clock.real(grid.end_ms), tick_ms // factor
        per_piece = step * _TICKS_PER_ANSWER
        for at in range(first, end + 1, per_piece):
            found = self.engine.query_range(expr, at, min(end, at + per_piece - step), step)
            self.warnings.update(dict.fromkeys(self.engine.last_warnings))
            yield self._within(found, at, end)
            progress(min(1.0, (at + per_piece - first) / max(1, end - first)))

    def in_world(self, series: Series) -> Raw:
        """A series' samples at the world's times."""
        if self.clock.factor == 1:
            return Raw(series.labels, series.timestamps_ms, series.values)
        return Raw(series.labels, [self.clock.world(at) for at in series.timestamps_ms], series.values)

    def _within(self, found: list[Series], begin_ms: int, end_ms: int) -> list[Series]:
        """Without samples that were not asked for: somebody between us and the server may answer from another time."""
        if all(not s.timestamps_ms or begin_ms <= s.timestamps_ms[0] <= s.timestamps_ms[-1] <= end_ms for s in found):
            return found
        cut = []
        for series in found:
            kept = [
                (at, value)
                for at, value in zip(series.timestamps_ms, series.values, strict=True)
                if begin_ms <= at <= end_ms
            ]
            self.strays += len(series.values) - len(kept)
            cut.append(Series(series.labels, [at for at, _ in kept], [value for _, value in kept]))
        return cut
