"""Rules, dashboards and objectives against a running Prometheus."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.check import (
    CheckReport,
    MetricsServer,
    Use,
    UseFinding,
    Wants,
    check,
    load_dashboard,
    rule_names,
    rule_uses,
)
from harness.choices.check import CheckChoices
from harness.commands.objectives import read
from harness.commands.project import tell_notes
from harness.commands.writing import check_targets, write
from harness.config import Config, dashboard_files, objective_files, rule_files
from harness.engines.url import UrlEngine
from harness.errors import InputError, InputErrors
from harness.report.check.json import check_json
from harness.report.check.terminal import write_check
from harness.report.section import exit_code, section_of
from harness.report.steps.section import wrong_input
from harness.report.terminal import console
from harness.rules import read_rules
from harness.slo.model import Objective, WindowPlacement
from harness.slo.queries import queries_of, windowed
from harness.source import Text
from harness.units import parse_duration_ms

_WINDOW = "5m"
"""For objectives' queries that take one; any will do to see whether they run."""


def run(config: Config, choices: CheckChoices) -> int:
    """Check and print; 1 if a name is not real or a panel has no data."""
    since_ms = _duration_ms("--since", choices.since)
    scrape_ms = _duration_ms("--scrape-interval", choices.scrape_interval)
    check_targets(choices)
    # Also where only dashboards are checked: the rules tell what is recorded, and which alerts there are.
    loaded = read_rules(_paths(rule_files, choices.rules, "rules", config))
    files = loaded.files
    if loaded.faults and not files:
        raise InputErrors(loaded.errors)
    tell_notes(loaded)
    wanted = choices.rules or not choices.named
    dashboards = [
        load_dashboard(path) for path in _chosen(dashboard_files, choices.dashboards, "dashboards", config, choices)
    ]
    found = _chosen(objective_files, choices.objectives, "objectives", config, choices)
    objectives = read(config, found) if found else []
    if not (wanted and files) and not dashboards and not objectives:
        raise InputError(
            "there is nothing to check",
            hint="name --rules, --dashboards or --objectives, or set them up (docs/verify.md)",
        )
    with UrlEngine(choices.against, read_only=True) as engine:
        server = MetricsServer(engine, round(time.time() * 1000), since_ms)
        known = rule_names(files)
        uses = [*(rule_uses(files) if wanted else ()), *_objective_uses(objectives)]
        findings = check(uses, server, known)
        for dashboard in dashboards:
            for one in dashboard.uses(server, scrape_ms):
                if isinstance(one, UseFinding):
                    findings.append(one)
                else:
                    uses.append(one)
                    findings += check([one], server, known)
        report = CheckReport(
            engine.url,
            engine.version,
            since_ms,
            tuple(findings),
            tuple(skipped for dashboard in dashboards for skipped in dashboard.skipped),
            len(uses),
            sum(use.wants is Wants.DATA for use in uses),
        )
    sections = [section_of(report), *(section_of(step) for step in wrong_input(loaded.errors))]
    if choices.json != "-":
        write_check(report, console())
    if choices.json is not None:
        write(choices.json, check_json(report, sections))
    for fault in loaded.errors:
        print(f"alert-harness: {fault}", file=sys.stderr)
    return exit_code(sections)


def _objective_uses(objectives: Sequence[Objective]) -> Iterator[Use]:
    for objective in objectives:
        for query in queries_of(objective.indicator):
            expr = query.text
            if query.reading is WindowPlacement.WINDOWED:
                expr = Text(windowed(query, _WINDOW), query.text.span, quoted=True)
            yield Use(f"objective {objective.name}", expr)


_Find = Callable[[Sequence[str], Path], list[Path]]


def _chosen(
    find: _Find, named: Sequence[str] | None, setting: str, config: Config, choices: CheckChoices
) -> list[Path]:
    return [] if choices.named and not named else _paths(find, named, setting, config)


def _paths(find: _Find, named: Sequence[str] | None, setting: str, config: Config) -> list[Path]:
    """Files that were named, else those of the settings; none where the usual folder is not there and nobody set it."""
    if named:
        return find(named, Path.cwd())
    patterns: tuple[str, ...] = getattr(config, setting)
    if setting not in config.places and not any((config.folder / pattern).exists() for pattern in patterns):
        return []
    return find(patterns, config.folder)


def _duration_ms(option: str, text: str) -> int:
    try:
        ms = parse_duration_ms(text)
    except ValueError as err:
        raise InputError(f"{option}: {err}", hint="write a number and a unit, without a space") from err
    if ms == 0:
        raise InputError(f"{option} must be longer than 0", hint="write something like 1h")
    return ms
