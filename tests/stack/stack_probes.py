"""What tests ask of a stack and of this machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from harness.stack.runtime import Health, Runtime, Target

PATIENCE_S = 60.0


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait for what takes as long as the machine is busy."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not after {PATIENCE_S:g} s: {what}"
        time.sleep(0.1)


def scraped(stack: Runtime) -> list[Target]:
    """The targets once all were scraped, and those again that an earlier test had killed; as they are in the end."""
    deadline = time.monotonic() + PATIENCE_S
    while any(target.health in (Health.WAITING, Health.DOWN) for target in stack.targets()):
        if time.monotonic() > deadline:
            break  # the test tells better which, and why
        time.sleep(0.1)
    return stack.targets()


def add_camera(stack: Runtime, camera: str) -> None:
    answer = requests.post(
        f"{stack.url('streaming')}/api/cameras", json={"camera_id": camera, "name": camera}, timeout=10
    )
    assert answer.status_code in (200, 201), answer.text


def cameras(stack: Runtime) -> set[str]:
    found = requests.get(f"{stack.url('streaming')}/api/cameras", timeout=10).json()
    entries = found if isinstance(found, list) else found["cameras"]
    return {each["camera_id"] for each in entries}


def query(stack: Runtime, expression: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{stack.url('prometheus')}/api/v1/query", params={"query": expression}, timeout=10).json()
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def processes_of(folder: Path) -> list[int]:
    """The processes that name a folder in their arguments, or stand in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stands = os.readlink(entry / "cwd")
            named = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if stands.startswith(str(folder)) or str(folder).encode() in named:
            found.append(int(entry.name))
    return found


def arguments_of_all_processes() -> str:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue
    return "\n".join(lines)


def notifications(stack: Runtime) -> list[dict[str, Any]]:
    """What the sink has received."""
    found: list[dict[str, Any]] = json.loads(requests.get(f"{stack.url('sink')}/", timeout=10).text)
    return found
