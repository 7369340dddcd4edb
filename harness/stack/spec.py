"""What a stack is to be like: the same words for both runtimes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from harness.config import Config
from harness.errors import EngineError
from harness.files import write_whole
from harness.live.clock import Clock
from harness.stack.runtime import Tokens
from harness.stack.services import SERVICES

REAL_TIME = Clock(1)
WEBHOOK_VARIABLE = "ALERT_WEBHOOK_URL"
STANDARD_PORTS: Mapping[str, int] = MappingProxyType({name: each.port for name, each in SERVICES.items()})
ANY_PORTS: Mapping[str, int] = MappingProxyType(dict.fromkeys(SERVICES, 0))
"""Ports that are free, whichever they are."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A stack to start.

    ``ports`` by service, 0 for any free one. ``database_url`` and ``redis_url`` are the streaming service's stores,
    None for its embedded ones; ``webhook_url`` takes Alertmanager's notifications, None for the stack's own sink. These
    three may hold passwords and are never printed.
    """

    config: Config
    clock: Clock = REAL_TIME
    ports: Mapping[str, int] = field(default_factory=lambda: STANDARD_PORTS)
    workers: int = 1
    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    webhook_url: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, config: Config, clock: Clock, ports: Mapping[str, int]) -> Spec:
        """With stores and webhook as the environment names them."""
        return cls(
            config,
            clock,
            ports,
            database_url=os.environ.get("STREAMING_DATABASE_URL") or None,
            redis_url=os.environ.get("STREAMING_REDIS_URL") or None,
            webhook_url=os.environ.get(WEBHOOK_VARIABLE) or None,
        )


def new_tokens() -> Tokens:
    """Tokens that nobody can guess."""
    return Tokens(secrets.token_urlsafe(32), secrets.token_urlsafe(32))


def write_private(file: Path, text: str) -> None:
    """Write a file for our eyes only. Raises EngineError if the folder does not take it."""
    try:
        write_whole(file, text, private=True)
    except OSError as err:
        raise EngineError(f"cannot write {file}: {err.strerror or err}", hint="make room, or make it writable") from err


def write_tokens(file: Path, tokens: Tokens) -> None:
    write_private(file, json.dumps({"webhook": tokens.webhook, "faults": tokens.faults}))


def read_tokens(file: Path) -> Tokens | None:
    """The tokens in a file; None if there are none."""
    try:
        return Tokens(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
