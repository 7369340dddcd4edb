"""The cache folder: one folder per tool, version and platform, put there whole or not at all.

tools/<tool>/<version>.<platform>/<tool>          the executable
                                  manifest.json   what it is, so that finding it needs no run of it
                                  data/…          the folder of its package that it must be started in
tools/.staging-<project>-…                        a fetch under way; swept by the next one if its run was killed
tools/.lock-<project>                             held while fetching; the kernel drops it with its process
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.toolchain.attempts import CacheFailed, Progress, SourceFailed, cache_failed
from harness.toolchain.probe import probe
from harness.toolchain.tools import ReleaseProject, Tool, ToolSpec, Version, parse_version

_MANIFEST = "manifest.json"
_LOCK_WAIT_S = 900.0
_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "armv7",
    "armv6l": "armv6",
    "i686": "386",
    "i386": "386",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}


def this_platform() -> str:
    """``linux-amd64``, as the release archives spell it."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_ARCHITECTURES.get(machine, machine)}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lies in an entry of the cache, as it was when it was put there."""

    tool: str
    version_text: str
    platform: str
    source: str
    size: int
    mtime_ns: int
    sha256: str
    has_root: bool


@dataclass(frozen=True, slots=True)
class StagedTool:
    """An executable that was fetched but not yet put in its place; ``data`` is what will be ``Tool.start_in``."""

    known: ToolSpec
    path: Path
    source: str
    data: Path | None = None


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A folder of the cache: its tool, or in ``damage`` what is wrong with it."""

    folder: Path
    version: Version
    tool: Tool | None
    damage: str = ""


class Store:
    """The tools in the cache folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.platform = this_platform()

    def entries(self, known: ToolSpec, *, run: bool = False) -> list[CacheEntry]:
        """This platform's entries of a tool, newest version first; with ``run`` each is asked for its version."""
        try:
            names = sorted(os.listdir(self.root / known.name))
        except OSError:
            return []
        found = []
        suffix = f".{self.platform}"
        for name in names:
            version = parse_version(name)
            if name.endswith(suffix) and version is not None:
                found.append(self._entry(known, self.root / known.name / name, version, run))
        return sorted(found, key=lambda entry: entry.version, reverse=True)

    def _entry(self, known: ToolSpec, folder: Path, version: Version, run: bool) -> CacheEntry:
        path = folder / known.name
        try:
            manifest = Manifest(**json.loads((folder / _MANIFEST).read_text("utf-8")))
            stat = path.stat()
        except (OSError, ValueError, TypeError) as err:
            what = f"{Path(err.filename).name} is missing" if isinstance(err, FileNotFoundError) else "unreadable"
            return CacheEntry(folder, version, None, what)
        if stat.st_size != manifest.size:
            return CacheEntry(folder, version, None, f"{stat.st_size} bytes instead of {manifest.size}")
        # Copies and restored backups change the time but not the content.
        if stat.st_mtime_ns != manifest.mtime_ns and _sha256(path) != manifest.sha256:
            return CacheEntry(folder, version, None, "its content has changed")
        if not os.access(path, os.X_OK):
            return CacheEntry(folder, version, None, "not executable")
        if run:
            try:
                probe(known, path)
            except SourceFailed as err:
                return CacheEntry(folder, version, None, str(err))
        data = folder / "data" if manifest.has_root else None
        if data is not None and not data.is_dir():
            return CacheEntry(folder, version, None, "the folder of its package's files is missing")
        return CacheEntry(folder, version, Tool(known.name, path, version, manifest.version_text, "cache", data))

    @contextlib.contextmanager
    def lock(self, project: ReleaseProject, progress: Progress) -> Iterator[None]:
        """Hold a project's lock across processes; raises CacheFailed if the folder cannot be written."""
        from filelock import FileLock, Timeout  # slow to import, and seldom needed

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # No soft lock, which a killed run would leave behind.
            lock = FileLock(self.root / f".lock-{project.name}", mode=0o666, fallback_to_soft=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                progress(f"waiting for another run that is fetching {project.name}")
                lock.acquire(timeout=_LOCK_WAIT_S, poll_interval=0.1)
        except Timeout as err:
            raise CacheFailed(
                f"another run has been fetching {project.name} for more than {_LOCK_WAIT_S / 60:g} minutes",
                hint=f"end it, or set ALERT_HARNESS_CACHE to a folder other than {self.root.parent}",
            ) from err
        except OSError as err:
            raise cache_failed(err, self.root) from err
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def staging(self, project: ReleaseProject) -> Iterator[Path]:
        """A folder for a fetch under way, gone afterwards; only to be used under the project's lock.

        What a killed run left is swept first: whoever holds the lock knows that nobody else is at work.
        """
        prefix = f".staging-{project.name}-"
        for stale in self.root.glob(f"{prefix}*"):
            shutil.rmtree(stale, ignore_errors=True)
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self.root))
        except OSError as err:
            raise cache_failed(err, self.root) from err
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def discard(self, entry: CacheEntry) -> None:
        """Remove a damaged entry in one step, so that other runs see it as it was or not at all."""
        with contextlib.suppress(FileNotFoundError):
            aside = Path(tempfile.mkdtemp(prefix=".removed-", dir=self.root))
            os.rename(entry.folder, aside / "entry")
        for aside in self.root.glob(".removed-*"):
            shutil.rmtree(aside, ignore_errors=True)

    def install(self, staged: list[StagedTool], staging: Path) -> dict[str, Tool]:
        """Put fetched executables into their places; raises SourceFailed if one of them does not run."""
        checked = []
        for item in staged:
            item.path.chmod(0o755)
            checked.append((item, *probe(item.known, item.path)))
        tools = {}
        for item, version, text in checked:
            tools[item.known.name] = self._install(item, version, text, staging)
        return tools

    def _install(self, item: StagedTool, version: Version, text: str, staging: Path) -> Tool:
        name = item.known.name
        prepared = staging / f"entry-{name}"
        prepared.mkdir()
        path = prepared / name
        os.rename(item.path, path)
        if item.data is not None:
            os.rename(item.data, prepared / "data")
        seconds = int(time.time())
        os.utime(path, (seconds, seconds))  # whole seconds survive every archive format
        stat = path.stat()
        manifest = Manifest(
            name, text, self.platform, item.source, stat.st_size, stat.st_mtime_ns, _sha256(path), item.data is not None
        )
        (prepared / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", "utf-8")
        place = self.root / name / f"{text}.{self.platform}"
        place.parent.mkdir(exist_ok=True)
        if place.exists():
            present = self._entry(item.known, place, version, run=True)
            if present.tool is not None:  # it may be in use; the fetch of one beside it brought it once more
                return present.tool
            self.discard(present)
        os.rename(prepared, place)
        data = place / "data" if item.data is not None else None
        return Tool(name, place / name, version, text, item.source, data)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
