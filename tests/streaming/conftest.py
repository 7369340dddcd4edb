"""One service for all tests that only look at what they made themselves, and a maker of others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.streaming.streaming_server import FAULTS_TOKEN, Server, served


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with a camera `gate`; other tests use it too, so only differences mean something."""
    for server in served(tmp_path_factory.mktemp("streaming"), FAULTS="1", FAULTS_TOKEN=FAULTS_TOKEN):
        server.camera()
        yield server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start services of the test's own; all end with it."""
    with contextlib.ExitStack() as stack:

        def start_one(folder: str = "service", **settings: str) -> Server:
            server = Server(tmp_path / folder, **settings)
            stack.callback(server.close)
            return server

        yield start_one
