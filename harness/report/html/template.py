"""The pages' templates, and what every text on a page goes through: escaped, printable, not too long."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from jinja2 import ChoiceLoader, Environment, FunctionLoader, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from harness.errors import printable
from harness.report.svg import DARK, LIGHT, PAPER, custom_properties
from harness.report.wording import one_line

_LONGEST = 400
"""Characters of a label or annotation that are shown; a value of 10 kB tells a reader no more."""


def page_template(name: str, finish: Callable[[str], str] = lambda text: text) -> Template:
    """A template of :mod:`harness.report`, or ``package:file`` of another package, and all that it includes.

    It escapes every value; `finish` is a last touch to each text.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("harness.report", "."), FunctionLoader(_elsewhere)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: finish(printable(value)) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = {
        "light": custom_properties(LIGHT), "dark": custom_properties(DARK), "paper": custom_properties(PAPER),
    }  # fmt: skip
    environment.filters["content"] = _content
    environment.filters["short"] = lambda number: f"{number:g}"
    return environment.get_template(name)


def _elsewhere(name: str) -> str | None:
    """The text of ``package:file``; None if there is no such file."""
    package, colon, file = name.partition(":")
    found = resources.files(package) / file if colon else None
    return found.read_text(encoding="utf-8") if found is not None and found.is_file() else None


def _content(text: object) -> Markup:
    """Escaped for an element's content, where quotes need no escape: series and queries are full of them."""
    escaped = printable(str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markup(escaped)  # noqa: S704 - escaped in the line above


def shown(text: str) -> str:
    """One line of text from files and servers, harmless and not too long."""
    return cut(one_line(text), _LONGEST)


def cut(text: str, most: int) -> str:
    """The text, or its beginning and how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
