"""The process: settings, start and end, restarts that tell the truth, workers that are one service."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import requests
from streaming.settings import Settings

from tests.streaming.streaming_server import FAULTS_TOKEN, Server, run_to_end, wait_for

Start = Callable[..., Server]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "http", "STREAMING_PORT is 'http'; expected a whole number from 0 to 65535"),
        ("PORT", "65536", "STREAMING_PORT is '65536'; expected a whole number from 0 to 65535"),
        ("WORKERS", "0", "STREAMING_WORKERS is '0'; expected a whole number from 1 to 64"),
        (
            "CAMERA_TIMEOUT",
            "90",
            "STREAMING_CAMERA_TIMEOUT is '90'; expected a duration above zero such as 90s, 1500ms or 1m30s",
        ),
        (
            "CAMERA_STATUS_INTERVAL",
            "0s",
            "STREAMING_CAMERA_STATUS_INTERVAL is '0s'; expected a duration above zero such as 90s, 1500ms or 1m30s",
        ),
        ("FAULTS", "yes", "STREAMING_FAULTS is 'yes'; expected 1 or 0"),
        ("LOG_LEVEL", "loud", "STREAMING_LOG_LEVEL is 'loud'; expected one of debug, info, warning, error"),
        (
            "DATABASE_URL",
            "mysql://root:secret@db/x",
            "STREAMING_DATABASE_URL begins with 'mysql'; "
            "expected sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME",
        ),
        (
            "DATABASE_URL",
            "sqlite://",
            "STREAMING_DATABASE_URL names no file; stored state needs one: sqlite:///FILE",
        ),
        (
            "REDIS_URL",
            "http://:secret@cache",
            "STREAMING_REDIS_URL is not understood; expected memory://, database:// or redis://HOST:PORT/0",
        ),
        ("PROT", "8001", "STREAMING_PROT is not a setting of the streaming service; did you mean STREAMING_PORT?"),
        (
            "DATABASE_URL",
            "sqlite:////nowhere/at/all.db",
            "STREAMING_DATABASE_URL: the folder /nowhere/at is not there or may not be written to",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path: Path, name: str, value: str, told: str) -> None:
    ended = run_to_end(tmp_path, **{name: value})
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"streaming: {told}\n")


def test_memory_is_not_shared_by_workers(tmp_path: Path) -> None:
    ended = run_to_end(tmp_path, WORKERS="2", REDIS_URL="memory://")
    assert ended.returncode == 2
    assert ended.stderr == (
        "streaming: STREAMING_REDIS_URL is memory://, which 2 workers do not share; "
        "set redis://HOST:PORT/0 or database://, or STREAMING_WORKERS=1\n"
    )


def test_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_to_end(tmp_path, PORT=str(port))
    assert ended.returncode == 3
    assert ended.stderr == f"streaming: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_database_that_is_away_is_one_line_without_the_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ended = run_to_end(tmp_path, DATABASE_URL=f"postgresql+psycopg://gt:secret@127.0.0.1:{port}/gt")
    assert ended.returncode == 3
    assert ended.stderr.startswith(
        f"streaming: the database postgresql+psycopg://gt:***@127.0.0.1:{port}/gt does not do what it is asked: "
    )
    assert ended.stderr.count("\n") == 1
    assert "secret" not in ended.stderr + ended.stdout


def test_durations_as_prometheus_writes_them() -> None:
    read = Settings.from_environment(
        {"STREAMING_CAMERA_TIMEOUT": "1m30s", "STREAMING_CAMERA_STATUS_INTERVAL": "1500ms"}
    )
    assert (read.camera_timeout_ms, read.camera_status_interval_ms) == (90_000, 1500)


def _under_way(server: Server, asking: threading.Thread) -> bool:
    return server.value("http_connections_active") == 1 or not asking.is_alive()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_lets_requests_end_and_leaves_nothing(start: Start, workers: str) -> None:
    server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN, WORKERS=workers)
    server.faults(latency_s=0.7)
    statuses: list[int] = []
    while server.value("http_connections_active") == 0:  # again if we looked away for as long as it took
        asking = threading.Thread(
            target=lambda: statuses.append(requests.get(f"{server.base}/api/streams").status_code)
        )
        asking.start()
        wait_for(partial(_under_way, server, asking), "the request")
    assert server.terminate() == 0
    asking.join()
    assert set(statuses) == {200}
    assert server.log_lines()[-1]["event"] == "stopped"
    assert _members(server.process.pid) == []


def test_sigterm_does_not_wait_for_a_request_that_takes_long(start: Start) -> None:
    server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    server.faults(latency_s=30)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /api/streams HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.value("http_connections_active") == 1, "the request to be in progress")
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 25, "well before the request would have ended"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_while_starting_ends_it(tmp_path: Path, workers: str) -> None:
    command = [sys.executable, "-m", "streaming"]
    environment = os.environ | {"STREAMING_PORT": "0", "STREAMING_WORKERS": workers}
    for delay_s in (0.0, 0.3, 0.6, 0.9):  # before Python runs, while it imports, while it starts to serve
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=-1, stderr=-1, text=True) as process:
            time.sleep(delay_s)
            process.terminate()
            _, told = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGTERM)
        assert "Traceback" not in told


def test_what_is_stored_survives_kill_9_and_gauges_tell_it(start: Start) -> None:
    server = start(CAMERA_STATUS_INTERVAL="1h")
    for number in range(3):
        server.camera(f"camera-{number}")
    streams = [server.stream("camera-0") for _ in range(4)]
    server.ask("POST", "/api/recordings", json={"stream_id": streams[0]})
    server.ask("DELETE", f"/api/streams/{streams[3]}")
    before = server.ask("GET", "/api/streams").json()
    server.kill()
    server.start()
    assert server.ask("GET", "/api/streams").json() == before
    assert server.value("gtvision_active_streams") == 3, "on the first scrape, before anybody changed anything"
    assert server.value("gtvision_recordings_active") == 1
    assert server.value("gtvision_cameras_total") == 3
    assert server.value("gtvision_cameras_offline") == 3, "nobody was heard since"
    assert server.value("http_requests_total", status="201") == 0, "counters begin anew, as rate() expects"
    server.ask("DELETE", f"/api/streams/{streams[0]}")
    assert (server.value("gtvision_active_streams"), server.value("gtvision_recordings_active")) == (2, 0)


def test_kill_9_in_the_middle_of_writing_loses_nothing_that_was_answered(start: Start) -> None:
    server = start()
    server.camera()
    answered: list[str] = []

    def write() -> None:
        for number in range(100_000):
            try:
                if server.plate(f"event-{number}").status_code == 201:
                    answered.append(f"event-{number}")
            except OSError:  # requests' errors are of this kind
                return

    writing = threading.Thread(target=write)
    writing.start()
    wait_for(lambda: len(answered) >= 50, "some events")
    server.kill()
    writing.join()
    server.start()
    assert [server.plate(event_id).status_code for event_id in answered[-50:]] == [200] * 50


def test_a_restart_does_not_count_an_event_again(start: Start) -> None:
    server = start()
    server.camera()
    assert server.plate("once").status_code == 201
    server.terminate()
    server.start()
    assert server.plate("once").status_code == 200
    assert server.value("gtvision_lpr_events_total") == 0


# -- several workers -----------------------------------------------------------------------------------------------


def _members(session: int) -> list[int]:
    """The processes of this session that still run."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry))
    return sorted(found)


def _workers(server: Server) -> set[int]:
    return set(_members(server.process.pid)) - {server.process.pid}


def _ask_both(server: Server, ask: Callable[[], object]) -> None:
    """Over many connections, so that both workers have their share."""
    for _ in range(40):
        ask()
        server.session.close()


def test_two_workers_tell_one_truth(start: Start) -> None:
    server = start(WORKERS="2", CAMERA_STATUS_INTERVAL="50ms")
    server.camera()
    server.camera("yard")
    _ask_both(server, lambda: server.ask("POST", "/api/cameras/gate/heartbeat"))
    streams: list[str] = []
    _ask_both(server, lambda: streams.append(server.stream()))
    _ask_both(server, lambda: server.plate("the-same"))
    wait_for(lambda: server.value("gtvision_cameras_online") == 1, "the periodic job")
    for _ in range(20):
        server.session.close()
        assert server.value("gtvision_active_streams") == 40
        assert server.value("gtvision_cameras_total") == 2
        assert server.value("gtvision_cameras_offline") == 1
        assert server.value("gtvision_lpr_events_total") == 1
        assert server.value("http_requests_total", endpoint="/api/streams", status="201") == 40
        assert server.value("http_requests_total", endpoint="/api/cameras/{camera_id}/heartbeat") == 40
        assert server.value("http_connections_active") == 0


def test_each_change_is_told_at_once_by_every_worker(start: Start) -> None:
    server = start(WORKERS="2", CAMERA_STATUS_INTERVAL="1h")
    server.camera()
    streams: list[str] = []

    def change() -> None:
        streams.append(server.stream())
        server.session.close()
        assert server.value("gtvision_active_streams") == len(streams)

    def who() -> set[int]:
        return {line["pid"] for line in server.log_lines() if line["event"] == "stream started"}

    _ask_both(server, change)
    while who() != _workers(server):  # the kernel owes nobody a fair share
        assert len(streams) < 5000
        change()


def test_a_killed_worker_is_replaced_and_its_counts_stay(start: Start) -> None:
    server = start(WORKERS="2", FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    _ask_both(server, lambda: server.ask("GET", "/api/streams"))
    server.faults(latency_s=20)
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    for client in held:
        client.sendall(b"GET /api/streams HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: server.value("http_connections_active") == 10, "all to be in progress")
    first = _workers(server)
    for worker in first:
        os.kill(worker, signal.SIGKILL)
        server.session.close()
        wait_for(lambda: len(_workers(server)) == 2, "another worker")
    wait_for(lambda: _workers(server).isdisjoint(first), "two others")
    server.session.close()
    server.faults("DELETE")
    assert server.value("http_requests_total", endpoint="/api/streams") == 40
    assert server.value("http_requests_total", endpoint="(cut off)", status="500") == len(held), "nobody answered them"
    assert server.value("http_connections_active") == 0
    _ask_both(server, lambda: server.ask("GET", "/api/streams"))
    assert server.value("http_requests_total", endpoint="/api/streams") == 80
    for client in held:
        client.close()


def test_workers_end_with_a_killed_parent(start: Start) -> None:
    server = start(WORKERS="3")
    wait_for(lambda: len(_workers(server)) == 3, "the workers")
    server.kill()
    wait_for(lambda: not _members(server.process.pid), "the workers to end")
    server.start()
    assert server.ask("GET", "/health").status_code == 200
