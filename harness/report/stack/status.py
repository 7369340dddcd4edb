"""The stack's status: tables on a terminal, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.document import document_text
from harness.report.wording import one_line
from harness.stack.runtime import Health, ServiceState, ServiceStatus, Target

_COLOURS: dict[str, str] = {
    ServiceState.RUNNING: "green",
    ServiceState.ENDED: "red",
    ServiceState.ABSENT: "dim",
    Health.UP: "green",
    Health.DOWN: "red",
    Health.WAITING: "yellow",
}


@dataclass(frozen=True, slots=True)
class StackStatus:
    """How a stack is; ``problem`` says why Prometheus could not be asked for its targets."""

    runtime: str
    factor: int
    services: Sequence[ServiceStatus]
    targets: Sequence[Target]
    problem: str = ""

    @property
    def up(self) -> int:
        """How many targets are up."""
        return sum(target.health is Health.UP for target in self.targets)

    @property
    def well(self) -> bool:
        """Whether everything runs that ought to; what is not part of this stack, or not scraped yet, is no fault."""
        return (
            not self.problem
            and all(service.state is not ServiceState.ENDED for service in self.services)
            and all(target.health is not Health.DOWN for target in self.targets)
        )


def stack_report(status: StackStatus, out: Console) -> None:
    """A table of services, one of targets, and a line that says it all."""
    services = _table("service", "state", "address", "why")
    for each in status.services:
        services.add_row(each.name, _cell(each.state), each.url, one_line(each.reason))
    out.print(services)
    out.print()
    targets = _table("target", "health", "service", "why")
    for target in status.targets:
        targets.add_row(target.job, _cell(target.health), target.service, one_line(target.reason))
    if status.targets:
        out.print(targets)
        out.print()
    out.print(Text(conclusion(status), style="bold"))


def conclusion(status: StackStatus) -> str:
    """One line."""
    kind = "containers" if status.runtime == "compose" else "local processes"
    pace = "" if status.factor == 1 else f", {status.factor} times as fast"
    if status.problem:
        return f"{kind}{pace}: {status.problem}"
    absent = sum(target.health is Health.ABSENT for target in status.targets)
    waiting = sum(target.health is Health.WAITING for target in status.targets)
    left_out = f", {absent} not part of this stack" if absent else ""
    soon = f", {waiting} not scraped yet" if waiting else ""
    return f"{kind}{pace}: {status.up} of {len(status.targets)} targets are up{soon}{left_out}"


def stack_json(status: StackStatus | None) -> str:
    """The same as a document; `{"up": false}` where there is no stack."""
    if status is None:
        document: dict[str, object] = {"up": False}
    else:
        document = {
            "up": True,
            "well": status.well,
            "runtime": status.runtime,
            "factor": status.factor,
            "services": [
                {"name": s.name, "state": str(s.state), "url": s.url, "reason": s.reason} for s in status.services
            ],
            "targets": [
                {"job": t.job, "service": t.service, "health": str(t.health), "reason": t.reason}
                for t in status.targets
            ],
            "problem": status.problem,
        }
    return document_text(document)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _cell(state: ServiceState | Health) -> Text:
    return Text(str(state), style=_COLOURS.get(state, ""))
