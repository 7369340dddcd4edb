"""Grafana dashboards from JSON, new and old: what their panels, annotations and variables ask Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.check.json_positions import load_json, place_of
from harness.check.model import ProblemKind, SkippedUse, Use, UseFinding, Wants, Weight
from harness.check.server import MetricsServer
from harness.check.variables import Variable, Variables, step_ms
from harness.errors import InputError, Span, UnsupportedError, near_miss
from harness.source import SourceFile, Text

_PROMETHEUS = frozenset(
    {
        "prometheus",
        "grafana-amazonprometheus-datasource",
        "grafana-azureprometheus-datasource",
        "victoriametrics-metrics-datasource",
    }
)
_SPECIAL = {
    "-- Dashboard --": "it shows another panel's result",
    "-- Grafana --": "it asks Grafana itself",
    "__expr__": "an expression of Grafana over other queries",
}
_MIXED = "-- Mixed --"
_LEGEND_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True, slots=True)
class DashboardQuery:
    """One query to Prometheus, as the file has it."""

    name: str
    expr: str
    where: Span
    wants: Wants
    legend: str = ""
    instant: bool = False
    no_value: str = ""
    step_ms: int = 0


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What one file asks."""

    title: str
    queries: tuple[DashboardQuery, ...]
    variables: tuple[tuple[Variable, Span], ...]
    skipped: tuple[SkippedUse, ...]

    def uses(self, server: MetricsServer, scrape_ms: int) -> Iterator[Use | UseFinding]:
        """Each query with its variables replaced, or what keeps it from being asked."""
        variables = Variables([variable for variable, _ in self.variables], server, scrape_ms)
        for variable, where in self.variables:
            yield from _variable_uses(self.title, variable, where, variables)
        for query in self.queries:
            replaced = variables.replace(query.expr, query.step_ms)
            for name in replaced.unknown:
                if not name.isdecimal() and "label_replace" not in query.expr:
                    known = [variable.name for variable, _ in self.variables]
                    message = f"`${name}` is no variable of the dashboard{near_miss(name, known)}"
                    yield UseFinding(ProblemKind.VARIABLE, Weight.FINDING, query.name, query.where, name, message)
            for name in replaced.empty:
                message = f"`${name}` has no value to put in"
                yield UseFinding(ProblemKind.VARIABLE, Weight.FINDING, query.name, query.where, name, message)
            yield Use(
                query.name,
                Text(replaced.expr, query.where, quoted=True),
                query.wants,
                query.instant,
                query.no_value,
                tuple(dict.fromkeys(_LEGEND_LABEL.findall(query.legend))),
            )


def _variable_uses(title: str, variable: Variable, where: Span, variables: Variables) -> Iterator[Use | UseFinding]:
    name = f"variable `{variable.name}` of `{title}`"
    expr = variable.as_expr()
    if expr is not None:
        yield Use(name, Text(variables.replace(expr).expr, where, quoted=True), Wants.RUNS)
    if variable.kind == "query" and not variables.values(variable):
        yield UseFinding(ProblemKind.VARIABLE, Weight.FINDING, name, where, variable.name, "it has no value to choose")


def load_dashboard(path: Path) -> Dashboard:
    """Read one dashboard; InputError for what is none, UnsupportedError for Grafana's new schema (v2)."""
    source = SourceFile.read(path)
    return _PanelReader(source, _model(load_json(source), source)).read()


def _model(data: Any, source: SourceFile) -> Mapping[str, Any]:
    """The dashboard itself, out of what the API and resource files wrap around it."""
    if isinstance(data, dict) and isinstance(data.get("dashboard"), dict):
        data = data["dashboard"]
    elif isinstance(data, dict) and isinstance(data.get("spec"), dict):
        data = data["spec"]
        if "elements" in data:
            raise UnsupportedError(
                f"{source.name} is a dashboard of Grafana's schema v2", hint="export it as the classic model"
            )
    if not isinstance(data, dict) or not ({"panels", "rows", "schemaVersion"} & set(data)):
        raise InputError(f"{source.name} is no Grafana dashboard: it has no `panels`", hint="name dashboards only")
    return data


class _PanelReader:
    def __init__(self, source: SourceFile, model: Mapping[str, Any]) -> None:
        self.source = source
        self.model = model
        self.title = str(model.get("title") or source.name)
        self.queries: list[DashboardQuery] = []
        self.skipped: list[SkippedUse] = []
        self.variables: list[tuple[Variable, Span]] = []
        self.inputs = {str(data.get("name")): str(data.get("pluginId")) for data in _dicts(model.get("__inputs"))}

    def read(self) -> Dashboard:
        listed = _dicts(_dict(self.model.get("templating")).get("list"))
        for data in sorted(listed, key=lambda data: data.get("type") != "datasource"):  # the others refer to them
            self._variable(data)
        for panel in self._panels(self.model):
            self._panel(panel)
        for annotation in _dicts(_dict(self.model.get("annotations")).get("list")):
            self._annotation(annotation)
        return Dashboard(self.title, tuple(self.queries), tuple(self.variables), tuple(self.skipped))

    def _variable(self, data: Mapping[str, Any]) -> None:
        variable, where = Variable.of_json(data), place_of(data.get("name"), self.source)
        if variable.kind == "query" and (reason := self._not_prometheus(data.get("datasource"), variable.query)):
            self._skip(f"variable `{variable.name}` of `{self.title}`", where, reason)
            variable = replace(variable, kind="elsewhere")  # its values are those that the file remembers
        self.variables.append((variable, where))

    def _panels(self, parent: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Every panel but rows, also of collapsed rows and of the rows of old."""
        for panel in _dicts(parent.get("panels")):
            if panel.get("type") != "row":
                yield panel
            yield from self._panels(panel)
        for row in _dicts(parent.get("rows")):
            yield from self._panels(row)

    def _panel(self, panel: Mapping[str, Any]) -> None:
        title = panel.get("title") or f"panel {panel.get('id')}"
        name = f"panel `{title}` of `{self.title}`"
        where = place_of(panel.get("title") or panel.get("type"), self.source)
        targets = _dicts(panel.get("targets"))
        if "libraryPanel" in panel and not targets:
            self._skip(name, where, "a library panel: it stands in Grafana and not in this file")
        elif not targets:
            self._skip(name, where, f"no query ({panel.get('type')})")
        defaults = _dict(_dict(panel.get("fieldConfig")).get("defaults"))
        no_value = str(defaults.get("noValue") or panel.get("nullText") or "")
        for target in targets:
            self._target(panel, target, name, no_value)

    def _target(self, panel: Mapping[str, Any], target: Mapping[str, Any], name: str, no_value: str) -> None:
        name = f"{name} ({target.get('refId', '?')})"
        expr = target.get("expr")
        where = place_of(expr or target.get("refId") or panel.get("title"), self.source)
        reason = self._not_prometheus(target.get("datasource") or panel.get("datasource"), expr)
        if reason is not None:
            self._skip(name, where, reason)
            return
        self.queries.append(
            DashboardQuery(
                name,
                str(expr),
                where,
                # Grafana does not run a hidden query, but somebody will show it again.
                Wants.RUNS if target.get("hide") else Wants.DATA,
                str(target.get("legendFormat") or ""),
                bool(target.get("instant")) and not target.get("range"),
                no_value,
                max(step_ms(panel.get("interval")), step_ms(target.get("interval"))),
            )
        )

    def _annotation(self, annotation: Mapping[str, Any]) -> None:
        name = f"annotation `{annotation.get('name')}` of `{self.title}`"
        expr = annotation.get("expr") or _dict(annotation.get("target")).get("expr")
        where = place_of(expr or annotation.get("name"), self.source)
        if annotation.get("builtIn"):
            return  # Grafana's own, on every dashboard
        if reason := self._not_prometheus(annotation.get("datasource"), expr):
            self._skip(name, where, reason)
            return
        self.queries.append(DashboardQuery(name, str(expr), where, Wants.RUNS))

    def _not_prometheus(self, datasource: object, expr: object) -> str | None:
        """Why a query is none for Prometheus; None if it is one."""
        kind = self._kind(datasource)
        if kind in _SPECIAL:
            return _SPECIAL[kind]
        if kind and kind not in _PROMETHEUS:
            return f"its data source is `{kind}`"
        if not isinstance(expr, str) or not expr.strip():
            return "it has no expression"
        return None

    def _kind(self, datasource: object) -> str:
        """The plugin of a data source, a special one's name, or nothing where it can't be told."""
        if isinstance(datasource, dict):
            uid, kind = (str(datasource.get(key) or "") for key in ("uid", "type"))
            return uid if uid in _SPECIAL else kind or self._kind(uid)
        text = str(datasource or "")
        if text in _SPECIAL:
            return text
        if text != _MIXED and (found := _VARIABLE.fullmatch(text)):
            chosen = [variable.query for variable, _ in self.variables if variable.name == found[1]]
            return chosen[0] if chosen else self.inputs.get(found[1], "")
        return ""

    def _skip(self, name: str, where: Span, reason: str) -> None:
        self.skipped.append(SkippedUse(name, where, reason))


def _dicts(value: object) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
