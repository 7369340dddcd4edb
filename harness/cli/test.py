"""The door of `test`."""

from __future__ import annotations

import argparse

from harness.cli.parsing import Commands, add_output_options, config_of, outputs_of


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "test",
        help="run promtool unit tests, and say what promtool's SUCCESS hides",
        description="Runs promtool unit-test files with promtool as the judge, in parallel, and fails where its "
        "SUCCESS is empty: misspelt alerts, rules that were not loaded, groups that assert nothing, ... Exits 1 if an "
        "assertion fails or a check does.",
    )
    parser.add_argument(
        "files", nargs="*", metavar="PATH", help="unit-test file, folder or glob (default: the configured)"
    )
    parser.add_argument(
        "--run",
        dest="run_groups",
        action="append",
        metavar="REGEX",
        help="only test groups of a matching name (promtool's)",
    )
    parser.add_argument("--enable-feature", action="append", metavar="NAME", help="feature of promtool (repeatable)")
    parser.add_argument("--ignore-unknown-fields", action="store_true", help="promtool's switch of this name")
    parser.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        help="whether matters of taste are errors too: alerts that fire without an assertion, untested rules, ...",
    )
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="promtool processes at a time (default: cores)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON; - prints it instead of the text")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import test
    from harness.suites.run import Options

    return test.run(
        config,
        arguments.files,
        Options(
            strict=config.strict_tests if arguments.strict is None else arguments.strict,
            run=tuple(arguments.run_groups or ()),
            features=tuple(arguments.enable_feature or ()),
            ignore_unknown_fields=arguments.ignore_unknown_fields,
            jobs=max(0, arguments.jobs),
        ),
        json=arguments.json,
        outputs=outputs_of(arguments, config),
    )
