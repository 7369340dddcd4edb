"""Build local images that stand in for those of fixtures/compose.yaml, where no image registry can be reached.

    python ci/images.py [--rebuild]        writes and prints build/stack-images.env

PostgreSQL, Redis and the exporters are Debian's packages, Prometheus and its companions the binaries that the tests
use, and the streaming service is built by its own Dockerfile on a Python of Debian's. Paths, entry points, users and
variables are those of the official images as far as compose.yaml needs them. Grafana is in no distribution: the
variables leave it out. A label on each image holds a hash of all that it is made of but the packages, so that a second
run does nothing.

Packages come by apt with a private configuration (harness.toolchain.debian), signatures checked, and wheels by this
Python's pip: both with the machine's own settings for mirrors and proxies. Nothing is fetched inside a container.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "ci")]  # from a checkout that is not installed

from build_image import HASH_LABEL, build_from, hash_of  # noqa: E402
from debian_root import Packages, content, fetch, folder, link, root_tar  # noqa: E402

from harness.engines.container import connect, tar_of  # noqa: E402
from harness.errors import EngineError, HarnessError  # noqa: E402
from harness.toolchain import Tool, Toolchain  # noqa: E402

ENV_FILE = ROOT / "build/stack-images.env"
STAND_INS = ROOT / "fixtures/images/stand-ins"
STREAMING = ROOT / "fixtures/streaming"
STREAMING_DOCKERFILE = ROOT / "fixtures/images/streaming/Dockerfile"
BASE, PYTHON = "alert-harness/debian:stack", "alert-harness/python:stack"
PACKAGES = (
    "base-files",
    "ca-certificates",
    "busybox",  # sh and wget for health checks, as in the official images
    "libc-bin",
    "tzdata",
    "python3",
    "python3-venv",
    "postgresql",
    "redis-server",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
)
# What these packages depend on, and what nothing here runs: set-up scripts, just-in-time compilation, documentation.
UNUSED = (
    "perl", "libperl", "libllvm", "libz3", "systemd", "libsystemd-shared", "debconf", "dpkg", "apt", "ucf", "sensible-",
    "postgresql-client-common", "ssl-cert", "gpgv", "adduser", "passwd", "init-system-helpers",
)  # fmt: skip
# Image, tools in /bin, the folder of its volume.
SERVERS = {
    "prometheus": (("prometheus", "promtool"), "/prometheus"),
    "alertmanager": (("alertmanager", "amtool"), "/alertmanager"),
    "node-exporter": (("node_exporter",), "/none"),
}
BUSYBOX = ("sh", "wget", "cat", "grep", "ls", "mktemp", "printf", "rm")
POSTGRES_PROGRAMS = ("postgres", "initdb", "pg_ctl", "createdb", "pg_isready", "psql")


def main() -> int:
    """0 and the variables on standard output, or the exit status of the error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rebuild", action="store_true", help="with the newest packages, also if nothing changed")
    options = parser.parse_args()
    try:
        text = "".join(f"{name}={value}\n" for name, value in build_all(rebuild=options.rebuild).items())
    except HarnessError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    ENV_FILE.parent.mkdir(exist_ok=True)
    ENV_FILE.write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


def build_all(*, rebuild: bool = False) -> dict[str, str]:
    """Build what is not there; the variables of compose.yaml. Raises HarnessError."""
    import docker

    client = connect(docker, 600)
    try:
        work = Work(client, rebuild)
        base = work.base()
        with ThreadPoolExecutor(4) as pool:
            servers = {name: pool.submit(work.server, name, base) for name in SERVERS}
            stores = {name: pool.submit(work.stand_in, name, base, {}) for name in ("postgres", "redis")}
            streaming = work.streaming(work.python(base))
            built = {name: future.result() for name, future in (servers | stores).items()}
    finally:
        client.close()
    built |= {"streaming": streaming, "python": PYTHON, "postgres-exporter": BASE, "redis-exporter": BASE}
    variables = {f"{name.upper().replace('-', '_')}_IMAGE": tag for name, tag in sorted(built.items())}
    return variables | {"GRAFANA_SCALE": "0"}


class Work:
    """Images of one container engine; each method returns a tag, and builds only what has changed."""

    def __init__(self, client: Any, rebuild: bool) -> None:
        self._client = client
        self._rebuild = rebuild
        self._tools = Toolchain(progress=_say)

    def base(self) -> str:
        """Debian's packages in one layer, which all others share."""
        recipe = _digest(Path(__file__).read_bytes(), (ROOT / "ci/debian_root.py").read_bytes())
        if self._is_there(BASE, recipe):
            return recipe
        with _timed(BASE), tempfile.TemporaryDirectory(prefix="alert-harness-images-") as scratch:
            packages = fetch(PACKAGES, Path(scratch))
            archive = root_tar(packages.files, UNUSED, dict(_additions(packages)))
            self._client.api.import_image_from_data(
                archive,
                repository=BASE.partition(":")[0],
                tag=BASE.partition(":")[2],
                changes=[f"LABEL {HASH_LABEL}={recipe}", f"LABEL {PYTHON_LABEL}={_python_version(packages)}"],
            )
        return recipe

    def server(self, name: str, base: str) -> str:
        """A server that is one binary, with its companion."""
        tools, folder_ = SERVERS[name]
        files: dict[str, bytes] = {}
        for tool in map(self._tools.find, tools):
            files[f"root/usr/bin/{tool.name}"] = tool.path.read_bytes()
            files |= dict(_package_data(tool))
        return self.stand_in(name, base, files, "server", {"DATA": folder_})

    def stand_in(
        self,
        name: str,
        base: str,
        files: Mapping[str, bytes],
        recipe: str | None = None,
        arguments: Mapping[str, str] | None = None,
        tag: str | None = None,
    ) -> str:
        """An image of fixtures/images/stand-ins on the base."""
        recipe = recipe or name
        context = {
            **files,
            "Dockerfile": (STAND_INS / f"{recipe}.Dockerfile").read_bytes(),
            "empty/": b"",
            **{each.name: each.read_bytes() for each in STAND_INS.glob(f"{recipe}-*")},
        }
        executable = [each for each in context if each.startswith("root/usr/bin/")]
        return self._build(
            tag or f"alert-harness/{name}:stack", tar_of(context, executable), {"BASE": BASE, **(arguments or {})}, base
        )

    def python(self, base: str) -> str:
        """A Python whose pip needs no network for the streaming service."""
        wanted = _requirements()
        version = (self._client.api.inspect_image(BASE)["Config"].get("Labels") or {})[PYTHON_LABEL]
        recipe = _digest(base.encode(), *map(str.encode, wanted), (STAND_INS / "python.Dockerfile").read_bytes())
        if not self._is_there(PYTHON, recipe):
            with _timed(PYTHON), tempfile.TemporaryDirectory(prefix="alert-harness-images-") as scratch:
                _download(wanted, version, Path(scratch))
                files = {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in Path(scratch).iterdir()}
                files["pip.conf"] = b"[global]\nno-index = true\nfind-links = /wheels\n"
                files["Dockerfile"] = (STAND_INS / "python.Dockerfile").read_bytes()
                build_from(self._client, tar_of(files), PYTHON, recipe, {"BASE": BASE})
        return recipe

    def streaming(self, python: str) -> str:
        """The service, by its own Dockerfile."""
        files = {
            str(file.relative_to(STREAMING)): file.read_bytes()
            for file in sorted(STREAMING.rglob("*"))
            if file.is_file() and not {"__pycache__", "build"} & set(file.parts) and ".egg-info" not in str(file)
        }
        files["Dockerfile"] = STREAMING_DOCKERFILE.read_bytes()
        return self._build("alert-harness/streaming:stack", tar_of(files), {"PYTHON_IMAGE": PYTHON}, python)

    def _build(self, tag: str, context: bytes, arguments: Mapping[str, str], base: str) -> str:
        recipe = _digest(context, base.encode(), repr(sorted(arguments.items())).encode())
        if not self._is_there(tag, recipe):
            with _timed(tag):
                build_from(self._client, context, tag, recipe, arguments)
        return tag

    def _is_there(self, tag: str, recipe: str) -> bool:
        # Whoever is built on a rebuilt base is built again too: its cache is the engine's, layer by layer.
        return not self._rebuild and hash_of(self._client, tag) == recipe


PYTHON_LABEL = "alert-harness.python"


def _additions(packages: Packages) -> Iterator[tuple[str, tarfile.TarInfo | bytes]]:
    """What the packages' own scripts would have made, and the names that the official images give to programs."""
    yield "./etc/passwd", b"root:x:0:0::/:/bin/sh\nstack:x:999:999::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
    yield "./etc/group", b"root:x:0:\nstack:x:999:\nnogroup:x:65534:\n"
    # pip does not start without, even where it fetches nothing.
    certificates = next(file for file in packages.files if file.name.startswith("ca-certificates_"))
    yield "./etc/ssl/certs/ca-certificates.crt", b"\n".join(content(certificates, "./usr/share/ca-certificates/"))
    yield "./tmp", folder(0o1777)
    yield "./var/run", link("/run")
    for name in ("bin", "sbin", "lib", "lib64"):
        yield f"./{name}", link(f"usr/{name}")
    for name in BUSYBOX:
        yield f"./usr/bin/{name}", link("busybox")
    major = next(m[1] for file in packages.files if (m := re.match(r"postgresql-(\d+)_", file.name)))
    for name in POSTGRES_PROGRAMS:
        yield f"./usr/bin/{name}", link(f"../lib/postgresql/{major}/bin/{name}")
    yield "./usr/bin/postgres_exporter", link("prometheus-postgres-exporter")
    yield "./redis_exporter", link("usr/bin/prometheus-redis-exporter")


def _python_version(packages: Packages) -> str:
    return next(m[1] for file in packages.files if (m := re.match(r"python(\d+\.\d+)-minimal_", file.name)))


def _package_data(tool: Tool) -> Iterator[tuple[str, bytes]]:
    """The files that a distribution's build of a tool looks for in its working directory."""
    if tool.start_in is not None:
        for file in sorted(tool.start_in.rglob("*")):
            if file.is_file():
                yield f"root/usr/share/stack/{file.relative_to(tool.start_in)}", file.read_bytes()


def _requirements() -> list[str]:
    project = tomllib.loads((STREAMING / "pyproject.toml").read_text(encoding="utf-8"))
    return [*project["build-system"]["requires"], *project["project"]["dependencies"]]


def _download(wanted: list[str], version: str, target: Path) -> None:
    """Wheels for the Python in the image, by this Python's pip with the machine's own settings."""
    machine = platform.machine()
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in (17, 24, 27, 28, 31, 34)]
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
        f"--python-version={version}", "--implementation=cp", *platforms, f"--platform=manylinux2014_{machine}",
        "--dest", str(target), *wanted,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = next(
            (line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), "no reason given"
        )
        raise EngineError(f"pip cannot fetch what the streaming service needs: {last}")


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _timed:
    """Say how long an image took."""

    def __init__(self, tag: str) -> None:
        self._tag = tag

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            _say(f"built {self._tag} in {time.monotonic() - self._start:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
