"""A run that is interrupted or killed leaves nothing; one on a machine that is too busy says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from harness.alertmanager.file import AlertmanagerFile
from harness.choices.shared import RunChoices
from harness.commands import live as command
from harness.config import load_config
from harness.contracts import load_contracts
from harness.engines.base import Engine
from harness.engines.private import sweep
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.live.clock import Clock
from harness.live.model import LiveReport, LiveVerdict
from harness.live.run import Tools, live
from harness.rules import load_rules
from harness.toolchain import Toolchain
from tests.live.live_project import left_in, write_project

ROOT = Path(__file__).resolve().parents[2]


def until(condition: object, timeout_s: float = 30.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if callable(condition) and condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("phase", ["starting", "running"])
def test_nothing_stays_behind(tmp_path: Path, number: signal.Signals, phase: str) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    project = write_project(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "live", "--engine", "process"],
        cwd=project,
        env={**os.environ, "TMPDIR": str(temp), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith(f"live: {phase}"):
            break
    if phase == "starting":
        assert until(lambda: left_in(temp))
    child.send_signal(number)
    child.stderr.read()
    code = child.wait(timeout=30)
    if number is signal.SIGKILL:
        assert until(lambda: not any(name.isdigit() for name in left_in(temp))), left_in(temp)
        sweep(temp)
    else:
        assert code == 128 + number
    assert left_in(temp) == []


class Stopped:
    """Opens a live Prometheus whose process is held up in mid-run, the first so many times; `often` in a run."""

    kind = "process"

    def __init__(self, binary: Path, times: int, seconds: float, often: int) -> None:
        self.binary = binary
        self.times = times
        self.seconds = seconds
        self.often = often

    def __call__(self, rule_files: Sequence[Path], extra_config: Mapping[str, object], flags: Sequence[str]) -> Engine:
        engine = ProcessEngine(self.binary, rule_files=rule_files, extra_config=extra_config, flags=flags)
        if self.times:
            self.times -= 1
            threading.Thread(target=self._hold_up, args=(engine.pid,), daemon=True).start()
        return engine

    def _hold_up(self, pid: int) -> None:
        time.sleep(7.5)
        with suppress(ProcessLookupError):  # the run is over
            for _ in range(self.often):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(self.seconds)
                os.kill(pid, signal.SIGCONT)
                time.sleep(1.5)


def held_up(
    tmp_path: Path, toolchain: Toolchain, times: int, hold: str, seconds: float = 2.5, often: int = 1
) -> LiveReport:
    project = write_project(tmp_path, hold=hold)
    binary = toolchain.find("prometheus").path
    tools = Tools(
        Stopped(binary, times, seconds, often),
        lambda: ProcessEngine(binary),
        toolchain.find("alertmanager"),
        toolchain.find("amtool"),
        Promtool(toolchain.find("promtool").path),
    )
    return live(
        load_rules([project / "rules.yml"]),
        load_contracts([project / "contracts.yml"]),
        tools,
        AlertmanagerFile.load(project / "routes.yml", None),
        Clock(60),
    )


@pytest.mark.system
def test_a_machine_that_was_too_busy_is_no_wrong_rule(tmp_path: Path, toolchain: Toolchain) -> None:
    """Held up once, the run is repeated at half the speed, and that one is believed."""
    report = held_up(tmp_path, toolchain, 1, "1m")
    assert [attempt.factor for attempt in report.attempts] == [60]
    assert "missed" in report.attempts[0].reason
    assert report.factor == 30
    assert [result.verdict for result in report.results] == [LiveVerdict.EXACT]


@pytest.mark.slow
def test_a_machine_that_is_always_too_busy_is_never_exact(tmp_path: Path, toolchain: Toolchain) -> None:
    report = held_up(tmp_path, toolchain, 9, "3m", seconds=5, often=9)
    assert [attempt.factor for attempt in report.attempts] == [60, 30]
    assert [result.verdict for result in report.results] == [LiveVerdict.TOO_BUSY]
    assert not report.exact


@pytest.mark.docker
@pytest.mark.system
def test_in_a_container(tmp_path: Path, image: str) -> None:
    project = write_project(tmp_path)
    report = command.run(load_config(project), RunChoices(engine="docker", image=image))
    assert report.engine == "docker"
    assert [result.verdict for result in report.results] == [LiveVerdict.EXACT]
