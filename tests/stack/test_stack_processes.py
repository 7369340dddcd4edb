"""The stack as local processes, for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness.config import Config
from harness.engines.private import sweep
from harness.errors import InputError
from harness.stack.runtime import Health, Runtime, ServiceState
from tests.stack.stack_probes import (
    PATIENCE_S,
    add_camera,
    arguments_of_all_processes,
    cameras,
    eventually,
    notifications,
    query,
    scraped,
)

ROOT = Path(__file__).resolve().parents[2]


def test_four_of_six_targets_are_up_and_the_others_say_why(process_stack: Runtime) -> None:
    targets = {target.job: target for target in scraped(process_stack)}
    assert {job: target.health for job, target in targets.items()} == {
        "streaming": Health.UP,
        "node": Health.UP,
        "postgres": Health.ABSENT,
        "redis": Health.ABSENT,
        "prometheus": Health.UP,
        "alertmanager": Health.UP,
    }
    assert "STREAMING_DATABASE_URL" in targets["postgres"].reason
    assert "STREAMING_REDIS_URL" in targets["redis"].reason
    # What is not there is no target either: ServiceDown must not speak of it.
    assert {each["metric"]["job"] for each in query(process_stack, "up")} == {
        "streaming", "node", "prometheus", "alertmanager",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["streaming", "prometheus", "alertmanager", "sink"])
def test_a_killed_service_is_gone_and_comes_back_on_its_port(process_stack: Runtime, name: str) -> None:
    url = process_stack.url(name)
    process_stack.kill(name)
    killed = next(each for each in process_stack.services() if each.name == name)
    assert (killed.state, killed.reason) == (ServiceState.ENDED, "ended by SIGKILL")
    process_stack.restart(name)
    again = next(each for each in process_stack.services() if each.name == name)
    assert again.state is ServiceState.RUNNING
    assert again.url == url


def test_stored_state_survives_sigkill(process_stack: Runtime) -> None:
    add_camera(process_stack, "survivor")
    scraped(process_stack)
    [before] = query(process_stack, 'count_over_time(up{job="node"}[1h])')
    for name in ("streaming", "prometheus"):
        process_stack.kill(name)
        process_stack.restart(name)
    assert "survivor" in cameras(process_stack)
    [after] = query(process_stack, 'count_over_time(up{job="node"}[1h])')
    assert int(after["value"][1]) >= int(before["value"][1]) > 0


def test_a_service_that_is_down_is_notified_to_the_sink(process_stack: Runtime) -> None:
    """From a scrape that fails to a receiver: rules, clock, routes and the URL's file all at once."""
    process_stack.kill("streaming")
    try:
        eventually(
            lambda: any(
                alert["labels"]["alertname"] == "ServiceDown" and alert["labels"]["job"] == "streaming"
                for each in notifications(process_stack)
                for alert in each["notification"]["alerts"]
            ),
            "ServiceDown reached the sink",
        )
    finally:
        process_stack.restart("streaming")


def test_a_service_that_is_not_part_of_it(process_stack: Runtime) -> None:
    with pytest.raises(InputError, match="grafana is not part of this stack: grafana runs in containers only"):
        process_stack.restart("grafana")
    with pytest.raises(InputError, match=r"no service `promtheus` \(did you mean `prometheus`\?\)"):
        process_stack.kill("promtheus")


def test_tokens_are_nowhere_to_be_read(process_stack: Runtime) -> None:
    tokens = process_stack.tokens
    seen = arguments_of_all_processes() + repr(tokens)
    for name in ("streaming", "prometheus", "alertmanager", "sink"):
        seen += process_stack.logs(name)
    assert tokens.webhook not in seen
    assert tokens.faults not in seen
    assert len({tokens.webhook, tokens.faults}) == 2


def test_only_127_0_0_1(process_stack: Runtime) -> None:
    """No service listens anywhere else: also not Alertmanager's gossip."""
    pids = {each.pid for each in process_stack.services() if each.pid is not None}
    sockets = {
        os.readlink(handle)[8:-1]
        for pid in pids
        for handle in Path(f"/proc/{pid}/fd").iterdir()
        if handle.is_symlink() and os.readlink(handle).startswith("socket:[")
    }
    listening = {
        row[1].rpartition(":")[0]
        for table in ("tcp", "tcp6")
        for row in (line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if row[3] == "0A" and row[9] in sockets
    }
    assert listening == {"0100007F"}


def test_nothing_outlives_its_owner(tmp_path: Path, project: Config) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from harness.config import load_config
        from harness.stack.opening import RuntimeKind, throwaway
        from harness.stack.spec import ANY_PORTS, Spec
        from harness.toolchain import Toolchain
        spec = Spec(load_config(Path({str(ROOT)!r})), ports=ANY_PORTS)
        with throwaway(spec, Toolchain(), RuntimeKind.PROCESS) as stack:
            print(*(each.pid for each in stack.services() if each.pid), flush=True)
            time.sleep(600)
        """
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == 5, "sink, streaming, node exporter, Alertmanager, Prometheus"
        owner.send_signal(signal.SIGKILL)
        owner.wait(PATIENCE_S)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all are gone")
    assert len(list(tmp_path.glob("alert-harness-*"))) == 1
    sweep(tmp_path)  # as the next run does
    assert list(tmp_path.glob("alert-harness-*")) == []
