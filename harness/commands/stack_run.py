"""A scenario, played on the stack that is up, else on one of its own that is gone afterwards."""

from __future__ import annotations

import sys

from harness.choices.stack import ScenarioChoices
from harness.commands.project import toolchain
from harness.commands.writing import checked_outputs, write
from harness.config import Config, rule_files
from harness.errors import InputError
from harness.live.clock import Clock
from harness.report.scenario.json import scenario_json
from harness.report.scenario.terminal import scenario_report
from harness.report.section import exit_code, section_of
from harness.report.terminal import console, narrating
from harness.rules import load_rules
from harness.stack.opening import RuntimeKind
from harness.stack.scenarios.run import play, played_on_own
from harness.stack.scenarios.scenario import find_scenario
from harness.stack.spec import ANY_PORTS, Spec
from harness.stack.standing import running

COMPRESS = 60
"""How much faster than real time a stack of our own runs."""


def run(config: Config, choices: ScenarioChoices) -> int:
    """Play a scenario (a file, or the name of a shipped one) and print what fired; 1 if that is not what should."""
    outputs, json = checked_outputs(config, choices), choices.json
    scenario = find_scenario(choices.scenario, config.folder / config.stack / "scenarios")
    files = load_rules(rule_files(config.rules, config.folder))
    scenario.check_alerts(files)
    kind = RuntimeKind.of(choices.runtime)
    out = console(sys.stderr if json == "-" else None)
    with narrating(f"playing {scenario.name}") as step:
        found = running(config)
        if found is None:
            spec = Spec.from_environment(config, Clock(choices.compress or COMPRESS), ANY_PORTS)
            tools = toolchain(config)
            with played_on_own(scenario, files, spec, tools, kind, seed=choices.seed, step=step) as (_, played):
                result = played
        else:
            factor = found.clock.factor
            if choices.compress is not None and choices.compress != factor:
                raise InputError(
                    f"--compress {choices.compress}, but the stack that is up runs at {factor}x",
                    hint="leave --compress out, or take the stack down: then `stack run` starts one of its own",
                )
            step(f"on the stack that is up ({found.kind}, {factor}x)")
            result = play(scenario, files, found, seed=choices.seed, step=step)
    sections = [section_of(result)]
    if json != "-":
        scenario_report(result, out)
    if json is not None:
        write(json, scenario_json(result, sections))
    outputs.write(sections, out)
    return exit_code(sections)
