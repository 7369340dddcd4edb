"""The URL engine: a real Prometheus behind an address, and servers that refuse in every way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.engines import QueryError, Samples, make_labels, open_engine, process
from harness.engines.base import Engine
from harness.engines.process import ProcessEngine
from harness.engines.url import UrlEngine
from harness.errors import EngineError, InputError, Span, UnsupportedError
from harness.prometheus import DEFAULTS, ServerSettings

OK = b'{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}'


class Fake(ThreadingHTTPServer):
    """Answers a path with (status, body); keeps the headers of what it was asked."""

    def __init__(self, answers: dict[str, tuple[int, bytes]]) -> None:
        self.answers = answers
        self.seen: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers.items())))
        status, body = self.server.answers.get(self.path, (404, b"404 page not found"))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake({"/api/v1/query": (200, OK), "/api/v1/write": (204, b"")})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_prometheus_at_an_address(engine: Engine) -> None:
    with open_engine("url", prometheus=lambda: Path("unused"), url=f"{engine.url}/") as remote:
        assert (remote.kind, remote.disposable, remote.url) == ("url", False, engine.url)
        assert remote.version == engine.version
        remote.write([Samples(make_labels("m"), [10**12], [3.0])])
        assert remote.query("m", 10**12)[0].values == [3.0]
        with pytest.raises(UnsupportedError, match="not ours to throw away"):
            remote.reset()


def test_credentials_from_the_environment(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_HARNESS_URL_TOKEN", "tok-secret")
    monkeypatch.setenv("ALERT_HARNESS_URL_TENANT", "team-a")
    monkeypatch.setenv("ALERT_HARNESS_URL_HEADERS", "X-One: 1\nX-Two:  2 ")
    with UrlEngine(fake.url) as engine:
        assert engine.version == "unknown"  # this server has no build information
    for _, headers in fake.seen:
        assert headers["Authorization"] == "Bearer tok-secret"
        assert headers["X-Scope-OrgID"] == "team-a"
        assert (headers["X-One"], headers["X-Two"]) == ("1", "2")


def test_credentials_in_the_url_are_used_and_never_shown(fake: Fake) -> None:
    url = fake.url.replace("//", "//bob:s%40cret@") + "/?token=hidden"
    with UrlEngine(url, environ={}) as engine:
        assert engine.url == fake.url
        assert all(headers["Authorization"] == "Basic Ym9iOnNAY3JldA==" for _, headers in fake.seen)
        fake.answers["/api/v1/query"] = (500, b"broken")
        with pytest.raises(EngineError) as caught:
            engine.query("1", 0)
        assert fake.url in str(caught.value)
        assert "cret" not in str(caught.value)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(400, "bad_data"), (422, "execution")])
def test_a_server_with_error_types_of_its_own(fake: Fake, status: int, kind: str) -> None:
    with UrlEngine(fake.url, environ={}) as engine:
        fake.answers["/api/v1/query"] = (status, b'{"status":"error","errorType":"422","error":"cannot parse"}')
        with pytest.raises(QueryError) as caught:
            engine.query("sum(", 0)
        assert (caught.value.error_type, caught.value.message) == (kind, "cannot parse")


def test_another_address_for_writing(fake: Fake) -> None:
    fake.answers["/api/v1/push"] = fake.answers.pop("/api/v1/write")
    with pytest.raises(EngineError, match="takes no remote write"):
        UrlEngine(fake.url, environ={})
    UrlEngine(fake.url, environ={"ALERT_HARNESS_URL_WRITE": f"{fake.url}/api/v1/push"}).close()


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        ("/api/v1/query", (401, b"no"), "refuses our credentials (HTTP 401)"),
        ("/api/v1/query", (302, b""), "sends us elsewhere (HTTP 302)"),
        ("/api/v1/query", (200, b"<html>"), "does not speak the Prometheus HTTP API (HTTP 200: <html>)"),
        ("/api/v1/query", (200, b"[]"), "does not speak the Prometheus HTTP API"),
        ("/api/v1/query", (404, b"nothing"), "does not speak the Prometheus HTTP API (HTTP 404: nothing)"),
        ("/api/v1/query", (503, b'{"status":"error","errorType":"timeout","error":"too slow"}'), "timeout: too slow"),
        ("/api/v1/write", (404, b"no page"), "takes no remote write (HTTP 404: no page)"),
        ("/api/v1/write", (403, b"no"), "lets us read but not write (HTTP 403)"),
        ("/api/v1/write", (500, b"no space left on device"), "refuses samples (HTTP 500): no space left on device"),
    ],
)
def test_servers_that_will_not_do(fake: Fake, path: str, answer: tuple[int, bytes], message: str) -> None:
    fake.answers[path] = answer
    with pytest.raises(EngineError) as caught:
        UrlEngine(fake.url, environ={})
    assert caught.value.message.startswith(fake.url)
    assert message in caught.value.message
    assert caught.value.exit_code == 3


def test_a_prometheus_whose_receiver_is_off(prometheus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = process.server_flags
    receiver = "--web.enable-remote-write-receiver"
    monkeypatch.setattr(process, "server_flags", lambda *args: [flag for flag in ours(*args) if flag != receiver])
    with ProcessEngine(prometheus_path) as engine:
        with pytest.raises(
            EngineError, match=r"takes no remote write .*remote write receiver needs to be enabled"
        ) as caught:
            UrlEngine(engine.url, environ={})
        assert "--web.enable-remote-write-receiver" in (caught.value.hint or "")


def test_a_server_tells_its_settings(prometheus_path: Path) -> None:
    """What the project does not name is the server's; where it names another the answers would be another's."""
    theirs = ServerSettings(
        20_000, 60_000, scrape_ms=60_000, external_labels={"cluster": "eu1", "price": "5$"}, features=("old-ui",)
    )
    with ProcessEngine(prometheus_path, server=theirs) as server, UrlEngine(server.url, read_only=True) as engine:
        assert engine.tell_server(DEFAULTS, {}) == replace(theirs, features=("native-histograms", "old-ui"))
        mine = replace(DEFAULTS, external_labels={"cluster": "us"}, scrape_ms=15_000, lookback_ms=60_000)
        named = dict.fromkeys(("external_labels", "scrape_ms", "lookback_ms", "features"))
        assert engine.tell_server(mine, named) == replace(mine, evaluation_ms=20_000)
        for other, field, message in (
            (replace(DEFAULTS, lookback_ms=90_000), "lookback_ms", "`lookback_delta` 1m30s, and .* runs with 1m"),
            (DEFAULTS, "evaluation_ms", "`evaluation_interval` 1m, and Prometheus at http.* runs with 20s"),
            (replace(DEFAULTS, features=("promql-delayed-name-removal",)), "features", "without: promql-delayed"),
        ):
            with pytest.raises(InputError, match=message) as caught:
                engine.tell_server(other, {field: Span("pyproject.toml", 7, 1)})
            assert str(caught.value).startswith("pyproject.toml:7:1: ")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"flags": (200, b'{"status":"success","data":[]}'), "config": (200, b'{"status":"success","data":{}}')},
        {"flags": (403, b"no"), "config": (200, b'{"status":"success","data":{"yaml":"global: [x"}}')},
        {"flags": (200, b'{"status":"success","data":{"query.lookback-delta":"soon","enable-feature":7}}')},
    ],
)
def test_a_server_that_does_not_tell_runs_with_ours(fake: Fake, answers: dict[str, tuple[int, bytes]]) -> None:
    fake.answers |= {f"/api/v1/status/{name}": answer for name, answer in answers.items()}
    ours = ServerSettings(20_000, 60_000, external_labels={"a": "b"}, features=("promql-delayed-name-removal",))
    with UrlEngine(fake.url, read_only=True) as engine:
        assert engine.tell_server(ours, dict.fromkeys(("lookback_ms", "features"))) == ours


def test_nobody_there() -> None:
    with pytest.raises(EngineError, match=r"^http://127\.0\.0\.1:1 cannot be reached: Connection refused"):
        UrlEngine("http://u:p@127.0.0.1:1", environ={})
    with pytest.raises(EngineError, match=r"http://nothing\.invalid cannot be reached"):
        UrlEngine("http://nothing.invalid", environ={})


@pytest.mark.parametrize(
    "url", ["", "prometheus:9090", "ftp://user:secret@h", "http://", "http://u:secret@[::1", "http://u:secret@h:x"]
)
def test_malformed_urls_are_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        UrlEngine(url, environ={})
    assert "secret" not in str(caught.value)
    assert "http://prometheus:9090" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"TOKEN": "secret", "USER": "bob"}, "both a bearer token and a user name"),
        ({"HEADERS": "secret"}, "a line without a colon"),
        ({"TOKEN": "secret\u00e9"}, "characters that HTTP does not allow"),
        ({"CA": "/nonexistent/ca.pem"}, "a file that does not exist: /nonexistent/ca.pem"),
    ],
)
def test_settings_that_contradict_or_do_not_read(settings: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        UrlEngine(
            "http://127.0.0.1:1", environ={f"ALERT_HARNESS_URL_{name}": value for name, value in settings.items()}
        )
    assert "secret" not in str(caught.value)


def test_the_url_engine_needs_an_address() -> None:
    with pytest.raises(InputError, match="needs an address"):
        open_engine("url", prometheus=lambda: Path("unused"))
