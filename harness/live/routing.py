"""The user's Alertmanager configuration for a live run: our webhook at the end of every receiver, the clock compressed.

Routes, grouping and inhibition stay the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.alertmanager.file import AlertmanagerFile
from harness.alertmanager.routing import Receiver
from harness.errors import UnsupportedError
from harness.live.clock import Clock
from harness.source import unshared


def config_for_run(file: AlertmanagerFile, clock: Clock, url: Callable[[str], str]) -> dict[str, Any]:
    """What the throwaway Alertmanager is given; `url` is the webhook's address for a receiver.

    Raises UnsupportedError for routes that depend on the time of day, which has no equal on another clock.
    """
    if file.timed is not None:
        raise UnsupportedError(
            f"`{file.timed}` depends on the time of day, which a faster clock does not have",
            span=file.timed.span,
            hint=f"leave `{file.timed}` out of the configuration that you test with",
        )
    made: dict[str, Any] = {
        "route": file.route.config(),
        "inhibit_rules": [unshared(rule.written) for rule in file.inhibitions],
        "receivers": [_receiver(receiver, url) for receiver in file.receivers],
    }
    if file.resolve_timeout is not None:
        made["global"] = {"resolve_timeout": file.resolve_timeout}
    return clock.alertmanager(made)


def _receiver(receiver: Receiver, url: Callable[[str], str]) -> dict[str, Any]:
    if not receiver.tells_resolved:
        return {"name": receiver.name}
    hook = {"url": url(receiver.name), "send_resolved": any(receiver.tells_resolved), "max_alerts": 0}
    return {"name": receiver.name, "webhook_configs": [hook]}
