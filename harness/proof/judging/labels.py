"""An alert's labels and annotations, as somebody was shown them, against what its contract asks for.

The alert may be one that promtool rendered in a unit test or one of a notification: what is wrong is the same, and each
caller says it in its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from harness.contracts import Contract

_BROKEN_TEMPLATE = re.compile(r"<error expanding template|error executing template|<no value>|%!.?\(")
"""What Go's templates and printf leave in a text instead of failing."""
_PANIC = "panic expanding template"
"""What Prometheus says of a template that it could not evaluate at all (template/template.go)."""


class TextFault(Enum):
    """What is wrong with a label or an annotation."""

    WRONG_LABEL = "wrong label"
    """Its value is not the contract's, or it is not there."""
    NO_ANNOTATION = "no annotation"
    """The contract asks for it, and it is missing or empty."""
    BROKEN_LABEL = "broken label"
    BROKEN_ANNOTATION = "broken annotation"
    """Its template did not render."""
    PANIC = "panic"
    """Prometheus could not evaluate the template at all."""


@dataclass(frozen=True, slots=True)
class FaultyText:
    """A label or an annotation that is not as it should be."""

    fault: TextFault
    kind: str
    """``label`` or ``annotation``."""
    name: str
    text: str | None
    """What is there; None: nothing."""
    wanted: str = ""
    """What a label should be; "" for one that should not be there."""

    @property
    def got(self) -> str:
        """In a clause: what is there in place of what is wanted."""
        if self.fault is TextFault.WRONG_LABEL:
            return f"no `{self.name}` label" if self.text is None else f'`{self.name}="{self.text}"`'
        if self.fault is TextFault.NO_ANNOTATION:
            return f"annotation `{self.name}` {'is missing' if self.text is None else 'renders to nothing'}"
        return f"{self.kind} `{self.name}` does not render: {self.text}"


def faulty_labels(contract: Contract, labels: Mapping[str, str]) -> Iterator[FaultyText]:
    """The labels that are not the contract's."""
    for name, value in contract.meant_labels.items():
        if labels.get(name, "") != value:
            yield FaultyText(TextFault.WRONG_LABEL, "label", name, labels.get(name), value)


def faulty_texts(contract: Contract, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Iterator[FaultyText]:
    """All that is wrong with an alert: its labels, annotations that are not there, and what did not render."""
    yield from faulty_labels(contract, labels)
    for name in contract.annotations:
        if not annotations.get(name, "").strip():
            yield FaultyText(TextFault.NO_ANNOTATION, "annotation", name, annotations.get(name))
    for kind, texts, broken in (
        ("annotation", annotations, TextFault.BROKEN_ANNOTATION),
        ("label", labels, TextFault.BROKEN_LABEL),
    ):
        for name, text in texts.items():
            if _BROKEN_TEMPLATE.search(text):
                yield FaultyText(TextFault.PANIC if _PANIC in text else broken, kind, name, text)
