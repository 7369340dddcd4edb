"""The service on a real PostgreSQL and a real Redis, both local processes that end with the tests."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from harness.engines.child import free_port
from tests.needs import refuse_to_skip
from tests.streaming.odd_requests import malformed
from tests.streaming.streaming_server import FAULTS_TOKEN, Server, spawn, wait_for
from tests.streaming.test_streaming_odd import send_all

Start = Callable[..., Server]


class Daemon:
    """A server process that can be killed and started again on the same port and data."""

    def __init__(self, command: list[str], log: Path, is_up: Callable[[], object], *, user: int | None = None) -> None:
        self._command = command
        self._log = log
        self._is_up = is_up
        self._user = user
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = spawn(self._command, log=log, cwd="/", user=self._user)
        wait_for(lambda: self._is_up() or self._process.poll() is not None, self._command[0])
        assert self._process.poll() is None, self._log.read_text()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown, and Redis' ordinary one
            self._process.wait(60)


def _binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:  # Debian keeps PostgreSQL's off the PATH
        found = max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None)
    if found is None:
        refuse_to_skip(f"no {name} (apt-get install postgresql redis-server)")
    return found


@pytest.fixture(scope="module")
def postgres() -> Iterator[tuple[Daemon, str]]:
    """PostgreSQL and its URL for the service."""
    initdb, server = _binary("initdb"), _binary("postgres")
    # It refuses to run as root, and its user must reach the folder: pytest's own are closed to others.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="streaming-postgres-"))
    try:
        if user is not None:
            os.chown(folder, user, -1)
        data, port = folder / "data", free_port()
        make = [initdb, "-D", str(data), "-U", "gt", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"]
        subprocess.run(make, check=True, capture_output=True, user=user, cwd="/")
        where = f"host=127.0.0.1 port={port} user=gt dbname=postgres"
        command = [server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
        daemon = Daemon(command, folder.parent / f"{folder.name}.log", lambda: _answers(where), user=user)
        try:
            yield daemon, f"postgresql+psycopg://gt@127.0.0.1:{port}/postgres"
        finally:
            daemon.stop()
    finally:
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink(missing_ok=True)


def _answers(where: str) -> bool:
    try:
        with psycopg.connect(where, connect_timeout=1):
            return True
    except psycopg.Error:
        return False


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, str]]:
    """Redis and its URL."""
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    command = [_binary("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    client = redis.Redis(port=port)

    def is_up() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    daemon = Daemon([*command, "--appendonly", "yes"], folder / "redis.log", is_up)
    try:
        yield daemon, f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        daemon.stop()


@pytest.fixture
def clean(postgres: tuple[Daemon, str], redis_server: tuple[Daemon, str]) -> dict[str, str]:
    """Settings of a service on both, which hold nothing yet."""
    url = postgres[1].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with redis.Redis.from_url(redis_server[1]) as client:
        client.flushall()
    return {"DATABASE_URL": postgres[1], "REDIS_URL": redis_server[1], "CAMERA_STATUS_INTERVAL": "100ms"}


def test_every_use_case_and_a_restart_on_both(start: Start, clean: dict[str, str]) -> None:
    server = start(WORKERS="2", **clean)
    server.camera()
    server.camera("yard")
    server.ask("POST", "/api/cameras/gate/heartbeat")
    streams = [server.stream() for _ in range(3)]
    recording = server.ask("POST", "/api/recordings", json={"stream_id": streams[0]})
    assert recording.status_code == 201
    assert server.ask("POST", "/api/recordings", json={"stream_id": streams[1]}).status_code == 201
    assert server.ask("DELETE", f"/api/recordings/{recording.json()['recording_id']}").status_code == 204
    assert server.ask("DELETE", f"/api/streams/{streams[2]}").status_code == 204
    assert server.ask("POST", "/api/recordings", json={"stream_id": streams[2]}).status_code == 409
    assert [server.plate("one").status_code for _ in range(3)] == [201, 200, 200]
    assert server.ask("GET", "/ready").status_code == 200

    def gauges() -> list[float]:
        return [
            server.value(f"gtvision_{name}")
            for name in ("active_streams", "recordings_active", "cameras_online", "cameras_offline", "cameras_total")
        ]

    wait_for(lambda: gauges() == [2, 1, 1, 1, 2], "the gauges")
    server.kill()
    server.start()
    assert gauges() == [2, 1, 1, 1, 2], "Redis remembers who was heard"


def test_the_same_event_by_many_at_once_counts_once(start: Start, clean: dict[str, str]) -> None:
    server = start(WORKERS="2", **clean)
    server.camera()
    events = [f"event-{number % 20}" for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda event_id: server.plate(event_id).status_code, events))
    assert (statuses.count(201), statuses.count(200)) == (20, 380)
    assert server.value("gtvision_lpr_events_total") == 20


def test_heartbeats_of_a_database_that_was_made_anew_do_not_count(start: Start, clean: dict[str, str]) -> None:
    with redis.Redis.from_url(clean["REDIS_URL"]) as client:
        client.zadd("gtvision:heartbeats", {"gone": 9e15})
    server = start(**clean)
    server.camera()
    assert server.value("gtvision_cameras_online") == 0
    assert server.value("gtvision_cameras_offline") == 1


def test_several_services_start_at_once_on_an_empty_database(start: Start, clean: dict[str, str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        servers = list(pool.map(lambda number: start(f"service-{number}", **clean), range(4)))
    servers[0].camera()
    assert {server.ask("GET", "/api/cameras").json()[0]["camera_id"] for server in servers} == {"gate"}


def test_malformed_requests_are_refused_before_they_reach_the_database(start: Start, clean: dict[str, str]) -> None:
    server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN, **clean)
    server.camera()
    asyncio.run(send_all(server.port, list(malformed())))
    counted = {dict(pairs)["status"] for name, pairs in server.metrics() if name == "http_requests_total"}
    assert counted == {"200", "201", "400", "422"}


def test_redis_away_and_back(start: Start, clean: dict[str, str], redis_server: tuple[Daemon, str]) -> None:
    server = start(**clean)
    server.camera()
    redis_server[0].stop()
    try:
        assert server.ask("POST", "/api/cameras/gate/heartbeat").status_code == 503
        ready = server.ask("GET", "/ready")
        assert ready.status_code == 503
        assert ready.json() == {"status": "not ready", "problems": ["heartbeats: no answer"]}, "no hosts, no drivers"
        reasons = [line["error"] for line in server.log_lines() if line["event"] == "not ready"]
        assert "Redis does not do what it is asked: " in reasons[0]
        assert server.ask("GET", "/health").status_code == 200
        assert server.ask("POST", "/api/streams", json={"camera_id": "gate"}).status_code == 201
        # What cannot be known is not told: neither all online nor all offline would be true.
        wait_for(lambda: ("gtvision_cameras_total", frozenset()) not in server.metrics(), "the gauges to be left out")
        assert server.value("gtvision_active_streams") == 1
    finally:
        redis_server[0].start()
    assert server.ask("POST", "/api/cameras/gate/heartbeat").status_code == 204
    wait_for(lambda: server.value("gtvision_cameras_online") == 1, "the gauges to be back")


def test_the_database_away_and_back(start: Start, clean: dict[str, str], postgres: tuple[Daemon, str]) -> None:
    server = start(**clean)
    server.camera()
    stream_id = server.stream()
    postgres[0].stop()
    try:
        answer = server.ask("POST", "/api/recordings", json={"stream_id": stream_id})
        assert (answer.status_code, answer.json()) == (503, {"detail": "stored state cannot be reached at the moment"})
        assert server.value("gtvision_recording_errors_total") == 1, "a recording failed, whatever the reason"
        assert server.ask("GET", "/ready").json()["problems"] == ["the database: no answer"]
        wait_for(lambda: ("gtvision_active_streams", frozenset()) not in server.metrics(), "the gauges to be left out")
    finally:
        postgres[0].start()
    wait_for(lambda: server.value("gtvision_active_streams") == 1, "the gauges to be back")
    assert server.ask("POST", "/api/recordings", json={"stream_id": stream_id}).status_code == 201
