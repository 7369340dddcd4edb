"""The instrumented stack: start it, show it, stop it, read its logs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from harness.choices.stack import DownChoices, LogsChoices, StatusChoices, UpChoices
from harness.config import Config
from harness.errors import EXIT_FINDINGS, EXIT_OK, EngineError, InputError
from harness.live.clock import Clock
from harness.numbers import parse_whole
from harness.report.stack.status import StackStatus, stack_json, stack_report
from harness.report.terminal import console, narrating
from harness.stack.containers.compose import ComposeRuntime
from harness.stack.kept import KeptRuntime
from harness.stack.opening import RuntimeKind
from harness.stack.runtime import Health, Runtime, ServiceState
from harness.stack.services import service
from harness.stack.spec import STANDARD_PORTS, Spec
from harness.stack.standing import bring_up, running, stopped, take_down

_SCRAPED_S = 120.0
_POLL_S = 0.5
_LINES = 100


def up(config: Config, choices: UpChoices) -> int:
    """Start the stack and leave it running; 0, also if it is up already."""
    out = console()
    kind = RuntimeKind.of(choices.runtime)
    chosen = _ports(choices.ports)
    with narrating("stack") as step:
        found = running(config)
        if found is not None:
            _same(found, kind, choices.compress)
            step("is up already")
        else:
            spec = Spec.from_environment(config, Clock(1 if choices.compress is None else choices.compress), chosen)
            found = bring_up(spec, kind, step)
        if choices.wait:
            _wait_for_targets(found, step)
        status = _status_of(found)
    stack_report(status, out)
    return EXIT_OK


def _same(found: Runtime, kind: RuntimeKind, compress: int | None) -> None:
    """Raises InputError if what is up is not what is wanted."""
    hint = "`alert-harness stack down` ends it"
    if kind is not RuntimeKind.AUTO and found.kind != kind:
        raise InputError(f"the stack is up already, as {found.kind}", hint=hint)
    if compress is not None and compress != found.clock.factor:
        raise InputError(f"the stack is up already, {found.clock.factor} times as fast as real time", hint=hint)


def _ports(given: Sequence[str]) -> dict[str, int]:
    """The standard ports, some of them moved: `prometheus=9091`."""
    ports = dict(STANDARD_PORTS)
    for each in given:
        name, equals, text = each.partition("=")
        service(name)
        try:
            ports[name] = parse_whole(text)
        except ValueError:
            equals = ""
        if not equals or ports[name] > 65535:
            raise InputError(f"--port {each}: expected NAME=PORT", hint=f"for instance --port {name}=0")
    return ports


def _wait_for_targets(found: Runtime, step: Callable[[str], None]) -> None:
    """Until Prometheus has scraped each target; the slowest interval is half a minute."""
    deadline = time.monotonic() + _SCRAPED_S
    while True:
        waiting = [target.job for target in found.targets() if target.health is Health.WAITING]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise EngineError(
                f"Prometheus has not scraped {', '.join(waiting)} after {_SCRAPED_S:g} s",
                hint="`alert-harness stack logs prometheus` shows why",
            )
        step(f"waiting for the first scrape of {', '.join(waiting)}")
        time.sleep(_POLL_S)


def _status_of(found: Runtime) -> StackStatus:
    services = found.services()
    try:
        return StackStatus(found.kind, found.clock.factor, services, found.targets())
    except EngineError as err:
        return StackStatus(found.kind, found.clock.factor, services, (), err.message)


def status(config: Config, choices: StatusChoices) -> int:
    """Show how the stack is; 1 if it is not up, or something that ought to run does not."""
    found = running(config)
    if found is None:
        why = stopped(config)
        if choices.json:
            sys.stdout.write(stack_json(None))
        else:
            console().print(f"{why}; `alert-harness stack up` starts it")
        return EXIT_FINDINGS
    seen = _status_of(found)
    if choices.json:
        sys.stdout.write(stack_json(seen))
    else:
        stack_report(seen, console())
    return EXIT_OK if seen.well else EXIT_FINDINGS


def down(config: Config, choices: DownChoices) -> int:
    """End the stack; 0, also if there is none."""
    with narrating("stack") as step:
        was_up = take_down(config, volumes=choices.volumes, progress=step)
    data = "its data are gone too" if choices.volumes else "its data stay"
    console().print(f"the stack is down; {data}" if was_up else "there was no stack to end")
    return EXIT_OK


def logs(config: Config, choices: LogsChoices) -> int:
    """Print what a service, or all of them, have written."""
    found = running(config)
    if found is None:
        raise InputError(stopped(config), hint="`alert-harness stack up` starts it; its logs end with it")
    name = choices.name
    names = [name] if name else [each.name for each in found.services() if each.state is not ServiceState.ABSENT]
    for each in names:
        lines = found.logs(each).splitlines()
        for line in lines if name else lines[-_LINES:]:
            _print(line if name else f"{each} | {line}")
    if choices.follow:
        _follow(found, names, prefix=name is None)
    return EXIT_OK


def _print(line: str) -> None:
    console().print(line, markup=False, soft_wrap=True)


def _follow(found: Runtime, names: Sequence[str], *, prefix: bool) -> None:
    """What is written from now on, until Ctrl-C."""
    if isinstance(found, ComposeRuntime):
        command, environment = found.log_command(names)
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
            try:
                process.wait()
            finally:
                process.terminate()
        return
    if not isinstance(found, KeptRuntime):
        raise AssertionError(f"a stack that stays up is no {type(found).__name__}")
    files = {name: found.log_file(name) for name in names}
    places = {name: file.stat().st_size for name, file in files.items()}
    while found.alive():
        for name, file in files.items():
            with file.open("rb") as log:
                log.seek(places[name])
                whole, newline, _ = log.read().rpartition(b"\n")
            places[name] += len(whole) + len(newline)
            for line in whole.decode("utf-8", "replace").splitlines():
                _print(f"{name} | {line}" if prefix else line)
        sys.stdout.flush()
        time.sleep(_POLL_S)
