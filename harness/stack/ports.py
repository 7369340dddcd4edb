"""Who listens on a port of 127.0.0.1: to say it by name when one is taken, and to know that it is ours when we wait."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.engines.child import free_port
from harness.errors import EngineError

_PROC = Path("/proc")
_LISTEN = "0A"  # include/net/tcp_states.h


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
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    with contextlib.suppress(OSError):
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and not inodes.isdisjoint(_sockets(entry)):
                return PortHolder(int(entry.name), _program(entry))
    return PortHolder(None)


def _listening(table: str, port: int) -> list[str]:
    try:
        lines = (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    # `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port]


def _sockets(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for handle in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(handle)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process"


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
