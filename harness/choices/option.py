"""An option of the command line, stated once: as the field of a dataclass that the command is given."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

_KEY = "option"


class WriteTarget(enum.Enum):
    """What is written where an option says."""

    DOCUMENT = "document"  # a file, or standard output for `-`
    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Option:
    """How the command line fills a field.

    ``flags`` is empty where the place on the command line decides. ``how`` is argparse's (``metavar``, ``action``,
    ``nargs``, ``type``, ``choices``). ``convert`` makes the value from what was written; it raises InputError.
    """

    flags: tuple[str, ...]
    help: str
    target: WriteTarget | None
    convert: Callable[[str], Any] | None
    how: Mapping[str, Any]


def option(
    *flags: str,
    help: str,
    default: Any = None,
    target: WriteTarget | None = None,
    convert: Callable[[str], Any] | None = None,
    **how: Any,
) -> Any:
    """A field that an option fills, or without `flags` what stands at its place on the command line.

    A `default` of dataclasses.MISSING makes it required.
    """
    return field(default=default, metadata={_KEY: Option(flags, help, target, convert, how)})


def options_of(choices: Any) -> Iterator[tuple[Field[Any], Option]]:
    """The options of a dataclass, or of an instance of it, in the order of the help."""
    for each in fields(choices):
        if _KEY in each.metadata:
            yield each, each.metadata[_KEY]


def is_required(choice: Field[Any]) -> bool:
    """Whether the command line must fill this field."""
    return choice.default is MISSING


def printed_documents(choices: Any) -> list[str]:
    """The options whose documents go to standard output."""
    return [
        each.flags[0]
        for choice, each in options_of(choices)
        if each.target is WriteTarget.DOCUMENT and getattr(choices, choice.name) == "-"
    ]
