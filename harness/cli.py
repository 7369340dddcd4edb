"""The command line: parse, call, print, exit."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from harness import __version__
from harness.config import load_config
from harness.errors import EXIT_ENGINE, EXIT_INPUT, EXIT_OK, HarnessError

if TYPE_CHECKING:
    from harness.commands import Choices

_EPILOG = """\
exit codes: 0 all is as meant · 1 findings · 2 wrong usage or input · 3 an engine is missing or broke

examples:
  alert-harness doctor                          what is installed, and what to do about the rest
  alert-harness verify                          everything that is configured, with a clear yes or no
  alert-harness prove                           where each alert fires, against its contract
  alert-harness prove --rules alerts/ --contracts contracts/
  alert-harness prove --json - | jq '.alerts[] | select(.verdict != "exact")'
  alert-harness prove --emit build/promtool     the same facts as promtool unit tests

Paths come from [tool.alert-harness] in pyproject.toml or from alert-harness.toml.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; docs/ shows the help that it generates."""
    parser = argparse.ArgumentParser(
        prog="alert-harness",
        description="Proves where Prometheus alerts fire: to the adjacent value and the single evaluation tick.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"alert-harness {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file instead of the nearest one")
    parser.add_argument("--no-color", action="store_true", help="plain text (so does the variable NO_COLOR)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    doctor = commands.add_parser(
        "doctor",
        help="show which tools were found, and what to do about missing ones",
        description="Shows promtool, prometheus, alertmanager, amtool, node exporter and the container engine: where, "
        "which version, and for each missing one what to do.",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.add_argument("--fetch", action="store_true", help="fetch what is missing into the cache")

    verify = commands.add_parser(
        "verify",
        help="check rules, run the promtool unit tests, prove every alert; ends in yes or no",
        description="Loads rules and contracts, runs `promtool check rules` with lint and the promtool unit tests, "
        "proves every alert, and ends in a clear yes or no.",
    )
    prove = commands.add_parser(
        "prove",
        help="measure where each alert fires and compare with its contract",
        description="Searches each contract's knob to two adjacent values of which one is quiet and one fires, "
        "measures hold, gap and recovery in ticks, plays the named situations, has promtool confirm it, and prints one "
        "row per alert. Exits 1 if any alert is not exact.",
    )
    for command in (verify, prove):
        command.add_argument("--rules", action="append", metavar="PATH", help="rule file, folder or glob (repeatable)")
        command.add_argument("--contracts", action="append", metavar="PATH", help="contract file, folder or glob")
        command.add_argument(
            "--engine",
            metavar="KIND",
            help="process (a local prometheus), docker, url, or auto: a process if there is a binary, else docker",
        )
        command.add_argument("--image", metavar="NAME", help="container image of Prometheus for --engine docker")
        command.add_argument(
            "--url", metavar="URL", help="Prometheus-compatible API with remote write for --engine url"
        )
        command.add_argument("--json", metavar="FILE", help="write the proof as JSON; - prints it instead of the table")
        command.add_argument("--markdown", metavar="FILE", help="write it as a Markdown table; - prints it instead")
        command.add_argument("--emit", type=Path, metavar="DIR", help="write what was proved as promtool unit tests")
    verify.add_argument("--tests", action="append", metavar="PATH", help="promtool test file, folder or glob")
    prove.add_argument("--alert", action="append", metavar="NAME", help="only this alert (repeatable)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No error a user can cause shows a traceback."""
    arguments = build_parser().parse_args(argv)
    if arguments.no_color:
        os.environ["NO_COLOR"] = "1"
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(arguments)
    except HarnessError as err:
        print(f"alert-harness: {err}", file=sys.stderr)
        return err.exit_code
    except KeyboardInterrupt:
        print("alert-harness: interrupted; nothing was left running", file=sys.stderr)
        return 130
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # the reader has gone; the interpreter must not complain at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as err:
        print(f"alert-harness: {err.strerror or err}{f': {err.filename}' if err.filename else ''}", file=sys.stderr)
        return EXIT_ENGINE if err.errno == 28 else EXIT_INPUT


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(arguments: argparse.Namespace) -> int:
    config = load_config(Path.cwd(), arguments.config)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness import commands

    match arguments.command:
        case "doctor":
            return commands.doctor(config, as_json=arguments.json, fetch=arguments.fetch)
        case "prove":
            return commands.prove(config, _choices(arguments))
        case _:
            return commands.verify(config, _choices(arguments), tests=arguments.tests)


def _choices(arguments: argparse.Namespace) -> Choices:
    from harness.commands import Choices

    return Choices(
        rules=arguments.rules,
        contracts=arguments.contracts,
        engine=arguments.engine,
        image=arguments.image,
        url=arguments.url,
        json=arguments.json,
        markdown=arguments.markdown,
        emit=arguments.emit,
        alerts=getattr(arguments, "alert", None),
    )


if __name__ == "__main__":
    sys.exit(main())
