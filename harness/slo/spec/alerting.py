"""How alerts are named and labelled: sloth's `alerting` mapping, which OpenSLO documents carry in an annotation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.errors import HarnessError, InputError, UnsupportedError
from harness.slo.annotations import ALERTING
from harness.slo.model import Alerting, SeverityAlert
from harness.slo.values import truth
from harness.source import Fields, SourceFile, Text, load_yaml, whole_number

SEVERITY_KEYS = {"page_alert": "page", "ticket_alert": "ticket"}
"""What sloth calls the mapping of each severity's alerts."""
NO_DATA = "no_data_alert"
"""Ours: of the alert on absent data."""


def read_alerting(fields: Fields, spelt: Callable[[str], str] = str) -> Alerting:
    """From the fields of sloth's `alerting`, and `min_events` and `no_data_alert`, which are ours.

    `spelt` makes a field's name of ours theirs: sloth's Kubernetes objects have the same in camelCase.
    """
    no_data = spelt(NO_DATA)
    fields.only("name", "labels", "annotations", *map(spelt, SEVERITY_KEYS), spelt("min_events"), no_data)
    name = fields.optional_text("name")
    if name is not None and not name.value.strip():
        raise InputError("`name` of the alerting is empty", span=name.span, hint="name the alerts, or remove the line")
    return Alerting(
        name=name.value if name else None,
        labels=texts(fields, "labels"),
        annotations=texts(fields, "annotations"),
        severities={
            severity: _severity(fields.fields(spelt(key), f"`{spelt(key)}`"))
            for key, severity in SEVERITY_KEYS.items()
            if spelt(key) in fields
        },
        min_events=_min_events(fields, spelt("min_events")),
        no_data=_severity(fields.fields(no_data, f"`{no_data}`")) if no_data in fields else SeverityAlert(),
    )


def read_annotation(text: Text) -> Alerting:
    """From the text of the annotation; errors point into it."""
    inner = SourceFile.of_text(text.span.file, text.value)
    try:
        documents = load_yaml(inner)
        if len(documents) != 1:
            raise InputError(f"`{ALERTING}` must hold one mapping", span=text.span, hint="see docs/slo.md")
        return read_alerting(Fields(documents[0], inner, f"`{ALERTING}`"))
    except HarnessError as err:
        span = err.span
        if span is not None and span is not text.span:
            before = sum(len(line) + 1 for line in inner.lines[: span.line - 1]) + span.column - 1
            span = text.span_at(before, span.length)
        kind = UnsupportedError if isinstance(err, UnsupportedError) else InputError
        raise kind(err.message, span=span, hint=err.hint) from err


def texts(fields: Fields, name: str) -> Mapping[str, str]:
    """A mapping of plain texts, such as labels; empty if it is absent."""
    if name not in fields:
        return {}
    return {key: text.value for key, text in fields.fields(name, f"`{name}`").texts().items()}


def _severity(fields: Fields) -> SeverityAlert:
    fields.only("disable", "labels", "annotations", "for")
    return SeverityAlert(
        labels=texts(fields, "labels"),
        annotations=texts(fields, "annotations"),
        hold_ms=fields.duration_ms("for") if "for" in fields else None,
        disabled=truth(fields, "disable", default=False),
    )


def _min_events(fields: Fields, name: str) -> int:
    text = fields.optional_text(name)
    return 0 if text is None else whole_number(text, f"`{name}`")
