"""What the commands do: one use case each, called by the command line and by whoever else opens a door."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.config import Config, rule_files, unit_test_files
from harness.contracts import Contract, load_contracts
from harness.engines import KINDS, open_engine
from harness.engines.base import Engine
from harness.engines.private import sweep
from harness.engines.promtool import Promtool
from harness.errors import EXIT_FINDINGS, EXIT_INPUT, EXIT_OK, EngineError, InputError, near_miss
from harness.init import init as start_project
from harness.proof import STEPS_PER_ALERT, AlertResult, Proof
from harness.proof.prove import check_rule_files
from harness.report.jsonfile import proof_json
from harness.report.markdown import proof_markdown
from harness.report.outcome import Outcome, Proved, Stopwatch
from harness.report.outputs import NO_OUTPUTS, Outputs
from harness.report.suites_json import suites_json
from harness.report.suites_text import write_file, write_report
from harness.report.terminal import console, proof_table, watching
from harness.report.wording import one_line, summary
from harness.rules import RuleFile, load_rules
from harness.source import display_path
from harness.suites.model import Report, Status
from harness.suites.run import Options as SuiteOptions
from harness.suites.run import SuiteRun
from harness.toolchain import Toolchain, run_doctor


@dataclass(frozen=True, slots=True)
class Choices:
    """What a command line chose over the configuration; None where it chose nothing."""

    rules: Sequence[str] | None = None
    contracts: Sequence[str] | None = None
    engine: str | None = None
    image: str | None = None
    url: str | None = None
    json: str | None = None
    markdown: str | None = None
    emit: Path | None = None
    alerts: Sequence[str] | None = None
    outputs: Outputs = NO_OUTPUTS

    @property
    def prints_document(self) -> bool:
        """Whether standard output belongs to JSON or Markdown."""
        return "-" in (self.json, self.markdown)


@dataclass(frozen=True, slots=True)
class Project:
    """A project's rules and contracts, loaded."""

    files: list[RuleFile]
    contracts: list[Contract]


def load(config: Config, choices: Choices) -> Project:
    """Load rules and contracts; with `choices.alerts` only these contracts, and no word on other alerts."""
    # A path on the command line is relative to where the user stands, one in the configuration to its own folder.
    _check_choices(config, choices)
    here = Path.cwd()
    rules = rule_files(choices.rules, here) if choices.rules else rule_files(config.rules, config.folder)
    found = rule_files(choices.contracts, here) if choices.contracts else rule_files(config.contracts, config.folder)
    files, contracts = load_rules(rules), load_contracts(found)
    if choices.alerts:
        known = {contract.alert.value for contract in contracts}
        for name in choices.alerts:
            if name not in known:
                raise InputError(
                    f"no contract speaks of an alert `{name}`{near_miss(name, known)}",
                    hint=f"known alerts: {', '.join(sorted(known))}",
                )
        contracts = [contract for contract in contracts if contract.alert.value in choices.alerts]
    return Project(files, contracts)


def _check_choices(config: Config, choices: Choices) -> None:
    """Refuse what would only fail, or be silently ignored, after minutes of measuring."""
    kind = choices.engine or config.engine
    if kind not in KINDS:
        span = config.places.get("engine") if choices.engine is None else None
        raise InputError(
            f"unknown engine `{kind}`{near_miss(kind, KINDS)}", span=span, hint=f"expected one of: {', '.join(KINDS)}"
        )
    for option, value, takers in (("--url", choices.url, ("url",)), ("--image", choices.image, ("docker", "auto"))):
        if value is not None and kind not in takers:
            raise InputError(
                f"{option} means nothing to --engine {kind}", hint=f"add --engine {takers[0]}, or leave {option} out"
            )
    if choices.json == "-" and choices.markdown == "-":
        raise InputError("--json - and --markdown - both want standard output", hint="write one of them to a file")
    for option, target in (("--json", choices.json), ("--markdown", choices.markdown)):
        if target is not None and target != "-":
            _must_be_writable(option, Path(target), folder=False)
    if choices.emit is not None:
        _must_be_writable("--emit", choices.emit, folder=True)
    _check_outputs(choices.outputs)


def _check_outputs(outputs: Outputs) -> None:
    outputs.check()
    for option, file in outputs.files():
        _must_be_writable(option, file, folder=False)


def _must_be_writable(option: str, target: Path, *, folder: bool) -> None:
    """Raise InputError if we can tell already that nothing can be written there; makes nothing."""
    hint = f"choose another {'folder' if folder else 'file'} for {option}"
    if target.exists() and target.is_dir() is not folder:
        raise InputError(f"cannot write {target}: it is a {'file' if folder else 'folder'}", hint=hint)
    existing = target
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if existing != target and not existing.is_dir():
        raise InputError(f"cannot write {target}: {existing} is no folder", hint=hint)
    if not os.access(existing, os.W_OK):
        raise InputError(f"cannot write {target}: no permission for {existing}", hint=hint)


def toolchain(config: Config) -> Toolchain:
    """The toolchain with the project's settings; fetching is told on standard error."""
    try:
        return Toolchain(
            config.tools,
            versions=config.versions,
            progress=lambda line: print(f"alert-harness: {line}", file=sys.stderr),
        )
    except InputError as err:
        setting = next((s for s in ("versions", "tools") if s in config.places and s.rstrip("s") in err.message), None)
        if setting is None:
            raise
        raise InputError(err.message, span=config.places[setting], hint=err.hint) from err


def doctor(config: Config, *, as_json: bool, fetch: bool) -> int:
    """Print what was found; 0 if `verify` has all it needs, else 3."""
    text, code = run_doctor(toolchain(config), as_json=as_json, fetch=fetch)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    return code


def init(folder: Path) -> int:
    """Write the start of a project, and say what was written, what was there, and what to do next."""
    written, alerts = start_project(folder)
    out = console()
    for file in written:
        what = ("wrote", "green") if file.new else ("kept", "dim")
        note = "" if file.new else ", which was there"
        out.print(
            Text.assemble((f"{what[0]:>6}", what[1]), f"  {one_line(display_path(file.path))}{note}"), soft_wrap=True
        )
    out.print()
    out.print(
        Text(
            f"{_count(alerts, 'alert')} found. The contracts are drafts: confirm or correct what says `confirm:`, then "
            "run alert-harness prove."
        ),
        soft_wrap=True,
    )
    return EXIT_OK


def _open(config: Config, choices: Choices, tools: Toolchain) -> Engine:
    sweep()  # whatever engine a killed run used, its promtool files lay in the folder for temporary files
    return open_engine(
        choices.engine or config.engine,
        prometheus=lambda: tools.find("prometheus").path,
        image=choices.image or config.image,
        url=choices.url or config.url or os.environ.get("ALERT_HARNESS_URL"),
    )


def _prove(
    project: Project,
    engine: Engine,
    promtool: Promtool,
    complaints: Mapping[int, str],
    choices: Choices,
    what: str,
) -> Proved:
    steps = STEPS_PER_ALERT * len(project.contracts)
    times = Stopwatch()
    with watching(steps, what) as watch:

        def measured(result: AlertResult) -> None:
            times.lap(result)
            watch.result(result)

        proof = Proof(project.files, project.contracts, engine, promtool, watch.step, measured, complaints)
        results = list(proof.run(choices.emit))
    if choices.alerts:
        results = [result for result in results if result.contract is not None]
    return Proved(results, engine.kind, engine.version, times.seconds)


def _write_documents(results: Sequence[AlertResult], engine: Engine, choices: Choices) -> None:
    for target, render in ((choices.json, proof_json), (choices.markdown, proof_markdown)):
        if target is not None:
            _write(target, render(results, engine.kind, engine.version))


def _write(target: str, text: str) -> None:
    """Write a document to a file, or to standard output for ``-``."""
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(text, encoding="utf-8")
    except OSError as err:
        raise InputError(f"cannot write {target}: {err.strerror or err}", hint="choose another file") from err


def prove(config: Config, choices: Choices) -> int:
    """Prove the alerts and print one row for each; 1 if any is not exact."""
    project = load(config, choices)
    tools = toolchain(config)
    promtool = Promtool(tools.find("promtool").path)
    complaints = check_rule_files(promtool, project.files)  # before any engine starts
    with _open(config, choices, tools) as engine:
        proved = _prove(project, engine, promtool, complaints, choices, "proving")
        results = proved.results
        out = console(sys.stderr if choices.prints_document else None)
        if not choices.prints_document:
            proof_table(results, out)
            out.print()
            out.print(Text(summary(results, engine.kind, engine.version), style="bold"))
        _write_documents(results, engine, choices)  # last: if a disk is full, the table was shown
        choices.outputs.write(Outcome(proved), out)
    return EXIT_OK if results and all(result.exact for result in results) else EXIT_FINDINGS


def test_suites(
    config: Config, paths: Sequence[str], options: SuiteOptions, *, json: str | None, outputs: Outputs
) -> int:
    """Run promtool unit tests, print what they and the checks find; 1 if anything fails, 2 for a file that is none."""
    if json is not None and json != "-":
        _must_be_writable("--json", Path(json), folder=False)
    _check_outputs(outputs)
    files = unit_test_files(paths, Path.cwd()) if paths else unit_test_files(config.tests, config.folder)
    if not files:
        raise InputError("no unit-test file was named", hint="name one, or set `tests` in [tool.alert-harness]")
    with contextlib.suppress(InputError):  # unit tests need no configured rules
        options = replace(options, configured_rules=tuple(rule_files(config.rules, config.folder)))
    run = SuiteRun(files, Promtool(toolchain(config).find("promtool").path), options)
    out = console(sys.stderr if json == "-" else None)

    def tell() -> Report:
        report = run.report()
        if json != "-":
            write_report(report, out)
        if json is not None:
            _write(json, suites_json(report))
        outputs.write(Outcome(suites=report), out)
        return report

    try:
        with watching(len(files), "testing") as watch:
            for result in run.results():
                watch.step(result.name)
                if json != "-":
                    write_file(result, out)
    except KeyboardInterrupt:
        tell()
        raise
    report = tell()
    if any(file.problem for file in report.files):
        return EXIT_INPUT
    return EXIT_OK if report.passed else EXIT_FINDINGS


def verify(config: Config, choices: Choices, *, tests: Sequence[str] | None) -> int:
    """Everything that is configured, step by step; ends in a clear yes or no.

    A step whose input is wrong ends the run, as in `prove`; findings of one step do not keep the next from running.
    """
    out = console(sys.stderr if choices.prints_document else None)
    project = load(config, choices)
    alerts = sum(len(group.alerts()) for file in project.files for group in file.groups)
    _step(out, True, f"loaded {_count(alerts, 'alert')} from {_count(len(project.files), 'rule file')}, "
          f"{_count(len(project.contracts), 'contract')}")  # fmt: skip
    tools = toolchain(config)
    promtool = Promtool(tools.find("promtool").path)
    problems = promtool.check_rules([file.path for file in project.files], lint=True)
    _step(out, not problems, f"promtool check rules, with lint (promtool {promtool.version})", map(str, problems))
    passed = not problems
    unit_tests = (
        unit_test_files(tests, Path.cwd()) if tests is not None else unit_test_files(config.tests, config.folder)
    )
    suites = None
    if unit_tests:
        suites, failed = _run_suites(config, project, unit_tests, promtool)
        _step(out, suites.passed, f"promtool test rules: {_count(len(unit_tests), 'file')}", failed)
        passed = passed and suites.passed
    else:
        _step(out, None, "promtool test rules: skipped, the setting `tests` is empty")
    complaints = check_rule_files(promtool, project.files)  # an expression with a caret, before any engine starts
    with _open(config, choices, tools) as engine:
        proved = _prove(project, engine, promtool, complaints, choices, "proving")
        results = proved.results
        _write_documents(results, engine, choices)
        exact = all(result.exact for result in results)
        _step(out, exact, f"prove: {summary(results, engine.kind, engine.version)}")
        out.print()
        proof_table(results, out)
        out.print()
        kind = engine.kind
    passed = passed and exact
    if kind == "process" and (choices.engine or config.engine) == "auto":
        passed = _prove_in_container(config, choices, project, promtool, complaints, out) and passed
    choices.outputs.write(Outcome(proved, suites, [str(problem) for problem in problems]), out)
    out.print()
    if passed:
        verb = "fires" if len(results) == 1 else "fire"
        out.print(Text(f"YES: {_count(len(results), 'alert')} {verb} exactly as meant.", style="bold green"))
    else:
        out.print(Text("NO: see above for what is not as meant.", style="bold red"))
    return EXIT_OK if passed else EXIT_FINDINGS


def _run_suites(
    config: Config, project: Project, files: Sequence[Path], promtool: Promtool
) -> tuple[Report, list[str]]:
    """A run of the unit tests, and what to print of those that do not pass."""
    rules = tuple(file.path for file in project.files)
    run = SuiteRun(files, promtool, SuiteOptions(strict=config.strict_tests, configured_rules=rules))
    said = io.StringIO()
    for result in run.results():
        if result.status is not Status.PASSED:
            write_file(result, console(said))
    report = run.report()
    if not report.passed:
        write_report(report, console(said))
    return report, said.getvalue().rstrip().splitlines()


def _prove_in_container(
    config: Config,
    choices: Choices,
    project: Project,
    promtool: Promtool,
    complaints: Mapping[int, str],
    out: Console,
) -> bool:
    """Where a container engine runs and has the image, the same proof in a container; else say why not, and go on."""
    from harness.engines.container import ContainerEngine

    try:
        # Nothing is pulled for this: a first `verify` should not wait for a download that it can do without.
        engine = ContainerEngine(choices.image or config.image, pull=False)
    except EngineError as err:
        _step(out, None, f"prove in a container: skipped, {err.message.splitlines()[0]}")
        return True
    with engine:
        quiet = Choices(alerts=choices.alerts)
        results = _prove(project, engine, promtool, complaints, quiet, "proving in a container").results
        exact = all(result.exact for result in results)
        _step(out, exact, f"prove: {summary(results, engine.kind, engine.version)}")
        if not exact:
            proof_table(results, out)
    return exact


def _step(out: Console, passed: bool | None, what: str, details: Iterable[str] = ()) -> None:
    """One line per step: ok, FAILED, or skipped (None), with details below."""
    mark, style = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("--", "dim")}[passed]
    out.print(Text.assemble((f"{mark:>6}", style), f"  {what}"))
    for line in details:
        out.print(Text(f"        {line}"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
