"""The distribution's own package, unpacked without root: apt with a private configuration, then dpkg-deb.

The mirror and the keyring are the machine's own; apt checks the archive's signature and every hash. Nothing of the
machine's package state is read or changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.files import write_whole
from harness.toolchain.aptsources import AptSource, machine_sources, pick_archive
from harness.toolchain.attempts import HostUnreachable, Progress, SourceFailed, cache_failed, without_urls
from harness.toolchain.relocate import relocate
from harness.toolchain.store import StagedTool
from harness.toolchain.tools import ToolSpec, matches_prefix, parse_version

_UPDATE_S = 180.0
_DOWNLOAD_S = 600.0
_UNPACK_S = 120.0

# Some mirrors serve a `testing` whose index is some weeks past its Valid-Until, and apt refuses it. The signature
# still proves whose it is; 90 days keep its age bounded, where switching the check off would not.
_MIN_VALID_TIME_S = 7_776_000

# Debian: testing has the newer long-term release, stable the older. Ubuntu has no such aliases: its own series comes
# first, then the newer long-term series and the one in development.
_DEBIAN_SUITES = ("testing", "stable")
_UBUNTU_NEWER = ("resolute", "devel")
_COMPONENTS = {"debian": "main", "ubuntu": "main universe"}


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What apt-get says, and what it means in a clause."""

    pattern: str
    meaning: str
    unreachable: bool = False


# The first that matches wins: a bad signature outweighs the failed download that follows from it.
_COMPLAINTS = (
    _Complaint(r"NO_PUBKEY|public key is not available", "it is signed with a key that the archive keyring here lacks"),
    _Complaint(r"BADSIG|is not signed|signatures? (were|was) invalid|invalid signature", "its signature is wrong"),
    _Complaint(r"is expired|is not valid yet", "its index is out of date by more than 90 days"),
    _Complaint(r"Hash Sum mismatch|unexpected size", "what the mirror sent does not match the signed index"),
    _Complaint(r"does not have a Release file|404 +Not Found", "the mirror has no such suite or file"),
    _Complaint(r"\b40[137] ", "the mirror or a proxy refused access"),
    _Complaint(r"Could not resolve|Temporary failure resolving", "the mirror's name could not be resolved", True),
    _Complaint(
        r"Could not connect|Unable to connect|refused|timed out|unreachable", "no connection to the mirror", True
    ),
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A Debian or Ubuntu machine as far as fetching a package is concerned."""

    family: str
    codename: str
    archive: AptSource
    keyrings: tuple[str, ...]
    etc_apt: Path

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites to ask, in order."""
        if self.family == "debian":
            return _DEBIAN_SUITES
        return tuple(dict.fromkeys((self.codename, *_UBUNTU_NEWER)))

    @classmethod
    def of_machine(cls, root: Path = Path("/")) -> Distribution:
        """Raises SourceFailed with one line if this is no Debian or Ubuntu, or cannot say where its archive is."""
        release = _os_release(root)
        identity = release.get("ID", "")
        like = release.get("ID_LIKE", "").split()
        name = release.get("NAME") or identity or "this system"
        family = next((word for word in (identity, *like) if word in _COMPONENTS), None)
        if family is None:
            raise SourceFailed(f"{name} is neither Debian nor Ubuntu")
        for program in ("apt-get", "apt-cache", "dpkg-deb"):
            if shutil.which(program) is None:
                raise SourceFailed(f"{program} is not on PATH")
        codename = release.get("VERSION_CODENAME", "")
        if identity != "ubuntu" and family == "ubuntu":
            codename = release.get("UBUNTU_CODENAME", codename)
        etc_apt = root / "etc/apt"
        archive = pick_archive(machine_sources(etc_apt), family, codename)
        if archive is None:
            raise SourceFailed(f"no entry for {family.capitalize()}'s main archive in {etc_apt}")
        keyring = root / f"usr/share/keyrings/{family}-archive-keyring.gpg"
        # The entry may name the key of its own suite only; the archive's keyring holds those of its siblings too.
        keyrings = tuple(key for key in dict.fromkeys((*archive.keyrings, str(keyring))) if os.access(key, os.R_OK))
        if not keyrings and not archive.inline_key and not (etc_apt / "trusted.gpg.d").is_dir():
            raise SourceFailed(
                f"no keyring of {family.capitalize()}'s archive on this machine to check signatures with"
            )
        return cls(family, codename, archive, keyrings, etc_apt)


def _os_release(root: Path) -> dict[str, str]:
    for place in ("etc/os-release", "usr/lib/os-release"):
        with contextlib.suppress(OSError):
            lines = (root / place).read_text("utf-8", "replace").splitlines()
            pairs = (line.split("=", 1) for line in lines if "=" in line)
            return {key.strip(): value.strip().strip("\"'") for key, value in pairs}
    return {}


def fetch_package(
    tools: Sequence[ToolSpec],
    distribution: Distribution,
    suite: str,
    prefix: str,
    staging: Path,
    progress: Progress,
) -> list[StagedTool]:
    """Fetch and unpack the packages of one project from one suite into ``staging``.

    Raises SourceFailed with one line (HostUnreachable if the mirror did not answer), CacheFailed if the disk is full.
    """
    where = f"{distribution.family.capitalize()} {suite}"
    project = tools[0].project.name
    apt = _Apt(distribution, suite, staging / "apt", where)
    progress(f"reading the package index of {where}")
    apt.run("apt-get", "update", timeout=_UPDATE_S)
    offered = apt.offered(list(dict.fromkeys(tool.package for tool in tools)))
    if not offered:
        raise SourceFailed(f"{where} has no package {tools[0].package}")
    for tool in tools:
        version = parse_version(offered.get(tool.package, ""))
        if version is None:
            continue
        if version < tool.minimum:
            raise SourceFailed(f"{where} has only {project} {offered[tool.package]}: {tool.older_lacks}")
        if not matches_prefix(version, prefix):
            raise SourceFailed(f"{where} has {project} {offered[tool.package]}, wanted {prefix}")
    progress(f"fetching {project} {next(iter(offered.values()))} from {where}")
    downloads = staging / "debs"
    downloads.mkdir()
    apt.run("apt-get", "download", *offered, timeout=_DOWNLOAD_S, cwd=downloads)
    return list(_unpack(tools, sorted(downloads.glob("*.deb")), staging, apt, where))


def _unpack(
    tools: Sequence[ToolSpec], packages: list[Path], staging: Path, apt: _Apt, where: str
) -> Iterator[StagedTool]:
    unpacked = staging / "unpacked"
    for package in packages:
        apt.run("dpkg-deb", "-x", str(package), str(unpacked), timeout=_UNPACK_S)
        package.unlink()
    for tool in tools:
        path = next((file for name in tool.executables if (file := unpacked / "usr/bin" / name).is_file()), None)
        if path is None or path.is_symlink():
            raise SourceFailed(f"the packages of {where} hold no {tool.name}")
        data = None
        folder = unpacked / tool.package_data.removeprefix("/")
        if tool.package_data and folder.is_dir() and relocate(path, tool.package_data):
            data = staging / f"data-{tool.name}"
            os.rename(folder, data)
        yield StagedTool(tool, path, "debian", data)


class _Apt:
    """apt with a folder, a configuration and a source list of its own."""

    def __init__(self, distribution: Distribution, suite: str, folder: Path, where: str) -> None:
        self._folder = folder
        self._where = where
        for name in ("state/lists/partial", "cache/archives/partial", "etc"):
            (folder / name).mkdir(parents=True)
        (folder / "state/status").touch()  # an empty dpkg status: nothing counts as installed
        self._config = folder / "apt.conf"
        self._environ = {
            **os.environ,
            "LC_ALL": "C",
            "APT_CONFIG": str(self._config),
            "DEBIAN_FRONTEND": "noninteractive",
        }
        # Mirrors and proxies may carry a password.
        write_whole(folder / "private.sources", self._sources(distribution, suite), private=True)
        write_whole(self._config, self._configuration(distribution), private=True)

    def _sources(self, distribution: Distribution, suite: str) -> str:
        archive = distribution.archive
        keys = list(distribution.keyrings)
        if archive.inline_key:
            key = self._folder / "archive-key.asc"
            write_whole(key, archive.inline_key, private=True)
            keys.append(str(key))
        lines = [
            "Types: deb",
            f"URIs: {archive.uri}",
            f"Suites: {suite}",
            f"Components: {_COMPONENTS[distribution.family]}",
        ]
        if keys:
            lines.append(f"Signed-By: {' '.join(keys)}")
        return "\n".join(lines) + "\n"

    def _configuration(self, distribution: Distribution) -> str:
        """Everything that apt would take from /etc or /var points here, but for logins and proxies of the machine.

        APT_CONFIG is read before the machine's own apt.conf.d, whose hooks (clean-ups, notifications) would fail or
        do harm without root: `parts` keeps them out.
        """
        folder, etc = self._folder, distribution.etc_apt
        settings = {
            "Dir::State": f"{folder}/state/",
            "Dir::State::lists": f"{folder}/state/lists/",
            "Dir::State::status": f"{folder}/state/status",
            "Dir::Cache": f"{folder}/cache/",
            "Dir::Log": f"{folder}/",
            "Dir::Etc": f"{folder}/etc/",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": f"{folder}/private.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::trusted": "/dev/null",
            "Dir::Etc::trustedparts": "/dev/null",
            "Dir::Etc::netrc": f"{etc}/auth.conf",
            "Dir::Etc::netrcparts": f"{etc}/auth.conf.d",
            "Acquire::Languages": "none",
            "Acquire::Min-ValidTime": str(_MIN_VALID_TIME_S),
            "Acquire::Retries": "1",
            "Acquire::http::Timeout": "10",
            "Acquire::https::Timeout": "10",
            "APT::Update::Error-Mode": "any",
        }
        if not distribution.keyrings and not distribution.archive.inline_key:
            settings["Dir::Etc::trusted"] = f"{etc}/trusted.gpg"
            settings["Dir::Etc::trustedparts"] = f"{etc}/trusted.gpg.d"
        if os.geteuid() == 0:
            # apt would drop to the user _apt, who cannot write into our private folder.
            settings["APT::Sandbox::User"] = "root"
        lines = [f'{key} "{value}";' for key, value in settings.items()]
        return "\n".join([*_machine_connection(), *lines]) + "\n"

    def offered(self, packages: list[str]) -> dict[str, str]:
        """Package -> upstream version, for those that the suite has."""
        output = self.run("apt-cache", "show", "--no-all-versions", *packages, timeout=_UPDATE_S, check=False)
        found: dict[str, str] = {}
        name = ""
        for line in output.splitlines():
            if line.startswith("Package: "):
                name = line.split(maxsplit=1)[1]
            elif line.startswith("Version: ") and name in packages:
                text = line.split(maxsplit=1)[1]
                found.setdefault(name, text.split(":", 1)[-1].rsplit("-", 1)[0])
        return found

    def run(self, *command: str, timeout: float, cwd: Path | None = None, check: bool = True) -> str:
        """The output; raises SourceFailed with one line if the command fails or takes too long."""
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environ,
            cwd=cwd or self._folder,
            start_new_session=True,  # so that its download helpers can be ended with it
        ) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as err:
                _end(process)
                raise SourceFailed(f"{self._where}: {command[0]} took longer than {timeout:g} s") from err
            except BaseException:
                _end(process)
                raise
        if check and process.returncode != 0:
            self._fail(f"{errors.decode('utf-8', 'replace')}\n{output.decode('utf-8', 'replace')}", command)
        return output.decode("utf-8", "replace")

    def _fail(self, said: str, command: Sequence[str]) -> None:
        if re.search(r"No space left|enough free space|Disk quota exceeded", said):
            raise cache_failed(OSError(28, "No space left on device"), self._folder.parent.parent)
        for known in _COMPLAINTS:
            if re.search(known.pattern, said):
                raise (HostUnreachable if known.unreachable else SourceFailed)(f"{self._where}: {known.meaning}")
        first = next((line for line in said.splitlines() if line.startswith(("E:", "dpkg-deb:"))), "no reason given")
        raise SourceFailed(f"{self._where}: {command[0]} failed: {without_urls(first)[:200]}")


def _machine_connection() -> list[str]:
    """The machine's own apt settings for http and https (proxies, certificates), as configuration lines."""
    program = shutil.which("apt-config")
    if program is None:
        return []
    try:
        done = subprocess.run([program, "dump"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [line for line in lines if re.match(r'Acquire::(https?|ForceIPv[46])\b[^"]*"[^"]*";$', line)]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
