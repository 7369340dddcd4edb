"""Build a small local image from a Prometheus binary, where no image registry can be reached.

    python ci/build_image.py --prometheus PATH [--tag NAME:TAG]

The image is like the official one as far as the container engine needs it: entry point /bin/prometheus, user nobody.
It is FROM scratch: the binary, the C library that it is linked with, and /etc/passwd. Prints the tag. A label holds a
hash of the contents, so a second run with the same binary does nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a checkout that is not installed

from harness.engines.container import connect, tar_of
from harness.errors import EngineError, HarnessError, InputError

NAME = "alert-harness/prometheus"
HASH_LABEL = "alert-harness.image-hash"

DOCKERFILE = """\
FROM scratch
COPY root/ /
USER 65534:65534
EXPOSE 9090
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
"""


def main(arguments: list[str] | None = None) -> int:
    """Build; 0 and the tag on standard output, or the exit status of the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", type=Path, required=True, help="the binary")
    parser.add_argument("--tag", help=f"name and tag of the image (default: {NAME}:<version>)")
    options = parser.parse_args(arguments)
    try:
        print(build(options.prometheus, options.tag))
    except HarnessError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    return 0


def build(prometheus: Path, tag: str | None = None) -> str:
    """The tag of an image with this binary, built unless it is there. Raises InputError or EngineError."""
    import docker

    tag = tag or f"{NAME}:{version_of(prometheus)}"
    files = image_files(prometheus)
    executable = [name for name in files if name != "root/etc/passwd"]
    context = tar_of({**files, "Dockerfile": DOCKERFILE.encode()}, executable)
    digest = hashlib.sha256(context).hexdigest()
    client = connect(docker, 300)
    try:
        if hash_of(client, tag) != digest:
            build_from(client, context, tag, digest)
    finally:
        client.close()
    return tag


def hash_of(client: Any, tag: str) -> str | None:
    """What an image says that it is made of; None if it says nothing, or is not there."""
    found = client.api.images(tag)
    return (found[0].get("Labels") or {}).get(HASH_LABEL) if found else None


def build_from(client: Any, context: bytes, tag: str, digest: str, arguments: Mapping[str, str] | None = None) -> None:
    """Build an image from a tar archive that holds its Dockerfile; `digest` becomes a label. Raises EngineError."""
    import docker

    try:
        _build(client, context, tag, digest, arguments)
    except (docker.errors.DockerException, OSError) as err:
        raise EngineError(f"cannot build {tag}: {err}") from err


def _build(client: Any, context: bytes, tag: str, digest: str, arguments: Mapping[str, str] | None) -> None:
    import io

    events = client.api.build(
        fileobj=io.BytesIO(context),
        custom_context=True,
        tag=tag,
        labels={HASH_LABEL: digest},
        buildargs=dict(arguments or {}),
        rm=True,
        forcerm=True,
        decode=True,
    )
    for event in events:
        if "error" in event:
            raise EngineError(f"cannot build {tag}: {event['error']}")


def version_of(prometheus: Path) -> str:
    """The version that the binary states, without a distribution's suffix."""
    said = _output([str(prometheus), "--version"], f"{prometheus} does not run")
    found = re.match(r"prometheus, version v?([0-9][\w.-]*)", said)
    if found is None:
        raise InputError(f"{prometheus} is not Prometheus", hint="name the server's binary")
    return found.group(1)


def image_files(prometheus: Path) -> dict[str, bytes]:
    """The files of the image's root, by their path in the build context."""
    try:
        files = {"root/bin/prometheus": prometheus.read_bytes()}
    except OSError as err:
        raise InputError(f"cannot read {prometheus}: {err.strerror}") from err
    for library in libraries_of(prometheus):
        # Under the path by which the binary asks for it, links resolved.
        files[f"root{library}"] = library.read_bytes()
    files["root/etc/passwd"] = b"root:x:0:0:root:/:/\nnobody:x:65534:65534:nobody:/:/\n"
    return files


def libraries_of(binary: Path) -> list[Path]:
    """The shared libraries and the loader of a binary, by their absolute path; none for a static one."""
    try:
        done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)  # noqa: S607
    except OSError as err:
        raise EngineError("ldd is missing: it tells which libraries the image needs") from err
    if "not a dynamic executable" in done.stdout + done.stderr or "statically linked" in done.stdout:
        return []
    if done.returncode != 0 or "not found" in done.stdout:
        raise EngineError(f"ldd cannot resolve the libraries of {binary}: {done.stdout}{done.stderr}".strip())
    return sorted({Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", done.stdout, re.MULTILINE)})


def _output(command: list[str], what: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as err:
        raise InputError(f"{what}: {err}") from err
    return done.stdout or done.stderr


if __name__ == "__main__":
    sys.exit(main())
