"""What the fixtures give to a test of one's own: a throwaway Prometheus, loaded rules, and replay.

Times are durations from the beginning of the test's series (``"5m"``, or milliseconds as a number), series are in
promtool's notation (``"0+10x5 _ stale"``) or lists of numbers, label sets read as Prometheus prints them
(``up{job="api"}``).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from numbers import Real
from pathlib import Path
from typing import NoReturn, ParamSpec, Self, TypeVar

import promql_parser as promql
import pytest

from harness.config import rule_files
from harness.contracts import Contract, load_contracts
from harness.contracts.world import Trace
from harness.engines.base import QueryError
from harness.engines.promtool import CompletedRun, Promtool, RuleProblem
from harness.errors import HarnessError, InputError, InputErrors, Span, UnsupportedError, near_miss
from harness.prometheus import ServerSettings
from harness.replay import AlertState, AlertTimeline, Batch, EndlessSlotWriter, Plan, Replay, SlotRange
from harness.rules import AlertRule, Group, RuleFile, load_rules, read_rules
from harness.series import STALE, Labels, format_labels, labels_of
from harness.source import Text
from harness.suites.notation import ItemKind, parse_values
from harness.units import format_duration, parse_duration_ms

_T = TypeVar("_T")
_P = ParamSpec("_P")
_DAY_MS = 86_400_000
_NOWHERE = Span("a test", 1, 1)
_MAX_SAMPLES = 1_000_000
_PARSE_ERROR = re.compile(r"(\d+):(\d+): parse error: (.*)", re.DOTALL)

Time = str | int
"""``"5m"``, or milliseconds."""

Values = str | Sequence[float | None]
"""promtool's notation, or a list of numbers in which None is no sample and `harness.series.STALE` ends the series."""


def told_plainly(called: Callable[_P, _T]) -> Callable[_P, _T]:
    """An error that a user may see fails the test with its own words, as the command line has them, once, and at the
    test's own line: what lies between is of no use to a reader."""

    @wraps(called)
    def calling(*args: _P.args, **named: _P.kwargs) -> _T:
        __tracebackhide__ = True
        try:
            return called(*args, **named)
        # Also what another call has told plainly, and a warning that the user takes for an error.
        except (HarnessError, pytest.fail.Exception, NotPlayed) as err:
            said = str(err)
        _fail(said)

    return calling


def _fail(said: str) -> NoReturn:
    __tracebackhide__ = True
    raise pytest.fail.Exception(said) from None


class NotPlayed(pytest.PytestWarning):
    """Rules that replay cannot follow were left out; their alerts may fire all the same."""


class PlainPromtool(Promtool):
    """The fixture `promtool`: as :class:`Promtool`, with paths as text too."""

    @told_plainly
    def check_rules(self, files: str | Path | Sequence[str | Path], *, lint: bool = True) -> list[RuleProblem]:
        return super().check_rules(_paths(files), lint=lint)

    @told_plainly
    def test_rules(
        self, files: str | Path | Sequence[str | Path], *, flags: Sequence[str] = (), timeout_s: float | None = None
    ) -> CompletedRun:
        return super().test_rules(_paths(files), flags=flags, timeout_s=timeout_s)


def _paths(files: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]


@dataclass(frozen=True, slots=True)
class AlertRules:
    """A project's rule files and contracts."""

    files: list[RuleFile]
    contracts: list[Contract]
    faults: list[HarnessError] = field(default_factory=list)
    """What is wrong with rules; neither they nor their contracts are in here."""

    @classmethod
    def load(cls, rules: Sequence[Path], contracts: Sequence[Path], server: ServerSettings) -> Self:
        loaded = read_rules(rules, server)
        if not loaded.files:
            raise InputErrors(loaded.errors)
        lost = loaded.lost()
        left = [contract for contract in load_contracts(contracts, server) if contract.alert.value not in lost]
        return cls(loaded.files, left, loaded.errors)

    @property
    def paths(self) -> list[Path]:
        return list(dict.fromkeys(file.path for file in self.files))

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
    hint = "write a duration from the beginning of the series, such as 5m"
    try:
        ms = at if isinstance(at, int) else parse_duration_ms(at)
    except ValueError as err:
        raise InputError(str(err), hint=hint) from err
    if ms < 0:
        raise InputError(f"{ms} ms lies before the beginning of the series", hint=hint)
    return ms


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


def trace(series: str, values: Values, interval_ms: int, start_ms: int = 0) -> Trace:
    """One series, a sample every `interval_ms`, the first at `start_ms`; InputError with a caret where it is wrong."""
    labels = parse_series(series)
    if interval_ms <= 0:
        raise InputError(f"an interval of {interval_ms} ms", hint="write a duration, such as 30s")
    try:
        found = list(_notated(values) if isinstance(values, str) else _listed(values))
    except HarnessError as err:
        raise type(err)(f"{series}: {err.message}", span=err.span, hint=err.hint) from None
    there = [(start_ms + i * interval_ms, value) for i, value in enumerate(found) if value is not None]
    return Trace(labels, [at for at, _ in there], [value for _, value in there])


def _listed(values: Sequence[object]) -> Iterator[float | None]:
    for i, value in enumerate(values):
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise InputError(f"value {i + 1} of the list is {value!r}", hint="list numbers, and None for no sample")
        try:
            yield None if value is None else float(value)
        except OverflowError:
            raise InputError(f"value {i + 1} of the list is beyond every double", hint="they end at 1.8e308") from None


def _notated(values: str) -> Iterator[float | None]:
    items = parse_values(Text.of_text("values", values))
    if sum(item.count for item in items) > _MAX_SAMPLES:
        raise InputError(f"more than {_MAX_SAMPLES:,} samples", hint="write a shorter series, or a longer interval")
    for item in items:
        if item.kind is ItemKind.HISTOGRAM:
            raise UnsupportedError("native histograms cannot be written", hint="write its classic buckets")
        if item.kind is ItemKind.NUMBER:
            yield from item.values()
        else:
            yield from [STALE if item.kind is ItemKind.STALE else None] * item.count


class Prometheus:
    """A throwaway Prometheus for one test.

    It is the session's only one: each test (and each change of its series) takes a stretch of time of its own there,
    far enough from the others that no expression sees them.
    """

    def __init__(self, tape: EndlessSlotWriter) -> None:
        self.engine = tape.engine
        self.tape = tape
        self._files: list[RuleFile] = []
        self._traces: list[Trace] = []
        self._replay = Replay(self.engine, [])
        self._reel: tuple[SlotRange, int] | None = None

    def __repr__(self) -> str:
        return f"Prometheus({len(self._files)} rule files, {len(self._traces)} series)"

    @told_plainly
    def load(self, *rules: str | Path | RuleFile | AlertRules) -> Prometheus:
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

    @told_plainly
    def samples(self, series: Mapping[str, Values], interval: Time = "1m", *, start: Time = 0) -> Prometheus:
        """Add series in promtool's notation or as lists of numbers, one value every `interval`, the first at `start`.

        Rules are evaluated at multiples of their group's interval: a `start` beside those is what a scrape is like.
        """
        every_ms, start_ms = _ms(interval), _ms(start)
        return self.write([trace(name, values, every_ms, start_ms) for name, values in series.items()])

    @told_plainly
    def write(self, traces: Sequence[Trace]) -> Prometheus:
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

    @told_plainly
    def query(self, expr: str, at: Time) -> dict[str, float]:
        """What an expression returns at a time: series → value, in Prometheus' spelling. Recording rules apply."""
        text = Text.of_text("query", expr)
        group = Group("query", self._interval(), (), _NOWHERE)
        try:
            plan = self._replay.plan(group, AlertRule("query", text, 0, 0, {}, {}, _NOWHERE))
            found = self._replay.instants(plan, expr, self._record(plan, _ms(at)), _ms(at))[0]
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

    @told_plainly
    def alerts(
        self, at: Time, state: AlertState | str = AlertState.FIRING, *, alert: str | None = None
    ) -> list[dict[str, str]]:
        """The labels of all alerts in a state at the last tick at or before a time, `alertname` among them; with
        `alert` only those of this name. Without it, rules that replay cannot follow are left out, with a warning."""
        wanted = AlertState(state)
        found = []
        for group, rule in self._chosen(alert):
            tick = _ms(at) // group.interval_ms
            for timeline in self._played(group, rule, at, named=alert is not None):
                if timeline.states[tick] is wanted and (labels := dict(timeline.labels)) not in found:
                    found.append(labels)
        return found

    @told_plainly
    def timelines(self, alert: str, until: Time) -> list[AlertTimeline]:
        """Every alert that rules of this name make, tick by tick from 0 to `until`."""
        return [timeline for group, rule in self._chosen(alert) for timeline in self._play(group, rule, until)]

    def _chosen(self, alert: str | None) -> list[tuple[Group, AlertRule]]:
        rules = self._alert_rules()
        if alert is None:
            return rules
        _named(alert, {rule.alert: rule for _, rule in rules})
        return [(group, rule) for group, rule in rules if rule.alert == alert]

    def _play(self, group: Group, rule: AlertRule, until: Time) -> list[AlertTimeline]:
        plan = self._replay.plan(group, rule)
        ticks = _ms(until) // plan.interval_ms + 1
        try:
            (timelines,) = self._replay.timelines(plan, self._record(plan, _ms(until)))
        except QueryError as err:
            raise InputError(
                f"`{rule.alert}` cannot be evaluated: {err.message}", span=rule.expr.span_at(0), hint=err.hint
            ) from None
        return [timeline.between(0, ticks) for timeline in timelines]

    def _played(self, group: Group, rule: AlertRule, until: Time, *, named: bool) -> list[AlertTimeline]:
        """As :meth:`_play`; a rule that nobody named and replay cannot follow does not spoil the others."""
        try:
            return self._play(group, rule, until)
        except UnsupportedError as err:
            if named:
                raise
            # The test's line: above this are `alerts` and what tells errors plainly.
            warnings.warn(NotPlayed(f"left out, it may fire: {err.message}"), stacklevel=4)
            return []

    def _alert_rules(self) -> list[tuple[Group, AlertRule]]:
        return [(group, rule) for file in self._files for group in file.groups for rule in group.alerts()]

    def _interval(self) -> int:
        """How far apart a query is evaluated."""
        intervals = (group.interval_ms for file in self._files for group in file.groups)
        return min(intervals, default=self.engine.server.evaluation_ms)

    def _changed(self) -> None:
        self._replay, self._reel = Replay(self.engine, self._files), None

    def _record(self, plan: Plan, until_ms: int) -> SlotRange:
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


def _joined(traces: Sequence[Trace]) -> list[Trace]:
    """One trace per label set, its samples in order of time."""
    merged: dict[Labels, dict[int, float]] = {}
    for one in traces:
        merged.setdefault(one.labels, {}).update(zip(one.times_ms, one.values, strict=True))
    return [Trace(labels, sorted(points), [points[at] for at in sorted(points)]) for labels, points in merged.items()]


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
    """Alert name → a story per alert that was ever active; asking for a name that was not played fails the test."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, str] = {}
        """The alerts that replay cannot follow, and why."""

    def __missing__(self, alert: str) -> NoReturn:
        __tracebackhide__ = True
        if alert in self.left_out:
            _fail(self.left_out[alert])
        _fail(f"there is no alert `{alert}`{near_miss(alert, [*self, *self.left_out])}")


class Replayer:
    """The fixture `replay`: rules and series in, what the alerts did out. `make` makes a Prometheus for each call, so
    nothing of one is seen by the next."""

    def __init__(self, make: Callable[[], Prometheus]) -> None:
        self._make = make

    @told_plainly
    def __call__(
        self,
        rules: str | Path | RuleFile | AlertRules,
        series: Mapping[str, Values],
        *,
        until: Time,
        interval: Time = "1m",
        start: Time = 0,
        alert: str | None = None,
    ) -> Stories:
        """Play series against rules from 0 to `until`; with `alert` only the rules of this name."""
        bench = self._make().load(rules).samples(series, interval, start=start)
        stories = Stories()
        for group, rule in bench._chosen(alert):
            try:
                timelines = bench._play(group, rule, until)
            except UnsupportedError as err:
                if alert is not None:
                    raise
                stories.left_out[rule.alert] = str(err)
                warnings.warn(NotPlayed(f"left out, it may fire: {err.message}"), stacklevel=3)
                continue
            told = [_story(timeline, group.interval_ms) for timeline in timelines]
            stories.setdefault(rule.alert, []).extend(told)
        for name in stories.left_out:
            stories.pop(name, None)
        return stories


def _story(timeline: AlertTimeline, interval_ms: int) -> Story:
    before, changes = AlertState.INACTIVE, []
    for tick, state in enumerate(timeline.states):
        if state is not before:
            changes.append((format_duration(tick * interval_ms), state.value))
        before = state
    return Story({k: v for k, v in timeline.labels if k != "alertname"}, tuple(changes))
