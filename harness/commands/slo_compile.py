"""Objectives compiled to rules: printed, or written with their tests into a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.choices.slo_compile import CompileChoices
from harness.commands import project
from harness.commands.objectives import duration_ms, load, tell
from harness.commands.writing import check_targets, write
from harness.config import Config
from harness.engines.private import private_folder
from harness.engines.promtool import Promtool
from harness.errors import EXIT_OK, InputError
from harness.files import write_document
from harness.slo.compile.rules import CompiledGroup, compile_objectives
from harness.slo.compile.unittests import unit_tests_yaml
from harness.slo.compile.write import MARK, Format, rules_yaml
from harness.slo.spec.windows import windows_of
from harness.slo.windows import choose
from harness.units import count_of


def run(config: Config, choices: CompileChoices) -> int:
    """Compile the objectives; everything is read, and promtool has seen the rules, before anything is written."""
    check_targets(choices)
    windows = windows_of(choices.windows)
    objectives = load(config, choices.files, choices.period)
    groups = compile_objectives(
        objectives,
        windows=windows,
        interval_ms=duration_ms("--interval", choices.interval),
        one_alert=choices.one_alert,
        no_data=choices.no_data,
    )
    tell(notice for objective in objectives for notice in choose(objective, windows).notices)
    _must_load(groups, project.promtool_for(project.toolchain(config), config.server()))
    form = Format(choices.format)
    if choices.output is None:
        write("-", rules_yaml(groups, form))
        return EXIT_OK
    files = _files(groups, form)
    removed = _write_folder(choices.output, files)
    done = [f"{count_of(len(groups), 'objective')} in {choices.output}: {count_of(len(files), 'file')} written"]
    if removed:
        done.append(f"{count_of(len(removed), 'file')} of objectives that are gone removed: {', '.join(removed)}")
    print("; ".join(done), file=sys.stderr)
    return EXIT_OK


def _must_load(groups: Sequence[CompiledGroup], promtool: Promtool) -> None:
    """Raise InputError, at its objective, for a rule that Prometheus would refuse, such as a label's open template."""
    with private_folder() as folder:
        files = {folder / f"{i}.yml": group for i, group in enumerate(groups)}
        for file, group in files.items():
            file.write_text(rules_yaml([group]), encoding="utf-8")
        problems = promtool.check_rules(list(files), lint=False)
    if problems:
        objective = {str(file): group.objective for file, group in files.items()}[problems[0].file]
        more = f" ({count_of(len(problems) - 1, 'more problem')})" if len(problems) > 1 else ""
        raise InputError(
            f"promtool refuses the rules of `{objective.name}`: {problems[0].message}{more}",
            span=objective.span,
            hint="correct what the objective gives the rules: its labels, annotations and queries",
        )


def _files(groups: Sequence[CompiledGroup], form: Format) -> dict[str, str]:
    """Relative path → text; tests stand beside plain rule files, which is what promtool reads."""
    files: dict[str, str] = {}
    for group in groups:
        name = group.objective.file_name
        if f"rules/{name}.yml" in files:
            raise InputError(
                f"the files of two objectives would both be named {name}.yml",
                span=group.objective.span,
                hint="give one of them another name",
            )
        files[f"rules/{name}.yml"] = rules_yaml([group])
        files[f"tests/{name}.test.yml"] = unit_tests_yaml(group, f"../rules/{name}.yml")
        if form is Format.OPERATOR:
            files[f"manifests/{name}.yml"] = rules_yaml([group], form)
    return files


def _write_folder(folder: Path, files: dict[str, str]) -> list[str]:
    """Write the files, each at once, and remove generated ones that are no longer among them; says which."""
    for name, text in files.items():
        target = folder / name
        if target.exists() and not _is_ours(target):
            raise InputError(
                f"{target} is there and was not generated", hint="choose another folder for -o, or move it away"
            )
        write_document(target, text, hint="choose another folder for -o")
    stale = [
        path
        for part in ("rules", "tests", "manifests")
        for path in sorted((folder / part).glob("*.yml"))
        if f"{part}/{path.name}" not in files and _is_ours(path)
    ]
    for path in stale:  # a rule of an objective that is gone would go on alerting
        path.unlink()
    return [str(path) for path in stale]


def _is_ours(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    except OSError:
        return False
