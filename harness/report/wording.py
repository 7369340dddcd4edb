"""The cells and sentences that every report of a proof shares, so that no two say it differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from harness.errors import Span, printable
from harness.proof.model import AlertResult, Finding, Verdict
from harness.units import format_duration, format_with_unit

HEADER = ("alert", "contract", "last quiet", "first firing", "off by", "hold", "situations", "verdict")


def one_line(text: str) -> str:
    """Text that can neither leave its cell nor be obeyed by a terminal; a line end is shown as ␊."""
    return printable(text.replace("\n", "␊").replace("\t", " "))


def contract_cell(result: AlertResult) -> str:
    """``> 80 % for 5m``, ``absent for 5m``, ``always``."""
    contract = result.contract
    if contract is None:
        return "none"
    return f"{contract.limit} for {format_duration(contract.hold_ms)}" if contract.hold_ms else contract.limit


def quiet_cell(result: AlertResult) -> str:
    boundary = result.measured.boundary
    return position(result, boundary.quiet_at) if boundary else "–"


def fires_cell(result: AlertResult) -> str:
    boundary = result.measured.boundary
    return position(result, boundary.fires_at) if boundary else "–"


def position(result: AlertResult, x: Fraction) -> str:
    """A knob position with its unit."""
    return result.contract.at(x) if result.contract else format_with_unit(x, "")


def off_cell(result: AlertResult) -> str:
    """The distance from the contract's own boundary, in what the knob counts, else in ULP."""
    boundary, contract = result.measured.boundary, result.contract
    if boundary is None or contract is None:
        return "–"
    if contract.knob.step is not None:
        return f"{boundary.steps:+,d} {contract.knob.counts}".replace("+0 ", "0 ").rstrip()
    if boundary.ulps < 1000:
        return f"{boundary.ulps} ULP"
    distance = float(boundary.fires_at - contract.threshold)
    return f"{distance:+.6g} {contract.knob.unit}".rstrip()


def hold_cell(result: AlertResult) -> str:
    """``5m (10 ticks)``, measured."""
    measured, located = result.measured, result.located
    if measured.fires_after_ms is None or located is None:
        return "–"
    ticks = measured.fires_after_ms // located.group.interval_ms
    return f"{format_duration(measured.fires_after_ms)} ({ticks} tick{'s' if ticks != 1 else ''})"


def situations_cell(result: AlertResult) -> str:
    if not result.situations:
        return "–"
    return f"{sum(s.ok for s in result.situations)}/{len(result.situations)}"


def verdict_cell(result: AlertResult) -> str:
    return result.verdict.value.replace("_", " ")


def confirmed_cell(result: AlertResult) -> str:
    """Whether promtool saw the same: ``yes``, ``no``, or why it was not asked or cannot judge."""
    if result.confirmed is None:
        return f"not judged: {result.confirmed_reason}" if result.confirmed_reason else "not asked"
    return "yes" if result.confirmed else "no"


def row(result: AlertResult) -> tuple[str, ...]:
    """The cells under :data:`HEADER`, each one line of printable text."""
    cells = (
        result.alert,
        contract_cell(result),
        quiet_cell(result),
        fires_cell(result),
        off_cell(result),
        hold_cell(result),
        situations_cell(result),
        verdict_cell(result),
    )
    return tuple(one_line(cell) for cell in cells)


def finding_lines(findings: Iterable[Finding], indent: str = "  ") -> list[str]:
    """Each message on a line, what belongs to it indented below."""
    return [line for found in findings for line in (found.message, *(f"{indent}{part}" for part in found.details))]


def span_of(result: AlertResult) -> Span:
    """The place of the rule, else of the contract."""
    if result.located is not None:
        return result.located.rule.span
    if result.contract is None:
        raise AssertionError("a result has a contract or a rule")
    return result.contract.alert.span


def place(result: AlertResult) -> str:
    """``rules/system.yml:12``, of the rule, else of the contract."""
    span = span_of(result)
    return f"{span.file}:{span.line}"


def by_verdict(results: Iterable[AlertResult]) -> dict[Verdict, int]:
    """How many there are of each verdict, the gravest first."""
    counted = Counter(result.verdict for result in results)
    return {verdict: counted[verdict] for verdict in Verdict if counted[verdict]}


def summary(results: Sequence[AlertResult], engine: str, version: str) -> str:
    """``9 of 9 alerts are exact, on Prometheus 3.5.3 (process).``"""
    exact = sum(result.verdict is Verdict.EXACT for result in results)
    return (
        f"{exact} of {len(results)} alerts {'is' if exact == 1 else 'are'} exact, on Prometheus {version} ({engine})."
    )
