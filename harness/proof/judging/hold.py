"""How long an alert waits and how long it goes on firing, against its contract."""

from __future__ import annotations

from harness.contracts import Contract, ContractKind
from harness.proof.model import AlertFinding, LocatedAlert, Measured, Verdict
from harness.replay import Plan
from harness.units import format_duration


def looks_back(contract: Contract, plan: Plan, after_ms: int) -> bool:
    """Whether the rule of an absence or presence counts only `after_ms` after the series went or came, and not at the
    next scrapes and ticks.

    Of such a contract the hold is told from the moment itself: nothing but a window or an offset comes between, which a
    threshold's contract has no word for.
    """
    if contract.kind not in (ContractKind.ABSENCE, ContractKind.PRESENCE):
        return False
    # A rate needs two scrapes, and each recording rule may be a tick of its group behind.
    return after_ms > 2 * contract.scrape_ms + plan.interval_ms + sum(group.interval_ms for group, _ in plan.recordings)


def judge_hold(contract: Contract, located: LocatedAlert, measured: Measured) -> list[AlertFinding]:
    """Whether it waits, and goes on firing, for as long as the contract says; of an alert that has fired."""
    interval = located.group.interval_ms
    wanted = -(-contract.hold_ms // interval) * interval
    says = f"the contract says {format_duration(contract.hold_ms)}"
    count = wanted // interval
    ticks = f"({count} {'tick' if count == 1 else 'ticks'} of {format_duration(interval)})"
    if measured.fires_after_ms is None:
        message = "becomes pending but never fires"
        if contract.kind is ContractKind.THRESHOLD:
            message += " while the knob stands past the threshold"
        return [AlertFinding(Verdict.WRONG_HOLD, message, (f"{says} {ticks}",))]
    findings = []
    if others := measured.held_otherwise - {measured.fires_after_ms}:
        shown = sorted(
            "not at all" if ms is None else f"{format_duration(ms)} after it becomes pending" for ms in others
        )
        message = f"as the groups that it reads happen to tick it fires {' or '.join(shown)}"
        findings.append(AlertFinding(Verdict.WRONG_HOLD, message, (f"{says} {ticks}",)))
    late = measured.late_ms
    stretched = wanted - contract.hold_ms
    if late is not None:
        total = late + measured.fires_after_ms
        if not wanted <= total <= wanted + interval:
            state = "gone" if contract.kind is ContractKind.ABSENCE else "there"
            seen = f"it becomes pending {format_duration(late)} after that, for the rule looks back"
            got = f"fires {format_duration(total)} after the series are {state}"
            findings.append(AlertFinding(Verdict.WRONG_HOLD, got, (f"{says} {ticks}", seen)))
    elif measured.fires_after_ms != wanted:
        got = format_duration(measured.fires_after_ms)
        findings.append(AlertFinding(Verdict.WRONG_HOLD, f"fires {got} after it becomes pending", (f"{says} {ticks}",)))
    elif stretched > contract.scrape_ms:
        got = f"fires {format_duration(wanted)} after it becomes pending, for the group's interval stretches the hold"
        findings.append(AlertFinding(Verdict.WRONG_HOLD, got, (f"{says} {ticks}",)))
    kept = -(-contract.keep_firing_ms // interval) * interval
    if measured.resolves_after_ms != kept and contract.kind is not ContractKind.ALWAYS:
        if measured.resolves_after_ms is None:
            got = "does not resolve after the condition ended"
        else:
            got = f"resolves {format_duration(measured.resolves_after_ms)} after the condition ended"
        says = f"the contract says {format_duration(kept)}"
        findings.append(AlertFinding(Verdict.WRONG_HOLD, got, (says,), recovery=True))
    return findings
