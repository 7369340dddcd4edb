"""`alert-harness doctor`: which tools are here, where, which version, and what to do about the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from tabulate import tabulate

from harness.errors import EXIT_ENGINE, EXIT_OK, EngineError
from harness.toolchain.attempts import Attempt, CacheFailed
from harness.toolchain.containers import ContainerEngineStatus, probe_container_engine
from harness.toolchain.finder import Toolchain
from harness.toolchain.tools import TOOLS, Tool

CONTAINER_ENGINE = "container engine"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the doctor's report; ``where`` is a path or an address, ``todo`` is empty if it was found."""

    name: str
    found: bool
    where: str
    version: str
    origin: str
    purpose: str
    needed_by_verify: bool = False
    tried: tuple[Attempt, ...] = ()
    todo: str = ""


def diagnose(
    toolchain: Toolchain,
    container_engine: Callable[[], ContainerEngineStatus] = probe_container_engine,
    *,
    fetch: bool = False,
) -> list[Row]:
    """One row per tool and one for the container engine; fetches what is missing only if asked to."""
    rows = []
    for known in TOOLS.values():
        tool: Tool | None
        todo = ""
        broken: tuple[Attempt, ...] = ()
        try:
            tool = toolchain.find(known.name, check=True) if fetch else toolchain.locate(known.name, check=True)
        except EngineError as err:
            tool = None
            todo = err.hint or ""
            if isinstance(err, CacheFailed):
                broken = (Attempt("cache", err.message, rejected=True),)
        tried = (*toolchain.tried(known.name), *broken)
        if tool is not None:
            found = (True, str(tool.path), tool.version_text, tool.origin)
        else:
            found = (False, "", "", "")
            todo = todo or _todo(toolchain, known.name, fetch)
        rows.append(Row(known.name, *found, known.purpose, known.needed_by_verify, tried, todo))
    return [*rows, _container_row(container_engine())]


def _todo(toolchain: Toolchain, name: str, fetch: bool) -> str:
    todo = toolchain.what_to_do(name)
    if fetch or toolchain.offline or toolchain.has_setting(name):
        return todo
    return f"have it fetched: alert-harness doctor --fetch; or {todo}"


def _container_row(engine: ContainerEngineStatus) -> Row:
    purpose = "Prometheus in a container (--engine docker)"
    if engine.found:
        version = f"{engine.version} (API {engine.api_version})"
        return Row(CONTAINER_ENGINE, True, engine.address, version, engine.origin, purpose)
    tried = (Attempt("engine", engine.problem),)
    return Row(CONTAINER_ENGINE, False, "", "", "", purpose, False, tried, engine.todo)


def ready(rows: list[Row]) -> bool:
    """Whether all that `alert-harness verify` cannot do without is here."""
    return all(row.found for row in rows if row.needed_by_verify)


def render_text(rows: list[Row]) -> str:
    """A table, then for each missing tool what was tried and what to do, then a clear yes or no."""
    table = tabulate(
        [
            [row.name, "yes" if row.found else "NO", row.version, row.origin, row.where if row.found else row.purpose]
            for row in rows
        ],
        headers=["tool", "found", "version", "from", "where (or what for)"],
        disable_numparse=True,
    )
    parts = [table]
    for row in rows:
        if not row.found:
            lines = [f"{row.name}: not found", *(f"  {attempt}" for attempt in row.tried), f"  what to do: {row.todo}"]
            parts.append("\n".join(lines))
        elif rejected := [attempt for attempt in row.tried if attempt.rejected]:
            parts.append("\n".join([f"{row.name}: passed over", *(f"  {attempt}" for attempt in rejected)]))
    missing = [row.name for row in rows if row.needed_by_verify and not row.found]
    if missing:
        parts.append(f"not ready: `alert-harness verify` needs {' and '.join(missing)}")
    else:
        parts.append("ready: all that `alert-harness verify` needs is here")
    return "\n\n".join(parts) + "\n"


def render_json(rows: list[Row]) -> dict[str, object]:
    """The same as plain data: ``{"version": 1, "ready": …, "tools": […], "container_engine": {…}}``."""
    plain = [asdict(row) for row in rows]
    return {
        "version": 1,
        "ready": ready(rows),
        "tools": [row for row in plain if row["name"] != CONTAINER_ENGINE],
        "container_engine": next((row for row in plain if row["name"] == CONTAINER_ENGINE), None),
    }


def run_doctor(
    toolchain: Toolchain,
    *,
    as_json: bool = False,
    fetch: bool = False,
    container_engine: Callable[[], ContainerEngineStatus] = probe_container_engine,
) -> tuple[str, int]:
    """(text to print, exit code): 0 if promtool and prometheus are here, else 3."""
    rows = diagnose(toolchain, container_engine, fetch=fetch)
    text = json.dumps(render_json(rows), indent=2, ensure_ascii=False) + "\n" if as_json else render_text(rows)
    return text, EXIT_OK if ready(rows) else EXIT_ENGINE
