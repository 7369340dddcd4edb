"""The cells and sentences that every report of a proof shares, so that no two say it differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from harness.contracts.model import ContractKind
from harness.errors import Span, printable
from harness.proof.model import AlertFinding, AlertResult, Measured, Verdict
from harness.proof.pairing import Pairing
from harness.proof.promtool.emit import Emitted
from harness.units import count_of, format_duration, format_with_unit

_DIGITS = 18
"""Of a double that needs all of its digits, with sign and point."""
_WIDEST_CELL = 50
HEADER = ("alert", "contract", "last quiet", "first firing", "off by", "hold", "situations", "verdict")


def one_line(text: str) -> str:
    """Text that can neither leave its cell nor be obeyed by a terminal; a line end is shown as ␊."""
    return printable(text.replace("\n", "␊").replace("\t", " "))


def be(number: int) -> str:
    return "is" if number == 1 else "are"


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
    interval = located.group.interval_ms
    if measured.phase_ticks is not None:
        least, most = measured.phase_ticks
        return f"{format_duration(least * interval)}–{format_duration(most * interval)} ({least} to {most} ticks)"
    ticks = measured.fires_after_ms // interval
    return f"{format_duration(measured.fires_after_ms)} ({ticks} tick{'s' if ticks != 1 else ''})"


def situations_cell(result: AlertResult) -> str:
    if not result.situations:
        return "–"
    return f"{sum(s.ok for s in result.situations)}/{len(result.situations)}"


def verdict_cell(result: AlertResult) -> str:
    """``off threshold``; of a draft also what it would be, of an alert that is set aside that it is."""
    text = result.verdict.value.replace("_", " ")
    if result.verdict is Verdict.DRAFT and result.would_be is not None:
        text += f", would be {result.would_be.value.replace('_', ' ')}"
    return f"{text} (allowed)" if result.allowed is not None and not result.exact else text


def tone_of(result: AlertResult) -> str:
    """``good``, ``warn`` (accepted, or a person has to say what is meant) or ``bad``."""
    if result.exact:
        return "good"
    return "warn" if result.accepted or result.verdict in (Verdict.UNEXPECTED, Verdict.DRAFT) else "bad"


def expected_widths(pairings: Sequence[Pairing]) -> list[int]:
    """How wide the cells before the verdict will be, as far as contracts and rules tell before anything is measured."""
    rows = [tuple(map(len, HEADER[:-1]))]
    for pairing in pairings:
        contract, located = pairing.contract, pairing.located
        name = contract.alert.value if contract is not None else located.rule.alert if located is not None else ""
        result = AlertResult(name, contract, located, Measured(), [], [])
        cells = [len(one_line(name)), len(one_line(contract_cell(result))), *map(len, HEADER[2:-1])]
        if contract is not None and contract.kind is ContractKind.THRESHOLD:
            knob = contract.knob
            if knob.step is None:
                cells[2:4] = [_DIGITS + len(f" {knob.unit}".rstrip())] * 2
            else:
                near = (knob.low, knob.high, contract.threshold - knob.step, contract.threshold + knob.step)
                cells[2:4] = [max(len(position(result, x)) for x in near)] * 2
                cells[4] = len(f"0 {knob.counts}")
        if contract is not None:
            cells[5] = len(f"{format_duration(contract.hold_ms)} (99 ticks)")
        rows.append(tuple(cells))
    return [min(max(column), _WIDEST_CELL) for column in zip(*rows, strict=True)]


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


def finding_lines(findings: Iterable[AlertFinding], indent: str = "  ") -> list[str]:
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
    exact = sum(result.exact for result in results)
    said = f"{exact} of {len(results)} alerts {'is' if exact == 1 else 'are'} exact"
    if drafts := sum(result.verdict is Verdict.DRAFT for result in results):
        said += f", {count_of(drafts, 'draft')}"
    if allowed := sum(result.allowed is not None for result in results):
        said += f", {allowed} set aside"
    return f"{said}, on Prometheus {version} ({engine})."


def emitted_lines(emitted: Sequence[Emitted]) -> list[str]:
    """What `--emit` wrote: how many tests, and a line for each that fails, or does not say all."""
    if not emitted:
        return []
    written = sum(one.file is not None for one in emitted)
    lines = [f"{count_of(written, 'promtool unit test')} written"]
    for one in emitted:
        if one.fails:
            lines.append(f"{one.file}: fails until the rule is mended: {one_line(one.note)}")
        elif one.note:
            lines.append(f"{one.file or f'no test of `{one.alert}`'}: {one_line(one.note)}")
    return lines
