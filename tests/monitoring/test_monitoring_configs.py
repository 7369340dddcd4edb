"""Prometheus', Alertmanager's and Grafana's configuration of the stack, judged by promtool and amtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.contracts import load_contracts
from harness.errors import EngineError
from harness.rules import load_rules
from harness.toolchain import Toolchain
from tests.needs import refuse_to_skip

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "fixtures" / "monitoring"
ALERTMANAGER = MONITORING / "alertmanager.yml"
TARGETS = {
    "streaming": "streaming:8001",
    "node": "node-exporter:9100",
    "postgres": "postgres-exporter:9187",
    "redis": "redis-exporter:9121",
    "prometheus": "localhost:9090",
    "alertmanager": "alertmanager:9093",
}
ROUTES = {
    "HighErrorRate": "streaming-on-call",
    "SlowResponseTime": "streaming",
    "ServiceDown": "streaming-on-call",
    "NoActiveStreams": "video-operations",
    "HighCameraOfflineRate": "video-operations",
    "RecordingFailures": "video-operations-on-call",
    "HighCPUUsage": "platform",
    "HighMemoryUsage": "platform",
    "LowDiskSpace": "platform-on-call",
}
"""Who hears of which alert: its team, or the team's on-call where the contract says critical."""


@pytest.fixture(scope="session")
def amtool(toolchain: Toolchain) -> Path:
    try:
        return toolchain.find("amtool").path
    except EngineError as err:
        refuse_to_skip(f"no amtool: {err.message}")


def settings(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((MONITORING / name).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def said(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def labels_of_alerts() -> dict[str, dict[str, str]]:
    return {
        rule.alert: {name: text.value for name, text in rule.labels.items()}
        for file in load_rules(sorted((ROOT / "rules").glob("*.yml")))
        for group in file.groups
        for rule in group.alerts()
    }


# -- Prometheus ------------------------------------------------------------------------------------------------------


def mounted(folder: Path) -> Path:
    """The configuration with the rules beside it, as the compose file mounts them."""
    shutil.copytree(ROOT / "rules", folder / "rules")
    shutil.copy(MONITORING / "prometheus.yml", folder)
    return folder / "prometheus.yml"


def test_promtool_takes_the_configuration_and_finds_the_rules(each_promtool: Path, tmp_path: Path) -> None:
    code, out = said(each_promtool, "check", "config", mounted(tmp_path))
    assert code == 0, out
    assert "3 rule files found" in out
    for file in ("application", "business", "system"):
        assert f"rules/{file}.yml" in out
    assert out.count("SUCCESS: 3 rules found") == 3


def test_promtool_sees_a_broken_rule_through_the_configuration(each_promtool: Path, tmp_path: Path) -> None:
    config = mounted(tmp_path)
    rules = tmp_path / "rules" / "system.yml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("expr:", "exp:", 1), encoding="utf-8")
    code, out = said(each_promtool, "check", "config", config)
    assert code == 1
    assert "field exp not found" in out


def test_six_targets_under_names_that_hold_anywhere() -> None:
    scraped = {job["job_name"]: job["static_configs"] for job in settings("prometheus.yml")["scrape_configs"]}
    assert {job: config["targets"] for job, [config] in scraped.items()} == {job: [at] for job, at in TARGETS.items()}
    instances = {job: config["labels"]["instance"] for job, [config] in scraped.items()}
    assert instances == {job: f"{job}-1:{address.rpartition(':')[2]}" for job, address in TARGETS.items()}


def test_scrapes_and_ticks_are_those_of_the_contracts() -> None:
    given = settings("prometheus.yml")["global"]
    contracts = load_contracts(sorted((ROOT / "rules" / "contracts").glob("*.yml")))
    assert {f"{contract.scrape_ms // 1000}s" for contract in contracts} == {given["scrape_interval"]} == {"30s"}
    contract_instances = {
        labels.get("instance") for c in contracts for s in c.signal.series for labels in [dict(s.labels)]
    }
    assert {"node-1:9100"} <= contract_instances


def test_alerts_go_to_the_alertmanager() -> None:
    [alertmanager] = settings("prometheus.yml")["alerting"]["alertmanagers"]
    assert alertmanager == {"static_configs": [{"targets": ["alertmanager:9093"]}]}


# -- Alertmanager ----------------------------------------------------------------------------------------------------


def test_amtool_takes_the_configuration(amtool: Path) -> None:
    code, out = said(amtool, "check-config", ALERTMANAGER)
    assert code == 0, out
    assert "1 inhibit rules" in out
    assert "7 receivers" in out


@pytest.mark.parametrize("alert", ROUTES)
def test_each_alert_reaches_the_one_who_can_help(amtool: Path, alert: str) -> None:
    labels = labels_of_alerts()[alert] | {"alertname": alert, "job": "any"}
    words = [f"{name}={value}" for name, value in labels.items()]
    # amtool itself compares: exit 1 where the receiver is another.
    code, out = said(
        amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}",
        f"--verify.receivers={ROUTES[alert]}", *words,
    )  # fmt: skip
    assert code == 0, out


def test_every_alert_has_a_route_of_its_own() -> None:
    assert set(labels_of_alerts()) == set(ROUTES)


@pytest.mark.parametrize("labels", [["severity=critical"], ["team=nobody", "severity=warning"], ["alertname=X"]])
def test_what_nobody_owns_is_not_lost(amtool: Path, labels: list[str]) -> None:
    code, out = said(
        amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}", "--verify.receivers=unowned", *labels
    )
    assert code == 0, out


def test_the_wrong_receiver_is_seen(amtool: Path) -> None:
    code, _ = said(
        amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}",
        "--verify.receivers=platform", "team=streaming", "severity=critical",
    )  # fmt: skip
    assert code == 1


def test_a_service_that_is_down_speaks_alone() -> None:
    assert settings("alertmanager.yml")["inhibit_rules"] == [
        {
            "source_matchers": ['alertname="ServiceDown"'],
            "target_matchers": ['alertname=~"HighErrorRate|SlowResponseTime|NoActiveStreams"'],
            "equal": ["job"],
        }
    ]


def test_every_receiver_gets_its_url_from_the_environment_and_hears_of_the_end() -> None:
    for receiver in settings("alertmanager.yml")["receivers"]:
        assert receiver["webhook_configs"] == [{"url_file": "/run/secrets/alert_webhook_url", "send_resolved": True}]


# -- Grafana ---------------------------------------------------------------------------------------------------------


def test_grafana_knows_the_data_sources_and_where_the_dashboards_lie() -> None:
    sources = settings("grafana/provisioning/datasources/monitoring.yml")
    assert sources["apiVersion"] == 1
    assert [(s["uid"], s["type"], s["url"], s.get("isDefault", False)) for s in sources["datasources"]] == [
        ("prometheus", "prometheus", "http://prometheus:9090", True),
        ("alertmanager", "alertmanager", "http://alertmanager:9093", False),
    ]
    # Else $__rate_interval would be too short for our scrapes.
    assert (
        sources["datasources"][0]["jsonData"]["timeInterval"] == settings("prometheus.yml")["global"]["scrape_interval"]
    )
    assert sources["datasources"][0]["jsonData"]["alertmanagerUid"] == "alertmanager"
    provided = settings("grafana/provisioning/dashboards/dashboards.yml")
    assert provided["apiVersion"] == 1
    [provider] = provided["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/etc/grafana/dashboards")
    assert provider["allowUiUpdates"] is False
