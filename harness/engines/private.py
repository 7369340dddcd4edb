"""Private folders for temporary files: ours alone, marked with their owner, swept by the next run if it was killed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness.engines.owner import Owner, process_start, processes_with
from harness.errors import EngineError
from harness.files import write_whole

PREFIX = "alert-harness-"
_OWNER = "owner.json"
_ORPHAN_S = 600.0


def folder_name(temp: Path | None = None) -> Path:
    """A name that is not taken, in `temp` or the system's folder for temporary files.

    It begins with the maker's, for a run that is killed before it could note in the folder whose it is.
    """
    return (temp or Path(tempfile.gettempdir())) / f"{PREFIX}{_maker()}-{secrets.token_hex(8)}"


def _maker(pid: int | None = None) -> str:
    """A process id with its namespace: what a folder's name says of who made it."""
    namespace = "".join(filter(str.isdigit, Owner.current().pid_namespace))
    return f"{os.getpid() if pid is None else pid}.{namespace}"


def _maker_is_dead(name: str) -> bool:
    pid = name.removeprefix(PREFIX).partition(".")[0]
    return pid.isdigit() and name.startswith(f"{PREFIX}{_maker(int(pid))}-") and process_start(int(pid)) is None


def make_folder(folder: Path) -> None:
    """Make it, for us alone, and note who owns it. Raises OSError."""
    folder.mkdir(mode=0o700)
    write_whole(folder / _OWNER, Owner.current().text(), private=True)


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A private folder for the length of a block. Raises EngineError if it cannot be made."""
    folder = folder_name()
    try:
        try:
            make_folder(folder)
        except OSError as err:
            raise folder_error(err) from err
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a private folder, after what still runs in it: an interrupt may have hit us between fork and return."""
    for pid in processes_with(f"={folder}{os.sep}"):  # every server of ours is given its folder by a flag
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)  # a killed process may write until it is gone


def sweep(temp: Path | None = None) -> list[Path]:
    """End and remove what killed runs left in the folder for temporary files; returns the folders removed."""
    removed = []
    try:
        base = temp or Path(tempfile.gettempdir())
        entries = [entry for entry in os.scandir(base) if entry.name.startswith(PREFIX)]
    except OSError:
        return []  # the start that follows says it better
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            folder = Path(entry.path)
            try:
                owner = Owner.parse((folder / _OWNER).read_text(encoding="utf-8"))
                dead = owner is not None and owner.is_dead()
            except FileNotFoundError:
                # Killed within the millisecond before its owner was noted. Only if its maker is known to be dead, or
                # it is old, and if it holds nothing that is not ours: other tools may use the prefix too.
                orphan = _maker_is_dead(entry.name) or time.time() - status.st_mtime > _ORPHAN_S
                dead = orphan and all(_OWNER in name for name in os.listdir(folder))
        except (OSError, ValueError):
            continue
        if dead:
            remove_folder(folder)
            removed.append(folder)
    return removed


def folder_error(err: OSError) -> EngineError:
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return EngineError(
            f"the disk is full: {err.strerror} ({err.filename})", hint="make room, or set TMPDIR to another disk"
        )
    return EngineError(
        f"cannot make a private folder: {err.strerror or err} ({err.filename})",
        hint="set TMPDIR to a folder that you may write to",
    )
