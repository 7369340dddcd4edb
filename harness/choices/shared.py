"""Options that several commands have."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.choices.option import WriteTarget, option, printed_documents
from harness.units import parse_duration_ms


class EngineChoices(Protocol):
    """On which engine; None where the settings decide."""

    @property
    def engine(self) -> str | None: ...
    @property
    def image(self) -> str | None: ...
    @property
    def url(self) -> str | None: ...


class ProjectChoices(EngineChoices, Protocol):
    """Which rules and contracts, of which alerts, and on which engine; None where the settings decide."""

    @property
    def rules(self) -> Sequence[str] | None: ...
    @property
    def contracts(self) -> Sequence[str] | None: ...
    @property
    def alerts(self) -> Sequence[str] | None: ...


class OutputChoices(Protocol):
    """Where results go for people and CI."""

    @property
    def report(self) -> str | None: ...
    @property
    def junit(self) -> Path | None: ...
    @property
    def annotate(self) -> str | None: ...


def seconds(text: str) -> float:
    """For argparse: the seconds of a duration of at least one."""
    try:
        ms = parse_duration_ms(text)
    except ValueError as err:
        raise ArgumentTypeError(f"{err}; write a number and a unit, such as 30s or 2m") from err
    if ms < 1000:
        raise ArgumentTypeError("at least 1s is needed")
    return ms / 1000


def rules_option() -> Any:
    return option("--rules", help="rule file, folder or glob (repeatable)", action="append", metavar="PATH")


def contracts_option() -> Any:
    return option("--contracts", help="contract file, folder or glob", action="append", metavar="PATH")


def alert_option() -> Any:
    return option("--alert", help="only this alert (repeatable)", action="append", metavar="NAME")


def engine_option() -> Any:
    return option(
        "--engine",
        help="process (a local prometheus), docker, url, or auto: a process if there is a binary, else docker",
        metavar="KIND",
    )


def image_option() -> Any:
    return option("--image", help="container image of Prometheus for --engine docker", metavar="NAME")


def url_option() -> Any:
    return option("--url", help="Prometheus-compatible API with remote write for --engine url", metavar="URL")


def json_option(help: str) -> Any:
    return option("--json", help=help, target=WriteTarget.DOCUMENT, metavar="FILE")


def report_option() -> Any:
    return option("--report", help="folder of the HTML page (default: build/report); none: no page", metavar="DIR")


def junit_option() -> Any:
    return option("--junit", help="write the results as JUnit XML", type=Path, metavar="FILE")


def annotate_option() -> Any:
    return option(
        "--annotate",
        help="findings beside the lines: github (workflow commands), gitlab or gitlab=FILE (code quality)",
        metavar="KIND",
    )


def objective_files_argument() -> Any:
    return option(
        help="file, folder or glob of objectives (default: the configured)", default=(), nargs="*", metavar="PATH"
    )


def period_option() -> Any:
    return option(
        "--default-slo-period",
        help="period of objectives that name none (default: the setting slo_period; 30d of sloth's files)",
        metavar="DURATION",
    )


@dataclass(frozen=True)
class RunChoices:
    """What `prove` and `verify` both let one choose; None where nothing was chosen."""

    rules: Sequence[str] | None = rules_option()
    contracts: Sequence[str] | None = contracts_option()
    engine: str | None = engine_option()
    image: str | None = image_option()
    url: str | None = url_option()
    json: str | None = json_option("write the proof as JSON; - prints it instead of the table")
    markdown: str | None = option(
        "--markdown",
        help="write it as a Markdown table; - prints it instead",
        target=WriteTarget.DOCUMENT,
        metavar="FILE",
    )
    alert_timeout_s: float | None = option(
        "--alert-timeout",
        help="how long one alert may take before it is an error and the next comes (default: 30s)",
        type=seconds,
        metavar="TIME",
    )
    emit: Path | None = option(
        "--emit",
        help="write what was proved as promtool unit tests",
        target=WriteTarget.FOLDER,
        type=Path,
        metavar="DIR",
    )
    report: str | None = report_option()
    junit: Path | None = junit_option()
    annotate: str | None = annotate_option()
    alerts: Sequence[str] | None = None

    @property
    def prints_document(self) -> bool:
        """Whether standard output belongs to JSON or Markdown."""
        return bool(printed_documents(self))
