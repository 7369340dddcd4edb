"""A scenario, played on the stack that is up, else on one of its own that is gone afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.choices.stack import ScenarioChoices
from harness.commands.project import toolchain
from harness.commands.writing import checked_outputs, write
from harness.config import Config, rule_files
from harness.engines.url import UrlEngine
from harness.errors import InputError, near_miss
from harness.live.clock import Clock
from harness.live.model import BusyRun
from harness.report.scenario.json import scenario_json
from harness.report.scenario.terminal import scenario_report
from harness.report.section import exit_code, section_of
from harness.report.terminal import console, narrating
from harness.rules import RuleFile, load_rules
from harness.stack.opening import RuntimeKind, running, throwaway
from harness.stack.run import ScenarioResult, play
from harness.stack.runtime import Runtime
from harness.stack.scenario import Scenario, load_scenario
from harness.stack.spec import ANY_PORTS, Spec

COMPRESS = 60
"""How much faster than real time a stack of our own runs."""


def run(config: Config, choices: ScenarioChoices) -> int:
    """Play a scenario (a file, or the name of a shipped one) and print what fired; 1 if that is not what should."""
    outputs, json = checked_outputs(config, choices), choices.json
    scenario = find_scenario(config, choices.scenario)
    files = load_rules(rule_files(config.rules, config.folder))
    scenario.check_alerts(files)
    out = console(sys.stderr if json == "-" else None)
    with narrating(f"playing {scenario.name}") as step:
        kind = RuntimeKind.of(choices.runtime)
        result = played(config, scenario, files, kind, choices.compress, seed=choices.seed, step=step)
    sections = [section_of(result)]
    if json != "-":
        scenario_report(result, out)
    if json is not None:
        write(json, scenario_json(result, sections))
    outputs.write(sections, out)
    return exit_code(sections)


def play_on(
    stack: Runtime, scenario: Scenario, files: list[RuleFile], *, seed: int, step: Callable[[str], None]
) -> ScenarioResult:
    """Play it on a stack that runs."""
    with UrlEngine(stack.url("prometheus"), read_only=True) as prometheus:
        return play(scenario, stack, prometheus, files, seed=seed, step=step)


def played(
    config: Config,
    scenario: Scenario,
    files: list[RuleFile],
    kind: RuntimeKind,
    compress: int | None,
    *,
    seed: int,
    step: Callable[[str], None],
) -> ScenarioResult:
    """Play it on the stack that is up, if there is one; else as :func:`played_on_own`, `compress` times as fast."""
    found = running(config)
    if found is None:
        with played_on_own(config, scenario, files, kind, compress or COMPRESS, seed=seed, step=step) as (_, result):
            return result
    factor = found.clock.factor
    if compress is not None and compress != factor:
        raise InputError(
            f"--compress {compress}, but the stack that is up runs at {factor}x",
            hint="leave --compress out, or take the stack down: then `stack run` starts one of its own",
        )
    step(f"on the stack that is up ({found.kind}, {factor}x)")
    return play_on(found, scenario, files, seed=seed, step=step)


@contextmanager
def played_on_own(
    config: Config,
    scenario: Scenario,
    files: list[RuleFile],
    kind: RuntimeKind,
    factor: int,
    *,
    seed: int,
    step: Callable[[str], None],
) -> Iterator[tuple[Runtime, ScenarioResult]]:
    """Play it on a stack of our own, which ends with the block.

    What did not end as it should while the machine was too busy says nothing: it is played again, once and slower.
    """
    attempts: tuple[BusyRun, ...] = ()
    while True:
        spec = Spec.from_environment(config, Clock(factor), ANY_PORTS)
        with throwaway(spec, toolchain(config), kind, step) as stack:
            result = replace(play_on(stack, scenario, files, seed=seed, step=step), attempts=attempts)
            if result.passed or not result.busy or attempts or factor == 1:
                yield stack, result
                return
        attempts = (BusyRun(factor, result.busy),)
        # A divisor: durations that this clock divides, the slower one divides too.
        factor = next(slower for slower in range(factor // 2, 0, -1) if factor % slower == 0)
        step(f"the machine was too busy ({result.busy}): again at {factor}x")


def find_scenario(config: Config, name: str) -> Scenario:
    """A scenario by path, or by the name of one in the stack's folder; raises InputError with the near miss."""
    if (path := Path(name)).is_file():
        return load_scenario(path)
    folder = config.folder / config.stack / "scenarios"
    shipped = {file.stem: file for file in sorted(folder.glob("*.yml"))}
    if name in shipped:
        return load_scenario(shipped[name])
    raise InputError(
        f"no scenario `{name}`{near_miss(Path(name).stem, shipped)}",
        hint=f"name a file, or one of: {', '.join(shipped)}" if shipped else "name a scenario file",
    )
