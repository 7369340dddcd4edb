"""The stack as containers: compose.yaml, by docker compose."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.engines.cleanup import forget, remember, shielded
from harness.engines.private import private_folder, sweep
from harness.errors import EngineError, InputError, with_log
from harness.live.clock import Clock
from harness.source import display_path
from harness.stack.configs import StackFolder
from harness.stack.containers.command import Compose
from harness.stack.containers.files import (
    BUILT,
    COMPRESSED,
    compressed,
    env_files_of,
    make_env_file,
    owned,
    variables_of,
)
from harness.stack.containers.images import left_out
from harness.stack.containers.reaper import Reaper
from harness.stack.ports import claim
from harness.stack.runtime import Progress, ServiceState, ServiceStatus, Target, Tokens
from harness.stack.services import READY_S, SERVICES, answers, service
from harness.stack.spec import Spec
from harness.stack.state import Record, StateFolder
from harness.stack.targets import read_targets

_UP_S = 300
_GONE_S = 30.0
_POLL_S = 0.1
_TAIL_LINES = 2000


class ComposeRuntime:
    """See :class:`harness.stack.runtime.Runtime`."""

    kind = "compose"

    def __init__(
        self, compose: Compose, stack: StackFolder, clock: Clock, ports: Mapping[str, int], model: Mapping[str, Any]
    ) -> None:
        self._compose = compose
        self._stack = stack
        self._clock = clock
        self.ports = dict(ports)
        environment = model["services"][BUILT]["environment"]
        self._tokens = Tokens(
            environment.get("STREAMING_WEBHOOK_TOKEN") or "", environment.get("STREAMING_FAULTS_TOKEN") or ""
        )
        self.absent = left_out(model)
        self._names = [name for name in model["services"] if name not in self.absent]

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    @property
    def project(self) -> str:
        """Compose's project."""
        return self._compose.project

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[service(self._known(name)).name]}"

    def services(self) -> list[ServiceStatus]:
        seen = self._seen()
        return [self._status(name, seen.get(name)) for name in (*self._names, *self.absent)]

    def _seen(self) -> dict[str, dict[str, Any]]:
        lines = self._compose.run("ps", "--all", "--format", "json").splitlines()
        return {each["Service"]: each for line in lines if line.startswith("{") for each in [json.loads(line)]}

    def _status(self, name: str, found: Mapping[str, Any] | None) -> ServiceStatus:
        if name in self.absent:
            return ServiceStatus(name, ServiceState.ABSENT, reason=self.absent[name])
        url = self.url(name) if name in SERVICES else ""
        if found is None:
            return ServiceStatus(name, ServiceState.ENDED, url, reason="its container is gone")
        if found["State"] == "running":
            sick = "it does not answer its health check" if found.get("Health") == "unhealthy" else ""
            return ServiceStatus(name, ServiceState.RUNNING, url, reason=sick)
        return ServiceStatus(
            name, ServiceState.ENDED, url, reason=f"{found['State']} with exit status {found['ExitCode']}"
        )

    def targets(self) -> list[Target]:
        return read_targets(self.url("prometheus"), self._stack.scraped(), self.absent)

    def start(self, *names: str) -> None:
        if not names:
            return self._up(self._names)
        known = [self._known(name) for name in names]
        listening = [name for name in known if name in SERVICES]
        if listening:
            self._compose.run("up", "--detach", "--no-build", "--no-deps", "--no-recreate", *listening)
        for name in listening:
            self._wait(name)
        if others := [name for name in known if name not in SERVICES]:
            self._up(others, "--no-deps", "--no-recreate")
        return None

    def _up(self, names: Sequence[str], *options: str, reaper: Reaper | None = None) -> None:
        try:
            self._compose.run(
                "up", "--detach", "--wait", "--wait-timeout", str(_UP_S), "--no-build", *options, *names,
                timeout_s=_UP_S + 60, reaper=reaper,
            )  # fmt: skip
        except EngineError as err:
            raise self._with_logs(err) from err

    def _with_logs(self, err: EngineError) -> EngineError:
        """The error with the log of the first service that is not well."""
        with contextlib.suppress(EngineError):
            for name, each in self._seen().items():
                if each.get("Health") == "unhealthy" or each["State"] in ("exited", "restarting", "dead"):
                    log = self._compose.run("logs", "--no-log-prefix", "--tail", "8", name)
                    return EngineError(with_log(f"{err.message}\n{name} is {each['State']}", log), hint=err.hint)
        return err

    def stop(self, *names: str) -> None:
        self._compose.run("stop", *([self._known(name) for name in names] or self._names))

    def kill(self, name: str) -> None:
        self._compose.run("kill", "--signal", "SIGKILL", self._known(name))
        deadline = time.monotonic() + _GONE_S
        while (found := self._seen().get(name)) is not None and found["State"] == "running":
            if time.monotonic() > deadline:
                raise EngineError(f"{name} survives SIGKILL", hint="is the container engine well?")
            time.sleep(_POLL_S)

    def restart(self, name: str) -> None:
        self._compose.run("restart", "--no-deps", self._known(name))
        self.start(name)

    def _wait(self, name: str) -> None:
        """Until it answers on this machine: sooner known than by the next health check."""
        deadline = time.monotonic() + READY_S
        while not answers(self.url(name) + SERVICES[name].ready):
            if time.monotonic() > deadline:
                raise self._with_logs(EngineError(f"{name} was not ready after {READY_S:g} s"))
            time.sleep(_POLL_S)

    def logs(self, name: str) -> str:
        return self._compose.run("logs", "--no-log-prefix", "--no-color", "--tail", str(_TAIL_LINES), self._known(name))

    def log_command(self, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The command that follows the logs of services from now on, and its environment."""
        prefix = ["--no-log-prefix"] if len(names) == 1 else []
        arguments = ["logs", *prefix, "--no-color", "--tail", "0", "--follow", *map(self._known, names)]
        return [*self._compose.command, *arguments], self._compose.environment

    def close(self, *, volumes: bool = True) -> None:
        """Remove the containers and networks, and with `volumes` the data."""
        with shielded():
            self._compose.end(volumes=volumes)
            forget(self)

    def _known(self, name: str) -> str:
        if name in self.absent:
            raise InputError(
                f"{name} is not part of this stack: {self.absent[name]}",
                hint="`alert-harness stack status` shows what is",
            )
        return name if name in self._names else service(name).name


def _prepared(
    spec: Spec, stack: StackFolder, env_files: Sequence[str], folder: Path, project: str, *overrides: Path
) -> ComposeRuntime:
    first = Compose(stack.compose_file, tuple(env_files), {}, project)
    skipped = left_out(first.model())
    ports = claim({name: port for name, port in spec.ports.items() if name not in skipped})
    if spec.clock.factor != 1:
        overrides = (*overrides, compressed(stack, spec, folder))
    compose = Compose(stack.compose_file, tuple(env_files), variables_of(spec, ports), project, overrides)
    model = compose.model()
    named = replace(compose, project=model["name"])
    return ComposeRuntime(named, stack, spec.clock, ports, model)


def _started(runtime: ComposeRuntime, progress: Progress, *, volumes: bool) -> Reaper:
    """Bring it up under a reaper's eyes; if that fails, nothing is left of it."""
    reaper = Reaper(runtime.project, volumes=volumes)
    try:
        progress(f"starting {', '.join(runtime._names)}")
        runtime._up(runtime._names, reaper=reaper)
    except BaseException:
        with contextlib.suppress(EngineError):
            runtime.close(volumes=volumes)
        reaper.done()
        raise
    for name in SERVICES:
        if name not in runtime.absent:
            progress(f"{name} is ready at {runtime.url(name)}")
    return reaper


@contextmanager
def throwaway_containers(spec: Spec, progress: Progress) -> Iterator[ComposeRuntime]:
    """Containers, networks and volumes of a project of its own for the length of a block."""
    sweep()
    stack = StackFolder(spec.config)
    with private_folder() as folder:
        env_file = folder / "passwords.env"
        make_env_file(env_file)
        project = f"alert-harness-{secrets.token_hex(6)}"
        # Only what chooses images is taken from the project's own: its tokens and data are not ours to use.
        more = [each for each in env_files_of(stack) if not each.endswith("/.env")]
        runtime = _prepared(spec, stack, [str(env_file), *more], folder, project, owned(stack, folder))
        remember(runtime)
        reaper = _started(runtime, progress, volumes=True)
        try:
            yield runtime
        finally:
            runtime.close()
            reaper.done()


def bring_up(spec: Spec, state: StateFolder, progress: Progress) -> ComposeRuntime:
    """Start the project's containers so that they stay."""
    stack = StackFolder(spec.config)
    state.make()
    own = stack.path / ".env"
    if not own.exists():
        make_env_file(own)
        progress(f"{display_path(own)} was not there; made one with new passwords and tokens")
    env_files = list(env_files_of(stack))
    runtime = _prepared(spec, stack, env_files, state.run, "")
    reaper = _started(runtime, progress, volumes=False)
    try:
        state.write(
            Record(
                "compose",
                spec.clock.factor,
                runtime.ports,
                runtime.absent,
                project=runtime.project,
                env_files=tuple(env_files),
            )
        )
    finally:
        reaper.done()
    return runtime


def attach(config: Config, state: StateFolder, record: Record) -> ComposeRuntime:
    """The project's containers that run already."""
    stack = StackFolder(config)
    compose = _recorded(stack, state, record)
    return ComposeRuntime(compose, stack, Clock(record.factor), record.ports, compose.model())


def _recorded(stack: StackFolder, state: StateFolder, record: Record) -> Compose:
    compressed = state.run / COMPRESSED
    variables = {SERVICES[name].variable: str(port) for name, port in record.ports.items()}
    overrides = (compressed,) if compressed.exists() else ()
    return Compose(stack.compose_file, record.env_files, variables, record.project, overrides)


def take_down(config: Config, state: StateFolder, record: Record, *, volumes: bool, progress: Progress) -> None:
    """Remove the containers, and with `volumes` their data."""
    progress("ending the containers")
    attach(config, state, record).close(volumes=volumes)
