"""Where each alert fires, against its contract."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from harness.alertmanager.unused import UnusedPart
from harness.choices.shared import RunChoices
from harness.commands.project import Project, load, open_for, promtool_for, toolchain
from harness.commands.writing import checked_outputs, write
from harness.config import Config
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.errors import EXIT_ENGINE, HarnessError, InputErrors, printable
from harness.proof import STEPS_PER_ALERT, Proof
from harness.proof.model import AlertResult, Verdict
from harness.proof.pairing import pair
from harness.proof.prove import ALERT_TIMEOUT_S
from harness.proof.report import ProofReport
from harness.report.outputs import Outputs
from harness.report.proof.json import proof_json
from harness.report.proof.markdown import proof_markdown
from harness.report.proof.terminal import ProofTable
from harness.report.section import Section, exit_code, section_of
from harness.report.steps.section import wrong_input
from harness.report.terminal import console, tell_findings, watching
from harness.report.wording import emitted_lines, summary
from harness.units import count_of


def run(config: Config, choices: RunChoices) -> int:
    """Prove the alerts and print a row for each as it is known; 3 after all rows if one is an error, 1 if one is not
    exact.

    A rule that is wrong, and a contract that turns out to be while it is measured, are told after all that (exit code
    2). What is known when
    the run is interrupted is printed and written too.
    """
    outputs = checked_outputs(config, choices)
    project = load(config, choices)
    tools = toolchain(config)
    promtool = promtool_for(tools, project.server)
    project = project.checked(promtool)  # before any engine starts
    if not project.files:
        raise InputErrors(project.faults)
    out = console(sys.stderr if choices.prints_document else None)
    with open_for(config, choices, tools, project.server) as engine:
        proved = ProofReport([], engine.kind, engine.version)
        faults = project.faults
        try:
            faults = [*faults, *prove_all(proved, project, engine, promtool, choices, "proving", out)]
        except KeyboardInterrupt:
            proved.complete = False
            _tell(proved, _sections(proved, faults), choices, outputs, out)
            raise
        sections = _sections(proved, faults)
        _tell(proved, sections, choices, outputs, out)
    for fault in faults:
        print(f"alert-harness: {fault}", file=sys.stderr)
    code = exit_code(sections)
    wrong = [result.reasons[0] for result in proved.results if result.verdict is Verdict.ERROR]
    if wrong and code == EXIT_ENGINE:
        print(printable(f"alert-harness: {count_of(len(wrong), 'alert')} in error: {wrong[0]}"), file=sys.stderr)
    return code


def _sections(proved: ProofReport, faults: Sequence[HarnessError]) -> list[Section]:
    return [section_of(proved), *(section_of(report) for report in wrong_input(faults))]


def prove_all(
    proved: ProofReport,
    project: Project,
    engine: Engine,
    promtool: Promtool,
    choices: RunChoices,
    what: str,
    out: Console,
) -> list[HarnessError]:
    """Add each result to `proved`, and print its row, as soon as it is known. Returns what is wrong with contracts."""
    steps = STEPS_PER_ALERT * len(project.contracts)
    table = ProofTable(pair(project.files, project.contracts), out)
    with watching(steps, what, out) as step:
        proof = Proof(
            project.files, project.contracts, engine, promtool, step, project.complaints,
            ALERT_TIMEOUT_S if choices.alert_timeout_s is None else choices.alert_timeout_s,
        )  # fmt: skip

        def known(results: Iterator[AlertResult]) -> None:
            for result in results:
                if result.contract is None and choices.alerts:
                    continue
                proved.results.append(result)
                if not choices.prints_document:
                    table.add(result)

        try:
            known(proof.run(choices.emit))
        except KeyboardInterrupt:
            known(proof.confirmed())
            raise
    for line in emitted_lines(proof.emitted):
        out.print(Text(line))
    return proof.faults


def _tell(
    proved: ProofReport, sections: Sequence[Section], choices: RunChoices, outputs: Outputs, out: Console
) -> None:
    if not proved.results:  # interrupted before the first, or all that there was to prove is wrong input
        return
    if not choices.prints_document:
        tell_findings(sections[0], out)
        out.print()
        out.print(Text(summary(proved.results, proved.engine, proved.version), style="bold"))
    write_documents(proved, sections, choices)  # last: if a disk is full, the table was shown
    outputs.write(sections, out)


def write_documents(
    proved: ProofReport,
    sections: Sequence[Section],
    choices: RunChoices,
    warnings: Sequence[UnusedPart] | None = None,
) -> None:
    """JSON and Markdown of a proof, with what else the run found; `warnings` are those of the Alertmanager file."""
    if choices.json is not None:
        write(choices.json, proof_json(proved, sections, warnings))
    if choices.markdown is not None:
        write(choices.markdown, proof_markdown(proved, sections))
