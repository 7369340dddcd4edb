"""What all OpenSLO documents have: their kinds and names, by which others refer to them, and their metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.errors import InputError, near_miss
from harness.slo.annotations import OWN_ANNOTATIONS, PREFIX
from harness.slo.model import Metadata
from harness.slo.values import choice
from harness.source import Fields, Text

API_VERSION = "openslo/v1"
KINDS = ("DataSource", "SLO", "SLI", "AlertPolicy", "AlertCondition", "AlertNotificationTarget", "Service")
_MAX_DESCRIPTION = 1050
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_ANNOTATION_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class DocumentIndex:
    """The documents that others refer to, by kind and name."""

    documents: dict[tuple[str, str], Fields] = field(default_factory=dict)

    def take(self, document: Fields) -> str:
        """Take one document; returns its kind. Raises InputError for a second one of its kind and name."""
        document.only("apiVersion", "kind", "metadata", "spec")
        kind = choice(document.text("kind"), KINDS, "`kind`")
        name = metadata_of(document).name
        span = document.fields("metadata", "`metadata`").text("name").span
        if (first := self.documents.setdefault((kind, name), document)) is not document:
            raise InputError(
                f"two documents of kind {kind} are named `{name}` (the first is at {first.span})",
                span=span,
                hint="rename one; references could not tell them apart",
            )
        return kind

    def find(self, kind: str, reference: Text) -> Fields:
        """The document that a reference names; raises InputError, with the near miss, if there is none."""
        found = self.documents.get((kind, reference.value))
        if found is None:
            names = [name for of, name in self.documents if of == kind]
            raise InputError(
                f"no document of kind {kind} is named `{reference.value}`{near_miss(reference.value, names)}",
                span=reference.span,
                hint=f"add it to the files that are read, or correct the name (known: {', '.join(names) or 'none'})",
            )
        return found


def metadata_of(fields: Fields) -> Metadata:
    """The `metadata` of a document; its description, which stands in the `spec`, is left empty."""
    metadata = fields.fields("metadata", f"`metadata` of {fields.what}")
    metadata.only("name", "displayName", "labels", "annotations")
    display = metadata.optional_text("displayName")
    return Metadata(
        name=filled(metadata, "name"),
        display_name=display.value if display else "",
        labels=_labels(metadata),
        annotations=_annotations(metadata),
    )


def _labels(metadata: Fields) -> Mapping[str, str | tuple[str, ...]]:
    if "labels" not in metadata:
        return {}
    found: dict[str, str | tuple[str, ...]] = {}
    for key, item in metadata.fields("labels", "`labels`").each():
        if not _LABEL_KEY.fullmatch(key.value):
            raise InputError(
                f"`{key.value}` is no label key of OpenSLO",
                span=key.span,
                hint="at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
            )
        found[key.value] = (
            tuple(element.text().value for element in item.items()) if item.is_list else item.text().value
        )
    return found


def _annotations(metadata: Fields) -> Mapping[str, str]:
    if "annotations" not in metadata:
        return {}
    fields = metadata.fields("annotations", "`annotations`")
    for key in fields.names():
        if not _ANNOTATION_KEY.fullmatch(key.value):
            raise InputError(
                f"`{key.value}` is no annotation key of OpenSLO",
                span=key.span,
                hint="`name` or `prefix/name`; the name at most 63 letters, digits, `-`, `_` and `.`",
            )
        if key.value.startswith(PREFIX) and key.value not in OWN_ANNOTATIONS:
            raise InputError(
                f"unknown annotation `{key.value}`{near_miss(key.value, OWN_ANNOTATIONS)}",
                span=key.span,
                hint=f"`{PREFIX}` is ours, and holds only: {', '.join(OWN_ANNOTATIONS)}",
            )
    return {key: text.value for key, text in fields.texts().items()}


def spec_of(document: Fields) -> Fields:
    """The `spec` of a document."""
    return document.fields("spec", f"`spec` of {document.what}")


def filled(fields: Fields, key: str) -> str:
    """A text that must hold more than blanks."""
    text = fields.text(key)
    if not text.value.strip():
        raise InputError(f"`{key}` of {fields.what} is empty", span=text.span, hint=f"fill in the {key}")
    return text.value


def description_of(fields: Fields) -> str:
    """The `description`, empty if there is none."""
    text = fields.optional_text("description")
    if text is None:
        return ""
    if len(text.value) > _MAX_DESCRIPTION:
        raise InputError(
            f"`description` has {len(text.value)} characters, OpenSLO allows {_MAX_DESCRIPTION}",
            span=text.span,
            hint="shorten it, and link to the rest in an annotation",
        )
    return text.value
