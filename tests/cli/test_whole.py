"""The happy path on the project's own rules, and what every face of one proof has in common."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.scripting import COMMAND, SCRIPTS, Outcome, clean_environ, in_process

ROOT = Path(__file__).resolve().parents[2]
PROJECT = SCRIPTS / "project"
ALERTS = [
    "HighErrorRate", "SlowResponseTime", "ServiceDown", "NoActiveStreams", "HighCameraOfflineRate", "RecordingFailures",
    "HighCPUUsage", "HighMemoryUsage", "LowDiskSpace",
]  # fmt: skip


def test_the_projects_own_rules(tools: dict[str, Path], tmp_path: Path) -> None:
    """`verify` says yes, and its table, Markdown and JSON say the same of every alert."""
    folder, temp = tmp_path / "work", tmp_path / "temp"
    folder.mkdir()
    temp.mkdir()
    config = ["--config", str(ROOT / "pyproject.toml")]
    skipped = ["--skip", "live", "--skip", "stack"]  # `make verify` has them
    documents = ["--json", "new/p.json", "--markdown", "p.md"]
    done = subprocess.run(
        [str(COMMAND), *config, "verify", "--engine", "process", *skipped, *documents],
        cwd=folder,
        env=clean_environ(os.environ, tools, temp),
        capture_output=True,
        text=True,
        check=False,
        timeout=420,
    )
    assert done.stderr == ""
    assert done.stdout.rstrip().split("\n")[-1] == "YES: 9 alerts fire exactly as meant."
    steps = [line.split()[0] for line in done.stdout.split("\n") if re.match(r" {0,4}(ok|FAILED|--)  ", line)]
    assert steps == ["ok"] * 5  # load, lint, Alertmanager's file, unit tests, prove
    assert done.returncode == 0
    assert list(temp.iterdir()) == []
    document = json.loads((folder / "new/p.json").read_text(encoding="utf-8"))
    assert document["summary"] == {"exact": 9, "total": 9, "by_verdict": {"exact": 9}, "allowed": 0}
    for alert in document["alerts"]:
        assert (alert["verdict"], alert["reasons"], alert["confirmed"]) == ("exact", [], True)
    _has_exactly_the_documented_keys(document)
    _say_the_same(done.stdout, (folder / "p.md").read_text(encoding="utf-8"), document)


def _has_exactly_the_documented_keys(document: dict[str, Any]) -> None:
    assert list(document) == ["version", "engine", "alerts", "summary", "findings", "warnings"]
    assert document["findings"] == []
    assert document["warnings"] == []  # of Alertmanager's file
    assert document["version"] == 2
    assert list(document["engine"]) == ["kind", "prometheus"]
    for alert in document["alerts"]:
        assert list(alert) == [
            "alert", "file", "line", "contract", "measured", "situations", "verdict", "would_be", "allowed",
            "reasons", "notes", "confirmed", "confirmed_reason",
        ]  # fmt: skip
        assert list(alert["contract"]) == ["op", "threshold", "unit", "for_s", "severity"]
        assert list(alert["measured"]) == [
            "quiet_at", "fires_at", "ulps", "fires_after_s", "too_short_s", "resolves_after_s",
        ]  # fmt: skip
        assert {key for s in alert["situations"] for key in s} == {"name", "expected", "got"}
    documented = (ROOT / "docs" / "prove.md").read_text(encoding="utf-8")
    for key in {key for alert in document["alerts"] for key in (*alert, *alert["contract"], *alert["measured"])}:
        assert f"`{key}" in documented or f".{key}" in documented, f"docs/prove.md does not speak of {key}"


def _say_the_same(table: str, markdown: str, document: dict[str, Any]) -> None:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in markdown.split("\n") if line.startswith("| ")
    ][1:]
    assert [row[0] for row in cells] == [alert["alert"] for alert in document["alerts"]]
    assert sorted(row[0] for row in cells) == sorted(ALERTS)
    for row, alert in zip(cells, document["alerts"], strict=True):
        assert row[-1] == alert["verdict"]
        for cell, key in ((row[2], "quiet_at"), (row[3], "fires_at")):
            assert float(cell.split()[0]) == alert["measured"][key]
        line = next(text for text in table.split("\n") if text.startswith(f"{row[0]} "))
        assert re.split(r"\s{2,}", line.strip()) == [c.replace("&gt;", ">").replace("&lt;", "<") for c in row]


@pytest.fixture
def run(tools: dict[str, Path], tmp_path: Path) -> Any:
    def run(*arguments: str, folder: Path = PROJECT, **more: str) -> Outcome:
        outcome = in_process(arguments, folder, clean_environ(os.environ, tools, tmp_path) | more)
        assert "Traceback" not in outcome.stdout + outcome.stderr
        assert "\x1b" not in outcome.stdout + outcome.stderr
        return outcome

    return run


def test_json_on_standard_output_is_all_that_stands_there(run: Any) -> None:
    for command in (["prove"], ["verify", "--skip", "live", "--tests", str(ROOT / "tests" / "rules")]):
        outcome = run(*command, "--engine", "process", "--json", "-")
        summary = json.loads(outcome.stdout)["summary"]
        assert summary == {"exact": 1, "total": 1, "by_verdict": {"exact": 1}, "allowed": 0}


def test_names_of_ten_kilobytes(run: Any, tmp_path: Path) -> None:
    name = "long" * 2500
    rules, contracts = tmp_path / "rules.yml", tmp_path / "contracts.yml"
    rules.write_text(f"groups: [{{name: g, rules: [{{alert: {name}, expr: up == 0}}]}}]\n", encoding="utf-8")
    contracts.write_text("contracts: []\n", encoding="utf-8")
    where = ["--rules", str(rules), "--contracts", str(contracts), "--engine", "process"]
    outcome = run("prove", *where, "--json", str(tmp_path / "p.json"))
    assert outcome.code == 1
    assert "unexpected" in outcome.stdout
    assert max(map(len, outcome.stdout.split("\n")[:1])) <= 200
    assert json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))["alerts"][0]["alert"] == name
    rules.write_text(f"groups: [{{name: g, rules: [{{alert: {name}, exprr: up == 0}}]}}]\n", encoding="utf-8")
    outcome = run("prove", *where)
    assert outcome.code == 2
    column = len("groups: [{name: g, rules: [{alert: , ") + len(name) + 1
    assert f"rules.yml:1:{column}: unknown field `exprr`" in outcome.stderr
    assert max(map(len, outcome.stderr.split("\n"))) < 300


@pytest.mark.parametrize("depth", [100, 20_000])
@pytest.mark.parametrize("style", ["flow", "aliases"])
def test_huge_nesting(run: Any, tmp_path: Path, depth: int, style: str) -> None:
    file = tmp_path / "deep.yml"
    if style == "flow":
        file.write_text("groups: " + "[" * depth + "]" * depth + "\n", encoding="utf-8")
    else:  # each level holds the one before ten times over
        depth //= 10
        lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, depth))]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    outcome = run("prove", "--rules", str(file))
    assert outcome.code == 2
    assert "what to do" in outcome.stderr or "nested too deeply" in outcome.stderr
    assert "fault of alert-harness" not in outcome.stderr


def test_a_very_long_formula(run: Any, tmp_path: Path) -> None:
    text = (PROJECT / "contracts.yml").read_text(encoding="utf-8")
    file = tmp_path / "contracts.yml"
    file.write_text(text.replace("value: x", f"value: x{' + 1' * 5000}"), encoding="utf-8")
    outcome = run("prove", "--contracts", str(file))
    assert outcome.code == 2
    assert "contracts.yml:13:1016: the formula has more than 500 parts" in outcome.stderr
    assert max(map(len, outcome.stderr.split("\n"))) < 300


class _StandIn(http.server.BaseHTTPRequestHandler):
    """Answers like something that is no Prometheus, or one without a remote-write receiver."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/plain"):
            self.answer(200, b"<html>hello</html>")
        elif self.path.endswith("/api/v1/query"):
            self.answer(200, b'{"status":"success","data":{"resultType":"scalar","result":[0,"1"]}}')
        else:
            self.answer(404, b"remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n")

    do_GET = do_POST

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def stand_in() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_that_is_no_prometheus(run: Any, stand_in: str) -> None:
    outcome = run("prove", "--engine", "url", "--url", f"{stand_in}/plain")
    assert outcome.code == 3
    assert outcome.stderr.startswith(f"alert-harness: {stand_in}/plain ")
    assert "hello" in outcome.stderr


def test_a_prometheus_without_a_remote_write_receiver(run: Any, stand_in: str) -> None:
    outcome = run("prove", "--engine", "url", "--url", stand_in)
    assert outcome.code == 3
    assert "takes no remote write" in outcome.stderr
    assert "--web.enable-remote-write-receiver" in outcome.stderr
