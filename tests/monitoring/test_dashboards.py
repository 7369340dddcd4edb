"""The committed dashboards: what the builder makes, in agreement with rules, contracts and runbooks."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from fixtures.dashboards import OUTPUT, panel_urls, render
from harness.rules import AlertRule, load_rules
from harness.rules.expr import parse_expr
from harness.rules.selectors import metric_names
from harness.source import Text

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("application-metrics", "business-metrics", "system-overview")
BUILT: dict[str, dict[str, Any]] = {name.removesuffix(".json"): json.loads(text) for name, text in render().items()}
ALERT_PANELS = {
    # alert: dashboard, panel, unit, (from, colour) of the thresholds: from the list of alerts, not from the builder
    "HighErrorRate": ("application-metrics", 1, "percent", [(None, "green"), (5, "red")]),
    "SlowResponseTime": ("application-metrics", 2, "s", [(None, "green"), (1, "orange")]),
    "ServiceDown": ("application-metrics", 3, "none", [(None, "green"), (1, "red")]),
    "NoActiveStreams": ("business-metrics", 1, "none", [(None, "orange"), (1, "green")]),
    "HighCameraOfflineRate": ("business-metrics", 2, "percent", [(None, "green"), (20, "orange")]),
    "RecordingFailures": ("business-metrics", 3, "cps", [(None, "green"), (0.1, "red")]),
    "HighCPUUsage": ("system-overview", 1, "percent", [(None, "green"), (80, "orange")]),
    "HighMemoryUsage": ("system-overview", 2, "percent", [(None, "green"), (85, "orange")]),
    "LowDiskSpace": ("system-overview", 3, "percent", [(None, "red"), (15, "green")]),
}


def rules() -> dict[str, AlertRule]:
    files = load_rules(sorted((ROOT / "rules").glob("*.yml")))
    return {rule.alert: rule for file in files for group in file.groups for rule in group.alerts()}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def panel_of(built: dict[str, dict[str, Any]], alert: str) -> dict[str, Any]:
    dashboard, number, _, _ = ALERT_PANELS[alert]
    panel: dict[str, Any]
    [panel] = [panel for panel in built[dashboard]["panels"] if panel["id"] == number]
    return panel


def steps(panel: dict[str, Any]) -> list[tuple[float | None, str]]:
    thresholds = panel["fieldConfig"]["defaults"]["thresholds"]
    assert thresholds["mode"] == "absolute"
    return [(step["value"], step["color"]) for step in thresholds["steps"]]


def test_the_committed_files_are_what_the_builder_makes() -> None:
    """After a change of rules, contracts or builder: `make dashboards`."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in OUTPUT.iterdir()}
    assert committed == render()
    assert tuple(sorted(BUILT)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_grafanas_own_types_take_the_dashboard(name: str) -> None:
    dashboard = Dashboard.from_json(BUILT[name])
    assert (dashboard.uid, dashboard.editable) == (name, False)
    assert dashboard.refresh == "30s"
    assert dashboard.templating.list_val is not None
    assert "datasource" in [variable.name for variable in dashboard.templating.list_val]


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_what_a_reader_needs(name: str) -> None:
    numbers = [panel["id"] for panel in BUILT[name]["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in panels(BUILT[name]):
        assert panel["title"]
        assert len(panel["description"]) > 15
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
        for target in panel["targets"]:
            parse_expr(Text(target["expr"].replace("$__rate_interval", "2m"), rules()["ServiceDown"].expr.span))
            assert target["legendFormat"]
        if panel["type"] in ("timeseries", "stat"):
            assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_has_no_overlap_and_no_hole_to_the_right(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BUILT[name]["panels"]:
        grid = panel["gridPos"]
        cells = set(itertools.product(range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])))
        assert not taken & cells, panel["title"]
        assert grid["x"] + grid["w"] <= 24
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) == 24 * height


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_leads_to_a_runbook_that_exists(name: str) -> None:
    for panel in panels(BUILT[name]):
        [link] = panel["links"]
        alert = link["title"].removeprefix("Runbook: ")
        assert link["url"] == rules()[alert].annotations["runbook_url"].value
        assert (ROOT / "docs" / "runbooks" / link["url"].rpartition("/")[2]).is_file()


@pytest.mark.parametrize("alert", ALERT_PANELS)
def test_each_alert_leads_to_its_panel(alert: str) -> None:
    dashboard, number, unit, expected = ALERT_PANELS[alert]
    url = rules()[alert].annotations["dashboard_url"].value
    assert url == f"http://localhost:3000/d/{dashboard}?viewPanel={number}" == panel_urls()[alert]
    panel = panel_of(BUILT, alert)
    assert panel["links"][0]["title"] == f"Runbook: {alert}"
    assert panel["fieldConfig"]["defaults"]["unit"] == unit
    assert steps(panel) == expected


def test_every_alert_has_a_panel() -> None:
    assert set(rules()) == set(ALERT_PANELS) == set(panel_urls())


@pytest.mark.parametrize("alert", ALERT_PANELS)
def test_an_alerts_panel_reads_what_its_rule_reads(alert: str) -> None:
    [target] = panel_of(BUILT, alert)["targets"]
    rule = rules()[alert]
    assert metric_names(Text(target["expr"], rule.expr.span)) == metric_names(rule.expr)
    assert "$" not in target["expr"]  # an alert knows no variables


def copy_of_rules(folder: Path) -> Path:
    return Path(shutil.copytree(ROOT / "rules", folder / "rules"))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_threshold_moves_with_its_contract(tmp_path: Path) -> None:
    copy = copy_of_rules(tmp_path)
    replace(copy / "contracts" / "system.yml", "threshold: 85", "threshold: 90")
    built = {name.removesuffix(".json"): json.loads(text) for name, text in render(copy).items()}
    panel = panel_of(built, "HighMemoryUsage")
    assert steps(panel) == [(None, "green"), (90, "orange")]
    assert "stays > 90 %" in panel["description"]
    assert steps(panel_of(built, "HighCPUUsage")) == steps(panel_of(BUILT, "HighCPUUsage"))


def test_a_panel_changes_with_its_rule(tmp_path: Path) -> None:
    copy = copy_of_rules(tmp_path)
    replace(copy / "business.yml", "rate(gtvision_recording_errors_total[5m])", "rate(gtvision_failures_total[7m])")
    built = {name.removesuffix(".json"): json.loads(text) for name, text in render(copy).items()}
    [target] = panel_of(built, "RecordingFailures")["targets"]
    assert target["expr"] == "sum by (job)(rate(gtvision_failures_total[7m]))"


def test_the_panels_that_were_asked_for() -> None:
    shown = {name: " / ".join(panel["title"] for panel in panels(BUILT[name])) for name in NAMES}
    wanted = {
        "system-overview": ["CPU", "Memory", "disk", "Network"],
        "application-metrics": ["Request rate", "P50, P95, P99", "Error rate", "connections", "by endpoint"],
        "business-metrics": [
            "streams", "recordings", "Cameras", "LPR events per hour", "Camera status", "Recording errors", "over time",
        ],
    }  # fmt: skip
    assert {name: [word for word in words if word not in shown[name]] for name, words in wanted.items()} == {
        name: [] for name in NAMES
    }
