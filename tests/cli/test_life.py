"""The command's life as a process: interrupted, killed, unheard; nothing stays behind and the exit code stays true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.scripting import COMMAND, SCRIPTS, clean_environ

ROOT = Path(__file__).resolve().parents[2]
OWN = ["--config", str(ROOT / "pyproject.toml"), "prove"]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tools: dict[str, Path], temp: Path) -> dict[str, str]:
    return clean_environ(os.environ, tools, temp)


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, stdout: int = subprocess.PIPE, cwd: Path | None = None, **more: str):  # type: ignore[no-untyped-def]
        child = subprocess.Popen(
            [str(COMMAND), *arguments],
            cwd=cwd or tmp_path,
            env=environ | more,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        started.append(child)
        return child

    yield run
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()


def until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def running_in(temp: Path) -> list[int]:
    """Processes that have this folder in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(temp).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def measuring(temp: Path) -> bool:
    """Whether an engine has begun to run."""
    return any(temp.glob("alert-harness-*/data/wal/*"))


def written(temp: Path) -> bool:
    """Whether an engine has taken samples."""
    return any(file.stat().st_size for file in temp.glob("alert-harness-*/data/wal/0*"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("when", [measuring, written])
@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "interrupted; nothing was left running"),
        (signal.SIGTERM, 143, "ended by SIGTERM; nothing was left running"),
        (signal.SIGHUP, 129, "ended by SIGHUP; nothing was left running"),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_a_signal_in_mid_run(
    start: Start, temp: Path, number: int, code: int, says: str, when: Callable[[Path], bool]
) -> None:
    child = start(*OWN, "--engine", "process")
    assert until(lambda: when(temp))
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert err.decode() == f"alert-harness: {says}\n"
    assert child.returncode == code
    assert b"report: " not in out or b"exact" in out, "a report of nothing"
    assert running_in(temp) == []
    assert list(temp.iterdir()) == []


def notarizing(temp: Path) -> bool:
    """Whether promtool is confirming."""
    return any(temp.glob("*/*.test.yml"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("when", [measuring, notarizing])
def test_sigkill_in_mid_run_and_the_next_run(start: Start, temp: Path, when: Callable[[Path], bool]) -> None:
    child = start(*OWN, "--engine", "process")
    assert until(lambda: when(temp))
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert list(temp.iterdir()) != [], "the test came too late to see anything"
    assert until(lambda: running_in(temp) == [], 15), "its engine outlived it"
    again = start("prove", "--engine", "process", cwd=SCRIPTS / "project")
    _, err = again.communicate(timeout=60)
    assert (again.returncode, err) == (0, b"")
    assert list(temp.iterdir()) == []


def test_a_reader_that_leaves_early_does_not_change_the_exit_code(
    start: Start, tmp_path: Path, environ: dict[str, str]
) -> None:
    """`alert-harness prove | head -1` under pipefail: neither a false green nor a false red."""
    (tmp_path / "none.yml").write_text("contracts: []\n", encoding="utf-8")
    for more, code in (((), 0), (("--contracts", str(tmp_path / "none.yml")), 1)):
        reader, writer = os.pipe()
        child = start("prove", *more, cwd=SCRIPTS / "project", stdout=writer)
        os.close(writer)
        os.close(reader)
        assert child.communicate(timeout=60)[1] == b""
        assert child.returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_onto_a_full_disk(start: Start) -> None:
    with open("/dev/full", "wb") as full:
        child = start("--help", stdout=full.fileno())
        _, err = child.communicate(timeout=60)
        assert b"Traceback" not in err
        assert child.returncode != 0
        child = start("prove", cwd=SCRIPTS / "project", stdout=full.fileno())
        _, err = child.communicate(timeout=60)
    text = err.decode()
    assert text.startswith("alert-harness: No space left on device\n  what to do: make room")
    assert len(text.splitlines()) == 2
    assert child.returncode == 3


def test_closed_output_and_an_encoding_without_our_characters(start: Start, environ: dict[str, str]) -> None:
    shell = 'exec "$0" prove --engine nope >&- 2>&-'
    done = subprocess.run(["/bin/sh", "-c", shell, str(COMMAND)], cwd=SCRIPTS / "project", env=environ, check=False)
    assert done.returncode == 2
    child = start("prove", cwd=SCRIPTS / "project", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")
    assert b"1 of 1 alerts is exact" in out


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root on Linux")
@pytest.mark.parametrize("size", ["4k", "64k"])
def test_a_full_disk_for_temporary_files(start: Start, tmp_path: Path, size: str) -> None:
    """At once, or (on the larger one) when promtool has to write: never a verdict about the rules."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        child = start("prove", "--engine", "process", cwd=SCRIPTS / "project", TMPDIR=str(small))
        _, err = child.communicate(timeout=60)
        text = err.decode()
        assert "Traceback" not in text
        assert "full" in text
        assert "what to do: " in text
        assert "TMPDIR" in text
        assert child.returncode == 3
        assert not list(small.glob("alert-harness-*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.docker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_a_container_measures(
    start: Start, temp: Path, image: str, environ: dict[str, str], number: int
) -> None:
    import docker

    client = docker.from_env()

    def ours(pid: int) -> list[str]:
        found = client.containers.list(all=True, filters={"label": "alert-harness.owner"}, ignore_removed=True)
        return [str(c.name) for c in found if f'"pid": {pid},' in c.labels["alert-harness.owner"]]

    try:
        child = start(*OWN, "--engine", "docker", "--image", image)
        assert until(lambda: ours(child.pid))
        time.sleep(1.0)
        child.send_signal(number)
        child.communicate(timeout=60)
        if number == signal.SIGKILL:
            assert ours(child.pid), "a container outlives its owner's SIGKILL"
            again = start("prove", "--engine", "docker", "--image", image, cwd=SCRIPTS / "project")
            assert again.communicate(timeout=90)[1] == b""
            assert again.returncode == 0
        else:
            assert child.returncode == 128 + number
        assert ours(child.pid) == []
        assert list(temp.iterdir()) == []
    finally:
        client.close()
