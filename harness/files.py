"""Files of ours: where a user keeps them, and how they are written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from harness.errors import InputError


def user_folder(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """Our folder among the user's own: below that of the XDG `variable`, else below home; None where there is no home.

    The specification (XDG Base Directory) ignores relative ones. `environ` may be another process' than ours, of which
    platformdirs would know nothing.
    """
    base, home = environ.get(variable, ""), environ.get("HOME", "")
    if os.path.isabs(base):
        return Path(base) / "alert-harness"
    return Path(home) / below_home / "alert-harness" if os.path.isabs(home) else None


def write_whole(file: Path, text: str, *, private: bool = False, errors: str = "strict") -> None:
    """Make or replace a file by UTF-8 text; `private`: for our eyes only. Its folder must be there. Raises OSError.

    Whoever reads meanwhile sees the old text or the new one. A link stays, and what it names is replaced; a device or
    pipe is written to.
    """
    real = Path(os.path.realpath(file))
    if file.exists() and (not file.is_file() or _is_below_dev(file)):
        file.write_text(text, encoding="utf-8", errors=errors)
        return
    draft = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(handle, "w", encoding="utf-8", errors=errors) as stream:
            stream.write(text)
        draft.replace(real)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def _is_below_dev(file: Path) -> bool:
    """/dev/stdout is a link to whatever file the shell has opened, which must not become another one."""
    return Path(os.path.abspath(file)).is_relative_to("/dev")


def write_document(target: Path, text: str, *, hint: str = "choose another place") -> None:
    """Write a document for people, with the folders that it needs; raises InputError.

    Lone surrogates, which no UTF-8 has (of file names that are none), are written as escapes.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text, errors="backslashreplace")
    except OSError as err:
        raise InputError(f"cannot write {target}: {err.strerror or err}", hint=hint) from err
