"""Where a live run's time goes: `python tests/benchmarks/bench_live.py [RUNS] [process|docker]`."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from harness.choices.shared import RunChoices  # noqa: E402
from harness.commands import live  # noqa: E402
from harness.config import load_config  # noqa: E402


def main(runs: int, engine: str) -> None:
    reports = [live.run(load_config(ROOT), RunChoices(engine=engine)) for _ in range(runs)]
    total = statistics.median(report.total_s for report in reports)
    for phase in reports[0].seconds:
        seconds = statistics.median(report.seconds[phase] for report in reports)
        print(f"{phase:32} {seconds:6.2f} s  {seconds / total:4.0%}")
    print(f"{'total (median)':32} {total:6.2f} s")
    print(f"exact: {sum(report.exact for report in reports)} of {runs} runs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, sys.argv[2] if len(sys.argv) > 2 else "process")
