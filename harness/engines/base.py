"""What evaluates PromQL: one interface to a throwaway Prometheus, whatever it runs in.

An :class:`Engine` takes synthetic series by remote write and answers PromQL over HTTP. How it came to run (a process, a
container, somebody's URL) is the business of its subclass; how one speaks to it is the same for all and stands here.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import quote

import requests

from harness.engines.answers import AnswerWarnings, QueryError, reason_of, series_of, short_text
from harness.engines.remote_write import requests_of
from harness.engines.samples import Samples, Series
from harness.errors import EngineError, HarnessError, UnsupportedError, with_log
from harness.prometheus import DEFAULTS
from harness.series import Labels, NativeHistogram

MAX_POINTS = 11_000
"""How many points of a series one query_range returns (prometheus web/api/v1/api.go)."""


def new_session() -> requests.Session:
    """A session that asks nobody else's settings: no proxies, no .netrc."""
    session = requests.Session()
    session.trust_env = False
    return session


class Engine(ABC):
    """A Prometheus that takes samples and answers queries. Use it from one thread at a time, as a context manager.

    Every method raises EngineError, with the end of the engine's log, if the engine died, broke or did not answer in
    time, and QueryError if it is the expression that is wrong.
    """

    kind: ClassVar[str]
    """``process``, ``docker`` or ``url``."""

    disposable: ClassVar[bool] = True
    """Whether the data is ours alone and :meth:`reset` can throw it away."""

    def __init__(self, *, timeout_s: float = 120.0) -> None:
        self.version = "unknown"
        self.server = DEFAULTS
        """What it was started with, or is known to run with."""
        self.last_warnings: tuple[str, ...] = ()
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._session = new_session()
        self._base = ""
        self._write_url = ""
        self._verify: bool | str = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what a subclass does ------------------------------------------------------------------------------------

    @abstractmethod
    def close(self) -> None:
        """End the engine and remove what it left; harmless when repeated."""

    @abstractmethod
    def reset(self) -> None:
        """Make the engine empty again, by a fresh start; UnsupportedError where the data is not ours."""

    def log_tail(self) -> str:
        """The last lines of the engine's log, empty if it has none."""
        return ""

    def _how_it_ended(self) -> str | None:
        """How the engine ended, if it did."""
        return None

    @property
    @abstractmethod
    def _name(self) -> str:
        """The engine in a message."""

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Everything that is asked inside must be answered within this time in all, else EngineError."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    # -- what it is asked ----------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL of its HTTP API, without credentials."""
        return self._base

    def write(self, samples: Iterable[Samples]) -> None:
        """Store samples by remote write.

        A series' samples must come in ascending order, also from one call to the next: Prometheus takes no sample
        older than the newest of its series, and (since 3.0) none further than ten minutes in the future.
        """
        for body in requests_of(map(self._taken, samples)):
            self._push(body)

    def _taken(self, series: Samples) -> Samples:
        """The series, if this Prometheus understands its samples: 2.x takes bounds of their own and reads nonsense."""
        if series.values and isinstance(series.values[0], NativeHistogram) and self.version.startswith(("1.", "2.")):
            raise UnsupportedError(
                f"{self._name} ({self.version}) does not know native histograms with bounds of their own",
                hint="prove it on Prometheus 3.0 or later",
            )
        return series

    def query_range(self, expr: str, start_ms: int, end_ms: int, step_ms: int) -> list[Series]:
        """Evaluate at start, start + step, … up to and including end; returns the series sorted by labels.

        More than 11,000 points are fetched in several requests and joined, so `@ start()` and `@ end()` would mean
        another time in each of them.
        """
        if step_ms <= 0:
            raise ValueError(f"step must be positive, not {step_ms} ms")
        joined: dict[Labels, Series] = {}
        warnings = AnswerWarnings()
        for first in range(start_ms, end_ms + 1, step_ms * MAX_POINTS):
            last = min(end_ms, first + step_ms * (MAX_POINTS - 1))
            form = {
                "query": expr,
                "start": _seconds(first),
                "end": _seconds(last),
                # As a duration: Prometheus reads a number as float seconds and cuts 1.001 to 1000 ms.
                "step": f"{step_ms}ms",
            }
            for series in series_of(self._ask("query_range", form, expr, warnings), expr):
                known = joined.setdefault(series.labels, series)
                if known is not series:
                    known.timestamps_ms.extend(series.timestamps_ms)
                    known.values.extend(series.values)
        self.last_warnings = warnings.take()
        return [joined[labels] for labels in sorted(joined)]

    def query(self, expr: str, at_ms: int) -> list[Series]:
        """Evaluate at one instant: one point per series; a scalar is a series without labels.

        A range selector (``up[5m]``) returns the raw samples of its window.
        """
        warnings = AnswerWarnings()
        data = self._ask("query", {"query": expr, "time": _seconds(at_ms)}, expr, warnings)
        self.last_warnings = warnings.take()
        return sorted(series_of(data, expr), key=lambda series: series.labels)

    def label_names(self, selector: str, start_ms: int, end_ms: int) -> list[str]:
        """The label names of the series that a selector matches between two times, sorted."""
        return self._names("labels", selector, start_ms, end_ms)

    def label_values(self, label: str, selector: str, start_ms: int, end_ms: int) -> list[str]:
        """The values of a label on the series that a selector matches, sorted; all series for an empty selector.

        Both are as coarse as the server's blocks: what vanished an hour before start may still be named.
        """
        return self._names(f"label/{quote(label, safe='')}/values", selector, start_ms, end_ms)

    def _names(self, path: str, selector: str, start_ms: int, end_ms: int) -> list[str]:
        form = {"start": _seconds(start_ms), "end": _seconds(end_ms)} | ({"match[]": selector} if selector else {})
        response = self._http("GET", f"/api/v1/{path}", params=form)
        return [str(name) for name in self._data(response, selector, AnswerWarnings()) or ()]

    # -- HTTP ----------------------------------------------------------------------------------------------------

    def _http(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """One request; any failure to get an answer becomes an EngineError that says why."""
        url = path if "://" in path else self._base + path
        limit_s = self._limit_s()
        try:
            return self._session.request(
                method,
                url,
                timeout=(min(10.0, limit_s), limit_s),
                allow_redirects=False,
                verify=self._verify,
                **kwargs,
            )
        except requests.exceptions.SSLError as err:
            raise self._error(
                f"no TLS connection to {self._name}: {reason_of(err)}", "check the CA certificate"
            ) from err
        except requests.exceptions.Timeout as err:
            raise self._error(
                f"{self._name} did not answer within {limit_s:.3g} s",
                "ask for less at a time, or allow more time",
            ) from err
        except requests.exceptions.RequestException as err:
            raise self._error(
                self._how_it_ended_meanwhile() or f"{self._name} cannot be reached: {reason_of(err)}"
            ) from err

    def _limit_s(self) -> float:
        if self._deadline is None:
            return self._timeout_s
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise EngineError(
                f"the time for all questions to {self._name} is up", hint="ask for less, or allow more time"
            )
        return min(left_s, self._timeout_s)

    def _how_it_ended_meanwhile(self) -> str | None:
        """How the engine ended, after a lost connection: that is seen a moment before the process is gone."""
        for _ in range(20 if self.disposable else 0):
            if ended := self._how_it_ended():
                return ended
            time.sleep(0.02)
        return None

    def _ask(self, path: str, form: dict[str, str], expr: str, warnings: AnswerWarnings) -> Any:
        # POST, because an expression may be longer than a URL.
        return self._data(self._http("POST", f"/api/v1/{path}", data=form), expr, warnings)

    def _data(self, response: requests.Response, expr: str, warnings: AnswerWarnings) -> Any:
        """The ``data`` of an API answer; its errors raised as the kind that they are."""
        try:
            answer = json.loads(response.content)
        except ValueError:
            raise self._not_prometheus(response) from None
        if not isinstance(answer, dict) or "status" not in answer:
            raise self._not_prometheus(response)
        if answer["status"] != "success":
            error_type, text = str(answer.get("errorType", "")), str(answer.get("error", "no reason given"))
            # By status too: VictoriaMetrics gives the number as the type.
            by_status = {400: "bad_data", 422: "execution"}.get(response.status_code)
            if error_type in ("bad_data", "execution"):
                raise QueryError(error_type, text, expr)
            if by_status:
                raise QueryError(by_status, text, expr)
            raise self._error(f"{self._name} answers HTTP {response.status_code}, {error_type}: {text}")
        warnings.add(answer)
        return answer.get("data")

    def _push(self, body: bytes) -> None:
        """One remote-write request (a compressed prompb.WriteRequest)."""
        response = self._http(
            "POST",
            self._write_url or "/api/v1/write",
            data=body,
            headers={
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "snappy",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
        )
        if response.status_code // 100 != 2:
            raise self._write_refused(response)

    def _write_refused(self, response: requests.Response) -> HarnessError:
        text = short_text(response)
        hint = None
        if "native histograms are disabled" in text:
            return UnsupportedError(
                f"{self._name} ({self.version}) takes no native histograms",
                hint="start it with --enable-feature=native-histograms",
            )
        if "no space left" in text:
            hint = "make room on the disk of the engine's data, or set TMPDIR to another one"
        elif "out of order" in text or "out of bounds" in text or "duplicate sample" in text:
            hint = "write each series forward in time, at most ten minutes ahead of now"
        return self._error(f"{self._name} refuses samples (HTTP {response.status_code}): {text}", hint)

    def _read_version(self) -> None:
        """Set ``version`` from the build information, without a distribution's suffix (``3.5.3+ds1``)."""
        response = self._http("GET", "/api/v1/status/buildinfo")
        data = self._data(response, "", AnswerWarnings())
        if not isinstance(data, dict) or not isinstance(data.get("version"), str):
            raise self._not_prometheus(response)
        self.version = data["version"].partition("+")[0].removeprefix("v")

    def _not_prometheus(self, response: requests.Response) -> EngineError:
        return self._error(
            f"{self._name} does not speak the Prometheus HTTP API (HTTP {response.status_code}: {short_text(response)})"
        )

    def _error(self, message: str, hint: str | None = None) -> EngineError:
        return EngineError(with_log(message, self.log_tail()), hint=hint)


def _seconds(ms: int) -> str:
    """Exact decimal seconds: 1500 -> ``1.500``."""
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    return f"{sign}{ms // 1000}.{ms % 1000:03d}"
