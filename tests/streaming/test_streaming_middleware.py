"""The middleware alone, driven as a server drives it: what is counted as what, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from streaming.observability import http
from streaming.observability.http import BUCKETS_S, CONNECTIONS, DURATIONS, HTTP_FAMILIES, REQUESTS, HttpMetrics
from streaming.observability.ledger import Ledger

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"x"}
PART = BODY | {"more_body": True}


class Driver:
    """One ledger, one application, and the requests that are sent through it."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, send: Callable[[Any], Awaitable[None]] | None = None):
        self.ledger = Ledger(HTTP_FAMILIES)
        self.metrics = HttpMetrics(app, self.ledger.sheet(), uncounted=("/metrics",))
        self._send = send or self._ignore

    async def _ignore(self, _message: Any) -> None:
        pass

    def request(self, path: str = "/", *, method: str = "GET", kind: str = "http") -> Awaitable[None]:
        scope = {"type": kind, "method": method, "path": path}

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        return self.metrics(scope, receive, self._send)

    def counted(self) -> dict[tuple[str, ...], float]:
        return {row.values: cells[0] for row, cells in self.ledger.rows() if row.family is REQUESTS}

    def observed(self) -> list[float]:
        (cells,) = [list(cells) for row, cells in self.ledger.rows() if row.family is DURATIONS]
        return cells

    def active(self) -> float:
        return next(cells[0] for row, cells in self.ledger.rows() if row.family is CONNECTIONS)


def _app(*steps: dict[str, Any] | BaseException) -> Callable[..., Awaitable[None]]:
    """An application that sends these messages and raises what is an exception."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            await send(step)

    return app


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([START, BODY], "200"),
        ([START, PART, PART, BODY], "200"),
        ([START | {"status": 503}, BODY], "503"),
        ([ValueError("before the answer")], "500"),
        ([START, ValueError("after its head")], "500"),
        ([START, PART, ValueError("in the middle of it")], "500"),
        ([START, BODY, ValueError("after its end: the client has its answer")], "200"),
        ([START | {"status": 500}, BODY, ValueError("as Starlette does it")], "500"),
        ([asyncio.CancelledError()], "500"),
        ([START, PART, asyncio.CancelledError()], "500"),
        ([ClientDisconnect()], "499"),
        ([START, PART, ClientDisconnect()], "499"),
        ([], "500"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_end_is_counted_once_as_what_the_client_saw(steps: list[Any], status: str) -> None:
    driver = Driver(_app(*steps))
    raised = next((type(step) for step in steps if isinstance(step, BaseException)), None)
    if raised is None:
        asyncio.run(_wait(driver.request()))
    else:
        with pytest.raises(raised):
            asyncio.run(_wait(driver.request()))
    assert driver.counted() == {("GET", "(unmatched)", status): 1}
    assert sum(driver.observed()[:-1]) == 1
    assert driver.active() == 0


async def _wait(awaitable: Awaitable[None]) -> None:
    await awaitable


def test_who_has_the_last_byte_finds_it_counted() -> None:
    seen = []

    async def send(message: Any) -> None:
        seen.append((message["type"], sum(driver.counted().values()), driver.active()))

    driver = Driver(_app(START, PART, BODY), send=send)
    asyncio.run(_wait(driver.request()))
    assert seen == [
        ("http.response.start", 0, 1),
        ("http.response.body", 0, 1),
        ("http.response.body", 1, 0),
    ]


def test_a_client_that_is_gone_while_it_is_answered_counts_once() -> None:
    async def send(message: Any) -> None:
        raise OSError("connection reset")

    driver = Driver(_app(START, BODY), send=send)
    with pytest.raises(OSError, match="connection reset"):
        asyncio.run(_wait(driver.request()))
    assert driver.counted() == {("GET", "(unmatched)", "500"): 1}
    assert driver.active() == 0


def test_requests_in_progress_are_all_there_and_all_gone() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await gate.wait()
            await send(START)
            await send(BODY)

        driver = Driver(app)
        tasks = [asyncio.ensure_future(_wait(driver.request())) for _ in range(50)]
        await asyncio.sleep(0)
        assert driver.active() == 50
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks[::2], return_exceptions=True)
        assert driver.active() == 25
        gate.set()
        await asyncio.gather(*tasks[1::2])
        assert driver.active() == 0
        assert driver.counted() == {("GET", "(unmatched)", "200"): 25, ("GET", "(unmatched)", "500"): 25}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("duration_s", "bucket"),
    [(0.0, 0), (0.005, 0), (0.00500001, 1), (0.999, 8), (1.0, 8), (1.0000001, 9), (10.0, 13), (10.1, 14), (9e9, 14)],
)
def test_a_duration_on_a_bound_is_within_it(monkeypatch: pytest.MonkeyPatch, duration_s: float, bucket: int) -> None:
    clock = iter([0.0, duration_s])  # from zero, so that the difference is exact
    monkeypatch.setattr(http, "perf_counter", lambda: next(clock))
    driver = Driver(_app(START, BODY))
    asyncio.run(_wait(driver.request()))
    *counts, total = driver.observed()
    assert counts == [float(index == bucket) for index in range(len(BUCKETS_S) + 1)]
    assert total == duration_s


def test_the_route_that_the_router_found_is_the_endpoint() -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["route"] = SimpleNamespace(path="/api/things/{thing_id}")
        await send(START)
        await send(BODY)

    driver = Driver(app)
    asyncio.run(_wait(driver.request("/api/things/7")))
    assert driver.counted() == {("GET", "/api/things/{thing_id}", "200"): 1}


def test_what_is_not_http_or_not_to_be_counted_passes_by() -> None:
    driver = Driver(_app(START, BODY))
    asyncio.run(_wait(driver.request("/metrics")))
    asyncio.run(_wait(driver.request(kind="lifespan")))
    assert driver.counted() == {}


def test_unknown_methods_take_no_memory() -> None:
    driver = Driver(_app(START, BODY))
    for number in range(100):
        asyncio.run(_wait(driver.request(method=f"M{number}")))
    assert driver.counted() == {("(other)", "(unmatched)", "200"): 100}
    assert len(driver.metrics._series) == 1
