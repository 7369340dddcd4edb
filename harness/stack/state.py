"""Where a stack that stays up keeps what it needs to be found again: one private folder per project."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.config import Config
from harness.engines.owner import process_start
from harness.errors import EngineError
from harness.files import user_folder
from harness.stack.spec import write_private

_RECORD = "stack.json"


@dataclass(frozen=True, slots=True)
class Record:
    """A stack that was brought up: its runtime and clock, where it listens, and what is not part of it.

    ``pid`` and ``start`` name the process that holds local processes (0: containers), ``project`` compose's project.
    """

    kind: str
    factor: int
    ports: Mapping[str, int]
    absent: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0
    start: str = ""
    project: str = ""
    env_files: tuple[str, ...] = ()

    def is_dead(self) -> bool:
        """Whether its processes are gone; containers are asked elsewhere."""
        return self.pid != 0 and process_start(self.pid) != self.start


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The folder of a project's stack: ``run`` goes with the stack, ``data`` stays until ``down --volumes``."""

    path: Path

    @classmethod
    def of(cls, config: Config) -> StateFolder:
        """ALERT_HARNESS_STATE, else the user's folder for state (XDG_STATE_HOME), and in it one per project.

        Raises EngineError if it cannot be made.
        """
        project = config.folder.resolve()
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", project.name) or "root"
        digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:8]
        return cls(_base() / "stack" / f"{name}-{digest}")

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def tokens(self) -> Path:
        """The tokens stay the same from one `up` to the next, as a service's would."""
        return self.path / "tokens.json"

    def make(self) -> None:
        try:
            for folder in (self.path, self.run, self.data):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as err:
            raise EngineError(
                f"cannot make {err.filename}: {err.strerror or err}",
                hint="set ALERT_HARNESS_STATE to a folder that you may write to",
            ) from err

    def write(self, record: Record) -> None:
        """Note a stack that is up; containers also beside the data, for their volumes outlive them."""
        for folder in (self.run, self.data) if record.project else (self.run,):
            write_private(folder / _RECORD, json.dumps(asdict(record), indent=1))

    def read(self, *, volumes: bool = False) -> Record | None:
        """The stack that was brought up and not taken down; it may have died since.

        With `volumes` also one of containers that was taken down, but for its volumes.
        """
        found = self._read(self.run)
        return self._read(self.data) if found is None and volumes else found

    def _read(self, folder: Path) -> Record | None:
        try:
            fields = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            return Record(**{**fields, "env_files": tuple(fields.get("env_files", ()))})
        except (OSError, ValueError, TypeError):
            return None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held by whoever brings the stack up or takes it down; the kernel drops it with its process.

        Raises EngineError if somebody else holds it.
        """
        from filelock import FileLock, Timeout  # slow to import, and seldom needed

        self.make()
        lock = FileLock(self.path / ".lock", mode=0o600, fallback_to_soft=False)  # a killed run would leave a soft one
        try:
            lock.acquire(blocking=False)
        except Timeout as err:
            raise EngineError(
                "another `alert-harness stack` is starting or ending this stack", hint="wait until it is done"
            ) from err
        try:
            yield
        finally:
            lock.release()

    def clear(self, *, data: bool = False) -> None:
        """Remove what is not data, and with ``data`` that too. Nothing of the stack may run any more."""
        for folder in (self.run, self.data) if data else (self.run,):
            shutil.rmtree(folder, ignore_errors=True)
        if data:
            self.tokens.unlink(missing_ok=True)


def _base() -> Path:
    if value := os.environ.get("ALERT_HARNESS_STATE"):
        return Path(value).expanduser().absolute()
    own = user_folder(os.environ, "XDG_STATE_HOME", ".local/state")
    return own or Path.home() / ".local/state/alert-harness"
