"""Where each alert fires, against its contract."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.text import Text

from harness.commands.project import Choices, Project, load, open_for, toolchain
from harness.commands.writing import write
from harness.config import Config
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.errors import EXIT_FINDINGS, EXIT_OK
from harness.proof import STEPS_PER_ALERT, AlertResult, Proof
from harness.proof.prove import check_rule_files
from harness.report.jsonfile import proof_json
from harness.report.markdown import proof_markdown
from harness.report.outcome import Outcome, Proved, Stopwatch
from harness.report.terminal import console, proof_table, watching
from harness.report.wording import summary


def run(config: Config, choices: Choices) -> int:
    """Prove the alerts and print one row for each; 1 if any is not exact."""
    project = load(config, choices)
    tools = toolchain(config)
    promtool = Promtool(tools.find("promtool").path)
    complaints = check_rule_files(promtool, project.files)  # before any engine starts
    with open_for(config, choices, tools) as engine:
        proved = prove_all(project, engine, promtool, complaints, choices, "proving")
        results = proved.results
        out = console(sys.stderr if choices.prints_document else None)
        if not choices.prints_document:
            proof_table(results, out)
            out.print()
            out.print(Text(summary(results, engine.kind, engine.version), style="bold"))
        write_documents(results, engine, choices)  # last: if a disk is full, the table was shown
        choices.outputs.write(Outcome(proved), out)
    return EXIT_OK if results and all(result.exact for result in results) else EXIT_FINDINGS


def prove_all(
    project: Project,
    engine: Engine,
    promtool: Promtool,
    complaints: Mapping[int, str],
    choices: Choices,
    what: str,
) -> Proved:
    steps = STEPS_PER_ALERT * len(project.contracts)
    times = Stopwatch()
    with watching(steps, what) as watch:

        def measured(result: AlertResult) -> None:
            times.lap(result)
            watch.result(result)

        proof = Proof(project.files, project.contracts, engine, promtool, watch.step, measured, complaints)
        results = list(proof.run(choices.emit))
    if choices.alerts:
        results = [result for result in results if result.contract is not None]
    return Proved(results, engine.kind, engine.version, times.seconds)


def write_documents(results: Sequence[AlertResult], engine: Engine, choices: Choices) -> None:
    for target, render in ((choices.json, proof_json), (choices.markdown, proof_markdown)):
        if target is not None:
            write(target, render(results, engine.kind, engine.version))
