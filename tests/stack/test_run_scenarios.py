"""Scenarios on a real stack: real traffic, real faults, and what Prometheus and Alertmanager make of them."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import jsonschema
import pytest

from harness.cli import main
from harness.commands.stack_run import COMPRESS
from harness.config import load_config, rule_files
from harness.engines.owner import processes_with
from harness.errors import EXIT_FINDINGS, EXIT_INPUT
from harness.live.clock import Clock
from harness.report.scenario.terminal import conclusion
from harness.rules import load_rules
from harness.stack.containers.files import ENV_FILES
from harness.stack.opening import RuntimeKind, throwaway
from harness.stack.runtime import Runtime
from harness.stack.scenarios.load import Traffic
from harness.stack.scenarios.run import play, played_on_own
from harness.stack.scenarios.scenario import find_scenario, load_scenario
from harness.stack.spec import ANY_PORTS, Spec
from harness.toolchain import Toolchain
from tests.needs import binary_of

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(file.stem for file in (ROOT / "fixtures" / "scenarios").glob("*.yml"))
SCHEMA = json.loads((ROOT / "docs" / "schema" / "scenario.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    binary_of("prometheus", "3.5")
    monkeypatch.chdir(ROOT)


def played(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object], str]:
    """Exit code, the JSON document, and what was told beside it."""
    code = main(["stack", "run", *arguments, "--json", "-", "--report", "none"])
    out, err = capsys.readouterr()
    document = json.loads(out)
    jsonschema.validate(document, SCHEMA)
    return code, document, err


@pytest.fixture(scope="module", params=[RuntimeKind.PROCESS, RuntimeKind.COMPOSE], ids=lambda kind: str(kind.value))
def stack(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """A stack of each runtime on a fast clock, one after the other: each wants the machine for itself."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param is RuntimeKind.COMPOSE:
            patch.setenv(ENV_FILES, request.getfixturevalue("local_images"))
        with throwaway(Spec(load_config(ROOT), Clock(COMPRESS), ANY_PORTS), Toolchain(), request.param) as stack:
            yield stack


@pytest.mark.system
@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_ends_as_it_says(name: str, stack: Runtime) -> None:
    config = load_config(ROOT)
    files = load_rules(rule_files(config.rules, config.folder))
    scenario = find_scenario(name, ROOT / "fixtures" / "scenarios")
    said: list[str] = []
    result = play(scenario, files, stack, seed=1, step=said.append)
    if not result.passed and result.busy:  # as `stack run` does it
        kind, slower = RuntimeKind.of(stack.kind), COMPRESS // 2
        spec = Spec(config, Clock(slower), ANY_PORTS)
        with played_on_own(scenario, files, spec, Toolchain(), kind, seed=1, step=said.append) as (_, result):
            pass
    told = [conclusion(result), result.busy, *(str(judged) for judged in result.judged), *said]
    assert result.passed, "\n".join(told)
    assert result.tally.not_sent == 0
    if not any(fault.crash for fault in scenario.faults):
        assert result.counted == result.tally.total


SHORT = """\
version: 1
name: short
means: Recordings fail, and somebody wrote down the wrong alert.
lasts: 12m
load: {{requests_per_s: 20, recordings_per_s: 1, cameras: 3, streams: 2}}
faults:
  - {{at: 1m, until: 10m, recording_failures: 1}}
expect:
  - {{alert: {alert}, fires: {{from: 5m, to: 10m}}}}
tolerate:
  - {{alerts: [HighCPUUsage, HighMemoryUsage, LowDiskSpace], because: other work}}
"""


@pytest.mark.system
def test_a_wrong_expectation_is_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The alert that was meant stays quiet, another fires: both are told, and the exit code says no."""
    file = tmp_path / "short.yml"
    file.write_text(SHORT.format(alert="HighCameraOfflineRate"), encoding="utf-8")
    code, document, _ = played(capsys, str(file), "--runtime", "process")
    assert code == EXIT_FINDINGS
    alerts = document["alerts"]
    assert isinstance(alerts, list)
    judged = {alert["alert"]: alert["judgement"] for alert in alerts}
    assert judged["HighCameraOfflineRate"] == "did_not_fire"
    assert judged["RecordingFailures"] == "unexpected"


@pytest.mark.system
def test_a_machine_that_was_held_up_is_no_wrong_rule(tmp_path: Path) -> None:
    """An exporter that gets no time for four seconds looks dead at 60x; the run is repeated, and that one believed."""
    file = tmp_path / "short.yml"
    file.write_text(SHORT.format(alert="RecordingFailures"), encoding="utf-8")
    config = load_config(ROOT)
    files = load_rules(rule_files(config.rules, config.folder))
    said: list[str] = []
    threads: list[threading.Thread] = []

    def exporters() -> set[int]:
        return {pid for pid in processes_with("node_exporter") if parent_of(pid) == os.getpid()}

    others = exporters()

    def hold_up() -> None:
        (pid,) = exporters() - others
        os.kill(pid, signal.SIGSTOP)
        time.sleep(4)  # four minutes of the scenario; the hold is one
        os.kill(pid, signal.SIGCONT)

    def step(line: str) -> None:
        said.append(line)
        if "recordings" in line and not threads:
            threads.append(threading.Thread(target=hold_up))
            threads[0].start()

    scenario, spec = load_scenario(file), Spec(config, Clock(60), ANY_PORTS)
    with played_on_own(scenario, files, spec, Toolchain(), RuntimeKind.PROCESS, seed=1, step=step) as (stack, result):
        assert stack.clock.factor == 30
    threads[0].join()
    assert (result.passed, result.factor) == (True, 30), conclusion(result)
    ((factor, reason),) = [(each.factor, each.reason) for each in result.attempts]
    assert factor == 60
    assert "scrapes ran into their time-out" in reason
    assert any(line.startswith("the machine was too busy (") for line in said), said


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def test_an_unknown_scenario_names_the_near_miss(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "run", "error-brust"]) == EXIT_INPUT
    assert "did you mean `error-burst`" in capsys.readouterr().err


def test_traffic_is_counted_to_the_last_request(tmp_path: Path) -> None:
    """What the load tallies is what the service's own counters say, also while requests fail."""
    file = tmp_path / "short.yml"
    file.write_text(SHORT.format(alert="RecordingFailures"), encoding="utf-8")
    config = load_config(ROOT)
    spec = Spec(config, Clock(30), ANY_PORTS)
    with throwaway(spec, Toolchain(), RuntimeKind.PROCESS) as stack:
        faults = Request(
            f"{stack.url('streaming')}/faults",
            data=b'{"error_ratio": 0.01}',
            method="PUT",
            headers={"Authorization": f"Bearer {stack.tokens.faults}", "Content-Type": "application/json"},
        )
        with Traffic(
            stack.url("streaming"), load_scenario(file).load, factor=30, seed=7, webhook_token=stack.tokens.webhook
        ) as traffic:
            urlopen(faults, timeout=5).close()
            time.sleep(3)
        with urlopen(f"{stack.url('streaming')}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    counted = sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("http_requests_total{") and 'endpoint="/api/' in line
    )
    assert traffic.tally.total > 60
    assert counted == traffic.tally.total
    assert traffic.tally.unanswered == 0
