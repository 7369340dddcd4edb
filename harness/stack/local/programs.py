"""The programs of a stack on this machine: which there are, what they are configured with, how each is started."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.live.clock import Clock
from harness.stack.configs import StackFolder, local_alertmanager, local_prometheus, write_rules, write_yaml
from harness.stack.local.stores import postgres_environment, redis_environment, store_problem
from harness.stack.runtime import Tokens
from harness.stack.services import SERVICES
from harness.stack.spec import Spec, write_private
from harness.stack.streaming import clock_variables, token_variables
from harness.toolchain import Tool, Toolchain

_TOOLS = {"prometheus": "prometheus", "alertmanager": "alertmanager", "node-exporter": "node_exporter"}
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


@dataclass(frozen=True, slots=True)
class Binary:
    """An executable, and the folder that it must be started in, None for any."""

    path: str
    start_in: Path | None = None

    @classmethod
    def of(cls, tool: Tool) -> Binary:
        return cls(str(tool.path), tool.start_in)


def find_binaries(spec: Spec, tools: Toolchain) -> tuple[dict[str, Binary], dict[str, str]]:
    """The binaries by service, and by service why it cannot be part of this run.

    Raises EngineError for a tool without which there is no stack.
    """
    found = {name: Binary.of(tools.find(tool)) for name, tool in _TOOLS.items()}
    absent = {}
    for name, store, url in (
        ("postgres-exporter", "PostgreSQL", spec.database_url),
        ("redis-exporter", "Redis", spec.redis_url),
    ):
        binary = next((path for program in _EXPORTERS[name] if (path := shutil.which(program))), None)
        if (reason := store_problem(store, url)) is not None:
            absent[name] = reason
        elif binary is None:
            absent[name] = f"{store} is there, but no {' or '.join(_EXPORTERS[name])} is on PATH"
        else:
            found[name] = Binary(binary)
    for each in SERVICES.values():
        if each.containers_only:
            absent[each.name] = f"{each.name} runs in containers only: --runtime compose"
    return found, absent


@dataclass(frozen=True, slots=True)
class LocalPrograms:
    """What the programs of one stack are made of.

    ``folder`` takes configurations, logs and secrets, ``data`` what outlives the stack; ``binaries`` and ``ports`` are
    by service.
    """

    spec: Spec
    stack: StackFolder
    folder: Path
    data: Path
    ports: Mapping[str, int]
    tokens: Tokens
    binaries: Mapping[str, Binary]

    def write(self) -> dict[str, Program]:
        """Write the configurations; how to start each service, in the order of starting."""
        for folder in (self.folder / "logs", self.folder / "secrets", self.data):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        addresses = {name: self._address(name) for name in self.ports}
        rules = write_rules(self.spec.config, self._clock, self.folder / "rules")
        prometheus = local_prometheus(self.stack.prometheus(), addresses, rules, self._clock)
        write_yaml(self.folder / "prometheus.yml", prometheus)
        secrets = self.folder / "secrets"
        alertmanager = local_alertmanager(self.stack.alertmanager(), secrets, self._clock)
        write_yaml(self.folder / "alertmanager.yml", alertmanager)
        write_private(secrets / "alert_webhook_url", self.spec.webhook_url or f"http://{addresses['sink']}/")
        return {
            "sink": Program([sys.executable, str(self.stack.sink().resolve()), "--listen", addresses["sink"]]),
            "streaming": self._streaming(),
            **dict(self._exporters()),
            "alertmanager": self._alertmanager(),
            "prometheus": self._prometheus(),
        }

    def _address(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    @property
    def _clock(self) -> Clock:
        """The stack's clock, which knows what its Prometheus runs with."""
        return replace(self.spec.clock, server=self.stack.server())

    def _streaming(self) -> Program:
        return Program(
            [sys.executable, "-m", "streaming"],
            {
                "PYTHONPATH": str((self.stack.path / "streaming/src").resolve()),
                "STREAMING_HOST": "127.0.0.1",
                "STREAMING_PORT": str(self.ports["streaming"]),
                "STREAMING_WORKERS": str(self.spec.workers),
                "STREAMING_DATABASE_URL": self.spec.database_url or f"sqlite:///{self.data / 'streaming.db'}",
                # Not in memory: a service that was killed comes back with the cameras that were heard.
                "STREAMING_REDIS_URL": self.spec.redis_url or "database://",
                **token_variables(self.tokens),
                **clock_variables(self.spec.clock),
            },
        )

    def _exporters(self) -> Iterator[tuple[str, Program]]:
        """Those that are part of this run."""
        environments: dict[str, Callable[[], dict[str, str]]] = {
            "node-exporter": dict,
            "postgres-exporter": lambda: postgres_environment(self.spec.database_url or ""),
            "redis-exporter": lambda: redis_environment(self.spec.redis_url or ""),
        }
        for name, environment in environments.items():
            if name in self.binaries:
                listen = f"--web.listen-address={self._address(name)}"
                yield name, Program([self.binaries[name].path, listen], environment())

    def _alertmanager(self) -> Program:
        return Program(
            [
                self.binaries["alertmanager"].path,
                f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.data / 'alertmanager'}",
                f"--web.listen-address={self._address('alertmanager')}",
                "--cluster.listen-address=",  # no gossip: it would listen on every address
            ],
            start_in=self.binaries["alertmanager"].start_in,
        )

    def _prometheus(self) -> Program:
        clock = self._clock
        return Program(
            [
                self.binaries["prometheus"].path,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.data / 'prometheus'}",
                f"--web.listen-address={self._address('prometheus')}",
                # What its configuration cannot hold.
                *(clock.flags() if clock.factor > 1 else clock.server.flags()),
            ]
        )
