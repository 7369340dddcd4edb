"""The receiver at the end of the line: Alertmanager's webhook notifications, kept with the time at which they came."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from urllib.parse import quote, unquote

from harness.live.listener import Handler, Listener
from harness.live.model import Delivery

_MOST_BYTES = 16 << 20


class Webhook:
    """Listens on a free port of 127.0.0.1; every receiver has a path of its own, so that we know who was told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deliveries: list[Delivery] = []
        self._listener = Listener(_WebhookHandler, self)
        self.port = self._listener.port

    def url(self, receiver: str) -> str:
        """Where a receiver's notifications go."""
        return f"http://127.0.0.1:{self.port}/{quote(receiver, safe='')}"

    def deliveries(self) -> list[Delivery]:
        """All that came so far, in order."""
        with self._lock:
            return list(self._deliveries)

    def take(self, receiver: str, message: dict[str, Any]) -> None:
        now_ms = round(time.time() * 1000)
        with self._lock:
            self._deliveries += [
                Delivery(
                    receiver,
                    str(alert["status"]),
                    now_ms,
                    dict(alert.get("labels") or {}),
                    dict(alert.get("annotations") or {}),
                    dict(message.get("groupLabels") or {}),
                )
                for alert in message.get("alerts") or []
            ]

    def close(self) -> None:
        self._listener.close()


class _WebhookHandler(Handler[Webhook]):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        status = 200
        try:
            if not 0 < length <= _MOST_BYTES:
                raise ValueError("no message")
            self.server.holder.take(unquote(self.path[1:]), json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError, AttributeError):
            status = 400
            self.close_connection = True
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
