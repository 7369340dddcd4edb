"""Whose an engine is, and whether that run is still alive: how a later run knows what a killed one left behind."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """A run of the harness: its machine, that machine's boot, its process-id namespace, process id and start."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    start: str

    @classmethod
    def current(cls) -> Owner:
        """The run that this process belongs to."""
        pid = os.getpid()
        return cls(*_machine(), pid, process_start(pid) or "")

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner written by :meth:`text`, None for anything else."""
        try:
            fields = json.loads(text)
            owner = cls(**fields)
        except (ValueError, TypeError):
            return None
        return owner if isinstance(owner.pid, int) else None

    def text(self) -> str:
        return json.dumps(asdict(self))

    def is_dead(self) -> bool:
        """True only if this is certain: an owner on another machine or in another container may well be alive."""
        host, boot, namespace = _machine()
        if self.host != host:
            return False
        if self.boot != boot:
            return True
        return self.pid_namespace == namespace and process_start(self.pid) != self.start


@cache
def _machine() -> tuple[str, str, str]:
    """(host, boot, pid namespace); empty text for what this system does not tell."""
    host = f"{platform.node()} {_read(Path('/etc/machine-id'))}".strip()
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return host, _read(_PROC / "sys/kernel/random/boot_id"), namespace


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def process_start(pid: int) -> str | None:
    """When a process started, as text to compare; None if there is no such process (or only its zombie).

    With the process id it names a process for good: ids are used again, start times are not.
    """
    if (_PROC / "self/stat").exists():
        # Ticks since the boot, and not psutil's `create_time`: that is of the clock on the wall, which may be set while
        # we run. `pid (name) state ppid …`: the name may hold spaces and parentheses, so count from the last one.
        fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
        return fields[19] if len(fields) > 19 and fields[0] not in ("Z", "X") else None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.NoSuchProcess:
        return None


def processes_with(argument: str) -> list[int]:
    """The ids of our own processes that were started with a command-line argument that contains this text."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # ended while we looked, or not ours to look at
            if process.uids().effective == os.geteuid() and any(argument in each for each in process.cmdline()):
                found.append(process.pid)
    return found
