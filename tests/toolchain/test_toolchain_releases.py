"""Fetching a release: verified, whole or not at all, one clear line when it fails."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import EngineError
from harness.toolchain import releases
from harness.toolchain.store import Store, this_platform
from tests.toolchain.toolchain_fakes import Machine, ReleaseHost, script, tar_gz

STEM = f"prometheus-3.5.3.{this_platform()}"
GOOD = {f"{STEM}/{tool}": script(tool, "3.5.3") for tool in ("prometheus", "promtool")}


def failure(machine: Machine, name: str = "promtool") -> str:
    """The line on the release in the error, after checking that nothing was left behind."""
    with pytest.raises(EngineError) as caught:
        machine.toolchain().find(name)
    assert machine.staging() == []
    assert not (machine.cache / "tools" / name).exists()
    return next(line for line in str(caught.value).splitlines() if line.startswith("  release  "))[11:]


def test_one_fetch_brings_both_tools(machine: Machine, release_host: ReleaseHost) -> None:
    path = release_host.add()
    toolchain = machine.toolchain()
    promtool, prometheus = toolchain.find("promtool"), toolchain.find("prometheus")
    assert (promtool.origin, prometheus.origin) == ("release", "cache")
    assert release_host.asked == [f"{path.rsplit('/', 1)[0]}/sha256sums.txt", path]
    assert promtool.path == machine.cache / "tools/promtool" / f"3.5.3.{this_platform()}" / "promtool"
    assert sorted(file.name for file in promtool.path.parent.iterdir()) == ["manifest.json", "promtool"]
    assert machine.staging() == []


def test_other_projects(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add("alertmanager", "0.33.1", tools=("alertmanager", "amtool"))
    release_host.add("node_exporter", "1.11.1", tools=("node_exporter",))
    toolchain = machine.toolchain()
    assert [toolchain.find(name).version for name in ("amtool", "alertmanager", "node_exporter")] == [
        (0, 33, 1),
        (0, 33, 1),
        (1, 11, 1),
    ]


def test_a_whole_version_need_not_be_pinned(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(version="3.4.1")
    assert machine.toolchain(ALERT_HARNESS_PROMETHEUS_VERSION="3.4.1").find("promtool").version == (3, 4, 1)


def test_a_wrong_sum_is_not_used(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(digest="ab" * 32)
    line = failure(machine)
    assert line.startswith(f"{STEM}.tar.gz on 127.0.0.1: its SHA-256 is ")
    assert line.endswith("…, the release's list says abababababab…; not used")


def test_an_archive_that_the_list_does_not_name(machine: Machine, release_host: ReleaseHost) -> None:
    folder = release_host.add().rsplit("/", 1)[0]
    release_host.files[f"{folder}/sha256sums.txt"] = f"{'1' * 64}  prometheus-3.5.3.amiga-m68k.tar.gz\n".encode()
    assert failure(machine) == f"prometheus v3.5.3 on 127.0.0.1: no build for {this_platform()}"


def test_a_truncated_download(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.cut[release_host.add()] = 30
    line = failure(machine)
    assert line.startswith(f"{STEM}.tar.gz on 127.0.0.1: the ")
    assert "broke" in line


def test_a_truncated_archive_with_a_matching_sum(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(archive=tar_gz({f"{STEM}/prometheus": os.urandom(50_000)})[:20_000])
    assert failure(machine).startswith(f"{STEM}.tar.gz is damaged: ")


def test_no_archive_at_all(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(archive=b"<html>please log in</html>")
    assert failure(machine).startswith(f"{STEM}.tar.gz is damaged: ")


def test_the_archive_is_gone(machine: Machine, release_host: ReleaseHost) -> None:
    del release_host.files[release_host.add()]
    assert failure(machine) == f"{STEM}.tar.gz on 127.0.0.1: no such release (HTTP 404)"


@pytest.mark.parametrize("name", ["../../escaped", f"{STEM}/../../escaped", "/tmp/escaped-from-archive"])
def test_paths_that_lead_outside_are_refused(machine: Machine, release_host: ReleaseHost, name: str) -> None:
    release_host.add(archive=tar_gz({name: "x", **GOOD}))
    assert failure(machine) == f"{STEM}.tar.gz holds a path that leads outside (`{name}`); not used"
    assert not Path("/tmp/escaped-from-archive").exists()
    assert not list(machine.cache.parent.rglob("escaped"))


def test_an_archive_without_the_tool(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(tools=("prometheus",))
    assert failure(machine) == f"{STEM}.tar.gz holds no promtool"


def test_binaries_that_do_not_run_here_are_not_kept(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(archive=tar_gz({**GOOD, f"{STEM}/promtool": b"\x7fELF of another machine"}))
    assert failure(machine).endswith("fetched-promtool does not run: it is no program for this machine")


def test_a_host_that_refuses_is_one_line_and_asked_once(machine: Machine) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        machine.release_url = f"http://user:secret@127.0.0.1:{probe.getsockname()[1]}"
    toolchain = machine.toolchain()
    started = time.monotonic()
    for name in ("promtool", "alertmanager"):
        with pytest.raises(EngineError) as caught:
            toolchain.find(name)
        assert "\n  release  127.0.0.1: connection refused\n" in str(caught.value)
        assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 4


def test_a_silent_host_costs_a_bounded_time_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "_ANSWER_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        machine.release_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        toolchain = machine.toolchain()
        started = time.monotonic()
        for name in ("promtool", "alertmanager"):
            with pytest.raises(EngineError) as caught:
                toolchain.find(name)
            assert "release  127.0.0.1: no answer " in str(caught.value)
        assert time.monotonic() - started < 4  # generous: importing requests counts, too


def test_a_name_that_does_not_resolve(machine: Machine) -> None:
    machine.release_url = "https://releases.invalid"
    assert failure(machine) in (
        "releases.invalid: its name could not be resolved",
        "releases.invalid: no answer within 5 s",
        "releases.invalid: the proxy refused or did not answer",
    )


def test_a_full_disk_is_one_clear_error(
    machine: Machine, release_host: ReleaseHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_host.add()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "_install", full)
    with pytest.raises(EngineError) as caught:
        machine.toolchain().find("promtool")
    assert str(caught.value).splitlines() == [
        f"no space left for {machine.cache}/tools; nothing half-written was kept",
        "  what to do: free about 400 MB there, or set ALERT_HARNESS_CACHE to a folder on a larger disk",
    ]
    assert machine.staging() == []


def test_a_cache_that_cannot_be_made(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    machine.cache.write_text("a file where the folder should be")
    with pytest.raises(EngineError) as caught:
        machine.toolchain().find("promtool")
    assert f"the cache folder {machine.cache}/tools cannot be written: " in str(caught.value)
    assert "set ALERT_HARNESS_CACHE to a folder that you may write" in str(caught.value)


FIND = """
import os, pathlib, sys
from harness.toolchain import Toolchain
tool = Toolchain(progress=lambda m: print(m, file=sys.stderr), machine_root=pathlib.Path(sys.argv[1])).find("promtool")
print(tool.path, tool.version_text)
"""


def start(machine: Machine) -> subprocess.Popen[str]:
    """Another process that looks for promtool."""
    root = Path(releases.__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", FIND, str(machine.root)],
        env=machine.environ(ALERT_HARNESS_RELEASE_URL=machine.release_url, PYTHONPATH=str(root)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_runs_at_once_fetch_once_and_agree(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(archive=tar_gz({f"{STEM}/README": os.urandom(2_000_000), **GOOD}))
    processes = [start(machine) for _ in range(3)]
    results = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    place = machine.cache / "tools/promtool" / f"3.5.3.{this_platform()}" / "promtool"
    assert [(output, code) for output, _, code in results] == [(f"{place} 3.5.3\n", 0)] * 3
    assert len(release_host.archives_asked()) == 1
    assert machine.staging() == []


def test_threads_share_one_fetch(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    toolchain = machine.toolchain()
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(toolchain.find("promtool").path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(release_host.archives_asked()) == 1


def test_what_a_killed_run_left_is_swept_and_its_lock_is_free(machine: Machine, release_host: ReleaseHost) -> None:
    path = release_host.add()
    release_host.stall.add(path)
    process = start(machine)
    assert release_host.stalled.wait(30)
    assert len(machine.staging()) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(machine.staging()) == 1
    release_host.stall.clear()
    assert machine.toolchain().find("promtool").origin == "release"
    assert machine.staging() == []


def test_ctrl_c_leaves_nothing(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.stall.add(release_host.add())
    process = start(machine)
    assert release_host.stalled.wait(30)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert machine.staging() == []
