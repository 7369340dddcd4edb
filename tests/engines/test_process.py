"""The process engine's life: started, watched, gone afterwards whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.engines import Samples, make_labels, open_engine
from harness.engines.child import free_port, tail
from harness.engines.owner import Owner, process_start
from harness.engines.private import PREFIX, folder_name, sweep
from harness.engines.process import ProcessEngine
from harness.engines.spawned import Spawned
from harness.errors import EXIT_ENGINE, EngineError

ROOT = Path(__file__).resolve().parents[2]
LINUX = sys.platform == "linux"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}")
    path.chmod(0o755)
    return path


def left(temp: Path) -> list[str]:
    """What engines left in their folder for temporary files."""
    return sorted(name for name in os.listdir(temp) if name.startswith(PREFIX))


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


Run = Callable[[str], tuple["subprocess.Popen[str]", dict[str, object]]]


@pytest.fixture
def owner_run(temp: Path, prometheus_path: Path) -> Iterator[Run]:
    """Runs Python code in a process of its own, up to the JSON line that it prints."""
    started = []

    def run(code: str) -> tuple[subprocess.Popen[str], dict[str, object]]:
        head = f"""
            import json, os, sys, time
            from pathlib import Path
            from harness.engines import spawned
            from harness.engines.process import ProcessEngine
            prometheus = Path({str(prometheus_path)!r})
            def say(**facts): print(json.dumps(facts), flush=True)
        """
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temp), "PYTHONPATH": str(ROOT)},
        )
        started.append(child)
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, child.communicate()[1]
        return child, json.loads(line)

    yield run
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()


OPEN = """
    engine = ProcessEngine(prometheus)
    say(pid=engine.pid, folder=str(engine.folder))
"""


def test_private_folder_and_loopback_only(prometheus_path: Path, temp: Path) -> None:
    with ProcessEngine(prometheus_path, temp=temp) as engine:
        assert engine.kind == "process"
        assert engine.url.startswith("http://127.0.0.1:")
        assert engine.folder is not None
        assert engine.folder.parent == temp
        assert stat.S_IMODE(engine.folder.stat().st_mode) == 0o700
        assert Owner.parse((engine.folder / "owner.json").read_text()) == Owner.current()
        assert not Owner.current().is_dead()
        pid = engine.pid
        assert pid is not None
        if LINUX:
            assert f"--web.listen-address={engine.url.removeprefix('http://')}" in Path(
                f"/proc/{pid}/cmdline"
            ).read_text().split("\0")
    assert process_start(pid) is None
    assert left(temp) == []
    engine.close()  # again: harmless
    with pytest.raises(EngineError, match="is closed"):
        engine.query("1", 0)


def test_rule_files_and_further_configuration(prometheus_path: Path, temp: Path, tmp_path: Path) -> None:
    rules = tmp_path / "r.yml"
    rules.write_text("groups: [{name: g, interval: 1s, rules: [{record: seen, expr: vector(7)}]}]\n")
    extra = {"global": {"external_labels": {"a": "ä"}}}
    with ProcessEngine(prometheus_path, temp=temp, rule_files=[rules], extra_config=extra) as engine:
        assert until(lambda: bool(engine.query("seen", int(time.time() * 1000))))
        config = engine._http("GET", "/api/v1/status/config").json()["data"]["yaml"]
        assert "a: ä" in config


def test_flags_may_replace_ours(prometheus_path: Path, temp: Path) -> None:
    with ProcessEngine(prometheus_path, temp=temp, flags=["--query.max-samples=1"]) as engine:
        flags = engine._http("GET", "/api/v1/status/flags").json()["data"]
        assert flags["query.max-samples"] == "1"


def test_a_wrong_flag(prometheus_path: Path, temp: Path) -> None:
    with pytest.raises(EngineError) as caught:
        ProcessEngine(prometheus_path, temp=temp, flags=["--no.such-flag"])
    assert "ended with exit status" in caught.value.message
    assert "unknown long flag '--no.such-flag'" in caught.value.message
    assert len(caught.value.message.splitlines()) < 6
    assert left(temp) == []


def test_a_wrong_configuration(prometheus_path: Path, temp: Path) -> None:
    with pytest.raises(EngineError, match=r"(?s)before it was ready.*last lines of its log.*nonsense"):
        ProcessEngine(prometheus_path, temp=temp, extra_config={"nonsense": 1})
    assert left(temp) == []


def test_a_port_that_is_taken_is_left_for_another(prometheus_path: Path, temp: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        ports = iter([holder.getsockname()[1], holder.getsockname()[1], free_port()])
        with ProcessEngine(prometheus_path, temp=temp, pick_port=lambda: next(ports)) as engine:
            assert engine.query("1", 0)
            assert not engine.url.endswith(f":{holder.getsockname()[1]}")


def test_every_port_is_taken_even_by_another_prometheus(prometheus_path: Path, temp: Path) -> None:
    with ProcessEngine(prometheus_path, temp=temp) as other:
        taken = int(other.url.rpartition(":")[2])
        with pytest.raises(EngineError) as caught:
            ProcessEngine(prometheus_path, temp=temp, pick_port=lambda: taken)
        assert "address already in use" in caught.value.message
        assert caught.value.hint == f"port {taken} of 127.0.0.1 is taken, and so were the 4 tried before"
        assert other.query("1", 0)
        assert len(left(temp)) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "echo boom >&2\nexit 3\n",
            r"ended with exit status 3 before it was ready\n  the last lines of its log:\n    boom",
        ),
        ("exit 0\n", r"ended with exit status 0 before it was ready$"),
        ("kill -SEGV $$\n", r"ended by SIGSEGV before it was ready$"),
    ],
)
def test_a_binary_that_dies(temp: Path, tmp_path: Path, body: str, message: str) -> None:
    binary = script(tmp_path / "prometheus", body)
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        ProcessEngine(binary, temp=temp)
    assert time.monotonic() - began < 5
    assert caught.value.exit_code == EXIT_ENGINE
    caught.match(message.replace("$", r"\n  what to do: is this a Prometheus of 2.53 or later\?$"))
    assert left(temp) == []


def test_a_binary_that_never_gets_ready(temp: Path, tmp_path: Path) -> None:
    binary = script(tmp_path / "prometheus", "echo waiting for godot\nexec sleep 60\n")
    with pytest.raises(EngineError) as caught:
        ProcessEngine(binary, temp=temp, ready_timeout_s=0.3)
    assert "was not ready after 0.3 s\n  the last lines of its log:\n    waiting for godot" in caught.value.message
    assert left(temp) == []


def test_no_such_binary_or_none_for_this_machine(temp: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"there is no Prometheus at .*absent"):
        ProcessEngine(tmp_path / "absent", temp=temp)
    text = tmp_path / "text"
    text.write_text("not a program")
    with pytest.raises(EngineError, match=r"cannot start .*text: Permission denied"):
        ProcessEngine(text, temp=temp)
    text.chmod(0o755)
    with pytest.raises(EngineError, match=r"cannot start .*text: Exec format error"):
        ProcessEngine(text, temp=temp)
    assert left(temp) == []


def test_a_temp_folder_that_cannot_be_written(prometheus_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.geteuid() == 0:  # root may write anywhere but there
        folder = Path("/proc")
    with pytest.raises(EngineError, match="cannot make a private folder") as caught:
        ProcessEngine(prometheus_path, temp=folder)
    assert caught.value.hint == "set TMPDIR to a folder that you may write to"
    with pytest.raises(EngineError, match="cannot make a private folder"):
        ProcessEngine(prometheus_path, temp=tmp_path / "absent")


@contextlib.contextmanager
def tiny_disk(folder: Path, size: str) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs root, to mount a tiny file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("size", ["4k", "8k"])
def test_a_full_disk(prometheus_path: Path, temp: Path, size: str) -> None:
    with tiny_disk(temp, size):
        with pytest.raises(EngineError) as caught:
            ProcessEngine(prometheus_path, temp=temp, ready_timeout_s=5).close()
        assert "full" in str(caught.value)
        assert "TMPDIR" in str(caught.value)
        assert caught.value.exit_code == EXIT_ENGINE
        assert left(temp) == []


def test_a_disk_that_fills_in_mid_run(prometheus_path: Path, temp: Path) -> None:
    with tiny_disk(temp, "1m"):
        times, values = range(10**12, 10**12 + 5000), [1 / (k + 1) for k in range(5000)]
        with ProcessEngine(prometheus_path, temp=temp) as engine, pytest.raises(EngineError) as caught:
            engine.write(Samples(make_labels("m", i=str(i)), times, values) for i in range(200))
        assert "no space left on device" in str(caught.value)
        assert caught.value.hint == "make room on the disk of the engine's data, or set TMPDIR to another one"
        assert left(temp) == []


def test_death_in_mid_run_is_told_with_the_log(prometheus_path: Path, temp: Path) -> None:
    with ProcessEngine(prometheus_path, temp=temp) as engine:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match=r"Prometheus \(.*\) ended by SIGKILL") as caught:
            engine.query("1", 0)
        assert caught.value.exit_code == EXIT_ENGINE
        engine.reset()
        assert engine.query("1", 0)
    assert left(temp) == []


def test_an_answer_that_takes_too_long(prometheus_path: Path, temp: Path) -> None:
    with ProcessEngine(prometheus_path, temp=temp, timeout_s=1.0) as engine:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        with pytest.raises(EngineError, match="did not answer within 1 s"):
            engine.query("1", 0)
        os.kill(engine.pid, signal.SIGCONT)
    assert left(temp) == []


def test_an_engine_outlives_the_thread_that_opened_it(prometheus_path: Path, temp: Path) -> None:
    found: list[ProcessEngine] = []
    thread = threading.Thread(target=lambda: found.append(ProcessEngine(prometheus_path, temp=temp)))
    thread.start()
    thread.join()
    time.sleep(0.1)
    with found[0] as engine:
        assert engine.query("1", 0)


@pytest.mark.skipif(not LINUX, reason="the parent-death signal is Linux'")
def test_prometheus_dies_with_its_killed_owner(owner_run: Run, temp: Path) -> None:
    child, facts = owner_run(OPEN + "    time.sleep(60)\n")
    child.kill()
    child.wait()
    assert until(lambda: process_start(int(str(facts["pid"]))) is None)
    assert left(temp) == [Path(str(facts["folder"])).name]
    assert sweep(temp) == [Path(str(facts["folder"]))]
    assert left(temp) == []


@pytest.mark.skipif(not LINUX, reason="needs code of C between fork and exec")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_we_start_obeys_a_signal_that_we_ignore(number: signal.Signals, tmp_path: Path) -> None:
    """nohup, and a script's background, start us with them ignored."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        child = Spawned(["sleep", "60"], tmp_path / "log", tmp_path)
        os.kill(child.pid, number)
        assert until(lambda: child.status() is not None)
        assert child.status() == f"by {number.name}"
    finally:
        signal.signal(number, before)
        child.kill()


def test_the_next_run_ends_what_a_killed_one_left(owner_run: Run, temp: Path, prometheus_path: Path) -> None:
    survive = "    spawned.die_with_parent = lambda parent: None\n"
    child, facts = owner_run(survive + OPEN + "    time.sleep(60)\n")
    pid = int(str(facts["pid"]))
    assert sweep(temp) == []  # its owner lives
    child.kill()
    child.wait()
    assert process_start(pid) is not None
    with ProcessEngine(prometheus_path, temp=temp) as engine:
        assert until(lambda: process_start(pid) is None)
        assert engine.folder is not None
        assert left(temp) == [engine.folder.name]
    assert left(temp) == []


def test_sweep_leaves_what_is_not_its_own(temp: Path) -> None:
    (temp / f"{PREFIX}file").write_text("x")
    (temp / f"{PREFIX}link").symlink_to(temp)
    other_tool = temp / f"{PREFIX}other"
    other_tool.mkdir()
    (other_tool / "work").write_text("x")
    young, old = temp / f"{PREFIX}young", temp / f"{PREFIX}old"
    young.mkdir()
    old.mkdir()
    elsewhere = temp / f"{PREFIX}elsewhere"
    elsewhere.mkdir()
    away = json.loads(Owner.current().text()) | {"host": "another machine", "pid": 2**22 + 1}
    (elsewhere / "owner.json").write_text(json.dumps(away))
    garbage = temp / f"{PREFIX}garbage"
    garbage.mkdir()
    (garbage / "owner.json").write_text("[1]")
    for folder in (other_tool, old):
        os.utime(folder, (0, 0))
    assert sweep(temp) == [old]
    assert len(left(temp)) == 6
    assert sweep(temp / "absent") == []


def test_sweep_takes_what_was_killed_before_it_could_note_its_owner(temp: Path) -> None:
    program = "import sys, pathlib; from harness.engines.private import folder_name; "
    program += "folder = folder_name(pathlib.Path(sys.argv[1])); folder.mkdir(); print(folder)"
    made = subprocess.run([sys.executable, "-c", program, str(temp)], capture_output=True, text=True, check=True).stdout
    living, busy = folder_name(temp), folder_name(temp)
    living.mkdir()
    (busy / "data").mkdir(parents=True)
    assert sweep(temp) == [Path(made.strip())]
    assert len(left(temp)) == 2


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, False),
        ({"start": "0"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"boot": "another"}, True),
        ({"host": "another", "boot": "another"}, False),
        ({"pid_namespace": "another", "pid": 2**22 + 1}, False),
    ],
)
def test_an_owner_is_dead_only_if_that_is_certain(change: dict[str, object], dead: bool) -> None:
    owner = Owner.parse(json.dumps(json.loads(Owner.current().text()) | change))
    assert owner is not None
    assert owner.is_dead() is dead


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"pid": 1}', "\x00"])
def test_text_that_names_no_owner(text: str) -> None:
    assert Owner.parse(text) is None


@pytest.mark.parametrize("extra", ["", "    with engine: time.sleep(60)\n"])
def test_ctrl_c_in_mid_run_leaves_nothing(owner_run: Run, temp: Path, extra: str) -> None:
    child, facts = owner_run(OPEN + extra + "    time.sleep(60)\n")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert left(temp) == []
    assert process_start(int(str(facts["pid"]))) is None


def test_ctrl_c_twice_while_it_closes(owner_run: Run, temp: Path) -> None:
    child, facts = owner_run(
        "    spawned.Spawned.end = lambda self, patience_s: (time.sleep(1), self.kill())\n"
        + OPEN
        + "    time.sleep(60)\n"
    )
    child.send_signal(signal.SIGINT)
    time.sleep(0.4)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert left(temp) == []
    assert process_start(int(str(facts["pid"]))) is None


def test_ctrl_c_while_it_starts_leaves_nothing(owner_run: Run, temp: Path, tmp_path: Path) -> None:
    binary = script(tmp_path / "prometheus", f"echo $$ > {tmp_path}/pid\nexec sleep 60\n")
    child, _ = owner_run(f"    say(ready=True)\n    ProcessEngine(Path({str(binary)!r}))\n")
    pid_file = tmp_path / "pid"
    assert until(lambda: pid_file.exists() and pid_file.read_text().strip() != "")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert left(temp) == []
    assert process_start(int(pid_file.read_text())) is None


def test_an_engine_that_nobody_closed_is_gone_at_exit(owner_run: Run, temp: Path) -> None:
    child, facts = owner_run(OPEN)
    child.communicate(timeout=20)
    assert child.returncode == 0
    assert left(temp) == []
    assert process_start(int(str(facts["pid"]))) is None


def test_a_forked_child_does_not_end_its_parents_engine(owner_run: Run) -> None:
    fork = """
        import subprocess
        subprocess.run(["true"], preexec_fn=engine.close, check=True)  # called in a forked copy of the owner
        say(alive=bool(engine.query("1", 0)))
        engine.close()
    """
    child, _ = owner_run(textwrap.dedent(OPEN) + textwrap.dedent(fork))
    output, errors = child.communicate(timeout=20)
    assert json.loads(output.splitlines()[-1]) == {"alive": True}, errors


def test_open_engine(prometheus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_engine("auto", prometheus=lambda: prometheus_path) as engine:
        assert engine.kind == "process"
    with pytest.raises(Exception, match=r"unknown engine `proces` \(did you mean `process`\?\)"):
        open_engine("proces", prometheus=lambda: prometheus_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")

    def none() -> Path:
        raise EngineError("no prometheus found")

    with pytest.raises(EngineError) as caught:
        open_engine("auto", prometheus=none)
    assert "as a process: no prometheus found" in caught.value.message
    assert "as a container: no container engine to be had: /nonexistent does not exist" in caught.value.message


def test_the_log_of_a_child_that_is_no_prometheus_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\xff\n" + b"".join(b"line %d\n" % i for i in range(50_000)))
    assert tail(log).splitlines() == [f"line {i}" for i in range(49_988, 50_000)]
    assert tail(tmp_path / "absent") == ""
