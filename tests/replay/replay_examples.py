"""Random rule files with worlds to evaluate them in, and what promtool and replay make of them.

An example prints as the promtool unit test that it is. promtool is asked for its whole account: every assertion expects
nothing, so that everything there is comes back as `got`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from harness.contracts.world import Trace
from harness.engines import Engine, QueryError
from harness.engines.gostrings import go_unquote
from harness.engines.promtool import CompletedRun, Promtool
from harness.engines.promtool_failures import parse_failures
from harness.errors import UnsupportedError
from harness.replay import AlertState, AlertTimeline, Batch, Replay, SlotWriter
from harness.rules import load_rule_file
from harness.series import STALE, Labels
from harness.units import format_duration, parse_duration_ms

Sighting = tuple[str, Labels, str]
"""(state, labels, value as Go prints it; empty while pending): one alert at one tick."""
Account = dict[tuple[int, int], list[Sighting]]
"""(world, tick) → the alerts that are pending or firing."""


@dataclass(frozen=True)
class World:
    """The series of one test group: series in promtool's notation → values, one per scrape."""

    scrape_s: int
    series: tuple[tuple[str, tuple[str, ...]], ...]

    def traces(self) -> list[Trace]:
        made = []
        for name, values in self.series:
            points = [(i * self.scrape_s * 1000, _value(text)) for i, text in enumerate(values) if text != "_"]
            made.append(Trace(_labels(name), [at for at, _ in points], [value for _, value in points]))
        return made


@dataclass(frozen=True)
class Example:
    """A rule file and the worlds in which it is evaluated at tick 0, 1, …"""

    groups: tuple[dict[str, Any], ...]
    interval_s: int
    ticks: int
    worlds: tuple[World, ...]
    eval_order: tuple[str, ...] = ()
    """In which order promtool runs the groups, where not in the file's."""

    def rule_file(self) -> str:
        return yaml.safe_dump({"groups": list(self.groups)}, sort_keys=False, width=1000)

    def unit_test(self, rule_file: str, number: int) -> str:
        """A promtool test file that expects nothing at any tick.

        Group names and a matcher that is always true tell whose complaint is whose. A group with a `query_offset`
        writes ALERTS so much earlier, and promtool evaluates expressions when all has been written.
        """
        lines = [
            f"rule_files: [{rule_file}]",
            f"evaluation_interval: {self.interval_s}s",
            f"group_eval_order: [{', '.join(self.eval_order or (str(group['name']) for group in self.groups))}]",
            "tests:",
        ]
        times = [f"{tick * self.interval_s}s" for tick in range(self.ticks)]
        for w, world in enumerate(self.worlds):
            lines += [f"  - name: '{number}:{w}'", f"    interval: {world.scrape_s}s", "    input_series:"]
            lines += [f"      - {{series: '{name}', values: '{' '.join(values)}'}}" for name, values in world.series]
            lines.append("    alert_rule_test:")
            lines += [
                f"      - {{eval_time: {at}, alertname: {alert}, exp_alerts: []}}"
                for at in times
                for group in self.groups
                for alert in _alerts(group)
            ]
            lines.append("    promql_expr_test:")
            for group in self.groups:
                offset = f" offset {group['query_offset']}" if "query_offset" in group else ""
                expr = f'ALERTS{{alertname!="{number}:{w}",alertname=~"{"|".join(_alerts(group))}"}}{offset}'
                lines += [f"      - {{eval_time: {at}, expr: '{expr}', exp_samples: []}}" for at in times]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        return f"# rules.yml\n{self.rule_file()}\n# test.yml\n{self.unit_test('rules.yml', 0)}"


def _alerts(group: dict[str, Any]) -> list[str]:
    return [rule["alert"] for rule in group["rules"] if "alert" in rule]


def _value(text: str) -> float:
    return STALE if text == "stale" else float(text)


def _labels(series: str) -> Labels:
    name, _, inner = series.rstrip("}").partition("{")
    pairs = [pair.partition("=") for pair in inner.split(",") if pair]
    return tuple(sorted([("__name__", name), *((key, json.loads(value)) for key, _, value in pairs)]))


# -- what is drawn -----------------------------------------------------------------------------------------------
#
# Sums and averages meet at most two series, or whole numbers: Prometheus 2.53 adds in the order of its index, which
# differs from one database to the next, and a + b + c in another order is another double.

_THRESHOLDS = st.sampled_from(["-1", "0", "0.05", "0.1", "0.5", "1", "2", "3", "5", "10", "60", "NaN", "+Inf"])
_COMPARE = st.sampled_from([">", ">", ">=", "<", "<=", "==", "!="])
_WINDOWS = st.sampled_from(["20s", "30s", "45s", "1m", "90s", "2m", "5m"])
_OFFSETS = st.sampled_from(["", "", "", "", " offset 1m", " offset 25s"])
# Not without a step: promtool takes its evaluation_interval for that, a server global.evaluation_interval.
_STEPS = st.sampled_from(["15s", "30s", "1m", "7s"])


@st.composite
def _vectors(draw: st.DrawFn, metrics: Sequence[str], depth: int = 1) -> str:
    """An expression that returns elements; `metrics` are what may be read, recordings among them."""
    metric = draw(st.sampled_from(metrics))
    window, offset = draw(_WINDOWS), draw(_OFFSETS)
    raw = metric in ("g", "c")
    simple = [metric + offset, f'{metric}{{job="a"}}{offset}', f'{metric}{{job!="a"}}']
    over = st.sampled_from(
        [
            "max_over_time",
            "min_over_time",
            "last_over_time",
            "count_over_time",
            "present_over_time",
            "changes",
            "resets",
        ]
    )
    rates = st.sampled_from(["rate", "increase", "irate", "delta", "idelta"])
    kind = draw(st.integers(0, 11 if depth else 9))
    if kind <= 1:
        return draw(st.sampled_from(simple))
    if kind == 2:
        return f"{draw(over)}({metric}[{window}]{offset})"
    if kind == 3:
        return f"{draw(rates)}(c[{window}]{offset})"
    if kind == 4:
        return f"{draw(rates)}({metric}[{window}]{offset})"
    if kind == 5:
        return f"sum by (job) ({draw(rates)}(c[{window}]{offset}))"
    if kind == 6:
        how = draw(st.sampled_from(["sum", "avg", "max", "min", "count"][0 if raw else 2 :]))
        return f"{how} by (job) ({metric}{offset})"
    if kind == 7:
        inner = draw(st.sampled_from([*simple, f'{metric}{{job="z"}}']))
        return draw(st.sampled_from([f"absent({inner})", f"absent_over_time({metric}[{window}])", f"count({metric})"]))
    if kind == 8:
        how = draw(st.sampled_from(["sum", "max", "count"])) if metric == "g" else "max"
        return draw(
            st.sampled_from([f"{how}({metric})", f"vector(scalar({how}({metric})))", f"-{metric}", "vector(1)"])
        )
    if kind == 9:
        step = draw(_STEPS)
        inner = draw(st.sampled_from([metric, "rate(c[1m])", f"{'sum' if raw else 'max'} by (job) ({metric})"]))
        return f"max_over_time(({inner})[{window}:{step}]{offset})"
    left, right = draw(_vectors(metrics, 0)), draw(_vectors(metrics, 0))
    if kind == 10:
        joint = draw(st.sampled_from(["and", "or", "unless"]))
        return f"({left}) {joint} ({right})"
    how = draw(st.sampled_from(["/", "-", "*", "+"]))
    return f"max by (job) ({left}) {how} on (job) max by (job) ({right})"


@st.composite
def _conditions(draw: st.DrawFn, metrics: Sequence[str]) -> str:
    vector = draw(_vectors(metrics))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return vector
    if kind == 1:
        return f"({vector}) {draw(_COMPARE)} bool {draw(_THRESHOLDS)}"
    if kind == 2:
        return f"({vector}) {draw(_COMPARE)} {draw(_THRESHOLDS)} or absent({metrics[0]})"
    return f"({vector}) {draw(_COMPARE)} {draw(_THRESHOLDS)}"


@st.composite
def _groups(draw: st.DrawFn, interval_s: int) -> tuple[dict[str, Any], ...]:
    readable = ["g", "g", "c"]
    recordings, alerts, offset_s = 0, 0, 0
    made: list[dict[str, Any]] = []
    halves = (interval_s // 2, interval_s + interval_s // 2)
    durations = st.sampled_from([0, 0, 1, interval_s, 2 * interval_s, *halves, 3 * interval_s + 1, 5 * interval_s])
    for number in range(draw(st.integers(1, 2))):
        rules: list[dict[str, object]] = []
        for _ in range(draw(st.integers(0, 2))):
            recordings += 1
            name = f"r:{recordings}"
            # Two rules of one name are a common idiom, a ratio per source for one; labels tell them apart.
            pairs = draw(st.sampled_from([(None,), (None,), ({"from": "rule"},), ({"copy": "1"}, {"copy": "2"})]))
            for labels in pairs:
                rule: dict[str, object] = {"record": name, "expr": draw(_vectors(readable) | _conditions(readable))}
                rules.append(rule | ({"labels": labels} if labels else {}))
            readable = [*readable, name, name]
        for _ in range(draw(st.integers(1, 2))):
            alerts += 1
            alert: dict[str, object] = {"alert": f"A{alerts}", "expr": draw(_conditions(readable))}
            if hold := draw(durations):
                alert["for"] = f"{hold}s"
            if draw(st.booleans()) and (keep := draw(durations)):
                alert["keep_firing_for"] = f"{keep}s"
            own = {"severity": "page", "from": "{{ $labels.job }}"}
            alert["labels"] = own | ({"v": "{{ $value }}"} if draw(st.integers(0, 7)) == 0 else {})
            alert["annotations"] = {"value": "{{ $value }}"}
            rules.append(alert)
        group = {"name": f"g{number}", "interval": f"{interval_s}s", "rules": rules}
        # A group that reads another's recordings must not look back less than that one.
        offset_s = max(offset_s, draw(st.sampled_from([0, 0, 0, 0, 0, 7, 15, 60])))
        if offset_s:
            group["query_offset"] = f"{offset_s}s"
        made.append(group)
    # Every recording is looked at, value by value.
    made[-1]["rules"] += [
        {"alert": f"R{n}", "expr": f"r:{n}", "annotations": {"value": "{{ $value }}"}} for n in range(1, recordings + 1)
    ]
    return tuple(made)


@st.composite
def _series(draw: st.DrawFn, name: str, scrapes: int) -> tuple[str, tuple[str, ...]]:
    """Stretches of steady values, growth, gaps, stale markers and oddities."""
    values: list[str] = []
    counter, now = name.startswith("c"), draw(st.integers(0, 20))
    while len(values) < scrapes:
        kind, length = draw(st.integers(0, 9)), draw(st.integers(1, 8))
        if kind == 0:
            values += ["_"] * length
        elif kind == 1:
            values.append("stale")
        elif counter:
            if kind == 2:
                now = draw(st.integers(0, 3))  # a restart
            step = draw(st.sampled_from([0, 1, 2, 3, 5, 30, 60]))
            for _ in range(length):
                now += step
                values.append(str(now))
        elif kind == 2:
            values.append(draw(st.sampled_from(["NaN", "+Inf", "-Inf", "-0"])))
        else:
            steady = str(draw(st.integers(-3, 12)))
            values += [steady] * length
    return name, tuple(values[:scrapes])


_NAMES = [f'{m}{{job="{job}",i="{i}"}}' for m in "gc" for job in "ab" for i in "01"]


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """A rule file with one or two groups, evaluated in one to three worlds."""
    interval_s = draw(st.sampled_from([7, 15, 30, 60]))
    ticks = draw(st.integers(3, 24))
    worlds = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        scrape_s = draw(st.sampled_from([5, 10, 15, 30]))
        names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4, unique=True))
        scrapes = min(ticks * interval_s // scrape_s + 1, draw(st.integers(5, 80)))
        worlds.append(World(scrape_s, tuple(draw(_series(name, scrapes)) for name in sorted(names))))
    groups = draw(_groups(interval_s))
    order = tuple(str(group["name"]) for group in groups)
    if draw(st.integers(0, 3)) == 0:
        # Groups in any order are the same; a rule that stands before what it reads sees the previous tick.
        groups = tuple(draw(st.permutations([group | {"rules": draw(_moved(group["rules"]))} for group in groups])))
    return Example(groups, interval_s, ticks, tuple(worlds), order)


def _moved(rules: list[dict[str, object]]) -> st.SearchStrategy[list[dict[str, object]]]:
    return st.permutations(rules).map(list)


# -- what replay makes of them -----------------------------------------------------------------------------------


def replayed(engine: Engine, writer: SlotWriter, folder: Path, batch: Sequence[Example]) -> list[Account | str | None]:
    """Every example on one writer: all cases are written first, so each has neighbours that it must not see. A rule
    that replay says Prometheus cannot evaluate gives its reason instead, one that replay cannot treat gives None."""
    prepared = []
    for number, example in enumerate(batch):
        path = folder / f"{number}.rules.yml"
        path.write_text(example.rule_file(), encoding="utf-8")
        file = load_rule_file(path)
        replay = Replay(engine, [file])
        try:
            plans = [replay.plan(group, rule) for group in file.groups for rule in group.alerts()]
        except UnsupportedError:
            plans = []
        reach, align = max((plan.reach_ms for plan in plans), default=0), math.lcm(*(plan.align_ms for plan in plans))
        prepared.append((example, replay, plans, reach, align))
    ranges = writer.record(
        Batch(
            [world.traces() for world in example.worlds], (example.ticks - 1) * example.interval_s * 1000, reach, align
        )
        for example, _, _, reach, align in prepared
    )
    accounts: list[Account | str | None] = []
    for (example, replay, plans, _, _), slots in zip(prepared, ranges, strict=True):
        if not plans:
            accounts.append(None)
            continue
        account: Account = {(w, tick): [] for w in range(len(example.worlds)) for tick in range(example.ticks)}
        try:
            for plan in plans:
                for w, timelines in enumerate(replay.timelines(plan, slots)):
                    for timeline in timelines:
                        for tick, sighting in _sightings(timeline):
                            account[w, tick].append(sighting)
        except QueryError as err:
            accounts.append(err.message)
            continue
        accounts.append({key: sorted(seen) for key, seen in account.items()})
    return accounts


def _sightings(timeline: AlertTimeline) -> Iterator[tuple[int, Sighting]]:
    value = ""
    for tick, state in enumerate(timeline.states):
        if tick in timeline.values:
            value = _exactly(timeline.values[tick])
        if state is not AlertState.INACTIVE:
            yield tick, (state.value, timeline.labels, value if state is AlertState.FIRING else "")


def _exactly(value: float) -> str:
    """Every bit of a double, but for the payload of a NaN."""
    return "NaN" if math.isnan(value) else struct.pack(">d", value).hex()


# -- what promtool makes of them ---------------------------------------------------------------------------------


def judged(promtool: Promtool, folder: Path, batch: Sequence[Example]) -> list[Account]:
    """promtool's account of the same: one process, one test file per example."""
    return _read(_run(promtool, folder, batch), batch)


def refuses(promtool: Promtool, folder: Path, example: Example) -> bool:
    """Whether promtool fails to evaluate a rule because of equal label sets."""
    run = _run(promtool, folder, [example])
    return "err: vector contains metrics with the same labelset after applying" in run.stderr


def _run(promtool: Promtool, folder: Path, batch: Sequence[Example]) -> CompletedRun:
    files = []
    for number, example in enumerate(batch):
        (folder / f"{number}.rules.yml").write_text(example.rule_file(), encoding="utf-8")
        file = folder / f"{number}.test.yml"
        file.write_text(example.unit_test(f"{number}.rules.yml", number), encoding="utf-8")
        files.append(file)
    return promtool.test_rules(files) if files else CompletedRun(0, "", "")


def _read(run: CompletedRun, batch: Sequence[Example]) -> list[Account]:
    accounts: list[Account] = [
        {(w, tick): [] for w in range(len(example.worlds)) for tick in range(example.ticks)} for example in batch
    ]
    failures = parse_failures(run.stderr)
    firing: dict[tuple[int, int, int], list[Labels]] = {}
    stored: dict[tuple[int, int, int], list[Labels]] = {}
    for failure in failures.alerts:
        number, w = (int(part) for part in failure.group.split(":"))
        tick = failure.time_ms // (batch[number].interval_s * 1000)
        for labels, notes in failure.got:
            identity = _without_value(labels)
            firing.setdefault((number, w, tick), []).append(identity)
            accounts[number][w, tick].append(("firing", identity, _exactly(float(notes["value"]))))
    for text in failures.other:
        expr, _, rest = text.partition(", time: ")
        if not expr.startswith('expr: "ALERTS{alertname!=') or "        got: " not in rest:
            raise AssertionError(f"promtool cannot evaluate an example: {text}")
        number, w = (int(part) for part in go_unquote(expr.removeprefix("expr: ")).split('"')[1].split(":"))
        tick = parse_duration_ms(rest.partition(",")[0]) // (batch[number].interval_s * 1000)
        for labels in _series_of(rest.partition("got: ")[2]):
            state = labels.pop("alertstate")
            del labels["__name__"]
            if state == "pending":
                accounts[number][w, tick].append((state, _without_value(labels), ""))
            else:
                stored.setdefault((number, w, tick), []).append(_without_value(labels))
    for key in {*firing, *stored}:
        said, wrote = sorted(firing.get(key, [])), sorted(stored.get(key, []))
        assert said == wrote, f"promtool contradicts itself at {key}: firing are {said}, in ALERTS {wrote}"
    return [{key: sorted(seen) for key, seen in account.items()} for account in accounts]


def _series_of(text: str) -> Iterator[dict[str, str]]:
    """`{__name__="ALERTS", …} 1E+00, {…} 1E+00`; no value that is drawn here holds a comma or quote.

    Where a templated label comes out empty, the alert has no such label, but its ALERTS series keeps the template
    itself (rules/alerting.go, AlertingRule.sample): that one is left out.
    """
    for part in text.split("} 1E+00")[:-1]:
        pairs = (pair.partition("=") for pair in part.lstrip(", ").removeprefix("{").split(", "))
        yield {name: go_unquote(value) for name, _, value in pairs if "{{" not in value}


def _without_value(labels: dict[str, str]) -> Labels:
    """Replay leaves out a label that only Prometheus can expand."""
    return tuple(sorted((name, value) for name, value in labels.items() if name != "v"))


def difference(example: Example, ours: Account, theirs: Account) -> str:
    """The ticks at which two accounts differ, for people; empty if none does."""
    lines = []
    for (w, tick), seen in sorted(ours.items()):
        other = theirs[w, tick]
        if seen != other:
            lines.append(f"world {w}, tick {tick} ({format_duration(tick * example.interval_s * 1000)}):")
            lines += [f"  only replay:   {s}" for s in seen if s not in other]
            lines += [f"  only promtool: {s}" for s in other if s not in seen]
    return "\n".join(lines)
