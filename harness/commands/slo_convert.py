"""Objectives of any format, written as OpenSLO v1 documents."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.choices.slo_convert import ConvertChoices
from harness.commands.objectives import load
from harness.commands.writing import check_targets, write
from harness.config import Config
from harness.errors import EXIT_INPUT, EXIT_OK, InputError
from harness.slo.spec.convert import Conversion, convert
from harness.units import count_of

SERVICES = "services.yml"
"""The file of the `Service` documents; an objective's file has the names of service and objective, so never this."""


def run(config: Config, choices: ConvertChoices) -> int:
    """Write what can be said in OpenSLO, to standard output or into a folder; 2 if something cannot."""
    check_targets(choices)
    objectives = load(config, choices.files, choices.period)
    found = convert(objectives)
    if choices.output is None:
        texts = [found.services] * bool(found.services) + [text for _, text in found.documents]
        write("-", "---\n".join(texts))
    else:
        files = _files(found)
        _write_folder(choices.output, files)
        written = f"{count_of(len(files), 'file')} written"
        print(f"{count_of(len(found.documents), 'objective')} in {choices.output}: {written}", file=sys.stderr)
    for error in found.unsaid:
        print(f"alert-harness: {error}", file=sys.stderr)
    return EXIT_INPUT if found.unsaid else EXIT_OK


def _files(found: Conversion) -> dict[str, str]:
    """File name → text: one for each objective, and one for the services that these refer to."""
    files = {SERVICES: found.services} if found.services else {}
    for objective, text in found.documents:
        name = f"{objective.file_name}.yml"
        if name in files:
            raise InputError(
                f"two files would be named {name}", span=objective.span, hint="give this objective another name"
            )
        files[name] = text
    return files


def _write_folder(folder: Path, files: dict[str, str]) -> None:
    """Write the files; raises InputError, before any is written, where one would replace what somebody changed."""
    for name, text in files.items():
        target = folder / name
        if target.exists() and not _holds(target, text):
            raise InputError(
                f"{target} is there already and holds something else",
                hint="choose another folder for -o, or move it away",
            )
    for name, text in files.items():
        write(str(folder / name), text)


def _holds(target: Path, text: str) -> bool:
    try:
        return target.read_text(encoding="utf-8", errors="replace") == text
    except OSError:
        return False
