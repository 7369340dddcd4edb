"""What the actions of `stack` let one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from harness.choices.option import option
from harness.choices.shared import annotate_option, json_option, junit_option, report_option


def _runtime_option() -> Any:
    return option(
        "--runtime",
        help="compose (containers), process (local processes), or auto: compose where an engine is up, else process",
        default="auto",
        metavar="KIND",
    )


def _compress_option(default: str) -> Any:
    return option(
        "--compress", help=f"run K times as fast: every duration is divided by K{default}", type=int, metavar="K"
    )


@dataclass(frozen=True, slots=True)
class UpChoices:
    """What `stack up` lets one choose."""

    runtime: str = _runtime_option()
    compress: int | None = _compress_option(" (default: 1, real time)")
    wait: bool = option(
        "--wait", help="wait until Prometheus has scraped every target too", default=False, action="store_true"
    )
    ports: Sequence[str] = option(
        "--port",
        help="listen elsewhere than on the standard port; 0: any that is free (repeatable)",
        default=(),
        action="append",
        metavar="NAME=PORT",
    )


@dataclass(frozen=True, slots=True)
class StatusChoices:
    """What `stack status` lets one choose."""

    json: bool = option("--json", help="print JSON", default=False, action="store_true")


@dataclass(frozen=True, slots=True)
class DownChoices:
    """What `stack down` lets one choose."""

    volumes: bool = option("--volumes", help="remove the data too", default=False, action="store_true")


@dataclass(frozen=True, slots=True)
class LogsChoices:
    """What `stack logs` lets one choose."""

    name: str | None = option(help="service (default: all)", nargs="?", metavar="NAME")
    follow: bool = option("--follow", help="go on until Ctrl-C", default=False, action="store_true")


@dataclass(frozen=True, slots=True)
class ScenarioChoices:
    """What `stack run` lets one choose."""

    scenario: str = option(help="a scenario file, or the name of a shipped one", default=MISSING, metavar="SCENARIO")
    runtime: str = _runtime_option()
    compress: int | None = _compress_option("; a stack that is up keeps its own")
    seed: int = option("--seed", help="seed of the traffic (default: 1)", default=1, type=int, metavar="N")
    json: str | None = json_option("write the results as JSON; - prints it instead of the text")
    report: str | None = report_option()
    junit: Path | None = junit_option()
    annotate: str | None = annotate_option()
