"""`slo report` at the command line: on servers that misbehave as no real one can be made to, and on a real one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs
from xml.etree.ElementTree import fromstring

import pytest

from harness.cli import main
from harness.engines.base import Engine
from tests.slo import report_world as world
from tests.slo.report_world import END

Answer = Callable[[BaseHTTPRequestHandler, dict[str, list[str]]], tuple[int, dict[str, str], bytes]]
OK = {"Content-Type": "application/json"}


def vector(*points: tuple[float, str]) -> bytes:
    result = [{"metric": {"__name__": "checkouts_total"}, "values": [list(p) for p in points]}] if points else []
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        self.server.asked.append(form)
        if form.get("query") == ["1"]:  # the question whether anybody is there
            return self._send(200, OK, b'{"status":"success","data":{"resultType":"scalar","result":[0,"1"]}}')
        status, headers, body = self.server.answer(self, form)
        return self._send(status, headers, body)

    def do_GET(self) -> None:
        self._send(404, OK, b"{}")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answer: Answer
    asked: list[dict[str, list[str]]]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that stops waiting is what some of these tests are about."""


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], tuple[str, list]]]:
    servers: list[_Server] = []

    def start(answer: Answer) -> tuple[str, list]:
        server = _Server(("127.0.0.1", 0), _Handler)
        server.answer, server.asked = answer, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", server.asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one objective, and nothing from the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ALERT_HARNESS_URL", raising=False)
    (tmp_path / "slo").mkdir()
    text = world.OBJECTIVES.partition("\n---\n")[0] + "\n"
    (tmp_path / "slo" / "checkout.yml").write_text(text, encoding="utf-8")
    return tmp_path


def run(url: str, *more: str) -> int:
    return main(["slo", "report", "--prometheus", url, "--to", "2026-01-01", "--report", "none", *more])


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "said"),
    [
        (401, {}, b"no", 3, "refuses our credentials (HTTP 401)"),
        (403, OK, b'{"status":"error","errorType":"forbidden","error":"x"}', 3, "refuses our credentials (HTTP 403)"),
        (429, {"Retry-After": "0"}, b"slow down", 3, "takes no more requests for now (HTTP 429: slow down)"),
        (502, {}, b"<html>Bad Gateway</html>", 3, "is in trouble (HTTP 502: <html>Bad Gateway</html>)"),
        (503, {"Retry-After": "0"}, b'{"status":"error","errorType":"timeout","error":"query timed out"}', 3,
         "HTTP 503, timeout: query timed out"),
        (500, OK, b'{"status":"error","errorType":"internal","error":"disk"}', 3, "HTTP 500, internal: disk"),
        (200, OK, b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{', 3, "is cut off after"),
        (200, OK | {"Content-Length": "9999"}, b'{"status":"success"', 3, "cannot be reached"),
        (200, {}, b"<html>welcome</html>", 3, "does not speak the Prometheus HTTP API"),
        (302, {"Location": "/login"}, b"", 3, "does not speak the Prometheus HTTP API (HTTP 302"),
    ],
)  # fmt: skip
def test_each_failure_is_one_clear_line(
    serve, project: Path, capsys: pytest.CaptureFixture[str], status: int, headers: dict[str, str], body: bytes,
    code: int, said: str,
) -> None:  # fmt: skip
    url, _ = serve(lambda *_: (status, headers, body))
    assert run(url) == code
    out, err = capsys.readouterr()
    assert said in err
    assert err.startswith("alert-harness: ")
    assert "Traceback" not in err
    assert out == ""


def test_a_server_that_does_not_answer_in_time(serve, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = threading.Event()

    def never(*_: object) -> tuple[int, dict[str, str], bytes]:
        release.wait(30)
        return 200, OK, vector()

    url, _ = serve(never)
    began = time.monotonic()
    assert run(url, "--timeout", "300ms") == 3
    release.set()
    assert time.monotonic() - began < 20
    assert "did not answer within 0.3 s" in capsys.readouterr().err


def test_patience_with_a_busy_server(serve, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = [True]

    def busy(*_: object) -> tuple[int, dict[str, str], bytes]:
        if refused and refused.pop():
            return 429, {"Retry-After": "0"}, b"not now"
        return 200, OK, vector()

    url, _ = serve(busy)
    assert run(url) == 1
    assert "cannot be judged" in capsys.readouterr().out


def test_nobody_there(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("http://127.0.0.1:9") == 3
    assert "cannot be reached" in capsys.readouterr().err


def test_warnings_in_an_answer_are_told(serve, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def partial(_: object, form: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        answer = json.loads(vector())
        return 200, OK, json.dumps(answer | {"warnings": ["store \x1b[31m<b>s3</b> unavailable"]}).encode()

    url, _ = serve(partial)
    assert run(url) == 1
    out = capsys.readouterr().out
    assert "The server warned: store ␛[31m<b>s3</b> unavailable." in out


def test_samples_from_the_future_and_out_of_range_are_not_counted(
    serve, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server whose clock is ahead, or that answers more than it was asked."""
    ahead = END / 1000 + 3600

    def answer(_: object, form: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        return 200, OK, vector((END / 1000 - 30, "5"), (ahead, "1000"))

    url, _ = serve(answer)
    assert run(url, "--json", "-") == 1
    (one,) = json.loads(capsys.readouterr().out)["objectives"]
    assert one["counts"]["total"] == 0
    assert one["verdict"] == "no_data"
    assert any("samples came from outside of the time asked for" in text for text in one["caveats"])


def test_credentials_are_sent_and_never_told(
    serve, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    def answer(handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        seen.append((handler.headers["Authorization"], handler.headers["X-Scope-OrgID"]))
        return 200, OK, vector()

    url, _ = serve(answer)
    monkeypatch.setenv("ALERT_HARNESS_URL_TOKEN", "s3cret")
    monkeypatch.setenv("ALERT_HARNESS_URL_TENANT", "team-a")
    assert run(url, "--json", "report.json", "--junit", "report.xml", "--report", "page") == 1
    assert set(seen) == {("Bearer s3cret", "team-a")}
    told = "".join(capsys.readouterr()) + "".join(f.read_text() for f in project.rglob("*") if f.is_file())
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "2026-02-01"], "not before its end at 2026-01-01 00:00 UTC"),
        (["--from", "soon"], "--from `soon` is no time"),
        (["--window", "run"], "--window run needs the run's beginning"),
        (["--window", "week"], "--window `week` is unknown"),
        (["--compress", "1.5"], "--compress `1.5` is no whole number"),
        (["--compress", "60"], "a compressed run needs its beginning"),
        (["--fail-on", "exausted"], "did you mean `exhausted`?"),
        (["--min-coverage", "2"], "not between 0 and 100 %"),
        (["--at-risk", "much"], "--at-risk `much` is no share"),
        (["--step", "0"], "--step is 0"),
        (["--gap", "5 minutes"], "--gap: `5 minutes` is not a duration"),
        (["--json", "-", "--csv", "-"], "both want standard output"),
        (["--quality", "absent.json"], "cannot read absent.json"),
        (["missing.yml"], "missing.yml does not exist"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(
    serve, project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    url, asked = serve(lambda *_: (200, OK, vector()))
    assert run(url, *arguments) == 2
    assert said in capsys.readouterr().err
    assert [form for form in asked if form.get("query") != ["1"]] == []


def test_no_server_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slo", "report"]) == 2
    assert "no server to read from" in capsys.readouterr().err


# -- a real one --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(prometheus_path: Path) -> Iterator[Engine]:
    from harness.engines.process import ProcessEngine

    with ProcessEngine(prometheus_path) as engine:
        world.write_month(engine)
        yield engine


@pytest.mark.parametrize(
    ("fail_on", "code", "failures"),
    [
        ([], 1, 2),
        (["none"], 0, 0),
        (["exhausted"], 1, 1),
        (["at-risk"], 1, 2),
        (["no-data"], 1, 1),
        (["at-risk", "no-data"], 1, 3),
    ],
)
def test_exit_code_and_junit_follow_fail_on(
    filled: Engine, project: Path, capsys: pytest.CaptureFixture[str], fail_on: list[str], code: int, failures: int
) -> None:
    (project / "slo" / "checkout.yml").write_text(world.OBJECTIVES, encoding="utf-8")
    options = [word for name in fail_on for word in ("--fail-on", name)]
    assert run(filled.url, *options, "--junit", "out/report.xml") == code
    root = fromstring((project / "out" / "report.xml").read_text())
    assert root.get("failures") == str(failures)
    assert root.get("skipped") == ("0" if "no-data" in fail_on or not fail_on else "1")
    out = capsys.readouterr().out
    assert "1 of 6 objectives has spent its error budget, 1 is at risk, 1 cannot be judged." in out
    assert "\x1b" not in out  # no terminal, no colours
    assert "██████▃" in out


def test_a_misspelt_metric_passes_no_gate(filled: Engine, project: Path) -> None:
    checkout, *_ = world.OBJECTIVES.split("---\n")
    (project / "slo" / "checkout.yml").write_text(checkout.replace("checkouts_total", "chekouts_total"))
    assert run(filled.url) == 1
    assert run(filled.url, "--fail-on", "exhausted") == 0


def test_everything_is_written_and_the_page_is_named(
    filled: Engine, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["slo", "report", "--prometheus", filled.url, "--to", "2026-01-01", "--report", "out", "--markdown", "r.md",
         "--csv", "r.csv", "--json", "r.json"]
    )  # fmt: skip
    assert code == 1
    assert "report: out/slo.html" in capsys.readouterr().out
    assert {f.name for f in project.rglob("*") if f.is_file()} == {
        "checkout.yml",
        "slo.html",
        "r.md",
        "r.csv",
        "r.json",
    }


def test_a_terminal_gets_colours(
    filled: Engine, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    run(filled.url)
    assert "\x1b[31m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    run(filled.url)
    assert "\x1b[31m" not in capsys.readouterr().out
