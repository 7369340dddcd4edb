"""Planned maintenance: stretches of time that spend no budget, written down in a YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from harness.errors import InputError, Notice, near_miss
from harness.slo.model import Objective
from harness.source import Fields, SourceFile, Text, load_yaml

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXAMPLE = "{from: 2026-03-01T02:00:00Z, to: 2026-03-01T04:00:00Z, reason: database move, objectives: [checkout]}"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One stretch, (from, to] in Unix milliseconds, and the objectives that it excuses."""

    from_ms: int
    to_ms: int
    reason: str = ""
    objectives: tuple[Text, ...] = ()
    """Globs of names, or of ids (service-name); none: all objectives."""

    def concerns(self, objective: Objective) -> bool:
        return not self.objectives or any(_fits(glob, objective) for glob in self.objectives)


def _fits(glob: Text, objective: Objective) -> bool:
    return fnmatchcase(objective.name, glob.value) or fnmatchcase(objective.id, glob.value)


def load_maintenance(path: Path) -> tuple[Maintenance, ...]:
    """The stretches of a file, in its order. Raises InputError, at its place, for what is wrong."""
    source = SourceFile.read(path)
    documents = load_yaml(source)
    if len(documents) != 1:
        raise InputError(
            f"{source.name} holds {len(documents)} documents, expected one", hint=f"write maintenance: [{_EXAMPLE}]"
        )
    fields = Fields(documents[0], source, "planned maintenance")
    fields.only("maintenance")
    return tuple(_read(item.fields()) for item in fields.items("maintenance", "an entry of `maintenance`"))


def _read(fields: Fields) -> Maintenance:
    fields.only("from", "to", "reason", "objectives")
    begin, end = fields.text("from"), fields.text("to")
    from_ms, to_ms = _moment_ms(begin, "`from`"), _moment_ms(end, "`to`")
    if from_ms >= to_ms:
        raise InputError(
            f"a maintenance from {begin.value} to {end.value} ends before it begins", span=end.span, hint="swap the two"
        )
    globs: tuple[Text, ...] = ()
    if "objectives" in fields:
        globs = tuple(item.text() for item in fields.items("objectives", "a glob of objectives"))
        if not globs:
            raise InputError(
                "`objectives` is empty, so that this maintenance excuses none",
                span=fields.key_span("objectives"),
                hint="name objectives, or leave it out: then it excuses all",
            )
    reason = fields.optional_text("reason")
    return Maintenance(from_ms, to_ms, reason.value.strip() if reason else "", globs)


def _moment_ms(text: Text, what: str) -> int:
    try:
        if not _RFC3339.fullmatch(text.value):
            raise ValueError(text.value)
        return (datetime.fromisoformat(text.value.upper()) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError as err:
        raise InputError(
            f"{what} is `{text.value}`, no moment of RFC 3339",
            span=text.span,
            hint="write date, time and zone: 2026-03-01T02:00:00Z or 2026-03-01T03:00:00+01:00",
        ) from err


def in_vain(planned: Iterable[Maintenance], objectives: Sequence[Objective]) -> list[Notice]:
    """Globs that fit none of the objectives: a misspelt one would excuse nothing, in silence."""
    names = [objective.name for objective in objectives]
    return [
        Notice(
            f"`{glob.value}` fits none of the objectives{near_miss(glob.value, names)} of this report",
            glob.span,
            "correct the name, or leave it if the objective is in another report",
        )
        for one in planned
        for glob in one.objectives
        if not any(_fits(glob, objective) for objective in objectives)
    ]
