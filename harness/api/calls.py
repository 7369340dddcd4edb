"""The calls behind the names of :mod:`harness`: one for each use, with what a program of one's own seldom changes left
out. Each raises errors of :mod:`harness.errors`, whose text is what the command line would print."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import harness.contracts
import harness.rules
import harness.slo
from harness.api.prometheus import Prometheus
from harness.api.series import Time, Values
from harness.api.stories import Stories, Story, play, story
from harness.check import CheckReport, MetricsServer, check, rule_names, rule_uses
from harness.config import objective_files, rule_files, unit_test_files
from harness.contracts import Contract
from harness.engines import open_engine
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.engines.url import UrlEngine
from harness.errors import InputError, InputErrors
from harness.prometheus import DEFAULTS, ServerSettings
from harness.proof import AlertResult, Proof
from harness.replay import EndlessSlotWriter, Replay, SlotRange
from harness.rules import AlertRule, Group, RuleFile
from harness.slo import Objective
from harness.slo.budget.judge import make_report
from harness.slo.budget.report import SloReport
from harness.slo.periods import moment
from harness.suites.model import SuiteReport
from harness.suites.run import Options, SuiteRun
from harness.toolchain import Toolchain
from harness.units import parse_duration_ms

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Files, folders and globs, one or several, from the current folder."""


def _found(find: Callable[[Sequence[str], Path], list[Path]], paths: Paths) -> list[Path]:
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    return find([os.fspath(path) for path in listed], Path.cwd())


def load_rules(paths: Paths, settings: ServerSettings = DEFAULTS) -> list[RuleFile]:
    """The rule files, in every form that they come in (docs/rules.md); raises InputErrors with each mistake's place."""
    return harness.rules.load_rules(_found(rule_files, paths), settings)


def load_contracts(paths: Paths, settings: ServerSettings = DEFAULTS) -> list[Contract]:
    """The contracts of alerts (docs/contracts.md); raises InputError."""
    return harness.contracts.load_contracts(_found(rule_files, paths), settings)


def load_objectives(paths: Paths, *, period: str | None = None) -> list[Objective]:
    """The objectives of OpenSLO and sloth documents; `period` is that of those which name none. Raises InputError."""
    return harness.slo.load_objectives(
        _found(objective_files, paths), period_ms=None if period is None else parse_duration_ms(period)
    )


@contextmanager
def open_prometheus(
    engine: str = "auto", *, url: str | None = None, settings: ServerSettings = DEFAULTS
) -> Iterator[Prometheus]:
    """A throwaway Prometheus for rules and series; gone with the block.

    `engine` is ``process``, ``docker``, ``url`` (a Prometheus-compatible server at `url` that takes remote writes) or
    ``auto``. Raises EngineError where there is none to be had, with the reasons.
    """
    with _engine(engine, url, settings) as opened:
        yield Prometheus(EndlessSlotWriter(opened))


def _engine(kind: str, url: str | None, settings: ServerSettings) -> Engine:
    tools = Toolchain()
    return open_engine(kind, prometheus=lambda: tools.find("prometheus").path, url=url, server=settings)


def prove_alerts(
    rules: Sequence[RuleFile],
    contracts: Sequence[Contract],
    *,
    engine: str = "auto",
    url: str | None = None,
    settings: ServerSettings = DEFAULTS,
) -> Iterator[AlertResult]:
    """Measure where each alert fires and hold it against its contract; a result for each alert, as it is known.

    Raises, behind the last result, InputErrors for contracts and rules that turn out to be wrong on the way.
    """
    promtool = _promtool(settings)
    with _engine(engine, url, settings) as opened:
        proof = Proof(rules, contracts, opened, promtool)
        yield from proof.run()
    if proof.faults:
        raise InputErrors(proof.faults)


def _promtool(settings: ServerSettings = DEFAULTS) -> Promtool:
    return Promtool(Toolchain().find("promtool").path, features=settings.features)


def run_unit_tests(paths: Paths, *, strict: bool = False, rules: Sequence[RuleFile] = ()) -> SuiteReport:
    """Run promtool unit-test files, and say what promtool's SUCCESS hides (docs/test.md).

    `strict` lets matters of taste fail too; `rules` are those that the project deploys, of which each wants a test.
    """
    deployed = tuple(dict.fromkeys(file.path for file in rules))
    run = SuiteRun(_found(unit_test_files, paths), _promtool(), Options(strict=strict, configured_rules=deployed))
    for _ in run.results():
        pass
    return run.report()


def replay_series(
    rules: str | Path | RuleFile | Sequence[RuleFile],
    series: Mapping[str, Values],
    *,
    until: Time,
    interval: Time = "1m",
    start: Time = 0,
    alert: str | None = None,
) -> Stories:
    """What each alert does while these series come in: pending, firing, resolved, tick by tick from 0 to `until`.

    Series have a sample every `interval`, the first at `start`; with `alert` only rules of this name are played. Starts
    a Prometheus and ends it: for many calls open one yourself (:func:`open_prometheus`).
    """
    files = [rules] if isinstance(rules, str | Path | RuleFile) else rules
    with open_prometheus() as prometheus:
        return play(prometheus.load(*files).samples(series, interval, start=start), until, alert)


def replay_history(
    rules: Sequence[RuleFile], url: str, begin: datetime, end: datetime, *, alert: str | None = None
) -> Stories:
    """What each alert would have done on a server's history, from `begin` to `end`; reads only.

    All alerts are inactive before `begin`; ticks stand at multiples of their group's interval. What recording rules
    return is taken from the server, which has recorded it. Credentials come from ALERT_HARNESS_URL_* (docs/engines.md).
    """
    if begin >= end:
        raise InputError(f"the history begins at {begin}, not before its end at {end}", hint="swap the two")
    stories = Stories()
    with UrlEngine(url, read_only=True) as engine:
        engine.server = engine.tell_server(DEFAULTS, {})
        replay = Replay(engine, [])
        for group, rule in _alerts(rules, alert):
            stories.setdefault(rule.alert, []).extend(_told(replay, group, rule, begin, end))
    return stories


def _alerts(rules: Sequence[RuleFile], alert: str | None) -> Iterator[tuple[Group, AlertRule]]:
    for file in rules:
        for group in file.groups:
            yield from ((group, rule) for rule in group.alerts() if alert in (None, rule.alert))


def _told(replay: Replay, group: Group, rule: AlertRule, begin: datetime, end: datetime) -> Iterator[Story]:
    interval = group.interval_ms
    first = -(-round(begin.timestamp() * 1000) // interval) * interval
    length = round(end.timestamp() * 1000) - first
    plan = replay.plan(group, rule)
    (timelines,) = replay.timelines(plan, SlotRange(first, length + plan.reach_ms, 1, length))
    return (story(timeline, interval, lambda at: moment(first + at)) for timeline in timelines)


def check_metrics(rules: Sequence[RuleFile], url: str, *, since: str = "1h") -> CheckReport:
    """Whether the metrics and labels that rules read exist on a running server since a while ago (docs/check.md)."""
    since_ms = parse_duration_ms(since)
    with UrlEngine(url, read_only=True) as engine:
        uses = list(rule_uses(rules))
        server = MetricsServer(engine, round(time.time() * 1000), since_ms)
        findings = check(uses, server, rule_names(rules))
        return CheckReport(engine.url, engine.version, since_ms, tuple(findings), (), len(uses), 0)


def report_objectives(
    objectives: Sequence[Objective], url: str, *, begin: datetime | None = None, end: datetime | None = None
) -> SloReport:
    """How objectives stand at `end` (None: now) on a server's history: budgets, incidents, verdicts.

    `begin` is where reading begins; None: where each objective's period does (docs/slo-report.md).
    """
    to_ms = round((time.time() if end is None else end.timestamp()) * 1000)
    from_ms = None if begin is None else round(begin.timestamp() * 1000)
    with UrlEngine(url, read_only=True) as engine:
        lookback = engine.tell_server(DEFAULTS, {}).lookback_ms
        return make_report(objectives, engine, from_ms, to_ms, lookback_ms=lookback)
