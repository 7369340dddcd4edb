"""The parser: how a command and its options come from the dataclass of what one can choose."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

from harness.choices.option import is_required, options_of
from harness.errors import near_miss, printable

if TYPE_CHECKING:
    from harness.config import Config

Chosen = TypeVar("Chosen")
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


def add_command(
    commands: Commands,
    name: str,
    choices: type[Chosen],
    run: Callable[[Config, Chosen], int],
    *,
    help: str,
    description: str,
) -> None:
    """Add a command: its options are the fields of `choices`, and `run` gets the settings and an instance.

    `help` stands in the list of commands, `description` in the command's own help.
    """
    parser = commands.add_parser(name, help=help, description=description)
    add_options(parser, choices)

    def call(arguments: argparse.Namespace) -> int:
        # Not above: reading settings takes longer to import than all the help.
        from harness.config import load_config

        config = load_config(Path.cwd(), arguments.config)
        return run(config, chosen(choices, arguments))

    parser.set_defaults(run=call)


def add_options(parser: argparse.ArgumentParser, choices: type[object]) -> None:
    """What the fields of a dataclass say."""
    for field, option in options_of(choices):
        how: dict[str, Any] = {"help": option.help, **option.how}
        if not option.flags:
            parser.add_argument(field.name, default=None if is_required(field) else field.default, **how)
        else:  # what is not written is left to the dataclass
            parser.add_argument(
                *option.flags, dest=field.name, default=argparse.SUPPRESS, required=is_required(field), **how
            )


def chosen(choices: type[Chosen], arguments: argparse.Namespace) -> Chosen:
    """What the command line chose. Raises InputError as the options' conversions do."""
    written = {}
    for field, option in options_of(choices):
        if field.name in arguments:
            value = getattr(arguments, field.name)
            written[field.name] = option.convert(value) if option.convert else value
    return choices(**written)
