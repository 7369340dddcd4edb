"""Against a Prometheus that scrapes the real node exporter: do the names that rules and dashboard use exist in life?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fixtures.dashboards import OUTPUT
from harness.cli import main
from harness.engines.base import Engine
from harness.engines.child import Child
from harness.engines.process import ProcessEngine
from harness.errors import EngineError
from harness.toolchain import Toolchain
from tests.needs import refuse_to_skip

ROOT = Path(__file__).resolve().parents[2]


def _answers(url: str, folder: Path, timeout_s: float) -> bool:
    try:
        return "node_cpu_seconds_total" in requests.get(f"{url}/metrics", timeout=timeout_s).text
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def scraping(toolchain: Toolchain, prometheus_path: Path) -> Iterator[Engine]:
    try:
        binary = toolchain.find("node_exporter").path
    except EngineError as err:
        refuse_to_skip(f"no node exporter: {err.message}")
    exporter = Child(
        "node exporter",
        binary,
        lambda folder, port: [f"--web.listen-address=127.0.0.1:{port}", f"--collector.textfile.directory={folder}"],
        what="node exporter",
        answers=_answers,
    )
    exporter.start()
    try:
        target = {"targets": [exporter.url.removeprefix("http://")], "labels": {"instance": "node-1:9100"}}
        scrape = {"job_name": "node", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": [target]}
        with ProcessEngine(prometheus_path, extra_config={"scrape_configs": [scrape]}) as engine:
            deadline = time.monotonic() + 60
            # A rate needs two scrapes; the first comes 5 s after the start.
            while not engine.query("count_over_time(up[1m]) >= 3", round(time.time() * 1000)):
                assert time.monotonic() < deadline, "node exporter was not scraped in time"
                time.sleep(0.2)
            yield engine
    finally:
        exporter.close()


def test_the_system_rules_and_dashboard_hold_on_a_real_machine(
    scraping: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([
        "check", "--against", scraping.url, "--since", "1m", "--scrape-interval", "1s", "--json", "-",
        "--rules", str(ROOT / "rules" / "system.yml"), "--dashboards", str(OUTPUT / "system-overview.json"),
    ])  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert [finding for finding in document["findings"] if finding["weight"] == "finding"] == []
    assert code == 0
    assert document["expressions"] > 15


def test_what_another_exporter_would_have_is_missed_there(scraping: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "--against", scraping.url, "--since", "1m", "--rules", str(ROOT / "rules" / "business.yml")])
    out = capsys.readouterr().out
    assert code == 1
    assert "no series of `gtvision_active_streams` in the last 1m" in out
