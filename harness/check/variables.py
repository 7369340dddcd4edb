"""Template variables of a dashboard: their values, and how Grafana puts them into a query.

As Grafana does it for Prometheus data sources (packages/grafana-prometheus: datasource.ts, variables and
escaping.ts; public/app/features/variables/utils.ts).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.check.server import MetricsServer
from harness.engines import QueryError, Series
from harness.rules.selectors import Matcher, selector_text
from harness.units import format_duration, format_number, parse_duration_ms

ALL = "$__all"
_REFERENCE = re.compile(r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.[^:^}]+)?(?::([^}]+))?\}")
_LABEL_VALUES = re.compile(r"label_values\((?:(.+),\s*)?([a-zA-Z_][\w.]*)\s*\)\s*", re.DOTALL)
_QUERY_RESULT = re.compile(r"query_result\((.+)\)\s*", re.DOTALL)
_METRICS = re.compile(r"metrics\((.+)\)\s*", re.DOTALL)
_LABEL_NAMES = re.compile(r"label_names\(\)\s*")
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")
_REGEX = re.compile(r"[-\\^$*+?.()|\[\]{}/]")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as the dashboard's file has it."""

    name: str
    kind: str
    """``query``, ``custom``, ``interval``, ``constant``, ``textbox``, ``datasource``, …"""
    query: str
    chosen: tuple[str, ...]
    options: tuple[str, ...]
    all_value: str
    regex: str
    has_all: bool
    many: bool
    """Whether its value goes into a regex: more than one may be chosen, or all."""

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Variable:
        query = data.get("query", "")
        if isinstance(query, dict):
            query = query.get("query", "")
        current = data.get("current") or {}
        listed = data.get("options")
        options = [one.get("value") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        has_all = bool(data.get("includeAll"))
        return cls(
            name=str(data.get("name", "")),
            kind=str(data.get("type", "")),
            query=query if isinstance(query, str) else "",
            chosen=_texts(current.get("value") if isinstance(current, dict) else current),
            options=tuple(str(option) for option in options if option not in (None, ALL)),
            all_value=str(data.get("allValue") or ""),
            regex=str(data.get("regex") or ""),
            has_all=has_all,
            many=has_all or bool(data.get("multi")),
        )

    def as_expr(self) -> str | None:
        """The PromQL whose names the variable's own query relies on; None where it has none."""
        if self.kind != "query":
            return None
        if found := _LABEL_VALUES.fullmatch(self.query):
            return f"group by ({found[2]}) ({found[1]})" if found[1] else None
        if found := _QUERY_RESULT.fullmatch(self.query):
            return found[1]
        if found := _METRICS.fullmatch(self.query):
            return f'group by (__name__) ({{__name__=~"{found[1].strip()}"}})'
        return None if not self.query or _LABEL_NAMES.fullmatch(self.query) else self.query


@dataclass(frozen=True, slots=True)
class InterpolatedQuery:
    """An expression without its variables."""

    expr: str
    unknown: tuple[str, ...] = ()
    """Names that look like variables and are none of the dashboard's."""
    empty: tuple[str, ...] = ()
    """Variables for which there is no value."""


class Variables:
    """The variables of one dashboard, looked up on the server when they are first needed."""

    def __init__(self, variables: Sequence[Variable], server: MetricsServer, scrape_ms: int) -> None:
        self._variables = {variable.name: variable for variable in variables}
        self._server = server
        self._scrape_ms = scrape_ms
        self._values: dict[str, tuple[str, ...]] = {}

    def replace(self, text: str, min_step_ms: int = 0) -> InterpolatedQuery:
        """The text as Grafana sends it, for a panel whose points lie at least so far apart."""
        unknown: dict[str, None] = {}
        empty: dict[str, None] = {}
        built_in = self._built_in(max(self._server.step_ms, min_step_ms))

        def put(match: re.Match[str]) -> str:
            name = match[1] or match[2] or match[4]
            if name in built_in:
                return built_in[name]
            variable = self._variables.get(name)
            if variable is None:
                unknown[name] = None
                return match[0]
            values = self.values(variable)
            if not values and variable.kind not in ("constant", "textbox"):
                empty[name] = None
            if variable.kind == "interval":
                return built_in["__interval"] if not values or values[0].startswith(("auto", "$__auto")) else values[0]
            if ALL in values:
                return variable.all_value
            return _formatted(values, variable, match[3] or match[5] or "")

        return InterpolatedQuery(_REFERENCE.sub(put, text), tuple(unknown), tuple(empty))

    def values(self, variable: Variable) -> tuple[str, ...]:
        """What is chosen; all that there is for "All", and :data:`ALL` itself if the dashboard says how to write it."""
        if variable.name not in self._values:
            self._values[variable.name] = variable.chosen  # for a variable whose query needs itself
            self._values[variable.name] = self._look_up(variable)
        return self._values[variable.name]

    def _look_up(self, variable: Variable) -> tuple[str, ...]:
        chosen = variable.chosen
        if variable.kind in ("constant", "textbox"):
            return chosen or _texts(variable.query)
        if variable.kind == "interval":
            return chosen or self._options(variable)[:1]
        wants_all = ALL in chosen or (not chosen and variable.has_all)
        if wants_all and variable.all_value:
            return (ALL,)
        options = self._options(variable)
        if wants_all:
            return options
        kept = tuple(value for value in chosen if value in options) if options else chosen
        return kept or options[:1]

    def _options(self, variable: Variable) -> tuple[str, ...]:
        if variable.kind in ("custom", "interval"):
            parts = [part.strip() for part in variable.query.split(",")]
            return tuple(part.partition(" : ")[2].strip() or part for part in parts if part)
        if variable.kind != "query":
            return variable.options
        query = self.replace(variable.query).expr
        try:
            values = self._ask(query)
        except QueryError:  # told where the query itself is judged
            return variable.options
        return tuple(sorted(_filtered(values, variable.regex)))

    def _ask(self, query: str) -> list[str]:
        """The texts that a variable's query returns."""
        server = self._server
        if found := _LABEL_VALUES.fullmatch(query):
            return server.engine.label_values(found[2], found[1] or "", server.start_ms, server.now_ms)
        if found := _METRICS.fullmatch(query):
            matcher = Matcher("__name__", "=~", found[1].strip())
            return server.engine.label_values("__name__", selector_text(matcher), server.start_ms, server.now_ms)
        if _LABEL_NAMES.fullmatch(query):
            return server.engine.label_names("", server.start_ms, server.now_ms)
        if found := _QUERY_RESULT.fullmatch(query):
            return [
                f"{_series_text(series)} {format_number(series.values[-1])} {server.now_ms}"
                for series in server.now(found[1]) or ()
            ]
        return [_series_text(series) for series in server.now(query) or ()]

    def _built_in(self, step_ms: int) -> dict[str, str]:
        rate_ms = max(step_ms + self._scrape_ms, 4 * self._scrape_ms)
        since_ms = self._server.since_ms
        return {
            "__interval": format_duration(step_ms),
            "__interval_ms": str(step_ms),
            "__rate_interval": format_duration(rate_ms),
            "__rate_interval_ms": str(rate_ms),
            "__range": f"{since_ms // 1000}s",
            "__range_s": str(since_ms // 1000),
            "__range_ms": str(since_ms),
            "__from": str(self._server.start_ms),
            "__to": str(self._server.now_ms),
        }


def _series_text(series: Series) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in series.labels if name != "__name__")
    return f"{series.metric.get('__name__', '')}{{{labels}}}"


def step_ms(text: object) -> int:
    """A panel's or query's own least step (``30s``, ``>=1m``), 0 if it has none that is plain."""
    try:
        return parse_duration_ms(str(text).lstrip(">=")) if text else 0
    except ValueError:
        return 0


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(str(one) for one in values if one not in (None, ""))


def _filtered(values: Sequence[str], regex: str) -> tuple[str, ...]:
    """The variable's regex over its values, with what it captures in their place."""
    body = re.fullmatch(r"/(.*)/[a-z]*", regex, re.DOTALL)
    if not regex:
        return tuple(values)
    try:
        pattern = re.compile(body[1] if body else regex)
    except re.error:  # JavaScript's and not Python's
        return tuple(values)
    found = [match for value in values if (match := pattern.search(value))]
    return tuple(dict.fromkeys(match[1] if pattern.groups and match[1] else match.string for match in found))


def _formatted(values: Sequence[str], variable: Variable, form: str) -> str:
    if form in _FORMS:
        return _FORMS[form](values)
    if not variable.many:
        return "".join(values[:1]).replace("\\", "\\\\").replace("'", "\\\\'")
    escaped = [_SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\")) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _regex(values: Sequence[str]) -> str:
    escaped = [_REGEX.sub(r"\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


_FORMS: Mapping[str, Callable[[Sequence[str]], str]] = {
    "raw": ",".join,
    "csv": ",".join,
    "text": " + ".join,
    "pipe": "|".join,
    "regex": _regex,
    "glob": lambda values: values[0] if len(values) == 1 else f"{{{','.join(values)}}}",
    "doublequote": lambda values: ",".join(f'"{value}"' for value in values),
    "singlequote": lambda values: ",".join(f"'{value}'" for value in values),
}
