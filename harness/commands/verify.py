"""Everything that is configured, with a clear yes or no."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.alertmanager.alerts import unused_by
from harness.alertmanager.file import AlertmanagerFile
from harness.alertmanager.unused import UnusedPart
from harness.choices.shared import RunChoices
from harness.choices.verify import VerifyChoices
from harness.commands import live, slo_report
from harness.commands.objectives import read
from harness.commands.project import Project, load, open_for, promtool_for, toolchain
from harness.commands.prove import prove_all, write_documents
from harness.commands.stack_run import COMPRESS
from harness.commands.test import run_beside
from harness.commands.writing import checked_outputs
from harness.config import Config, objective_files, unit_test_files
from harness.engines.promtool import Promtool
from harness.engines.url import UrlEngine
from harness.errors import EngineError, HarnessError, InputError, InputErrors, near_miss
from harness.live.clock import Clock
from harness.live.model import LiveReport
from harness.proof.checked import lint
from harness.proof.report import ProofReport
from harness.report.live.section import idle_finding
from harness.report.live.terminal import live_counts, live_progress, live_table
from harness.report.outputs import Outputs
from harness.report.scenario.terminal import scenario_report, traffic_in_words
from harness.report.section import Finding, FindingSeverity, Section, exit_code, findings_of, not_good, section_of
from harness.report.slo.section import SloGate
from harness.report.slo.terminal import slo_table
from harness.report.slo.wording import verdict_counts
from harness.report.steps.section import StepReport, wrong_input
from harness.report.steps.tools import config_objection, rule_objection
from harness.report.terminal import console, narrating, tell_findings
from harness.report.wording import be, summary
from harness.slo.budget.report import SloReport
from harness.slo.model import Objective
from harness.source import display_path
from harness.stack.opening import RuntimeKind
from harness.stack.scenarios.result import ScenarioResult
from harness.stack.scenarios.run import played_on_own
from harness.stack.scenarios.scenario import find_scenario
from harness.stack.spec import ANY_PORTS, Spec
from harness.suites.model import SuiteReport
from harness.toolchain import Toolchain
from harness.units import count_of

SKIPPABLE = ("live", "stack")
"""Steps that take their time."""


def run(config: Config, choices: VerifyChoices) -> int:
    """Everything that is configured, step by step; ends in a clear yes or no.

    Neither findings of one step nor its failure keep the next from running; the gravest exit code is the run's. What
    is known when it is interrupted is written too. `choices.skip` names steps of :data:`SKIPPABLE` that are left out.
    """
    for step in choices.skip:
        if step not in SKIPPABLE:
            raise InputError(
                f"--skip {step}: there is no such step{near_miss(step, SKIPPABLE)}",
                hint=f"steps that can be left out: {', '.join(SKIPPABLE)}",
            )
    out = console(sys.stderr if choices.prints_document else None)
    outputs = checked_outputs(config, choices)
    project = load(config, choices)
    alerts = sum(len(group.alerts()) for file in project.files for group in file.groups)
    _step(out, True, f"loaded {count_of(alerts, 'alert')} from {count_of(len(project.files), 'rule file')}, "
          f"{count_of(len(project.contracts), 'contract')}")  # fmt: skip
    found = _Found()
    try:
        _steps(config, choices, project, out, found)
    except KeyboardInterrupt:
        found.interrupted()
        _write(choices, found, found.sections(), outputs, out)
        raise
    sections = found.sections()
    _write(choices, found, sections, outputs, out)
    out.print()
    out.print(_answer(found, sections))
    for fault in found.faults:
        print(f"alert-harness: {fault}", file=sys.stderr)
    return exit_code(sections)


def _write(choices: RunChoices, found: _Found, sections: Sequence[Section], outputs: Outputs, out: Console) -> None:
    if found.proved is not None and found.proved.results:
        write_documents(found.proved, sections, choices, found.warnings)
    outputs.write(sections, out)


@dataclass(slots=True)
class _Found:
    """What the steps found so far; what has no results of its own is a step."""

    proved: ProofReport | None = None
    suites: SuiteReport | None = None
    live: LiveReport | None = None
    scenario: ScenarioResult | None = None
    objectives: SloReport | None = None
    warnings: Sequence[UnusedPart] | None = None
    """What of the Alertmanager file does nothing; None: nobody looked."""
    steps: list[StepReport] = field(default_factory=list)
    faults: list[HarnessError] = field(default_factory=list)
    """Rules, contracts and an Alertmanager file that are wrong: told once more at the end, with their lines."""

    def sections(self) -> list[Section]:
        """Those that tell of alerts first. What is left out and what does nothing is told by steps, once."""
        live = None if self.live is None else replace(self.live, faults=(), warnings=())
        # The scenario's planted fault spends budget: what counts is whether objectives could be judged.
        gate = None if self.objectives is None else SloGate(self.objectives, others=FindingSeverity.NOTE)
        results = (self.proved, live, self.scenario, gate, self.suites, *self.steps)
        return [section_of(result) for result in results if result is not None]

    def interrupted(self) -> None:
        if self.proved is not None:
            self.proved.complete = False
            return
        missing = Finding("interrupted", FindingSeverity.ERROR, "the run was interrupted: steps are missing")
        self.steps.append(StepReport("verify", (missing,), "the run was interrupted"))

    def failed(self, what: str, errors: Sequence[HarnessError]) -> None:
        """A step that could not be done."""
        self.steps.append(StepReport(what, findings_of(errors, "not-done"), f"{what} could not be done (below)"))


def _steps(
    config: Config,
    choices: VerifyChoices,
    project: Project,
    out: Console,
    found: _Found,
) -> None:
    tools = toolchain(config)
    promtool = promtool_for(tools, project.server)
    project = project.checked(promtool)  # an expression with a caret, before any engine starts
    found.faults = project.faults
    found.steps += wrong_input(project.faults)
    problems = lint(promtool, project.files)
    wrong = [f"{err.span}: {err.message}" if err.span else err.message for err in project.faults]
    found.steps.append(StepReport("promtool check rules", tuple(map(rule_objection, problems))))
    _step(
        out,
        not problems and not wrong,
        f"promtool check rules, with lint (promtool {promtool.version})",
        [*wrong, *map(str, problems)],
    )
    if config.prometheus is not None:
        said = promtool.check_config(config.prometheus)
        file = display_path(config.prometheus)
        found.steps.append(StepReport("promtool check config", (config_objection(file, said),) if said else ()))
        _step(out, not said, f"promtool check config: {file}", [said] if said else [])
    routing = None
    with _attempt("amtool check-config", out, found) as failures:
        routing, found.warnings = _routing(config, project, tools, out)
        if found.warnings is not None:
            found.steps.append(StepReport("amtool check-config", tuple(map(idle_finding, found.warnings))))
    found.faults = [*found.faults, *failures]
    with _attempt("promtool test rules", out, found):
        found.suites = _tested(config, project, promtool, choices.tests, out)
    if not project.files:
        raise InputErrors(project.faults)
    with _attempt("prove", out, found), open_for(config, choices, tools, project.server) as engine:
        found.proved = proved = ProofReport([], engine.kind, engine.version)
        out.print()
        found.steps += wrong_input(prove_all(proved, project, engine, promtool, choices, "proving", out))
        section = section_of(proved)
        tell_findings(section, out)
        out.print()
        _step(out, section.good, f"prove: {summary(proved.results, engine.kind, engine.version)}")
        kind = engine.kind
    if found.proved is not None and kind == "process" and (choices.engine or config.engine) == "auto":
        with _attempt("prove in a container", out, found):
            found.steps += _prove_in_container(config, choices, project, promtool, out)
    if "live" not in choices.skip:
        with _attempt("live", out, found):
            found.live = _live(config, choices, project, tools, routing, out)
    if "stack" not in choices.skip:
        with _attempt("stack", out, found):
            found.scenario, found.objectives = _played(config, project, out)


@contextmanager
def _attempt(what: str, out: Console, found: _Found) -> Iterator[list[HarnessError]]:
    """A step whose failure is told and does not keep the next from running; yields what failed, for afterwards."""
    failures: list[HarnessError] = []
    try:
        yield failures
    except HarnessError as err:
        failures.append(err)
        found.failed(what, [err])
        _step(out, False, f"{what}: could not be done", str(err).splitlines())


def _answer(found: _Found, sections: Sequence[Section]) -> Text:
    proved = found.proved
    if proved is not None and all(section.good for section in sections):
        verb = "fires" if proved.exact == 1 else "fire"
        aside = len(proved.results) - proved.exact
        also = f", {aside} {be(aside)} set aside" if aside else ""
        return Text(f"YES: {count_of(proved.exact, 'alert')} {verb} exactly as meant{also}.", style="bold green")
    drafts = next((section.not_yet for section in sections if section.not_yet), "")
    yet = f" (not yet: {drafts})" if drafts else ""
    return Text(f"NO{yet}: see above for what is not as meant.", style="bold red")


def _tested(
    config: Config, project: Project, promtool: Promtool, tests: Sequence[str] | None, out: Console
) -> SuiteReport | None:
    """The unit tests; None where there are none."""
    files = unit_test_files(tests, Path.cwd()) if tests is not None else _own_tests(config)
    if not files:
        why = "is empty" if "tests" in config.places else f"is not set, and {', '.join(config.tests)} holds none"
        _step(out, None, f"promtool test rules: skipped, the setting `tests` {why}")
        return None
    report, failed = run_beside(config, project, files, promtool)
    _step(out, report.passed, f"promtool test rules: {count_of(len(files), 'file')}", failed)
    return report


def _own_tests(config: Config) -> list[Path]:
    """Those of the settings; none where they do not speak of tests, for not everybody has them."""
    try:
        return unit_test_files(config.tests, config.folder)
    except InputError:
        if "tests" in config.places:
            raise
        return []


def _routing(
    config: Config, project: Project, tools: Toolchain, out: Console
) -> tuple[AlertmanagerFile, Sequence[UnusedPart] | None]:
    """The Alertmanager file, as amtool takes it, and what of it does nothing for the project's alerts (None: there is
    no file)."""
    if config.alertmanager is None:
        return AlertmanagerFile.load(None, None), None
    passed: bool | None = True
    try:
        amtool = tools.find("amtool")
        said = f"{display_path(config.alertmanager)} (amtool {amtool.version_text})"
        routing = AlertmanagerFile.load(config.alertmanager, amtool)
    except EngineError as err:
        passed, said = None, f"skipped, only what we read of the file was looked at: {_flat(err)}"
        routing = AlertmanagerFile.load(config.alertmanager, None)
    idle = unused_by(routing, project.files, project.contracts, project.server)
    _step(out, passed, f"amtool check-config: {said}", [f"warning: {each}" for each in idle])
    return routing, idle


def _live(
    config: Config,
    choices: RunChoices,
    project: Project,
    tools: Toolchain,
    routing: AlertmanagerFile | None,
    out: Console,
) -> LiveReport | None:
    """Every alert end to end on a compressed clock; None where Alertmanager or its file cannot be had."""
    if routing is None:
        _step(out, None, "live: skipped, Alertmanager would not run with its file")
        return None
    if (choices.engine or config.engine) == "url":
        _step(out, None, "live: skipped, it needs a Prometheus of its own and the engine is `url`")
        return None
    try:
        tools.find("alertmanager")
        tools.find("amtool")
    except EngineError as err:
        _step(out, None, f"live: skipped, {_flat(err)}")
        return None
    with live_progress(aloud=False) as progress:
        report = live.over(project, tools, config, choices, routing, progress=progress)
    exact = sum(result.exact for result in report.results)
    _step(
        out,
        report.exact,
        f"live: {exact} of {count_of(len(report.results), 'alert')} on the tick, delivered and resolved"
        f"{live_counts(report)}, at {report.factor}x "
        f"(Prometheus {report.prometheus}, Alertmanager {report.alertmanager})",
    )
    if not report.exact:
        live_table(report, out)
        tell_findings(section_of(report), out)
    return report


def _played(config: Config, project: Project, out: Console) -> tuple[ScenarioResult | None, SloReport | None]:
    """The configured scenario on a throwaway stack, and how the objectives stand after it; None: none is configured."""
    if config.scenario is None:
        _step(out, None, "stack: skipped, the setting `scenario` names none")
        return None, None
    scenario = find_scenario(config.scenario, config.folder / config.stack / "scenarios")
    scenario.check_alerts(project.files)
    objectives = _objectives(config)
    spec = Spec.from_environment(config, Clock(COMPRESS), ANY_PORTS)
    report = None
    with (
        narrating(f"playing {scenario.name}", aloud=False) as step,
        played_on_own(scenario, project.files, spec, toolchain(config), RuntimeKind.PROCESS, seed=1, step=step) as (
            stack,
            result,
        ),
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
        _step(out, not report.defective, f"slo: {count_of(len(objectives), 'objective')} over that run: {said}")
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
    return read(config, files)


def _prove_in_container(
    config: Config,
    choices: RunChoices,
    project: Project,
    promtool: Promtool,
    out: Console,
) -> list[StepReport]:
    """Where a container engine runs and has the image, the same proof in a container; else say why not, and go on.

    Returns that step, with a finding for each alert that is not exact there.
    """
    from harness.engines.container import ContainerEngine

    try:
        # Nothing is pulled for this: a first `verify` should not wait for a download that it can do without.
        engine = ContainerEngine(choices.image or config.image, pull=False, server=project.server)
    except EngineError as err:
        _step(out, None, f"prove in a container: skipped, {err.message.splitlines()[0]}")
        return []
    proved = ProofReport([], engine.kind, "")
    with engine:
        proved.version = engine.version
        quiet = replace(choices, json=None, markdown=None, emit=None)
        faults = prove_all(proved, project, engine, promtool, quiet, "proving in a container", console(io.StringIO()))
    if faults:
        raise faults[0]
    section = section_of(proved)
    wrong = tuple(not_good([section]))
    _step(out, section.good, f"prove: {summary(proved.results, engine.kind, engine.version)}")
    if wrong:
        tell_findings(replace(section, groups=wrong), out)
    told = tuple(
        replace(finding, message=f"in a container, {group.name}: {finding.message}", identity=f"container|{group.name}")
        for group in wrong
        for finding in group.failing
    )
    return [StepReport("prove in a container", told, "the proof in a container differs (below)")]


def _flat(err: HarnessError) -> str:
    return " ".join(err.message.split())


def _step(out: Console, passed: bool | None, what: str, details: Iterable[str] = ()) -> None:
    """One line per step: ok, FAILED, or skipped (None), with details below."""
    mark, style = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("--", "dim")}[passed]
    out.print(Text.assemble((f"{mark:>6}", style), f"  {what}"))
    for line in details:
        out.print(Text(f"        {line}"))
