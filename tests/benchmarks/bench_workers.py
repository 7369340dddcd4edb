"""What uvicorn's own workers and prometheus_client's own multiprocess mode do where a worker or the parent is killed.

Runs `uvicorn --workers 2` with a middleware on prometheus_client's files, kills as an out-of-memory killer would, and
prints what the page of metrics then says beside what was sent; then the same with `python -m streaming`. Only on
127.0.0.1, a few hundred requests, under a minute; needs nothing beyond what the tests do.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.streaming.streaming_server import FAULTS_TOKEN, Server  # noqa: E402

APP = """
import asyncio, os
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("http_requests_total", "Requests.")
ACTIVE = Gauge("http_connections_active", "In progress.", multiprocess_mode="livesum")
STREAMS = Gauge("gtvision_active_streams", "Streams.", multiprocess_mode="mostrecent")
app = FastAPI()

@app.middleware("http")
async def count(request, call_next):
    if request.url.path == "/metrics":
        return await call_next(request)
    with ACTIVE.track_inprogress():
        answer = await call_next(request)
    REQUESTS.inc()
    return answer

@app.get("/fast")
async def fast():
    STREAMS.set(7)
    return os.getpid()

@app.get("/slow")
async def slow():
    await asyncio.sleep(30)

@app.get("/metrics")
async def metrics():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return Response(generate_latest(registry))
"""
HELD = 6


class Theirs:
    """uvicorn --workers 2 with prometheus_client's files in a folder."""

    name = "uvicorn --workers 2, prometheus_client"
    fast, slow = "/fast", "/slow"

    def __init__(self, folder: Path) -> None:
        (folder / "theirs.py").write_text(APP)
        self.files = folder / "metrics"
        self.files.mkdir()
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "theirs:app", "--workers", "2", "--port", str(self.port)],
            cwd=self._folder,
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(self.files)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait(lambda: len(workers(self.process.pid)) == 2 and asked(self.port, "/fast"))


class Ours(Server):
    """python -m streaming with two workers."""

    name = "python -m streaming, two workers"
    fast = slow = "/api/streams"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "service", WORKERS="2", FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
        wait(lambda: len(workers(self.process.pid)) == 2)


def workers(parent: int) -> list[int]:
    """Those that serve: uvicorn has one more child, which looks after its resources."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(parent).children()
        return [each.pid for each in children if "resource_tracker" not in " ".join(each.cmdline())]
    return []


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def asked(port: int, path: str) -> requests.Response | None:
    with suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=5)
    return None


def told(port: int, name: str) -> float:
    answer = None
    while answer is None:
        answer = asked(port, "/metrics")
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    )


def wait(condition: Callable[[], Any], deadline_s: float = 20) -> float:
    """Seconds until it holds; the deadline if it never does."""
    began = time.monotonic()
    while not condition() and time.monotonic() - began < deadline_s:
        time.sleep(0.01)
    return time.monotonic() - began


def measure(service: Theirs | Ours) -> list[str]:
    """What happens to this service: a row of the table."""
    first_count = told(service.port, "http_requests_total")
    for _ in range(100):
        asked(service.port, service.fast)
    if isinstance(service, Ours):
        service.faults(latency_s=30)
    clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(HELD)]
    for client in clients:
        client.sendall(f"GET {service.slow} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait(lambda: told(service.port, "http_connections_active") == HELD)
    replaced_s = []
    for worker in workers(service.process.pid):
        os.kill(worker, signal.SIGKILL)
        replaced_s.append(
            wait(lambda worker=worker: len({*workers(service.process.pid)} - {worker}) == 2)  # type: ignore[misc]
        )
    for client in clients:
        client.close()
    time.sleep(1)
    counted = told(service.port, "http_requests_total") - first_count
    active = told(service.port, "http_connections_active")
    left = workers(service.process.pid)
    service.process.kill()
    service.process.wait()
    time.sleep(1)
    orphans = [pid for pid in left if is_alive(pid)]
    answers = asked(service.port, "/metrics") is not None
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    wait(lambda: not any(map(is_alive, orphans)))
    service.start()
    again = told(service.port, "http_requests_total")
    return [
        f"{max(replaced_s):.2f} s",
        f"{counted:+.0f}",
        f"{active:.0f}",
        f"{len(orphans)}, {'answering' if answers else 'nobody answers'}",
        f"{again:.0f}",
    ]


def main() -> int:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        theirs = Theirs(Path(folder))
        try:
            rows.append([theirs.name, *measure(theirs)])
        finally:
            for pid in [*workers(theirs.process.pid), theirs.process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            theirs.process.wait()
        files = len(list(theirs.files.iterdir()))
        ours = Ours(Path(folder))
        try:
            rows.append([ours.name, *measure(ours)])
        finally:
            ours.close()
    print(f"100 requests, then {HELD} in progress while both workers are killed; then the parent is killed:\n")
    columns = [
        "",
        "killed worker replaced",
        "counted of 100",
        "in progress after",
        "left of a killed parent",
        "then",
    ]
    print(tabulate(rows, headers=columns))
    print(f"\nprometheus_client left {files} files; 'then' is the counter right after a new start.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
