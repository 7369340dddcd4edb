"""The process that holds a stack of local processes after `up` has ended: their parent, with whom they die.

It is a process runtime behind a socket in the stack's private folder. Until the one who started it has said that the
stack is to stay, it ends with them: a `stack up` that is killed half-way leaves nothing behind.

    python -m harness.stack.keeper      reads one line of JSON, answers lines of JSON; see `serve`
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.config import load_config
from harness.engines.owner import process_start
from harness.errors import EXIT_ENGINE, EngineError, HarnessError
from harness.live.clock import Clock
from harness.stack.local.processes import ProcessRuntime
from harness.stack.spec import Spec, new_tokens, read_tokens, write_tokens
from harness.stack.state import Record, StateFolder
from harness.toolchain import Toolchain

SOCKET = "control"
STAY = "stay"


def order_of(spec: Spec, state: StateFolder) -> str:
    """What the keeper reads first: the stack to start, on its standard input, for it may hold passwords."""
    return json.dumps(
        {
            "folder": str(spec.config.folder.resolve()),
            "file": str(spec.config.file.resolve()) if spec.config.file else None,
            "state": str(state.path),
            "factor": spec.clock.factor,
            "ports": dict(spec.ports),
            "workers": spec.workers,
            "database_url": spec.database_url,
            "redis_url": spec.redis_url,
            "webhook_url": spec.webhook_url,
        }
    )


def main() -> int:
    """Start, and serve until told to stop; the exit status of the error otherwise."""
    try:
        order = json.loads(sys.stdin.readline())
    except ValueError:
        return EXIT_ENGINE  # whoever started us is gone
    # Set for SIGINT too: one who was started in a script's background has inherited that it is ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent_left = threading.Event()
    stay = threading.Event()
    try:
        threading.Thread(target=_watch_parent, args=(stay, parent_left), daemon=True).start()
        try:
            return _keep(order, stay, parent_left)
        except HarnessError as err:
            _tell(error=str(err), code=err.exit_code)  # place, excerpt and advice with it
            return err.exit_code
    except KeyboardInterrupt:  # before anything was made
        return 0


def _watch_parent(stay: threading.Event, left: threading.Event) -> None:
    if sys.stdin.readline().strip() == STAY:
        stay.set()
    else:
        left.set()
        # Wherever the main thread is, it takes the way out of Ctrl-C, on which everything is closed.
        os.kill(os.getpid(), signal.SIGINT)


def _keep(order: Mapping[str, Any], stay: threading.Event, parent_left: threading.Event) -> int:
    state = StateFolder(Path(order["state"]))
    file = Path(order["file"]) if order["file"] else None
    config = load_config(Path(order["folder"]), file)
    spec = Spec(
        config,
        Clock(order["factor"]),
        order["ports"],
        order["workers"],
        order["database_url"],
        order["redis_url"],
        order["webhook_url"],
    )
    tools = Toolchain(config.tools, versions=config.versions, progress=lambda line: _tell(progress=line))
    tokens = read_tokens(state.tokens) or new_tokens()
    write_tokens(state.tokens, tokens)
    runtime: ProcessRuntime | None = None
    try:
        runtime = ProcessRuntime(
            spec, state.run, state.data, tools, tokens=tokens, progress=lambda line: _tell(progress=line)
        )
        with _listen(state.run) as server:
            pid = os.getpid()
            state.write(
                Record("process", spec.clock.factor, runtime.ports, runtime.absent, pid, process_start(pid) or "")
            )
            _tell(ready=True)
            stay.wait()
            _detach()
            serve(server, runtime)
    except KeyboardInterrupt:
        pass  # told to end, or nobody waits for us any more
    finally:
        if runtime is not None:
            runtime.close()
        if parent_left.is_set():
            state.clear()
    return 0


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _tell(**fields: object) -> None:
    try:
        print(json.dumps(fields), flush=True)
    except OSError:  # nobody listens; stdin tells the watcher
        return


def _detach() -> None:
    """Let go of the streams of the one who started us."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def _listen(folder: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    path = folder / SOCKET
    path.unlink(missing_ok=True)
    with short(folder) as name:
        server.bind(f"{name}/{SOCKET}")
    path.chmod(0o600)
    server.listen()
    return server


class short:
    """A short name of a folder while a block lasts: the address of a Unix socket has room for 107 bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> str:
        self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._handle}"

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def serve(server: socket.socket, runtime: ProcessRuntime) -> None:
    """Answer requests, each a line of JSON on a connection of its own, until one says `close`.

    `{"do": "restart", "names": ["streaming"]}` -> `{"result": …}` or `{"error": …, "hint": …}`.
    """
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            connection.settimeout(10.0)
            try:
                request = json.loads(stream.readline())
                connection.settimeout(None)
                answer = _do(runtime, str(request["do"]), list(request.get("names", ())))
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()
            except (OSError, ValueError, KeyError, TypeError):
                continue  # a caller that was killed in mid-request
        if request["do"] == "close":
            return


def _do(runtime: ProcessRuntime, what: str, names: list[str]) -> dict[str, object]:
    try:
        match what:
            case "start":
                runtime.start(*names)
            case "stop":
                runtime.stop(*names)
            case "kill":
                runtime.kill(*names)
            case "restart":
                runtime.restart(*names)
            case "services":
                return {"result": [asdict(each) for each in runtime.services()]}
            case "close":
                runtime.close()
            case _:
                raise EngineError(f"the stack's keeper does not know `{what}`", hint="take the stack down and up again")
    except HarnessError as err:
        return {"error": err.message, "hint": err.hint, "code": err.exit_code}
    return {"result": None}


if __name__ == "__main__":
    sys.exit(main())
