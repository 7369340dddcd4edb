"""Ask an executable for its version, and remember the answer for as long as the file stays as it is."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import time
from pathlib import Path

from harness.files import write_whole
from harness.toolchain.attempts import SourceFailed
from harness.toolchain.tools import ToolSpec, Version, parse_version, parse_version_output

_TIMEOUT_S = 10.0
_BUSY_TRIES = 20


def probe(known: ToolSpec, path: Path) -> tuple[Version, str]:
    """(version, version text) that the executable itself states.

    Raises SourceFailed with one line if it does not run, or is another program.
    """
    try:
        output = _run_version(path)
    except subprocess.TimeoutExpired as err:
        raise SourceFailed(f"{path} did not answer --version within {_TIMEOUT_S:g} s") from err
    except OSError as err:
        why = err.strerror or str(err)
        if err.errno == errno.ENOEXEC:
            why = "it is no program for this machine"
        elif err.errno == errno.EACCES and os.access(path, os.X_OK):
            why = "permission denied (is its folder mounted noexec?)"
        elif err.errno == errno.ENOENT and path.exists():
            why = "it needs a loader or interpreter that is not here"
        raise SourceFailed(f"{path} does not run: {why}") from err
    return _read_version(known, path, output)


def _run_version(path: Path) -> str:
    for attempt in range(_BUSY_TRIES):
        try:
            done = subprocess.run(
                [str(path), "--version"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,  # Alertmanager's older versions print there
                timeout=_TIMEOUT_S,
                check=False,
            )
            return done.stdout.decode("utf-8", "replace")
        except OSError as err:
            # A child that another thread forked while we wrote the file still holds it open for a moment.
            if err.errno != errno.ETXTBSY or attempt == _BUSY_TRIES - 1:
                raise
            time.sleep(0.05)
    raise AssertionError("unreachable")


def _read_version(known: ToolSpec, path: Path, output: str) -> tuple[Version, str]:
    found = parse_version_output(output)
    version = parse_version(found[1]) if found else None
    if found is None or version is None:
        if "GLIBC_" in output:
            raise SourceFailed(f"{path} does not run: it needs a newer C library (glibc) than this machine has")
        first = next((line.strip() for line in output.splitlines() if line.strip()), "nothing")
        raise SourceFailed(f"{path} states no version (--version printed: {first[:100]})")
    program, text = found
    if program not in (known.name, *known.executables):
        raise SourceFailed(f"{path} is {program}, not {known.name}")
    return version, text


class VersionMemo:
    """What executables said, kept in a JSON file by path, size and modification time.

    A Go binary takes 30 to 50 ms to state its version, a stat takes none. Losing the file costs only that, so that
    every failure to read or write it is ignored.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, list[object]] | None = None

    def probe(self, known: ToolSpec, path: Path) -> tuple[Version, str]:
        """As :func:`probe`, from memory where the file has not changed since."""
        real = os.path.realpath(path)
        try:
            stat = os.stat(real)
        except OSError as err:
            raise SourceFailed(f"{path} does not run: {err.strerror or err}") from err
        stamp: list[object] = [known.name, stat.st_size, stat.st_mtime_ns]
        remembered = self._load().get(real)
        if isinstance(remembered, list) and len(remembered) == 4 and remembered[:3] == stamp:
            text = str(remembered[3])
            if (version := parse_version(text)) is not None:
                return version, text
        version, text = probe(known, path)
        if _is_script(real):  # a shim's file stays as it is while what it starts changes
            return version, text
        self._load()[real] = [*stamp, text]
        self._save()
        return version, text

    def _load(self) -> dict[str, list[object]]:
        if self._known is None:
            self._known = {}
            with contextlib.suppress(OSError, ValueError):
                data = json.loads(self._file.read_text("utf-8"))
                self._known = data if isinstance(data, dict) else {}
        return self._known

    def _save(self) -> None:
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, json.dumps(self._load(), indent=1, sort_keys=True), private=True)


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(2) == b"#!"
    except OSError:
        return True
