"""From "the expression returned these elements at these ticks" to pending, firing and resolved.

The one place where Prometheus' own logic (rules/alerting.go, AlertingRule.Eval) is stated again; it is tested
differentially against promtool and a live Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from harness.series import Labels


class AlertState(Enum):
    """The state of one alert at one tick."""

    INACTIVE = "inactive"
    """The expression does not return the element (or the alert has resolved)."""
    PENDING = "pending"
    """Returned, but not yet for as long as the rule's `for`."""
    FIRING = "firing"
    """Returned for at least `for`, or kept by `keep_firing_for`."""


@dataclass(frozen=True, slots=True)
class AlertTimeline:
    """One alert (one label set) of a rule, tick by tick."""

    labels: Labels
    """The element's labels with the rule's static ones over them; a templated label that is not a plain `$labels.x`
    stays out, for only Prometheus can expand it."""
    states: tuple[AlertState, ...]
    true_at: frozenset[int]
    """The ticks (by number) at which the expression returned the element."""
    values: Mapping[int, float]
    """The element's value at those ticks."""
    element: Labels = ()
    """The labels of the element itself, as the expression returned it last: those that templates see."""

    def first(self, state: AlertState) -> int | None:
        """The number of the first tick in a state."""
        return next((i for i, s in enumerate(self.states) if s is state), None)

    @property
    def fires(self) -> bool:
        return AlertState.FIRING in self.states

    def between(self, first: int, end: int) -> AlertTimeline:
        """The ticks from `first` up to but not including `end`, numbered from 0."""
        return replace(
            self,
            states=self.states[first:end],
            true_at=frozenset(t - first for t in self.true_at if first <= t < end),
            values={t - first: v for t, v in self.values.items() if first <= t < end},
        )


@dataclass(slots=True)
class _Active:
    since_ms: int
    state: AlertState
    kept_since_ms: int | None = None


def alert_states(
    returned: Sequence[frozenset[Labels]], *, interval_ms: int, hold_ms: int, keep_firing_ms: int = 0, limit: int = 0
) -> dict[Labels, list[AlertState]]:
    """The state per tick of every alert, from the label sets that the expression returned at each tick.

    `hold_ms` is the rule's `for`. With a `limit`, a tick on which more alerts are pending or firing clears them all,
    as Prometheus does.
    """
    active: dict[Labels, _Active] = {}
    states: dict[Labels, list[AlertState]] = {}
    for tick, elements in enumerate(returned):
        now_ms = tick * interval_ms
        for labels in elements:
            if labels in active:
                active[labels].kept_since_ms = None
            else:
                active[labels] = _Active(now_ms, AlertState.PENDING)
        for labels, alert in list(active.items()):
            if labels not in elements:
                if alert.state is AlertState.FIRING and keep_firing_ms > 0:
                    if alert.kept_since_ms is None:
                        alert.kept_since_ms = now_ms
                    if now_ms - alert.kept_since_ms < keep_firing_ms:
                        continue
                del active[labels]
            elif alert.state is AlertState.PENDING and now_ms - alert.since_ms >= hold_ms:
                alert.state = AlertState.FIRING
        if limit and len(active) > limit:
            active.clear()
        for labels, alert in active.items():
            history = states.setdefault(labels, [])
            history.extend([AlertState.INACTIVE] * (tick - len(history)))
            history.append(alert.state)
    for history in states.values():
        history.extend([AlertState.INACTIVE] * (len(returned) - len(history)))
    return states
