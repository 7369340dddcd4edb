"""A throwaway Prometheus as a container: locked down, on 127.0.0.1 only, removed with its owner or by the next run."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import secrets
import tarfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests

from harness.engines.base import Engine
from harness.engines.child import free_port
from harness.engines.cleanup import forget, remember, shielded
from harness.engines.owner import Owner
from harness.engines.private import PREFIX
from harness.engines.process import config_text, server_flags
from harness.errors import EngineError, with_log
from harness.prometheus import DEFAULTS, ServerSettings
from harness.toolchain import probe_container_engine

DEFAULT_IMAGE = "prom/prometheus:v3.5.0"
"""The official image of the long-term-support line, pinned so that a run does not change by itself."""

LABEL = "alert-harness"
OWNER_LABEL = "alert-harness.owner"
_PORT = "9090/tcp"
_CONFIG = "/alert-harness"
_DATA = "/alert-harness-data"
_POLL_S = 0.01
_INSPECT_EVERY = 10
_ABANDONED_S = 24 * 3600.0
_IMAGE_HINT = (
    "set another with --image or ALERT_HARNESS_IMAGE; "
    "`python ci/build_image.py --prometheus PATH` makes one from a binary"
)


class ContainerEngine(Engine):
    """Prometheus in a container, by the Docker API (1.41, Docker 20.10, or later).

    ``image`` defaults to ALERT_HARNESS_IMAGE, then :data:`DEFAULT_IMAGE`, pulled if it is not there and ``pull`` is on.
    ``entrypoint`` is the binary inside the image if the image's own entry point is something else. ``publish`` is the
    host address on which the port is published (ALERT_HARNESS_DOCKER_PUBLISH; default 127.0.0.1): only an engine on
    another machine needs another. ``rule_files``, ``extra_config``, ``flags`` and
    ``server`` are as for a process. With
    ``host_network`` it shares the network of the container engine's machine, so that it reaches servers on 127.0.0.1.
    Raises EngineError if there is no container engine, no such image, or Prometheus does not become ready.
    """

    kind: ClassVar[str] = "docker"

    def __init__(
        self,
        image: str | None = None,
        *,
        entrypoint: str | None = None,
        rule_files: Sequence[Path] = (),
        extra_config: Mapping[str, object] | None = None,
        flags: Sequence[str] = (),
        publish: str | None = None,
        memory: str = "2g",
        pull: bool = True,
        host_network: bool = False,
        ready_timeout_s: float = 60.0,
        timeout_s: float = 120.0,
        server: ServerSettings = DEFAULTS,
    ) -> None:
        super().__init__(timeout_s=timeout_s)
        self.server = server
        self.image = image or os.environ.get("ALERT_HARNESS_IMAGE") or DEFAULT_IMAGE
        self._entrypoint = entrypoint
        self._rule_files = rule_files
        self._extra_config = extra_config
        self._flags = list(flags)
        self._publish = publish or os.environ.get("ALERT_HARNESS_DOCKER_PUBLISH") or "127.0.0.1"
        self._memory = memory
        self._may_pull = pull
        self._port = free_port() if host_network else None
        self._ready_timeout_s = ready_timeout_s
        self._container_name: str | None = None
        self._owner_pid = os.getpid()
        self._docker: Any = importlib.import_module("docker")  # a tenth of a second that other engines do not pay
        self._client: Any = connect(self._docker, timeout_s)
        try:
            sweep(self._client)
            self._start()
        except BaseException:
            self._client.close()
            raise

    @property
    def _name(self) -> str:
        return f"Prometheus (container of {self.image})"

    def reset(self) -> None:
        self._destroy()
        self._start()

    def close(self) -> None:
        self._destroy()
        self._session.close()
        if self._owner_pid == os.getpid():
            self._client.close()

    def log_tail(self) -> str:
        if self._container_name is None:
            return ""
        try:
            log: bytes = self._client.api.logs(self._container_name, tail=12)
        except Exception:  # the log is an extra to an error that matters more
            return ""
        return log.decode("utf-8", "replace")

    def _how_it_ended(self) -> str | None:
        if self._container_name is None:
            return f"{self._name} is closed"
        try:
            state = self._client.api.inspect_container(self._container_name)["State"]
        except self._docker.errors.NotFound:
            return f"{self._name} was removed by somebody else"
        except self._failures:
            return None
        if state.get("Running") or state.get("Status") == "created":
            return None
        reason = "out of memory" if state.get("OOMKilled") else f"with exit status {state.get('ExitCode')}"
        return f"{self._name} ended {reason}"

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        return (self._docker.errors.DockerException, requests.exceptions.RequestException)

    # -- start ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        remember(self)
        try:
            # Named before it is made, so that an interrupt in mid-request still knows what to remove.
            self._container_name = f"{PREFIX}{secrets.token_hex(8)}"
            self._create()
            try:
                self._client.api.put_archive(self._container_name, _CONFIG, self._config_archive())
                self._client.api.start(self._container_name)
            except self._failures as err:
                raise self._no_start(err) from err
            self._wait()
            self._read_version()
        except BaseException:
            self._destroy()
            raise

    def _create(self) -> None:
        try:
            self._create_once()
        except self._docker.errors.ImageNotFound:
            self._pull()
            try:
                self._create_once()
            except self._failures as err:
                raise self._no_start(err) from err
        except self._failures as err:
            raise self._no_start(err) from err

    def _create_once(self) -> None:
        more: dict[str, object] = {"entrypoint": [self._entrypoint]} if self._entrypoint else {}
        listen = f":{_PORT.removesuffix('/tcp')}"
        if self._port is None:
            more["ports"] = {_PORT: (self._publish, None)}  # None: the engine picks a free port
        else:
            more["network_mode"] = "host"
            listen = f"127.0.0.1:{self._port}"
        self._client.containers.create(
            self.image,
            command=[
                f"--storage.tsdb.path={_DATA}/tsdb",
                *server_flags(_CONFIG, listen, self._timeout_s, self.server, self._flags),
            ],
            name=self._container_name,
            labels={LABEL: "1", OWNER_LABEL: Owner.current().text()},
            user="65534:65534",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            read_only=True,
            tmpfs={_DATA: "rw,noexec,nosuid,nodev,size=1g,mode=1777"},
            # Not a bind mount: an engine on another machine does not see our files. Docker copies files into volumes
            # even where the root is read-only; the volume has no name and is removed with the container.
            volumes=[_CONFIG],
            mem_limit=self._memory,
            pids_limit=512,
            init=False,
            # No auto_remove: a container that dies must leave its log until we have read it.
            **more,
        )

    def _pull(self) -> None:
        if not self._may_pull:
            raise EngineError(f"the image {self.image} is not here", hint=f"docker pull {self.image}, or {_IMAGE_HINT}")
        try:
            # By the low-level API: the other would download every tag if the name has none.
            name, tag = _name_and_tag(self.image)
            for event in self._client.api.pull(name, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise self._no_image(str(event["error"]))
        except self._failures as err:
            raise self._no_image(_first_line(err)) from err

    def _no_image(self, reason: str) -> EngineError:
        return EngineError(f"the image {self.image} is not here and cannot be pulled: {reason}", hint=_IMAGE_HINT)

    def _no_start(self, err: Exception) -> EngineError:
        text = _first_line(err)
        hint = None
        if "port is already allocated" in text or "address already in use" in text:
            hint = "the port that the container engine picked is taken; try again"
        elif "cannot assign requested address" in text:
            hint = "ALERT_HARNESS_DOCKER_PUBLISH must be an address of the container engine's machine"
        elif "executable file not found" in text or "no such file or directory" in text or "No command" in text:
            hint = f"is {self.image} an image of Prometheus? {_IMAGE_HINT}"
        return EngineError(f"the container of {self.image} does not start: {text}", hint=hint)

    def _config_archive(self) -> bytes:
        """A tar archive of the configuration, readable by everybody: Prometheus runs as nobody."""
        files = {}
        names = []
        for number, path in enumerate(self._rule_files):
            # A folder per file keeps its name, which Prometheus shows, and tells files of one name apart.
            names.append(f"{_CONFIG}/rules-{number}/{path.name}")
            files[f"rules-{number}/{path.name}"] = path.read_bytes()
        files["prometheus.yml"] = config_text(self._extra_config, names, self.server).encode()
        return tar_of(files)

    def _wait(self) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        asked = 0
        while True:
            if asked % _INSPECT_EVERY == 0:
                ended = self._how_it_ended()
                if ended:
                    raise EngineError(
                        with_log(f"{ended} before it was ready", self.log_tail()),
                        hint=f"is {self.image} an image of Prometheus 2.53 or later?",
                    )
                self._base = self._published() or ""
            if self._base:
                with contextlib.suppress(requests.exceptions.RequestException):
                    if self._session.get(f"{self._base}/-/ready", timeout=1.0).status_code == 200:
                        return
            if time.monotonic() >= deadline:
                where = f" at {self._base}" if self._base else ""
                raise EngineError(
                    with_log(f"{self._name} was not ready{where} after {self._ready_timeout_s:g} s", self.log_tail()),
                    hint="if the container engine is on another machine, "
                    "set ALERT_HARNESS_DOCKER_PUBLISH to an address of it",
                )
            asked += 1
            time.sleep(_POLL_S)

    def _published(self) -> str | None:
        """The base URL of the published port, once it is known."""
        if self._port is not None:
            return f"http://127.0.0.1:{self._port}"
        try:
            found = self._client.api.inspect_container(self._container_name)["NetworkSettings"]["Ports"].get(_PORT)
        except self._failures as err:
            raise self._no_start(err) from err
        if not found:
            return None
        host = "127.0.0.1"
        if self._publish != host:
            # Published for other machines: reach it where the engine is.
            host = urlsplit(self._client.api.base_url).hostname or host
            if host in ("localhost", "localunixsocket") or self._client.api.base_url.startswith("http+"):
                host = self._publish if self._publish != "0.0.0.0" else "127.0.0.1"  # noqa: S104
        return f"http://{host}:{found[0]['HostPort']}"

    # -- end -----------------------------------------------------------------------------------------------------

    def _destroy(self) -> None:
        if self._container_name is None or self._owner_pid != os.getpid():
            forget(self)
            return
        with shielded():
            remove(self._client, self._container_name)
            self._container_name = None
            forget(self)


def connect(docker: Any, timeout_s: float) -> Any:
    """A client of the container engine that the environment names; EngineError if there is none that we may use."""
    try:
        client = docker.from_env(timeout=timeout_s)
        client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException, ValueError) as err:
        why = probe_container_engine()  # the SDK's own errors bury the reason
        problem, todo = (why.problem, why.todo) if not why.found else (_first_line(err), "")
        hint = f"{todo}; or use --engine process" if todo else "use --engine process"
        raise EngineError(f"no container engine to be had: {problem}", hint=hint) from err
    return client


def remove(client: Any, name: str) -> None:
    """Remove a container and its anonymous volume; harmless if it is gone. The next run's sweep takes what resists."""
    for patience_s in (0.2, 0.0):
        with contextlib.suppress(Exception):
            client.api.remove_container(name, force=True, v=True)
            return
        # Interrupted while the engine was still making it?
        time.sleep(patience_s)


def sweep(client: Any) -> list[str]:
    """Remove the containers of runs that were killed; returns their names.

    An owner on another machine or in another container cannot be asked: its containers go after a day, which is longer
    than any run.
    """
    removed = []
    try:
        found = client.api.containers(all=True, filters={"label": [f"{LABEL}=1", OWNER_LABEL]})
    except Exception:  # the start that follows says it better
        return []
    for each in found:
        owner = Owner.parse(each.get("Labels", {}).get(OWNER_LABEL, ""))
        age_s = datetime.now(UTC).timestamp() - float(each.get("Created", 0))
        if (owner is not None and owner.is_dead()) or age_s > _ABANDONED_S:
            remove(client, each["Id"])
            removed.append(str(each["Names"][0]).lstrip("/"))
    return removed


def tar_of(files: Mapping[str, bytes], executable: Sequence[str] = ()) -> bytes:
    """An uncompressed tar archive, the same bytes for the same files; a name that ends in `/` is an empty folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o755 if name in executable else 0o644
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _name_and_tag(image: str) -> tuple[str, str | None]:
    if "@" in image:
        return image, None
    head, colon, tag = image.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (image, "latest")


def _first_line(err: Exception) -> str:
    text = getattr(err, "explanation", None) or str(err)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return " ".join(str(text).split())[:300]
