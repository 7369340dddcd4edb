"""The monitoring configurations of the stack's folder, as local processes on a clock need them.

Nothing is written twice: prometheus.yml and alertmanager.yml are read as they stand, host names of containers become
addresses on 127.0.0.1, rule files are the project's own, and the clock divides what is a duration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.config import Config, rule_files
from harness.errors import InputError
from harness.live.clock import Clock
from harness.prometheus import ServerSettings, read_prometheus_yml
from harness.rules import load_rules
from harness.rules.copies import copy_of
from harness.source import SourceFile, display_path, unshared
from harness.stack.services import SERVICES

SECRETS = "/run/secrets/"
"""Where containers find their secrets; paths below it are looked up in a folder of ours."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """A scrape target as prometheus.yml has it: the job, the service that answers, and its `instance` label."""

    job: str
    service: str
    instance: str


@dataclass(frozen=True, slots=True)
class StackFolder:
    """The folder that holds compose.yaml, monitoring/ and streaming/; raises InputError for what is missing in it."""

    config: Config

    @property
    def path(self) -> Path:
        return self.config.folder / self.config.stack

    @property
    def compose_file(self) -> Path:
        return self._there("compose.yaml")

    def _there(self, name: str) -> Path:
        file = self.path / name
        if not file.exists():
            raise InputError(
                f"{display_path(file)} does not exist",
                span=self.config.places.get("stack"),
                hint="set `stack` in [tool.alert-harness] to the folder that holds compose.yaml, monitoring/ and "
                "streaming/",
            )
        return file

    def sink(self) -> Path:
        """The program that takes notifications where no webhook is set."""
        return self._there("sink.py")

    def prometheus(self) -> dict[str, Any]:
        """monitoring/prometheus.yml."""
        return self._yaml("monitoring/prometheus.yml")

    def server(self) -> ServerSettings:
        """What the stack's Prometheus runs with: its own configuration, and the project's keys for its flags."""
        told, keys = read_prometheus_yml(self._there("monitoring/prometheus.yml")), self.config.server()
        return replace(told, lookback_ms=keys.lookback_ms, features=keys.features)

    def alertmanager(self) -> dict[str, Any]:
        """monitoring/alertmanager.yml."""
        return self._yaml("monitoring/alertmanager.yml")

    def _yaml(self, name: str) -> dict[str, Any]:
        file = self._there(name)
        try:
            found = yaml.safe_load(SourceFile.read(file).text)
        except (ValueError, yaml.YAMLError) as err:  # also no date, or more digits than Python takes
            raise InputError(f"{display_path(file)} is no YAML: {err}", hint="correct it") from err
        if not isinstance(found, dict):
            raise InputError(f"{display_path(file)} must be a mapping", hint="see docs/monitoring.md")
        return found

    def compose_model(self) -> dict[str, Any]:
        """compose.yaml as it stands, variables and all."""
        return self._yaml("compose.yaml")

    def scraped(self) -> list[Scraped]:
        """The scrape targets, in the order of prometheus.yml."""
        found = []
        for job in self.prometheus().get("scrape_configs") or []:
            for group in job.get("static_configs") or []:
                for address in group.get("targets") or []:
                    instance = (group.get("labels") or {}).get("instance", address)
                    found.append(Scraped(job["job_name"], service_at(address), instance))
        return found


def service_at(address: str) -> str:
    """The service behind ``host:port`` of prometheus.yml; InputError if there is none."""
    host, _, _port = address.rpartition(":")
    if host in SERVICES:
        return host
    if host in ("localhost", "127.0.0.1"):  # from where Prometheus stands: Prometheus itself
        return "prometheus"
    raise InputError(
        f"monitoring/prometheus.yml: no service of the stack answers at `{address}`",
        hint=f"hosts are {', '.join(SERVICES)}",
    )


def local_prometheus(
    config: Mapping[str, Any], addresses: Mapping[str, str], rules: Sequence[Path], clock: Clock
) -> dict[str, Any]:
    """prometheus.yml for processes on this machine; ``addresses`` maps the services that run to ``host:port``.

    Targets of services that do not run are left out: ServiceDown is for what ought to be there.
    """
    made = unshared(config)
    made["rule_files"] = [str(path) for path in rules]
    for job in made.get("scrape_configs") or []:
        job["static_configs"] = list(_local_groups(job.get("static_configs") or [], addresses))
    made["scrape_configs"] = [job for job in made.get("scrape_configs") or [] if job["static_configs"]]
    for manager in (made.get("alerting") or {}).get("alertmanagers") or []:
        manager["static_configs"] = list(_local_groups(manager.get("static_configs") or [], addresses))
    return clock.prometheus(made)


def _local_groups(groups: Sequence[dict[str, Any]], addresses: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for group in groups:
        services = [service_at(address) for address in group.get("targets") or []]
        targets = [addresses[name] for name in services if name in addresses]
        if targets:
            yield group | {"targets": targets}


def local_alertmanager(config: Mapping[str, Any], secrets: Path, clock: Clock) -> dict[str, Any]:
    """alertmanager.yml for a process on this machine, whose secrets are files in `secrets`."""
    made: dict[str, Any] = _moved(config, secrets)
    return clock.alertmanager(made)


def _moved(node: Any, secrets: Path) -> Any:
    """The same tree, where strings that name a container's secret name ours."""
    if isinstance(node, dict):
        return {key: _moved(value, secrets) for key, value in node.items()}
    if isinstance(node, list):
        return [_moved(value, secrets) for value in node]
    if isinstance(node, str) and node.startswith(SECRETS):
        return str(secrets / node.removeprefix(SECRETS))
    return node


def write_rules(config: Config, clock: Clock, folder: Path) -> list[Path]:
    """The rule files to load: the project's own in real time, else copies for the clock in `folder`, and of what
    Prometheus would not read as it is. The clock knows the settings of the Prometheus that loads them."""
    written = []
    sources = [path.resolve() for path in rule_files(config.rules, config.folder)]
    for number, file in enumerate(load_rules(sources, clock.server)):
        if clock.factor == 1 and file.as_it_is:
            written.append(file.path)
            continue
        folder.mkdir(exist_ok=True)
        # Two files of one name may lie in different folders.
        target = folder / f"{number}-{file.path.stem}.yml"
        target.write_text(copy_of(file).text if clock.factor == 1 else clock.rules(file), encoding="utf-8")
        written.append(target)
    return written


def write_yaml(file: Path, content: Mapping[str, Any]) -> None:
    """Write a configuration."""
    file.write_text(yaml.safe_dump(dict(content), allow_unicode=True, sort_keys=False), encoding="utf-8")
