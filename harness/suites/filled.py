"""Windows that promtool cannot fill, filled all the same: does what a test asserts hang on it?

promtool loads at most 10,000 samples of a series into one window. A test of a rule over 30 days at an interval of one
minute therefore only ever sees the beginning of a window. Often that is all it takes: "was it ever seen" is answered by
one sample. So the test group is run once more behind a past as long as the window, sampled so thinly that promtool can
load it: what the series begin with went on all the time, or, for counters, they grew all the time as they do in the
beginning. If an alert is active then where it was not, or no longer, the outcome hangs on the full window.

Only the windows beyond the cap see that past: between it and the test lies a gap as long as all others look back. What
is compared is whether the alert is active, for with a past it may have waited for its `for` long ago.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from harness.engines.promtool import CompletedRun
from harness.errors import HarnessError
from harness.prometheus import ServerSettings
from harness.rules.expr import children, parse_expr, reads_clock, walk
from harness.rules.model import AlertRule, Group, Rule
from harness.rules.selectors import selectors_of
from harness.rules.spans import place_of
from harness.source import Text
from harness.suites.account import mapping, read_account, string, write_copy
from harness.suites.model import AlertAssertion, InputSeries, ObservedStates, SuiteFile, TestGroup
from harness.suites.notation import ItemKind, SeriesItem
from harness.suites.reads import Reads, read_series
from harness.suites.rulefiles import TestedRules
from harness.units import format_duration

CAP = 10_000
"""The samples of one series that promtool loads into a window (promql/promqltest, LazyLoader)."""
_SAMPLES = 500
"""How many of the window's samples the past has."""
_SEQ = "tag:yaml.org,2002:seq"
_MS = timedelta(milliseconds=1)
_PER_SAMPLE = frozenset({"count_over_time", "sum_over_time"})
"""Functions that a thinner sampling divides by as much."""
_WEIGHTED = _PER_SAMPLE | {"avg_over_time", "quantile_over_time", "stddev_over_time", "stdvar_over_time"}
"""Functions to which every sample counts the same: the test must be sampled as thinly as its past."""
_OF_COUNTERS = frozenset({"rate", "increase"})


class Past(Enum):
    """What went before the test."""

    HELD = "as they begin, all the time before"
    GROWN = "grown as they begin, all the time before"


@dataclass(frozen=True, slots=True)
class Filling:
    """An alert whose window promtool cannot fill."""

    group: TestGroup
    assertion: AlertAssertion
    """The first one that hangs on it; the first of all where that cannot be told."""
    window_ms: int
    past: Past | None = None
    """With which past it goes another way; None: what hangs on it cannot be told."""
    active: bool = False
    """Whether the alert is active there with that past."""
    series: int = 0
    why: str = ""
    """Why it cannot be told."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """How the rules behind one alert look at the input series."""

    window_ms: int
    """The longest of the windows beyond the cap."""
    others_ms: int
    """How far back everything else looks."""
    capped: frozenset[str | None]
    """The metrics in windows beyond the cap."""
    functions: frozenset[str]
    """What is made of those windows."""
    elsewhere: frozenset[str | None]
    """The metrics that something else reads too."""
    every_tick: bool
    """Whether something looks at recorded series over time, so that every tick counts."""


Run = Callable[[Path], CompletedRun]


def fillings(
    suite: SuiteFile,
    groups: Iterable[TestGroup],
    rules: TestedRules,
    order: Callable[[], Sequence[Group]],
    seen: Callable[[TestGroup, int], ObservedStates | None],
    run: Run,
    target: Path,
) -> list[Filling]:
    """The alerts of these test groups, all of which pass, whose windows promtool cannot fill and of which an assertion
    hangs on that, or it cannot be told whether one does.

    `order` tells the rule groups as promtool evaluates them, `seen` tells what was seen at an asserted time, `run` lets
    promtool run a file; `target` and its siblings of other endings are free for files of ours.
    """
    found = []
    reads = Reads(rules)
    for group in groups:
        asserted: dict[str, list[AlertAssertion]] = {}
        for assertion in group.alerts:
            asserted.setdefault(assertion.alertname.value, []).append(assertion)
        for name, assertions in asserted.items():
            window_ms = _window_ms(suite, reads, name, group.interval_ms)
            series = read_series(group.series, reads.of_alert(name)[0])
            if not window_ms or not series:
                continue
            first = Filling(group, assertions[0], window_ms, series=len(series))
            try:
                hanging = _hanging(suite, group, assertions, _Behind(name, reads, order()), seen, run, target)
            except (_Unknown, HarnessError) as err:
                found.append(replace(first, why=str(err).splitlines()[0]))
                continue
            if hanging is not None:
                assertion, past, active = hanging
                found.append(replace(first, assertion=assertion, past=past, active=active))
    return found


def _window_ms(suite: SuiteFile, reads: Reads, alert: str, interval_ms: int) -> int:
    """The longest of the windows behind the alert that hold more than promtool loads; 0 if there is none."""
    longest = 0
    for expr in reads.exprs_of_alert(alert):
        try:
            nodes = list(walk(parse_expr(expr)))
        except HarnessError:
            continue  # promtool says it
        for node in nodes:
            if isinstance(node, promql.MatrixSelector):
                every_ms = interval_ms
            elif isinstance(node, promql.SubqueryExpr):
                every_ms = suite.evaluation_ms if node.step is None else node.step // _MS
            else:
                continue
            if (long_ms := node.range // _MS) // every_ms > CAP:
                longest = max(longest, long_ms)
    return longest


class _Unknown(Exception):
    """Why it cannot be told whether an outcome hangs on a full window."""


@dataclass(frozen=True, slots=True)
class _Behind:
    """An alert, and the rules that it takes, in the order in which promtool evaluates them."""

    alert: str
    reads: Reads
    order: Sequence[Group]

    def groups(self) -> list[tuple[Group, list[Rule]]]:
        wanted = {id(rule) for rule in self.reads.of_alert(self.alert)[1]}
        chosen = []
        for group in self.order:
            rules = [
                rule
                for rule in group.rules
                if (rule.alert == self.alert if isinstance(rule, AlertRule) else id(rule) in wanted)
            ]
            if rules:
                chosen.append((group, rules))
        return chosen

    def seen(self, suite: SuiteFile, interval_ms: int) -> _Seen:
        """How these rules look at series `interval_ms` apart; raises _Unknown where that cannot be measured."""
        server = ServerSettings(evaluation_ms=suite.evaluation_ms)
        names, recordings = self.reads.of_alert(self.alert)
        if names & {"ALERTS", "ALERTS_FOR_STATE"}:
            raise _Unknown("it reads `ALERTS`")
        recorded = {rule.record for rule in recordings}
        window_ms, others_ms = 0, server.lookback_ms
        capped: set[str | None] = set()
        elsewhere: set[str | None] = set()
        functions: set[str] = set()
        every_tick = False
        for expr in self.reads.exprs_of_alert(self.alert):
            if reads_clock(expr):
                raise _Unknown("it reads the clock, which shows another time behind a past")
            todo: list[tuple[Any, str]] = [(parse_expr(expr), "")]
            while todo:
                node, function = todo.pop()
                if isinstance(node, promql.SubqueryExpr):
                    raise _Unknown("it has a subquery, whose steps a thin past would miss")
                if isinstance(node, promql.MatrixSelector):
                    metrics = {selector.metric or None for selector in selectors_of(node.vector_selector)}
                    long_ms, offset_ms = node.range // _MS, _offset_ms(node.vector_selector)
                    if long_ms // interval_ms > CAP:
                        if None in metrics or metrics & recorded:
                            raise _Unknown("the window lies over recorded series, which have a sample at every tick")
                        window_ms = max(window_ms, long_ms + offset_ms)
                        capped |= metrics
                        functions.add(function)
                    else:
                        others_ms = max(others_ms, long_ms + offset_ms + server.lookback_ms)
                        elsewhere |= metrics
                        every_tick = every_tick or None in metrics or bool(metrics & recorded)
                    continue
                if isinstance(node, promql.VectorSelector):
                    others_ms = max(others_ms, _offset_ms(node) + server.lookback_ms)
                    elsewhere |= {selector.metric or None for selector in selectors_of(node)}
                name = node.func.name if isinstance(node, promql.Call) else function
                todo += [(child, name) for child in children(node)]
        if not capped:
            raise AssertionError("a window beyond the cap is that of a selector or of a subquery")
        seen = frozenset(capped), frozenset(functions), frozenset(elsewhere)
        return _Seen(window_ms, others_ms, *seen, every_tick)

    def written(self, per_sample: int, interval_ms: int) -> str:
        """The rules as a rule file, every group with its number as its name; what counts samples does it
        `per_sample`-fold in windows beyond the cap."""
        made = []
        for number, (group, rules) in enumerate(self.groups()):
            entries = []
            for rule in rules:
                labels = {name: text.value for name, text in group.labels_of(rule).items()}
                entry: dict[str, object] = {"expr": _scaled(rule.expr, per_sample, interval_ms), "labels": labels}
                if isinstance(rule, AlertRule):
                    entry |= {"alert": rule.alert, "for": format_duration(rule.hold_ms)}
                    entry["keep_firing_for"] = format_duration(rule.keep_firing_ms)
                else:
                    entry["record"] = rule.record
                entries.append({key: value for key, value in entry.items() if value not in ("0s", {})})
            made.append({"name": str(number), "limit": group.limit, "rules": entries})
        return yaml.safe_dump({"groups": made}, allow_unicode=True, width=1 << 20)


def _offset_ms(selector: Any) -> int:
    return abs(selector.offset // _MS) if selector.offset is not None else 0


def _scaled(expr: Text, per_sample: int, interval_ms: int) -> str:
    text = expr.value
    if per_sample == 1:
        return text
    edits: list[tuple[int, str]] = []
    for node in walk(parse_expr(expr)):
        if isinstance(node, promql.Call) and node.func.name in _PER_SAMPLE:
            argument = node.args[0]
            if isinstance(argument, promql.MatrixSelector) and argument.range // _MS // interval_ms > CAP:
                place = place_of(expr, node)
                edits += [(place.start, f"({per_sample} * "), (place.end, ")")]
    for at, added in sorted(edits, reverse=True):
        text = text[:at] + added + text[at:]
    return text


def _hanging(
    suite: SuiteFile,
    group: TestGroup,
    assertions: Sequence[AlertAssertion],
    behind: _Behind,
    seen: Callable[[TestGroup, int], ObservedStates | None],
    run: Run,
    target: Path,
) -> tuple[AlertAssertion, Past, bool] | None:
    """The first assertion that goes another way behind some past, with which, and whether the alert is active then."""
    how = behind.seen(suite, group.interval_ms)
    every = -(-how.window_ms // group.interval_ms // _SAMPLES)
    ways = [(1, False)]  # how many times what counts samples counts, whether the test is sampled as thinly as its past
    if how.functions & _WEIGHTED:
        ways = [(every, True)]
        if how.capped & how.elsewhere:
            if not how.functions <= _PER_SAMPLE:
                raise _Unknown("every sample of its window counts the same, and its metric is read elsewhere, too")
            ways = [(1, False), (every, False)]  # too few, too many
    grows = how.functions <= _OF_COUNTERS and not how.capped & how.elsewhere
    for past in (Past.HELD, Past.GROWN) if grows else (Past.HELD,):
        turned = [
            _turned(suite, group, assertions, behind, seen, run, target, how, past, every, per_sample, thin=thin)
            for per_sample, thin in ways
        ]
        if None in turned and any(turned):
            raise _Unknown("it hangs on how many samples the past has")
        if turned[0] is not None:
            return turned[0][0], past, turned[0][1]
    return None


def _turned(
    suite: SuiteFile,
    group: TestGroup,
    assertions: Sequence[AlertAssertion],
    behind: _Behind,
    seen: Callable[[TestGroup, int], ObservedStates | None],
    run: Run,
    target: Path,
    how: _Seen,
    past: Past,
    every: int,
    per_sample: int,
    *,
    thin: bool,
) -> tuple[AlertAssertion, bool] | None:
    """The first assertion that goes another way behind one past, and whether the alert is active then."""
    chosen = behind.groups()
    hold_ms = max((rule.hold_ms for _, rules in chosen for rule in rules if isinstance(rule, AlertRule)), default=0)
    looked: list[tuple[AlertAssertion, list[int]]] = []
    for assertion in assertions:
        tick_ms = suite.tick_ms(assertion.eval_time_ms)
        was = seen(group, assertion.eval_time_ms)
        if was is None:
            raise _Unknown("promtool does not tell what is active")
        # what fires has been active for as long as its `for`
        fired = bool(was.firing.get(behind.alert))
        looked.append((assertion, [tick_ms, *([suite.tick_ms(max(0, tick_ms - hold_ms))] if fired else [])]))
    ticks = {tick for _, found in looked for tick in found}
    tick_ms = suite.evaluation_ms if how.every_tick else math.gcd(*ticks) or suite.evaluation_ms
    unit_ms = math.lcm(tick_ms, group.interval_ms * every)
    before_ms = -(-(how.window_ms + how.others_ms) // unit_ms) * unit_ms
    if before_ms > 3 * how.window_ms:
        raise _Unknown("its intervals fit into no stretch of time as long as its window")
    rules_file = target.with_suffix(".rules.yml")
    rules_file.write_text(behind.written(per_sample, group.interval_ms), encoding="utf-8")
    shifted = _shifted(group, ticks, how, past, before_ms, every, thin=thin)
    write_copy(
        _ticking(suite, tick_ms), [shifted], [rules_file], target, [str(number) for number in range(len(chosen))]
    )
    account = read_account(run(target).stderr, 1)
    if not account.observed or account.groups[0].strip():
        raise _Unknown("promtool does not evaluate it behind a past")
    for assertion, times in looked:
        was = seen(group, assertion.eval_time_ms)
        for time_ms in times:
            now = account.observed[0].get(before_ms + time_ms, ObservedStates({}, {}))
            if was is None or now is None:
                raise _Unknown("promtool does not tell what is active")
            active = _active(now, behind.alert)
            if active is not _active(was, behind.alert):
                return assertion, active
    return None


def _ticking(suite: SuiteFile, tick_ms: int) -> SuiteFile:
    """The file with another evaluation interval."""
    fields = [(key, value) for key, value in suite.root.value if key.value != "evaluation_interval"]
    fields.append((string("evaluation_interval"), string(format_duration(tick_ms))))
    return replace(suite, evaluation_ms=tick_ms, root=yaml.MappingNode(suite.root.tag, fields))


def _active(seen: ObservedStates, alert: str) -> bool:
    return bool(seen.firing.get(alert) or seen.pending.get(alert))


# -- the test group behind its past ------------------------------------------------------------------------------------


def _shifted(
    group: TestGroup,
    ticks: Iterable[int],
    how: _Seen,
    past: Past,
    before_ms: int,
    every: int,
    *,
    thin: bool,
) -> TestGroup:
    """The group `before_ms` later, looked at in these ticks; its series have a sample `every` so many intervals
    before."""
    count = before_ms // group.interval_ms
    clear = -(-how.others_ms // group.interval_ms)
    made = []
    for series in group.series:
        if series.items is None:
            raise _Unknown("one of its series cannot be read")
        if series.metric in how.capped or series.metric is None:
            grown = past is Past.GROWN and series.items[:1] and series.items[0].step > 0
            apart = 0 if thin else clear
            values = _values(series, count, every, apart, grown=bool(grown), thin=thin)
        else:
            values = f"_x{count} {series.values.value}"
        made.append(mapping(series=string(series.series.value), values=string(values)))
    fields = {
        "interval": string(format_duration(group.interval_ms)),
        "input_series": yaml.SequenceNode(_SEQ, list(made)),
    }
    fields |= {key.value: value for key, value in group.node.value if key.value in ("external_labels", "external_url")}
    later = tuple(replace(group.alerts[0], eval_time_ms=before_ms + tick) for tick in sorted(ticks))
    return replace(group, name="", alerts=later, exprs=(), node=mapping(**fields))


def _values(series: InputSeries, count: int, every: int, apart: int, *, grown: bool, thin: bool) -> str:
    items = series.items or ()
    first = items[0] if items else None
    if first is None or first.kind not in (ItemKind.NUMBER, ItemKind.HISTOGRAM):
        return f"_x{count} {_thinned(items, every, 0.0) if thin else series.values.value}"
    step = first.step if grown else 0.0
    told = []
    for at in range(0, count - apart, every):
        told.append(_literal(series, first) if first.kind is ItemKind.HISTOGRAM else _text(first.first + at * step))
        if every > 1:
            told.append(f"_x{every - 1}")
    # the last sample's gap may reach into what must be clear, or into the test
    written = len(range(0, count - apart, every)) * every
    if written > count:
        told[-1] = f"_x{every - 1 - (written - count)}"
    elif written < count:
        told.append(f"_x{count - written}")
    if thin:
        told.append(_thinned(items, every, count * step))
    elif step:
        told += [_moved(item, count * step) for item in items]
    else:
        told.append(series.values.value)
    return " ".join(each for each in told if each != "_x0")


def _thinned(items: Sequence[SeriesItem], every: int, offset: float) -> str:
    """Only one sample out of `every`, and every stale marker."""
    told, at = [], 0
    for item in items:
        if item.kind is ItemKind.HISTOGRAM:
            raise _Unknown("native histograms in its window")
        for value in item.values() if item.kind is ItemKind.NUMBER else [0.0] * item.count:
            if item.kind is ItemKind.STALE:
                told.append("stale")
            else:
                told.append(_text(value + offset) if item.kind is ItemKind.NUMBER and at % every == 0 else "_")
            at += 1
    return " ".join(told)


def _moved(item: SeriesItem, offset: float) -> str:
    if item.kind is ItemKind.GAP:
        return f"_x{item.count}"
    if item.kind is not ItemKind.NUMBER:
        return " ".join(["stale"] * item.count)
    return " ".join(_text(value + offset) for value in item.values())


def _literal(series: InputSeries, item: SeriesItem) -> str:
    return series.values.value[item.offset : item.offset + item.length].partition("}}")[0] + "}}"


def _text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return ("Inf" if value > 0 else "-Inf") if math.isinf(value) else repr(value)
