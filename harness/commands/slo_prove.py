"""How good burn-rate alerts are: the compiled rules, or any others, over the incident library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from harness.choices.slo_prove import QualityChoices
from harness.commands import project
from harness.commands.objectives import duration_ms, load, tell
from harness.commands.writing import check_targets, write
from harness.config import Config, rule_files
from harness.engines.private import private_folder
from harness.errors import InputError, InputErrors, near_miss
from harness.report.quality.charts import picture
from harness.report.quality.json import quality_json
from harness.report.quality.section import QualityReport
from harness.report.quality.terminal import quality_table, summary
from harness.report.section import exit_code, section_of
from harness.report.steps.section import wrong_input
from harness.report.terminal import console, watching
from harness.rules import RuleFile, load_rules, read_rules
from harness.slo.compile.rules import compile_objectives
from harness.slo.compile.write import rules_yaml
from harness.slo.model import Objective
from harness.slo.quality.prove import STEPS, ObjectiveUnderTest, prove
from harness.slo.spec.windows import windows_of
from harness.slo.windows import Catalogue, choose


def run(config: Config, choices: QualityChoices) -> int:
    """Prove, print a row per severity, write documents; 1 if any severity is not as meant."""
    project.check_engine(config, choices)
    check_targets(choices)
    objectives = _objectives(config, choices)
    tools = project.toolchain(config)
    server = project.server_of(config, choices.engine or config.engine, project.url_of(config, choices.url))
    with private_folder() as folder:
        loaded = read_rules(rule_files(choices.rules, Path.cwd()), server) if choices.rules else None
        if loaded is not None and not loaded.files:
            raise InputErrors(loaded.errors)
        if loaded is not None:
            project.tell_notes(loaded)
        subjects = _subjects(objectives, choices, folder, None if loaded is None else tuple(loaded.files))
        with project.open_for(config, choices, tools, server) as engine, _progress(len(subjects)) as advance:
            qualities = list(prove(subjects, engine, advance))
            report = QualityReport(qualities, engine.kind, engine.version)
    errors = [] if loaded is None else loaded.errors
    sections = [section_of(report), *(section_of(step) for step in wrong_input(errors))]
    out = console(sys.stderr if choices.json == "-" else None)
    if choices.json != "-":
        quality_table(qualities, out)
        out.print()
        out.print(Text(summary(qualities, report.engine, report.version), style="bold"))
    if choices.json is not None:
        write(choices.json, quality_json(report, sections))
    if choices.picture is not None:
        write(choices.picture, picture(qualities))
    for fault in errors:
        print(f"alert-harness: {fault}", file=sys.stderr)
    return exit_code(sections)


@contextmanager
def _progress(subjects: int) -> Iterator[Callable[[str], None]]:
    with watching(STEPS * subjects, "proving") as step:
        yield step


def _objectives(config: Config, choices: QualityChoices) -> list[Objective]:
    found = load(config, choices.files, choices.period)
    if not choices.objectives:
        return found
    known = {objective.name for objective in found}
    for name in choices.objectives:
        if name not in known:
            raise InputError(
                f"no objective is named `{name}`{near_miss(name, known)}",
                hint=f"known objectives: {', '.join(sorted(known))}",
            )
    return [objective for objective in found if objective.name in choices.objectives]


def _subjects(
    objectives: Sequence[Objective], choices: QualityChoices, folder: Path, theirs: tuple[RuleFile, ...] | None
) -> list[ObjectiveUnderTest]:
    """Objectives that alert, each with its rules: those of the user, or its own compiled ones."""
    windows = windows_of(choices.windows)
    made = []
    for objective in objectives:
        # Rules that others made may hold pairs that never fire: that is a finding then.
        chosen = choose(objective, windows, unreachable=theirs is not None)
        tell(chosen.notices)
        if chosen.pairs:
            files = theirs if theirs is not None else _compiled(objective, windows, choices.interval, folder)
            made.append(ObjectiveUnderTest(objective, chosen.pairs, files))
    if not made:
        raise InputError(
            "none of these objectives has alerts: there is nothing to prove",
            hint="all their severities are disabled; name another objective",
        )
    return made


def _compiled(objective: Objective, windows: Sequence[Catalogue], interval: str, folder: Path) -> tuple[RuleFile, ...]:
    (group,) = compile_objectives([objective], windows=windows, interval_ms=duration_ms("--interval", interval))
    path = folder / f"{objective.file_name}.yml"
    path.write_text(rules_yaml([group]), encoding="utf-8")
    return tuple(load_rules([path]))
