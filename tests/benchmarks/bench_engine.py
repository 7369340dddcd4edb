"""What a case costs: the time-multiplexed engine against promtool, one test group or one process per case.

    python tests/benchmarks/bench_engine.py

The cases are two alerts of rules/ in the worlds of their contracts, each at 10,000 positions of the knob:
HighCameraOfflineRate, which reads gauges as most alerts do, and HighErrorRate, which rates six counters over five
minutes. Two questions are asked of each case: whether the expression holds once its window is full, and whether the
alert fires, tick by tick from nothing. Everything counts: writing, asking, reading the answer; for the engine also its
start, for promtool the making of its files. The three ways take turns and must agree on every case that they share.

Making a case's series from the contract, in exact fractions, is the same work in all three; "without series" leaves it
out. The wanted ratios are held against everything. "CPU" is the processor time of Python and the tools together.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from harness.contracts import Contract, load_contracts  # noqa: E402
from harness.contracts.world import Scrapes, Trace, traces  # noqa: E402
from harness.engines.process import ProcessEngine  # noqa: E402
from harness.engines.promtool import Promtool  # noqa: E402
from harness.prometheus import DEFAULTS  # noqa: E402
from harness.replay import AlertState, Batch, Replay, SlotWriter  # noqa: E402
from harness.rules import load_rules  # noqa: E402
from harness.rules.expr import reach_ms  # noqa: E402
from harness.series import format_labels  # noqa: E402
from harness.toolchain import Toolchain  # noqa: E402
from harness.units import format_duration, format_number  # noqa: E402

BATCH = 1000
SLOTS_PER_SERVER = {"HighCameraOfflineRate": 10_000, "HighErrorRate": 2000}
"""Prometheus keeps the chunks of a series' head in a list and walks it for each chunk that it reads: 1,000 slots of
HighErrorRate take 0.03 s to query on an empty server and 1.9 s behind 9,000 others. A fresh server costs less."""
FILES = load_rules(sorted((ROOT / "rules").glob("*.yml")))
CONTRACTS = load_contracts(sorted((ROOT / "rules" / "contracts").glob("*.yml")))
WANTED = {"one group per case": 100, "one process per case": 500}
"""How many times dearer than the engine promtool is expected to be."""


@dataclass(frozen=True)
class Question:
    """What is asked of every case, and how long a case lasts for it."""

    name: str
    length_ms: int
    by_alert: bool


@dataclass
class Times:
    """Milliseconds per case, one number per round: on the clock, and of processor."""

    cases: int = 0
    wall_ms: list[float] = field(default_factory=list)
    making_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def add(self, wall_s: float, making_s: float, cpu_s: float, cases: int) -> None:
        self.cases += cases
        self.making_ms.append(1000 * making_s / cases)
        self.wall_ms.append(1000 * wall_s / cases)
        self.cpu_ms.append(1000 * cpu_s / cases)

    @property
    def whole(self) -> float:
        return statistics.median(self.wall_ms)

    @property
    def evaluating(self) -> float:
        return statistics.median(wall - making for wall, making in zip(self.wall_ms, self.making_ms, strict=True))

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_ms)

    def row(self) -> list[str]:
        whole = (min(self.wall_ms), self.whole, max(self.wall_ms))
        return [str(self.cases), *(f"{ms:.3f}" for ms in (*whole, self.evaluating, self.cpu))]


class Bench:
    """One rule in its contract's world, evaluated in three ways."""

    def __init__(self, alert: str, prometheus: Path, promtool: Promtool, folder: Path) -> None:
        self.prometheus, self.promtool, self.folder = prometheus, promtool, folder
        self.making_s = 0.0
        located = [(f, g, r) for f in FILES for g in f.groups for r in g.alerts() if r.alert == alert]
        ((self.file, self.group, self.rule),) = located
        self.contract = next(c for c in CONTRACTS if c.alert.value == alert)
        self.slots_per_server = SLOTS_PER_SERVER[alert]
        lookback = max(reach_ms(self.rule.expr, DEFAULTS) - DEFAULTS.lookback_ms, 0)
        window = -(-(lookback + 2 * self.contract.scrape_ms) // self.group.interval_ms) * self.group.interval_ms
        self.questions = [
            Question(f"{alert}: does the expression hold?", window, by_alert=False),
            Question(
                f"{alert}: does the alert fire?", window + self.rule.hold_ms + self.group.interval_ms, by_alert=True
            ),
        ]

    def world(self, x: Fraction, question: Question) -> list[Trace]:
        began = time.perf_counter()
        scrapes = Scrapes.regular(self.contract.scrape_ms, question.length_ms)
        made = traces(self.contract.signal, ((0, x),), scrapes)
        self.making_s += time.perf_counter() - began
        return made

    def multiplexed(self, xs: Sequence[Fraction], question: Question) -> list[bool]:
        truth: list[bool] = []
        with ProcessEngine(self.prometheus) as engine:
            for start in range(0, len(xs), BATCH):
                if start % self.slots_per_server == 0:
                    if start:
                        engine.reset()
                    writer, replay = SlotWriter(engine), Replay(engine, [self.file])
                    plan = replay.plan(self.group, self.rule)
                cases = [self.world(x, question) for x in xs[start : start + BATCH]]
                (slots,) = writer.record([Batch(cases, question.length_ms, plan.reach_ms, plan.align_ms)])
                if question.by_alert:
                    found = replay.timelines(plan, slots)
                    truth += [any(t.states[-1] is AlertState.FIRING for t in alerts) for alerts in found]
                else:
                    truth += [
                        bool(case) for case in replay.instants(plan, self.rule.expr.value, slots, slots.length_ms)
                    ]
        return truth

    def one_group_each(self, xs: Sequence[Fraction], question: Question) -> list[bool]:
        return self._promtool(xs, question)

    def one_process_each(self, xs: Sequence[Fraction], question: Question) -> list[bool]:
        return [self._promtool([x], question)[0] for x in xs]

    def _promtool(self, xs: Sequence[Fraction], question: Question) -> list[bool]:
        """Whether something is there although nothing is expected, per case."""
        lines = [f"evaluation_interval: {format_duration(self.group.interval_ms)}"]
        if question.by_alert:
            lines.insert(0, f"rule_files: ['{self.file.path}']")
        lines.append("tests:")
        at = format_duration(question.length_ms)
        for i, x in enumerate(xs):
            lines += [f"  - name: '{i}'", f"    interval: {self.contract.scrape_ms // 2}ms", "    input_series:"]
            for trace in self.world(x, question):
                values = " ".join(f"_ {format_number(value)}" for value in trace.values)
                lines += [f"      - series: '{format_labels(trace.labels)}'", f"        values: '{values}'"]
            if question.by_alert:
                lines += ["    alert_rule_test:", f"      - {{eval_time: {at}, alertname: {self.rule.alert}}}"]
            else:
                expr = f"({' '.join(self.rule.expr.value.split())}) + {i} * 0"
                lines += ["    promql_expr_test:", f"      - {{eval_time: {at}, expr: '{expr}', exp_samples: []}}"]
        path = self.folder / "cases.test.yml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        failures = self.promtool.failures(self.promtool.test_rules([path]))
        if question.by_alert:
            fired = {int(failure.group) for failure in failures.alerts}
        else:
            fired = {int(text.partition(") + ")[2].partition(" ")[0]) for text in failures.other}
        return [i in fired for i in range(len(xs))]


def spread(contract: Contract, count: int) -> list[Fraction]:
    """Positions all over the knob, every second one near the threshold; fractions of what it counts do no harm here."""
    low, high = contract.knob.low, contract.knob.high
    near = contract.threshold - (high - low) / 100
    return [low + (high - low) * k / count if k % 2 else near + (high - low) * k / count / 50 for k in range(count)]


def timed(work: Callable[[], list[bool]]) -> tuple[float, float, list[bool]]:
    """Seconds on the clock and of processor (ended child processes included), and the answers."""
    began, spent = time.perf_counter(), processor_s()
    found = work()
    return time.perf_counter() - began, processor_s() - spent, found


def processor_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="cases of the engine per round")
    parser.add_argument("--groups", type=int, default=200, help="test groups per round")
    parser.add_argument("--processes", type=int, default=10, help="processes per round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    tools = Toolchain()
    prometheus, promtool = tools.find("prometheus"), Promtool(tools.find("promtool").path)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {sys.version.split()[0]}, ", end="")
    print(f"Prometheus {'.'.join(map(str, prometheus.version))}, promtool {promtool.version}")
    with tempfile.TemporaryDirectory(prefix="alert-harness-bench-") as folder:
        benches = [Bench(alert, prometheus.path, promtool, Path(folder)) for alert in SLOTS_PER_SERVER]
        for bench, question in [(b, q) for b in benches for q in b.questions]:
            xs = spread(bench.contract, args.cases)
            ways = {
                "time-multiplexed engine": (bench.multiplexed, args.cases),
                "one group per case": (bench.one_group_each, args.groups),
                "one process per case": (bench.one_process_each, args.processes),
            }
            times = {way: Times() for way in ways}
            for _ in range(args.rounds):
                answers = []
                for way, (work, count) in ways.items():
                    bench.making_s = 0.0
                    wall_s, cpu_s, found = timed(partial(work, xs[:count], question))
                    times[way].add(wall_s, bench.making_s, cpu_s, count)
                    answers.append(found)
                for found in answers[1:]:
                    if found != answers[0][: len(found)]:
                        raise SystemExit("promtool and the engine disagree: a benchmark of nothing")
            engine = times["time-multiplexed engine"]
            rows = []
            for way, measured in times.items():
                whole, evaluating = measured.whole / engine.whole, measured.evaluating / engine.evaluating
                wanted = WANTED.get(way)
                reached = wanted is None or whole >= wanted
                verdict = "" if wanted is None else f"{wanted}, {'reached' if reached else 'not reached'}"
                rows.append([way, *measured.row(), f"{whole:.0f}", f"{evaluating:.0f}", verdict])
            headers = [question.name, "cases", "min ms", "median ms", "max ms", "without series", "CPU ms"]
            headers += ["× engine", "× without series", "wanted"]
            print()
            print(tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=("left", *["right"] * 9)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
