"""Anybody's Grafana dashboards: every shape that Grafana ever wrote, and its variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.check import MetricsServer, ProblemKind, Use, UseFinding, Wants, check, load_dashboard
from harness.check.variables import Variable, Variables
from harness.errors import InputError, UnsupportedError

SCRAPE_MS = 15_000


def written(folder: Path, model: dict[str, Any], **how: Any) -> Path:
    path = folder / "dashboard.json"
    path.write_text(json.dumps(model, **how), encoding="utf-8")
    return path


def panel(expr: str = "up", **more: Any) -> dict[str, Any]:
    return {"id": 1, "type": "timeseries", "title": "P", "targets": [{"refId": "A", "expr": expr}]} | more


def uses(server: MetricsServer, path: Path) -> list[Use]:
    return [found for found in load_dashboard(path).uses(server, SCRAPE_MS) if isinstance(found, Use)]


def findings(server: MetricsServer, path: Path) -> list[UseFinding]:
    said: list[UseFinding] = []
    for found in load_dashboard(path).uses(server, SCRAPE_MS):
        said += [found] if isinstance(found, UseFinding) else check([found], server)
    return said


def test_panels_of_every_age_are_found(tmp_path: Path, server: MetricsServer) -> None:
    model = {
        "title": "T",
        "panels": [
            panel("up"),
            {"type": "row", "panels": [panel("up == 1", title="in a collapsed row")]},
            panel(title="two", targets=[{"refId": "A", "expr": "up"}, {"refId": "B", "expr": "up", "hide": True}]),
        ],
        "rows": [{"panels": [panel("up * 1", type="graph", title="of old")]}],
        "annotations": {"list": [{"builtIn": 1, "name": "own"}, {"name": "Restarts", "expr": "changes(up[5m]) > 0"}]},
    }
    assert [(use.name, use.wants) for use in uses(server, written(tmp_path, model))] == [
        ("panel `P` of `T` (A)", Wants.DATA),
        ("panel `in a collapsed row` of `T` (A)", Wants.DATA),
        ("panel `two` of `T` (A)", Wants.DATA),
        ("panel `two` of `T` (B)", Wants.RUNS),
        ("panel `of old` of `T` (A)", Wants.DATA),
        ("annotation `Restarts` of `T`", Wants.RUNS),
    ]


@pytest.mark.parametrize("wrap", [{"dashboard": ..., "meta": {}}, {"apiVersion": "v1beta1", "spec": ...}])
def test_a_wrapped_dashboard_is_unwrapped(tmp_path: Path, server: MetricsServer, wrap: dict[str, Any]) -> None:
    model = {key: {"title": "T", "panels": [panel()]} if value is ... else value for key, value in wrap.items()}
    assert [use.name for use in uses(server, written(tmp_path, model))] == ["panel `P` of `T` (A)"]


def test_what_is_not_for_prometheus_is_named(tmp_path: Path) -> None:
    model = {
        "title": "T",
        "templating": {"list": [{"name": "logs", "type": "datasource", "query": "loki"}]},
        "__inputs": [{"name": "DS_DB", "type": "datasource", "pluginId": "postgres"}],
        "panels": [
            panel(datasource={"type": "loki", "uid": "x"}, title="a"),
            panel(datasource="$logs", title="b"),
            panel(datasource={"uid": "${logs}"}, title="c"),
            panel(datasource="${DS_DB}", title="d"),
            panel(datasource="-- Dashboard --", title="e"),
            panel(datasource={"type": "datasource", "uid": "-- Grafana --"}, title="f"),
            panel(title="g", targets=[{"refId": "B", "datasource": {"type": "__expr__", "uid": "__expr__"}}]),
            {"type": "text", "title": "h"},
            {"title": "i", "libraryPanel": {"uid": "u", "name": "n"}},
            panel("", title="j"),
        ],
    }
    dashboard = load_dashboard(written(tmp_path, model))
    assert dashboard.queries == ()
    assert [(skipped.name.split("`")[1], skipped.reason) for skipped in dashboard.skipped] == [
        ("a", "its data source is `loki`"),
        ("b", "its data source is `loki`"),
        ("c", "its data source is `loki`"),
        ("d", "its data source is `postgres`"),
        ("e", "it shows another panel's result"),
        ("f", "it asks Grafana itself"),
        ("g", "an expression of Grafana over other queries"),
        ("h", "no query (text)"),
        ("i", "a library panel: it stands in Grafana and not in this file"),
        ("j", "it has no expression"),
    ]


@pytest.mark.parametrize(
    "datasource",
    [
        None,
        "Prometheus of our team",
        "-- Mixed --",
        "$ds",
        "${ds}",
        {"type": "prometheus", "uid": "x"},
        {"type": "prometheus", "uid": "${ds}"},
        {"uid": "$ds"},
        "${DS_PROM}",
    ],
)
def test_prometheus_under_any_name(tmp_path: Path, datasource: object) -> None:
    model = {
        "templating": {"list": [{"name": "ds", "type": "datasource", "query": "prometheus"}]},
        "__inputs": [{"name": "DS_PROM", "pluginId": "prometheus"}],
        "panels": [panel(datasource=datasource)],
    }
    assert [query.expr for query in load_dashboard(written(tmp_path, model)).queries] == ["up"]


@pytest.mark.parametrize("how", [{"indent": 2}, {"indent": "\t"}, {}])
def test_a_finding_names_line_and_column_of_the_query(
    tmp_path: Path, server: MetricsServer, how: dict[str, Any]
) -> None:
    path = written(tmp_path, {"title": 'ü "T"', "panels": [panel('sum(upp{job="node"})')]}, **how)
    metric, empty = findings(server, path)
    assert (metric.kind, empty.kind) == (ProblemKind.METRIC, ProblemKind.EMPTY)
    line = path.read_text().splitlines()[metric.where.line - 1]
    assert line[metric.where.column - 1 :].startswith('"sum(upp{job=')


def test_an_empty_panel_is_a_finding_unless_it_says_what_that_means(tmp_path: Path, server: MetricsServer) -> None:
    [finding] = findings(server, written(tmp_path, {"panels": [panel("up == 5")]}))
    assert (finding.kind, finding.weight.value) == (ProblemKind.EMPTY, "finding")
    said = panel("up == 5", fieldConfig={"defaults": {"noValue": "All is well"}})
    [finding] = findings(server, written(tmp_path, {"panels": [said]}))
    assert (finding.kind, finding.weight.value) == (ProblemKind.EMPTY, "note")


def test_a_legend_with_a_misspelt_label(tmp_path: Path, server: MetricsServer) -> None:
    target = {"refId": "A", "expr": "sum by (job) (up)", "legendFormat": "{{jobb}} of {{ job }}"}
    [finding] = findings(server, written(tmp_path, {"panels": [panel(targets=[target])]}))
    assert (finding.kind, finding.what) == (ProblemKind.LEGEND, "jobb")


def test_a_variable_that_is_not_there(tmp_path: Path, server: MetricsServer) -> None:
    model = {
        "templating": {"list": [{"name": "instance", "type": "constant", "query": "node-1:9100"}]},
        "panels": [panel('up{instance="$instnace"} or label_replace(up, "a", "$1", "job", "(.*)")')],
    }
    assert [f.message for f in findings(server, written(tmp_path, model)) if f.kind is ProblemKind.VARIABLE] == []
    model["panels"] = [panel('up{instance="$instnace"}', fieldConfig={"defaults": {"noValue": "-"}})]
    said = [f.message for f in findings(server, written(tmp_path, model)) if f.kind is ProblemKind.VARIABLE]
    assert said == ["`$instnace` is no variable of the dashboard (did you mean `instance`?)"]


def test_the_query_of_a_variable_is_checked_too(tmp_path: Path, server: MetricsServer) -> None:
    listed = [
        {"name": "a", "type": "query", "query": "label_values(upp, instance)"},
        {"name": "b", "type": "query", "query": {"query": "label_values(up, instanc)", "refId": "v"}},
        {"name": "c", "type": "query", "query": "query_result(sum by (jobb) (up))"},
    ]
    model = {"templating": {"list": listed}, "panels": []}
    said = [(f.use.split("`")[1], f.kind, f.what) for f in findings(server, written(tmp_path, model))]
    assert said == [
        ("a", ProblemKind.METRIC, "upp"),
        ("a", ProblemKind.VARIABLE, "a"),
        ("b", ProblemKind.LABEL, "instanc"),
        ("b", ProblemKind.VARIABLE, "b"),
        ("c", ProblemKind.LABEL, "jobb"),
    ]


def test_a_variable_of_another_data_source_keeps_what_the_file_remembers(tmp_path: Path, server: MetricsServer) -> None:
    listed = [
        {"name": "db", "type": "datasource", "query": "postgres"},
        {"name": "site", "type": "query", "datasource": "${db}", "query": "select name", "current": {"value": "here"}},
    ]
    path = written(tmp_path, {"templating": {"list": listed}, "panels": [panel('up{job!="$site"}')]})
    assert [skipped.reason for skipped in load_dashboard(path).skipped] == ["its data source is `postgres`"]
    assert [use.expr.value for use in uses(server, path)] == ['up{job!="here"}']


_FIELDS = [
    "panels", "rows", "targets", "expr", "datasource", "type", "uid", "title", "templating", "list", "name", "query",
    "current", "value", "options", "allValue", "includeAll", "fieldConfig", "defaults", "noValue", "legendFormat",
    "annotations", "interval", "refId", "__inputs", "regex",
]  # fmt: skip
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.sampled_from(["up", "$x", "query", "row", "prometheus", "loki"])
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=4),
    max_leaves=25,
)


@given(panels=_JSON, templating=_JSON, annotations=_JSON)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_json_holds_nothing_breaks(
    tmp_path: Path, server: MetricsServer, panels: Any, templating: Any, annotations: Any
) -> None:
    model = {"panels": [panels], "templating": {"list": [templating]}, "annotations": {"list": [annotations]}}
    findings(server, written(tmp_path, model))


# -- variables, as Grafana replaces them -----------------------------------------------------------------------------


def variable(name: str, kind: str = "custom", **more: Any) -> Variable:
    return Variable.of_json({"name": name, "type": kind} | more)


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("$one", "a.b"),
        ("${one}", "a.b"),
        ("[[one]]", "a.b"),
        ('x{y="$one"}', 'x{y="a.b"}'),
        ("$many", r"(a\\.b|c)"),
        ("${many:pipe}", "a.b|c"),
        ("${many:regex}", r"(a\.b|c)"),
        ("[[many:csv]]", "a.b,c"),
        ("$single_of_many", r"a\\.b"),
        ("$everything", ".*"),
        ("$all_jobs", "(node|streaming)"),
        ("$nodes_only", "node"),
        ("$captured", "(no|stre)"),
        ("$gone", "node"),
        ("$by_result", "(node-1:9100|streaming-1:8001)"),
        ("$by_series", "node"),
        ("$a_metric", "node_memory_MemTotal_bytes"),
        ("$a_label", "fstype"),
        ("$machine", "node-1:9100"),
        ("$fixed", "1.5"),
        ("$step", "5m"),
        ("$auto", "2s"),
        ("$__interval $__interval_ms", "2s 2000"),
        ("$__rate_interval", "1m"),
        ("${__range} $__range_s", "600s 600"),
        ("$1 ${2} $nothing", "$1 ${2} $nothing"),
    ],
)
def test_variables_are_replaced_as_grafana_does(server: MetricsServer, text: str, replaced: str) -> None:
    everything: dict[str, Any] = {"current": {"value": ["$__all"]}, "includeAll": True, "multi": True}
    jobs = {"query": "label_values(up, job)"}
    listed = [
        variable("one", query="a.b,c", current={"value": "a.b"}),
        variable("many", query="a.b,c", multi=True, current={"value": ["a.b", "c"]}),
        variable("single_of_many", query="a.b,c", multi=True, current={"value": ["a.b"]}),
        variable("everything", allValue=".*", **everything),
        variable("all_jobs", "query", **jobs, **everything),
        variable("nodes_only", "query", **jobs, regex="/^no/", **everything),
        variable("captured", "query", **jobs, regex="(no|stre).*", **everything),
        variable("gone", "query", **jobs, current={"value": "moved-away"}),
        variable("by_result", "query", query="query_result(up == 1)", regex='/instance="([^"]+)"/', **everything),
        variable("by_series", "query", query='up{job="node"}', regex='/job="(.*)"/'),
        variable("a_metric", "query", query="metrics(node_memory_MemT.+)"),
        variable("a_label", "query", query="label_names()", regex="fs.*"),
        variable("job", "query", **jobs, current={"value": "node"}),
        variable("machine", "query", query='label_values(up{job="$job"}, instance)'),
        variable("fixed", "constant", query="1.5"),
        variable("step", "interval", query="1m,5m", current={"value": "5m"}),
        variable("auto", "interval", query="1m", current={"value": "$__auto_interval_auto"}),
    ]
    assert Variables(listed, server, SCRAPE_MS).replace(text).expr == replaced


def test_the_rate_interval_is_never_shorter_than_four_scrapes(server: MetricsServer) -> None:
    assert Variables([], server, 30_000).replace("$__rate_interval").expr == "2m"
    assert Variables([], server, 30_000).replace("$__rate_interval", 300_000).expr == "5m30s"


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("{", InputError, "not valid JSON"),
        ("[]", InputError, "no Grafana dashboard"),
        ('{"name": "x"}', InputError, "no Grafana dashboard"),
        ("[" * 100_000, InputError, "nested too deeply"),
        ('{"spec": {"elements": {}}}', UnsupportedError, "schema v2"),
    ],
)
def test_what_is_no_dashboard_is_refused(tmp_path: Path, content: str, error: type[Exception], words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(error, match=words):
        load_dashboard(path)
