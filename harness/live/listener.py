"""A small HTTP server of ours on a free port of 127.0.0.1, in threads of this process."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, TypeVar

Holder = TypeVar("Holder")


class Listener(Generic[Holder]):
    """Answers requests from the moment it is made until :meth:`close`; its handlers find `holder` at their server."""

    def __init__(self, handler: type[Handler[Holder]], holder: Holder) -> None:
        self._server = ListeningServer(handler, holder)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No request is taken any more when this returns."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ListeningServer(ThreadingHTTPServer, Generic[Holder]):
    """The server behind a :class:`Listener`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[Handler[Holder]], holder: Holder) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.holder = holder

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One who hangs up is no error of ours."""


class Handler(BaseHTTPRequestHandler, Generic[Holder]):
    """A connection, which stays open for the next request."""

    protocol_version = "HTTP/1.1"
    server: ListeningServer[Holder]

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
