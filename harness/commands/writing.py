"""Where documents go, and whether they can."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from harness.choices.option import WriteTarget, options_of, printed_documents
from harness.choices.shared import OutputChoices
from harness.config import Config
from harness.errors import InputError
from harness.files import write_document
from harness.report.outputs import OFF, Outputs


def write(target: str, text: str) -> None:
    """Write a document to a file, or to standard output for ``-``."""
    if target == "-":
        sys.stdout.write(text)
        return
    write_document(Path(target), text, hint="choose another file")


def must_be_writable(option: str, target: Path, *, folder: bool) -> None:
    """Raise InputError if we can tell already that nothing can be written there; makes nothing."""
    hint = f"choose another {'folder' if folder else 'file'} for {option}"
    if target.exists() and target.is_dir() is not folder:
        raise InputError(f"cannot write {target}: it is a {'file' if folder else 'folder'}", hint=hint)
    existing = target
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if existing != target and not existing.is_dir():
        raise InputError(f"cannot write {target}: {existing} is no folder", hint=hint)
    if not os.access(existing, os.W_OK):
        raise InputError(f"cannot write {target}: no permission for {existing}", hint=hint)


def check_targets(choices: Any) -> None:
    """Raise InputError if one of the options that name a file or folder to write (`target`) cannot be obeyed."""
    printed = printed_documents(choices)
    if len(printed) > 1:
        raise InputError(f"{' - and '.join(printed)} - both want standard output", hint="write one of them to a file")
    for choice, option in options_of(choices):
        target = getattr(choices, choice.name)
        if option.target is None or target is None or option.flags[0] in printed:
            continue
        must_be_writable(option.flags[0], Path(target), folder=option.target is WriteTarget.FOLDER)


def checked_outputs(config: Config, choices: OutputChoices) -> Outputs:
    """Where documents go beside those of :func:`check_targets`, which are checked too: before minutes of measuring.

    A folder on the command line is relative to where the user stands, one in the settings to their file.
    """
    check_targets(choices)
    page = config.report if choices.report is None else choices.report
    folder = config.folder if choices.report is None else Path()
    outputs = Outputs(None if page in OFF else folder / page, choices.junit, choices.annotate)
    outputs.check()
    for option, file in outputs.files():
        must_be_writable(option, file, folder=False)
    return outputs
