"""How long a report takes: many objectives over a month of minutes, on a Prometheus of its own; prints a table.

python tests/benchmarks/bench_slo_report.py [--objectives 100] [--days 30] [--series 2]
"""

from __future__ import annotations

import argparse
import resource
import time
from fractions import Fraction

from harness.engines import Samples, make_labels
from harness.engines.process import ProcessEngine
from harness.errors import Span
from harness.report.slo.html import slo_report_html
from harness.report.slo.json import slo_report_json
from harness.slo.budget.judge import make_report
from harness.slo.model import DAY_MS, Events, IndicatorQuery, Objective, Rolling, WindowPlacement
from harness.source import Text
from harness.toolchain import Toolchain

MINUTE = 60_000
START = 1_700_000_040_000 // MINUTE * MINUTE


def query(expr: str) -> IndicatorQuery:
    return IndicatorQuery.of(Text(expr, Span("bench", 1, 1)), WindowPlacement.COUNTER)


def objective(number: int, days: int) -> Objective:
    return Objective(
        f"objective-{number}", "bench", Fraction(999, 1000), Rolling(days * DAY_MS),
        Events(query(f'bench_{number}_total{{}}'), bad=query(f'bench_{number}_total{{code="500"}}')),
    )  # fmt: skip


def fill(engine: ProcessEngine, number: int, days: int, series: int) -> int:
    minutes = days * 1440
    times = [START + i * MINUTE for i in range(minutes + 1)]
    written = 0
    for code in ["500", *(str(200 + i) for i in range(series - 1))]:
        values, total = [], 0
        for i in range(minutes + 1):
            values.append(float(total))
            if code == "500":
                total += 400 if (i + 137 * number) % 9973 < 12 else 0
            else:
                total += 900 + (i * 7 + number) % 600
        engine.write(
            [Samples(make_labels(f"bench_{number}_total", code=code, instance="a", job="bench"), times, values)]
        )
        written += len(times)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objectives", type=int, default=100)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--series", type=int, default=2, help="series per objective")
    options = parser.parse_args()
    objectives = [objective(number, options.days) for number in range(options.objectives)]
    with ProcessEngine(Toolchain().find("prometheus").path) as engine:
        begin = time.perf_counter()
        written = sum(fill(engine, number, options.days, options.series) for number in range(options.objectives))
        print(f"{written:,} samples written in {time.perf_counter() - begin:.1f} s")
        begin, spent = time.perf_counter(), time.process_time()
        report = make_report(objectives, engine, None, START + options.days * DAY_MS)
        read = time.perf_counter() - begin
        page, document = slo_report_html(report), slo_report_json(report, [])
        total, spent = time.perf_counter() - begin, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{options.objectives} objectives × {options.days} d × 1 m: read and judged in {read:.1f} s, written in "
        f"{total - read:.1f} s, {spent:.1f} s of processor, peak RSS {peak:.0f} MB; "
        f"page {len(page.encode()):,} bytes, JSON {len(document):,}"
    )


if __name__ == "__main__":
    main()
