"""A real Prometheus scrapes the real service and a real node exporter: all that the nine alerts read is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from harness.engines.base import Engine
from harness.engines.child import free_port
from harness.engines.process import ProcessEngine
from harness.errors import EngineError
from harness.rules import load_rules
from harness.rules.expr import comparisons
from harness.toolchain import Toolchain
from tests.needs import refuse_to_skip
from tests.streaming.streaming_server import FAULTS_TOKEN, Server, served, spawn, wait_for

ROOT = Path(__file__).resolve().parents[2]
ALERTS = {
    rule.alert: rule
    for file in load_rules(sorted((ROOT / "rules").glob("*.yml")))
    for group in file.groups
    for rule in group.alerts()
}
# A container may have no disk that LowDiskSpace looks at; the series of the machine's alerts are checked below.
OF_THE_SERVICE = sorted(name for name, rule in ALERTS.items() if rule.labels["team"].value != "platform")


@pytest.fixture(scope="module")
def scraped(prometheus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Prometheus with the jobs `streaming` and `node`; the service has traffic of every kind that alerts read."""
    try:
        exporter = Toolchain().find("node_exporter").path
    except EngineError as err:
        refuse_to_skip(f"no node exporter: {err.message}")
    folder = tmp_path_factory.mktemp("scraped")
    node = f"127.0.0.1:{free_port()}"
    with (folder / "node.log").open("wb") as log:
        process = spawn([str(exporter), f"--web.listen-address={node}"], log=log, cwd=folder)
    try:
        for server in served(folder, FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN, WORKERS="2"):
            jobs = [("streaming", f"127.0.0.1:{server.port}"), ("node", node)]
            config = [
                {"job_name": job, "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
                for job, target in jobs
            ]
            extra = {"scrape_configs": [{**each, "scrape_timeout": "1s"} for each in config]}
            with ProcessEngine(prometheus_path, extra_config=extra) as engine:
                _make_traffic(server)
                wait_for(lambda: len(_ask(engine, "up == 1")) == 2, "both targets to be up")
                wait_for(lambda: _ask(engine, "rate(http_requests_total[5m])"), "two scrapes")
                yield engine
    finally:
        process.kill()
        process.wait()


def _make_traffic(server: Server) -> None:
    server.camera()
    stream_id = server.stream()
    server.ask("POST", "/api/recordings", json={"stream_id": stream_id})
    server.faults(error_ratio=0.5)
    for _ in range(10):
        server.ask("GET", "/api/streams")
        server.ask("GET", "/api/recordings")
    server.faults("DELETE")


def _ask(engine: Engine, expr: str) -> list[dict[str, str]]:
    return [series.metric for series in engine.query(expr, time.time_ns() // 1_000_000)]


def test_there_are_nine_alerts() -> None:
    assert len(ALERTS) == 9
    assert len(OF_THE_SERVICE) == 6


@pytest.mark.parametrize("name", OF_THE_SERVICE)
def test_what_an_alert_compares_has_a_value(scraped: Engine, name: str) -> None:
    found = comparisons(ALERTS[name].expr)
    assert found
    for comparison in found:
        for side in (comparison.left, comparison.right):
            wait_for(partial(_ask, scraped, side), f"{name}: {side}")


def _signals() -> list[tuple[str, str, frozenset[str]]]:
    """Alert, metric and label names of what the contracts say about the world."""
    found = set()
    for file in sorted((ROOT / "rules/contracts").glob("*.yml")):
        for contract in yaml.safe_load(file.read_text())["contracts"]:
            for signal in contract["signal"]:
                kind = next(kind for kind in ("gauge", "counter", "histogram") if kind in signal)
                selector: Any = promql_parser.parse(signal[kind])
                suffix = "_bucket" if kind == "histogram" else ""
                labels = frozenset(matcher.name for matcher in selector.matchers.matchers)
                found.add((contract["alert"], selector.name + suffix, labels))
    return sorted(found, key=str)


@pytest.mark.parametrize(("alert", "metric", "labels"), _signals())
def test_series_have_the_labels_of_the_contracts(
    scraped: Engine, alert: str, metric: str, labels: frozenset[str]
) -> None:
    # The window and the wait bridge scrapes that a busy machine missed.
    wait_for(lambda: _ask(scraped, f"last_over_time({metric}[5m])"), f"{metric}, which {alert} reads")
    series = _ask(scraped, f"last_over_time({metric}[5m])")
    for each in series:
        assert labels <= each.keys(), each


def test_several_workers_are_not_several_truths(scraped: Engine) -> None:
    (only,) = scraped.query("sum by (job) (gtvision_active_streams)", time.time_ns() // 1_000_000)
    assert only.metric == {"job": "streaming"}
    assert list(only.values) == [1]
