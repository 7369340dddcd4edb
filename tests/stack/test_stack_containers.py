"""The stack as containers, for real, with local images and without Grafana."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from harness.cli import main
from harness.engines.owner import processes_with
from harness.engines.private import sweep
from harness.errors import EXIT_OK
from harness.stack.containers.compose import ComposeRuntime
from harness.stack.containers.files import ENV_FILES
from harness.stack.containers.reaper import PROJECT_LABEL
from harness.stack.containers.reaper import sweep as sweep_projects
from harness.stack.runtime import Health, Runtime, ServiceState
from harness.stack.services import SERVICES
from tests.needs import refuse_to_skip
from tests.stack.stack_probes import (
    PATIENCE_S,
    add_camera,
    arguments_of_all_processes,
    cameras,
    eventually,
    query,
    scraped,
)

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "fixtures/compose.yaml"
EXAMPLE = ROOT / "fixtures/.env.example"

pytestmark = pytest.mark.system


def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        found = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if not found:
        refuse_to_skip("no docker compose")
    # Nothing of this machine's own: what the file says by itself.
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "DOCKER_HOST")}
    return subprocess.run(
        ["docker", "compose", "--file", str(FILE), *arguments],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The example with passwords set, as it asks for."""
    text = re.sub(r"^(\w+_PASSWORD)=$", r"\1=secret", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    file = tmp_path / "filled.env"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def model(filled: Path) -> dict[str, Any]:
    """compose.yaml as compose reads it."""
    done = compose("--env-file", str(filled), "config")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "not even a warning"
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def test_the_file_says_what_it_should(model: dict[str, Any]) -> None:
    services = model["services"]
    ports = [(name, port) for name, each in services.items() for port in each.get("ports", ())]
    assert {name: int(port["published"]) for name, port in ports} == {
        "streaming": 8001, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000, "node-exporter": 9100,
        "postgres-exporter": 9187, "redis-exporter": 9121, "sink": 9095,
    }  # fmt: skip
    assert {name: service.port for name, service in SERVICES.items()} == {name: port["target"] for name, port in ports}
    assert {port["host_ip"] for _, port in ports} == {"127.0.0.1"}
    for name, each in services.items():
        assert each["user"].split(":")[0] not in ("", "0", "root"), name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each.get("read_only", False) is (name != "alertmanager"), name
        assert "healthcheck" in each, name
        assert not each["image"].endswith(":latest"), name
        assert ":" in each["image"].rpartition("/")[2], f"{name} is pinned"
    rules = [mount for mount in services["prometheus"]["volumes"] if mount["target"] == "/etc/prometheus/rules"]
    assert [Path(mount["source"]) for mount in rules] == [ROOT / "rules"], "no second copy of a rule"


def test_every_image_and_port_can_be_replaced(filled: Path) -> None:
    text = FILE.read_text(encoding="utf-8")
    images = set(re.findall(r"image: \$\{(\w+):-", text))
    ports = set(re.findall(r'ports: \["127\.0\.0\.1:\$\{(\w+):-', text))
    assert len(re.findall(r"^ +image:", text, re.MULTILINE)) == len(re.findall(r"^ +image: \$\{", text, re.MULTILINE))
    assert ports == {service.variable for service in SERVICES.values()}
    # The example names each of them, with the same value, so that nobody has to read the file.
    example = EXAMPLE.read_text(encoding="utf-8")
    for name in images | ports:
        default = re.search(rf"\$\{{{name}:-([^}}]+)\}}", text)
        assert default is not None
        assert f"#{name}={default[1]}\n" in example


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRAFANA_PASSWORD"])
def test_a_password_that_is_missing_is_asked_for(filled: Path, name: str) -> None:
    filled.write_text(filled.read_text(encoding="utf-8").replace(f"{name}=secret", f"{name}="), encoding="utf-8")
    done = compose("--env-file", str(filled), "config")
    assert done.returncode != 0
    assert f"{name} is missing a value: copy fixtures/.env.example to fixtures/.env and set it" in done.stderr


def test_six_targets_are_up(compose_stack: Runtime) -> None:
    jobs = ("streaming", "node", "postgres", "redis", "prometheus", "alertmanager")
    seen = {target.job: (target.health, target.reason) for target in scraped(compose_stack)}
    assert seen == dict.fromkeys(jobs, (Health.UP, ""))
    # Not the exporters alone: what they watch.
    assert [each["value"][1] for each in query(compose_stack, "pg_up")] == ["1"]
    assert [each["value"][1] for each in query(compose_stack, "redis_up")] == ["1"]
    grafana = next(each for each in compose_stack.services() if each.name == "grafana")
    assert (grafana.state, grafana.reason) == (ServiceState.ABSENT, "GRAFANA_SCALE is 0")


def test_containers_are_locked_in(compose_stack: Runtime) -> None:
    assert isinstance(compose_stack, ComposeRuntime)
    client = docker.from_env()
    try:
        found = client.containers.list(filters={"label": f"com.docker.compose.project={compose_stack.project}"})
        assert len(found) == 9
        for each in found:
            host, name = each.attrs["HostConfig"], each.labels["com.docker.compose.service"]
            assert host["CapDrop"] == ["ALL"], name
            # Docker itself adds the other where the process table is the machine's.
            assert {"no-new-privileges:true"} <= set(host["SecurityOpt"]) <= {"no-new-privileges:true", "label=disable"}
            assert host["ReadonlyRootfs"] is (name != "alertmanager"), name
            assert not host["Privileged"], name
            users = {line[0] for line in each.top(ps_args="-eo uid,pid")["Processes"]}
            assert "0" not in users, name
            bindings = [binding for each in (host["PortBindings"] or {}).values() for binding in each]
            assert {binding["HostIp"] for binding in bindings} <= {"127.0.0.1"}, name
    finally:
        client.close()


def test_stored_state_survives_sigkill_of_service_and_database(compose_stack: Runtime) -> None:
    add_camera(compose_stack, "survivor")
    for name in ("postgres", "redis", "streaming"):
        compose_stack.kill(name)
        compose_stack.restart(name)
    assert "survivor" in cameras(compose_stack)
    for name in ("prometheus", "alertmanager"):
        url = compose_stack.url(name)
        compose_stack.kill(name)
        ended = next(each for each in compose_stack.services() if each.name == name)
        assert (ended.state, ended.reason) == (ServiceState.ENDED, "exited with exit status 137")
        compose_stack.restart(name)
        assert compose_stack.url(name) == url
    assert query(compose_stack, 'count_over_time(up{job="postgres"}[1h])')


def test_no_secret_in_arguments_or_logs(compose_stack: Runtime) -> None:
    assert isinstance(compose_stack, ComposeRuntime)
    environment = compose_stack._compose.model()["services"]["postgres"]["environment"]
    secrets = {compose_stack.tokens.faults, compose_stack.tokens.webhook, environment["POSTGRES_PASSWORD"]}
    assert all(len(secret) >= 32 for secret in secrets)
    seen = arguments_of_all_processes()
    for name in ("streaming", "postgres", "redis", "prometheus", "alertmanager", "postgres-exporter", "redis-exporter"):
        seen += compose_stack.logs(name)
    assert [secret for secret in secrets if secret in seen] == []


def start_of_containers() -> str:
    return textwrap.dedent(
        f"""
        from pathlib import Path
        from harness.config import load_config
        from harness.stack.opening import RuntimeKind, throwaway
        from harness.stack.spec import ANY_PORTS, Spec
        from harness.toolchain import Toolchain
        with throwaway(
            Spec(load_config(Path({str(ROOT)!r})), ports=ANY_PORTS), Toolchain(), RuntimeKind.COMPOSE,
            lambda line: print(line, flush=True),
        ):
            raise AssertionError("it was to be killed before")
        """
    )


@pytest.fixture
def engine() -> Iterator[Any]:
    client = docker.from_env()
    yield client
    client.close()


def projects(engine: Any) -> set[str]:
    api = engine.api  # the list as it is: looking at each by itself fails while they go
    found = [*api.containers(all=True), *api.networks(), *(api.volumes()["Volumes"] or ())]
    return {project for each in found if (project := (each["Labels"] or {}).get(PROJECT_LABEL))}


def killed_half_way(local_images: str, made: Callable[[], bool], also: Callable[[], list[int]] = list) -> None:
    """Start a stack in another process, and kill that as soon as some of it is made; `also` others, before."""
    with subprocess.Popen(
        [sys.executable, "-c", start_of_containers()],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, ENV_FILES: local_images},
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("starting ")
        eventually(made, "containers are being made")
        for pid in also():
            os.kill(pid, signal.SIGKILL)
        owner.send_signal(signal.SIGKILL)
        owner.wait(PATIENCE_S)


# One at a time: where this stack is up, the images are here and the engine is well.
@pytest.mark.usefixtures("compose_stack")
@pytest.mark.parametrize("neighbour", [False, True], ids=["alone", "swept by a neighbour"])
def test_nothing_outlives_its_owner(local_images: str, engine: Any, neighbour: bool) -> None:
    before = projects(engine)
    killed_half_way(local_images, lambda: projects(engine) != before)
    if neighbour:
        sweep()  # takes the dead owner's folder, and with it the files that the containers were made from
    eventually(lambda: projects(engine) == before, "containers, networks and volumes are gone")


@pytest.mark.usefixtures("compose_stack")
def test_the_next_run_ends_what_a_killed_reaper_left(local_images: str, engine: Any) -> None:
    before = projects(engine)
    found: set[str] = set()

    def made() -> bool:
        found.update(projects(engine) - before)
        marks = [f"{PROJECT_LABEL}={project}" for project in found]
        return bool(found and engine.api.volumes(filters={"label": marks})["Volumes"])

    def at_work() -> list[int]:
        return [pid for project in found for pid in processes_with(project)]

    killed_half_way(local_images, made, at_work)
    assert projects(engine) - before == found
    assert sweep_projects(engine) == [*found]
    assert projects(engine) == before
    assert sweep_projects(engine) == []


@pytest.mark.usefixtures("compose_stack")
def test_containers_that_stay_up(
    tmp_path: Path,
    state: Path,
    local_images: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`stack up|status|logs|down` on a project elsewhere, whose passwords nobody has set yet."""
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures", ignore=shutil.ignore_patterns(".env"))
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / "alert-harness.toml").write_text("", encoding="utf-8")
    project = f"alert-harness-test-{os.getpid()}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", project)
    monkeypatch.setenv(ENV_FILES, local_images)
    client = docker.from_env()

    def volumes() -> int:
        return len(client.volumes.list(filters={"label": f"com.docker.compose.project={project}"}))

    try:
        ports = [f"--port={name}=0" for name in SERVICES]
        assert main(["stack", "up", "--runtime", "compose", *ports, "--wait"]) == EXIT_OK
        shown = capsys.readouterr()
        assert "containers: 6 of 6 targets are up" in shown.out
        assert "was not there; made one with new passwords and tokens" in shown.err
        made = tmp_path / "fixtures/.env"
        assert made.stat().st_mode & 0o777 == 0o600
        assert main(["stack", "status"]) == EXIT_OK
        assert main(["stack", "logs", "postgres"]) == EXIT_OK
        said = "".join(capsys.readouterr())
        assert "database system is ready to accept connections" in said
        secrets = [line.partition("=")[2] for line in made.read_text(encoding="utf-8").splitlines() if "=" in line]
        assert [secret for secret in secrets if len(secret) > 20 and secret in said + shown.out + shown.err] == []
        assert main(["stack", "down"]) == EXIT_OK
        assert client.containers.list(all=True, filters={"label": f"com.docker.compose.project={project}"}) == []
        assert volumes() == 4
    finally:
        assert main(["stack", "down", "--volumes"]) == EXIT_OK
        left = volumes()
        subprocess.run(["docker", "compose", "--project-name", project, "down", "--volumes"], check=False)
        client.close()
    assert left == 0
