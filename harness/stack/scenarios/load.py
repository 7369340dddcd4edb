"""Traffic on the streaming service: open-loop, bounded, seeded.

Open-loop: requests are sent when they are due, whether or not earlier ones were answered, as users do it; a closed loop
would slow down with the service and hide its latency ("coordinated omission"). Bounded: a request that would exceed the
number in flight is not sent and counted as such. Seeded: the same seed gives the same requests at the same times.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import urllib3

from harness.errors import EngineError
from harness.stack.scenarios.scenario import Load

MAX_IN_FLIGHT = 128
_TIMEOUT = urllib3.Timeout(connect=2.0, read=35.0)
_RECONCILE_S = 0.5
_READS = ("/api/streams", "/api/cameras", "/api/recordings")


@dataclass(slots=True)
class RequestTally:
    """What was sent and what came back, per route as the service names it."""

    answered: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(method, endpoint, status) → answers."""
    unanswered: int = 0
    """Sent, or tried to, without an answer: the service was down or went away."""
    not_sent: int = 0
    """Due while as many requests were in flight as are allowed."""
    worst_delay_s: float = 0.0
    """How late a request was sent at the most: large values mean that this machine was too busy to drive the load."""

    @property
    def total(self) -> int:
        return self.answered.total()

    @property
    def failed(self) -> int:
        """Answers with a server error."""
        return sum(count for (_, _, status), count in self.answered.items() if status.startswith("5"))


class Traffic:
    """The users and cameras of one scenario; a context manager, within which traffic flows.

    `url` is the service's, `webhook_token` the token that its LPR webhook wants, `factor` how much faster the clock
    runs. What goes wrong on the users' side is switched by :meth:`silence` and :meth:`end_streams`.
    """

    def __init__(self, url: str, load: Load, *, factor: int, seed: int, webhook_token: str) -> None:
        self.tally = RequestTally()
        self._url = url.rstrip("/")
        self._load = load
        self._heartbeat_s = load.heartbeat_ms / 1000 / factor
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._token = webhook_token
        # requests costs more per call, and both cores are needed for what is measured.
        self._pool = urllib3.PoolManager(maxsize=MAX_IN_FLIGHT, retries=False, timeout=_TIMEOUT)
        self._room = threading.BoundedSemaphore(MAX_IN_FLIGHT)
        self._workers = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="traffic")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._reconciling = threading.Lock()
        self._cameras = [f"cam-{n:03d}" for n in range(1, load.cameras + 1)]
        self._silent: frozenset[str] = frozenset()
        self._wanted_streams = load.streams
        self._streams: list[str] = []
        self._plates = itertools.count(1)
        self._run_id = f"{seed}-{time.time_ns()}"
        self._scheduler = threading.Thread(target=self._drive, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        """Register the cameras, have each send its first heartbeat, start the streams, and let traffic flow."""
        for camera in self._cameras:
            self._expect("POST", "/api/cameras", "/api/cameras", {"camera_id": camera, "name": camera})
            self._expect("POST", f"/api/cameras/{camera}/heartbeat", "/api/cameras/{camera_id}/heartbeat")
        self._adopt_streams()
        self._reconcile()
        self._scheduler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sending, and wait for what is still in flight."""
        self._stop.set()
        if self._scheduler.is_alive():
            self._scheduler.join()
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._pool.clear()

    def silence(self, share: float) -> None:
        """This share of the cameras, rounded to whole ones, sends no heartbeats from now on."""
        self._silent = frozenset(self._cameras[: round(share * len(self._cameras))])

    def end_streams(self, ended: bool) -> None:
        """Whether all streams end (and none begins) from now on."""
        self._wanted_streams = 0 if ended else self._load.streams

    # -- when ----------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        begin = time.monotonic()
        due: list[tuple[float, int, Callable[[], None], Callable[[], float]]] = []
        order = itertools.count()

        def add(first_s: float, act: Callable[[], None], gap_s: Callable[[], float]) -> None:
            heapq.heappush(due, (first_s, next(order), act, gap_s))

        for rate, act in (
            (self._load.requests_per_s, self._read),
            (self._load.recordings_per_s, self._record),
            (self._load.plates_per_s, self._see_plate),
        ):
            if rate:
                gap: Callable[[], float] = partial(
                    self._random.expovariate, float(rate)
                )  # independent users: exponential gaps
                add(gap(), act, gap)
        for n, camera in enumerate(self._cameras):
            add(self._heartbeat_s * n / len(self._cameras), partial(self._beat, camera), lambda: self._heartbeat_s)
        add(_RECONCILE_S, lambda: self._send(self._reconcile), lambda: _RECONCILE_S)
        while due and not self._stop.is_set():
            at, _, act, gap_s = heapq.heappop(due)
            wait = begin + at - time.monotonic()
            if wait > 0 and self._stop.wait(wait):
                return
            self.tally.worst_delay_s = max(self.tally.worst_delay_s, -wait)
            act()
            add(at + gap_s(), act, gap_s)

    def _send(self, request: Callable[[], object]) -> None:
        """Do this in a worker now, unless too much is in flight already."""
        if not self._room.acquire(blocking=False):
            with self._lock:
                self.tally.not_sent += 1
            return

        def work() -> None:
            try:
                request()
            finally:
                self._room.release()

        try:
            self._workers.submit(work)
        except RuntimeError:  # shut down meanwhile
            self._room.release()

    # -- what ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        path = self._random.choice(_READS)
        self._send(lambda: self._ask("GET", path, path))

    def _beat(self, camera: str) -> None:
        if camera not in self._silent:
            path = f"/api/cameras/{camera}/heartbeat"
            self._send(lambda: self._ask("POST", path, "/api/cameras/{camera_id}/heartbeat"))

    def _record(self) -> None:
        streams = tuple(self._streams)
        if streams:
            stream = self._random.choice(streams)
            self._send(lambda: self._start_and_stop_recording(stream))

    def _start_and_stop_recording(self, stream: str) -> None:
        status, body = self._ask("POST", "/api/recordings", "/api/recordings", {"stream_id": stream})
        if status == 201:
            self._ask("DELETE", f"/api/recordings/{body['recording_id']}", "/api/recordings/{recording_id}")

    def _see_plate(self) -> None:
        if not self._cameras:
            return
        event = {
            "event_id": f"{self._run_id}-{next(self._plates)}",
            "camera_id": self._random.choice(self._cameras),
            "plate": f"GT-{self._random.randrange(10_000):04d}",
            "seen_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        head = {"Authorization": f"Bearer {self._token}"}
        self._send(lambda: self._ask("POST", "/api/lpr/events", "/api/lpr/events", event, head))

    def _adopt_streams(self) -> None:
        """Streams that an earlier run left active are ours now: state outlives the service, and us."""
        listed = self._expect("GET", "/api/streams", "/api/streams")
        self._streams = [stream["stream_id"] for stream in listed]

    def _reconcile(self) -> None:
        """Start or end streams until as many are active as should be."""
        if not self._reconciling.acquire(blocking=False):
            return
        try:
            while len(self._streams) > self._wanted_streams and not self._stop.is_set():
                stream = self._streams[-1]
                status, _ = self._ask("DELETE", f"/api/streams/{stream}", "/api/streams/{stream_id}")
                if not 200 <= status < 300 and status != 404:
                    return
                self._streams.remove(stream)
            while len(self._streams) < self._wanted_streams and not self._stop.is_set():
                camera = self._cameras[len(self._streams) % len(self._cameras)]
                status, body = self._ask("POST", "/api/streams", "/api/streams", {"camera_id": camera})
                if status != 201:
                    return
                self._streams.append(body["stream_id"])
        finally:
            self._reconciling.release()

    def _expect(self, method: str, path: str, endpoint: str, body: Mapping[str, object] | None = None) -> Any:
        """The JSON answer of what must succeed before there can be traffic; raises EngineError."""
        status, answer = self._ask(method, path, endpoint, body)
        if not 200 <= status < 300:
            said = f"answers {status}" if status else "cannot be reached"
            raise EngineError(f"the streaming service {said} at {method} {path}", hint="look at `stack logs streaming`")
        return answer

    def _ask(
        self,
        method: str,
        path: str,
        endpoint: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """(status, JSON answer); status 0 and None where none came. Counts what it did."""
        sent = dict(headers or {})
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            answer = self._pool.request(method, self._url + path, body=data, headers=sent)
        except urllib3.exceptions.HTTPError:
            with self._lock:
                self.tally.unanswered += 1
            return 0, None
        with self._lock:
            self.tally.answered[method, endpoint, str(answer.status)] += 1
        return answer.status, json.loads(answer.data) if answer.data else None
