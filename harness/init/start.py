"""The start of a project: settings, a contract skeleton for each alert that is there, and what CI runs.

A contract that was copied from its rule proves nothing. What is guessed here is the shape (which series, which labels)
and a first number, and every guess says `confirm:` until somebody has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config import FILE_NAMES, is_unit_test
from harness.errors import HarnessError, InputError, InputErrors
from harness.init.found import loaded_below, prometheus_yml, relative, to_render, yaml_files
from harness.init.skeleton import Skeletons
from harness.init.snippets import GITHUB, GITLAB, settings_text
from harness.rules import RuleFile
from harness.rules.model import RecordingRule
from harness.source import display_path


@dataclass(frozen=True, slots=True)
class InitFile:
    """A file of a new project: whether it was written, or was there and was left alone."""

    path: Path
    new: bool


@dataclass(frozen=True, slots=True)
class InitReport:
    """What :func:`init` did."""

    written: list[InitFile]
    alerts: int
    """How many were found."""
    faults: list[HarnessError]
    """What is wrong with rules for which nothing was written."""


def init(folder: Path) -> InitReport:
    """Write what is missing below `folder`.

    Raises InputError if there is no alert rule below it. Nothing is ever overwritten.
    """
    if not folder.is_dir():
        raise InputError(f"{display_path(folder)} is no folder", hint="name the folder of your project")
    loaded = loaded_below(folder)
    files = loaded.files
    alerts = sum(len(group.alerts()) for file in files for group in file.groups)
    if not alerts and loaded.faults:
        raise InputErrors(loaded.errors)
    if not alerts:
        raise InputError(
            f"no alert rules below {display_path(folder.resolve())}",
            hint=to_render(folder) or "write a Prometheus rule file first, or name the folder that holds yours",
        )
    recordings = {
        rule.record: rule.expr
        for file in files
        for group in file.groups
        for rule in group.rules
        if isinstance(rule, RecordingRule)
    }
    rules = sorted({relative(file.path, folder) for file in files})
    tests = sorted({relative(path.parent, folder) for path in yaml_files(folder) if is_unit_test(path)})
    contracts = _contract_names(files, folder)
    prometheus = prometheus_yml(folder)
    folders = sorted({_folder(name) for name in contracts.values()})
    wanted = {folder / FILE_NAMES[0]: settings_text(rules, folders, tests, prometheus)}
    names = Counter(rule.alert for file in files for group in file.groups for rule in group.alerts())
    skeletons = Skeletons(recordings, names, prometheus, loaded.faults)
    for path, name in contracts.items():
        groups = [group for file in files if file.path == path for group in file.groups]
        if text := skeletons.of_file(path, groups):
            wanted[folder / name] = text
    wanted[folder / "ci" / "alert-harness.github.yml"] = GITHUB
    wanted[folder / "ci" / "alert-harness.gitlab.yml"] = GITLAB
    return InitReport([_write(path, text) for path, text in wanted.items()], alerts, loaded.errors)


def _write(path: Path, text: str) -> InitFile:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return InitFile(path, new=False)
    except OSError as err:
        raise InputError(f"cannot write {display_path(path)}: {err.strerror or err}", hint="check its folder") from err
    return InitFile(path, new=True)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _contract_names(files: Sequence[RuleFile], folder: Path) -> dict[Path, str]:
    """`contracts/NAME.yml` for each rule file; with the folder's name where two files are named alike."""
    names: dict[Path, str] = {}
    for file in files:
        if file.path in names:
            continue
        stem = file.path.stem
        name = f"contracts/{stem}.yml"
        if name in names.values():
            name = f"contracts/{relative(file.path, folder).rpartition('.')[0].replace('/', '-')}.yml"
        names[file.path] = name
    return names
