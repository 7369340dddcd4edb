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
    untested = _untested(sections)
    lead = leading(sections).page
    views: dict[str, Any] = {"alerts": [], "live": None, "scenario": None, "objectives": None, "suites": None}
    for section in sections:
        views |= section.page.view()
    footer = [section.page.footer for section in sections if section.page.footer]
    # What waits for a person comes first: a draft is read in a minute, and then the rest counts.
    wrong = sorted(not_good(sections), key=lambda group: group.check != "draft")
    return _template().render(
        title=title or lead.title or "Alert rules",
        good=all(section.good for section in sections),
        answer=answer(sections),
        explanation=lead.explanation,
        tiles=[(tile.number, tile.what, tile.tone) for section in sections for tile in section.tiles],
        wrong=[_told(group, group.failing) for group in wrong],
        plain=[_plain(section) for section in sections if not section.page.template and section.findings],
        untested=untested,
        parts=_parts(sections, bool(untested)),
        footer=" ".join([*footer, "Written by alert-harness."]),
        **views,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    return page_template("html/page.html.j2")


def _plain(section: Section) -> dict[str, Any]:
    """A section without a template of its own: its findings, subject by subject."""
    return {
        "anchor": section.page.anchor,
        "heading": shown(section.page.heading),
        "groups": [_told(group, group.findings) for group in section.groups if group.findings],
    }


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


def _parts(sections: Sequence[Section], untested: bool) -> list[tuple[str, str]]:
    """(anchor, heading) of what follows the first part."""
    lead = leading(sections)
    drawn = [each.page for each in sections if each is not lead and (each.page.template or each.findings)]
    parts = [(page.anchor, shown(page.heading)) for page in drawn]
    return parts + ([("untested", "What is untested")] if untested else [])
