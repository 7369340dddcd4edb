"""A machine of the tests' own: fake tools, a fake release host, fake apt; nothing here needs a network."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from harness.toolchain import Toolchain
from harness.toolchain.store import this_platform


def script(program: str, version: str, stream: int = 1) -> str:
    """A stand-in for a tool: it states its version as the real one does."""
    return f'#!/bin/sh\necho "{program}, version {version} (branch: HEAD, revision: 0)" >&{stream}\n'


def put(folder: Path, name: str, version: str, *, program: str | None = None, stream: int = 1) -> Path:
    """An executable stand-in at ``folder/name``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(script(program or name, version, stream))
    path.chmod(0o755)
    return path


def tar_gz(members: dict[str, str | bytes]) -> bytes:
    """A .tar.gz with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class ReleaseHost:
    """A stand-in for the release host: what it holds, and what it was asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)  # path -> send only so many bytes, then hang up
    stall: set[str] = field(default_factory=set)  # paths whose body never ends
    asked: list[str] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)

    def add(
        self,
        project: str = "prometheus",
        version: str = "3.5.3",
        *,
        tools: tuple[str, ...] = ("prometheus", "promtool"),
        says: str | None = None,
        archive: bytes | None = None,
        digest: str | None = None,
    ) -> str:
        """Publish a release; the path of its archive."""
        stem = f"{project}-{version}.{this_platform()}"
        data = archive or tar_gz({f"{stem}/{tool}": script(tool, says or version) for tool in tools})
        folder = f"/{project}/releases/download/v{version}"
        digest = digest or hashlib.sha256(data).hexdigest()
        self.files[f"{folder}/{stem}.tar.gz"] = data
        self.files[f"{folder}/sha256sums.txt"] = f"{'0' * 64}  other.tar.gz\n{digest}  {stem}.tar.gz\n".encode()
        return f"{folder}/{stem}.tar.gz"

    def archives_asked(self) -> list[str]:
        return [path for path in self.asked if path.endswith(".tar.gz")]


@dataclass
class Machine:
    """A machine with nothing installed: its PATH, its cache, its /etc, and toolchains on it."""

    bin: Path
    cache: Path
    root: Path
    release_url: str

    def environ(self, **settings: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": "/nonexistent", "ALERT_HARNESS_CACHE": str(self.cache), **settings}

    def toolchain(
        self, explicit: dict[str, Path] | None = None, *, offline: bool = False, **settings: str
    ) -> Toolchain:
        return Toolchain(
            explicit,
            offline=offline,
            environ=self.environ(**settings),
            release_url=self.release_url,
            machine_root=self.root,
        )

    def staging(self) -> list[str]:
        """What a fetch may not leave behind."""
        tools = self.cache / "tools"
        return [path.name for path in tools.glob(".*") if not path.name.startswith(".lock-")] if tools.exists() else []
