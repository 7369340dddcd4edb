"""The use cases, over HTTP against the real process."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Callable

import pytest

from tests.streaming.streaming_server import Server


def _new() -> str:
    return uuid.uuid4().hex


def test_cameras_are_registered_once_and_heard(shared_server: Server) -> None:
    camera_id = _new()
    assert shared_server.ask("POST", "/api/cameras", json={"camera_id": camera_id, "name": "a"}).status_code == 201
    assert shared_server.ask("POST", "/api/cameras", json={"camera_id": camera_id, "name": "b"}).status_code == 200

    def state() -> dict[str, object]:
        found = [each for each in shared_server.ask("GET", "/api/cameras").json() if each["camera_id"] == camera_id]
        assert len(found) == 1
        return dict(found[0])

    assert (state()["name"], state()["online"], state()["heard_at"]) == ("b", False, None)
    assert shared_server.ask("POST", f"/api/cameras/{camera_id}/heartbeat").status_code == 204
    assert state()["online"] is True
    assert shared_server.ask("POST", f"/api/cameras/{_new()}/heartbeat").status_code == 404


def test_a_stream_runs_until_it_is_stopped(shared_server: Server) -> None:
    stream_id = shared_server.stream()

    def runs() -> bool:
        return stream_id in [each["stream_id"] for each in shared_server.ask("GET", "/api/streams").json()]

    assert runs()
    assert shared_server.ask("DELETE", f"/api/streams/{stream_id}").status_code == 204
    assert not runs()
    assert shared_server.ask("DELETE", f"/api/streams/{stream_id}").status_code == 204, "ended again: no change"
    assert shared_server.ask("DELETE", f"/api/streams/{_new()}").status_code == 404
    assert shared_server.ask("POST", "/api/streams", json={"camera_id": _new()}).status_code == 404


def test_recordings_end_by_themselves_or_with_their_stream(shared_server: Server) -> None:
    stream_id = shared_server.stream()

    def record() -> str:
        answer = shared_server.ask("POST", "/api/recordings", json={"stream_id": stream_id})
        assert answer.status_code == 201
        return str(answer.json()["recording_id"])

    def running() -> set[str]:
        found = shared_server.ask("GET", "/api/recordings").json()
        return {each["recording_id"] for each in found if each["stream_id"] == stream_id}

    first, second = record(), record()
    assert running() == {first, second}
    assert shared_server.ask("DELETE", f"/api/recordings/{first}").status_code == 204
    assert running() == {second}
    shared_server.ask("DELETE", f"/api/streams/{stream_id}")
    assert running() == set()
    assert shared_server.ask("POST", "/api/recordings", json={"stream_id": stream_id}).status_code == 409
    assert shared_server.ask("POST", "/api/recordings", json={"stream_id": _new()}).status_code == 404
    assert shared_server.ask("DELETE", f"/api/recordings/{_new()}").status_code == 404


def test_a_plate_is_counted_once(shared_server: Server) -> None:
    event_id = _new()
    before = shared_server.value("gtvision_lpr_events_total")
    answers = [shared_server.plate(event_id) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    assert shared_server.value("gtvision_lpr_events_total") == before + 1


@pytest.mark.parametrize("token", ["", "wrong", "webhook-secre", "webhook-secret2", "wébhook-secret"])
def test_a_wrong_webhook_token_changes_nothing(shared_server: Server, token: str) -> None:
    before = shared_server.value("gtvision_lpr_events_total")
    answer = shared_server.ask(
        "POST",
        "/api/lpr/events",
        headers={"Authorization": f"Bearer {token}".encode()},
        json={"event_id": _new(), "camera_id": "gate", "plate": "X 1", "seen_at": "2026-01-02T03:04:05Z"},
    )
    assert answer.status_code == 401
    assert "webhook-secret" not in answer.text
    assert shared_server.value("gtvision_lpr_events_total") == before


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/lpr/events"), ("PUT", "/faults")])
def test_a_token_is_asked_for_before_a_body_is_read(shared_server: Server, method: str, path: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Type: application/json\r\n"
    for body in ("Content-Length: 60000\r\n\r\n{", "Content-Length: 1\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", shared_server.port), timeout=10) as client:
            client.sendall((head + body).encode())
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 401 "), (
                "also if no more of it ever comes, or if it is none"
            )


def test_no_token_configured_takes_no_plates(start: Callable[..., Server]) -> None:
    server = start(WEBHOOK_TOKEN="")
    server.camera()
    for token in ("", "None", "anything"):
        assert server.plate("e", token=token).status_code == 503
    assert server.value("gtvision_lpr_events_total") == 0


def test_mistakes_are_told_without_what_was_sent_and_not_by_the_thousand(shared_server: Server) -> None:
    body = "{" + ", ".join(f'"\\u0000{number}": "secret"' for number in range(2000)) + "}"
    answer = shared_server.ask("POST", "/api/streams", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "secret" not in answer.text
    mistakes = answer.json()["detail"]
    assert mistakes[0] == {"type": "missing", "loc": ["body", "camera_id"], "msg": "Field required"}
    assert len(mistakes) == 20


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/cameras", {"camera_id": "with space", "name": "x"}),
        ("/api/cameras", {"camera_id": "x" * 65, "name": "x"}),
        ("/api/cameras", {"camera_id": "x", "name": ""}),
        ("/api/cameras", {"camera_id": "x", "name": "a\0"}),
        ("/api/cameras", {"camera_id": "x", "name": "x", "nmae": "x"}),
        ("/api/streams", {}),
        ("/api/recordings", {"stream_id": None}),
    ],
)
def test_what_is_malformed_is_refused(shared_server: Server, path: str, body: object) -> None:
    assert shared_server.ask("POST", path, json=body).status_code == 422


def test_a_plate_needs_a_time_with_a_zone(shared_server: Server) -> None:
    assert shared_server.plate(_new(), seen_at="2026-01-02T03:04:05").status_code == 422
    assert shared_server.plate(_new(), camera_id=_new()).status_code == 404


def test_a_body_is_limited(shared_server: Server) -> None:
    answer = shared_server.ask("POST", "/api/cameras", data=b"x" * 70_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_health_and_readiness(shared_server: Server) -> None:
    assert shared_server.ask("GET", "/health").json() == {"status": "ok"}
    assert shared_server.ask("GET", "/ready").json() == {"status": "ready", "problems": []}


def test_the_api_page_needs_no_other_host(shared_server: Server) -> None:
    page = shared_server.ask("GET", "/docs").text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 3
    for file in files:
        assert file.startswith("/docs/assets/"), file
        assert len(shared_server.ask("GET", file).content) > 1000
    assert shared_server.ask("GET", "/docs/assets/..%2fcore.py").status_code == 404
    assert shared_server.ask("GET", "/docs/assets/redoc.standalone.js").status_code == 404


def test_every_operation_of_the_api_has_a_tag_that_is_described(shared_server: Server) -> None:
    schema = shared_server.ask("GET", "/openapi.json").json()
    described = {tag["name"] for tag in schema["tags"]}
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len(operations) == 16
    assert set(schema["components"]["securitySchemes"]) == {"webhook-token", "faults-token"}
    for operation in operations:
        assert set(operation["tags"]) <= described, operation["operationId"]
