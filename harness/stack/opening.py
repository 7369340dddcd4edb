"""The ways to a running stack: one for the length of a block, one that stays up, and the one that is up already."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.config import Config
from harness.engines.private import sweep
from harness.errors import EngineError, InputError, near_miss
from harness.stack import compose, kept
from harness.stack.configs import StackFolder
from harness.stack.processes import throwaway_processes
from harness.stack.runtime import Runtime
from harness.stack.spec import Spec
from harness.stack.state import Record, StateFolder
from harness.toolchain import Toolchain

Progress = Callable[[str], None]


class RuntimeKind(enum.StrEnum):
    """Which runtime is wanted."""

    AUTO = "auto"  # containers where an engine is up and the images can be had, else processes
    COMPOSE = "compose"
    PROCESS = "process"

    @classmethod
    def of(cls, text: str) -> RuntimeKind:
        """Raises InputError with the near miss."""
        if text not in set(cls):
            raise InputError(
                f"unknown runtime `{text}`{near_miss(text, cls)}", hint=f"expected one of: {', '.join(cls)}"
            )
        return cls(text)


def silent(line: str) -> None:
    """For callers that show no progress."""


@contextmanager
def throwaway(
    spec: Spec, tools: Toolchain, kind: RuntimeKind = RuntimeKind.AUTO, progress: Progress = silent
) -> Iterator[Runtime]:
    """A stack of one's own for the length of a block, data and all; give it ANY_PORTS.

    Nothing of it outlives the block or this process, even by SIGKILL. Raises EngineError if it cannot be had.
    """
    if settle(spec, kind, progress) is RuntimeKind.COMPOSE:
        with compose.throwaway_containers(spec, progress) as runtime:
            yield runtime
    else:
        with throwaway_processes(spec, tools, progress) as runtime:
            yield runtime


def settle(spec: Spec, kind: RuntimeKind, progress: Progress = silent) -> RuntimeKind:
    """The runtime to use; for AUTO, what stands in the way of containers is told. Raises EngineError for COMPOSE."""
    if kind is RuntimeKind.PROCESS:
        return kind
    try:
        compose.check(spec, progress)
    except EngineError as err:
        if kind is RuntimeKind.COMPOSE:
            raise
        lines = err.message.splitlines()
        why = lines[0] if len(lines) == 1 else f"{lines[0]}: {lines[-1].strip()}"
        progress(f"local processes, no containers: {why}")
        return RuntimeKind.PROCESS
    return RuntimeKind.COMPOSE


def running(config: Config) -> Runtime | None:
    """The stack of this project that `up` started, None if there is none (any more)."""
    state = StateFolder.of(config)
    record = state.read()
    return None if record is None or record.is_dead() else _attached(config, state, record)


def stopped(config: Config) -> str:
    """Why :func:`running` found none, in a clause."""
    record = StateFolder.of(config).read()
    if record is None:
        return "the stack is not up"
    return "the stack was ended from outside: the process that held it was killed, or the machine was started anew"


def _attached(config: Config, state: StateFolder, record: Record) -> Runtime:
    if record.kind == RuntimeKind.COMPOSE:
        return compose.attach(config, state, record)
    return kept.KeptRuntime(StackFolder(config), state, record)


def bring_up(spec: Spec, kind: RuntimeKind = RuntimeKind.AUTO, progress: Progress = silent) -> Runtime:
    """Start the project's stack so that it outlives this process; what a killed one left is cleared first.

    Raises what went wrong, and then nothing of it runs. Raises InputError if one is up: ask :func:`running`.
    """
    state = StateFolder.of(spec.config)
    sweep()
    with state.lock():
        record = state.read()
        if record is not None and not record.is_dead():
            raise InputError("the stack is up already", hint="`alert-harness stack status` shows it")
        state.clear()
        if settle(spec, kind, progress) is RuntimeKind.COMPOSE:
            return compose.bring_up(spec, state, progress)
        return kept.bring_up(spec, StackFolder(spec.config), state, progress)


def take_down(config: Config, *, volumes: bool = False, progress: Progress = silent) -> bool:
    """End the project's stack and remove what is not data, with `volumes` that too; whether there was one."""
    state = StateFolder.of(config)
    if not state.path.exists():
        return False
    with state.lock():
        record = state.read(volumes=volumes)
        if record is not None and record.kind == RuntimeKind.COMPOSE:
            compose.take_down(config, state, record, volumes=volumes, progress=progress)
        elif record is not None and not record.is_dead():
            kept.KeptRuntime(StackFolder(config), state, record).close()
        had_data = state.data.exists()
        state.clear(data=volumes)
        return record is not None or (volumes and had_data)
