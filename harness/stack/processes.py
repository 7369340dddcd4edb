"""The stack as local processes: the embedded default, on 127.0.0.1 only, gone with the process that holds it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import requests

from harness.engines.base import new_session
from harness.engines.child import end_of, tail
from harness.engines.cleanup import forget, remember, shielded
from harness.engines.private import private_folder, sweep
from harness.engines.spawned import Spawned
from harness.errors import EngineError, InputError, with_log
from harness.live.clock import Clock
from harness.stack.configs import (
    StackFolder,
    local_alertmanager,
    local_prometheus,
    write_rules,
    write_yaml,
)
from harness.stack.ports import claim, listener
from harness.stack.runtime import ServiceState, ServiceStatus, Target, Tokens
from harness.stack.services import SERVICES, service
from harness.stack.spec import Spec, new_tokens, write_private
from harness.stack.streaming import clock_variables, token_variables
from harness.stack.targets import read_targets
from harness.toolchain import Toolchain

READY_S = 60.0
"""How long a service may take; a busy machine is slow, a broken service ends and is told at once."""

LOG_BYTES = 1 << 18
"""How much of a service's log is shown."""
_POLL_S = 0.02
_PATIENCE_S = 10.0
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
_EXPORTERS = {
    "postgres-exporter": ("postgres_exporter", "prometheus-postgres-exporter"),
    "redis-exporter": ("redis_exporter", "prometheus-redis-exporter"),
}


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a service: arguments without secrets, and the environment that is added to a bare one.

    Bare: ours only as far as programs need it, so that no secret of ours reaches them.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    start_in: Path | None = None


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
        self._data = data
        self._tokens = tokens or new_tokens()
        self._progress = progress
        self._stack = StackFolder(spec.config)
        self._scraped = self._stack.scraped()
        self._lock = threading.RLock()
        self._children: dict[str, Spawned] = {}
        self.absent: dict[str, str] = {}
        """Why a service is not part of this run, by service."""
        self._alertmanager = tools.find("alertmanager")
        self._binaries = self._find(tools)
        self.ports = claim({name: spec.ports.get(name, 0) for name in SERVICES if name not in self.absent})
        self._programs = self._write()
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

    # -- what to start -------------------------------------------------------------------------------------------

    def _find(self, tools: Toolchain) -> dict[str, str]:
        """The binaries by service; what cannot be part of this run goes to `absent`."""
        found = {}
        for name, tool in (
            ("prometheus", "prometheus"),
            ("alertmanager", "alertmanager"),
            ("node-exporter", "node_exporter"),
        ):
            found[name] = str(tools.find(tool).path)
        for name, store, url in (
            ("postgres-exporter", "PostgreSQL", self._spec.database_url),
            ("redis-exporter", "Redis", self._spec.redis_url),
        ):
            binary = next((path for program in _EXPORTERS[name] if (path := shutil.which(program))), None)
            if (reason := store_problem(store, url)) is not None:
                self.absent[name] = reason
            elif binary is None:
                programs = " or ".join(_EXPORTERS[name])
                self.absent[name] = f"{store} is there, but no {programs} is on PATH"
            else:
                found[name] = binary
        for each in SERVICES.values():
            if each.containers_only:
                self.absent[each.name] = f"{each.name} runs in containers only: --runtime compose"
        return found

    def _write(self) -> dict[str, Program]:
        """Write the configurations; how to start each service, in the order of starting."""
        for folder in (self._folder / "logs", self._folder / "secrets", self._data):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        addresses = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        clock, config = self._clock, self._spec.config
        rules = write_rules(config, clock, self._folder / "rules")
        prometheus = local_prometheus(self._stack.prometheus(), addresses, rules, clock)
        write_yaml(self._folder / "prometheus.yml", prometheus)
        secrets = self._folder / "secrets"
        write_yaml(self._folder / "alertmanager.yml", local_alertmanager(self._stack.alertmanager(), secrets, clock))
        write_private(secrets / "alert_webhook_url", self._spec.webhook_url or f"http://{addresses['sink']}/")
        return dict(self._all_programs(addresses))

    @property
    def _clock(self) -> Clock:
        """The stack's clock, which knows what its Prometheus runs with."""
        return replace(self._spec.clock, server=self._stack.server())

    def _flags(self) -> list[str]:
        """The flags of Prometheus that its configuration cannot hold."""
        clock = self._clock
        return clock.flags() if clock.factor > 1 else clock.server.flags()

    def _all_programs(self, addresses: Mapping[str, str]) -> Iterator[tuple[str, Program]]:
        folder, data = self._folder, self._data
        yield "sink", Program([sys.executable, str(self._stack.sink().resolve()), "--listen", addresses["sink"]])
        yield (
            "streaming",
            Program(
                [sys.executable, "-m", "streaming"],
                {
                    "PYTHONPATH": str((self._stack.path / "streaming/src").resolve()),
                    "STREAMING_HOST": "127.0.0.1",
                    "STREAMING_PORT": str(self.ports["streaming"]),
                    "STREAMING_WORKERS": str(self._spec.workers),
                    "STREAMING_DATABASE_URL": self._spec.database_url or f"sqlite:///{data / 'streaming.db'}",
                    # Not in memory: a service that was killed comes back with the cameras that were heard.
                    "STREAMING_REDIS_URL": self._spec.redis_url or "database://",
                    **token_variables(self._tokens),
                    **clock_variables(self._spec.clock),
                },
            ),
        )
        yield (
            "node-exporter",
            Program([self._binaries["node-exporter"], f"--web.listen-address={addresses['node-exporter']}"]),
        )
        if "postgres-exporter" in self._binaries:
            yield (
                "postgres-exporter",
                Program(
                    [self._binaries["postgres-exporter"], f"--web.listen-address={addresses['postgres-exporter']}"],
                    postgres_environment(self._spec.database_url or ""),
                ),
            )
        if "redis-exporter" in self._binaries:
            yield (
                "redis-exporter",
                Program(
                    [self._binaries["redis-exporter"], f"--web.listen-address={addresses['redis-exporter']}"],
                    redis_environment(self._spec.redis_url or ""),
                ),
            )
        yield (
            "alertmanager",
            Program(
                [
                    self._binaries["alertmanager"],
                    f"--config.file={folder / 'alertmanager.yml'}",
                    f"--storage.path={data / 'alertmanager'}",
                    f"--web.listen-address={addresses['alertmanager']}",
                    "--cluster.listen-address=",  # no gossip: it would listen on every address
                ],
                start_in=self._alertmanager.start_in,
            ),
        )
        yield (
            "prometheus",
            Program(
                [
                    self._binaries["prometheus"],
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={data / 'prometheus'}",
                    f"--web.listen-address={addresses['prometheus']}",
                    *self._flags(),
                ]
            ),
        )


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


def answers(url: str) -> bool:
    """Whether a URL answers 200 now."""
    try:
        with new_session() as session:
            return session.get(url, timeout=2.0).status_code == 200
    except requests.exceptions.RequestException:
        return False


# -- the stores of the streaming service -----------------------------------------------------------------------------


def store_problem(store: str, url: str | None) -> str | None:
    """Why this store's exporter has nothing to watch; None if the store answers."""
    variable = "STREAMING_DATABASE_URL" if store == "PostgreSQL" else "STREAMING_REDIS_URL"
    parts = _parts(url)
    schemes = ("postgresql", "postgres") if store == "PostgreSQL" else ("redis",)
    if parts is None or parts.scheme.partition("+")[0] not in schemes:
        embedded = "SQLite" if store == "PostgreSQL" else "memory"
        return f"there is no {store}: the service keeps this in {embedded} ({variable} names a server)"
    host, port = parts.hostname or "localhost", parts.port or (5432 if store == "PostgreSQL" else 6379)
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError as err:
        return f"{store} does not answer at {host}:{port} ({err.strerror or err})"
    return None


def _parts(url: str | None) -> SplitResult | None:
    try:
        parts = urlsplit(url or "")
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts


def postgres_environment(url: str) -> dict[str, str]:
    """Source: https://github.com/prometheus-community/postgres_exporter, environment variables."""
    parts = urlsplit(url)
    query = parts.query or "sslmode=disable"
    return {
        "DATA_SOURCE_URI": f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path or '/postgres'}?{query}",
        "DATA_SOURCE_USER": unquote(parts.username or ""),
        "DATA_SOURCE_PASS": unquote(parts.password or ""),
    }


def redis_environment(url: str) -> dict[str, str]:
    """Source: https://github.com/oliver006/redis_exporter, environment variables."""
    parts = urlsplit(url)
    return {
        "REDIS_ADDR": f"redis://{parts.hostname or 'localhost'}:{parts.port or 6379}",
        "REDIS_USER": unquote(parts.username or ""),
        "REDIS_PASSWORD": unquote(parts.password or ""),
    }
