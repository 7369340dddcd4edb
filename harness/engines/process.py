"""A throwaway Prometheus as a child process: private folder, 127.0.0.1 only, gone with its owner."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import requests
import yaml

from harness.engines.base import Engine, with_log
from harness.engines.cleanup import forget, remember, shielded
from harness.engines.private import folder_error, folder_name, make_folder, remove_folder, sweep
from harness.errors import EngineError

_PORT_TRIES = 5
_POLL_S = 0.005
_TAIL_BYTES = 1 << 16
_TAIL_LINES = 12

_NO_FLAGS: tuple[str, ...] = ()


def server_flags(folder: str, listen: str, timeout_s: float, more: Sequence[str] = ()) -> list[str]:
    """The flags, the same for process and container, that make Prometheus take and query time-multiplexed slots.

    ``folder`` holds prometheus.yml; ``more`` are further flags, and one of the same name replaces ours, for Prometheus
    refuses most flags that stand twice.
    """
    ours = [
        f"--config.file={folder}/prometheus.yml",
        f"--web.listen-address={listen}",
        "--web.enable-remote-write-receiver",
        # Slots go back to 1973. Prometheus counts nanoseconds in an int64: 292 years are out of range.
        "--storage.tsdb.retention.time=100y",
        # The head must not cut a chunk per slot: each chunk that is read from the head walks the list of all its chunks
        # twice over (tsdb/head_read.go), so 1,000 slots of 41 samples took 6 s to query and take 0.05 s with these. At
        # the default of 120 samples a chunk's end is guessed from the pace of its first 30, before the gap to the next
        # slot is seen. Chunks still end at 1 KiB. A block duration also bounds how far back of the newest sample one
        # may write (half of it) and how much the head holds before it is compacted (one and a half): hence centuries.
        "--storage.tsdb.min-block-duration=90000d",
        "--storage.tsdb.max-block-duration=90000d",
        "--storage.tsdb.samples-per-chunk=30000",
        "--query.max-samples=2000000000",
        f"--query.timeout={max(1, round(timeout_s))}s",
        "--log.level=warn",
        # No flag about the lock file: upstream has --storage.tsdb.no-lockfile, some distributions turn it round, and
        # nobody else uses this folder.
    ]
    named = {flag.partition("=")[0] for flag in more}
    return [*(flag for flag in ours if flag.partition("=")[0] not in named), *more]


def config_text(extra: Mapping[str, object] | None, rule_files: Sequence[str]) -> str:
    """A prometheus.yml that scrapes nothing; ``extra`` are further top-level sections."""
    config: dict[str, object] = {"global": {"scrape_interval": "1m", "evaluation_interval": "1m"}}
    config |= extra or {}
    if rule_files:
        config["rule_files"] = list(rule_files)
    return yaml.safe_dump(config, allow_unicode=True, sort_keys=False)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ProcessEngine(Engine):
    """Prometheus started from a binary.

    ``prometheus`` is the binary; ``extra_config`` further sections of its configuration, ``rule_files`` rule files for
    its own rule manager, ``flags`` further flags; ``temp`` the folder for its private folder (default: the system's).
    Raises EngineError, with its log, if it does not become ready within ``ready_timeout_s``.
    """

    kind: ClassVar[str] = "process"

    def __init__(
        self,
        prometheus: Path,
        *,
        rule_files: Sequence[Path] = (),
        extra_config: Mapping[str, object] | None = None,
        flags: Sequence[str] = _NO_FLAGS,
        temp: Path | None = None,
        ready_timeout_s: float = 30.0,
        timeout_s: float = 120.0,
        pick_port: Callable[[], int] = free_port,
    ) -> None:
        super().__init__(timeout_s=timeout_s)
        self._binary = prometheus
        self._rule_files = [str(path.resolve()) for path in rule_files]
        self._extra_config = extra_config
        self._flags = list(flags)
        self._temp = temp
        self._ready_timeout_s = ready_timeout_s
        self._pick_port = pick_port
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pid = os.getpid()
        sweep(temp)
        self._start()

    @property
    def _name(self) -> str:
        return f"Prometheus ({self._binary})"

    @property
    def pid(self) -> int | None:
        """The process id of Prometheus while it runs."""
        return self._process.pid if self._process else None

    @property
    def folder(self) -> Path | None:
        """Its private folder while it runs."""
        return self._folder

    def reset(self) -> None:
        self._destroy()
        self._start()

    def close(self) -> None:
        self._destroy()
        self._session.close()

    def log_tail(self) -> str:
        return _tail(self._folder / "prometheus.log") if self._folder else ""

    def _obituary(self) -> str | None:
        status = self._process.poll() if self._process else None
        if status is None:
            return None if self._process else f"{self._name} is closed"
        return f"{self._name} ended {_status(status)}"

    # -- start ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        remember(self)
        try:
            self._make_folder()
            deadline = time.monotonic() + self._ready_timeout_s
            for attempt in range(_PORT_TRIES):
                port = self._pick_port()
                self._spawn(port)
                if self._wait(port, deadline, last=attempt == _PORT_TRIES - 1):
                    break
            self._read_version()
        except BaseException:  # Ctrl-C too: whatever happens, nothing of a failed start may stay
            self._destroy()
            raise

    def _make_folder(self) -> None:
        try:
            # Named before it is made, so that an interrupt right after the making still knows what to remove.
            self._folder = folder_name(self._temp)
            make_folder(self._folder)
            text = config_text(self._extra_config, self._rule_files)
            (self._folder / "prometheus.yml").write_text(text, encoding="utf-8")
        except OSError as err:
            raise folder_error(err) from err

    def _spawn(self, port: int) -> None:
        folder = self._folder
        if folder is None:
            raise EngineError(f"{self._name} is closed")
        self._base = f"http://127.0.0.1:{port}"
        command = [
            str(self._binary),
            f"--storage.tsdb.path={folder / 'data'}",
            *server_flags(str(folder), f"127.0.0.1:{port}", self._timeout_s, self._flags),
        ]
        try:
            with (folder / "prometheus.log").open("wb") as log:
                self._process = _in_lasting_thread(lambda: _popen(command, log.fileno(), folder))
        except FileNotFoundError as err:
            raise EngineError(
                f"there is no Prometheus at {self._binary}", hint="`alert-harness doctor` shows what was found"
            ) from err
        except OSError as err:
            if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise folder_error(err) from err
            raise EngineError(
                f"cannot start {self._binary}: {err.strerror or err}",
                hint="name an executable Prometheus for this machine",
            ) from err

    def _wait(self, port: int, deadline: float, *, last: bool) -> bool:
        """Wait until it is ready; False if it lost its port to somebody else and another may be tried."""
        while True:
            ended = self._obituary()
            if ended:
                log = self.log_tail()
                if "address already in use" in log and not last:
                    return False
                hint = "is this a Prometheus of 2.53 or later?"
                if "address already in use" in log:
                    hint = f"port {port} of 127.0.0.1 is taken, and so were the {_PORT_TRIES - 1} tried before"
                elif "no space left" in log or self._disk_is_full():
                    hint = "the disk is full: make room, or set TMPDIR to another one"
                raise EngineError(with_log(f"{ended} before it was ready", log), hint=hint)
            left = deadline - time.monotonic()
            if left <= 0:
                raise EngineError(
                    with_log(f"{self._name} was not ready after {self._ready_timeout_s:g} s", self.log_tail()),
                    hint="is this a Prometheus? is the machine overloaded?",
                )
            if self._is_ready(min(left, 1.0)):
                return True
            time.sleep(_POLL_S)

    def _is_ready(self, timeout_s: float) -> bool:
        """Whether *our* Prometheus answers: on a lost port somebody else's would, until ours has ended."""
        try:
            if self._session.get(f"{self._base}/-/ready", timeout=timeout_s).status_code != 200:
                return False
            flags = self._session.get(f"{self._base}/api/v1/status/flags", timeout=timeout_s).json()
            return bool(flags["data"]["storage.tsdb.path"] == str(Path(str(self._folder)) / "data"))
        except (requests.exceptions.RequestException, ValueError, KeyError, TypeError):
            return False

    def _disk_is_full(self) -> bool:
        # Then the log is empty too; Prometheus dies by SIGBUS or a panic.
        try:
            return self._folder is not None and shutil.disk_usage(self._folder).free < 1 << 16
        except OSError:
            return False

    # -- end -----------------------------------------------------------------------------------------------------

    def _destroy(self) -> None:
        if self._owner_pid != os.getpid():  # a forked copy of the owner
            return
        with shielded():
            if self._process is not None:
                _end(self._process)
            if self._folder is not None:
                remove_folder(self._folder)
            self._process = self._folder = None
            forget(self)


def _popen(command: list[str], log: int, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=folder,
        # Out of the terminal's process group: Ctrl-C is for the harness, which then ends Prometheus itself.
        start_new_session=True,
        # The one thing that ends it when we are SIGKILLed. Python code between fork and exec can deadlock if another
        # thread holds a lock; this is one call of an already loaded C function, which takes none.
        preexec_fn=_die_with_parent(os.getpid()) if sys.platform == "linux" else None,
    )


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    pr_set_pdeathsig = 1  # linux/prctl.h
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None  # the sweep of the next run does it

    def arm() -> None:
        prctl(pr_set_pdeathsig, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return arm


_spawner_lock = threading.Lock()
_spawner: ThreadPoolExecutor | None = None


def _forget_spawner() -> None:
    global _spawner
    _spawner = None  # a forked child has the object, but not its thread


os.register_at_fork(after_in_child=_forget_spawner)


def _in_lasting_thread(make: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a child from a thread that lives as long as the process.

    The kernel sends the parent-death signal when the *thread* that forked ends, not when its process does.
    """
    global _spawner
    if threading.current_thread() is threading.main_thread():
        return make()
    with _spawner_lock:
        if _spawner is None:
            _spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alert-harness-spawner")
        return _spawner.submit(make).result()


def _end(process: subprocess.Popen[bytes]) -> None:
    for stop, patience_s in ((process.terminate, 3.0), (process.kill, 10.0)):
        if process.poll() is not None:
            return
        stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = text.splitlines()
    # Under a wrong flag Prometheus prints its help of 200 lines.
    wrong = [line for line in lines if line.startswith(("Error parsing command line", "prometheus: error:"))]
    return "\n".join(wrong[:1] or lines[-_TAIL_LINES:])


def _status(code: int) -> str:
    if code >= 0:
        return f"with exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
