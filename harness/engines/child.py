"""A server of ours as a child process: private folder, 127.0.0.1 only, gone with its owner.

Whatever happens to us, nothing of it stays: if we are killed, the kernel ends it and the next run's sweep removes its
folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.engines.cleanup import forget, remember, shielded
from harness.engines.private import folder_error, folder_name, make_folder, remove_folder, sweep
from harness.engines.spawned import Spawned
from harness.errors import EngineError, with_log

_PORT_TRIES = 5
_POLL_S = 0.005
_PATIENCE_S = 3.0
_TAIL_BYTES = 1 << 16
_TAIL_LINES = 12


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """One server: made with what it is, then :meth:`start`, :meth:`close`, and again if need be.

    ``name`` is what messages call it, ``what`` the kind of program (``Prometheus``). ``arguments`` gives its command
    line, without the binary, for its private folder and port; a folder that it writes to should lie in the private
    folder and be named by a flag, for that is how a sweep knows the process again. ``prepare`` writes its files there
    before it starts. ``answers`` says, for its URL, the folder and a time-out in seconds, whether it is ready and
    *ours* (on a port that it lost, somebody else's server answers). ``start_in`` is its working directory (default: the
    private folder), ``temp`` where private folders are made (default: the system's folder for temporary files),
    ``hint`` what to do if it ends before it is ready.
    """

    def __init__(
        self,
        name: str,
        binary: Path,
        arguments: Callable[[Path, int], Sequence[str]],
        *,
        what: str,
        answers: Callable[[str, Path, float], bool],
        prepare: Callable[[Path], None] = lambda folder: None,
        start_in: Path | None = None,
        temp: Path | None = None,
        ready_timeout_s: float = 30.0,
        pick_port: Callable[[], int] = free_port,
        hint: str | None = None,
    ) -> None:
        self.name = name
        self.url = ""
        self.folder: Path | None = None
        """Its private folder while it runs."""
        self._binary = binary
        self._arguments = arguments
        self._what = what
        self._answers = answers
        self._prepare = prepare
        self._start_in = start_in
        self._temp = temp
        self._ready_timeout_s = ready_timeout_s
        self._pick_port = pick_port
        self._hint = hint
        self._process: Spawned | None = None
        self._owner_pid = os.getpid()
        sweep(temp)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def log_tail(self) -> str:
        """The last lines of what it printed."""
        return tail(self.folder / "server.log") if self.folder else ""

    def how_it_ended(self) -> str | None:
        """How it ended, if it did."""
        if self._process is None:
            return f"{self.name} is closed"
        status = self._process.status()
        return None if status is None else f"{self.name} ended {status}"

    # -- start ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it answers; raises EngineError, with its log, if it does not in time."""
        remember(self)
        try:
            self._make_folder()
            deadline = time.monotonic() + self._ready_timeout_s
            for attempt in range(_PORT_TRIES):
                port = self._pick_port()
                self._spawn(port)
                if self._wait(port, deadline, last=attempt == _PORT_TRIES - 1):
                    break
        except BaseException:  # Ctrl-C too: whatever happens, nothing of a failed start may stay
            self.close()
            raise

    def _make_folder(self) -> None:
        try:
            # Named before it is made, so that an interrupt right after the making still knows what to remove.
            self.folder = folder_name(self._temp)
            make_folder(self.folder)
            self._prepare(self.folder)
        except OSError as err:
            raise folder_error(err) from err

    def _spawn(self, port: int) -> None:
        folder = self.folder
        if folder is None:
            raise EngineError(f"{self.name} is closed")
        self.url = f"http://127.0.0.1:{port}"
        command = [str(self._binary), *self._arguments(folder, port)]
        try:
            log = folder / "server.log"
            log.write_bytes(b"")  # without what it said of a port that it lost
            self._process = Spawned(command, log, self._start_in or folder)
        except FileNotFoundError as err:
            raise EngineError(
                f"there is no {self._what} at {self._binary}", hint="`alert-harness doctor` shows what was found"
            ) from err
        except OSError as err:
            if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise folder_error(err) from err
            raise EngineError(
                f"cannot start {self._binary}: {err.strerror or err}",
                hint=f"name an executable {self._what} for this machine",
            ) from err

    def _wait(self, port: int, deadline: float, *, last: bool) -> bool:
        """Wait until it is ready; False if it lost its port to somebody else and another may be tried."""
        while True:
            ended = self.how_it_ended()
            if ended:
                log = self.log_tail()
                if "address already in use" in log and not last:
                    return False
                hint = self._hint
                if "address already in use" in log:
                    hint = f"port {port} of 127.0.0.1 is taken, and so were the {_PORT_TRIES - 1} tried before"
                elif "no space left" in log or self._disk_is_full():
                    hint = "the disk is full: make room, or set TMPDIR to another one"
                raise EngineError(with_log(f"{ended} before it was ready", log), hint=hint)
            left = deadline - time.monotonic()
            if left <= 0:
                raise EngineError(
                    with_log(f"{self.name} was not ready after {self._ready_timeout_s:g} s", self.log_tail()),
                    hint=f"is this {_article(self._what)} {self._what}? is the machine overloaded?",
                )
            if self.folder is not None and self._answers(self.url, self.folder, min(left, 1.0)):
                return True
            time.sleep(_POLL_S)

    def _disk_is_full(self) -> bool:
        # Then the log is empty too; Prometheus dies by SIGBUS or a panic.
        try:
            return self.folder is not None and shutil.disk_usage(self.folder).free < 1 << 16
        except OSError:
            return False

    # -- end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End it and remove its folder; harmless when repeated."""
        if self._owner_pid != os.getpid():  # a forked copy of the owner
            return
        with shielded():
            if self._process is not None:
                self._process.end(_PATIENCE_S)
            if self.folder is not None:
                remove_folder(self.folder)
            self._process = self.folder = None
            forget(self)


def _article(noun: str) -> str:
    return "an" if noun[:1] in "AEIOU" else "a"


def end_of(log: Path, size: int) -> str:
    """The last `size` bytes of a log, from the start of a line; empty if there is none."""
    try:
        with log.open("rb") as stream:
            length = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, length - size))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return text if length <= size else text.partition("\n")[2]


def tail(log: Path) -> str:
    """The last lines of a log; of a program that only printed its help, the line that says why."""
    lines = end_of(log, _TAIL_BYTES).splitlines()
    # Under a wrong flag Prometheus and its like print their help of 200 lines.
    wrong = [line for line in lines if line.startswith("Error parsing command line") or ": error: " in line[:40]]
    return "\n".join(wrong[:1] or lines[-_TAIL_LINES:])
