"""`docker compose`, called for one project."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import EngineError, with_log
from harness.stack.containers.reaper import Reaper, ending

_COMMAND_S = 120.0


@dataclass(frozen=True, slots=True)
class Compose:
    """`docker compose` for one project: its file, and the files and variables that fill it in."""

    file: Path
    env_files: tuple[str, ...]
    variables: Mapping[str, str]
    project: str = ""
    overrides: tuple[Path, ...] = ()

    @property
    def command(self) -> list[str]:
        """The command line up to the subcommand; no secrets stand in it."""
        parts = [*_docker_compose(), "--file", str(self.file)]
        for override in self.overrides:
            parts += ["--file", str(override)]
        parts += ["--project-name", self.project] if self.project else []
        for each in self.env_files:
            parts += ["--env-file", each]
        return parts

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain", **self.variables}

    def run(self, *arguments: str, timeout_s: float = _COMMAND_S, reaper: Reaper | None = None) -> str:
        """What it printed; raises EngineError with the end of what it said if it failed."""
        return self._call([*self.command, *arguments], arguments[0], timeout_s, reaper)

    def end(self, *, volumes: bool) -> None:
        """Remove the containers and networks, and with `volumes` the data; harmless if nothing is there."""
        self._call(ending(self.project, volumes=volumes, timeout_s=10), "down", _COMMAND_S, None)

    def _call(self, command: list[str], what: str, timeout_s: float, reaper: Reaper | None) -> str:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            start_new_session=True,  # Ctrl-C is for us; we end it
            text=True,
            errors="replace",
        )
        if reaper is not None:
            reaper.at_work(process.pid)
        try:
            output, said = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as err:
            _end(process)
            raise EngineError(
                f"docker compose {what} took longer than {timeout_s:g} s", hint="is the engine overloaded?"
            ) from err
        except BaseException:
            _end(process)
            raise
        if process.returncode != 0:
            lines = [line for line in said.splitlines() if line.strip()]
            raise EngineError(
                with_log(f"docker compose {what} failed", "\n".join(lines[-8:])),
                hint="`--runtime process` does without containers",
            )
        return output

    def model(self) -> dict[str, Any]:
        """The file with everything filled in; it holds the passwords."""
        found: dict[str, Any] = json.loads(self.run("config", "--format", "json"))
        return found


def _docker_compose() -> list[str]:
    """How compose is called here; raises EngineError if it is not there, or is the old one."""
    docker = shutil.which("docker")
    if docker is None:
        raise EngineError("the command docker is not on PATH", hint="install Docker and its compose plugin")
    try:
        said = subprocess.run(
            [docker, "compose", "version", "--short"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise EngineError(f"docker compose does not run: {err}") from err
    if said.returncode != 0 or not said.stdout.lstrip("v").startswith(("2.", "3.", "4.", "5.")):
        raise EngineError("docker has no compose plugin of version 2", hint="install docker-compose-plugin")
    return [docker, "compose"]


def _end(process: subprocess.Popen[str]) -> None:
    """It may be starting containers: ask first, so that it can tell the engine."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
