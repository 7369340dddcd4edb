"""The command line: parse, call, print, exit."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from harness import __version__
from harness.config import Config, load_config
from harness.errors import EXIT_ENGINE, EXIT_INPUT, HarnessError, near_miss, printable

if TYPE_CHECKING:
    from harness.commands import Choices
    from harness.report.outputs import Outputs

_EPILOG = """\
exit codes: 0 all is as meant · 1 findings · 2 wrong usage or input · 3 an engine is missing or broke

examples:
  alert-harness init                            settings, contract skeletons and CI for the rules that are here
  alert-harness doctor                          what is installed, and what to do about the rest
  alert-harness verify                          everything that is configured, with a clear yes or no
  alert-harness test                            promtool unit tests, without false greens
  alert-harness prove                           where each alert fires, against its contract
  alert-harness prove --rules alerts/ --contracts contracts/
  alert-harness prove --json - | jq '.alerts[] | select(.verdict != "exact")'
  alert-harness prove --emit build/promtool     the same facts as promtool unit tests

Paths come from [tool.alert-harness] in pyproject.toml or from alert-harness.toml.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; docs/ shows the help that it generates."""
    parser = _Parser(
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

    init = commands.add_parser(
        "init",
        help="write settings, a contract skeleton for each alert, and what CI runs",
        description="Looks for alert rules in a folder and writes what is missing: alert-harness.toml, a contract "
        "skeleton for each alert, and snippets for GitHub and GitLab. Never overwrites. Every guess says `confirm:`.",
    )
    init.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="default: this folder")

    test = commands.add_parser(
        "test",
        help="run promtool unit tests, and say what promtool's SUCCESS hides",
        description="Runs promtool unit-test files with promtool as the judge, in parallel, and fails where its "
        "SUCCESS is empty: misspelt alerts, rules that were not loaded, groups that assert nothing, ... Exits 1 if an "
        "assertion fails or a check does.",
    )
    test.add_argument(
        "files", nargs="*", metavar="PATH", help="unit-test file, folder or glob (default: the configured)"
    )
    test.add_argument(
        "--run", action="append", metavar="REGEX", help="only test groups of a matching name (promtool's)"
    )
    test.add_argument("--enable-feature", action="append", metavar="NAME", help="feature of promtool (repeatable)")
    test.add_argument("--ignore-unknown-fields", action="store_true", help="promtool's switch of this name")
    test.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        help="whether matters of taste are errors too: alerts that fire without an assertion, untested rules, ...",
    )
    test.add_argument("--jobs", type=int, default=0, metavar="N", help="promtool processes at a time (default: cores)")
    test.add_argument("--json", metavar="FILE", help="write the results as JSON; - prints it instead of the text")

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
    for command in (verify, prove, test):
        command.add_argument(
            "--report", metavar="DIR", help="folder of the HTML page (default: build/report); none: no page"
        )
        command.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
        command.add_argument(
            "--annotate",
            metavar="KIND",
            help="findings beside the lines: github (workflow commands), gitlab or gitlab=FILE (code quality)",
        )
    verify.add_argument("--tests", action="append", metavar="PATH", help="promtool test file, folder or glob")
    prove.add_argument("--alert", action="append", metavar="NAME", help="only this alert (repeatable)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No error a user can cause shows a traceback."""
    _prepare_streams()
    try:
        try:
            arguments = build_parser().parse_args(argv)
        except SystemExit:  # --help and --version
            sys.stdout.flush()
            raise
        if arguments.no_color:
            os.environ["NO_COLOR"] = "1"
        _catch_signals()
        code = _run(arguments)
        sys.stdout.flush()  # here, where its failure can still be told
        return code
    except HarnessError as err:
        return _fail(str(err), err.exit_code)
    except _Terminated as err:
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


class _Parser(argparse.ArgumentParser):
    """Argparse, with the near miss of a mistyped word; its subcommands' parsers are of this class too."""

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


class _Outlet(io.FileIO):
    """Standard output whose reader may leave (`| head -1`): the work goes on, so that the exit code stays true."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(data) or 0


def _prepare_streams() -> None:
    """A closed stream, a reader that leaves, or an encoding without our characters must not end the run."""
    out: TextIO | None = sys.stdout  # None where it was closed
    ours = out is sys.__stdout__
    if out is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lives as long as the process
    elif ours:
        raw = io.BufferedWriter(_Outlet(out.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(raw, out.encoding, "backslashreplace", line_buffering=out.isatty())
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class _Terminated(KeyboardInterrupt):
    """A signal that asks us to end; it takes the same way out as Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated(number)


def _catch_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, _terminate)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "init":
        from harness.commands import init

        return init(arguments.folder)
    config = load_config(Path.cwd(), arguments.config)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness import commands
    from harness.suites.run import Options as SuiteOptions

    match arguments.command:
        case "doctor":
            return commands.doctor(config, as_json=arguments.json, fetch=arguments.fetch)
        case "prove":
            return commands.prove(config, _choices(arguments, config))
        case "test":
            return commands.test_suites(
                config,
                arguments.files,
                SuiteOptions(
                    strict=config.strict_tests if arguments.strict is None else arguments.strict,
                    run=tuple(arguments.run or ()),
                    features=tuple(arguments.enable_feature or ()),
                    ignore_unknown_fields=arguments.ignore_unknown_fields,
                    jobs=max(0, arguments.jobs),
                ),
                json=arguments.json,
                outputs=_outputs(arguments, config),
            )
        case _:
            return commands.verify(config, _choices(arguments, config), tests=arguments.tests)


def _outputs(arguments: argparse.Namespace, config: Config) -> Outputs:
    """A folder on the command line is relative to where the user stands, one in the settings to their file."""
    from harness.report.outputs import OFF, Outputs

    page = config.report if arguments.report is None else arguments.report
    folder = config.folder if arguments.report is None else Path()
    return Outputs(None if page in OFF else folder / page, arguments.junit, arguments.annotate)


def _choices(arguments: argparse.Namespace, config: Config) -> Choices:
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
        outputs=_outputs(arguments, config),
    )


if __name__ == "__main__":
    sys.exit(main())
