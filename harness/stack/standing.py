"""The stack that stays up: started, found again, taken down."""

from __future__ import annotations

from harness.config import Config
from harness.engines.private import sweep
from harness.errors import InputError
from harness.stack import kept
from harness.stack.configs import StackFolder
from harness.stack.containers import compose
from harness.stack.opening import RuntimeKind, settle, silent
from harness.stack.runtime import Progress, Runtime
from harness.stack.spec import Spec
from harness.stack.state import Record, StateFolder


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
