"""Nothing of ours stays behind: open engines are closed at exit, and a second Ctrl-C does not stop the first's work."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Protocol


class _Closable(Protocol):
    def close(self) -> None: ...


_open: dict[int, tuple[int, _Closable]] = {}


def remember(engine: _Closable) -> None:
    """Close this engine at exit at the latest."""
    _open[id(engine)] = (os.getpid(), engine)


def forget(engine: _Closable) -> None:
    """Do not close this engine at exit: it is closed already."""
    _open.pop(id(engine), None)


@atexit.register
def _close_all() -> None:
    for pid, engine in list(_open.values()):
        if pid == os.getpid():  # a forked child must not end its parent's engines
            with contextlib.suppress(Exception):
                engine.close()


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Put Ctrl-C off until the block is done; for clean-up that takes at most seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.getsignal(signal.SIGINT)
    if before is None:  # set by C code: not ours to touch
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed and callable(before):
            before(signal.SIGINT, None)
