"""The container engine: locked down, on 127.0.0.1, removed whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import docker
import pytest

from harness.engines import Samples, make_labels, open_engine
from harness.engines.container import DEFAULT_IMAGE, OWNER_LABEL, ContainerEngine, sweep
from harness.engines.owner import Owner
from harness.errors import EXIT_ENGINE, EngineError

ROOT = Path(__file__).resolve().parents[2]
needs_docker = pytest.mark.docker


@pytest.fixture
def client(need_docker: None) -> Iterator[Any]:
    client = docker.from_env()
    yield client
    client.close()


def exists(client: Any, name: object) -> bool:
    try:
        client.api.inspect_container(str(name))
    except docker.errors.NotFound:
        return False
    return True


def gone(client: Any, name: object, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while exists(client, name):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def volumes(client: Any) -> set[str]:
    return {volume.name for volume in client.volumes.list()}


@needs_docker
def test_locked_down_and_loopback_only(image: str, client: Any) -> None:
    with ContainerEngine(image) as engine:
        assert engine.kind == "docker"
        assert engine.url.startswith("http://127.0.0.1:")
        found = client.api.inspect_container(engine._container_name)
        host = found["HostConfig"]
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["ReadonlyRootfs"] is True
        assert not host["Privileged"]
        assert all(":" not in bind for bind in host["Binds"])  # an anonymous volume, no folder of this machine
        assert host["Memory"] == 2 << 30
        assert found["Config"]["User"] == "65534:65534"
        assert [port["HostIp"] for port in found["NetworkSettings"]["Ports"]["9090/tcp"]] == ["127.0.0.1"]
        assert found["Config"]["Labels"]["alert-harness"] == "1"
        assert Owner.parse(found["Config"]["Labels"][OWNER_LABEL]) == Owner.current()
        name = engine._container_name
        mounted = {mount["Name"] for mount in found["Mounts"] if mount["Type"] == "volume"}
        assert mounted <= volumes(client)
    assert not exists(client, name)
    assert not mounted & volumes(client)
    engine.close()  # again: harmless
    with pytest.raises(EngineError, match="is closed"):
        engine.query("1", 0)


@needs_docker
def test_a_thousand_slots_and_a_reset(image: str) -> None:
    slot, slots, t0 = 3_600_000, 1000, 200_000_000_000
    times = [t0 + i * slot + k * 15_000 for i in range(slots) for k in range(21)]
    values = [float(i * 15 * k) for i in range(slots) for k in range(21)]
    with open_engine("docker", prometheus=lambda: Path("unused"), image=image) as engine:
        engine.write([Samples(make_labels("m"), times, values)])
        (series,) = engine.query_range("rate(m[5m])", t0 + 300_000, t0 + 300_000 + (slots - 1) * slot, slot)
        assert series.values == pytest.approx([float(i) for i in range(slots)], rel=1e-12)
        engine.reset()
        assert engine.query("m", t0) == []


@needs_docker
def test_rule_files_go_in_without_a_shared_file_system(image: str, tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "r.yml", tmp_path / "b" / "r.yml"]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(f"groups: [{{name: g, interval: 1s, rules: [{{record: seen{number}, expr: vector(7)}}]}}]\n")
    with ContainerEngine(image, rule_files=paths) as engine:
        groups = engine._http("GET", "/api/v1/rules").json()["data"]["groups"]
        assert [group["rules"][0]["name"] for group in groups] == ["seen0", "seen1"]


@needs_docker
def test_an_image_that_is_absent(need_docker: None) -> None:
    with pytest.raises(EngineError) as caught:
        ContainerEngine("alert-harness.invalid/no/such:image")
    assert caught.value.exit_code == EXIT_ENGINE
    assert caught.value.message.startswith(
        "the image alert-harness.invalid/no/such:image is not here and cannot be pulled: "
    )
    assert len(caught.value.message.splitlines()) == 1
    assert "--image or ALERT_HARNESS_IMAGE" in (caught.value.hint or "")


@needs_docker
def test_a_name_that_is_no_image(need_docker: None) -> None:
    with pytest.raises(EngineError, match="NO/image"):
        ContainerEngine("NO/image::")


@needs_docker
def test_the_image_from_the_environment(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_HARNESS_IMAGE", image)
    with ContainerEngine() as engine:
        assert engine.image == image


@needs_docker
def test_a_prometheus_that_dies_shows_its_log(image: str, client: Any) -> None:
    with pytest.raises(
        EngineError, match=r"(?s)ended with exit status \d+ before it was ready.*no\.such-flag"
    ) as caught:
        ContainerEngine(image, flags=["--no.such-flag"])
    assert caught.value.exit_code == EXIT_ENGINE


@needs_docker
def test_an_image_whose_binary_is_elsewhere(image: str) -> None:
    with ContainerEngine(image, entrypoint="/bin/prometheus") as engine:
        assert engine.query("1", 0)
    with pytest.raises(EngineError, match="does not start") as caught:
        ContainerEngine(image, entrypoint="/bin/absent")
    assert "is an image of Prometheus?" in (caught.value.hint or "").replace(f"is {image} an", "is an")


@needs_docker
def test_never_ready(image: str, client: Any) -> None:
    with pytest.raises(EngineError, match=r"was not ready .*after 1 s"):
        ContainerEngine(image, flags=["--web.listen-address=127.0.0.1:9999"], ready_timeout_s=1)


@needs_docker
def test_a_port_that_cannot_be_published(image: str) -> None:
    with pytest.raises(EngineError, match="does not start") as caught:
        ContainerEngine(image, publish="203.0.113.7")
    assert "ALERT_HARNESS_DOCKER_PUBLISH" in (caught.value.hint or "")


@needs_docker
def test_death_and_removal_in_mid_run(image: str, client: Any) -> None:
    with ContainerEngine(image) as engine:
        client.api.kill(engine._container_name)
        with pytest.raises(EngineError, match="ended with exit status 137"):
            engine.query("1", 0)
        client.api.remove_container(engine._container_name, force=True, v=True)
        with pytest.raises(EngineError, match="was removed by somebody else"):
            engine.query("1", 0)
        engine.reset()
        assert engine.query("1", 0)


def start_owner(image: str) -> tuple[subprocess.Popen[str], str]:
    code = f"""
        import json, time
        from harness.engines.container import ContainerEngine
        engine = ContainerEngine({image!r})
        print(json.dumps(engine._container_name), flush=True)
        time.sleep(60)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, child.communicate()[1]
    return child, json.loads(line)


@needs_docker
def test_ctrl_c_leaves_nothing(image: str, client: Any) -> None:
    child, name = start_owner(image)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert not exists(client, name)


@needs_docker
def test_the_next_run_removes_what_a_killed_one_left(image: str, client: Any) -> None:
    child, name = start_owner(image)
    assert name not in sweep(client)
    assert exists(client, name)  # its owner lives
    child.kill()
    child.communicate()
    sweep(client)  # or that of a test that runs beside this one
    assert gone(client, name)


@needs_docker
def test_two_engines_side_by_side(image: str) -> None:
    with ContainerEngine(image) as one, ContainerEngine(image) as two:
        one.write([Samples(make_labels("m"), [10**12], [1.0])])
        assert two.query("m", 10**12) == []


@needs_docker
def test_building_an_image_twice_builds_it_once(
    need_docker: None, image_builder: ModuleType, prometheus_path: Path, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tag = "alert-harness/prometheus-test:built"
    try:
        assert image_builder.main(["--prometheus", str(prometheus_path), "--tag", tag]) == 0
        first = client.images.get(tag).id
        began = time.monotonic()
        assert image_builder.build(prometheus_path, tag) == tag
        assert time.monotonic() - began < 5
        assert client.images.get(tag).id == first
        assert capsys.readouterr().out == f"{tag}\n"
    finally:
        client.images.remove(tag, force=True)


def test_building_from_what_is_no_prometheus(
    image_builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image_builder.main(["--prometheus", str(tmp_path / "absent")]) == 2
    assert "absent does not run" in capsys.readouterr().err
    assert image_builder.main(["--prometheus", sys.executable]) == 2
    assert "is not Prometheus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("unix:///nonexistent/docker.sock", "/nonexistent/docker.sock does not exist"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1 refuses connections"),
        ("nonsense://x", "nonsense"),
    ],
)
def test_no_container_engine(monkeypatch: pytest.MonkeyPatch, host: str, problem: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineError) as caught:
        ContainerEngine("any")
    assert caught.value.exit_code == EXIT_ENGINE
    assert caught.value.message.startswith("no container engine to be had: ")
    assert problem in caught.value.message
    assert "use --engine process" in (caught.value.hint or "")


def test_the_default_image_is_pinned() -> None:
    assert DEFAULT_IMAGE.rpartition(":")[2].removeprefix("v").count(".") == 2
