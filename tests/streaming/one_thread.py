"""Tests that fork, as the service does, do it in a process with one thread.

A test run has more of them, and a child that is forked there may wait for ever for a lock that one of them held.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).resolve().parent
Plain = TypeVar("Plain")


def in_one_thread(scenario: Callable[[], Plain]) -> Plain:
    """What a function of a test module returns, called in a new process; a literal of Python's own types."""
    name = scenario.__name__
    code = f"from {scenario.__module__} import {name}; print(repr({name}()))"
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        cwd=HERE,
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    result: Plain = ast.literal_eval(done.stdout)
    return result
