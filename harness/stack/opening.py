"""A stack for the length of a block, as containers or as local processes."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import EngineError, InputError, near_miss
from harness.stack.containers import compose, images
from harness.stack.local.processes import throwaway_processes
from harness.stack.runtime import Progress, Runtime
from harness.stack.spec import Spec
from harness.toolchain import Toolchain


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
        images.check(spec, progress)
    except EngineError as err:
        if kind is RuntimeKind.COMPOSE:
            raise
        lines = err.message.splitlines()
        why = lines[0] if len(lines) == 1 else f"{lines[0]}: {lines[-1].strip()}"
        progress(f"local processes, no containers: {why}")
        return RuntimeKind.PROCESS
    return RuntimeKind.COMPOSE
