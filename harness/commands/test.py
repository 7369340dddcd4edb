"""promtool unit tests, without false greens."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.choices.test import SuiteChoices
from harness.commands.project import Project, promtool_for, toolchain
from harness.commands.writing import checked_outputs, write
from harness.config import Config, rule_files, unit_test_files
from harness.engines.promtool import Promtool
from harness.errors import InputError
from harness.report.section import exit_code, section_of
from harness.report.suites.json import suites_json
from harness.report.suites.terminal import write_file, write_report
from harness.report.terminal import console, watching
from harness.suites.model import Status, SuiteReport
from harness.suites.run import Options, SuiteRun


def run(config: Config, choices: SuiteChoices) -> int:
    """Run promtool unit tests, print what they and the checks find; 1 if anything fails, 2 for a file that is none."""
    outputs = checked_outputs(config, choices)
    json = choices.json
    files = (
        unit_test_files(choices.files, Path.cwd()) if choices.files else unit_test_files(config.tests, config.folder)
    )
    if not files:
        raise InputError("no unit-test file was named", hint="name one, or set `tests` in [tool.alert-harness]")
    options = Options(
        strict=config.strict_tests if choices.strict is None else choices.strict,
        run=tuple(choices.run_groups),
        features=tuple(choices.features),
        ignore_unknown_fields=choices.ignore_unknown_fields,
        jobs=max(0, choices.jobs),
        evaluation_ms=config.told_evaluation_ms(),
    )
    with contextlib.suppress(InputError):  # unit tests need no configured rules
        options = replace(options, configured_rules=tuple(rule_files(config.rules, config.folder)))
    promtool = promtool_for(toolchain(config), config.server())
    run = SuiteRun(files, promtool, options)
    out = console(sys.stderr if json == "-" else None)

    def tell() -> int:
        report = run.report()
        sections = [section_of(report)]
        if json != "-":
            write_report(report, out)
        if json is not None:
            write(json, suites_json(report, sections))
        outputs.write(sections, out)
        return exit_code(sections)

    try:
        with watching(len(files), "testing", out) as step, contextlib.closing(run.results()) as results:
            for result in results:
                step(result.name)
                if json != "-":
                    write_file(result, out)
    except KeyboardInterrupt:
        tell()
        raise
    return tell()


def run_beside(
    config: Config, project: Project, files: Sequence[Path], promtool: Promtool
) -> tuple[SuiteReport, list[str]]:
    """A run of the unit tests, and what to print of those that do not pass."""
    rules = tuple(file.path for file in project.files)
    evaluation_ms = config.told_evaluation_ms()
    options = Options(strict=config.strict_tests, configured_rules=rules, evaluation_ms=evaluation_ms)
    run = SuiteRun(files, promtool, options)
    said = io.StringIO()
    with contextlib.closing(run.results()) as results:
        for result in results:
            if result.status is not Status.PASSED:
                write_file(result, console(said))
    report = run.report()
    if not report.passed:
        write_report(report, console(said))
    return report, said.getvalue().rstrip().splitlines()
