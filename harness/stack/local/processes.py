"""The stack as local processes: the embedded default, on 127.0.0.1 only, gone with the process that holds it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.engines.child import end_of, tail
from harness.engines.cleanup import forget, remember, shielded
from harness.engines.private import private_folder, sweep
from harness.engines.spawned import Spawned
from harness.errors import EngineError, InputError, with_log
from harness.live.clock import Clock
from harness.stack.configs import StackFolder
from harness.stack.local.programs import LocalPrograms, find_binaries
from harness.stack.ports import claim, listener
from harness.stack.runtime import ServiceState, ServiceStatus, Target, Tokens
from harness.stack.services import READY_S, SERVICES, answers, service
from harness.stack.spec import Spec, new_tokens
from harness.stack.targets import read_targets
from harness.toolchain import Toolchain

LOG_BYTES = 1 << 18
"""How much of a service's log is shown."""
_POLL_S = 0.02
_PATIENCE_S = 10.0
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")


class ProcessRuntime:
    """A running stack of child processes; see :class:`harness.stack.runtime.Runtime`.

    ``folder`` takes configurations, logs and secrets, ``data`` what outlives the stack (the service's database, the
    TSDB, Alertmanager's state). Both must be ours alone. Everything ends with :meth:`close`, and with this process,
    however that ends.
    """

    kind = "process"

    def __init__(
        self,
        spec: Spec,
        folder: Path,
        data: Path,
        tools: Toolchain,
        *,
        tokens: Tokens | None = None,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._tokens = tokens or new_tokens()
        self._progress = progress
        self._stack = StackFolder(spec.config)
        self._scraped = self._stack.scraped()
        self._lock = threading.RLock()
        self._children: dict[str, Spawned] = {}
        binaries, self.absent = find_binaries(spec, tools)
        self.ports = claim({name: spec.ports.get(name, 0) for name in SERVICES if name not in self.absent})
        self._programs = LocalPrograms(spec, self._stack, folder, data, self.ports, self._tokens, binaries).write()
        remember(self)
        try:
            self.start()
        except BaseException:  # Ctrl-C too: whatever happens, nothing of a failed start may stay
            self.close()
            raise

    @property
    def clock(self) -> Clock:
        return self._spec.clock

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[self._known(name)]}"

    def services(self) -> list[ServiceStatus]:
        with self._lock:
            return [self._status(name) for name in SERVICES]

    def _status(self, name: str) -> ServiceStatus:
        if name in self.absent:
            return ServiceStatus(name, ServiceState.ABSENT, reason=self.absent[name])
        child = self._children[name]
        if (status := child.status()) is not None:
            return ServiceStatus(name, ServiceState.ENDED, self.url(name), reason=f"ended {status}")
        return ServiceStatus(name, ServiceState.RUNNING, self.url(name), child.pid)

    def targets(self) -> list[Target]:
        return read_targets(self.url("prometheus"), self._scraped, self.absent)

    def logs(self, name: str) -> str:
        return end_of(self._log(self._known(name)), LOG_BYTES)

    # -- start and end -------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        with self._lock:
            wanted = [self._known(name) for name in names] or list(self._programs)
            fresh = [name for name in wanted if not self._runs(name)]
            for name in fresh:
                self._spawn(name)
            for name in fresh:
                self._wait(name)
                self._progress(f"{name} is ready at {self.url(name)}")

    def stop(self, *names: str) -> None:
        with self._lock:
            wanted = [self._known(name) for name in names] or list(self._programs)
            children = [child for name in wanted if (child := self._children.get(name)) is not None]
            for child in children:
                child.ask_to_end()  # all at once: each takes its time
            for child in children:
                child.end(_PATIENCE_S)

    def kill(self, name: str) -> None:
        with self._lock:
            child = self._children.get(self._known(name))
            if child is not None:
                child.kill()

    def restart(self, name: str) -> None:
        with self._lock:
            self.stop(name)
            self.start(name)

    def close(self) -> None:
        """End everything that runs; what is in the folders stays."""
        with shielded():
            self.stop()
            forget(self)

    def _known(self, name: str) -> str:
        if service(name).name in self.absent:
            raise InputError(
                f"{name} is not part of this stack: {self.absent[name]}", hint="see `alert-harness stack status`"
            )
        return name

    def _runs(self, name: str) -> bool:
        child = self._children.get(name)
        return child is not None and child.status() is None

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"

    def _spawn(self, name: str) -> None:
        program = self._programs[name]
        environment = {key: os.environ[key] for key in _KEPT if key in os.environ} | dict(program.environment)
        try:
            self._children[name] = Spawned(
                program.command, self._log(name), program.start_in or self._folder, environment
            )
        except OSError as err:
            raise EngineError(f"cannot start {name} ({program.command[0]}): {err.strerror or err}") from err

    def _wait(self, name: str) -> None:
        """Until it is *our* process that answers: on a port lost to somebody else, theirs would."""
        child, url = self._children[name], self.url(name) + SERVICES[name].ready
        deadline = time.monotonic() + READY_S
        while True:
            status = child.status()
            if status is not None:
                raise EngineError(
                    with_log(f"{name} ended {status} before it was ready", tail(self._log(name))),
                    hint=self._why_not(name),
                )
            if answers(url) and child.owns(listener(self.ports[name]).pid):
                return
            if time.monotonic() > deadline:
                raise EngineError(
                    with_log(f"{name} was not ready after {READY_S:g} s", tail(self._log(name))),
                    hint="is the machine overloaded?",
                )
            time.sleep(_POLL_S)

    def _why_not(self, name: str) -> str:
        log = end_of(self._log(name), 4096)
        if "ddress already in use" in log:
            return f"port {self.ports[name]} was taken meanwhile by {listener(self.ports[name])}; try again"
        if "ModuleNotFoundError" in log or "No module named" in log:
            folder = self._stack.path / "streaming"
            return f"install what the service needs: {sys.executable} -m pip install {folder}"
        return "the log says why"


@contextmanager
def throwaway_processes(
    spec: Spec, tools: Toolchain, progress: Callable[[str], None] = lambda line: None
) -> Iterator[ProcessRuntime]:
    """A stack in a private folder for the length of a block; nothing of it outlives this process, even by SIGKILL."""
    sweep()
    with private_folder() as folder:
        runtime = ProcessRuntime(spec, folder / "run", folder / "data", tools, progress=progress)
        try:
            yield runtime
        finally:
            runtime.close()
