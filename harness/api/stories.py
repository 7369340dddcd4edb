"""What alerts did while series were played against their rules, as stories that a test compares with plain text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from harness.api.prometheus import Prometheus, warn_not_played
from harness.api.series import Time
from harness.errors import InputError, UnsupportedError, near_miss
from harness.replay import AlertState, AlertTimeline
from harness.units import format_duration


@dataclass(frozen=True, slots=True)
class Story:
    """What one alert did: its labels, and its state from each time on at which that changed."""

    labels: Mapping[str, str]
    changes: tuple[tuple[str, str], ...]
    """(time, state): ``("5m", "pending")``; an alert begins inactive."""

    def __str__(self) -> str:
        """``pending at 5m, firing at 10m, inactive at 20m``."""
        return ", ".join(f"{state} at {at}" for at, state in self.changes)


class Stories(dict[str, list[Story]]):
    """Alert name → a story per alert that was ever active; asking for a name that was not played is an InputError,
    with the reason or the near miss."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, str] = {}
        """The alerts that replay cannot follow, and why."""

    def __missing__(self, alert: str) -> NoReturn:
        if alert in self.left_out:
            raise UnsupportedError(self.left_out[alert])
        raise InputError(f"there is no alert `{alert}`{near_miss(alert, [*self, *self.left_out])}")


def play(prometheus: Prometheus, until: Time, alert: str | None = None) -> Stories:
    """Play what was loaded and written from 0 to `until`; with `alert` only the rules of this name.

    Without it, rules that replay cannot follow are left out, with a warning (:class:`NotPlayed`).
    """
    stories = Stories()
    for group, rule in prometheus.chosen(alert):
        try:
            timelines = prometheus.play(group, rule, until)
        except UnsupportedError as err:
            if alert is not None:
                raise
            stories.left_out[rule.alert] = str(err)
            warn_not_played(err)
            continue
        stories.setdefault(rule.alert, []).extend(story(timeline, group.interval_ms) for timeline in timelines)
    for name in stories.left_out:
        stories.pop(name, None)
    return stories


def story(timeline: AlertTimeline, interval_ms: int, spell: Callable[[int], str] = format_duration) -> Story:
    """A timeline told by its changes; `spell` says when one was, given the milliseconds since the first tick."""
    before, changes = AlertState.INACTIVE, []
    for tick, state in enumerate(timeline.states):
        if state is not before:
            changes.append((spell(tick * interval_ms), state.value))
        before = state
    return Story({k: v for k, v in timeline.labels if k != "alertname"}, tuple(changes))
