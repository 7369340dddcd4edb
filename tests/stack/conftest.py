"""Stacks that tests share: one of processes, one of containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config import Config, load_config
from harness.errors import HarnessError
from harness.live.clock import Clock
from harness.stack.containers.files import ENV_FILES
from harness.stack.opening import RuntimeKind, throwaway
from harness.stack.runtime import Runtime
from harness.stack.spec import ANY_PORTS, Spec
from harness.toolchain import Toolchain
from tests.needs import binary_of, refuse_to_skip

ROOT = Path(__file__).resolve().parents[2]
FACTOR = 30
"""Prometheus scrapes every second."""


@pytest.fixture(scope="session")
def project() -> Config:
    return load_config(ROOT)


@pytest.fixture(scope="module")  # not longer: scenarios want the machine for themselves
def process_stack(project: Config) -> Iterator[Runtime]:
    """Local processes; whoever kills a service starts it again."""
    binary_of("prometheus", "3.5")
    with throwaway(Spec(project, Clock(FACTOR), ANY_PORTS), Toolchain(), RuntimeKind.PROCESS) as stack:
        yield stack


@pytest.fixture(scope="session")
def local_images(need_docker: None) -> str:
    """The file of variables that name local images; `python ci/images.py` makes both."""
    named = os.environ.get(ENV_FILES) or str(ROOT / "build/stack-images.env")
    if not Path(named).is_file():
        refuse_to_skip("no local images of the stack: python ci/images.py makes them")
    return named


@pytest.fixture(scope="module")
def compose_stack(project: Config, local_images: str) -> Iterator[Runtime]:
    """Containers, without Grafana; whoever kills a service starts it again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENV_FILES, local_images)
        stack = throwaway(Spec(project, Clock(FACTOR), ANY_PORTS), Toolchain(), RuntimeKind.COMPOSE)
        try:
            opened = stack.__enter__()
        except HarnessError as err:
            refuse_to_skip(f"no stack of containers: {err}")
        try:
            yield opened
        finally:
            stack.__exit__(None, None, None)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for stacks that stay up."""
    folder = tmp_path / "state"
    monkeypatch.setenv("ALERT_HARNESS_STATE", str(folder))
    return folder
