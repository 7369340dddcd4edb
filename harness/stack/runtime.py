"""What runs the instrumented stack: one interface, whether it runs as containers or as local processes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from harness.live.clock import Clock

Progress = Callable[[str], None]
"""Told in a line what is being done."""


class Health(enum.StrEnum):
    """How Prometheus sees a scrape target."""

    UP = "up"  # the last scrape succeeded
    DOWN = "down"  # the last scrape failed; the reason is Prometheus' own
    WAITING = "waiting"  # not scraped yet: the first scrape comes some seconds after the start
    ABSENT = "absent"  # not part of this stack; the reason says what is missing


@dataclass(frozen=True, slots=True)
class Target:
    """One scrape target of prometheus.yml; ``reason`` says why it is not up."""

    job: str
    service: str
    health: Health
    reason: str = ""


class ServiceState(enum.StrEnum):
    """How a service is."""

    RUNNING = "running"  # started, and ready when it was
    ENDED = "ended"  # it was running: killed, or it ended by itself
    ABSENT = "absent"  # not part of this stack; the reason says what is missing


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service of the stack; ``url`` is empty where nothing is published, ``pid`` None in a container."""

    name: str
    state: ServiceState
    url: str = ""
    pid: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the streaming service asks for: on its webhooks, and on its endpoint for faults. Never printed."""

    webhook: str = field(repr=False)
    faults: str = field(repr=False)


class Runtime(Protocol):
    """A stack that runs. Services are called as in compose.yaml: ``streaming``, ``prometheus``, ``alertmanager``, …

    Every method raises EngineError, with the end of the service's log, if a service does not do what it should, and
    InputError for a name that the stack does not have.
    """

    @property
    def kind(self) -> str:
        """``process`` or ``compose``."""

    @property
    def clock(self) -> Clock:
        """How much faster than written everything runs: factor 1 is real time."""

    @property
    def tokens(self) -> Tokens:
        """The tokens of this stack's streaming service."""

    def url(self, name: str) -> str:
        """``http://127.0.0.1:PORT`` of a service, without a slash at the end."""

    def services(self) -> list[ServiceStatus]:
        """Every service of the stack, also those that are not part of this run, each with the reason."""

    def targets(self) -> list[Target]:
        """Every scrape target of prometheus.yml as Prometheus sees it now, and those left out, with the reason.

        Raises EngineError if Prometheus does not answer.
        """

    def start(self, *names: str) -> None:
        """Start these services, or all that are not running, and wait until they are ready."""

    def stop(self, *names: str) -> None:
        """End these services, or all, as an orderly shutdown does (SIGTERM first)."""

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone; it stays down until :meth:`start` or :meth:`restart`."""

    def restart(self, name: str) -> None:
        """End it if it runs, start it on the same port with the same data, and wait until it is ready."""

    def logs(self, name: str) -> str:
        """What a service has written so far (the end of it, if that is long)."""
