"""`alert-harness test` against bare promtool file by file: wall and CPU as ratios.

    python tests/benchmarks/bench_suites.py [FOLDER]

FOLDER holds promtool unit tests (default: our own). Both run after one another, three times;
the least of each counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.toolchain import Toolchain

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = 3


def _measure(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds, those of children included."""
    times, wall = os.times(), time.perf_counter()
    work()
    after = os.times()
    cpu = after.children_user + after.children_system - times.children_user - times.children_system
    return time.perf_counter() - wall, cpu


def main() -> None:
    """Measure and print."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "rules"
    files = [
        file
        for file in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")])
        if "\nrule_files:" in "\n" + file.read_text(encoding="utf-8")
        and file.parts[-3:] != ("kubernetes-mixin", "tests", "tests.yaml")  # minutes, and it may time out
    ]
    promtool = Toolchain().find("promtool").path

    def bare() -> None:
        for file in files:
            subprocess.run([promtool, "test", "rules", file], capture_output=True, check=False)

    def ours() -> None:
        command = [sys.executable, "-m", "harness.cli", "test", *map(str, files)]
        subprocess.run(command, capture_output=True, check=False, cwd=ROOT)

    rounds = [(_measure(bare), _measure(ours)) for _ in range(ROUNDS)]
    bare_wall, bare_cpu = (min(round_[0][i] for round_ in rounds) for i in (0, 1))
    our_wall, our_cpu = (min(round_[1][i] for round_ in rounds) for i in (0, 1))
    print(f"{len(files)} files, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"wall: promtool {bare_wall:.1f} s, ours {our_wall:.1f} s, ratio {our_wall / bare_wall:.2f}")
    print(f"cpu:  promtool {bare_cpu:.1f} s, ours {our_cpu:.1f} s, ratio {our_cpu / bare_cpu:.2f}")


if __name__ == "__main__":
    main()
