"""`stack up|status|down|logs`: a stack that stays up, and what is left when somebody is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from harness.config import Config
from harness.errors import EXIT_ENGINE, EXIT_FINDINGS, EXIT_INPUT, EXIT_OK
from harness.live.clock import Clock
from harness.stack.keeper import order_of
from harness.stack.kept import KeptRuntime
from harness.stack.services import SERVICES
from harness.stack.spec import Spec
from harness.stack.standing import running
from harness.stack.state import StateFolder
from tests.needs import binary_of
from tests.stack.stack_probes import PATIENCE_S, add_camera, cameras, eventually, processes_of

ROOT = Path(__file__).resolve().parents[2]
ANYWHERE = [f"--port={name}=0" for name in SERVICES]
UP = ["stack", "up", "--runtime", "process", *ANYWHERE]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch, state: Path) -> Iterator[None]:
    binary_of("prometheus", "3.5")
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    yield
    assert main(["stack", "down", "--volumes"]) == EXIT_OK
    eventually(lambda: processes_of(state) == [], "nothing is left running")


def test_up_status_logs_down(capsys: pytest.CaptureFixture[str], project: Config, state: Path) -> None:
    assert main(["stack", "status"]) == EXIT_FINDINGS
    assert "the stack is not up; `alert-harness stack up` starts it" in capsys.readouterr().out
    assert main(["stack", "status", "--json"]) == EXIT_FINDINGS
    assert json.loads(capsys.readouterr().out) == {"up": False}
    assert main(["stack", "logs"]) == EXIT_INPUT
    assert "the stack is not up" in capsys.readouterr().err

    assert main([*UP, "--compress", "30", "--wait"]) == EXIT_OK
    shown = capsys.readouterr()
    assert "stack: prometheus is ready at http://127.0.0.1:" in shown.err
    assert "local processes, 30 times as fast: 4 of 6 targets are up, 2 not part of this stack" in shown.out
    assert "\x1b" not in shown.out, "colours only on terminals"

    stack = running(project)
    assert isinstance(stack, KeptRuntime)
    first = {each.name: each.pid for each in stack.services()}
    assert main(UP) == EXIT_OK, "a second time leaves it as it is"
    assert "stack: is up already" in capsys.readouterr().err
    assert {each.name: each.pid for each in stack.services()} == first
    assert main([*UP, "--compress", "20"]) == EXIT_INPUT
    assert "the stack is up already, 30 times as fast as real time" in capsys.readouterr().err
    assert main(["stack", "up", "--runtime", "compose"]) == EXIT_INPUT
    assert "the stack is up already, as process" in capsys.readouterr().err

    assert main(["stack", "logs", "streaming"]) == EXIT_OK
    assert '"event": "listening"' in capsys.readouterr().out
    assert main(["stack", "logs"]) == EXIT_OK
    assert "\nprometheus | " in capsys.readouterr().out

    # Another command disturbs it, and the status tells.
    stack.kill("alertmanager")
    assert main(["stack", "status", "--json"]) == EXIT_FINDINGS
    document = json.loads(capsys.readouterr().out)
    ended = next(each for each in document["services"] if each["name"] == "alertmanager")
    assert (ended["state"], ended["reason"]) == ("ended", "ended by SIGKILL")
    stack.restart("alertmanager")
    eventually(lambda: main(["stack", "status"]) == EXIT_OK, "it was scraped again")

    # Nobody but us may read what it keeps; the tokens stand in one file alone.
    folder = StateFolder.of(project)
    modes = [path.stat().st_mode & 0o077 for path in (folder.path, folder.run, folder.data, folder.tokens)]
    assert modes == [0, 0, 0, 0]
    capsys.readouterr()
    main(["stack", "status"])
    main(["stack", "logs"])
    everything = "".join(capsys.readouterr())
    assert stack.tokens.webhook not in everything
    assert stack.tokens.faults not in everything

    add_camera(stack, "kept")
    assert main(["stack", "down"]) == EXIT_OK
    assert "the stack is down; its data stay" in capsys.readouterr().out
    assert processes_of(state) == []
    assert not folder.run.exists()
    assert (folder.data / "streaming.db").exists()
    assert main(["stack", "down"]) == EXIT_OK
    assert "there was no stack to end" in capsys.readouterr().out


def test_a_killed_keeper_takes_everything_along_and_data_stay(project: Config, state: Path) -> None:
    assert main(UP) == EXIT_OK
    stack = running(project)
    assert isinstance(stack, KeptRuntime)
    add_camera(stack, "kept")
    tokens = stack.tokens
    record = StateFolder.of(project).read()
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    eventually(lambda: processes_of(state) == [], "its services ended with it")
    assert running(project) is None
    assert main(["stack", "status"]) == EXIT_FINDINGS
    assert main(UP) == EXIT_OK
    again = running(project)
    assert again is not None
    assert cameras(again) == {"kept"}
    assert again.tokens == tokens


@pytest.mark.parametrize("moment", ["at once", "when the first service is ready"])
def test_an_up_that_is_killed_half_way_leaves_nothing(project: Config, state: Path, moment: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *UP], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as command:
        assert command.stderr is not None
        if moment == "at once":
            eventually(lambda: bool(processes_of(state)), "the keeper runs")
        else:
            assert "sink is ready" in command.stderr.readline()
        command.send_signal(signal.SIGKILL)
        command.wait(PATIENCE_S)
    eventually(lambda: processes_of(state) == [], "the keeper ended, and all that it started")
    assert running(project) is None
    eventually(lambda: list(StateFolder.of(project).run.glob("*")) == [], "what is not data is gone")
    assert main(UP) == EXIT_OK


def test_a_keeper_that_inherited_no_ctrl_c_ends_with_the_one_who_started_it(project: Config) -> None:
    folder = StateFolder.of(project)
    folder.make()
    order = order_of(Spec(project, Clock(1), dict.fromkeys(SERVICES, 0)), folder)
    # As in the background of a script; its input ends before it has begun.
    keeper = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "harness.stack.keeper"]
    done = subprocess.run(keeper, input=f"{order}\n", capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert running(project) is None


def test_a_busy_port_is_named_with_who_has_it(capsys: pytest.CaptureFixture[str], state: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main([*UP, f"--port=prometheus={port}"]) == EXIT_ENGINE
    said = capsys.readouterr().err
    assert f"port {port} for prometheus is taken by " in said
    assert f"(process {os.getpid()})" in said
    assert "`--port prometheus=0` takes any that is free" in said
    assert processes_of(state) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up", "--runtime", "proces"], "unknown runtime `proces` (did you mean `process`?)"),
        (["up", "--port", "promtheus=1"], "the stack has no service `promtheus` (did you mean `prometheus`?)"),
        (["up", "--port", "prometheus"], "--port prometheus: expected NAME=PORT"),
        (["up", "--port", "prometheus=99999"], "--port prometheus=99999: expected NAME=PORT"),
        (["up", "--compress", "0"], "a clock cannot run 0 times as fast"),
        (["up", "--runtime", "process", "--compress", "7"], "is no whole number of milliseconds on a clock 7 times"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", *arguments]) == EXIT_INPUT
    assert message in capsys.readouterr().err


def test_a_project_without_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alert-harness.toml").write_text('stack = "nowhere"\n', encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["stack", "up", "--runtime", "process"]) == EXIT_INPUT
    said = capsys.readouterr().err
    assert "does not exist" in said
    assert "alert-harness.toml:1" in said
    assert "set `stack` in [tool.alert-harness]" in said


def test_logs_that_are_followed(project: Config) -> None:
    assert main(UP) == EXIT_OK
    stack = running(project)
    assert stack is not None
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "harness.cli", "stack", "logs", "streaming", "--follow"],
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            assert command.stdout is not None
            assert '"event": "starting"' in command.stdout.readline()
            time.sleep(0.5)
            stack.restart("streaming")
            assert any('"event": "stopped"' in line for line in iter(command.stdout.readline, ""))
            command.send_signal(signal.SIGINT)
            assert command.wait(PATIENCE_S) == 130
        finally:
            command.kill()  # else a test that failed would wait for it for ever
