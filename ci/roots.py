"""Run README's two commands where a stranger would: in a fresh clone on a fresh Debian of each release in use.

    .venv/bin/python ci/roots.py                  bookworm, trixie and testing, one after the other; about 20 minutes
    .venv/bin/python ci/roots.py testing          only that one

By hand, as root, on a Debian machine with debootstrap; `.ci/run` does not call it. Each root holds Debian's minimal
system with python3, make, git and ca-certificates, and what is committed here. Nothing that this machine has cached
goes in: apt's mirror is that of its own sources, PyPI's index that of pip's own configuration. Prints a line per
command: exit code, seconds, and what it closed with; all that it printed stands in build/roots. Exits 1 if one failed.

Whatever runs or is mounted does so in namespaces of its own, which the kernel ends with their first process: after a
Ctrl-C only folders are left to be removed, and they are.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness.errors import EXIT_ENGINE
from harness.toolchain.attempts import SourceFailed
from harness.toolchain.debian import Distribution

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "roots"
SUITES = ("bookworm", "trixie", "testing")
COMMANDS = (("make", "verify"), ("make", "test"))
PREINSTALLED = ("ca-certificates", "git", "make", "python3")
_CLONE = "/srv/alert-harness"
_BUNDLE = "project.bundle"
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy")

_INSIDE = """\
set -eu
root=$1; shift
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
code=0
chroot "$root" "$@" || code=$?
exit $code
"""
"""The shell stays: it is process 1 of the namespace, and has to reap what the tests orphan."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How this machine reaches Debian's packages and PyPI."""

    mirror: str
    keyring: str
    apt_settings: str
    pip_settings: dict[str, str]

    @classmethod
    def of_here(cls) -> Machine:
        """Raises SourceFailed if this is no Debian with a mirror and a keyring."""
        distribution = Distribution.of_machine()
        if distribution.family != "debian" or not distribution.keyrings:
            raise SourceFailed("this needs a Debian machine with its archive's keyring")
        dump = _output("apt-config", "dump").splitlines()
        # Proxies, and whether an index may be past its date.
        apt = [line for line in dump if re.match(r'Acquire::(https?\b|ForceIPv[46]|Check-)[^"]*"[^"]*";$', line)]
        listed = re.findall(r"^(\S+)\.([\w-]+)='(.*)'$", _output(sys.executable, "-m", "pip", "config", "list"), re.M)
        # What pip reads later wins; it lists the environment first.
        listed.sort(key=lambda entry: entry[0] == ":env:")
        wanted = ("index-url", "trusted-host", "proxy", "cert")
        pip = {key: value for _, key, value in listed if key in wanted}
        return cls(distribution.archive.uri, distribution.keyrings[-1], "\n".join(apt), pip)


def main() -> int:
    """0 if every command passed in every root, 1 if not, 3 if a root cannot be made here."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", default=SUITES, help=f"default: {' '.join(SUITES)}")
    suites: Sequence[str] = parser.parse_args().suites
    signal.signal(signal.SIGTERM, _ended)
    try:
        machine = _checked()
        LOGS.mkdir(parents=True, exist_ok=True)
        return max([_try(suite, machine) for suite in suites])
    except SourceFailed as err:
        print(f"error: {err}", file=sys.stderr)
        return EXIT_ENGINE
    except KeyboardInterrupt:
        return 130


def _checked() -> Machine:
    missing = [program for program in ("debootstrap", "unshare", "git") if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        raise SourceFailed(f"this needs root and {', '.join(missing) or 'nothing else'}")
    return Machine.of_here()


def _try(suite: str, machine: Machine) -> int:
    """Both commands in a new root of this suite; 1 if one failed."""
    with tempfile.TemporaryDirectory(prefix=f"root-{suite}-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        root.chmod(0o755)  # packages' own users have to get in
        _make(suite, root, machine)
        about = _output("chroot", name, "sh", "-c", 'echo "$(cat /etc/debian_version), $(python3 --version)"').strip()
        commit = _output("chroot", name, "git", "-C", _CLONE, "rev-parse", "--short", "HEAD").strip()
        print(f"{suite}: Debian {about}, commit {commit}", flush=True)
        return max(_run(suite, root, command) for command in COMMANDS)


def _make(suite: str, root: Path, machine: Machine) -> None:
    """A root with the clone in it. Raises SourceFailed."""
    log = LOGS / f"{suite}.log"
    bootstrap = (
        "debootstrap", "--variant=minbase", f"--include={','.join(PREINSTALLED)}", f"--keyring={machine.keyring}",
        suite, str(root), machine.mirror,
    )  # fmt: skip
    if _in_namespaces(bootstrap, log) != 0:
        raise SourceFailed(f"debootstrap cannot make {suite}: see {log.relative_to(ROOT)}")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n", encoding="utf-8")
    (root / "etc/apt/apt.conf.d/90machine").write_text(f"{machine.apt_settings}\n", encoding="utf-8")
    settings = dict(machine.pip_settings)
    if certificates := settings.get("cert"):
        settings["cert"] = "/etc/pip-certificates.pem"
        shutil.copyfile(certificates, root / "etc/pip-certificates.pem")
    lines = ["[global]", *(f"{key} = {value}" for key, value in settings.items())]
    (root / "etc/pip.conf").write_text("\n".join([*lines, ""]), encoding="utf-8")
    _output("git", "-C", str(ROOT), "bundle", "create", "--quiet", str(root / _BUNDLE), "HEAD")
    _output("chroot", str(root), "git", "clone", "--quiet", f"/{_BUNDLE}", _CLONE)


def _run(suite: str, root: Path, command: tuple[str, ...]) -> int:
    """One of the two commands; 1 if it failed."""
    log = LOGS / f"{suite}-{command[-1]}.log"
    passed_on = [f"{name}={os.environ[name]}" for name in _PASSED_ON if name in os.environ]
    # Whoever is started in a script's background has inherited that Ctrl-C is ignored; tests send it.
    clean = (
        "env",
        "-i",
        "--default-signal",
        "HOME=/root",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8",
        *passed_on,
    )
    start = time.monotonic()
    inside = (*clean, "sh", "-c", 'cd "$1" && shift && "$@"', "sh", _CLONE, *command)
    code = _in_namespaces(("sh", "-c", _INSIDE, "sh", str(root), *inside), log)
    last = next((line for line in reversed(log.read_text("utf-8", "replace").splitlines()) if _closes(line)), "")
    print(f"  {' '.join(command)}: exit {code}, {time.monotonic() - start:.0f} s: {last.strip(' =')}", flush=True)
    return int(code != 0)


def _closes(line: str) -> bool:
    """Whether it is the line that a command closes with: pytest's, or verify's answer; make's own comes later."""
    return bool(line.strip()) and not line.startswith("make: ")


def _in_namespaces(command: Sequence[str], log: Path) -> int:
    """Its exit code, when it and all that it started is gone."""
    isolated = ("unshare", "--mount", "--pid", "--fork", "--kill-child", *command)
    with log.open("wb") as output:
        process = subprocess.Popen(isolated, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            return process.wait()
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to process 1 of the namespace: the kernel reports its end when all others there are gone too."""
    if process.poll() is None:
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        os.kill(int(first[0]) if first else process.pid, signal.SIGKILL)
        process.wait()


def _output(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SourceFailed(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def _ended(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
