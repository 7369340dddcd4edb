"""Is a container engine there, and if not, what stands in the way?"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.toolchain.attempts import within, without_urls

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_CONNECT_S = 2.0
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class ContainerEngineStatus:
    """What answered at the engine's address, or why nothing did."""

    found: bool
    address: str
    origin: str
    version: str = ""
    api_version: str = ""
    problem: str = ""
    todo: str = ""


def probe_container_engine(environ: Mapping[str, str] | None = None) -> ContainerEngineStatus:
    """Ask the container engine (DOCKER_HOST, else the usual socket) for its version; never raises, at most 7 s."""
    environ = os.environ if environ is None else environ
    host = environ.get("DOCKER_HOST") or _DEFAULT_HOST
    origin = "DOCKER_HOST" if environ.get("DOCKER_HOST") else "default"
    parts = urlsplit(host)
    address = _shown(host)
    if parts.scheme == "unix" and (trouble := _socket_trouble(parts.path)):
        problem, todo = trouble
        return ContainerEngineStatus(
            False, address, origin, problem=problem, todo=_or_other_socket(todo, host, environ)
        )
    try:
        version, api = within(_ANSWER_S, lambda: _ask(dict(environ)))
    except ImportError:
        return ContainerEngineStatus(
            False,
            address,
            origin,
            problem="the Python package `docker` is not installed",
            todo="install alert-harness anew",
        )
    except Exception as err:  # whatever the SDK raises, the answer is a line and not a trace
        problem, todo = _explain(err, address)
        return ContainerEngineStatus(False, address, origin, problem=problem, todo=todo)
    return ContainerEngineStatus(True, address, origin, version, api)


def _ask(environ: dict[str, str]) -> tuple[str, str]:
    import docker  # takes 100 ms to import, and only this needs it

    client = docker.from_env(environment=environ, timeout=int(_ANSWER_S))
    try:
        client.ping()
        answer = client.version()
    finally:
        client.close()
    return str(answer.get("Version", "")), str(client.api.api_version)


def _socket_trouble(path: str) -> tuple[str, str] | None:
    """(problem, what to do) of a Unix socket; the SDK's own errors bury these."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_S)
            probe.connect(path)
    except OSError as err:
        start = "install a container engine and start it (`systemctl start docker`), or set DOCKER_HOST"
        if err.errno == errno.ENOENT:
            return f"{path} does not exist", start
        if err.errno == errno.ECONNREFUSED:
            return f"{path} refuses connections: the engine is not running", "start it: `systemctl start docker`"
        if err.errno in (errno.EACCES, errno.EPERM):
            return (
                f"permission denied on {path}",
                "join its group (`usermod -aG docker $USER`, then log in anew), or use a rootless engine",
            )
        if isinstance(err, TimeoutError):
            return f"{path} does not answer", "restart the engine: `systemctl restart docker`"
        return f"{path}: {err.strerror or err}", start
    return None


def _or_other_socket(todo: str, host: str, environ: Mapping[str, str]) -> str:
    """A rootless engine listens elsewhere; say so if one does."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    for name in ("docker.sock", "podman/podman.sock"):
        path = os.path.join(runtime, name)
        if runtime and f"unix://{path}" != host and os.path.exists(path) and _socket_trouble(path) is None:
            return f"a rootless engine answers: export DOCKER_HOST=unix://{path}"
    return todo


def _explain(err: BaseException, address: str) -> tuple[str, str]:
    chain, seen = [err], {id(err)}
    for current in chain:
        following = [current.__cause__, current.__context__, *current.args, getattr(current, "reason", None)]
        for nested in following:
            if isinstance(nested, BaseException) and id(nested) not in seen:
                seen.add(id(nested))
                chain.append(nested)
    check = "check DOCKER_HOST, and that the engine is running there"
    for current in chain:
        if isinstance(current, ConnectionRefusedError):
            return f"{address} refuses connections", check
        if isinstance(current, PermissionError):
            return f"permission denied on {address}", check
        if isinstance(current, TimeoutError):
            return f"{address} does not answer within {_ANSWER_S:g} s", check
        if isinstance(current, socket.gaierror):
            return f"{address}: its name could not be resolved", check
        if isinstance(current, FileNotFoundError):
            return f"{address} does not exist", check
    first = next(iter(str(err).splitlines()), type(err).__name__)
    return f"{address}: {without_urls(first)[:160]}", check


def _shown(host: str) -> str:
    """The address without a user name or password."""
    parts = urlsplit(host)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
