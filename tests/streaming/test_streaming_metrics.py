"""The page of metrics of the real process: its form, business metrics, HTTP metrics, and what an attacker can add."""

from __future__ import annotations

import http.client
import random
import secrets
import socket
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.streaming.streaming_server import FAULTS_TOKEN, Server, wait_for

ROOT = Path(__file__).resolve().parents[2]
BUSINESS = {
    "gtvision_active_streams": "gauge",
    "gtvision_recordings_active": "gauge",
    "gtvision_cameras_online": "gauge",
    "gtvision_cameras_offline": "gauge",
    "gtvision_cameras_total": "gauge",
    "gtvision_lpr_events_total": "counter",
    "gtvision_recording_errors_total": "counter",
}


def test_the_metrics_endpoint(start: Callable[..., Server]) -> None:
    server = start()
    answer = server.ask("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    for name, kind in BUSINESS.items():
        family = families[name.removesuffix("_total") if kind == "counter" else name]
        assert family.type == kind
        assert [sample.value for sample in family.samples] == [0], f"{name} is there from the first scrape on"
        assert family.documentation


def test_promtool_only_minds_a_name_that_the_rules_fix(shared_server: Server, promtool_path: Path) -> None:
    shared_server.ask("GET", "/api/streams")
    page = shared_server.ask("GET", "/metrics").text
    checked = subprocess.run(
        [promtool_path, "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    told = (checked.stdout + checked.stderr).splitlines()
    assert told == ['gtvision_cameras_total non-counter metrics should not have "_total" suffix']


def test_business_metrics(start: Callable[..., Server]) -> None:
    server = start(CAMERA_STATUS_INTERVAL="50ms", FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    for camera_id in ("gate", "yard", "roof"):
        server.camera(camera_id)
    server.ask("POST", "/api/cameras/yard/heartbeat")
    streams = [server.stream("gate"), server.stream("yard")]
    for stream_id in streams:
        assert server.ask("POST", "/api/recordings", json={"stream_id": stream_id}).status_code == 201
    server.ask("DELETE", f"/api/streams/{streams[0]}")
    server.plate("one")
    server.plate("two")
    server.faults(recording_failure_ratio=1)
    assert server.ask("POST", "/api/recordings", json={"stream_id": streams[1]}).status_code == 503
    wait_for(lambda: server.value("gtvision_cameras_online") == 1, "the periodic job")
    assert {name: server.value(name) for name in BUSINESS} == {
        "gtvision_active_streams": 1,
        "gtvision_recordings_active": 1,
        "gtvision_cameras_online": 1,
        "gtvision_cameras_offline": 2,
        "gtvision_cameras_total": 3,
        "gtvision_lpr_events_total": 2,
        "gtvision_recording_errors_total": 1,
    }


def test_a_camera_goes_offline_without_heartbeats(start: Callable[..., Server]) -> None:
    server = start(CAMERA_STATUS_INTERVAL="50ms", CAMERA_TIMEOUT="400ms")
    server.camera()

    def is_online() -> bool:
        return server.value("gtvision_cameras_online") == 1 and server.value("gtvision_cameras_offline") == 0

    def is_heard() -> bool:
        server.ask("POST", "/api/cameras/gate/heartbeat")
        return is_online()

    assert not is_online()
    wait_for(is_heard, "the camera to be online")
    wait_for(lambda: server.value("gtvision_cameras_offline") == 1, "the camera to be offline")


def test_http_metrics_are_collected_by_route(start: Callable[..., Server]) -> None:
    server = start()
    server.camera()
    for _ in range(3):
        server.ask("GET", "/api/streams")
    server.ask("DELETE", "/api/streams/nothing-of-this-name")
    server.ask("PATCH", "/api/streams")
    server.ask("GET", "/nowhere")
    counted = {
        (labels["method"], labels["endpoint"], labels["status"]): value
        for (name, pairs), value in server.metrics().items()
        if name == "http_requests_total" and (labels := dict(pairs))
    }
    assert counted == {
        ("POST", "/api/cameras", "201"): 1,
        ("GET", "/api/streams", "200"): 3,
        ("DELETE", "/api/streams/{stream_id}", "404"): 1,
        ("PATCH", "/api/streams", "405"): 1,
        ("GET", "(unmatched)", "404"): 1,
    }
    assert server.value("http_request_duration_seconds_count", method="GET", endpoint="/api/streams") == 3
    assert server.value("http_request_duration_seconds_bucket", method="GET", endpoint="/api/streams", le="+Inf") == 3
    assert 0 < server.value("http_request_duration_seconds_sum", method="GET", endpoint="/api/streams") < 3 * 60
    assert server.value("http_connections_active") == 0


def test_the_buckets_are_those_of_the_contract(shared_server: Server) -> None:
    contract = yaml.safe_load((ROOT / "rules/contracts/application.yml").read_text())
    slow = next(each for each in contract["contracts"] if each["alert"] == "SlowResponseTime")
    shared_server.ask("GET", "/api/streams")
    bounds = {
        float(dict(pairs)["le"])
        for name, pairs in shared_server.metrics()
        if name == "http_request_duration_seconds_bucket"
    }
    assert sorted(bounds) == [*slow["signal"][0]["buckets"], float("inf")]


def test_scrapes_and_probes_are_not_traffic(start: Callable[..., Server]) -> None:
    server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    for _ in range(5):
        for path in ("/metrics", "/health", "/ready", "/faults"):
            server.ask("GET", path)
    assert server.value("http_requests_total") == 0


def test_ten_thousand_paths_add_one_series(start: Callable[..., Server]) -> None:
    server = start()
    server.ask("GET", "/first")
    server.ask("GET", "/api/cameras/first")
    server.ask("DELETE", "/api/streams/first")
    before = set(server.metrics())
    rolls = random.Random(4)

    def attack(requests: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(requests):
            method, prefix = rolls.choice(
                [("GET", "/"), ("GET", "/api/cameras/"), ("DELETE", "/api/streams/"), ("GET", "/api/")]
            )
            connection.request(method, prefix + secrets.token_hex(8))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 404
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attack, [2500] * 4))
    assert set(server.metrics()) == before
    assert server.value("http_requests_total") == 10_003


@pytest.mark.parametrize("method", ["PURGE", "LINK", "MKCALENDAR", "SUBSCRIBE"])
def test_methods_that_http_does_not_define_share_one_value(shared_server: Server, method: str) -> None:
    labels = {"method": "(other)", "endpoint": "/api/streams", "status": "405"}
    before = shared_server.value("http_requests_total", **labels)
    shared_server.ask(method, "/api/streams")
    assert shared_server.value("http_requests_total", **labels) == before + 1
    assert shared_server.value("http_requests_total", method=method) == 0


def test_clients_that_hang_up_leave_no_connection_behind(start: Callable[..., Server]) -> None:
    server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    server.faults(latency_s=4)
    request = b"GET /api/streams HTTP/1.1\r\nHost: x\r\n\r\n"
    unfinished = (
        b"POST /api/cameras HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for number, client in enumerate(clients):
        client.sendall(request if number % 2 else unfinished)
    wait_for(lambda: server.value("http_connections_active") == 20, "all to be in progress")
    for number, client in enumerate(clients):
        if number % 4 < 2:  # at once, by a reset
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    wait_for(lambda: server.value("http_connections_active") == 0, "all to be gone")
    assert server.value("http_requests_total") == 20
    assert server.value("http_requests_total", status="500") == 0, "a client that hangs up is no server error"
    assert server.value("http_requests_total", method="POST", endpoint="/api/cameras", status="201") == 0
