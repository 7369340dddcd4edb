"""A root file system from Debian's packages, without root: apt fetches and checks them, their files are merged.

No script of a package runs, so that nothing needs privileges and nothing of this machine is touched. What such scripts
would have made is added where it is needed: users, links.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EngineError
from harness.toolchain.attempts import SourceFailed
from harness.toolchain.debian import Distribution, _Apt

_UPDATE_S = 180.0
_DOWNLOAD_S = 600.0
_LEFT_OUT = ("./usr/share/doc/", "./usr/share/man/", "./usr/share/locale/", "./usr/share/info/", "./usr/share/lintian/")
# Before packages were merged into /usr, these were folders; base-files makes them links.
_MERGED = ("bin", "sbin", "lib", "lib64")


@dataclass(frozen=True, slots=True)
class Packages:
    """Packages that were fetched, and the suite that they are from."""

    suite: str
    files: tuple[Path, ...]


def fetch(names: Sequence[str], folder: Path, *, newest: bool = False, dependencies: bool = True) -> Packages:
    """These packages and all that they depend on, from the stable release or the newest.

    Raises EngineError with one line.
    """
    try:
        distribution = Distribution.of_machine()
        # Debian's stable also on an older Debian: what runs in a container need not fit the machine.
        stable = "stable" if distribution.family == "debian" else distribution.codename
        suite = next(each for each in distribution.suites if each != stable) if newest else stable
        apt = _Apt(distribution, suite, folder / "apt", f"{distribution.family.capitalize()} {suite}")
        apt.run("apt-get", "update", timeout=_UPDATE_S)
        if dependencies:
            options = ("-y", "--no-install-recommends", "--download-only")
            apt.run("apt-get", "install", *options, *names, timeout=_DOWNLOAD_S)
        else:
            apt.run("apt-get", "download", *names, timeout=_DOWNLOAD_S, cwd=folder / "apt/cache/archives")
    except SourceFailed as err:
        raise EngineError(f"cannot fetch Debian's packages: {err}") from err
    return Packages(suite, tuple(sorted((folder / "apt/cache/archives").glob("*.deb"))))


def root_tar(packages: Sequence[Path], unused: Sequence[str], more: Mapping[str, tarfile.TarInfo | bytes]) -> bytes:
    """One archive of their files, without those of packages whose name begins as one of `unused`, and with `more`.

    ``more`` maps paths such as ``./etc/passwd`` to a file's content, or to a link or folder.
    """
    out = io.BytesIO()
    done: set[str] = set()
    with tarfile.open(fileobj=out, mode="w") as merged:
        for name, what in more.items():  # first: the first of a name wins
            done.add(name)
            if isinstance(what, bytes):
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(what), 0o644
                merged.addfile(info, io.BytesIO(what))
            else:
                what.name = name
                merged.addfile(what)
        for package in packages:
            if not package.name.startswith(tuple(unused)):
                _merge(package, merged, done)
    return out.getvalue()


def content(package: Path, below: str) -> Iterator[bytes]:
    """The files of a package below a folder."""
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True)  # noqa: S607
    with tarfile.open(fileobj=io.BytesIO(unpacked.stdout)) as archive:
        for member in archive:
            if member.name.startswith(below) and (stream := archive.extractfile(member)) is not None:
                yield stream.read()


def link(target: str) -> tarfile.TarInfo:
    """A symbolic link."""
    info = tarfile.TarInfo()
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def folder(mode: int) -> tarfile.TarInfo:
    """An empty folder."""
    info = tarfile.TarInfo()
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info


def _merge(package: Path, merged: tarfile.TarFile, done: set[str]) -> None:
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=False)  # noqa: S607
    if unpacked.returncode != 0:
        raise EngineError(f"dpkg-deb cannot read {package.name}: {unpacked.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(unpacked.stdout)) as archive:
        for member in archive:
            member.name = _moved(member.name)
            if member.islnk():
                member.linkname = _moved(member.linkname)
            if member.name.startswith(_LEFT_OUT) or member.name in done:
                continue
            done.add(member.name)
            merged.addfile(member, archive.extractfile(member) if member.isreg() else None)


def _moved(name: str) -> str:
    """The path under /usr of what an older package puts beside it."""
    first, _, rest = name.removeprefix("./").partition("/")
    return f"./usr/{first}/{rest}" if first in _MERGED and rest else f"./{name.removeprefix('./')}"
