"""The synthetic exporter: what each scrape brings, and that an answer that was not read is given again."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator

import pytest

from harness.live.exporter import AHEAD_MS, Exporter, Feed, line
from harness.series import labels_of


def now_ms() -> int:
    return round(time.time() * 1000)


@pytest.fixture
def feed() -> Iterator[tuple[Feed, Exporter]]:
    made = Feed("/metrics")
    exporter = Exporter([made])
    yield made, exporter
    exporter.close()


def scrape(connection: http.client.HTTPConnection) -> list[str]:
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode().splitlines()


def test_each_sample_once_and_again_if_it_was_not_read(feed: tuple[Feed, Exporter]) -> None:
    made, exporter = feed
    first = http.client.HTTPConnection("127.0.0.1", exporter.port)
    assert scrape(first) == []
    assert exporter.scraped.wait(10)
    begin = now_ms()
    due = [begin - 60_000, begin - 30_000, begin + AHEAD_MS // 2, begin + 60_000]
    made.load((at, line(labels_of("up_to", {"n": "1"}), number / 10, at)) for number, at in enumerate(due))
    shown = [f'up_to{{n="1"}} {number / 10} {at}' for number, at in enumerate(due)]
    assert scrape(first) == shown[:3]
    second = http.client.HTTPConnection("127.0.0.1", exporter.port)
    assert scrape(second) == shown[:3]  # who comes on a new connection may have lost the answer on the old one
    assert scrape(second) == []  # who comes back on its connection has read it
    first.close()
    second.close()


def test_a_target_that_is_down_and_an_unknown_path(feed: tuple[Feed, Exporter]) -> None:
    made, exporter = feed
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port)
    made.down_ms = ((now_ms() - 1000, now_ms() + 60_000),)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 503
    connection.request("GET", "/elsewhere")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 404
    connection.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (0.1 + 0.2, "0.30000000000000004"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Inf"),
    ],
)
def test_every_digit_of_a_double(value: float, text: str) -> None:
    labels = labels_of("m", {"a": 'q"\\\n'})
    assert line(labels, value, 7) == f'm{{a="q\\"\\\\\\n"}} {text} 7\n'.encode()
