"""`prove --emit`: promtool unit tests of what the contracts say, one file per alert, to be kept.

For an exact alert that is what was measured, with labels and annotations as rendered. For any other it is the
contract's expectation, which fails until the rule is mended: a test must not pin a fault.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.contracts import Contract
from harness.engines.promtool import Promtool
from harness.errors import EngineError, InputError
from harness.files import write_whole
from harness.proof.model import AlertFinding, AlertResult, LocatedAlert, Verdict
from harness.proof.promtool.check import CheckAnswer, confirmed_cases
from harness.proof.promtool.expected import ExpectedCase, ExpectedTick
from harness.proof.promtool.unit_test import (
    CheckRequest,
    co_firing,
    eval_time,
    flow,
    head,
    promtool_test,
    selector,
    test_group,
)
from harness.units import format_duration
from harness.yamltext import double_quoted

_TO_WRITE = "(write here what it should say)"


@dataclass(frozen=True, slots=True)
class ResultToEmit:
    """A result with what is needed to write its tests."""

    result: AlertResult
    request: CheckRequest | None = None
    answer: CheckAnswer | None = None
    expected: Sequence[ExpectedCase] = ()


@dataclass(frozen=True, slots=True)
class Emitted:
    """What was written for one alert."""

    alert: str
    file: Path | None
    """None: nothing, for the reason in `note`."""
    note: str = ""
    """Why it fails, or what it does not say; empty for an exact alert with all of its cases."""
    fails: bool = False


def emit(promtool: Promtool, folder: Path, proven: Sequence[ResultToEmit]) -> list[Emitted]:
    """Write the tests, and have promtool pass those of exact alerts and fail all others.

    Raises EngineError if promtool does not confirm what is written of an exact alert.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_one(promtool, folder, one) for one in proven if one.result.contract is not None]
    except OSError as err:
        raise InputError(
            f"cannot write to {folder}: {err.strerror or err}", hint="choose another --emit folder"
        ) from err


def _one(promtool: Promtool, folder: Path, one: ResultToEmit) -> Emitted:
    result, request, answer = one.result, one.request, one.answer
    if result.exact and request is not None and answer is not None and not answer.refused:
        return _exact(promtool, folder, request, answer)
    if request is None or not one.expected or result.contract is None or result.is_draft:
        return Emitted(result.alert, None, f"{result.verdict.value}: there is nothing that a test could hold")
    return _not_exact(promtool, folder, one, request, result.contract)


def _exact(promtool: Promtool, folder: Path, request: CheckRequest, answer: CheckAnswer) -> Emitted:
    name, alert = _file_name(request.located), request.located.rule.alert
    cases, rendered = confirmed_cases(request, answer)
    note = answer.cannot and f"of {len(request.cases)} facts it holds {len(cases)}: {answer.cannot}"
    comments = [
        f"# {alert} as measured by `alert-harness prove --emit`; run: {_command(promtool)}",
        "# Samples are written out, not as a+bxN: exactness hangs on every digit.",
        *_more(request, note),
    ]
    file = folder / f"{name}.test.yml"
    if not cases:
        return Emitted(alert, None, answer.cannot)
    _write(folder, name, request, promtool_test(replace(request, cases=tuple(cases)), folder, name, rendered, comments))
    run = promtool.test_rules([file])
    if run.returncode == 0:
        return Emitted(alert, file, note)
    if answer.cannot:
        file.unlink()
        return Emitted(alert, None, answer.cannot)
    raise EngineError(
        f"promtool does not confirm the tests in {folder}:\n{run.stderr.strip()[:4000]}",
        hint="this is a fault of alert-harness: please report it with the rule and the contract",
    )


def _not_exact(
    promtool: Promtool, folder: Path, one: ResultToEmit, request: CheckRequest, contract: Contract
) -> Emitted:
    name, alert, findings = _file_name(request.located), request.located.rule.alert, one.result.findings
    why = f"{findings[0].verdict.value}: {findings[0].message}"
    comments = [
        f"# {alert} as its contract has it, by `alert-harness prove --emit`; run: {_command(promtool)}",
        "# This test fails until the rule is mended; as it is,",
        *(f"#   {finding.verdict.value}: {line}" for finding in findings for line in finding.message.splitlines()),
        *_more(request, ""),
    ]
    file = folder / f"{name}.test.yml"
    _write(folder, name, request, _expected_test(request, folder, name, one, contract, comments))
    if promtool.test_rules([file]).returncode:
        return Emitted(alert, file, why, fails=True)
    note = f"promtool cannot show this fault, so this test passes all the same ({why})"
    comments[1] = f"# {note}; as it is,"
    _write(folder, name, request, _expected_test(request, folder, name, one, contract, comments))
    return Emitted(alert, file, note)


def _command(promtool: Promtool) -> str:
    return f"promtool {' '.join([*promtool.flags, 'test rules FILE'])}"


def _more(request: CheckRequest, note: str) -> Iterable[str]:
    if note:
        yield f"# {note}"
    for number, file in enumerate(request.rules.files):
        if number in request.rules.renamed:
            yield f"# Two groups of one name have no order in promtool, so it reads a copy of {file.path.name} with one"
            yield "# renamed; write it anew (prove --emit) whenever the rules change."
        elif not file.as_it_is:
            yield f"# promtool does not take {file.path.name} as it is, so it reads a copy of its groups; write it anew"
            yield "# (prove --emit) whenever the rules change."


def _expected_test(
    request: CheckRequest, folder: Path, prefix: str, one: ResultToEmit, contract: Contract, comments: Sequence[str]
) -> str:
    lines = [*comments, *head(request, folder, prefix)]
    for expected in one.expected:
        lines += test_group(request, expected.case, expected.case.name)
        quiet = [want for want in expected.wanted if not want.fires and not want.ever_ms]
        if quiet:
            lines.append("    alert_rule_test:")
        for want in quiet:
            lines.append(f"      - eval_time: {eval_time(request, expected.case, want.tick)}")
            lines.append(f"        alertname: {double_quoted(request.located.rule.alert)}")
            lines.append("        exp_alerts: []")
        lines.append("    promql_expr_test:")
        for want in expected.wanted:
            lines += _assertions(request, expected, want)
        lines += co_firing(request, expected.case, expected.case.ticks - 1)
    return "\n".join([*lines, *_annotated(request, one, contract)]) + "\n"


def _assertions(request: CheckRequest, expected: ExpectedCase, want: ExpectedTick) -> Iterable[str]:
    """What must be, on ALERTS: labels are asserted one by one, and nothing is said of annotations."""

    def count(labels: Mapping[str, str]) -> str:
        found = f"ALERTS{{{selector(request, **{**labels, 'alertstate': 'firing'})}}}"
        if want.ever_ms:
            found = f"count_over_time({found}[{format_duration(want.ever_ms)}])"
        return f"count({found}) or vector(0)"

    def one(expr: str, value: int) -> Iterable[str]:
        yield f"      - expr: {double_quoted(expr)}"
        yield f"        eval_time: {eval_time(request, expected.case, want.tick)}"
        yield f"        exp_samples: [{{labels: '{{}}', value: {value}}}]"

    if not want.fires:
        yield from one(count({}), 0)
        return
    for labels in want.alerts:
        yield from one(f"({count(labels)}) > bool 0", 1)
    if want.only:
        yield from one(count({}), len(want.alerts))


def _annotated(request: CheckRequest, one: ResultToEmit, contract: Contract) -> Iterable[str]:
    """The alert as it should be rendered where its annotations are at fault: what they should say is not known."""
    wrong = [finding for finding in one.result.findings if finding.verdict is Verdict.WRONG_ANNOTATIONS]
    if not wrong or one.answer is None or one.answer.first_alert() is None:
        return
    fires = {key: alerts for key, alerts in one.answer.rendered.items() if one.answer.own(alerts)}
    number = min(number for number, _ in fires)
    tick = max(tick for n, tick in fires if n == number)  # the last: what lies behind it would not be loaded
    alerts = fires[number, tick]
    case = request.cases[number]
    labels, notes = one.answer.own(alerts)[0]
    named = dict.fromkeys([*notes, *request.located.rule.annotations, *contract.annotations])
    shown = {name: _TO_WRITE if _speaks_of(wrong, name) else notes.get(name, "") for name in named}
    yield from test_group(request, case, f"{case.name}: annotations")
    yield "    alert_rule_test:"
    yield f"      - eval_time: {eval_time(request, case, tick)}"
    yield f"        alertname: {double_quoted(request.located.rule.alert)}"
    yield "        exp_alerts:"
    yield f"          - exp_labels: {flow({n: v for n, v in labels.items() if n != 'alertname'})}"
    yield f"            exp_annotations: {flow(shown)}"
    if others := co_firing(request, case, tick):
        yield from ("    promql_expr_test:", *others)


def _speaks_of(findings: Sequence[AlertFinding], annotation: str) -> bool:
    return any(f"annotation `{annotation}`" in finding.message for finding in findings)


def _write(folder: Path, name: str, request: CheckRequest, text: str) -> None:
    write_whole(folder / f"{name}.test.yml", text)
    for copy, rules in request.rules.copies(folder, name):
        write_whole(copy, textwrap.dedent(rules.strip("\n")) + "\n")


def _file_name(located: LocatedAlert) -> str:
    severity = located.rule.labels.get("severity")
    namesakes = [r for g in located.file.groups for r in g.alerts() if r.alert == located.rule.alert]
    name = located.rule.alert if len(namesakes) == 1 or severity is None else f"{located.rule.alert}-{severity.value}"
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
