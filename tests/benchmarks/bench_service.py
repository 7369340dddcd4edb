"""What the streaming service's metrics cost, and how much the service sustains.

    python tests/benchmarks/bench_service.py

Three questions. What does the middleware add to a request, next to prometheus-fastapi-instrumentator and
starlette-exporter set up for the same metrics, all driven through ASGI without a network, taking turns? How long does
/metrics with 10,000 series take, next to the client library's own rendering of the same numbers? How many requests a
second does the real process answer on the loopback interface, every one of them counted?

Exits 1 if the middleware is not the cheapest, or the page takes longer than the library's time times 1.1.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import prometheus_client
import uvloop
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator import metrics as of_instrumentator
from starlette_exporter import PrometheusMiddleware
from streaming.observability.exposition import Exposition
from streaming.observability.http import BUCKETS_S, DURATIONS, HTTP_FAMILIES, REQUESTS, HttpMetrics
from streaming.observability.ledger import Ledger
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.streaming.streaming_server import Server  # noqa: E402

SERIES = 10_000
PAGE_LIMIT = 1.1
ENDPOINTS = 20
App = Callable[[Any, Any, Any], Awaitable[None]]


# -- the middleware ------------------------------------------------------------------------------------------------


def plain_app() -> FastAPI:
    app = FastAPI()
    for number in range(ENDPOINTS):

        async def endpoint() -> Response:
            return Response(b"ok")

        app.add_api_route(f"/api/route-{number}/{{thing_id}}", endpoint)
    return app


def ours() -> App:
    return HttpMetrics(plain_app(), Ledger(HTTP_FAMILIES).sheet(), uncounted=("/metrics",))


def instrumentator() -> App:
    app, registry = plain_app(), CollectorRegistry()
    (
        Instrumentator(
            should_group_status_codes=False,
            should_instrument_requests_inprogress=True,
            inprogress_name="http_connections_active",
            excluded_handlers=["/metrics"],
            registry=registry,
        )
        .add(of_instrumentator.requests(registry=registry))
        .add(of_instrumentator.latency(buckets=BUCKETS_S, should_include_status=False, registry=registry))
        .instrument(app)
    )
    return app


def exporter() -> App:
    app = plain_app()
    app.add_middleware(
        PrometheusMiddleware,
        app_name="bench",
        prefix="bench",
        buckets=BUCKETS_S,
        group_paths=True,
        skip_paths=["/metrics"],
    )
    return app


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Any) -> None:
    pass


async def drive(app: App, requests: int) -> float:
    """Seconds that this many requests take."""
    scopes = [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"/api/route-{number % ENDPOINTS}/{number}",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"x")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        for number in range(requests)
    ]
    gc.collect()
    began = time.perf_counter()
    for scope in scopes:
        await app(scope, _receive, _send)
    return time.perf_counter() - began


def bench_middleware(rounds: int, requests: int) -> bool:
    apps: dict[str, App] = {
        "no metrics": plain_app(),
        "HttpMetrics": ours(),
        "prometheus-fastapi-instrumentator": instrumentator(),
        "starlette-exporter": exporter(),
    }
    loop = uvloop.new_event_loop()
    taken_us: dict[str, list[float]] = {name: [] for name in apps}
    for app in apps.values():
        loop.run_until_complete(drive(app, requests))  # the first requests make the series
    for _ in range(rounds):
        for name, app in apps.items():
            taken_us[name].append(1e6 * loop.run_until_complete(drive(app, requests)) / requests)
    loop.close()
    # What is added to the request of the same round: a machine that is busy for a while slows all of them.
    bare = taken_us.pop("no metrics")
    added = {
        name: statistics.median(each - base for each, base in zip(times, bare, strict=True))
        for name, times in taken_us.items()
    }
    own = added["HttpMetrics"]
    print(f"The middleware: {rounds} rounds of {requests} requests, {statistics.median(bare):.1f} µs each without.\n")
    print(
        tabulate(
            [(name, f"{us:.1f}", f"{us / own:.1f}") for name, us in added.items()],
            headers=["middleware", "adds µs", "times ours"],
            colalign=("left", "right", "right"),
        )
    )
    return own == min(added.values())


# -- the page ------------------------------------------------------------------------------------------------------


def bench_page(rounds: int) -> bool:
    per_endpoint = len(BUCKETS_S) + 4  # the buckets, +Inf, sum, count, and the counter of requests
    endpoints = -(-SERIES // per_endpoint)
    ledgers = {1: Ledger(HTTP_FAMILIES), 2: Ledger(HTTP_FAMILIES, workers=2)}
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    requests = prometheus_client.Counter(REQUESTS.name, REQUESTS.help, REQUESTS.labels, registry=registry)
    durations = prometheus_client.Histogram(
        DURATIONS.name, DURATIONS.help, DURATIONS.labels, buckets=BUCKETS_S, registry=registry
    )
    for number in range(endpoints):
        endpoint = f"/api/route-{number}/{{thing_id}}"
        requests.labels("GET", endpoint, "200").inc(number)
        durations.labels("GET", endpoint).observe(0.3)
        for workers, ledger in ledgers.items():
            for worker in range(workers):
                sheet = ledger.sheet(worker)
                sheet.cells[sheet.row(REQUESTS, ("GET", endpoint, "200"))] = number
                first = sheet.row(DURATIONS, ("GET", endpoint))
                sheet.cells[first + 6] = 1
                sheet.cells[first + len(BUCKETS_S) + 1] = 0.3
    pages: dict[str, Callable[[], bytes]] = {
        "prometheus_client.generate_latest": lambda: generate_latest(registry),
        "Exposition.render, 1 worker": Exposition(ledgers[1]).render,
        "Exposition.render, 2 workers": Exposition(ledgers[2]).render,
    }
    first_s = {name: _time(render) for name, render in pages.items()}
    taken_s: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(rounds):
        for name, render in pages.items():
            taken_s[name].append(_time(render))
    series = sum(not line.startswith(b"#") for line in pages["Exposition.render, 1 worker"]().splitlines())
    library, *own = (statistics.median(times) for times in taken_s.values())
    print(f"\nThe page with {series} series, {rounds} rounds:\n")
    print(
        tabulate(
            [
                (name, f"{1e3 * first_s[name]:.1f}", f"{1e3 * median:.1f}", f"{median / library:.2f}")
                for name, median in zip(pages, (library, *own), strict=True)
            ],
            headers=["", "first ms", "ms", "times the library's"],
            colalign=("left", "right", "right", "right"),
        )
    )
    return max(own) < PAGE_LIMIT * library


def _time(render: Callable[[], bytes]) -> float:
    gc.collect()
    began = time.perf_counter()
    render()
    return time.perf_counter() - began


# -- the service ---------------------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """One connection that sends the next request as soon as it has an answer, until the deadline."""

    def __init__(self, requests: list[bytes], deadline_s: float, statuses: Tally[int]) -> None:
        self._requests = requests
        self._deadline_s = deadline_s
        self._statuses = statuses
        self._sent = 0
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if time.perf_counter() >= self._deadline_s:
            self._transport.close()
            return
        self._transport.write(self._requests[self._sent % len(self._requests)])
        self._sent += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        # 204 has no body and no length.
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        if len(body) >= length:
            self._statuses[int(head[9:12])] += 1
            self._buffer = b""
            self._next()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.done.set_result(None)


async def _closed_loop(port: int, requests: list[bytes], connections: int, seconds: float) -> tuple[Tally[int], float]:
    loop = asyncio.get_running_loop()
    statuses: Tally[int] = Tally()
    began = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda: Client(requests, began + seconds, statuses), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return statuses, time.perf_counter() - began


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def bench_service(seconds: float, connections: int) -> bool:
    beat = _request("POST", "/api/cameras/gate/heartbeat")
    reads = _request("GET", "/api/cameras")
    kinds = {
        "GET /api/cameras": [reads],
        "heartbeats": [beat],
        "1 new stream in 10, else heartbeats": [_request("POST", "/api/streams", b'{"camera_id":"gate"}'), *[beat] * 9],
    }
    rows = []
    counted = True
    for workers in (1, 2):
        for kind, requests in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                server = Server(Path(folder) / "service", WORKERS=str(workers), PORT="0")
                try:
                    server.camera()
                    before = server.value("http_requests_total")
                    statuses, took_s = uvloop.run(_closed_loop(server.port, requests, connections, seconds))
                    told = server.value("http_requests_total") - before
                    slow = server.value("http_request_duration_seconds_count") - server.value(
                        "http_request_duration_seconds_bucket", le="0.1"
                    )
                finally:
                    server.close()
            sent = sum(statuses.values())
            counted = counted and told == sent and set(statuses) <= {200, 201, 204}
            rows.append((kind, workers, f"{sent / took_s:.0f}", f"{100 * slow / sent:.2f} %", f"{told - sent:+.0f}"))
    print(f"\nThe real process, {connections} connections for {seconds:g} s, client and server on one machine:\n")
    print(
        tabulate(
            rows,
            headers=["requests", "workers", "per second", "over 0.1 s", "counted - sent"],
            colalign=("left", "right", "right", "right", "right"),
        )
    )
    return counted


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--requests", type=int, default=2000, help="per round and middleware")
    options.add_argument("--seconds", type=float, default=10.0, help="of load per kind of request")
    options.add_argument("--connections", type=int, default=32)
    given = options.parse_args()
    held = [
        bench_middleware(given.rounds, given.requests),
        bench_page(given.rounds),
        bench_service(given.seconds, given.connections),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
