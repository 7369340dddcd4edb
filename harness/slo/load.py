"""Objectives from files, whichever of the two formats they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.config import objective_files
from harness.errors import InputError, near_miss
from harness.slo.model import Objective
from harness.slo.openslo import API_VERSION, Pending, Shelf, resolve
from harness.slo.refuse import refuse_clashes
from harness.slo.sloth import VERSION, read
from harness.slo.windows import DEFAULT_PERIOD_MS as DEFAULT_PERIOD_MS
from harness.source import Fields, SourceFile, load_yaml


def load_objectives(paths: Sequence[Path], *, period_ms: int = DEFAULT_PERIOD_MS) -> list[Objective]:
    """Every objective of `paths` (files), in their order; OpenSLO's references may point from one file to another.

    `period_ms` is the period of the objectives of sloth's files. Raises InputError for what is wrong, and
    UnsupportedError for what is legal but not treated, at its line and column.
    """
    shelf = Shelf()
    found: list[Pending | Objective] = []
    for path in paths:
        source = SourceFile.read(path)
        documents = load_yaml(source)
        if not documents:
            raise InputError(f"{source.name} is empty, expected an objective", hint="see docs/slo.md for an example")
        for node in documents:
            fields = Fields(node, source, "an objective's document")
            found += shelf.add(fields) if _version(fields) == API_VERSION else read(fields, period_ms)
    objectives = [
        objective
        for entry in found
        for objective in ([entry] if isinstance(entry, Objective) else resolve(entry, shelf))
    ]
    if not objectives:
        names = ", ".join(str(path) for path in paths)
        raise InputError(f"no objective in {names}", hint="add a document of `kind: SLO`")
    refuse_clashes(objectives)
    return objectives


def load_configured(patterns: Sequence[str], folder: Path, *, period_ms: int = DEFAULT_PERIOD_MS) -> list[Objective]:
    """The objectives of files, folders and globs, relative to `folder`."""
    return load_objectives(objective_files(patterns, folder), period_ms=period_ms)


def _version(fields: Fields) -> str:
    for key, known in (("apiVersion", API_VERSION), ("version", VERSION)):
        if key in fields:
            version = fields.text(key)
            if version.value != known:
                raise InputError(
                    f"`{key}: {version.value}` is not a version that is read here"
                    f"{near_miss(version.value, [API_VERSION, VERSION])}",
                    span=version.span,
                    hint=f"write `apiVersion: {API_VERSION}` (OpenSLO) or `version: {VERSION}` (sloth)",
                )
            return known
    raise InputError(
        "this document says neither `apiVersion` (OpenSLO) nor `version` (sloth)",
        span=fields.span,
        hint=f"start it with `apiVersion: {API_VERSION}` or `version: {VERSION}`",
    )
