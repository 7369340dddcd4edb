"""`alert-harness check` as a user runs it, against a running Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest
import requests

from fixtures.dashboards import OUTPUT
from harness.cli import main
from harness.engines.base import Engine

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "schema" / "check.schema.json"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["check", *arguments])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_the_rules_and_dashboards_of_this_project_are_real(running: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--against", running.url, "--since", "10m", "--json", "-")
    document = json.loads(out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [finding for finding in document["findings"] if finding["weight"] == "finding"] == []
    assert code == 0
    assert document["passed"] is True
    panels = [panel for file in OUTPUT.glob("*.json") for panel in json.loads(file.read_text())["panels"]]
    assert document["panel_queries"] == sum(len(panel.get("targets", ())) for panel in panels) > 30
    # Where it is quiet: no error yet, no alert pending.
    assert {finding["kind"] for finding in document["findings"]} == {"value", "empty"}


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("rules/application.yml", "http_requests_total{status", "http_request_total{status", "`http_requests_total`?"),
        ("rules/application.yml", "{status=~", "{status_code=~", "has a label `status_code` (did you mean `status`?)"),
        (
            "rules/business.yml",
            "sum by (job) (gtvision_active",
            "sum by (jib) (gtvision_active",
            "reads the label `jib`",
        ),
        ("rules/system.yml", "$labels.mountpoint", "$labels.mountpiont", "(did you mean `mountpoint`?)"),
        # what the rule itself sets is not in the query's result
        ("rules/system.yml", "$labels.mountpoint", "$labels.severity", "reads the label `severity`"),
        ("rules/system.yml", "node_memory_MemAvailable_bytes)", "node_memory_MemAvail_bytes)", "MemAvailable_bytes`?"),
    ],
)
def test_a_broken_name_in_a_rule_is_found_at_its_line(
    running: Engine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    old: str,
    new: str,
    words: str,
) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    code, out = run(capsys, "--against", running.url, "--since", "10m", "--rules", str(broken))
    assert code == 1
    [line] = [line for line in out.splitlines() if line.startswith("finding")]
    assert words in line
    if "labels" not in old:  # a text's label is told at the expression that it comes from
        pairs = zip(text.splitlines(), broken.read_text(encoding="utf-8").splitlines(), strict=True)
        changed = next(number for number, (before, after) in enumerate(pairs, 1) if before != after)
        assert f"broken.yml:{changed}:" in line


@pytest.mark.parametrize(
    ("dashboard", "old", "new", "words"),
    [
        ("business-metrics", "gtvision_recordings_active", "gtvision_active_recordings", "no series of"),
        ("business-metrics", "sum by (job) (gtvision_cam", "sum by (jobs) (gtvision_cam", "reads the label `jobs`"),
        ("application-metrics", '"{{method}} {{endpoint}}"', '"{{method}} {{route}}"', "shows the label `route`"),
        ("application-metrics", "[$__rate_interval]", "[$rate_interval]", "`$rate_interval` is no variable"),
        ("application-metrics", "histogram_quantile(0.99, ", "histogram_quantile(", "Prometheus refuses it"),
        ("system-overview", 'device!=\\"lo\\"', 'device=\\"lo\\"', None),
        ("system-overview", 'mode!=\\"idle\\"', 'mode=\\"iowait\\"', "no data in the last 10m"),
    ],
)  # fmt: skip
def test_a_broken_dashboard_is_found(
    running: Engine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    dashboard: str,
    old: str,
    new: str,
    words: str | None,
) -> None:
    text = (OUTPUT / f"{dashboard}.json").read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "broken.json"
    broken.write_text(text.replace(old, new), encoding="utf-8")
    code, out = run(capsys, "--against", running.url, "--since", "10m", "--dashboards", str(broken))
    if words is None:  # that panel says that it may be empty, so it is told and does not fail
        assert code == 0
        assert "as it allows: No network device but loopback" in out
        return
    assert code == 1
    assert [
        line for line in out.splitlines() if line.startswith("finding") and "broken.json:" in line and words in line
    ]


def test_a_broken_name_in_an_objective_is_found(
    running: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "slo" / "api-availability.yml").read_text(encoding="utf-8")
    assert 'http_requests_total{job="streaming"}' in text
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace('total{job="streaming"}', 'total{service="streaming"}'), encoding="utf-8")
    code, out = run(capsys, "--against", running.url, "--since", "10m", "--objectives", str(broken))
    assert code == 1
    [line] = [line for line in out.splitlines() if line.startswith("finding")]
    assert "broken.yml:" in line
    assert "objective api-availability: no series of `http_requests_total` has a label `service`" in line


def test_what_is_named_is_checked_alone(running: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("--against", running.url, "--since", "10m", "--json", "-")
    looked_at = []
    for named in ([], ["--rules", "rules"], ["--dashboards", str(OUTPUT)], ["--objectives", "slo"]):
        _, out = run(capsys, *common, *named)
        document = json.loads(out)
        looked_at.append((document["expressions"], document["panel_queries"]))
    everything, rules, dashboards, objectives = looked_at
    assert rules == (9, 0)
    assert dashboards[1] == everything[1] > 30
    assert objectives[0] > 5
    assert everything[0] == rules[0] + dashboards[0] + objectives[0]


def test_nothing_to_check_is_not_all_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out = run(capsys, "--against", "http://127.0.0.1:9")
    assert code == 2
    assert "there is nothing to check" in out


def test_a_server_that_is_not_there_or_is_no_prometheus(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--against", "http://127.0.0.1:9")
    assert code == 3
    assert "cannot be reached" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "1 hour"], "--since: `1 hour` is not a duration"),
        (["--since", "0"], "--since must be longer than 0"),
        (["--scrape-interval", "x"], "--scrape-interval: `x` is not a duration"),
        (["--dashboards", "nowhere.json"], "nowhere.json does not exist"),
        (["--rules", "nowhere.yml"], "nowhere.yml does not exist"),
        (["--json", "/"], "cannot write /"),
    ],
)
def test_wrong_input_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    code, out = run(capsys, "--against", "http://127.0.0.1:9", *arguments)
    assert code == 2
    assert words in out


@pytest.fixture
def guarded(running: Engine) -> Iterator[str]:
    """The same server behind a bearer token, and without remote write."""

    class Door(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != "Bearer sesame":
                self.send_error(401)
                return
            if self.path.endswith("/write"):
                self.send_error(404)
                return
            headers = {"Content-Type": self.headers.get("Content-Type", "")}
            answer = requests.request(self.command, running.url + self.path, data=body, headers=headers, timeout=30)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = _pass_on

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{door.server_port}"
    door.shutdown()
    door.server_close()


def test_credentials_come_from_the_environment_and_reading_is_enough(
    guarded: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = run(capsys, "--against", guarded, "--since", "10m")
    assert code == 3
    assert "refuses our credentials" in out
    monkeypatch.setenv("ALERT_HARNESS_URL_TOKEN", "sesame")
    code, out = run(capsys, "--against", guarded, "--since", "10m")
    assert code == 0, out
    assert "sesame" not in out
