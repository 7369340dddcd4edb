"""The synthetic exporter: a contract's world, scraped.

Every sample carries its own timestamp, on the grid that the contract's world has; when Prometheus happens to scrape
does not change what it stores. A scrape brings what has become due since the last one and the samples of the next
moments, so one that is late loses nothing. `up`, which no exporter can expose, is made by answering or not.
"""

from __future__ import annotations

import bisect
import itertools
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.live.listener import Handler, Listener
from harness.series import Labels, format_labels

AHEAD_MS = 1_500
"""How far ahead of the clock samples are handed out: three scrapes."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Samples of one instant, when they were due and when they went out."""

    due_ms: int
    sent_ms: int


@dataclass(slots=True)
class Feed:
    """What one scrape target exposes: lines by the time of their samples, and when the target does not answer."""

    path: str
    times_ms: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    down_ms: Sequence[tuple[int, int]] = ()
    """Stretches of real time, end excluded, in which scrapes fail."""
    scrapes: int = 0
    sent: list[Sent] = field(default_factory=list)
    _acknowledged: int = 0
    _handed_out: int = 0
    _connection: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, samples: Iterable[tuple[int, bytes]]) -> None:
        """Take the lines of the whole run: (time of the samples, text)."""
        ordered = sorted(samples)
        with self._lock:
            self.times_ms = [at for at, _ in ordered]
            self.lines = [line for _, line in ordered]

    def is_down(self, now_ms: int) -> bool:
        return any(start <= now_ms < end for start, end in self.down_ms)

    def take(self, now_ms: int, connection: int) -> bytes:
        """What this scrape gets. A scraper that comes back on its connection has read the last answer to its end."""
        with self._lock:
            if connection == self._connection:
                self._acknowledged = self._handed_out
            self._connection = connection
            self._handed_out = max(self._acknowledged, bisect.bisect_right(self.times_ms, now_ms + AHEAD_MS))
            for due in sorted(set(self.times_ms[self._acknowledged : self._handed_out])):
                self.sent.append(Sent(due, now_ms))
            return b"".join(self.lines[self._acknowledged : self._handed_out])


class Exporter:
    """Serves feeds on a free port of 127.0.0.1."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self.feeds = feeds
        self.by_path = {feed.path: feed for feed in feeds}
        self.scraped = threading.Event()
        """Set once every feed was scraped."""
        self._connections = itertools.count(1)
        self._listener = Listener(_ScrapeHandler, self)
        self.port = self._listener.port

    def connect(self) -> int:
        """The number of a new connection."""
        return next(self._connections)

    def note(self, feed: Feed) -> None:
        feed.scrapes += 1
        if not self.scraped.is_set() and all(each.scrapes for each in self.feeds):
            self.scraped.set()

    def close(self) -> None:
        self._listener.close()


class _ScrapeHandler(Handler[Exporter]):
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.connection_number = self.server.holder.connect()

    def do_GET(self) -> None:
        feed = self.server.holder.by_path.get(self.path)
        if feed is None:
            self._answer(404, b"")
            return
        now_ms = round(time.time() * 1000)
        if feed.is_down(now_ms):
            self._answer(503, b"")
        else:
            self._answer(200, feed.take(now_ms, self.connection_number))
        self.server.holder.note(feed)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def line(labels: Labels, value: float, at_ms: int) -> bytes:
    """One sample in the text format, with every digit of its double and its timestamp."""
    return f"{format_labels(labels)} {_number(value)} {at_ms}\n".encode()


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
