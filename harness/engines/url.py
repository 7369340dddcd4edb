"""Somebody else's Prometheus-compatible server (Prometheus, VictoriaMetrics, Mimir, …) behind the same interface.

Its data is shared with whatever lives there: the engine can neither empty it nor take back what it wrote. Callers keep
to themselves by time (slots that nothing else uses) or by a tenant of their own.
"""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit, urlunsplit

import cramjam
import requests

from harness.engines.answers import AnswerWarnings, short_text
from harness.engines.base import Engine
from harness.errors import EngineError, HarnessError, InputError, Span, UnsupportedError
from harness.prometheus import DEFAULTS, ServerSettings, parse_prometheus_yml
from harness.source import SourceFile
from harness.units import format_duration, parse_duration_ms

PREFIX = "ALERT_HARNESS_URL_"
SETTINGS = {
    "TOKEN": "bearer token",
    "USER": "user name of basic authentication",
    "PASSWORD": "its password",
    "TENANT": "tenant, sent as X-Scope-OrgID",
    "HEADERS": "further headers, one `Name: value` per line",
    "CA": "file with the CA certificates to trust",
    "CERT": "file with the client certificate",
    "KEY": "file with its key",
    "INSECURE": "1: do not verify the server's certificate",
    "WRITE": "address of remote write, if it is not <url>/api/v1/write",
}
"""Environment variables, without their prefix, and what they hold."""

_PATIENCE_S = (0.5, 2.0)
"""How long to wait before asking again a server that is busy and does not say how long."""
_LONGEST_WAIT_S = 10.0

_OF_SERVER = {
    "lookback_ms": ("lookback_delta", "--query.lookback-delta="),
    "evaluation_ms": ("evaluation_interval", "global.evaluation_interval: "),
}
"""Fields of the settings that decide what a query returns → the key of ours and what sets them there."""
_OF_CONFIG = ("evaluation_ms", "query_offset_ms", "scrape_ms", "jobs", "external_labels")
_RECEIVER_HINT = (
    "start it with --web.enable-remote-write-receiver, or name the address of remote write in ALERT_HARNESS_URL_WRITE"
)


class UrlEngine(Engine):
    """A server at ``url``; credentials come from the environment (:data:`SETTINGS`) or the URL and are never printed.

    Raises InputError for a malformed URL or setting, EngineError if the server cannot be reached, refuses the
    credentials, or takes no remote write; `read_only` asks for none. `server` is what it is known to evaluate with: see
    :meth:`tell_server`.
    """

    kind: ClassVar[str] = "url"
    disposable: ClassVar[bool] = False

    def __init__(
        self,
        url: str,
        *,
        environ: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        read_only: bool = False,
        server: ServerSettings = DEFAULTS,
    ) -> None:
        super().__init__(timeout_s=timeout_s)
        self.server = server
        self._read_only = read_only
        settings = {
            name: value
            for name in SETTINGS
            if (value := (os.environ if environ is None else environ).get(PREFIX + name, "").strip())
        }
        self._base, login = _split(url)
        write = settings.get("WRITE", "")
        write_login: tuple[str, str] | None = None
        if write:
            self._write_url, write_login = _split(write)
        self._authenticate(settings, login or write_login)
        # The proxies that requests would take from the environment, without its .netrc: that would replace our token.
        self._session.proxies.update(requests.utils.get_environ_proxies(self._base))
        try:
            self._check()
        except BaseException:
            self._session.close()
            raise

    @property
    def _name(self) -> str:
        return self._base

    def close(self) -> None:
        self._session.close()

    def reset(self) -> None:
        raise UnsupportedError(
            f"the data at {self._base} is not ours to throw away", hint="use --engine process or docker"
        )

    def _authenticate(self, settings: Mapping[str, str], login: tuple[str, str] | None) -> None:
        if "USER" in settings:
            login = (settings["USER"], settings.get("PASSWORD", ""))
        headers = {}
        if login:
            # By hand: requests would encode the text as Latin-1.
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        for line in settings.get("HEADERS", "").splitlines():
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise InputError(f"{PREFIX}HEADERS has a line without a colon", hint="write one `Name: value` per line")
            headers[name.strip()] = value.strip()
        if "TENANT" in settings:
            headers["X-Scope-OrgID"] = settings["TENANT"]
        if "TOKEN" in settings:
            if login:
                raise InputError(
                    "both a bearer token and a user name are set for the URL engine",
                    hint=f"keep {PREFIX}TOKEN or {PREFIX}USER (or the user in the URL)",
                )
            headers["Authorization"] = f"Bearer {settings['TOKEN']}"
        for name, value in headers.items():
            if not value.isprintable() or not value.isascii():
                raise InputError(f"the header {name} for the URL engine holds characters that HTTP does not allow")
        self._session.headers.update(headers)
        for name in ("CA", "CERT", "KEY"):
            if name in settings and not os.path.isfile(settings[name]):
                raise InputError(f"{PREFIX}{name} names a file that does not exist: {settings[name]}")
        if "CERT" in settings:
            self._session.cert = (settings["CERT"], settings["KEY"]) if "KEY" in settings else settings["CERT"]
        self._verify = settings.get("CA") or settings.get("INSECURE", "").lower() not in ("1", "true", "yes")

    def _check(self) -> None:
        response = self._http("POST", "/api/v1/query", data={"query": "1"})
        if response.is_redirect:
            raise EngineError(
                f"{self._base} sends us elsewhere (HTTP {response.status_code})", hint="name the final address"
            )
        self._data(response, "1", AnswerWarnings())
        try:
            self._read_version()
        except EngineError:
            self.version = "unknown"  # not every compatible server has build information
        if not self._read_only:
            self._push(bytes(cramjam.snappy.compress_raw(b"")))  # a request without series changes nothing

    def tell_server(self, own: ServerSettings, named: Mapping[str, Span | None]) -> ServerSettings:
        """The settings of the server, as far as it tells them (`/api/v1/status/flags` and `config`), over `own`.

        `named` are the fields of `own` that somebody set, and where. Raises InputError where the server evaluates with
        another lookback or evaluation interval, or without a feature: what it answers would be another Prometheus'.
        """
        told = self._told()
        found = {name: value for name, value in told.items() if name not in named}
        for name, (key, flag) in _OF_SERVER.items():
            mine, theirs = getattr(own, name), told.get(name)
            if name in named and theirs is not None and mine != theirs:
                said, runs = format_duration(mine), format_duration(theirs)
                raise InputError(
                    f"the settings say `{key}` {said}, and Prometheus at {self._base} runs with {runs}",
                    span=named[name],
                    hint=f"start that server with {flag}{said}, or use --engine process",
                )
        missing = set(own.features) - set(told.get("features", own.features))
        if missing:
            raise InputError(
                f"the settings name features that Prometheus at {self._base} runs without: "
                f"{', '.join(sorted(missing))}",
                span=named.get("features"),
                hint="start that server with --enable-feature, or use --engine process",
            )
        return replace(own, **found)

    def _told(self) -> dict[str, Any]:
        """What the server tells of its settings: name of a field → its value. Others than Prometheus tell nothing."""
        told: dict[str, Any] = {}
        flags, config = (self._status(name) for name in ("flags", "config"))
        with contextlib.suppress(ValueError):
            told["lookback_ms"] = parse_duration_ms(str(flags.get("query.lookback-delta", "")))
        if isinstance(features := flags.get("enable-feature"), str):
            told["features"] = tuple(name for name in features.replace("[", "").replace("]", "").split(",") if name)
        if isinstance(text := config.get("yaml"), str):
            with contextlib.suppress(InputError):
                server = parse_prometheus_yml(SourceFile.of_text(f"{self._base}/api/v1/status/config", text))
                told |= {name: getattr(server, name) for name in _OF_CONFIG}
        return told

    def _status(self, name: str) -> dict[str, Any]:
        """An answer of the server about itself; empty where it gives none."""
        try:
            data = self._data(self._http("GET", f"/api/v1/status/{name}"), "", AnswerWarnings())
        except HarnessError:
            return {}
        return data if isinstance(data, dict) else {}

    def _http(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """One request, sent again after a while to a server that is too busy (HTTP 429 and 503)."""
        for wait_s in (*_PATIENCE_S, None):
            response = super()._http(method, path, **kwargs)
            if wait_s is None or response.status_code not in (429, 503):
                break
            asked = response.headers.get("Retry-After", "")
            time.sleep(min(float(asked), _LONGEST_WAIT_S) if asked.isdecimal() else wait_s)
        return response

    def _data(self, response: requests.Response, expr: str, warnings: AnswerWarnings) -> Any:
        status = response.status_code
        if status in (401, 403):
            raise EngineError(
                f"{self._base} refuses our credentials (HTTP {status})",
                hint=f"set {PREFIX}TOKEN, or {PREFIX}USER and {PREFIX}PASSWORD",
            )
        if status == 429:
            raise EngineError(
                f"{self._base} takes no more requests for now (HTTP 429: {short_text(response)})",
                hint="ask again later, or for a shorter range",
            )
        if status >= 500 and not response.content.lstrip().startswith(b"{"):
            raise EngineError(
                f"{self._base} is in trouble (HTTP {status}: {short_text(response)})",
                hint="ask again later; what stands between us and it may have a log",
            )
        if (
            status == 200
            and response.content.lstrip().startswith(b"{")
            and not response.content.rstrip().endswith(b"}")
        ):
            raise EngineError(
                f"the answer of {self._base} is cut off after {len(response.content):,} bytes",
                hint="ask again; what stands between us and it may limit answers",
            )
        return super()._data(response, expr, warnings)

    def _write_refused(self, response: requests.Response) -> HarnessError:
        text = short_text(response)
        if response.status_code in (404, 405) or "remote write receiver" in text:
            return EngineError(
                f"{self._base} takes no remote write (HTTP {response.status_code}: {text})", hint=_RECEIVER_HINT
            )
        if response.status_code in (401, 403):
            return EngineError(
                f"{self._base} lets us read but not write (HTTP {response.status_code})",
                hint="use credentials that may write",
            )
        return super()._write_refused(response)


def _split(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without credentials, query and trailing slash, and its (user, password)."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        # The text may hold a password: do not repeat it.
        raise InputError("the engine's URL is malformed", hint="write something like http://prometheus:9090")
    place = f"[{host}]" if ":" in host else host
    bare = urlunsplit((parts.scheme, f"{place}:{port}" if port else place, parts.path.rstrip("/"), "", ""))
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return bare, login
