"""What `slo prove` costs: the incident library over the repository's own objectives.

    python tests/benchmarks/bench_slo_prove.py

Runs the whole command (Python's start, Prometheus' start, compile, everything) and prints its seconds on the clock and
of processor, with what it measured. Fails if it takes longer than --most-s, 120 by default.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--most-s", type=float, default=120.0, help="fail if it takes longer")
    parser.add_argument("arguments", nargs="*", help="further arguments of slo prove")
    chosen = parser.parse_args()
    began = time.perf_counter()
    command = [sys.executable, "-m", "harness.cli", "slo", "prove", "--json", "-", *chosen.arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):
        print(done.stderr, file=sys.stderr)
        return done.returncode
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    document = json.loads(done.stdout)
    rows = [
        (
            one["name"],
            len(one["severities"][0]["incidents"]),
            f"{one['simulated_s'] / 86_400:.0f}",
            ", ".join(f"{s['severity']}: {s['verdict']}" for s in one["severities"]),
        )
        for one in document["objectives"]
    ]
    print(tabulate(rows, headers=("objective", "incidents", "days played", "verdicts")))
    load = os.getloadavg()[0]
    print(
        f"\n{seconds:.0f} s on the clock, {usage.ru_utime + usage.ru_stime:.0f} s of processor, "
        f"largest process {usage.ru_maxrss // 1024} MB; {os.cpu_count()} cores, load {load:.1f}, "
        f"Prometheus {document['engine']['prometheus']}"
    )
    return 0 if seconds <= chosen.most_s else 1


if __name__ == "__main__":
    sys.exit(main())
