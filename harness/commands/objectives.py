"""Objectives as commands read them: from the command line or the settings, with what is to be said of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.config import Config, objective_files
from harness.errors import InputError, Notice
from harness.slo.model import Objective
from harness.slo.spec.load import load_objectives
from harness.units import parse_duration_ms


def load(config: Config, files: Sequence[str], period: str | None = None) -> list[Objective]:
    """The objectives of `files` (as the command line has them), else those of the settings; notices are printed.

    `period` is `--default-slo-period`. Raises InputError for what cannot be read.
    """
    # A path on the command line is relative to where the user stands, one in the settings to their own folder.
    patterns, folder = (files, Path.cwd()) if files else (config.objectives, config.folder)
    return read(config, objective_files(patterns, folder), period)


def read(config: Config, paths: Sequence[Path], period: str | None = None) -> list[Objective]:
    """The objectives of files that were found already."""
    found = load_objectives(paths, period_ms=period_ms(config, period))
    tell(notice for objective in found for notice in objective.notices)
    return found


def tell(notices: Iterable[Notice]) -> None:
    """On standard error, each once: what the user should know although nothing fails."""
    for text in dict.fromkeys(map(str, notices)):
        print(f"alert-harness: warning: {text}", file=sys.stderr)


def period_ms(config: Config, period: str | None) -> int | None:
    """The period of objectives that name none; None where neither the command line nor the settings have one."""
    if period is not None:
        return duration_ms("--default-slo-period", period)
    if config.slo_period is None:
        return None
    try:
        return duration_ms("`slo_period`", config.slo_period)
    except InputError as err:
        raise InputError(err.message, span=config.places.get("slo_period"), hint='write slo_period = "30d"') from err


def duration_ms(what: str, text: str) -> int:
    """Milliseconds of a duration above 0 that an option holds."""
    try:
        value = parse_duration_ms(text)
    except ValueError as err:
        raise InputError(f"{what}: {err}", hint=f"write {what} 30s, 1m or 30d") from err
    if value == 0:
        raise InputError(f"{what} is 0", hint=f"write {what} 30s, 1m or 30d")
    return value
