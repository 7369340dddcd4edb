"""Engines: what evaluates PromQL. :func:`open_engine` gives whichever can be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.engines.answers import QueryError
from harness.engines.base import Engine
from harness.engines.samples import Samples, Series, make_labels
from harness.errors import EngineError, InputError, near_miss
from harness.prometheus import DEFAULTS, ServerSettings
from harness.series import STALE, Labels

__all__ = [
    "KINDS",
    "STALE",
    "Engine",
    "Kind",
    "Labels",
    "QueryError",
    "Samples",
    "Series",
    "make_labels",
    "open_engine",
]

Kind = Literal["auto", "process", "docker", "url"]
KINDS: tuple[Kind, ...] = ("auto", "process", "docker", "url")


def open_engine(
    kind: str = "auto",
    *,
    prometheus: Callable[[], Path],
    image: str | None = None,
    url: str | None = None,
    server: ServerSettings = DEFAULTS,
) -> Engine:
    """Start, or connect to, an engine; the caller closes it.

    ``auto`` takes a process if ``prometheus`` gives a binary, else a container. ``prometheus`` is called only if a
    process is tried, and may raise EngineError. ``image`` is the container's image (default: the official one, pinned),
    ``url`` the address for ``url``. ``server`` is what it evaluates with (of somebody's URL: what that is known to
    evaluate with). Raises EngineError if there is none to be had, for ``auto`` with both reasons.
    """
    # The kinds are imported when they are used: a container engine's library is large, and most runs need one kind.
    match kind:
        case "process":
            from harness.engines.process import ProcessEngine

            return ProcessEngine(prometheus(), server=server)
        case "docker":
            from harness.engines.container import ContainerEngine

            return ContainerEngine(image, server=server)
        case "url":
            from harness.engines.url import UrlEngine

            if not url:
                raise InputError("the url engine needs an address", hint="name it with --url or ALERT_HARNESS_URL")
            return UrlEngine(url, server=server)
        case "auto":
            return _auto(prometheus, image, server)
        case _:
            raise InputError(
                f"unknown engine `{kind}`{near_miss(kind, KINDS)}", hint=f"expected one of: {', '.join(KINDS)}"
            )


def _auto(prometheus: Callable[[], Path], image: str | None, server: ServerSettings) -> Engine:
    try:
        return open_engine("process", prometheus=prometheus, server=server)
    except EngineError as err:
        no_process = err
    try:
        return open_engine("docker", prometheus=prometheus, image=image, server=server)
    except EngineError as err:
        raise EngineError(
            f"no engine to evaluate rules with:\n  as a process: {no_process}\n  as a container: {err}"
        ) from err
