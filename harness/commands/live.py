"""Every alert end to end on a compressed clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.alertmanager.file import AlertmanagerFile
from harness.choices.live import LiveChoices
from harness.choices.shared import EngineChoices, ProjectChoices
from harness.commands.project import Project, load, promtool_for, toolchain
from harness.commands.writing import checked_outputs, write
from harness.config import Config
from harness.engines.base import Engine
from harness.engines.private import sweep
from harness.errors import EngineError, InputError, InputErrors
from harness.live import DEFAULT_FACTOR
from harness.live.clock import Clock
from harness.live.model import LiveReport
from harness.live.routing import config_for_run
from harness.live.run import Progress, Tools, fitting_factor, live
from harness.live.servers import ContainerOpener, Opener, ProcessOpener
from harness.prometheus import ServerSettings
from harness.report.live.json import live_json
from harness.report.live.terminal import live_progress, live_summary, live_table, live_warnings
from harness.report.section import exit_code, section_of
from harness.report.terminal import console, tell_findings
from harness.toolchain import Toolchain


def command(config: Config, choices: LiveChoices) -> int:
    """Run, and print one row per alert; 3 if any is an `error`, else 2 if a rule is wrong, else 1 if any is not
    exact."""
    outputs = checked_outputs(config, choices)
    with live_progress() as progress:
        report = run(config, choices, factor=choices.compress, alertmanager=choices.alertmanager, progress=progress)
    sections = [section_of(report)]
    out = console(sys.stderr if choices.json == "-" else None)
    if choices.json != "-":
        live_table(report, out)
        tell_findings(sections[0], out)
        live_warnings(report, out)
        out.print()
        live_summary(report, out)
    if choices.json is not None:
        write(choices.json, live_json(report, sections))
    outputs.write(sections, out)
    for fault in report.faults:
        print(f"alert-harness: {fault}", file=sys.stderr)
    return exit_code(sections)


def run(
    config: Config,
    choices: ProjectChoices,
    *,
    factor: int | None = None,
    alertmanager: Path | None = None,
    progress: Progress | None = None,
) -> LiveReport:
    """Load the project and its Alertmanager file (or `alertmanager` instead of it), and run :func:`over` them."""
    tools = toolchain(config)
    routing = alertmanager_file(config, tools, alertmanager)
    project = load(config, choices)
    project = project.checked(promtool_for(tools, project.server))
    return over(project, tools, config, choices, routing, factor=factor, progress=progress)


def alertmanager_file(config: Config, tools: Toolchain, instead: Path | None = None) -> AlertmanagerFile:
    """The configured Alertmanager file (or the one `instead` of it; without either the one that is built in), as
    amtool takes it.

    Raises InputError for one that it refuses, EngineError where there is no amtool.
    """
    path = instead or config.alertmanager
    return AlertmanagerFile.load(path, None if path is None else tools.find("amtool"))


def over(
    project: Project,
    tools: Toolchain,
    config: Config,
    choices: EngineChoices,
    routing: AlertmanagerFile,
    *,
    factor: int | None = None,
    progress: Progress | None = None,
) -> LiveReport:
    """One live run over a project and an Alertmanager file; promtool is asked about its rules if it was not yet.

    `factor` None: the largest up to DEFAULT_FACTOR that fits every duration.
    Raises InputError and UnsupportedError for what is wrong with rules, contracts or configuration, EngineError where
    Prometheus or Alertmanager cannot be had or break.
    """
    if not project.contracts and project.faults:
        raise InputErrors(project.faults)
    if not project.contracts:
        raise InputError("there is no contract to run", hint="write one, or let `alert-harness init` begin it")
    clock = _clock(factor, project)
    config_for_run(routing, clock, lambda receiver: "http://127.0.0.1/")  # what it refuses, before anything starts
    sweep()
    project = project.checked(promtool_for(tools, project.server))
    servers = _tools(config, choices, tools, project.server)
    report = live(project.files, project.contracts, servers, routing, clock, progress, project.complaints)
    return replace(report, faults=project.faults)


def _clock(factor: int | None, project: Project) -> Clock:
    """The clock that was asked for, if it fits the project."""
    limit = Clock(DEFAULT_FACTOR if factor is None else factor).factor
    fits = fitting_factor(limit, project.files, project.contracts, project.server)
    if factor is not None and fits != factor:
        raise InputError(
            f"a clock {factor} times as fast does not leave every interval, hold, range and scrape whole milliseconds",
            hint=f"the largest factor below that does is {fits}",
        )
    return Clock(fits, project.server)


def _tools(config: Config, choices: EngineChoices, found: Toolchain, server: ServerSettings) -> Tools:
    opener, replay = _engines(config, choices, found, server)
    promtool = promtool_for(found, server)
    return Tools(opener, replay, found.find("alertmanager"), found.find("amtool"), promtool)


def _engines(
    config: Config, choices: EngineChoices, tools: Toolchain, server: ServerSettings
) -> tuple[Opener, Callable[[], Engine]]:
    """How the live Prometheus is started, and the engine for replay beside it: the same kind."""
    kind = choices.engine or config.engine
    if kind == "url":
        raise InputError(
            "`live` starts a Prometheus of its own, with its own rules",
            hint="choose --engine process or --engine docker",
        )
    if kind in ("auto", "process"):
        try:
            binary = tools.find("prometheus").path
        except EngineError:
            if kind == "process":
                raise
        else:
            from harness.engines.process import ProcessEngine

            return ProcessOpener(binary), lambda: ProcessEngine(binary, server=server)
    from harness.engines.container import ContainerEngine

    image = choices.image or config.image
    print("alert-harness: Prometheus runs in a container, Alertmanager beside it as a process", file=sys.stderr)
    return ContainerOpener(image), lambda: ContainerEngine(image, server=server)
