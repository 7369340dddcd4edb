"""Whatever a stranger sends, it is no error of the service: 5xx would fire HighErrorRate, by anybody's wish."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable

import pytest

from tests.streaming.odd_requests import malformed, odd_framing, odd_heads
from tests.streaming.streaming_server import FAULTS_TOKEN, Server

AT_ONCE = 16
SILENCE_S = 0.5
"""Nothing more is expected of a server that says nothing for so long; many of the requests have no end."""


@pytest.mark.parametrize("requests", [malformed, odd_heads, odd_framing])
def test_odd_requests_are_no_server_errors(
    start: Callable[..., Server], requests: Callable[[], Iterable[bytes]]
) -> None:
    server = start(FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN)
    server.camera()
    sent = list(requests())
    answers = asyncio.run(send_all(server.port, sent))
    failed = {
        request[:300]: answer[:300]
        for request, answer in zip(sent, answers, strict=True)
        if any(status >= b"500" for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", answer, re.MULTILINE))
    }
    assert failed == {}
    counted = {dict(pairs)["status"] for (name, pairs) in server.metrics() if name == "http_requests_total"}
    assert [status for status in counted if status >= "500"] == [], "nor did one whose client was gone"
    assert [line for line in server.log_lines() if line["level"] in ("error", "critical")] == []
    assert server.ask("GET", "/health").status_code == 200


def test_there_are_many_of_them() -> None:
    assert len({*malformed(), *odd_heads(), *odd_framing()}) > 300


async def send_all(port: int, requests: list[bytes]) -> list[bytes]:
    """What the service at this port answers to each, on connections of their own."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: bytes) -> bytes:
        async with gate:
            return await _send(port, request)

    return await asyncio.gather(*map(one, requests))


async def _send(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(request)
        while part := await asyncio.wait_for(reader.read(1 << 16), SILENCE_S if answer else 10 * SILENCE_S):
            answer += part
    except (TimeoutError, OSError):  # it waits for more, or would not read all of it
        pass
    finally:
        writer.close()
    return answer
