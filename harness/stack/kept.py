"""A stack of local processes that stays up, as seen from another command: a runtime whose work its keeper does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.engines.child import end_of
from harness.errors import EXIT_INPUT, EngineError, HarnessError, InputError
from harness.live.clock import Clock
from harness.stack.configs import StackFolder
from harness.stack.keeper import SOCKET, STAY, order_of, short
from harness.stack.local.processes import LOG_BYTES
from harness.stack.runtime import ServiceState, ServiceStatus, Target, Tokens
from harness.stack.services import service
from harness.stack.spec import Spec, read_tokens
from harness.stack.state import Record, StateFolder
from harness.stack.targets import read_targets

_ANSWER_S = 120.0
_END_S = 30.0


class KeptRuntime:
    """See :class:`harness.stack.runtime.Runtime`."""

    kind = "process"

    def __init__(self, stack: StackFolder, state: StateFolder, record: Record) -> None:
        tokens = read_tokens(state.tokens)
        if tokens is None:
            raise EngineError(f"{state.tokens} is gone or damaged", hint="`alert-harness stack down`, then up again")
        self._stack = stack
        self._state = state
        self._record = record
        self._tokens = tokens

    @property
    def clock(self) -> Clock:
        return Clock(self._record.factor)

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    @property
    def ports(self) -> Mapping[str, int]:
        return self._record.ports

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[self._known(name)]}"

    def services(self) -> list[ServiceStatus]:
        return [ServiceStatus(**{**each, "state": ServiceState(each["state"])}) for each in self._ask("services")]

    def targets(self) -> list[Target]:
        return read_targets(self.url("prometheus"), self._stack.scraped(), self._record.absent)

    def start(self, *names: str) -> None:
        self._ask("start", *names)

    def stop(self, *names: str) -> None:
        self._ask("stop", *names)

    def kill(self, name: str) -> None:
        self._ask("kill", name)

    def restart(self, name: str) -> None:
        self._ask("restart", name)

    def logs(self, name: str) -> str:
        return end_of(self.log_file(name), LOG_BYTES)

    def log_file(self, name: str) -> Path:
        """The file of a service's log."""
        return self._state.run / "logs" / f"{self._known(name)}.log"

    def alive(self) -> bool:
        """Whether its keeper still holds it."""
        return not self._record.is_dead()

    def close(self) -> None:
        """End the stack; its keeper is gone when this returns."""
        with contextlib.suppress(EngineError):
            self._ask("close")
        deadline = time.monotonic() + _END_S
        while not self._record.is_dead():
            if time.monotonic() > deadline:
                os.kill(self._record.pid, signal.SIGKILL)  # the kernel ends its children with it
            time.sleep(0.02)

    def _known(self, name: str) -> str:
        if service(name).name in self._record.absent:
            raise InputError(
                f"{name} is not part of this stack: {self._record.absent[name]}",
                hint="see `alert-harness stack status`",
            )
        return name

    def _ask(self, what: str, *names: str) -> Any:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ANSWER_S)
                with short(self._state.run) as folder:
                    connection.connect(f"{folder}/{SOCKET}")
                with connection.makefile("rwb") as stream:
                    stream.write(json.dumps({"do": what, "names": names}).encode() + b"\n")
                    stream.flush()
                    answer = json.loads(stream.readline())
        except (OSError, ValueError) as err:
            raise EngineError(
                "the stack's keeper does not answer; it may have been killed",
                hint="`alert-harness stack up` starts the stack again, with its data",
            ) from err
        _raise_if_error(answer)
        return answer.get("result")


def bring_up(
    spec: Spec, stack: StackFolder, state: StateFolder, progress: Callable[[str], None] = lambda line: None
) -> KeptRuntime:
    """Start a stack that stays; raises what went wrong, and then nothing of it is left."""
    state.make()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.stack.keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=state.run,
        env={**os.environ, "PYTHONPATH": _import_path()},
        start_new_session=True,  # Ctrl-C is for us; the keeper learns of it when its input ends
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    try:
        process.stdin.write(order_of(spec, state) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            said = json.loads(line)
            _raise_if_error(said)
            if said.get("ready"):
                break
            progress(said["progress"])
        else:
            raise EngineError("the stack's keeper ended without a word", hint="is the machine out of memory?")
        record = state.read()
        if record is None:
            raise EngineError(f"the record of the stack in {state.run} is gone", hint="try again")
        process.stdin.write(STAY + "\n")
        process.stdin.flush()
        process.stdin.close()
        process.stdout.close()
        process.returncode = 0  # it outlives us: no complaint about a child that still runs
        return KeptRuntime(stack, state, record)
    except BaseException:
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(OSError):
            process.stdout.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        state.clear()
        raise


def _import_path() -> str:
    """The folder of this package first, for one that is not installed."""
    own = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(part for part in (own, os.environ.get("PYTHONPATH", "")) if part)


def _raise_if_error(answer: Mapping[str, Any]) -> None:
    if "error" in answer:
        kind: type[HarnessError] = InputError if answer.get("code") == EXIT_INPUT else EngineError
        raise kind(answer["error"], hint=answer.get("hint"))
