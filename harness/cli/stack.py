"""The door of `stack`."""

from __future__ import annotations

import argparse

from harness.cli.parsing import Commands, add_output_options, config_of, outputs_of

_RUNTIME = "compose (containers), process (local processes), or auto: compose where an engine is up, else process"


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "stack",
        help="start, watch and stop the instrumented stack; play a scenario on it",
        description="The instrumented stack: the streaming service, Prometheus, Alertmanager and exporters, as "
        "containers where an engine is up, as local processes otherwise. Everything listens on 127.0.0.1.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_up(actions)
    status = actions.add_parser(
        "status",
        help="which services run, and how Prometheus sees its targets",
        description="Shows each service and each scrape target with the reason why it is not up. Exits 1 if something "
        "that ought to run does not.",
    )
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status)
    down = actions.add_parser(
        "down",
        help="end the stack; its data stay",
        description="Ends the stack and removes all of it but its data: the service's database, Prometheus' and "
        "Alertmanager's stores.",
    )
    down.add_argument("--volumes", action="store_true", help="remove the data too")
    down.set_defaults(run=_down)
    logs = actions.add_parser(
        "logs",
        help="what a service has written",
        description="Prints the end of a service's log, or of all logs with the service's name before each line.",
    )
    logs.add_argument("name", nargs="?", metavar="NAME", help="service (default: all)")
    logs.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    logs.set_defaults(run=_logs)
    _add_run(actions)


def _add_up(actions: Commands) -> None:
    up = actions.add_parser(
        "up",
        help="start the stack and leave it running",
        description="Starts the stack, waits until every service is ready, and leaves it running. A stack that is up "
        "already is left as it is.",
    )
    _add_start_options(up, " (default: 1, real time)")
    up.add_argument("--wait", action="store_true", help="wait until Prometheus has scraped every target too")
    up.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="NAME=PORT",
        help="listen elsewhere than on the standard port; 0: any that is free (repeatable)",
    )
    up.set_defaults(run=_up)


def _add_run(actions: Commands) -> None:
    run = actions.add_parser(
        "run",
        help="play a scenario: traffic, faults, and what fired against what should have",
        description="Drives traffic at the stack while the scenario says what goes wrong when, and compares what fired "
        "with what the scenario says must and must not fire. Uses the stack that is up, else one of its own that ends "
        "with it. Exits 1 if an alert did not do what was said.",
    )
    run.add_argument("scenario", metavar="SCENARIO", help="a scenario file, or the name of a shipped one")
    _add_start_options(run, "; a stack that is up keeps its own")
    run.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the traffic (default: 1)")
    run.add_argument("--json", metavar="FILE", help="write the results as JSON; - prints it instead of the text")
    add_output_options(run)
    run.set_defaults(run=_run)


def _add_start_options(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("--runtime", default="auto", metavar="KIND", help=_RUNTIME)
    command.add_argument(
        "--compress", type=int, metavar="K", help=f"run K times as fast: every duration is divided by K{default}"
    )


def _up(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import stack

    return stack.up(
        config, runtime=arguments.runtime, compress=arguments.compress, ports=arguments.port, wait=arguments.wait
    )


def _status(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import stack

    return stack.status(config, as_json=arguments.json)


def _down(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import stack

    return stack.down(config, volumes=arguments.volumes)


def _logs(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import stack

    return stack.logs(config, arguments.name, follow=arguments.follow)


def _run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import stack_run

    return stack_run.run(
        config,
        arguments.scenario,
        runtime=arguments.runtime,
        compress=arguments.compress,
        seed=arguments.seed,
        json=arguments.json,
        outputs=outputs_of(arguments, config),
    )
