"""A throwaway Prometheus for a program of one's own: rules and series go in, values and alerts come out.

Times are durations from the beginning of the series (``"5m"``, or milliseconds as a number), series are in promtool's
notation (``"0+10x5 _ stale"``) or lists of numbers, label sets read as Prometheus prints them (``up{job="api"}``).
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from harness.api.alert_rules import AlertRules, named
from harness.api.series import Time, Values, joined, time_ms, trace
from harness.config import rule_files
from harness.contracts.world import Trace
from harness.engines import QueryError
from harness.errors import InputError, Span, UnsupportedError
from harness.replay import AlertState, AlertTimeline, Batch, EndlessSlotWriter, Plan, Replay, SlotRange
from harness.rules import AlertRule, Group, RuleFile, load_rules
from harness.series import format_labels
from harness.source import Text
from harness.units import DAY_MS

_NOWHERE = Span("a query", 1, 1)
_PARSE_ERROR = re.compile(r"(\d+):(\d+): parse error: (.*)", re.DOTALL)
_PACKAGE = str(Path(__file__).resolve().parents[1])


class NotPlayed(UserWarning):
    """Rules that replay cannot follow were left out; their alerts may fire all the same."""


def warn_not_played(err: UnsupportedError) -> None:
    """Warn at the line of the caller's that lies outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(NotPlayed(f"left out, it may fire: {err.message}"), stacklevel=level)


class Prometheus:
    """Rules and series on a throwaway Prometheus.

    Several may stand on one engine: each (and each change of its series) takes a stretch of time of its own there, far
    enough from the others that no expression sees them.
    """

    def __init__(self, slots: EndlessSlotWriter) -> None:
        self.engine = slots.engine
        self.slots = slots
        self._files: list[RuleFile] = []
        self._traces: list[Trace] = []
        self._replay = Replay(self.engine, [])
        self._range: tuple[SlotRange, int] | None = None

    def __repr__(self) -> str:
        return f"Prometheus({len(self._files)} rule files, {len(self._traces)} series)"

    def load(self, *rules: str | Path | RuleFile | AlertRules) -> Self:
        """Add rule files: paths, folders and globs from the current folder, or what `alert_rules` has loaded."""
        for given in rules:
            if isinstance(given, AlertRules):
                self._files += given.files
            elif isinstance(given, RuleFile):
                self._files.append(given)
            else:
                self._files += load_rules(rule_files([str(given)], Path.cwd()), self.engine.server)
        self._changed()
        return self

    def samples(self, series: Mapping[str, Values], interval: Time = "1m", *, start: Time = 0) -> Self:
        """Add series in promtool's notation or as lists of numbers, one value every `interval`, the first at `start`.

        Rules are evaluated at multiples of their group's interval: a `start` beside those is what a scrape is like.
        """
        every_ms, start_ms = time_ms(interval), time_ms(start)
        return self.write([trace(name, values, every_ms, start_ms) for name, values in series.items()])

    def write(self, traces: Sequence[Trace]) -> Self:
        """Add series as time stamps (milliseconds from the beginning) and values."""
        for one in traces:
            if one.dated is not None:
                raise UnsupportedError(
                    f"{format_labels(one.labels)} tells the time (`now`), and tests share one clock",
                    hint="write it with its values, or prove its alert with `alert-harness prove`",
                )
        self._traces += [one for one in traces if one.times_ms]
        self._changed()
        return self

    def query(self, expr: str, at: Time) -> dict[str, float]:
        """What an expression returns at a time: series → value, in Prometheus' spelling. Recording rules apply."""
        text = Text.of_text("query", expr)
        group = Group("query", self._interval(), (), _NOWHERE)
        try:
            plan = self._replay.plan(group, AlertRule("query", text, 0, 0, {}, {}, _NOWHERE))
            found = self._replay.instants(plan, expr, self._record(plan, time_ms(at)), time_ms(at))[0]
        except InputError as err:
            raise self._refusal(text) or err from None
        except QueryError as err:
            raise InputError(err.message, span=text.span) from None
        return {format_labels(labels): value for labels, value in found.items()}

    def _refusal(self, expr: Text) -> InputError | None:
        """What Prometheus says of an expression that it cannot parse, with the place; None if it can."""
        try:
            self.engine.query(expr.value, 0)
        except QueryError as err:
            if place := _PARSE_ERROR.search(err.message):
                before = "".join(line for line in expr.value.splitlines(keepends=True)[: int(place[1]) - 1])
                return InputError(
                    f"Prometheus cannot read this: {place[3]}", span=expr.span_at(len(before) + int(place[2]) - 1)
                )
        return None

    def alerts(
        self, at: Time, state: AlertState | str = AlertState.FIRING, *, alert: str | None = None
    ) -> list[dict[str, str]]:
        """The labels of all alerts in a state at the last tick at or before a time, `alertname` among them; with
        `alert` only those of this name. Without it, rules that replay cannot follow are left out, with a warning."""
        wanted = AlertState(state)
        found = []
        for group, rule in self.chosen(alert):
            tick = time_ms(at) // group.interval_ms
            for timeline in self._played(group, rule, at, named=alert is not None):
                if timeline.states[tick] is wanted and (labels := dict(timeline.labels)) not in found:
                    found.append(labels)
        return found

    def timelines(self, alert: str, until: Time) -> list[AlertTimeline]:
        """Every alert that rules of this name make, tick by tick from 0 to `until`."""
        return [timeline for group, rule in self.chosen(alert) for timeline in self.play(group, rule, until)]

    def chosen(self, alert: str | None) -> list[tuple[Group, AlertRule]]:
        """All alerting rules with their groups, or those of one name; InputError if there is none."""
        rules = self._alert_rules()
        if alert is None:
            return rules
        named(alert, {rule.alert: rule for _, rule in rules})
        return [(group, rule) for group, rule in rules if rule.alert == alert]

    def play(self, group: Group, rule: AlertRule, until: Time) -> list[AlertTimeline]:
        """The timelines of one rule from 0 to `until`; raises UnsupportedError for a rule that replay cannot follow."""
        plan = self._replay.plan(group, rule)
        ticks = time_ms(until) // plan.interval_ms + 1
        try:
            (timelines,) = self._replay.timelines(plan, self._record(plan, time_ms(until)))
        except QueryError as err:
            raise InputError(
                f"`{rule.alert}` cannot be evaluated: {err.message}", span=rule.expr.span_at(0), hint=err.hint
            ) from None
        return [timeline.between(0, ticks) for timeline in timelines]

    def _played(self, group: Group, rule: AlertRule, until: Time, *, named: bool) -> list[AlertTimeline]:
        """As :meth:`_play`; a rule that nobody named and replay cannot follow does not spoil the others."""
        try:
            return self.play(group, rule, until)
        except UnsupportedError as err:
            if named:
                raise
            warn_not_played(err)
            return []

    def _alert_rules(self) -> list[tuple[Group, AlertRule]]:
        return [(group, rule) for file in self._files for group in file.groups for rule in group.alerts()]

    def _interval(self) -> int:
        """How far apart a query is evaluated."""
        intervals = (group.interval_ms for file in self._files for group in file.groups)
        return min(intervals, default=self.engine.server.evaluation_ms)

    def _changed(self) -> None:
        self._replay, self._range = Replay(self.engine, self._files), None

    def _record(self, plan: Plan, until_ms: int) -> SlotRange:
        """Where the series stand; they are written anew if they changed, if this plan looks further, or if others
        wrote since: what recording rules return must come behind that."""
        if (
            self._range is None
            or self._range[0] is not self.slots.latest
            or self._range[0].length_ms < until_ms
            or self._range[1] < plan.reach_ms
        ):
            last = max((one.times_ms[-1] for one in self._traces), default=0)
            length, reach = max(last, until_ms), max(plan.reach_ms, DAY_MS)
            (recorded,) = self.slots.record([Batch([joined(self._traces)], length, reach, DAY_MS)])
            self._range = recorded, reach
        return self._range[0]
