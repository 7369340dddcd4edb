"""Everything that is configured, with a clear yes or no."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.commands import live, slo_report, stack_run
from harness.commands.project import Choices, Project, load, open_for, toolchain
from harness.commands.prove import prove_all, write_documents
from harness.commands.test import run_beside
from harness.commands.writing import count
from harness.config import Config, objective_files, unit_test_files
from harness.engines.promtool import Promtool
from harness.engines.url import UrlEngine
from harness.errors import EXIT_FINDINGS, EXIT_OK, EngineError, InputError, near_miss
from harness.live.model import LiveReport
from harness.proof.prove import check_rule_files
from harness.report.live_text import live_progress, live_table
from harness.report.outcome import Outcome
from harness.report.scenario_text import scenario_report, traffic_in_words
from harness.report.slo_report_terminal import slo_table
from harness.report.slo_report_words import verdict_counts
from harness.report.terminal import console, narrating, proof_table
from harness.report.wording import summary
from harness.slo.load import load_objectives
from harness.slo.model import Objective
from harness.slo.report import SloReport
from harness.stack.opening import Kind
from harness.stack.run import ScenarioResult
from harness.suites.model import Report
from harness.toolchain import Toolchain

SKIPPABLE = ("live", "stack")
"""Steps that take their time."""


def run(config: Config, choices: Choices, *, tests: Sequence[str] | None, skip: Sequence[str] = ()) -> int:
    """Everything that is configured, step by step; ends in a clear yes or no.

    A step whose input is wrong ends the run, as in `prove`; findings of one step do not keep the next from running.
    `skip` names steps of :data:`SKIPPABLE` that are left out.
    """
    for step in skip:
        if step not in SKIPPABLE:
            raise InputError(
                f"--skip {step}: there is no such step{near_miss(step, SKIPPABLE)}",
                hint=f"steps that can be left out: {', '.join(SKIPPABLE)}",
            )
    out = console(sys.stderr if choices.prints_document else None)
    project = load(config, choices)
    alerts = sum(len(group.alerts()) for file in project.files for group in file.groups)
    _step(out, True, f"loaded {count(alerts, 'alert')} from {count(len(project.files), 'rule file')}, "
          f"{count(len(project.contracts), 'contract')}")  # fmt: skip
    tools = toolchain(config)
    promtool = Promtool(tools.find("promtool").path)
    problems = promtool.check_rules([file.path for file in project.files], lint=True)
    _step(out, not problems, f"promtool check rules, with lint (promtool {promtool.version})", map(str, problems))
    suites = _tested(config, project, promtool, tests, out)
    complaints = check_rule_files(promtool, project.files)  # an expression with a caret, before any engine starts
    with open_for(config, choices, tools) as engine:
        proved = prove_all(project, engine, promtool, complaints, choices, "proving")
        results = proved.results
        write_documents(results, engine, choices)
        _step(out, proved.exact == len(results), f"prove: {summary(results, engine.kind, engine.version)}")
        out.print()
        proof_table(results, out)
        out.print()
        kind = engine.kind
    otherwise = []
    if kind == "process" and (choices.engine or config.engine) == "auto":
        otherwise = _prove_in_container(config, choices, project, promtool, complaints, out)
    delivered = None if "live" in skip else _live(config, choices, project, tools, complaints, out)
    played, objectives = (None, None) if "stack" in skip else _played(config, project, out)
    outcome = Outcome(proved, suites, delivered, played, objectives, [*map(str, problems), *otherwise])
    choices.outputs.write(outcome, out)
    out.print()
    if outcome.good:
        verb = "fires" if len(results) == 1 else "fire"
        out.print(Text(f"YES: {count(len(results), 'alert')} {verb} exactly as meant.", style="bold green"))
    else:
        out.print(Text("NO: see above for what is not as meant.", style="bold red"))
    return EXIT_OK if outcome.good else EXIT_FINDINGS


def _tested(
    config: Config, project: Project, promtool: Promtool, tests: Sequence[str] | None, out: Console
) -> Report | None:
    """The unit tests; None where there are none."""
    files = unit_test_files(tests, Path.cwd()) if tests is not None else unit_test_files(config.tests, config.folder)
    if not files:
        _step(out, None, "promtool test rules: skipped, the setting `tests` is empty")
        return None
    report, failed = run_beside(config, project, files, promtool)
    _step(out, report.passed, f"promtool test rules: {count(len(files), 'file')}", failed)
    return report


def _live(
    config: Config,
    choices: Choices,
    project: Project,
    tools: Toolchain,
    complaints: Mapping[int, str],
    out: Console,
) -> LiveReport | None:
    """Every alert end to end on a compressed clock; None where Alertmanager cannot be had."""
    if (choices.engine or config.engine) == "url":
        _step(out, None, "live: skipped, it needs a Prometheus of its own and the engine is `url`")
        return None
    try:
        tools.find("alertmanager")
    except EngineError as err:
        _step(out, None, f"live: skipped, {err.message.splitlines()[0]}")
        return None
    with live_progress(aloud=False) as progress:
        report = live.over(project, tools, config, choices, progress=progress, complaints=complaints)
    exact = sum(result.exact for result in report.results)
    _step(
        out,
        report.exact,
        f"live: {exact} of {count(len(report.results), 'alert')} on the tick, delivered and resolved, at "
        f"{report.factor}x (Prometheus {report.prometheus}, Alertmanager {report.alertmanager})",
    )
    if not report.exact:
        live_table(report, out)
    return report


def _played(config: Config, project: Project, out: Console) -> tuple[ScenarioResult | None, SloReport | None]:
    """The configured scenario on a throwaway stack, and how the objectives stand after it; None: none is configured."""
    if config.scenario is None:
        _step(out, None, "stack: skipped, the setting `scenario` names none")
        return None, None
    scenario = stack_run.find_scenario(config, config.scenario)
    scenario.check_alerts(project.files)
    objectives = _objectives(config)
    report = None
    with (
        narrating(f"playing {scenario.name}", aloud=False) as step,
        stack_run.played_on_own(
            config, scenario, project.files, Kind.PROCESS, stack_run.COMPRESS, seed=1, step=step
        ) as (stack, result),
    ):
        if objectives:
            step("reading how the objectives stand")
            with UrlEngine(stack.url("prometheus"), read_only=True) as prometheus:
                report = slo_report.report(
                    objectives,
                    prometheus,
                    round(result.began_s * 1000),
                    round(result.ended_s * 1000),
                    compress=result.factor,
                )
    _step(out, result.passed, f"stack: {scenario.name} at {result.factor}x, {traffic_in_words(result)}")
    if not result.passed:
        scenario_report(result, out)
    if report is None:
        _step(out, None, "slo: skipped, the setting `objectives` names no file")
    else:
        said = ", ".join(f"{number} {verdict.value}" for verdict, number in verdict_counts(report) if number)
        _step(out, not report.defective, f"slo: {count(len(objectives), 'objective')} over that run: {said}")
        out.print()
        slo_table(report, out)
    return result, report


def _objectives(config: Config) -> list[Objective]:
    """Those of the settings; none where they name no file, for not everybody has objectives."""
    try:
        files = objective_files(config.objectives, config.folder)
    except InputError:
        if "objectives" in config.places:
            raise
        return []
    return load_objectives(files)


def _prove_in_container(
    config: Config,
    choices: Choices,
    project: Project,
    promtool: Promtool,
    complaints: Mapping[int, str],
    out: Console,
) -> list[str]:
    """Where a container engine runs and has the image, the same proof in a container; else say why not, and go on.

    Returns a line for each alert that is not exact there.
    """
    from harness.engines.container import ContainerEngine

    try:
        # Nothing is pulled for this: a first `verify` should not wait for a download that it can do without.
        engine = ContainerEngine(choices.image or config.image, pull=False)
    except EngineError as err:
        _step(out, None, f"prove in a container: skipped, {err.message.splitlines()[0]}")
        return []
    with engine:
        quiet = Choices(alerts=choices.alerts)
        proved = prove_all(project, engine, promtool, complaints, quiet, "proving in a container")
    wrong = [result for result in proved.results if not result.exact]
    _step(out, not wrong, f"prove: {summary(proved.results, engine.kind, engine.version)}")
    if wrong:
        proof_table(proved.results, out)
    return [f"in a container, {result.alert}: {result.reasons[0]}" for result in wrong]


def _step(out: Console, passed: bool | None, what: str, details: Iterable[str] = ()) -> None:
    """One line per step: ok, FAILED, or skipped (None), with details below."""
    mark, style = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("--", "dim")}[passed]
    out.print(Text.assemble((f"{mark:>6}", style), f"  {what}"))
    for line in details:
        out.print(Text(f"        {line}"))
