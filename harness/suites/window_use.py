"""How the rules behind an alert look at its input series, where a window holds more samples than promtool loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser as promql
import yaml

from harness.errors import HarnessError
from harness.prometheus import ServerSettings
from harness.rules.expr import children, parse_expr, reads_clock, walk
from harness.rules.model import AlertRule, Group, Rule
from harness.rules.selectors import selectors_of
from harness.rules.spans import place_of
from harness.source import Text
from harness.suites.model import SuiteFile
from harness.suites.reads import Reads
from harness.units import format_duration

CAP = 10_000
"""The samples of one series that promtool loads into a window (promql/promqltest, LazyLoader)."""
PER_SAMPLE = frozenset({"count_over_time", "sum_over_time"})
"""Functions that a thinner sampling divides by as much."""
_MS = timedelta(milliseconds=1)


class CannotTellError(Exception):
    """Why it cannot be told whether an outcome hangs on a full window."""


@dataclass(frozen=True, slots=True)
class WindowUse:
    """How the rules behind one alert look at the input series."""

    window_ms: int
    """The longest of the windows beyond the cap."""
    others_ms: int
    """How far back everything else looks."""
    capped: frozenset[str | None]
    """The metrics in windows beyond the cap."""
    functions: frozenset[str]
    """The functions that are given those windows."""
    elsewhere: frozenset[str | None]
    """The metrics that something else reads too."""
    every_tick: bool
    """Whether something looks at recorded series over time, so that every tick counts."""


@dataclass(frozen=True, slots=True)
class RulesBehind:
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

    def window_use(self, suite: SuiteFile, interval_ms: int) -> WindowUse:
        """How these rules look at series `interval_ms` apart; raises CannotTellError where that cannot be measured."""
        server = ServerSettings(evaluation_ms=suite.evaluation_ms)
        names, recordings = self.reads.of_alert(self.alert)
        if names & {"ALERTS", "ALERTS_FOR_STATE"}:
            raise CannotTellError("it reads `ALERTS`")
        recorded = {rule.record for rule in recordings}
        window_ms, others_ms = 0, server.lookback_ms
        capped: set[str | None] = set()
        elsewhere: set[str | None] = set()
        functions: set[str] = set()
        every_tick = False
        for expr in self.reads.exprs_of_alert(self.alert):
            if reads_clock(expr):
                raise CannotTellError("it reads the clock, which shows another time behind a past")
            todo: list[tuple[Any, str]] = [(parse_expr(expr), "")]
            while todo:
                node, function = todo.pop()
                if isinstance(node, promql.SubqueryExpr):
                    raise CannotTellError("it has a subquery, whose steps a thin past would miss")
                if isinstance(node, promql.MatrixSelector):
                    metrics = {selector.metric or None for selector in selectors_of(node.vector_selector)}
                    long_ms, offset_ms = node.range // _MS, _offset_ms(node.vector_selector)
                    if long_ms // interval_ms > CAP:
                        if None in metrics or metrics & recorded:
                            raise CannotTellError(
                                "the window lies over recorded series, which have a sample at every tick"
                            )
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
        return WindowUse(
            window_ms, others_ms, frozenset(capped), frozenset(functions), frozenset(elsewhere), every_tick
        )

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


def longest_capped_ms(suite: SuiteFile, reads: Reads, alert: str, interval_ms: int) -> int:
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


def _offset_ms(selector: Any) -> int:
    return abs(selector.offset // _MS) if selector.offset is not None else 0


def _scaled(expr: Text, per_sample: int, interval_ms: int) -> str:
    text = expr.value
    if per_sample == 1:
        return text
    edits: list[tuple[int, str]] = []
    for node in walk(parse_expr(expr)):
        if isinstance(node, promql.Call) and node.func.name in PER_SAMPLE:
            argument = node.args[0]
            if isinstance(argument, promql.MatrixSelector) and argument.range // _MS // interval_ms > CAP:
                place = place_of(expr, node)
                edits += [(place.start, f"({per_sample} * "), (place.end, ")")]
    for at, added in sorted(edits, reverse=True):
        text = text[:at] + added + text[at:]
    return text
