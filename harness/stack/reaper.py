"""Ends containers when the process that started them is gone: what the kernel does for processes.

    python -m harness.stack.reaper

Reads lines of JSON. The first says how to end them; later ones, which process is at work on them now. If the input ends
without a last word `"done"`, that process is killed and the containers are ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

DONE = "done"
_TRIES = 5
_PAUSE_S = 1.0


class Reaper:
    """The one who watches, as seen from the process that it watches."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], cwd: str) -> None:
        """``command`` ends the containers, and does so also when they are half made or gone."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.stack.reaper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=cwd,
            start_new_session=True,  # a Ctrl-C, or a signal to our group, is not for it
            text=True,
        )
        # By its input: the environment holds passwords, and arguments can be read by everybody.
        self._say({"command": list(command), "environment": dict(environment)})

    def at_work(self, pid: int) -> None:
        """A process that leads a group of its own changes the containers now."""
        self._say(pid)

    def done(self) -> None:
        """The containers are gone, or are to stay."""
        self._say(DONE)
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()

    def _say(self, what: object) -> None:
        with contextlib.suppress(OSError):  # somebody ended it; that is no reason not to go on
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(what) + "\n")
                self._process.stdin.flush()


def main() -> int:
    """0 when told that nothing is to do, or when it is done."""
    first = sys.stdin.readline()
    if not first:
        return 0
    order: Any = json.loads(first)
    worker = 0
    for line in sys.stdin:
        said = json.loads(line)
        if said == DONE:
            return 0
        worker = int(said)
    if worker:
        with contextlib.suppress(OSError):
            os.killpg(worker, signal.SIGKILL)
    for _ in range(_TRIES):  # the engine may still be making what the worker asked for
        subprocess.run(order["command"], env=order["environment"], stdin=subprocess.DEVNULL, check=False)
        time.sleep(_PAUSE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
