"""The services of the stack: what they are called, where they listen, how they say that they are ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import requests

from harness.engines.base import new_session
from harness.errors import InputError, near_miss

READY_S = 60.0
"""How long a service may take; a busy machine is slow, a broken service ends and is told at once."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service; ``name`` is its name in compose.yaml, and so its host name in prometheus.yml.

    ``port`` is where it listens, ``ready`` the path that answers 200 once it is ready, ``what`` a word on it for
    people. ``containers_only``: there is no local process of it.
    """

    name: str
    port: int
    ready: str
    what: str
    containers_only: bool = False

    @property
    def variable(self) -> str:
        """The variable of compose.yaml that moves its port on 127.0.0.1."""
        return f"{self.name.upper().replace('-', '_')}_PORT"


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        service.name: service
        for service in (
            Service("streaming", 8001, "/ready", "the streaming service"),
            Service("prometheus", 9090, "/-/ready", "Prometheus"),
            Service("alertmanager", 9093, "/-/ready", "Alertmanager"),
            Service("grafana", 3000, "/api/health", "Grafana", containers_only=True),
            Service("node-exporter", 9100, "/", "the machine's metrics"),
            Service("postgres-exporter", 9187, "/", "PostgreSQL's metrics"),
            Service("redis-exporter", 9121, "/health", "Redis' metrics"),
            Service("sink", 9095, "/", "takes notifications where no webhook is set"),
        )
    }
)
"""Those that listen on 127.0.0.1. PostgreSQL and Redis run in the compose network alone."""


def service(name: str) -> Service:
    """The service of this name; raises InputError with the near miss."""
    if name not in SERVICES:
        raise InputError(
            f"the stack has no service `{name}`{near_miss(name, SERVICES)}", hint=f"services: {', '.join(SERVICES)}"
        )
    return SERVICES[name]


def answers(url: str) -> bool:
    """Whether a URL answers 200 now."""
    try:
        with new_session() as session:
            return session.get(url, timeout=2.0).status_code == 200
    except requests.exceptions.RequestException:
        return False
