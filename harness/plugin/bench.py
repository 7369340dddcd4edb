"""What the fixtures give to a test of one's own: a throwaway Prometheus, loaded rules, and replay.

Times are durations from the beginning of the test's series (``"5m"``, or milliseconds as a number), series are in
promtool's notation (``"0+10x5 _ stale"``), label sets read as Prometheus prints them (``up{job="api"}``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import promql_parser as promql
import pytest

from harness.config import rule_files
from harness.contracts import Contract, load_contracts
from harness.contracts.world import Trace
from harness.errors import HarnessError, InputError, Span, UnsupportedError, near_miss
from harness.replay import AlertTimeline, Batch, Plan, Reel, Replay, State, Tape
from harness.rules import AlertRule, Group, RuleFile, load_rules
from harness.series import STALE, Labels, format_labels, labels_of
from harness.source import SourceFile, Text
from harness.suites.notation import Kind, parse_values
from harness.units import format_duration, parse_duration_ms

_T = TypeVar("_T")
_DAY_MS = 86_400_000
_NOWHERE = Span("a test", 1, 1)

Time = str | int
"""``"5m"``, or milliseconds."""


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """An error that a user may see fails the test with its own words, as the command line has them."""
    try:
        yield
    except HarnessError as err:
        pytest.fail(str(err), pytrace=False)


@dataclass(frozen=True, slots=True)
class AlertRules:
    """A project's rule files and contracts."""

    files: list[RuleFile]
    contracts: list[Contract]

    @classmethod
    def load(cls, rules: Sequence[Path], contracts: Sequence[Path]) -> Self:
        return cls(load_rules(rules), load_contracts(contracts))

    @property
    def paths(self) -> list[Path]:
        return [file.path for file in self.files]

    def rule(self, alert: str) -> AlertRule:
        """The first rule of this name; InputError, with the near miss, if there is none."""
        return _named(alert, {r.alert: r for f in reversed(self.files) for g in f.groups for r in reversed(g.alerts())})

    def contract(self, alert: str) -> Contract:
        """The first contract for an alert; InputError, with the near miss, if there is none."""
        return _named(alert, {contract.alert.value: contract for contract in reversed(self.contracts)})


def _named(name: str, known: Mapping[str, _T]) -> _T:
    if name not in known:
        raise InputError(f"there is no alert `{name}`{near_miss(name, known)}", hint="check the name")
    return known[name]


def _ms(at: Time) -> int:
    try:
        return at if isinstance(at, int) else parse_duration_ms(at)
    except ValueError as err:
        raise InputError(str(err), hint="write a duration from the beginning of the series, such as 5m") from err


def parse_series(text: str) -> Labels:
    """The labels of ``up{job="api"}``; InputError if it is anything but one plain series."""
    try:
        node = promql.parse(text)
    except ValueError as err:
        raise InputError(f"`{text}` is no series: {err}", hint='write name{label="value"}') from err
    if not isinstance(node, promql.VectorSelector) or node.offset is not None or node.at is not None:
        raise InputError(f"`{text}` is no series", hint='write name{label="value"}')
    matchers = node.matchers.matchers
    if any(m.op != promql.MatchOp.Equal for m in matchers):
        raise InputError(f"`{text}` selects by pattern, a series has fixed labels", hint='write name{label="value"}')
    return labels_of(node.name or "", {m.name: m.value for m in matchers})


def trace(series: str, values: str, interval_ms: int) -> Trace:
    """One series in promtool's notation, a sample every `interval_ms`; InputError with a caret where it is wrong."""
    source = SourceFile.of_text("values", values)
    text = Text(values, source.span(1, 1, len(values)))
    try:
        items = parse_values(text)
    except InputError as err:
        raise InputError(f"{series}: {err.message}", span=err.span, hint=err.hint) from err
    times: list[int] = []
    found: list[float] = []
    at = 0
    for item in items:
        if item.kind is Kind.HISTOGRAM:
            raise UnsupportedError(f"{series}: native histograms cannot be written", hint="write its classic buckets")
        if item.kind is not Kind.GAP:
            times += [(at + i) * interval_ms for i in range(item.count)]
            found += [STALE] * item.count if item.kind is Kind.STALE else item.values()
        at += item.count
    return Trace(parse_series(series), times, found)


class SharedTape(Tape):
    """A time line for several tests, which knows whose series came last."""

    latest: Reel | None = None

    def record(self, batches: Iterable[Batch]) -> list[Reel]:
        reels = super().record(batches)
        self.latest = reels[-1]
        return reels


class Prometheus:
    """A throwaway Prometheus for one test.

    It is the session's only one: each test (and each change of its series) takes a stretch of time of its own there,
    far enough from the others that no expression sees them.
    """

    def __init__(self, tape: SharedTape) -> None:
        self.engine = tape.engine
        self.tape = tape
        self._files: list[RuleFile] = []
        self._traces: list[Trace] = []
        self._replay = Replay(self.engine, [])
        self._reel: tuple[Reel, int] | None = None

    def load(self, *rules: str | Path | RuleFile | AlertRules) -> Prometheus:
        """Add rule files: paths, folders and globs from the current folder, or what `alert_rules` has loaded."""
        with told_plainly():
            for given in rules:
                if isinstance(given, AlertRules):
                    self._files += given.files
                elif isinstance(given, RuleFile):
                    self._files.append(given)
                else:
                    self._files += load_rules(rule_files([str(given)], Path.cwd()))
            self._changed()
        return self

    def samples(self, series: Mapping[str, str], interval: Time = "1m") -> Prometheus:
        """Add series in promtool's notation, one value every `interval`, the first at 0."""
        with told_plainly():
            every_ms = _ms(interval)
            return self.write([trace(name, values, every_ms) for name, values in series.items()])

    def write(self, traces: Sequence[Trace]) -> Prometheus:
        """Add series as time stamps (milliseconds from the beginning) and values."""
        for one in traces:
            if one.dated is not None:
                with told_plainly():
                    raise UnsupportedError(
                        f"{format_labels(one.labels)} tells the time (`now`), and tests share one clock",
                        hint="write it with its values, or prove its alert with `alert-harness prove`",
                    )
        self._traces += [one for one in traces if one.times_ms]
        self._changed()
        return self

    def query(self, expr: str, at: Time) -> dict[str, float]:
        """What an expression returns at a time: series → value, in Prometheus' spelling. Recording rules apply."""
        with told_plainly():
            text = Text(expr, _NOWHERE)
            group = Group("query", _interval(self._files), (), _NOWHERE)
            plan = self._replay.plan(group, AlertRule("query", text, 0, 0, {}, {}, _NOWHERE))
            found = self._replay.instants(plan, expr, self._record(plan, _ms(at)), _ms(at))[0]
        return {format_labels(labels): value for labels, value in found.items()}

    def alerts(self, at: Time, state: State | str = State.FIRING) -> list[dict[str, str]]:
        """The labels of all alerts in a state at the last tick at or before a time, `alertname` among them."""
        wanted = State(state)
        found = []
        with told_plainly():
            for group, rule in self._alert_rules():
                tick = _ms(at) // group.interval_ms
                for timeline in self.timelines(rule.alert, until=at):
                    if timeline.states[tick] is wanted and (labels := dict(timeline.labels)) not in found:
                        found.append(labels)
        return found

    def timelines(self, alert: str, until: Time) -> list[AlertTimeline]:
        """Every alert that rules of this name make, tick by tick from 0 to `until`."""
        with told_plainly():
            _named(alert, {rule.alert: rule for _, rule in self._alert_rules()})
            made = []
            for group, rule in self._alert_rules():
                if rule.alert == alert:
                    plan = self._replay.plan(group, rule)
                    ticks = _ms(until) // plan.interval_ms + 1
                    (timelines,) = self._replay.timelines(plan, self._record(plan, _ms(until)))
                    made += [_first_ticks(timeline, ticks) for timeline in timelines]
        return made

    def _alert_rules(self) -> list[tuple[Group, AlertRule]]:
        return [(group, rule) for file in self._files for group in file.groups for rule in group.alerts()]

    def _changed(self) -> None:
        self._replay, self._reel = Replay(self.engine, self._files), None

    def _record(self, plan: Plan, until_ms: int) -> Reel:
        """Where the series stand; they are written anew if they changed, if this plan looks further, or if others
        wrote since: what recording rules return must come behind that."""
        if (
            self._reel is None
            or self._reel[0] is not self.tape.latest
            or self._reel[0].length_ms < until_ms
            or self._reel[1] < plan.reach_ms
        ):
            last = max((one.times_ms[-1] for one in self._traces), default=0)
            length, reach = max(last, until_ms), max(plan.reach_ms, _DAY_MS)
            (reel,) = self.tape.record([Batch([_joined(self._traces)], length, reach, _DAY_MS)])
            self._reel = reel, reach
        return self._reel[0]


def _interval(files: Sequence[RuleFile]) -> int:
    return min((group.interval_ms for file in files for group in file.groups), default=60_000)


def _joined(traces: Sequence[Trace]) -> list[Trace]:
    """One trace per label set, its samples in order of time."""
    merged: dict[Labels, dict[int, float]] = {}
    for one in traces:
        merged.setdefault(one.labels, {}).update(zip(one.times_ms, one.values, strict=True))
    return [Trace(labels, sorted(points), [points[at] for at in sorted(points)]) for labels, points in merged.items()]


def _first_ticks(timeline: AlertTimeline, ticks: int) -> AlertTimeline:
    return AlertTimeline(
        timeline.labels,
        timeline.states[:ticks],
        frozenset(t for t in timeline.true_at if t < ticks),
        {t: v for t, v in timeline.values.items() if t < ticks},
    )


@dataclass(frozen=True, slots=True)
class Story:
    """What one alert did: its labels, and its state from each time on at which that changed."""

    labels: Mapping[str, str]
    changes: tuple[tuple[str, str], ...]
    """(time, state): ``("5m", "pending")``; an alert begins inactive."""

    def __str__(self) -> str:
        """``pending at 5m, firing at 10m, inactive at 20m``."""
        return ", ".join(f"{state} at {at}" for at, state in self.changes)


class Replayer:
    """The fixture `replay`: rules and series in, what the alerts did out."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    def __call__(
        self,
        rules: str | Path | RuleFile | AlertRules,
        series: Mapping[str, str],
        *,
        until: Time,
        interval: Time = "1m",
        alert: str | None = None,
    ) -> dict[str, list[Story]]:
        """Play series against rules from 0 to `until`: alert name → a story per alert that was ever active."""
        bench = Prometheus(self._prometheus.tape).load(rules).samples(series, interval)
        stories: dict[str, list[Story]] = {}
        groups = {rule.alert: group for group, rule in reversed(bench._alert_rules())}
        for name in [alert] if alert is not None else list(reversed(groups)):
            timelines = bench.timelines(name, until)
            stories[name] = [_story(timeline, groups[name].interval_ms) for timeline in timelines]
        return stories


def _story(timeline: AlertTimeline, interval_ms: int) -> Story:
    before, changes = State.INACTIVE, []
    for tick, state in enumerate(timeline.states):
        if state is not before:
            changes.append((format_duration(tick * interval_ms), state.value))
        before = state
    return Story({k: v for k, v in timeline.labels if k != "alertname"}, tuple(changes))
