"""What a proof of the nine costs, against finding the thresholds with promtool by hand.

    python tests/benchmarks/bench_prove.py

`alert-harness prove` runs as a whole process: Python's start, Prometheus' start, promtool's confirmation and all. By
hand one would bisect each threshold to adjacent doubles, one promtool process per probe; that takes about sixty probes
per alert (a knob's range holds some 2^62 doubles), and finds neither holds nor situations. A few probes are measured
and the rest is reckoned from them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from harness.engines.promtool import Promtool
from harness.toolchain import Toolchain

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.bench_engine import ROOT, Bench, spread

PROBES_PER_ALERT = 60


def children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def prove() -> tuple[float, float, dict[str, int], dict[str, str]]:
    """Seconds on the clock and of processor of one `prove`, its summary and its engine."""
    began, spent = time.perf_counter(), children_s()
    run = subprocess.run(
        [sys.executable, "-m", "harness.cli", "prove", "--engine", "process", "--json", "-"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    wall, cpu = time.perf_counter() - began, children_s() - spent
    if run.returncode != 0:
        raise SystemExit(f"prove ended with {run.returncode}:\n{run.stderr[-2000:]}")
    document = json.loads(run.stdout)
    return wall, cpu, document["summary"], document["engine"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often prove runs")
    parser.add_argument("--probes", type=int, default=20, help="promtool processes that are measured")
    args = parser.parse_args()
    tools = Toolchain()
    prometheus, promtool = tools.find("prometheus").path, Promtool(tools.find("promtool").path)
    runs = []
    probes: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="alert-harness-bench-") as folder:
        bench = Bench("HighErrorRate", prometheus, promtool, Path(folder))
        question = bench.questions[0]
        xs = spread(bench.contract, args.probes)
        for turn in range(args.rounds):
            runs.append(prove())
            for x in xs[turn :: args.rounds]:
                began, spent = time.perf_counter(), children_s()
                bench.one_process_each([x], question)
                probes.append((time.perf_counter() - began, children_s() - spent))
    summary, engine = runs[-1][2:]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {sys.version.split()[0]}, ", end="")
    print(f"Prometheus {engine['prometheus']}, promtool {promtool.version}")
    print(f"{summary['exact']} of {summary['total']} alerts exact; {args.rounds} runs, {len(probes)} probes measured\n")
    count = PROBES_PER_ALERT * summary["total"]
    by_hand = f"bisecting by hand, {count} probes (reckoned)"
    rows = []
    for what, walls, cpus, times in (
        ("`prove`, all of it", [r[0] for r in runs], [r[1] for r in runs], 1),
        (by_hand, [p[0] for p in probes], [p[1] for p in probes], count),
    ):
        numbers = (min(walls), statistics.median(walls), max(walls), statistics.median(cpus))
        rows.append([what, *(f"{seconds * times:.2f}" for seconds in numbers)])
    headers = ["", "min s", "median s", "max s", "CPU s"]
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=("left", *["right"] * 4)))
    ratio = statistics.median(p[0] for p in probes) * count / statistics.median(r[0] for r in runs)
    print(f"\nbisecting alone takes {ratio:.0f} times as long")
    return 0


if __name__ == "__main__":
    sys.exit(main())
