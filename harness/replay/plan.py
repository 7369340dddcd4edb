"""What it takes to evaluate one alert over recorded cases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.prometheus import ServerSettings
from harness.rules import AlertRule, Group, RecordingRule


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes to evaluate one alert: the recording rules before it, and how far back all of them see."""

    rule: AlertRule
    group: Group
    recordings: tuple[tuple[Group, RecordingRule], ...]
    reach_ms: int
    align_ms: int
    warm_ms: Mapping[int, int]
    """By id of a recording rule: how long before a tick its results matter, because a reader ranges over them."""
    server: ServerSettings
    """What the engine at hand evaluates with."""
    marked_ms: int
    """How long after the last tick of a case its recording rules write their stale markers."""
    every_ms: int = 0
    """How far apart the alert's ticks are to be, where that is not the interval of its group."""

    @property
    def interval_ms(self) -> int:
        return self.every_ms or self.group.interval_ms

    @property
    def window_ms(self) -> int:
        """How far back it sees while every series goes on: ranges and offsets, without the lookback."""
        return max(self.reach_ms - self.server.lookback_ms, 0)

    @property
    def tick_ms(self) -> int:
        """What divides every moment at which one of the rules is evaluated."""
        groups = (self.group, *(group for group, _ in self.recordings))
        return math.gcd(*(group.interval_ms for group in groups), *(group.query_offset_ms for group in groups))

    @property
    def hold_ticks(self) -> int:
        """Ticks from pending to firing: ceil(for / interval)."""
        return -(-self.rule.hold_ms // self.interval_ms)
