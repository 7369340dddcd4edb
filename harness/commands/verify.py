"""Everything that is configured, with a clear yes or no."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.commands.project import Choices, Project, load, open_for, toolchain
from harness.commands.prove import prove_all, write_documents
from harness.commands.test import run_beside
from harness.commands.writing import count
from harness.config import Config, unit_test_files
from harness.engines.promtool import Promtool
from harness.errors import EXIT_FINDINGS, EXIT_OK, EngineError
from harness.proof.prove import check_rule_files
from harness.report.outcome import Outcome
from harness.report.terminal import console, proof_table
from harness.report.wording import summary


def run(config: Config, choices: Choices, *, tests: Sequence[str] | None) -> int:
    """Everything that is configured, step by step; ends in a clear yes or no.

    A step whose input is wrong ends the run, as in `prove`; findings of one step do not keep the next from running.
    """
    out = console(sys.stderr if choices.prints_document else None)
    project = load(config, choices)
    alerts = sum(len(group.alerts()) for file in project.files for group in file.groups)
    _step(out, True, f"loaded {count(alerts, 'alert')} from {count(len(project.files), 'rule file')}, "
          f"{count(len(project.contracts), 'contract')}")  # fmt: skip
    tools = toolchain(config)
    promtool = Promtool(tools.find("promtool").path)
    problems = promtool.check_rules([file.path for file in project.files], lint=True)
    _step(out, not problems, f"promtool check rules, with lint (promtool {promtool.version})", map(str, problems))
    passed = not problems
    unit_tests = (
        unit_test_files(tests, Path.cwd()) if tests is not None else unit_test_files(config.tests, config.folder)
    )
    suites = None
    if unit_tests:
        suites, failed = run_beside(config, project, unit_tests, promtool)
        _step(out, suites.passed, f"promtool test rules: {count(len(unit_tests), 'file')}", failed)
        passed = passed and suites.passed
    else:
        _step(out, None, "promtool test rules: skipped, the setting `tests` is empty")
    complaints = check_rule_files(promtool, project.files)  # an expression with a caret, before any engine starts
    with open_for(config, choices, tools) as engine:
        proved = prove_all(project, engine, promtool, complaints, choices, "proving")
        results = proved.results
        write_documents(results, engine, choices)
        exact = all(result.exact for result in results)
        _step(out, exact, f"prove: {summary(results, engine.kind, engine.version)}")
        out.print()
        proof_table(results, out)
        out.print()
        kind = engine.kind
    passed = passed and exact
    if kind == "process" and (choices.engine or config.engine) == "auto":
        passed = _prove_in_container(config, choices, project, promtool, complaints, out) and passed
    choices.outputs.write(Outcome(proved, suites, [str(problem) for problem in problems]), out)
    out.print()
    if passed:
        verb = "fires" if len(results) == 1 else "fire"
        out.print(Text(f"YES: {count(len(results), 'alert')} {verb} exactly as meant.", style="bold green"))
    else:
        out.print(Text("NO: see above for what is not as meant.", style="bold red"))
    return EXIT_OK if passed else EXIT_FINDINGS


def _prove_in_container(
    config: Config,
    choices: Choices,
    project: Project,
    promtool: Promtool,
    complaints: Mapping[int, str],
    out: Console,
) -> bool:
    """Where a container engine runs and has the image, the same proof in a container; else say why not, and go on."""
    from harness.engines.container import ContainerEngine

    try:
        # Nothing is pulled for this: a first `verify` should not wait for a download that it can do without.
        engine = ContainerEngine(choices.image or config.image, pull=False)
    except EngineError as err:
        _step(out, None, f"prove in a container: skipped, {err.message.splitlines()[0]}")
        return True
    with engine:
        quiet = Choices(alerts=choices.alerts)
        results = prove_all(project, engine, promtool, complaints, quiet, "proving in a container").results
        exact = all(result.exact for result in results)
        _step(out, exact, f"prove: {summary(results, engine.kind, engine.version)}")
        if not exact:
            proof_table(results, out)
    return exact


def _step(out: Console, passed: bool | None, what: str, details: Iterable[str] = ()) -> None:
    """One line per step: ok, FAILED, or skipped (None), with details below."""
    mark, style = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("--", "dim")}[passed]
    out.print(Text.assemble((f"{mark:>6}", style), f"  {what}"))
    for line in details:
        out.print(Text(f"        {line}"))
