"""The door of `stack`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.stack import DownChoices, LogsChoices, ScenarioChoices, StatusChoices, UpChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config

# In each action what it calls is imported late, so that `--help` and usage errors answer at once.


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "stack",
        help="start, watch and stop the instrumented stack; play a scenario on it",
        description="The instrumented stack: the streaming service, Prometheus, Alertmanager and exporters, as "
        "containers where an engine is up, as local processes otherwise. Everything listens on 127.0.0.1.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_command(
        actions,
        "up",
        UpChoices,
        _up,
        help="start the stack and leave it running",
        description="Starts the stack, waits until every service is ready, and leaves it running. A stack that is up "
        "already is left as it is.",
    )
    add_command(
        actions,
        "status",
        StatusChoices,
        _status,
        help="which services run, and how Prometheus sees its targets",
        description="Shows each service and each scrape target with the reason why it is not up. Exits 1 if something "
        "that ought to run does not.",
    )
    add_command(
        actions,
        "down",
        DownChoices,
        _down,
        help="end the stack; its data stay",
        description="Ends the stack and removes all of it but its data: the service's database, Prometheus' and "
        "Alertmanager's stores.",
    )
    add_command(
        actions,
        "logs",
        LogsChoices,
        _logs,
        help="what a service has written",
        description="Prints the end of a service's log, or of all logs with the service's name before each line.",
    )
    add_command(
        actions,
        "run",
        ScenarioChoices,
        _run,
        help="play a scenario: traffic, faults, and what fired against what should have",
        description="Drives traffic at the stack while the scenario says what goes wrong when, and compares what fired "
        "with what the scenario says must and must not fire. Uses the stack that is up, else one of its own that ends "
        "with it. Exits 1 if an alert did not do what was said.",
    )


def _up(config: Config, choices: UpChoices) -> int:
    from harness.commands import stack

    return stack.up(config, choices)


def _status(config: Config, choices: StatusChoices) -> int:
    from harness.commands import stack

    return stack.status(config, choices)


def _down(config: Config, choices: DownChoices) -> int:
    from harness.commands import stack

    return stack.down(config, choices)


def _logs(config: Config, choices: LogsChoices) -> int:
    from harness.commands import stack

    return stack.logs(config, choices)


def _run(config: Config, choices: ScenarioChoices) -> int:
    from harness.commands import stack_run

    return stack_run.run(config, choices)
