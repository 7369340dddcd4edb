"""The machine and the release host of toolchain_fakes, ready to use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.toolchain.toolchain_fakes import Machine, ReleaseHost


@pytest.fixture
def release_host() -> Iterator[ReleaseHost]:
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append(self.path)
            body = host.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.path in host.stall:
                self.wfile.write(body[:20])
                self.wfile.flush()
                host.stalled.set()
                release.wait(30)
                return
            self.wfile.write(body[: host.cut.get(self.path, len(body))])

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = ReleaseHost(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield host
    release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def machine(tmp_path: Path, release_host: ReleaseHost) -> Machine:
    for name in ("bin", "root/etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root/etc/os-release").write_text('NAME="Plan 9"\nID=plan9\n')
    return Machine(tmp_path / "bin", tmp_path / "cache", tmp_path / "root", release_host.url)
