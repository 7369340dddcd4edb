"""What the streaming service is told by its environment, on the stack's clock."""

from __future__ import annotations

from harness.live.clock import Clock
from harness.stack.runtime import Tokens
from harness.units import format_duration

# The service's own defaults (fixtures/streaming, settings.py): on a faster clock it must be told.
CAMERA_TIMEOUT_MS = 90_000
CAMERA_STATUS_INTERVAL_MS = 15_000


def token_variables(tokens: Tokens) -> dict[str, str]:
    """The tokens, and the switch without which there is no endpoint for faults."""
    return {
        "STREAMING_WEBHOOK_TOKEN": tokens.webhook,
        "STREAMING_FAULTS": "1",
        "STREAMING_FAULTS_TOKEN": tokens.faults,
    }


def clock_variables(clock: Clock) -> dict[str, str]:
    """The service's durations on this clock."""
    return {
        "STREAMING_CAMERA_TIMEOUT": _shrunk(clock, CAMERA_TIMEOUT_MS, "the cameras' time-out"),
        "STREAMING_CAMERA_STATUS_INTERVAL": _shrunk(clock, CAMERA_STATUS_INTERVAL_MS, "the cameras' status interval"),
    }


def _shrunk(clock: Clock, ms: int, what: str) -> str:
    return format_duration(clock.shrink_ms(ms, what))
