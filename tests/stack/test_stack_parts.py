"""The stack's parts by themselves: ports, configurations, what is known of the service."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from streaming.settings import Settings

from harness.config import Config, load_config
from harness.errors import EngineError, InputError, UnsupportedError
from harness.live.clock import Clock
from harness.stack import streaming
from harness.stack.configs import StackFolder, local_alertmanager, local_prometheus, write_rules
from harness.stack.containers import files
from harness.stack.local import stores
from harness.stack.ports import claim, is_free, listener
from harness.stack.services import SERVICES
from harness.stack.spec import Spec, read_tokens

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = {"streaming": "127.0.0.1:1001", "prometheus": "127.0.0.1:1002", "alertmanager": "127.0.0.1:1003"}


def test_the_services_defaults_are_the_services_own() -> None:
    """On a faster clock they are divided, so they must be known here."""
    settings = Settings.from_environment({})
    assert settings.camera_timeout_ms == streaming.CAMERA_TIMEOUT_MS
    assert settings.camera_status_interval_ms == streaming.CAMERA_STATUS_INTERVAL_MS
    assert streaming.clock_variables(Clock(30)) == {
        "STREAMING_CAMERA_TIMEOUT": "3s",
        "STREAMING_CAMERA_STATUS_INTERVAL": "500ms",
    }


def test_ports_are_claimed_or_named_with_who_has_them() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert not is_free(port)
        assert listener(port).pid == os.getpid()
        with pytest.raises(
            EngineError, match=rf"port {port} for sink is taken by .* \(process {os.getpid()}\)"
        ) as said:
            claim({"prometheus": 0, "sink": port})
        assert said.value.hint is not None
        assert "--port sink=0" in said.value.hint
    assert claim({"sink": port}) == {"sink": port}
    found = claim(dict.fromkeys(SERVICES, 0))
    assert len(set(found.values())) == len(SERVICES)


def test_addresses_become_local_and_absent_targets_go(project: Config) -> None:
    stack = StackFolder(project)
    made = local_prometheus(stack.prometheus(), ADDRESSES, [Path("/rules/a.yml")], Clock(1))
    assert made["rule_files"] == ["/rules/a.yml"]
    jobs = {job["job_name"]: job["static_configs"] for job in made["scrape_configs"]}
    assert set(jobs) == {"streaming", "prometheus", "alertmanager"}
    assert jobs["streaming"] == [{"targets": ["127.0.0.1:1001"], "labels": {"instance": "streaming-1:8001"}}]
    assert jobs["prometheus"][0]["targets"] == ["127.0.0.1:1002"]
    assert made["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["127.0.0.1:1003"]


def test_a_host_that_is_no_service_is_named(project: Config) -> None:
    config: dict[str, Any] = {"scrape_configs": [{"job_name": "x", "static_configs": [{"targets": ["elsewhere:80"]}]}]}
    with pytest.raises(InputError, match="no service of the stack answers at `elsewhere:80`"):
        local_prometheus(config, ADDRESSES, [], Clock(1))


def test_secrets_are_looked_up_in_our_folder(project: Config, tmp_path: Path) -> None:
    made = local_alertmanager(StackFolder(project).alertmanager(), tmp_path, Clock(1))
    text = yaml.safe_dump(made)
    assert "/run/secrets/" not in text
    assert text.count(f"url_file: {tmp_path}/alert_webhook_url") == len(made["receivers"])


def test_rules_are_the_projects_own_in_real_time(project: Config, tmp_path: Path) -> None:
    assert write_rules(project, Clock(1), tmp_path / "rules") == sorted((ROOT / "rules").resolve().glob("*.yml"))
    assert not (tmp_path / "rules").exists()
    copies = write_rules(project, Clock(30), tmp_path / "rules")
    assert [copy.parent for copy in copies] == [tmp_path / "rules"] * 3
    assert "for: 10s" in "".join(copy.read_text(encoding="utf-8") for copy in copies)
    with pytest.raises(UnsupportedError, match="no whole number of milliseconds"):
        write_rules(project, Clock(7), tmp_path / "other")


def test_groups_and_flags_are_those_of_the_stacks_prometheus(tmp_path: Path) -> None:
    """Its evaluation interval where a group has none, and the project's keys for what prometheus.yml cannot hold."""
    (tmp_path / "fixtures" / "monitoring").mkdir(parents=True)
    (tmp_path / "fixtures/monitoring/prometheus.yml").write_text("global: {evaluation_interval: 20s}", encoding="utf-8")
    rules = "groups: [{name: g, rules: [{alert: A, expr: 'max_over_time(x[10m:]) > 1'}]}]"
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    project = Config(tmp_path, rules=("rules.yml",), lookback_ms=120_000, features=("promql-experimental-functions",))
    clock = replace(Clock(10), server=StackFolder(project).server())
    (copy,) = write_rules(project, clock, tmp_path / "copies")
    text = copy.read_text(encoding="utf-8")
    assert "interval: 2s" in text
    assert "max_over_time(x[1m:2s]) > 1" in text
    assert {"--query.lookback-delta=12s", "--enable-feature=promql-experimental-functions"} <= set(clock.flags())


@pytest.mark.parametrize(
    ("store", "url", "reason"),
    [
        ("PostgreSQL", None, "the service keeps this in SQLite (STREAMING_DATABASE_URL names a server)"),
        ("PostgreSQL", "sqlite:////data/x.db", "the service keeps this in SQLite"),
        ("PostgreSQL", "postgresql+psycopg://u:topsecret@127.0.0.1:1/x", "PostgreSQL does not answer at 127.0.0.1:1"),
        ("Redis", None, "(STREAMING_REDIS_URL names a server)"),
        ("Redis", "redis://:topsecret@127.0.0.1:1/0", "Redis does not answer at 127.0.0.1:1"),
    ],
)
def test_why_an_exporter_has_nothing_to_watch(store: str, url: str | None, reason: str) -> None:
    said = stores.store_problem(store, url)
    assert said is not None
    assert reason in said
    assert "topsecret" not in said


def test_exporters_get_passwords_by_their_environment() -> None:
    assert stores.postgres_environment("postgresql+psycopg://cams:p%40ss@db:5433/video") == {
        "DATA_SOURCE_URI": "db:5433/video?sslmode=disable",
        "DATA_SOURCE_USER": "cams",
        "DATA_SOURCE_PASS": "p@ss",
    }
    assert stores.redis_environment("redis://:s3cret@cache/0") == {
        "REDIS_ADDR": "redis://cache:6379",
        "REDIS_USER": "",
        "REDIS_PASSWORD": "s3cret",
    }


def test_an_env_file_is_made_for_our_eyes_only(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    files.make_env_file(file)
    assert file.stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines() if "=" in line)
    example = (ROOT / "fixtures/.env.example").read_text(encoding="utf-8")
    assert all(f"{name}=" in example for name in values)
    assert all(values.values())


def test_secrets_do_not_show(project: Config, tmp_path: Path) -> None:
    spec = Spec(
        project, database_url="postgresql://u:topsecret@h/d", redis_url="redis://:topsecret@h", webhook_url="topsecret"
    )
    assert "topsecret" not in repr(spec)
    assert read_tokens(tmp_path / "absent.json") is None


def test_the_stacks_folder_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "alert-harness.toml").write_text('stack = "deploy/stack"\n', encoding="utf-8")
    assert StackFolder(load_config(tmp_path)).path == tmp_path / "deploy/stack"
