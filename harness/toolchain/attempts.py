"""What was tried and why it did not do: the stuff that a useful "not found" is made of."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar

from harness.errors import EngineError

_URL = re.compile(r"[\w+.-]+://\S+")

Progress = Callable[[str], None]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One source that was asked for a tool, and in one line why it gave none.

    ``rejected`` means that it had one which did not do: too old, damaged, another program.
    """

    source: str
    detail: str
    rejected: bool = False

    def __str__(self) -> str:
        return f"{self.source:<8} {self.detail}"


class SourceFailed(Exception):
    """A source has no usable tool; the message is one line. The next source is tried."""


class HostUnreachable(SourceFailed):
    """The host did not answer at all, so that asking it for the next tool is a waste of time."""


class CacheFailed(EngineError):
    """The cache folder cannot be written; no other source of downloads would do better."""


def without_urls(text: str) -> str:
    """The text with each URL replaced: mirrors and proxies may carry a password, and are nobody's business."""
    return _URL.sub("<url>", text)


def cache_failed(err: OSError, folder: Path) -> CacheFailed:
    """The error for a cache folder that cannot be written, with what to do about it."""
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return CacheFailed(
            f"no space left for {folder}; nothing half-written was kept",
            hint="free about 400 MB there, or set ALERT_HARNESS_CACHE to a folder on a larger disk",
        )
    return CacheFailed(
        f"the cache folder {folder} cannot be written: {err.strerror or err}",
        hint="set ALERT_HARNESS_CACHE to a folder that you may write",
    )


def within(seconds: float, action: Callable[[], _T]) -> _T:
    """The action's result, or TimeoutError once the seconds have passed.

    Time-outs of sockets do not cover the name lookup, and count for each address of a host anew. The thread that is
    left behind is a daemon and dies with us.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as err:
            future.set_exception(err)

    Thread(target=run, daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except FutureTimeout as err:
        raise TimeoutError(f"no answer within {seconds:g} s") from err
