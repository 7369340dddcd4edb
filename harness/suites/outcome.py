"""From what promtool said of a test group to one result per assertion."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.engines.gostrings import go_unquote
from harness.engines.promtool_failures import Alert, AlertFailure, parse_failures
from harness.suites.model import AlertAssertion, ExprAssertion, Labelled, Result, Status, SuiteFile, TestGroup
from harness.suites.reads import Reads, read_series
from harness.units import parse_duration_ms

_EXPR = re.compile(r'(?:.*?: )?expr: (?P<expr>"(?:[^"\\]|\\.)*"), time: (?P<time>\w+),\s*(?P<said>.*)', re.DOTALL)
_RULE = re.compile(r"rule: .*?, time: (?P<time>\w+), err: ", re.DOTALL)


def group_results(suite: SuiteFile, group: TestGroup, said: str, reads: Reads) -> tuple[list[Result], list[str]]:
    """One result per assertion in the order of the file, and what was said of the group as a whole.

    Raises EngineError if promtool's report cannot be read.
    """
    report = _Report.of(said)
    results = [_alert_result(suite, group, assertion, report, reads) for assertion in group.alerts]
    results += [_expr_result(suite, group, assertion, report, reads) for assertion in group.exprs]
    return results, report.whole + report.unplaced()


@dataclass(slots=True)
class _Report:
    """What promtool said of a test group; a failure is taken out by the assertion that it belongs to."""

    alerts: list[AlertFailure]
    exprs: list[tuple[str, int, str]]
    """(expression, milliseconds, what was said), in the order of the file."""
    whole: list[str]
    """What was said of no assertion."""
    ended_ms: int | None
    """The tick at which a rule could not be evaluated: nothing is judged from there on."""

    @classmethod
    def of(cls, said: str) -> _Report:
        failures = parse_failures(said)
        report = cls(list(failures.alerts), [], [], None)
        for entry in failures.other:
            if match := _EXPR.match(entry):
                report.exprs.append((go_unquote(match["expr"]), parse_duration_ms(match["time"]), match["said"]))
                continue
            report.whole.append(entry)
            at = _duration(match["time"]) if (match := _RULE.match(entry)) else 0
            report.ended_ms = at if report.ended_ms is None else min(report.ended_ms, at)
        return report

    def not_judged(self) -> str:
        return f"promtool did not get here: {self.whole[0]}" if self.whole else ""

    def unplaced(self) -> list[str]:
        """Failures that no assertion has taken, in words."""
        alerts = [f"alert {alert.alertname}: failed at an unknown place" for alert in self.alerts]
        return alerts + [f"{expr}: {text}" for expr, _, text in self.exprs]


def _alert_result(
    suite: SuiteFile, group: TestGroup, assertion: AlertAssertion, report: _Report, reads: Reads
) -> Result:
    failed = _take_alert(report.alerts, assertion)
    status, got, message = Status.PASSED, assertion.expected, ""
    if failed is not None:
        status, got = Status.FAILED, tuple(Labelled(*alert) for alert in failed.got)
    elif report.ended_ms is not None and suite.tick_ms(assertion.eval_time_ms) >= report.ended_ms:
        status, message = Status.ERROR, report.not_judged()
    names = reads.of_alert(assertion.alertname.value)[0] if status is Status.FAILED else set()
    return Result(
        file=suite.name,
        group=group.title,
        group_index=group.index,
        kind="alert",
        subject=assertion.alertname.value,
        eval_time_ms=assertion.eval_time_ms,
        span=assertion.span,
        status=status,
        expected=assertion.expected,
        got=None if status is Status.ERROR else got,
        message=message,
        inputs=_inputs(group, names),
    )


def _expr_result(suite: SuiteFile, group: TestGroup, assertion: ExprAssertion, report: _Report, reads: Reads) -> Result:
    said = _take_expr(report.exprs, assertion)
    status, message = Status.PASSED, ""
    if said is not None:
        status = Status.ERROR if said.startswith("err:") else Status.FAILED
        message = "\n".join(line.strip() for line in said.splitlines())
    elif report.ended_ms is not None:
        status, message = Status.ERROR, report.not_judged()
    names = reads.of_expr(assertion.expr)[0] if status is Status.FAILED else set()
    return Result(
        file=suite.name,
        group=group.title,
        group_index=group.index,
        kind="expr",
        subject=assertion.expr.value,
        eval_time_ms=assertion.eval_time_ms,
        span=assertion.span,
        status=status,
        message=message,
        inputs=_inputs(group, names),
    )


def _duration(text: str) -> int:
    try:
        return parse_duration_ms(text)
    except ValueError:
        return 0


def _inputs(group: TestGroup, names: set[str | None]) -> tuple[str, ...]:
    if not names:
        return ()
    return tuple(f"{s.series.value} {s.values.value}" for s in read_series(group.series, names))


def _take_alert(failures: list[AlertFailure], assertion: AlertAssertion) -> AlertFailure | None:
    """The failure of this assertion; two on one alert and time are told apart by what they expect."""
    for failure in failures:
        if (failure.alertname, failure.time_ms) != (assertion.alertname.value, assertion.eval_time_ms):
            continue
        if _same(failure.expected, assertion.expected):
            failures.remove(failure)
            return failure
    return None


def _same(printed: tuple[Alert, ...], expected: tuple[Labelled, ...]) -> bool:
    def keys(pairs: list[tuple[dict[str, str], dict[str, str]]]) -> list[tuple[object, object]]:
        # Go drops empty values from a label set.
        return sorted(
            (sorted((k, v) for k, v in labels.items() if v), sorted((k, v) for k, v in notes.items() if v))
            for labels, notes in pairs
        )

    return keys(list(printed)) == keys([(dict(e.labels), dict(e.annotations)) for e in expected])


def _take_expr(failures: list[tuple[str, int, str]], assertion: ExprAssertion) -> str | None:
    """What was said of this assertion. Failures come in the order of the file."""
    for index, (expr, time_ms, said) in enumerate(failures):
        if (expr, time_ms) == (assertion.expr.value, assertion.eval_time_ms):
            del failures[index]
            return said
    return None
