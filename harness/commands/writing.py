"""Where documents go, and whether they can."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness.errors import InputError
from harness.report.outputs import Outputs


def write(target: str, text: str) -> None:
    """Write a document to a file, or to standard output for ``-``."""
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(text, encoding="utf-8")
    except OSError as err:
        raise InputError(f"cannot write {target}: {err.strerror or err}", hint="choose another file") from err


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


def check_outputs(outputs: Outputs) -> None:
    outputs.check()
    for option, file in outputs.files():
        must_be_writable(option, file, folder=False)
