"""What `alert-harness doctor` shows, and its exit code."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness import toolchain
from harness.toolchain import (
    TOOLS,
    Attempt,
    ContainerEngineStatus,
    Row,
    probe_container_engine,
    render_text,
    run_doctor,
)
from tests.toolchain.toolchain_fakes import Machine, ReleaseHost, put

ENGINE = ContainerEngineStatus(True, "unix:///var/run/docker.sock", "default", "28.2.2", "1.50")
NO_ENGINE = ContainerEngineStatus(
    False, "unix:///x.sock", "default", problem="/x.sock does not exist", todo="install one, or set DOCKER_HOST"
)


def all_tools(folder: Path) -> None:
    for name, version in {
        "promtool": "3.5.3",
        "prometheus": "3.5.3",
        "alertmanager": "0.33.1",
        "amtool": "0.33.1",
        "node_exporter": "1.11.1",
    }.items():
        put(folder, name, version)


def test_all_is_there(machine: Machine) -> None:
    all_tools(machine.bin)
    text, code = run_doctor(machine.toolchain(), container_engine=lambda: ENGINE)
    rows = [line.split() for line in text.splitlines()]
    assert rows[0][:4] == ["tool", "found", "version", "from"]
    assert ["promtool", "yes", "3.5.3", "PATH", f"{machine.bin}/promtool"] in rows
    assert ["node_exporter", "yes", "1.11.1", "PATH", f"{machine.bin}/node_exporter"] in rows
    assert ["container", "engine", "yes", "28.2.2", "(API", "1.50)", "default", "unix:///var/run/docker.sock"] in rows
    assert text.splitlines()[-1] == "ready: all that `alert-harness verify` needs is here"
    assert code == 0


def test_nothing_is_there_and_nothing_is_fetched(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    text, code = run_doctor(machine.toolchain(), container_engine=lambda: NO_ENGINE)
    assert code == 3
    assert release_host.asked == []
    assert (
        "promtool: not found\n"
        "  setting  ALERT_HARNESS_PROMTOOL is not set\n"
        "  PATH     no promtool in its 1 folder\n"
        f"  cache    none in {machine.cache}/tools\n"
        "  what to do: have it fetched: alert-harness doctor --fetch; or install promtool 2.53 or newer and put it on "
        "PATH, or name it: ALERT_HARNESS_PROMTOOL=/path/to/promtool\n"
    ) in text
    assert (
        "container engine: not found\n"
        "  engine   /x.sock does not exist\n"
        "  what to do: install one, or set DOCKER_HOST\n"
    ) in text
    assert text.splitlines()[-1] == "not ready: `alert-harness verify` needs promtool and prometheus"


def test_fetch_brings_what_verify_needs(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    text, code = run_doctor(machine.toolchain(), fetch=True, container_engine=lambda: NO_ENGINE)
    assert code == 0
    rows = [line.split()[:4] for line in text.splitlines()]
    assert ["promtool", "yes", "3.5.3", "release"] in rows
    assert ["prometheus", "yes", "3.5.3", "cache"] in rows
    assert "alertmanager: not found" in text
    assert "--fetch" not in text


def test_a_cache_that_cannot_be_written_is_told(machine: Machine) -> None:
    machine.cache.write_text("a file where the folder should be")
    text, code = run_doctor(machine.toolchain(), fetch=True, container_engine=lambda: ENGINE)
    assert code == 3
    assert f"  cache    the cache folder {machine.cache}/tools cannot be written: " in text
    assert "  what to do: set ALERT_HARNESS_CACHE to a folder that you may write\n" in text


def test_only_promtool_and_prometheus_decide(machine: Machine) -> None:
    put(machine.bin, "promtool", "3.5.3")
    assert run_doctor(machine.toolchain(), container_engine=lambda: ENGINE)[1] == 3
    put(machine.bin, "prometheus", "3.5.3")
    assert run_doctor(machine.toolchain(), container_engine=lambda: NO_ENGINE)[1] == 0


def test_a_wrong_setting_is_told_apart(machine: Machine) -> None:
    text, code = run_doctor(machine.toolchain(ALERT_HARNESS_PROMTOOL="/no/such"), container_engine=lambda: ENGINE)
    assert code == 3
    assert (
        "promtool: not found\n  setting  ALERT_HARNESS_PROMTOOL: /no/such does not exist\n"
        "  what to do: make ALERT_HARNESS_PROMTOOL name an executable promtool (2.53 or newer), or remove it\n"
    ) in text


def test_an_old_one_that_was_passed_over_is_told(machine: Machine, tmp_path: Path) -> None:
    all_tools(tmp_path / "new")
    old = put(machine.bin, "promtool", "2.45.0")
    tools = machine.toolchain(PATH=f"{machine.bin}:{tmp_path}/new")
    text, code = run_doctor(tools, container_engine=lambda: ENGINE)
    assert code == 0
    assert f"promtool: passed over\n  PATH     {old} is 2.45.0: needs 2.53 or newer, versions before 2.53 lack" in text
    assert "prometheus: passed over" not in text


def test_json(machine: Machine) -> None:
    put(machine.bin, "promtool", "3.5.3")
    text, code = run_doctor(machine.toolchain(), as_json=True, container_engine=lambda: NO_ENGINE)
    data = json.loads(text)
    assert (data["version"], data["ready"], code) == (1, False, 3)
    assert [tool["name"] for tool in data["tools"]] == [
        "promtool",
        "prometheus",
        "alertmanager",
        "amtool",
        "node_exporter",
    ]
    assert data["tools"][0] == {
        "name": "promtool",
        "found": True,
        "where": f"{machine.bin}/promtool",
        "version": "3.5.3",
        "origin": "PATH",
        "purpose": "checks rule files, runs unit tests",
        "needed_by_verify": True,
        "tried": [{"source": "setting", "detail": "ALERT_HARNESS_PROMTOOL is not set", "rejected": False}],
        "todo": "",
    }
    assert data["tools"][1]["tried"][1] == {
        "source": "PATH",
        "detail": "no prometheus in its 1 folder",
        "rejected": False,
    }
    assert data["container_engine"]["found"] is False
    assert data["container_engine"]["todo"] == "install one, or set DOCKER_HOST"


# -- the container engine ------------------------------------------------------------------------------------------


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a path short enough for a Unix socket."""
    folder = Path(f"/tmp/ah-{os.getpid()}-{len(os.listdir('/proc/self/fd'))}")
    folder.mkdir()
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def probe(host: str, **environ: str) -> ContainerEngineStatus:
    return probe_container_engine({"DOCKER_HOST": host, **environ})


def test_no_socket(short: Path) -> None:
    engine = probe(f"unix://{short}/none.sock")
    assert engine.problem == f"{short}/none.sock does not exist"
    assert engine.todo == "install a container engine and start it (`systemctl start docker`), or set DOCKER_HOST"
    assert engine.origin == "DOCKER_HOST"


def test_a_socket_that_refuses(short: Path) -> None:
    path = short / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    engine = probe(f"unix://{path}")
    assert engine.problem == f"{path} refuses connections: the engine is not running"
    assert engine.todo == "start it: `systemctl start docker`"


def test_permission_denied(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("harness.toolchain.containers.socket.socket", Denied)
    engine = probe(f"unix://{short}/x.sock")
    assert engine.problem == f"permission denied on {short}/x.sock"
    assert "usermod -aG docker $USER" in engine.todo


def test_a_rootless_engine_elsewhere_is_pointed_at(short: Path) -> None:
    path = short / "docker.sock"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        engine = probe(f"unix://{short}/none.sock", XDG_RUNTIME_DIR=str(short))
    assert engine.todo == f"a rootless engine answers: export DOCKER_HOST=unix://{path}"


def test_tcp_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        engine = probe(f"tcp://127.0.0.1:{port}")
    assert not engine.found
    assert engine.problem == f"tcp://127.0.0.1:{port} refuses connections"


def test_a_password_in_the_address_is_not_shown() -> None:
    engine = probe("tcp://user:secret@127.0.0.1:1")
    assert engine.address == "tcp://127.0.0.1:1"
    assert not engine.found
    assert "secret" not in repr(engine)


def test_an_address_that_makes_no_sense() -> None:
    engine = probe("carrier-pigeon://coop")
    assert not engine.found
    assert engine.problem.startswith("carrier-pigeon://coop: ")


def test_an_engine_that_answers() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"OK" if self.path.endswith("_ping") else b'{"Version": "28.2.2", "ApiVersion": "1.45"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        engine = probe(f"tcp://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()
    assert (engine.found, engine.version, engine.api_version) == (True, "28.2.2", "1.45")


def test_every_setting_and_minimum_is_documented() -> None:
    package = Path(toolchain.__file__).parent
    page = (package.parents[1] / "docs/doctor.md").read_text()
    source = "".join(file.read_text() for file in package.glob("*.py"))
    for variable in sorted(set(re.findall(r"ALERT_HARNESS_[A-Z_]*[A-Z]", source))):
        assert variable in page
    for tool in TOOLS.values():
        assert re.search(rf"\| .*\b{tool.name}\b.* \| {re.escape(tool.minimum_text)} \|", page)
        assert tool.setting in page or f"`…_{tool.name.upper()}`" in page


def test_the_documented_example_is_what_doctor_prints() -> None:
    page = (Path(toolchain.__file__).parents[2] / "docs/doctor.md").read_text()
    example = page.split("```text\n")[1].split("```")[0]
    alertmanager = TOOLS["alertmanager"]
    tried = (
        Attempt("setting", f"{alertmanager.setting} is not set"),
        Attempt(
            "PATH",
            f"/usr/bin/prometheus-alertmanager is 0.15.3: needs 0.22 or newer, {alertmanager.older_lacks}",
            rejected=True,
        ),
        Attempt("cache", "none in /home/ada/.cache/alert-harness/tools"),
    )
    places = {
        "promtool": ("3.5.3", "/usr/local/bin/promtool"),
        "prometheus": ("3.5.3", "/usr/local/bin/prometheus"),
        "amtool": ("0.33.1", "/usr/bin/amtool"),
        "node_exporter": ("1.11.1", "/usr/bin/prometheus-node-exporter"),
    }
    todo = (
        "have it fetched: alert-harness doctor --fetch; or install alertmanager 0.22 or newer and put it on PATH, "
        "or name it: ALERT_HARNESS_ALERTMANAGER=/path/to/alertmanager"
    )
    rows = [
        Row(tool.name, True, places[tool.name][1], places[tool.name][0], "PATH", tool.purpose, tool.needed_by_verify)
        if tool.name in places
        else Row(tool.name, False, "", "", "", tool.purpose, tried=tried, todo=todo)
        for tool in TOOLS.values()
    ]
    engine = Row(
        "container engine",
        False,
        "",
        "",
        "",
        "Prometheus in a container (--engine docker)",
        tried=(Attempt("engine", "/var/run/docker.sock does not exist"),),
        todo="install a container engine and start it (`systemctl start docker`), or set DOCKER_HOST",
    )
    assert render_text([*rows, engine]) == example
