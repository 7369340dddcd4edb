"""The throwaway servers of one world: Prometheus with the compressed rules, Alertmanager, exporter, webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import requests
import yaml

from harness.engines.base import Engine, new_session
from harness.engines.child import Child
from harness.toolchain import Tool


class Opener(Protocol):
    """How a live Prometheus is started: as a process or in a container."""

    kind: str

    def __call__(
        self, rule_files: Sequence[Path], extra_config: Mapping[str, object], flags: Sequence[str]
    ) -> Engine: ...


class ProcessOpener:
    """Prometheus as a child process."""

    kind = "process"

    def __init__(self, binary: Path) -> None:
        self._binary = binary

    def __call__(self, rule_files: Sequence[Path], extra_config: Mapping[str, object], flags: Sequence[str]) -> Engine:
        from harness.engines.process import ProcessEngine

        return ProcessEngine(self._binary, rule_files=rule_files, extra_config=extra_config, flags=flags)


class ContainerOpener:
    """Prometheus in a container that shares the machine's network, so that it reaches exporter and Alertmanager."""

    kind = "docker"

    def __init__(self, image: str | None) -> None:
        self._image = image

    def __call__(self, rule_files: Sequence[Path], extra_config: Mapping[str, object], flags: Sequence[str]) -> Engine:
        from harness.engines.container import ContainerEngine

        return ContainerEngine(
            self._image, rule_files=rule_files, extra_config=extra_config, flags=flags, host_network=True
        )


class Alertmanager:
    """A throwaway Alertmanager as a child process, without cluster; raises EngineError if it does not become ready."""

    def __init__(self, tool: Tool, config: Mapping[str, Any]) -> None:
        self._text = yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False)
        self._session = new_session()
        self._child = Child(
            f"Alertmanager ({tool.path})",
            tool.path,
            self._arguments,
            what="Alertmanager",
            answers=self._answers,
            prepare=self._prepare,
            start_in=tool.start_in,
            hint="is this an Alertmanager of 0.22 or later, and is its configuration one that it takes?",
        )
        self._child.start()

    @property
    def url(self) -> str:
        return self._child.url

    @property
    def config_file(self) -> Path:
        """The configuration that it runs with; gone once it is closed."""
        if self._child.folder is None:
            raise AssertionError("a closed Alertmanager has no files")
        return self._child.folder / "alertmanager.yml"

    def _prepare(self, folder: Path) -> None:
        (folder / "alertmanager.yml").write_text(self._text, encoding="utf-8")

    def _arguments(self, folder: Path, port: int) -> list[str]:
        return [
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def _answers(self, url: str, folder: Path, timeout_s: float) -> bool:
        try:
            if self._session.get(f"{url}/-/ready", timeout=timeout_s).status_code != 200:
                return False
            status = self._session.get(f"{url}/api/v2/status", timeout=timeout_s).json()
            return f"{self._text.splitlines()[0]}" in str(status["config"]["original"]) and self._child.pid is not None
        except (requests.exceptions.RequestException, ValueError, KeyError, TypeError):
            return False

    def inhibitors(self) -> dict[str, list[str]]:
        """Which alerts are inhibited now: name of the alert → names of those that silence it."""
        try:
            found = self._session.get(f"{self.url}/api/v2/alerts", timeout=5.0).json()
        except (requests.exceptions.RequestException, ValueError):
            return {}
        names = {alert["fingerprint"]: alert["labels"].get("alertname", "") for alert in found}
        return {
            alert["labels"].get("alertname", ""): [names.get(each, each) for each in alert["status"]["inhibitedBy"]]
            for alert in found
            if alert["status"]["inhibitedBy"]
        }

    def close(self) -> None:
        self._child.close()
        self._session.close()
