"""No test waits for ever, and whoever started the tests does not change what their children obey."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TESTS = """\
import os, signal, subprocess, sys, time
import pytest

def test_a_child_obeys():
    for number in (signal.SIGINT, signal.SIGHUP):
        child = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(30)"], stdout=-1)
        child.stdout.read(1)
        child.send_signal(number)
        assert child.wait(10) != 0
    os.kill(os.getpid(), signal.SIGHUP)  # still ignored by ourselves

@pytest.mark.timeout(1)
def test_without_end():
    time.sleep(30)

def test_after_it(request):
    assert request.node.get_closest_marker("timeout") is None

@pytest.mark.slow
@pytest.mark.system
def test_slow(request):
    assert request.node.get_closest_marker("timeout").args == (2400,)

@pytest.mark.system
def test_system(request):
    assert request.node.get_closest_marker("timeout").args == (900,)
"""


def test_under_nohup_in_the_background(tmp_path: Path) -> None:
    """The same settings and conftest.py, in a pytest that inherits that SIGINT and SIGHUP are ignored."""
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    for name in ("conftest.py", "limits.py", "distribution.py", "needs.py"):
        shutil.copy(HERE / name, tmp_path)
    settings = ["-c", str(HERE.parent / "pyproject.toml"), "--rootdir", str(tmp_path), "-p", "no:randomly"]
    command = [sys.executable, "-m", "pytest", *settings, "-p", "no:cacheprovider", "-q", str(tmp_path)]
    shell = ["/bin/sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *command]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines()[-1].startswith("1 failed, 4 passed"), done.stdout
    assert "test_without_end - Failed: Timeout" in done.stdout


def test_every_test_has_a_limit(pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 120
