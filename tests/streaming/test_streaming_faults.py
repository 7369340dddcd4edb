"""Faults: exactly as many as were asked for, where they were asked for, and nowhere without a flag and a token."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming.faults import FaultBoard, Faults, is_hit

from tests.streaming.one_thread import in_one_thread
from tests.streaming.streaming_server import FAULTS_TOKEN, Server

RATIOS = st.fractions(0, 1, max_denominator=10_000)
PHASES = st.fractions(0, Fraction(2**32 - 1, 2**32), max_denominator=2**32)


@given(RATIOS, PHASES, st.integers(0, 2**63), st.integers(0, 400))
def test_of_any_requests_in_a_row_the_share_is_hit_within_one(
    ratio: Fraction, phase: Fraction, first: int, requests: int
) -> None:
    hits = sum(is_hit(number, ratio, phase) for number in range(first, first + requests))
    assert abs(hits - requests * ratio) < 1


PROCESSES, DRAWS = 4, 3000


def _hits_of_processes() -> int:
    board = FaultBoard()
    board.write(Faults(error_ratio=0.3, seed=5))
    gate, opener = os.pipe()
    readers = []
    for _ in range(PROCESSES):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(opener)
            os.read(gate, 1)  # until all are there
            hits = sum(board.draw_request()[0] for _ in range(DRAWS))
            os.write(writer, str(hits).encode())
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    os.close(opener)
    hits = 0
    for reader in readers:
        hits += int(os.read(reader, 20))
        os.close(reader)
        os.wait()
    os.close(gate)
    return hits


def test_a_board_is_one_line_for_all_processes() -> None:
    assert in_one_thread(_hits_of_processes) == PROCESSES * DRAWS * 3 / 10, "not one number was drawn twice or left out"


def test_the_seed_says_which_and_not_how_many() -> None:
    def drawn(seed: int) -> tuple[bool, ...]:
        board = FaultBoard()
        board.write(Faults(error_ratio=0.01, seed=seed))
        return tuple(board.draw_request()[0] for _ in range(100))

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(20)}) > 10
    assert {sum(drawn(seed)) for seed in range(20)} == {1}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_errors_are_exact_over_http_and_touch_the_api_only(start: Callable[..., Server], workers: str) -> None:
    server: Server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN, WORKERS=workers)
    answer = server.faults(error_ratio=0.07, seed=3)
    assert answer.status_code == 200
    assert answer.json() == {
        "error_ratio": 0.07,
        "latency_s": 0.0,
        "latency_ratio": 1.0,
        "recording_failure_ratio": 0.0,
        "seed": 3,
    }
    statuses = []
    for number in range(300):
        if number % 10 == 0:
            server.session.close()  # a new connection, so another worker may have it
        statuses.append(server.ask("GET", "/api/streams").status_code)
    assert set(statuses) == {200, 500}
    assert abs(statuses.count(500) - 300 * 0.07) <= 1
    assert server.value("http_requests_total", endpoint="/api/streams", status="500") == statuses.count(500)

    server.faults(error_ratio=1)
    for path in ("/health", "/ready", "/metrics", "/docs", "/openapi.json"):
        assert server.ask("GET", path).status_code == 200, path
    assert server.ask("DELETE", "/api/streams/nothing").status_code == 500
    assert server.ask("GET", "/api/nowhere").status_code == 500
    assert server.value("http_requests_total", endpoint="/api/streams/{stream_id}", status="500") == 1
    assert server.value("http_requests_total", endpoint="(unmatched)", status="500") == 1

    assert server.faults("DELETE").json()["error_ratio"] == 0
    for _ in range(10):
        server.session.close()
        assert server.ask("GET", "/api/streams").status_code == 200


def test_latency_hits_its_share(start: Callable[..., Server]) -> None:
    server: Server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    server.faults(latency_s=0.3, latency_ratio=0.25)
    for _ in range(20):
        assert server.ask("GET", "/api/streams").status_code == 200

    def faster_than(bound: str) -> float:
        return server.value("http_request_duration_seconds_bucket", endpoint="/api/streams", le=bound)

    # A busy machine makes requests slower, never faster: 5 of 20 cannot be below the added latency.
    assert faster_than("0.25") <= 15
    assert server.value("http_request_duration_seconds_sum", endpoint="/api/streams") >= 5 * 0.3
    assert faster_than("+Inf") == 20


def test_recordings_fail_by_their_share_and_are_counted(start: Callable[..., Server]) -> None:
    server: Server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    server.camera()
    stream_id = server.stream()
    server.faults(recording_failure_ratio=0.25, seed=9)
    statuses = [server.ask("POST", "/api/recordings", json={"stream_id": stream_id}).status_code for _ in range(40)]
    assert sorted(set(statuses)) == [201, 503]
    assert statuses.count(503) == 10
    assert server.value("gtvision_recording_errors_total") == 10
    assert server.value("gtvision_recordings_active") == 30
    assert server.value("http_requests_total", endpoint="/api/recordings", status="503") == 10
    assert len(server.ask("GET", "/api/recordings").json()) == 30


@pytest.mark.parametrize("settings", [{}, {"FAULTS": "1"}, {"FAULTS_TOKEN": "x"}, {"FAULTS": "0", "FAULTS_TOKEN": "x"}])
def test_without_flag_and_token_the_switch_is_an_unknown_path(
    start: Callable[..., Server], settings: dict[str, str]
) -> None:
    server: Server = start(**settings)
    unknown = server.ask("GET", "/nowhere")
    for token in ("", "x"):
        for method in ("GET", "PUT", "DELETE"):
            answer = server.faults(method, token=token)
            assert (
                (answer.status_code, answer.content) == (unknown.status_code, unknown.content) == (404, unknown.content)
            )
    assert "/faults" not in server.ask("GET", "/openapi.json").json()["paths"]
    warned = [
        line for line in server.log_lines() if line["event"] == "faults are off: STREAMING_FAULTS_TOKEN is not set"
    ]
    assert bool(warned) == (settings == {"FAULTS": "1"})


def test_a_wrong_faults_token_changes_nothing(shared_server: Server) -> None:
    for token in ("", "wrong", FAULTS_TOKEN + "x"):
        assert shared_server.faults(token=token, error_ratio=1).status_code == 401
    assert shared_server.faults("GET").json()["error_ratio"] == 0


@pytest.mark.parametrize(
    "wrong",
    [{"error_ratio": 1.1}, {"error_ratio": -0.1}, {"latency_s": 31}, {"seed": 2**63}, {"error_rate": 0.1}],
)
def test_faults_out_of_range_are_refused(shared_server: Server, wrong: dict[str, Any]) -> None:
    assert shared_server.faults(**wrong).status_code == 422
