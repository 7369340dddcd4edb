"""The streaming service as a real process on a port of its own, and what tests ask of it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import requests
from prometheus_client.parser import text_string_to_metric_families

WEBHOOK_TOKEN = "webhook-secret"
FAULTS_TOKEN = "faults-secret"
START_S = 60.0
"""Generous: a busy machine must not fail a test."""


_SPAWNER = ThreadPoolExecutor(1)
"""The kernel ends children with the *thread* that made them, so that one must last as long as the tests."""


def spawn(command: list[str], *, log: IO[bytes], cwd: Path | str, **more: Any) -> subprocess.Popen[bytes]:
    """A process, in a session of its own, that the kernel ends if the tests are killed."""
    prctl, pr_set_pdeathsig = ctypes.CDLL(None).prctl, 1

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: prctl(pr_set_pdeathsig, int(signal.SIGKILL)),
            **more,
        )

    return _SPAWNER.submit(start).result()


class Server:
    """`python -m streaming` in ``folder`` with STREAMING_* from keywords; ready when made, gone when closed."""

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.settings = {"PORT": "0", "WEBHOOK_TOKEN": WEBHOOK_TOKEN, **settings}
        self.session = requests.Session()
        self._logs = 0
        self.start()

    def start(self) -> None:
        self._logs += 1
        self._log = self.folder / f"service-{self._logs}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMING_")}
        with self._log.open("wb") as log:
            self.process = spawn(
                [sys.executable, "-m", "streaming"],
                env=environment | {f"STREAMING_{name}": value for name, value in self.settings.items()},
                cwd=self.folder,
                log=log,
            )
        wait_for(lambda: self._listening() or self._ended(), "the service to listen")
        self._require_running()
        self.port = int(self._listening()["port"])
        self.base = f"http://127.0.0.1:{self.port}"

    def _listening(self) -> dict[str, Any]:
        return next((line for line in self.log_lines() if line["event"] == "listening"), {})

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def _require_running(self) -> None:
        if self._ended():
            raise AssertionError(f"exit {self.process.returncode}: {self._log.read_text()}")

    def log_lines(self) -> list[dict[str, Any]]:
        whole, _, _rest = self._log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    # -- asking --------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, self.base + path, timeout=60, **more)

    def camera(self, camera_id: str = "gate") -> str:
        assert self.ask("POST", "/api/cameras", json={"camera_id": camera_id, "name": camera_id}).ok
        return camera_id

    def stream(self, camera_id: str = "gate") -> str:
        answer = self.ask("POST", "/api/streams", json={"camera_id": camera_id})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["stream_id"])

    def plate(self, event_id: str, *, token: str = WEBHOOK_TOKEN, **changes: str) -> requests.Response:
        body = {"event_id": event_id, "camera_id": "gate", "plate": "AB CD 12", "seen_at": "2026-01-02T03:04:05Z"}
        return self.ask("POST", "/api/lpr/events", json=body | changes, headers={"Authorization": f"Bearer {token}"})

    def faults(self, method: str = "PUT", *, token: str = FAULTS_TOKEN, **faults: float) -> requests.Response:
        return self.ask(
            method,
            "/faults",
            headers={"Authorization": f"Bearer {token}"},
            json=faults if method == "PUT" else None,
        )

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of /metrics as the client library reads it."""
        answer = self.ask("GET", "/metrics")
        assert answer.status_code == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The sum over the series of this name that carry these labels."""
        return sum(
            value
            for (found, pairs), value in self.metrics().items()
            if found == name and labels.items() <= dict(pairs).items()
        )

    # -- ending --------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_S)

    def close(self) -> None:
        self.session.close()
        if not self._ended():
            self.terminate()


def wait_for(condition: Callable[[], Any], what: str, deadline_s: float = START_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {deadline_s:g} s for {what}")
        time.sleep(0.02)


def run_to_end(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The service where it is expected to end by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMING_")}
    return subprocess.run(
        [sys.executable, "-m", "streaming", *arguments],
        env=environment | {f"STREAMING_{name}": value for name, value in settings.items()},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


def served(folder: Path, **settings: str) -> Iterator[Server]:
    """For fixtures."""
    server = Server(folder, **settings)
    try:
        yield server
    finally:
        server.close()
