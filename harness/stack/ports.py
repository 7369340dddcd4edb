"""Who listens on a port of 127.0.0.1: to say it by name when one is taken, and to know that it is ours when we wait."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from harness.engines.child import free_port
from harness.errors import EngineError


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process that listens; ``program`` without its arguments, which may hold secrets. None: another user's."""

    pid: int | None
    program: str = ""

    def __str__(self) -> str:
        if self.pid is None:
            return "another user's process"
        return f"{self.program} (process {self.pid})"


def is_free(port: int) -> bool:
    """Whether one could listen on 127.0.0.1:port now; connections that linger from before do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listener(port: int) -> PortHolder:
    """Who listens on this port."""
    import psutil

    with contextlib.suppress(psutil.Error):  # it ended while we looked; macOS tells only root
        for connection in psutil.net_connections("tcp"):
            where = connection.laddr
            if connection.status == psutil.CONN_LISTEN and where and where.port == port and connection.pid is not None:
                return PortHolder(connection.pid, psutil.Process(connection.pid).name())
    return PortHolder(None)


def claim(wanted: Mapping[str, int]) -> dict[str, int]:
    """The ports to use, by service; 0 becomes one that is free.

    Raises EngineError that names each port that is taken, by whom, and what to do.
    """
    found: dict[str, int] = {}
    taken = []
    for name, port in wanted.items():
        if port == 0:
            while (port := free_port()) in found.values():
                pass
        elif not is_free(port):
            taken.append(f"port {port} for {name} is taken by {listener(port)}")
        found[name] = port
    if taken:
        first = next(name for name, port in wanted.items() if f"port {port} for {name} " in taken[0])
        raise EngineError(
            "; ".join(taken),
            hint=f"end it, or give other ports: `--port {first}=0` takes any that is free (repeatable)",
        )
    return found
