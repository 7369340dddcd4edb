"""A throwaway Prometheus as a child process: private folder, 127.0.0.1 only, gone with its owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import requests
import yaml

from harness.engines.base import Engine
from harness.engines.child import Child, free_port
from harness.prometheus import DEFAULTS, ServerSettings

_NO_FLAGS: tuple[str, ...] = ()


def server_flags(
    folder: str, listen: str, timeout_s: float, server: ServerSettings, more: Sequence[str] = ()
) -> list[str]:
    """The flags, the same for process and container, that make Prometheus take and query time-multiplexed slots.

    ``folder`` holds prometheus.yml; ``server`` says lookback and features; ``more`` are further flags, and one of the
    same name replaces ours, for Prometheus refuses most flags that stand twice.
    """
    ours = [
        f"--config.file={folder}/prometheus.yml",
        f"--web.listen-address={listen}",
        "--web.enable-remote-write-receiver",
        *server.flags("native-histograms"),  # until 3.8 they are refused without
        # Slots go back to 1973. Prometheus counts nanoseconds in an int64: 292 years are out of range.
        "--storage.tsdb.retention.time=100y",
        # The head must not cut a chunk per slot: each chunk that is read from the head walks the list of all its chunks
        # twice over (tsdb/head_read.go), so 1,000 slots of 41 samples took 6 s to query and take 0.05 s with these. At
        # the default of 120 samples a chunk's end is guessed from the pace of its first 30, before the gap to the next
        # slot is seen. Chunks still end at 1 KiB. A block duration also bounds how far back of the newest sample one
        # may write (half of it) and how much the head holds before it is compacted (one and a half): hence centuries.
        "--storage.tsdb.min-block-duration=90000d",
        "--storage.tsdb.max-block-duration=90000d",
        "--storage.tsdb.samples-per-chunk=30000",
        "--query.max-samples=2000000000",
        f"--query.timeout={max(1, round(timeout_s))}s",
        "--log.level=warn",
        # No flag about the lock file: upstream has --storage.tsdb.no-lockfile, some distributions turn it round, and
        # nobody else uses this folder.
    ]
    named = {flag.partition("=")[0] for flag in more}
    return [*(flag for flag in ours if flag.partition("=")[0] not in named), *more]


def config_text(extra: Mapping[str, object] | None, rule_files: Sequence[str], server: ServerSettings) -> str:
    """A prometheus.yml that scrapes nothing; ``extra`` are further top-level sections."""
    config: dict[str, object] = {"global": server.config()}
    config |= extra or {}
    if rule_files:
        config["rule_files"] = list(rule_files)
    return yaml.safe_dump(config, allow_unicode=True, sort_keys=False)


class ProcessEngine(Engine):
    """Prometheus started from a binary.

    ``prometheus`` is the binary; ``extra_config`` further sections of its configuration, ``rule_files`` rule files for
    its own rule manager, ``flags`` further flags; ``temp`` the folder for its private folder (default: the system's);
    ``server`` what it evaluates with.
    Raises EngineError, with its log, if it does not become ready within ``ready_timeout_s``.
    """

    kind: ClassVar[str] = "process"

    def __init__(
        self,
        prometheus: Path,
        *,
        rule_files: Sequence[Path] = (),
        extra_config: Mapping[str, object] | None = None,
        flags: Sequence[str] = _NO_FLAGS,
        temp: Path | None = None,
        ready_timeout_s: float = 30.0,
        timeout_s: float = 120.0,
        pick_port: Callable[[], int] = free_port,
        server: ServerSettings = DEFAULTS,
    ) -> None:
        super().__init__(timeout_s=timeout_s)
        self.server = server
        self._config = config_text(extra_config, [str(path.resolve()) for path in rule_files], server)
        self._flags = list(flags)
        self._child = Child(
            f"Prometheus ({prometheus})",
            prometheus,
            self._arguments,
            what="Prometheus",
            answers=self._is_ready,
            prepare=self._prepare,
            temp=temp,
            ready_timeout_s=ready_timeout_s,
            pick_port=pick_port,
            hint="is this a Prometheus of 2.53 or later?",
        )
        self._start()

    @property
    def _name(self) -> str:
        return self._child.name

    @property
    def pid(self) -> int | None:
        """The process id of Prometheus while it runs."""
        return self._child.pid

    @property
    def folder(self) -> Path | None:
        """Its private folder while it runs."""
        return self._child.folder

    def reset(self) -> None:
        self._child.close()
        self._start()

    def close(self) -> None:
        self._child.close()
        self._session.close()

    def log_tail(self) -> str:
        return self._child.log_tail()

    def _how_it_ended(self) -> str | None:
        return self._child.how_it_ended()

    def _start(self) -> None:
        self._child.start()
        self._base = self._child.url
        try:
            self._read_version()
        except BaseException:
            self._child.close()
            raise

    def _prepare(self, folder: Path) -> None:
        (folder / "prometheus.yml").write_text(self._config, encoding="utf-8")

    def _arguments(self, folder: Path, port: int) -> list[str]:
        return [
            f"--storage.tsdb.path={folder / 'data'}",
            *server_flags(str(folder), f"127.0.0.1:{port}", self._timeout_s, self.server, self._flags),
        ]

    def _is_ready(self, url: str, folder: Path, timeout_s: float) -> bool:
        """Whether *our* Prometheus answers: on a lost port somebody else's would, until ours has ended."""
        try:
            if self._session.get(f"{url}/-/ready", timeout=timeout_s).status_code != 200:
                return False
            flags = self._session.get(f"{url}/api/v1/status/flags", timeout=timeout_s).json()
            return bool(flags["data"]["storage.tsdb.path"] == str(folder / "data"))
        except (requests.exceptions.RequestException, ValueError, KeyError, TypeError):
            return False
