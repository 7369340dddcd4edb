"""What a period's ratio costs a Prometheus: from the events that compiled rules record, and from the raw counters.

    python tests/benchmarks/bench_slo_period.py

Thirty days of one objective: two recorded series with a sample a minute, and twenty raw counters with a sample every 15
seconds (five instances with four status codes, say), over which increase() would give the same answer.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness.engines import Engine, Samples, make_labels
from harness.engines.process import ProcessEngine
from harness.toolchain import Toolchain

START_MS = 1_600_000_020_000
DAYS = 30
COUNTERS = 20
RECORDED = "sum_over_time(slo:sli_bad_events:rate5m[30d]) / (sum_over_time(slo:sli_total_events:rate5m[30d]) > 0)"
RAW = "sum(increase(raw_total[30d]))"


def _write(engine: Engine, name: str, step_ms: int, **labels: str) -> int:
    times = range(START_MS, START_MS + DAYS * 86_400_000 + 1, step_ms)
    engine.write([Samples(make_labels(name, **labels), times, [float(i) for i in range(len(times))])])
    return times[-1]


def _median_ms(engine: Engine, expr: str, at_ms: int, rounds: int) -> float:
    engine.query(expr, at_ms)  # once, to warm up
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        assert engine.query(expr, at_ms)
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken)


def main() -> None:
    with ProcessEngine(Toolchain().find("prometheus").path) as engine:
        for name in ("slo:sli_bad_events:rate5m", "slo:sli_total_events:rate5m"):
            end_ms = _write(engine, name, 60_000)
        for i in range(COUNTERS):
            _write(engine, "raw_total", 15_000, i=str(i))
        print(f"recorded events   {_median_ms(engine, RECORDED, end_ms, 21):8.1f} ms   {RECORDED}")
        print(f"{COUNTERS} raw counters   {_median_ms(engine, RAW, end_ms, 5):8.1f} ms   {RAW}")


if __name__ == "__main__":
    main()
