"""What a live run left behind: ticks, alerts, scrapes and notifications, and whether they can be believed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.engines.base import Engine
from harness.live.cases import UP
from harness.live.clock import Clock
from harness.live.model import Delivery
from harness.live.world import LiveWorld, group_key
from harness.series import Labels, format_labels

EDGE_MS = 50
"""A scrape that ends so shortly before a tick may be committed after the tick has looked."""

Rendered = list[tuple[Mapping[str, str], Mapping[str, str]]]


@dataclass(slots=True)
class Recording:
    """Everything that a world left behind. Times are Unix milliseconds."""

    ticks: Mapping[str, list[int]] = field(default_factory=dict)
    """Group → the ticks that took place, less the group's query offset (as samples are stored)."""
    alerts: dict[str, list[tuple[dict[str, str], list[int]]]] = field(default_factory=dict)
    """Alert → its series of `ALERTS`, each with the times of its samples."""
    ups: dict[Labels, list[tuple[int, float]]] = field(default_factory=dict)
    stored: dict[Labels, int] = field(default_factory=dict)
    """How many samples of each exposed series Prometheus stored."""
    due: Mapping[Labels, list[int]] = field(default_factory=dict)
    rendered: dict[str, Rendered] = field(default_factory=dict)
    """Alert → (labels, annotations) as Prometheus' API showed them from time to time."""
    inhibited: dict[str, set[str]] = field(default_factory=dict)
    told: Sequence[Delivery] = ()
    first_shown_ms: int = 0
    read_ms: int = 0

    def read(self, engine: Engine, world: LiveWorld, until_ms: int) -> None:
        """Read the stored samples; one query per kind."""
        self.read_ms = until_ms
        for series in engine.query("ALERTS[1h]", until_ms):
            labels = dict(series.labels)
            self.alerts.setdefault(labels["alertname"], []).append((labels, series.timestamps_ms))
        if world.targets:
            for series in engine.query(f"{UP}[1h]", until_ms):
                self.ups[series.labels] = list(zip(series.timestamps_ms, series.values, strict=True))
        metrics = sorted({dict(labels)["__name__"] for labels in self.due})
        for metric in metrics:
            selector = f'{{__name__="{metric}"}}'
            for series in engine.query(f"count_over_time({selector}[1h])", until_ms):
                named = tuple(sorted({**dict(series.labels), "__name__": metric}.items()))
                self.stored[named] = round(series.values[0])

    def too_busy(self, world: LiveWorld, clock: Clock, since_ms: int, until_ms: int) -> str:
        """Why this run says nothing: a tick or scrape that the machine missed; empty if it kept up."""
        for case in world.all():
            group = case.located.group
            interval = clock.shrink_ms(group.interval_ms)
            ticks = [at for at in self.ticks.get(group_key(group), []) if at >= since_ms - 2 * interval]
            gaps = [b - a for a, b in itertools.pairwise(ticks)]
            if missed := sum(gap // interval - 1 for gap in gaps):
                return f"{missed} evaluations of group `{group.name}` were missed"
            if not ticks or until_ms - ticks[-1] > 3 * interval:
                return f"group `{group.name}` was not evaluated to the end"
        spare = min((clock.shrink_ms(case.contract.scrape_ms // 2) for case in world.all()), default=0)
        late = [s for s in world.feed.sent if s.due_ms >= since_ms and s.sent_ms > s.due_ms + spare - EDGE_MS]
        if late:
            return f"{len(late)} samples of the exporter were scraped after the tick that needed them"
        for labels, due in self.due.items():
            wanted = sum(at <= self.read_ms for at in due)
            if (got := self.stored.get(labels, 0)) < wanted:
                return f"Prometheus stored {got} of {wanted} samples of {format_labels(labels)}"
        return self._targets(world, clock, since_ms)

    def _targets(self, world: LiveWorld, clock: Clock, since_ms: int) -> str:
        for case in world.all():
            every = clock.shrink_ms(case.contract.scrape_ms)
            for labels, feed in world.targets.items() if case.uses_up else ():
                seen = [(at, value) for at, value in self.ups.get(labels, []) if at >= since_ms - 2 * every]
                if any(b - a > 1.5 * every for (a, _), (b, _) in itertools.pairwise(seen)) or not seen:
                    return f"scrapes of {format_labels(labels)} were missed"
                for at, value in seen:
                    near = any(abs(at - edge) < 4 * EDGE_MS for down in feed.down_ms for edge in down)
                    if not near and value == feed.is_down(at):
                        return f"a scrape of {format_labels(labels)} failed that was answered"
        return ""
