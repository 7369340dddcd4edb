"""What sections say as Markdown, and the one escape for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.report.section import FindingGroup, FindingSeverity, Section
from harness.report.wording import one_line


def told_markdown(sections: Sequence[Section]) -> list[str]:
    """A paragraph for each subject of which something is to be said: its findings, then its notes. Of the sections
    behind the first, which have no table here, only what fails or warns.
    """
    own = [group for section in sections[:1] for group in section.groups]
    others = [_open(group) for section in sections[1:] for group in section.groups]
    return [_paragraph(group) for group in (*own, *others) if group.findings or group.notes]


def _open(group: FindingGroup) -> FindingGroup:
    """The subject with what is not accepted alone."""
    findings = tuple(finding for finding in group.findings if finding.severity is not FindingSeverity.NOTE)
    return replace(group, findings=findings, notes=())


def _paragraph(group: FindingGroup) -> str:
    where = f" ({escape_markdown(group.place)})" if group.place else ""
    aside = [f"set aside: {group.allowed}"] if group.allowed else []
    helped = (f"{found.text}; what to do: {found.help}" if found.help else found.text for found in group.findings)
    said = [*aside, *helped, *(f"note: {note}" for note in group.notes)]
    return f"**{escape_markdown(group.name)}**{where}\n" + "".join(f"\n- {escape_markdown(text)}" for text in said)


def escape_markdown(text: str) -> str:
    """Neither a label nor a file name may end a cell or open a tag."""
    text = one_line(text)
    for char, safe in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("|", "\\|"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("](", "]\\("),
        ("*", "\\*"),
        ("`", "'"),
    ):
        text = text.replace(char, safe)
    return text
