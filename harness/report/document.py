"""What every JSON document has in common: its text, and the findings of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.alertmanager.unused import UnusedPart
from harness.report.section import Finding, Section

_UNSHOWN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal would obey or UTF-8 cannot say: written as escapes, which are the same text to a parser."""


def document_text(document: Mapping[str, Any]) -> str:
    """A document as text, with a final newline; raises ValueError for what JSON cannot say (NaN)."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return _UNSHOWN.sub(lambda char: f"\\u{ord(char[0]):04x}", text) + "\n"


def findings_json(sections: Iterable[Section], *, own_keys: bool = False) -> list[dict[str, Any]]:
    """Every finding of a run, with the same keys in every document; null where there is none.

    `own_keys`: with those of its product besides, in the product's own document.
    """
    findings = (finding for section in sections for finding in section.findings)
    return [_finding(finding) | (dict(finding.more) if own_keys else {}) for finding in findings]


def _finding(finding: Finding) -> dict[str, Any]:
    span = finding.span
    return {
        "id": finding.check,
        "severity": finding.severity.value,
        "file": span.file if span else None,
        "line": (span.line or None) if span else None,
        "column": (span.column or None) if span else None,
        "message": finding.text,
        "help": finding.help or None,
    }


def warnings_json(warnings: Sequence[UnusedPart]) -> list[dict[str, Any]]:
    """What of the Alertmanager file does nothing."""
    return [
        {"file": idle.span.file, "line": idle.span.line, "column": idle.span.column, "message": idle.message}
        for idle in warnings
    ]
