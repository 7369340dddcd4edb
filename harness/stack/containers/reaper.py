"""Ends containers when the process that started them is gone: what the kernel does for processes.

    python -m harness.stack.containers.reaper PROJECT [--volumes]

Reads from its input the ids of processes that are at work on the project, a line each. If the input ends without a
last word `done`, the last of them is killed and the project is ended. If the reaper is killed too, :func:`sweep` in the
next run does it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from harness.engines.container import OWNER_LABEL
from harness.engines.owner import Owner

DONE = "done"
PROJECT_LABEL = "com.docker.compose.project"
_TRIES = 40
_QUIET = 3
_PAUSE_S = 1.0


class Reaper:
    """The one who watches, as seen from the process that it watches."""

    def __init__(self, project: str, *, volumes: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.stack.containers.reaper", project, *(["--volumes"] if volumes else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C, or a signal to our group, is not for it
            text=True,
        )

    def at_work(self, pid: int) -> None:
        """A process that leads a group of its own changes the containers now."""
        self._say(str(pid))

    def done(self) -> None:
        """The containers are gone, or are to stay."""
        self._say(DONE)
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()

    def _say(self, what: str) -> None:
        with contextlib.suppress(OSError):  # somebody ended it; that is no reason not to go on
            if self._process.stdin is not None:
                self._process.stdin.write(what + "\n")
                self._process.stdin.flush()


def ending(project: str, *, volumes: bool, timeout_s: int) -> list[str]:
    """What removes a project's containers and networks, and with `volumes` its data.

    By the project's name alone: the files that it was started from may be gone by then.
    """
    docker = shutil.which("docker") or "docker"
    end = ["down", "--remove-orphans", "--timeout", str(timeout_s), *(["--volumes"] if volumes else [])]
    return [docker, "compose", "--project-name", project, *end]


def sweep(client: Any) -> list[str]:
    """End the projects of runs that were killed, and their reapers with them; returns the projects' names."""
    try:
        labelled = {"label": OWNER_LABEL}
        volumes = client.api.volumes(filters=labelled)["Volumes"] or ()
        found = [*client.api.containers(all=True, filters=labelled), *client.api.networks(filters=labelled), *volumes]
    except Exception:  # the start that follows says it better
        return []
    ended = []
    for labels in (each["Labels"] or {} for each in found):
        project = labels.get(PROJECT_LABEL)
        owner = Owner.parse(labels[OWNER_LABEL])
        if project and project not in ended and owner is not None and owner.is_dead():
            _end(project, volumes=True)
            ended.append(project)
    return ended


def _end(project: str, *, volumes: bool) -> bool:
    """Whether the engine said that nothing is left."""
    done = subprocess.run(
        ending(project, volumes=volumes, timeout_s=5),
        cwd="/",  # where we stand may be gone
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def main() -> int:
    """0 when told that nothing is to do, or when it is done; 1 if the engine did not let go of something."""
    project, volumes = sys.argv[1], "--volumes" in sys.argv[2:]
    worker = 0
    for line in sys.stdin:
        if line.strip() == DONE:
            return 0
        worker = int(line)
    if worker:
        with contextlib.suppress(OSError):
            os.killpg(worker, signal.SIGKILL)
    quiet = 0
    for _ in range(_TRIES):
        # More than once: the engine may still be making what the worker asked for.
        quiet = quiet + 1 if _end(project, volumes=volumes) else 0
        if quiet == _QUIET:
            return 0
        time.sleep(_PAUSE_S)
    return 1


if __name__ == "__main__":
    sys.exit(main())
