"""Connections that want to stay for ever, or to send without end: all of them go, and others are served meanwhile."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.needs import refuse_to_skip
from tests.streaming.streaming_server import FAULTS_TOKEN, Server, wait_for

Start = Callable[..., Server]
GET = b"GET /api/streams HTTP/1.1\r\nHost: x\r\n\r\n"
BUNDLE = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
HELD = 10_000


def _connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def _answer(client: socket.socket) -> bytes:
    """One answer that lists nothing."""
    received = b""
    while not received.endswith(b"\r\n\r\n[]"):
        part = client.recv(1 << 16)
        assert part, received
        received += part
    return received


def _rest(client: socket.socket) -> bytes:
    """What comes until the other end closes."""
    received = b""
    try:
        while part := client.recv(1 << 16):
            received += part
    except ConnectionError:
        pass
    return received


def _sent(client: socket.socket, parts: list[bytes], *, every_s: float) -> int:
    """How many of the parts could be sent before the other end closed."""
    for number, part in enumerate(parts):
        try:
            client.sendall(part)
        except OSError:
            return number
        time.sleep(every_s)
    return len(parts)


def _sockets(server: Server) -> int:
    found = 0
    folder = f"/proc/{server.process.pid}/fd"
    for entry in os.listdir(folder):
        try:
            found += os.readlink(f"{folder}/{entry}").startswith("socket:")
        except OSError:
            continue
    return found


def _server_errors(server: Server) -> float:
    return sum(server.value("http_requests_total", status=status) for status in ("500", "502", "503"))


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_without_end_is_refused_and_stops_nobody(start: Start, begin: bytes) -> None:
    server = start()
    piece = (b"x: y\r\n" if begin.endswith(b"\n") else b"xxxxxx") * 10_000
    answers = []

    def send() -> None:
        with _connect(server) as client:
            try:
                client.sendall(begin)
                for _ in range(100_000_000 // len(piece)):
                    client.sendall(piece)
            except OSError:
                pass
            answers.append(_rest(client))

    sending = threading.Thread(target=send)
    sending.start()
    slowest_s = 0.0
    while sending.is_alive():
        began = time.monotonic()
        assert requests.get(f"{server.base}/health", timeout=20).ok
        slowest_s = max(slowest_s, time.monotonic() - began)
    sending.join()
    assert slowest_s < 2
    assert answers[0] == b"" or answers[0].startswith(b"HTTP/1.1 431 ")


def test_who_sends_a_little_too_much_is_told(shared_server: Server) -> None:
    with _connect(shared_server) as client:
        client.sendall(b"GET /api/streams HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000)
        assert _rest(client).startswith(b"HTTP/1.1 431 ")
    answer = shared_server.ask("GET", "/api/streams", headers={"X": "x" * 40_000})
    assert answer.status_code == 200


def test_trailers_without_end_are_cut_off(shared_server: Server) -> None:
    with _connect(shared_server) as client:
        client.sendall(b"POST /api/streams HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
        assert _sent(client, [b"x" * 100_000] * 1000, every_s=0) < 1000
    assert _server_errors(shared_server) == 0


def test_half_a_request_is_given_up(start: Start) -> None:
    server = start(REQUEST_TIMEOUT="300ms")
    body = b"POST /api/cameras HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    for sent, answer in ((b"", b""), (GET[:-2], b"HTTP/1.1 408 "), (body, b""), (b"\r\n", b"")):
        with _connect(server) as client:
            client.sendall(sent)
            assert _rest(client)[:13] == answer
    with _connect(server) as client:
        letters = [bytes([letter]) for letter in GET[:-2]]
        assert _sent(client, letters, every_s=0.2) < len(letters), "what trickles is no better"
    assert server.value("http_connections_active") == 0
    assert _server_errors(server) == 0


def test_who_waits_for_an_answer_or_keeps_a_connection_may_stay(start: Start) -> None:
    server = start(REQUEST_TIMEOUT="300ms", FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    server.faults(latency_s=1.5)
    with _connect(server) as client:
        client.sendall(GET + GET[:-2])  # the second is not late while the first is answered
        assert _answer(client).startswith(b"HTTP/1.1 200 ")
        client.sendall(GET[-2:])
        assert _answer(client).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.5)
        client.sendall(GET)
        assert _answer(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("wanted", [BUNDLE * 20, BUNDLE[:-2] + b"Connection: close\r\n\r\n"])
def test_who_does_not_read_is_given_up(start: Start, wanted: bytes) -> None:
    server = start(REQUEST_TIMEOUT="500ms")
    before = _sockets(server)
    clients = []
    for _ in range(20):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(wanted)
        clients.append(client)
    wait_for(lambda: server.value("http_requests_total", endpoint="/docs/assets/{name}") >= 20, "all to end")
    wait_for(lambda: _sockets(server) <= before + 1, "all to be gone")
    for client in clients:
        client.close()
    assert server.value("http_connections_active") == 0
    assert _server_errors(server) == 0


@pytest.mark.system
def test_ten_thousand_held_connections_leave_the_metrics_within_reach(start: Start) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < HELD + 500:
        refuse_to_skip(f"a hard limit of {hard} open files (ulimit -Hn); {HELD} connections need more")
    server = start()
    script = Path(__file__).with_name("hold_connections.py")
    command = [sys.executable, str(script), str(server.port), str(HELD)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == b"holding %d\n" % HELD
        assert requests.get(f"{server.base}/metrics", timeout=20).ok, "behind all that came before it"
        slowest_s = 0.0
        for _ in range(20):
            began = time.monotonic()
            assert requests.get(f"{server.base}/metrics", timeout=20).ok
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert _sockets(server) > 5000, "some had to make room, the others are still there"
        assert slowest_s < 1
        wait_for(lambda: _sockets(server) < 20, "all to be given up")
        client.stdin.close()
    assert _server_errors(server) == 0
