"""The parser, and the options that several commands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from harness.config import Config, load_config
from harness.errors import near_miss, printable
from harness.units import parse_duration_ms

if TYPE_CHECKING:
    from harness.commands.project import RunChoices
    from harness.report.outputs import Outputs

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command adds its parser to."""


class Help(argparse.HelpFormatter):
    """The same help on every Python, for docs/ to show: ``-o, --output DIR``, where those before 3.13 say DIR twice."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {self._format_args(action, action.dest.upper())}"


class RawHelp(Help, argparse.RawDescriptionHelpFormatter):
    """The same, with the line breaks of description and epilog."""


class Parser(argparse.ArgumentParser):
    """Argparse, with the near miss of a mistyped word; its subcommands' parsers are of this class too.

    What newer Pythons add of their own accord stays off: colours in help (3.14), suggestions in errors (3.15).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # A beginning of an option's name is no option: which one it means would change with the next that is added.
        super().__init__(*args, **{"formatter_class": Help, "allow_abbrev": False, **kwargs})
        self.color = self.suggest_on_error = False  # no keywords before 3.14

    def error(self, message: str) -> NoReturn:
        invalid = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        unknown = re.match(r"unrecognized arguments: (--?[\w-]+)", message)
        if invalid:
            known = re.findall(r"[\w-]+", invalid[2])
            message = f"there is no command `{invalid[1]}`{near_miss(invalid[1], known)}; commands: {', '.join(known)}"
        elif unknown:
            known = self._all_options()
            elsewhere = unknown[1] in known
            near = ", only for another command" if elsewhere else near_miss(unknown[1], known)
            message = f"there is no option `{unknown[1]}` here{near}"
        super().error(printable(message))

    def _all_options(self) -> list[str]:
        found = set(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    found |= set(parser._option_string_actions)
        return sorted(found)


def add_project_options(command: argparse.ArgumentParser) -> None:
    """Which rules and contracts, and on which engine."""
    command.add_argument("--rules", action="append", metavar="PATH", help="rule file, folder or glob (repeatable)")
    command.add_argument("--contracts", action="append", metavar="PATH", help="contract file, folder or glob")
    command.add_argument(
        "--engine",
        metavar="KIND",
        help="process (a local prometheus), docker, url, or auto: a process if there is a binary, else docker",
    )
    command.add_argument("--image", metavar="NAME", help="container image of Prometheus for --engine docker")
    command.add_argument("--url", metavar="URL", help="Prometheus-compatible API with remote write for --engine url")


def add_proof_options(command: argparse.ArgumentParser) -> None:
    """Where a proof goes besides the terminal."""
    command.add_argument("--json", metavar="FILE", help="write the proof as JSON; - prints it instead of the table")
    command.add_argument("--markdown", metavar="FILE", help="write it as a Markdown table; - prints it instead")
    command.add_argument(
        "--alert-timeout",
        type=_seconds,
        metavar="TIME",
        help="how long one alert may take before it is an error and the next comes (default: 30s)",
    )
    command.add_argument("--emit", type=Path, metavar="DIR", help="write what was proved as promtool unit tests")


def _seconds(text: str) -> float:
    try:
        ms = parse_duration_ms(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"{err}; write a number and a unit, such as 30s or 2m") from err
    if ms < 1000:
        raise argparse.ArgumentTypeError("at least 1s is needed")
    return ms / 1000


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Where results go for people and CI."""
    command.add_argument(
        "--report", metavar="DIR", help="folder of the HTML page (default: build/report); none: no page"
    )
    command.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    command.add_argument(
        "--annotate",
        metavar="KIND",
        help="findings beside the lines: github (workflow commands), gitlab or gitlab=FILE (code quality)",
    )


def config_of(arguments: argparse.Namespace) -> Config:
    """The settings that hold where the user stands."""
    return load_config(Path.cwd(), arguments.config)


def outputs_of(arguments: argparse.Namespace, config: Config) -> Outputs:
    """A folder on the command line is relative to where the user stands, one in the settings to their file."""
    from harness.report.outputs import OFF, Outputs

    page = config.report if arguments.report is None else arguments.report
    folder = config.folder if arguments.report is None else Path()
    return Outputs(None if page in OFF else folder / page, arguments.junit, arguments.annotate)


def choices_of(arguments: argparse.Namespace, config: Config) -> RunChoices:
    from harness.commands.project import RunChoices

    return RunChoices(
        rules=arguments.rules,
        contracts=arguments.contracts,
        engine=arguments.engine,
        image=arguments.image,
        url=arguments.url,
        json=arguments.json,
        markdown=arguments.markdown,
        emit=arguments.emit,
        alerts=getattr(arguments, "alert", None),
        alert_timeout_s=getattr(arguments, "alert_timeout", None),
        outputs=outputs_of(arguments, config),
    )
