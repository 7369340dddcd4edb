"""Streams that close and signals that end us: neither may cost a traceback or leave something running."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, TextIO


class _Outlet(io.FileIO):
    """Standard output whose reader may leave (`| head -1`): the work goes on, so that the exit code stays true."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(data) or 0


def prepare_streams() -> None:
    """A closed stream, a reader that leaves, or an encoding without our characters must not end the run."""
    out: TextIO | None = sys.stdout  # None where it was closed
    ours = out is sys.__stdout__
    if out is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lives as long as the process
    elif ours:
        raw = io.BufferedWriter(_Outlet(out.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(raw, out.encoding, "backslashreplace", line_buffering=out.isatty())
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class Terminated(KeyboardInterrupt):
    """A signal that asks us to end; it takes the same way out as Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def catch_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, _terminate)
