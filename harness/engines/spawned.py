"""A process of ours: a session of its own, ended whole, and gone when the process that started it is.

A Ctrl-C is for us alone, who then end it; if we are killed, the kernel ends it (on Linux). Signals that we ignore
because whoever started us did (nohup), it does not: it obeys who knows its id.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue

from harness.engines.cleanup import shielded

_KILL_S = 10.0
_POLL_S = 0.01


class Spawned:
    """A process and whatever it forked; what it prints goes to the end of `log`.

    ``environment`` is its whole environment (default: ours). Raises OSError if it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], log: Path, start_in: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        with log.open("ab") as output:
            self._process = in_lasting_thread(
                lambda: subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output.fileno(),
                    stderr=output.fileno(),
                    cwd=start_in,
                    env=environment,
                    # Out of the terminal's process group, and the leader of its own.
                    start_new_session=True,
                    # The one thing that ends it when we are SIGKILLed. Python code between fork and exec can deadlock
                    # if another thread holds a lock; these are calls of C functions already loaded: they take none.
                    preexec_fn=die_with_parent(os.getpid()) if sys.platform == "linux" else None,
                )
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def owns(self, pid: int | None) -> bool:
        """Whether a process is this one or one that it forked; unknown counts as ours."""
        if pid is None:
            return True
        try:
            return os.getsid(pid) == self.pid
        except OSError:
            return False

    def status(self) -> str | None:
        """How it ended: ``with exit status 1``, ``by SIGKILL``; None while it runs. What it forked ends with it."""
        if self._process.returncode is None:
            try:
                # Not reaped yet, so its id is still its own and the group's: nobody else can be hit.
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    return None
                self._signal_all(signal.SIGKILL)
            except (AttributeError, ChildProcessError):
                pass  # macOS has no waitid before Python 3.13; or the host program reaps every child
        code = self._process.poll()
        return None if code is None else _status_text(code)

    def ask_to_end(self) -> None:
        """SIGTERM; :meth:`end` waits."""
        if self.status() is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)

    def end(self, patience_s: float) -> None:
        """SIGTERM, and SIGKILL if it does not end in time; returns when it is gone."""
        self.ask_to_end()
        if not self._gone_within(patience_s):
            self.kill()

    def kill(self) -> None:
        """SIGKILL to it and all that it forked; returns when it is gone, or if not even that helps."""
        if self.status() is None:
            self._signal_all(signal.SIGKILL)
            self._gone_within(_KILL_S)

    def _gone_within(self, patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while self.status() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child on Linux calls between fork and exec so that the kernel kills it when `parent` ends.

    SIGINT and SIGHUP have their default effect there, whatever we inherited.
    """
    pr_set_pdeathsig = 1  # linux/prctl.h
    try:
        library = ctypes.CDLL(None)
        prctl, set_handler = library.prctl, library.signal
    except (OSError, AttributeError):
        return None  # the sweep of the next run does it
    set_handler.argtypes, set_handler.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p

    def arm() -> None:
        set_handler(int(signal.SIGINT), None)  # SIG_DFL
        set_handler(int(signal.SIGHUP), None)
        prctl(pr_set_pdeathsig, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return arm


_Making = Callable[[], subprocess.Popen[bytes]]


class _Spawner:
    """A daemon thread that starts children for as long as the process lives.

    No executor: that one notes its thread only after it has started it, and an interrupt between the two would leave a
    thread for which the interpreter waits at its exit, for ever.
    """

    def __init__(self) -> None:
        self._wanted: SimpleQueue[tuple[Future[subprocess.Popen[bytes]], _Making]] = SimpleQueue()
        threading.Thread(target=self._work, name="alert-harness-spawner", daemon=True).start()

    def submit(self, make: _Making) -> Future[subprocess.Popen[bytes]]:
        starting: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((starting, make))
        return starting

    def _work(self) -> None:
        while True:
            starting, make = self._wanted.get()
            if not starting.set_running_or_notify_cancel():
                continue
            try:
                starting.set_result(make())
            except BaseException as err:
                starting.set_exception(err)


_spawner_lock = threading.Lock()
_spawner: _Spawner | None = None


def _forget_spawner() -> None:
    global _spawner
    _spawner = None  # a forked child has the object, but not its thread


os.register_at_fork(after_in_child=_forget_spawner)


def in_lasting_thread(make: _Making) -> subprocess.Popen[bytes]:
    """Start a child from a thread that lives as long as the process, and that no signal interrupts.

    The kernel sends the parent-death signal when the *thread* that forked ends, not when its process does. And a Ctrl-C
    in the main thread's fork would hit Python's own hooks around it, which swallow it and keep their locks for good.
    """
    global _spawner
    with _spawner_lock:
        if _spawner is None:
            _spawner = _Spawner()
        starting = _spawner.submit(make)
    try:
        return starting.result()
    except BaseException:
        with shielded():
            if not starting.cancel():
                with contextlib.suppress(Exception):  # it did not start, which is what is being raised
                    child = starting.result()
                    child.kill()
                    child.wait()
        raise


def _status_text(code: int) -> str:
    if code >= 0:
        return f"with exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
