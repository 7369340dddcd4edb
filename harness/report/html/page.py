"""A run as one self-contained HTML page: no script, nothing fetched, every label escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Template

from harness.report.html.template import page_template, shown
from harness.report.section import Finding, FindingGroup, Section, answer, leading, not_good

_MOST_FINDINGS = 12
"""Of one subject, in a list of findings; the JSON has all."""


def page_html(sections: Sequence[Section], title: str = "") -> str:
    """The whole page of a run with at least one section."""
    lead, untested = leading(sections), _untested(sections)
    drawn = [section for section in sections if section.page.template or section.findings]
    links = [(section.page.anchor, shown(section.page.heading)) for section in drawn if section is not lead]
    footer = [section.page.footer for section in sections if section.page.footer]
    # What waits for a person comes first: a draft is read in a minute, and then the rest counts.
    wrong = sorted(not_good(sections), key=lambda group: group.check != "draft")
    parts = [_part(section) for section in drawn]
    return _template().render(
        title=title or lead.page.title or "Alert rules",
        tone="good" if all(section.good for section in sections) else "bad",
        answer=answer(sections),
        explanation=lead.page.explanation,
        tiles=[(tile.number, tile.what, tile.tone) for section in sections for tile in section.tiles],
        wrong=[_told(group, group.failing) for group in wrong],
        links=links + ([("untested", "What is untested")] if untested else []),
        parts=parts,
        styles=dict.fromkeys(part["style"] for part in parts),
        untested=untested,
        footer=" ".join([*footer, "Written by alert-harness."]),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    return page_template("html/page.html.j2")


def _part(section: Section) -> dict[str, Any]:
    """What draws a section: its own template and the style beside it; without one, its findings subject by subject."""
    page = section.page
    if page.template:
        return {
            "template": page.template,
            "style": page.template.removesuffix(".html.j2") + ".css.j2",
            "view": page.view(),
        }
    groups = [_told(group, group.findings) for group in section.groups if group.findings]
    view = {"anchor": page.anchor, "heading": shown(page.heading), "groups": groups}
    return {"template": "html/findings.html.j2", "style": "html/findings.css.j2", "view": view}


def _told(group: FindingGroup, findings: Sequence[Finding]) -> dict[str, Any]:
    """A subject with what is said of it."""
    return {
        "name": shown(group.name),
        "anchor": group.anchor,
        "findings": [
            {
                "message": shown(finding.message),
                "parts": [shown(part) for part in finding.parts],
                "help": shown(finding.help),
                "place": shown(str(finding.span)) if finding.span else "",
                "tone": "bad" if finding.fails else "warn",
            }
            for finding in findings[:_MOST_FINDINGS]
        ],
        "more": max(0, len(findings) - _MOST_FINDINGS),
    }


def _untested(sections: Sequence[Section]) -> list[tuple[str, list[str]]]:
    """(what nobody has looked at, of which subjects), without empty ones."""
    found = [one for section in sections for one in section.page.untested]
    return [(what, [shown(name) for name in names]) for what, names in found if names]
