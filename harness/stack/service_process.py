"""A service as a child process: a session of its own, ended whole, gone when the process that started it is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.engines.child import die_with_parent, in_lasting_thread, status_text
from harness.errors import EngineError

_PATIENCE_S = 10.0
_POLL_S = 0.01
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")


class ServiceProcess:
    """A process and whatever it forked; its output goes to `log`.

    Its environment is ours only as far as programs need it, so that no secret of ours reaches it, plus `environment`.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], start_in: Path, log: Path
    ) -> None:
        self.name = name
        given = {key: os.environ[key] for key in _KEPT if key in os.environ} | dict(environment)
        try:
            with log.open("ab") as output:
                self._process = in_lasting_thread(
                    lambda: subprocess.Popen(
                        list(command),
                        stdin=subprocess.DEVNULL,
                        stdout=output.fileno(),
                        stderr=output.fileno(),
                        cwd=start_in,
                        env=given,
                        start_new_session=True,
                        preexec_fn=die_with_parent(os.getpid()) if sys.platform == "linux" else None,
                    )
                )
        except OSError as err:
            raise EngineError(f"cannot start {name} ({command[0]}): {err.strerror or err}") from err

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

    def obituary(self) -> str | None:
        """``ended by SIGKILL``; None while it runs. What it forked ends with it."""
        if self._process.returncode is None:
            # Not reaped yet, so its id is still its own and the group's: nobody else can be hit.
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        return f"ended {status_text(self._process.returncode)}"

    def ask_to_end(self) -> None:
        """SIGTERM; :meth:`end` waits."""
        if self.obituary() is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)

    def end(self) -> None:
        """SIGTERM, and SIGKILL if it does not end in time."""
        self.ask_to_end()
        deadline = time.monotonic() + _PATIENCE_S
        while self.obituary() is None:
            if time.monotonic() > deadline:
                return self.kill()
            time.sleep(_POLL_S)
        return None

    def kill(self) -> None:
        """SIGKILL to it and all that it forked; returns when it is gone."""
        while self.obituary() is None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            time.sleep(_POLL_S)
