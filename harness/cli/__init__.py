"""The command line: parse, call, print, exit. One command a file; what it does stands in harness/commands/."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.cli import check, doctor, init, live, prove, slo, stack, test, verify
from harness.cli.parsing import Parser, RawHelp
from harness.cli.streams import Terminated, catch_signals, prepare_streams
from harness.errors import EXIT_ENGINE, EXIT_INPUT, HarnessError, printable

_COMMANDS = (doctor, init, test, verify, prove, live, stack, check, slo)
"""In the order of `--help`. Each has `add(commands)`, which sets `run` as its parser's default."""

_EPILOG = """\
exit codes: 0 all is as meant · 1 something is not · 2 wrong usage or input · 3 no engine, or an alert in error

examples:
  alert-harness init                            settings, contract skeletons and CI for the rules that are here
  alert-harness doctor                          what is installed, and what to do about the rest
  alert-harness verify                          everything that is configured, with a clear yes or no
  alert-harness test                            promtool unit tests, without false greens
  alert-harness prove                           where each alert fires, against its contract
  alert-harness prove --json - | jq '.alerts[] | select(.verdict != "exact")'
  alert-harness prove --emit build/promtool     the same facts as promtool unit tests
  alert-harness live                            every alert from scraped metric to receiver, on a faster clock
  alert-harness stack run error-burst           real traffic, a real fault, and what fired
  alert-harness check --against http://localhost:9090   whether the metrics that all this reads exist
  alert-harness slo compile -o build/slo        burn-rate rules of the objectives, with unit tests
  alert-harness slo report --prometheus http://localhost:9090

Paths come from [tool.alert-harness] in pyproject.toml or from alert-harness.toml.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; docs/ shows the help that it generates."""
    parser = Parser(
        prog="alert-harness",
        description="Proves where Prometheus alerts fire: to the adjacent value and the single evaluation tick.",
        epilog=_EPILOG,
        formatter_class=RawHelp,
    )
    parser.add_argument("--version", action="version", version=f"alert-harness {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file instead of the nearest one")
    parser.add_argument("--no-color", action="store_true", help="plain text (so does the variable NO_COLOR)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No error a user can cause shows a traceback."""
    prepare_streams()
    try:
        try:
            arguments = build_parser().parse_args(argv)
        except SystemExit:  # --help and --version
            sys.stdout.flush()
            raise
        if arguments.no_color:
            os.environ["NO_COLOR"] = "1"
        catch_signals()
        code: int = arguments.run(arguments)
        sys.stdout.flush()  # here, where its failure can still be told
        return code
    except HarnessError as err:
        return _fail(str(err), err.exit_code)
    except Terminated as err:
        return _fail(f"ended by {err}; nothing was left running", 128 + err.number)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was left running", 130)
    except OSError as err:
        where = f": {err.filename}" if err.filename else ""
        full = err.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "\n  what to do: make room, or set TMPDIR to another disk" if full else ""
        return _fail(f"{err.strerror or err}{where}{todo}", EXIT_ENGINE if full else EXIT_INPUT)
    except Exception as err:
        if os.environ.get("ALERT_HARNESS_DEBUG") == "1":
            raise
        what = f"{type(err).__name__}: {err}".splitlines()[0]
        todo = "please report it, with what ALERT_HARNESS_DEBUG=1 shows"
        return _fail(f"this is a fault of alert-harness: {what}\n  what to do: {todo}", EXIT_ENGINE)


def _fail(message: str, code: int) -> int:
    print(f"alert-harness: {printable(message)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # nobody takes it any more; the interpreter must not complain at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
