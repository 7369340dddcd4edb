"""A clock that runs k times as fast: every duration divided by k, every per-second rate kept.

Ten minutes pass in ten seconds at k = 60. What the rules say stays the same, because everything that they wait for,
look back over or are scraped at shrinks together. A counter that grows by 5 a second does so on the fast clock too, so
``rate()`` needs no change; what depends on how long a window really is (``increase``, ``deriv``, the seconds of
``predict_linear``) is put right in the expression. What cannot be put right is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import promql_parser as promql
import yaml

from harness.errors import InputError, Span, UnsupportedError
from harness.prometheus import DEFAULTS, ServerSettings
from harness.rules.expr import parse_expr, reads_clock, walk
from harness.rules.model import AlertRule, Group, Rule, RuleFile
from harness.rules.selectors import selectors_of
from harness.rules.spans import Range, node_span, node_text, one_line, place_of
from harness.source import Text, unshared
from harness.units import format_duration, parse_duration_ms

_MS = timedelta(milliseconds=1)

# Prometheus' defaults that are durations of its rules (cmd/prometheus/main.go), by flag.
_RULE_FLAGS = {
    "rules.alert.resend-delay": "1m",
    "rules.alert.for-grace-period": "10m",
    "rules.alert.for-outage-tolerance": "1h",
}
PROMETHEUS_WAITS_MS = 60_000
"""What divides all of them, so that a factor fits them all if it fits this."""
# Alertmanager's defaults of the root route (config/config.go, DefaultRoute and DefaultGlobalConfig).
_ROUTE_WAITS = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
_RESOLVE_TIMEOUT = "5m"
_FASTEST = 86_400
"""A day in a second."""
_TIMES_OF_DAY = ("mute_time_intervals", "active_time_intervals")
# Functions whose result is a time, apart from those that `reads_clock` knows.
_TIMESTAMPS = frozenset(
    {"timestamp", "ts_of_max_over_time", "ts_of_min_over_time", "ts_of_last_over_time", "ts_of_first_over_time"}
)


Edit = tuple[Range, str]
"""A part of an expression and what stands there instead."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock `factor` times as fast as the world's; 1 changes nothing.

    Its methods return what a Prometheus or Alertmanager on the fast clock is given. They raise UnsupportedError, with
    the place if it is known, for what has no equal there: durations that are no whole milliseconds any more, times of
    day, fixed times.
    """

    factor: int
    server: ServerSettings = DEFAULTS
    """Prometheus' own settings, on the world's clock."""

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= _FASTEST:
            raise InputError(
                f"a clock cannot run {self.factor} times as fast", hint=f"give a whole number from 1 to {_FASTEST}"
            )

    # -- durations -----------------------------------------------------------------------------------------------

    def shrink_ms(self, ms: int, what: str = "a duration", span: Span | None = None) -> int:
        """Milliseconds of the world as milliseconds of this clock; exact, or UnsupportedError."""
        short, rest = divmod(ms, self.factor)
        if rest:
            fits = next(k for k in range(self.factor, 0, -1) if ms % k == 0)
            raise UnsupportedError(
                f"{what} of {format_duration(ms)} is no whole number of milliseconds on a clock {self.factor} times "
                "as fast",
                span=span,
                hint=f"compress less: {fits} is the largest factor that fits it",
            )
        return short

    def duration(self, text: str, what: str = "a duration", span: Span | None = None) -> str:
        """The same for a duration as Prometheus writes it: ``5m`` -> ``5s`` at 60.

        Raises InputError for what is no duration.
        """
        try:
            ms = parse_duration_ms(str(text))
        except ValueError as err:
            raise InputError(f"{what}: {err}", span=span, hint="write a number and a unit, without a space") from err
        return format_duration(self.shrink_ms(ms, what, span))

    def _wait(self, text: str, what: str) -> str:
        """A wait of Alertmanager, up to the next millisecond: unlike a rule's, no tick depends on it."""
        ms = parse_duration_ms(Clock(1).duration(text, what))
        return format_duration(-(-ms // self.factor))

    # -- rules ---------------------------------------------------------------------------------------------------

    def rules(self, file: RuleFile) -> str:
        """The rule file as YAML for this clock; names, labels and annotations stay as they are."""
        return yaml.safe_dump(
            {"groups": [self._group(group) for group in file.groups]},
            allow_unicode=True,
            sort_keys=False,
            width=1 << 20,
        )

    def _group(self, group: Group) -> dict[str, object]:
        what = f"of group `{group.name}`"
        made: dict[str, object] = {
            "name": group.name,
            "interval": format_duration(self.shrink_ms(group.interval_ms, f"the interval {what}", group.span)),
        }
        if group.query_offset_ms:
            made["query_offset"] = format_duration(
                self.shrink_ms(group.query_offset_ms, f"the query_offset {what}", group.span)
            )
        if group.limit:
            made["limit"] = group.limit
        if group.labels:
            made["labels"] = _texts(group.labels)
        made["rules"] = [self._rule(rule) for rule in group.rules]
        return made

    def _rule(self, rule: Rule) -> dict[str, object]:
        if not isinstance(rule, AlertRule):
            made: dict[str, object] = {"record": rule.record, "expr": self.expression(rule.expr)}
            return made | ({"labels": _texts(rule.labels)} if rule.labels else {})
        made = {"alert": rule.alert, "expr": self.expression(rule.expr)}
        for name, ms in (("for", rule.hold_ms), ("keep_firing_for", rule.keep_firing_ms)):
            if ms:
                made[name] = format_duration(self.shrink_ms(ms, f"`{name}` of `{rule.alert}`", rule.span))
        if rule.labels:
            made["labels"] = _texts(rule.labels)
        if rule.annotations:
            made["annotations"] = _texts(rule.annotations)
        return made

    # -- expressions ---------------------------------------------------------------------------------------------

    def expression(self, expr: Text) -> str:
        """The expression for this clock: the user's own text with other durations.

        Ranges, offsets and steps are divided. Three functions know how long a second is: ``increase`` is multiplied
        (it counts only what happened within the shorter window), ``deriv`` divided (gauges move faster), and
        ``predict_linear`` looks ahead as many seconds less.
        """
        tree = parse_expr(expr)
        self._refuse(tree, expr)
        shorter = list(self._shortened(tree, expr))
        step_ms = self.server.evaluation_ms
        meant = _shape(tree, 1, step_ms)
        if _shape(parse_expr(Text(_edited(expr.value, shorter), expr.span)), self.factor, step_ms) != meant:
            raise UnsupportedError(
                f"`{one_line(expr.value)}` cannot be written for another clock without a change of meaning",
                span=expr.span_at(0),
                hint="write the expression in a plainer way",
            )
        return _edited(expr.value, [*shorter, *self._rescaled(tree, expr)])

    def _refuse(self, tree: Any, expr: Text) -> None:
        stamps = next(
            (n.func.name for n in walk(tree) if isinstance(n, promql.Call) and n.func.name in _TIMESTAMPS), ""
        )
        if reads_clock(expr) or stamps:
            raise UnsupportedError(
                f"`{one_line(expr.value)}` reads the time of day{f' ({stamps})' if stamps else ''}, which no clock but "
                "the world's can give",
                span=expr.span_at(0),
                hint="prove it with `alert-harness test`, where time is given",
            )
        for node in walk(tree):
            if isinstance(node, promql.VectorSelector | promql.SubqueryExpr) and node.at is not None:
                raise UnsupportedError(
                    f"`@` in `{one_line(node_text(expr, node))}` fixes an evaluation time, which a faster clock cannot "
                    "follow",
                    span=node_span(expr, node),
                    hint="write the rule without `@`",
                )
            if isinstance(node, promql.VectorSelector) and node.matchers.or_matchers:
                raise UnsupportedError(
                    f"`{one_line(node_text(expr, node))}` joins matchers by `or`, which Prometheus does not know",
                    span=node_span(expr, node),
                    hint="write one regular expression, or two selectors",
                )

    def _shortened(self, tree: Any, expr: Text) -> Iterator[Edit]:
        """Every duration of the expression, divided; the step of a subquery that has none is written out, for who
        evaluates it may have an evaluation interval of the world's clock."""
        for node in walk(tree):
            place = place_of(expr, node)
            inside = node.vector_selector if isinstance(node, promql.MatrixSelector) else node
            for kind, at in (("range", place.range), ("step", place.step), ("offset", place.offset)):
                delta = getattr(inside if kind == "offset" else node, kind, None)
                if at is None or (delta is None and (kind != "step" or self.factor == 1)):
                    continue
                ms = self.server.evaluation_ms if delta is None else delta // _MS
                what = f"the {kind} in `{one_line(node_text(expr, node))}`"
                short = format_duration(self.shrink_ms(abs(ms), what, expr.span_at(at[0], at[1] - at[0])))
                yield at, f"{'-' if ms < 0 else ''}{short}"

    def _rescaled(self, tree: Any, expr: Text) -> Iterator[Edit]:
        """Functions of seconds, put right."""
        for node in walk(tree) if self.factor != 1 else ():
            if not isinstance(node, promql.Call):
                continue
            place = place_of(expr, node)
            match node.func.name:
                case "increase":
                    yield (place.start, place.start), "("
                    yield (place.end, place.end), f" * {self.factor})"
                case "deriv":
                    yield (place.start, place.start), "("
                    yield (place.end, place.end), f" / {self.factor})"
                case "predict_linear":
                    ahead = place_of(expr, node.args[1])
                    yield (ahead.start, ahead.start), "("
                    yield (ahead.end, ahead.end), f") / {self.factor}"

    # -- configurations ------------------------------------------------------------------------------------------

    def prometheus(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A prometheus.yml for this clock, defaults written out.

        Time-outs are patience with real machines: they are not divided, but may not pass the interval either.
        """
        made: dict[str, Any] = unshared(config)
        top = made.setdefault("global", {})
        for name in ("scrape_interval", "evaluation_interval"):
            top[name] = self.duration(top.get(name, "1m"), f"global.{name}")
        if "rule_query_offset" in top:
            top["rule_query_offset"] = self.duration(top["rule_query_offset"], "global.rule_query_offset")
        if "scrape_timeout" in top:
            top["scrape_timeout"] = _shorter(top["scrape_timeout"], top["scrape_interval"])
        for number, job in enumerate(made.get("scrape_configs") or []):
            what = f"scrape_configs[{number}] (`{job.get('job_name', '')}`)"
            if "scrape_interval" in job:
                job["scrape_interval"] = self.duration(job["scrape_interval"], f"{what}.scrape_interval")
            if "scrape_timeout" in job:
                job["scrape_timeout"] = _shorter(
                    job["scrape_timeout"], job.get("scrape_interval", top["scrape_interval"])
                )
            for key, found in job.items():
                for each in found if key.endswith("_sd_configs") else []:
                    if isinstance(each, dict) and "refresh_interval" in each:
                        each["refresh_interval"] = self.duration(each["refresh_interval"], f"{what}.{key}")
        return made

    def flags(self) -> list[str]:
        """The flags of Prometheus: its own durations (lookback, re-sending, restoring) on this clock; its features."""
        server = replace(self.server, lookback_ms=self.shrink_ms(self.server.lookback_ms, "the lookback"))
        return [
            *server.flags(),
            *(f"--{name}={self.duration(value, f'--{name}')}" for name, value in _RULE_FLAGS.items()),
        ]

    def alertmanager(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """An Alertmanager configuration for this clock, defaults written out.

        Routes that are muted or active at times of the day are refused: an hour of the day has no equal here.
        """
        made: dict[str, Any] = unshared(config)
        top = made.get("global") or {}
        top["resolve_timeout"] = self._wait(top.get("resolve_timeout", _RESOLVE_TIMEOUT), "global.resolve_timeout")
        made["global"] = top
        route = made.get("route")
        if not isinstance(route, dict):
            raise InputError("the Alertmanager configuration has no `route`", hint="add route: {receiver: …}")
        for name, default in _ROUTE_WAITS.items():
            route.setdefault(name, default)
        self._route(route, "route")
        return made

    def _route(self, route: dict[str, Any], place: str) -> None:
        for name in _TIMES_OF_DAY:
            if route.get(name):
                raise UnsupportedError(
                    f"{place}.{name} depends on the time of day, which a faster clock does not have",
                    hint=f"leave `{name}` out of the configuration that you test with",
                )
        for name in _ROUTE_WAITS:
            if name in route:
                route[name] = self._wait(route[name], f"{place}.{name}")
        for number, child in enumerate(route.get("routes") or []):
            self._route(child, f"{place}.routes[{number}]")


def durations_ms(expr: Text) -> set[int]:
    """The lengths of all ranges, steps and offsets of an expression."""
    found: set[int] = set()
    for node in walk(parse_expr(expr)):
        for name in ("range", "step", "offset"):
            delta = getattr(node, name, None)
            if isinstance(delta, timedelta):
                found.add(abs(delta // _MS))
    return found


def _texts(fields: Mapping[str, Text]) -> dict[str, str]:
    return {name: text.value for name, text in fields.items()}


def _shorter(timeout: str, interval: str) -> str:
    """The shorter of two durations, as Prometheus demands of a scrape's time-out."""
    return format_duration(min(parse_duration_ms(str(timeout)), parse_duration_ms(interval)))


def _edited(source: str, edits: Iterable[Edit]) -> str:
    """The text with parts of it replaced; no two of them overlap."""
    made, at = "", 0
    for (start, end), text in sorted(edits, key=lambda edit: edit[0]):
        made += source[at:start] + text
        at = end
    return made + source[at:]


def _shape(tree: Any, factor: int, step_ms: int) -> list[object]:
    """What must be equal before and after: each node, and its durations as they are on the world's clock."""
    seen: list[object] = []
    for node in walk(tree):
        seen.append(type(node).__name__)
        match node:
            case promql.VectorSelector():
                selector = selectors_of(node)[0]
                matchers = sorted(map(str, selector.names + selector.matchers))
                seen.append((matchers, _times(node.offset, factor)))
            case promql.MatrixSelector():
                seen.append(_times(node.range, factor))
            case promql.SubqueryExpr():
                seen.append(tuple(_times(each, factor) for each in (node.range, node.offset)))
                seen.append(_times(node.step, factor) or step_ms)
            case promql.AggregateExpr():
                seen.append((str(node.op), str(node.modifier)))
            case promql.BinaryExpr():
                seen.append((str(node.op), str(node.modifier)))
            case promql.Call():
                seen.append(node.func.name)
            case promql.NumberLiteral() | promql.StringLiteral():
                seen.append(repr(node.val))
    return seen


def _times(delta: timedelta | None, factor: int) -> int:
    return 0 if delta is None else delta // _MS * factor
