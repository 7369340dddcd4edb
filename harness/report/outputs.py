"""The documents of a run besides its text: the page, JUnit, annotations; chosen once, written behind the results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.errors import InputError, near_miss
from harness.files import write_document
from harness.report.section import Section
from harness.report.wording import one_line
from harness.source import display_path

ANNOTATORS = ("github", "gitlab")
GITLAB_FILE = "gl-code-quality-report.json"
OFF = ("", "none")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where documents go; None: nowhere."""

    page: Path | None = None
    """The folder of `index.html`."""
    junit: Path | None = None
    annotate: str | None = None
    """``github``, ``gitlab`` or ``gitlab=FILE``."""

    def files(self) -> list[tuple[str, Path]]:
        """(option, file) of everything that will be written."""
        found = [("--report", self.page / "index.html")] if self.page is not None else []
        if self.junit is not None:
            found.append(("--junit", self.junit))
        if (target := self._quality_file()) is not None:
            found.append(("--annotate", target))
        return found

    def _quality_file(self) -> Path | None:
        kind, _, file = (self.annotate or "").partition("=")
        return Path(file or GITLAB_FILE) if kind == "gitlab" else None

    def check(self) -> None:
        """Raises InputError for an annotator that there is none of."""
        if self.annotate is None:
            return
        kind, equals, _ = self.annotate.partition("=")
        if kind not in ANNOTATORS or (equals and kind != "gitlab"):
            raise InputError(
                f"--annotate {self.annotate}: there is no such annotator{near_miss(kind, ANNOTATORS)}",
                hint="write github, gitlab or gitlab=FILE",
            )

    def write(self, sections: Sequence[Section], out: Console) -> None:
        """Write everything; a line with the page's path goes to `out`, GitHub's commands to standard error.

        GitHub reads them from either stream, and standard output may belong to JSON. The writers are imported when
        they are needed: before the first row there is nothing to write.
        """
        if self.junit is not None:
            from harness.report.junit import junit_xml

            write_document(self.junit, junit_xml(sections))
        if self.annotate is not None:
            from harness.report.annotations import github, gitlab

            if (target := self._quality_file()) is not None:
                write_document(target, gitlab(sections))
            else:
                sys.stderr.write(github(sections))
        if self.page is not None:
            from harness.report.html.page import page_html

            file = self.page / "index.html"
            write_document(file, page_html(sections))
            for section in sections:
                for name, render in section.page.beside.items():
                    write_document(self.page / name, render())
            out.print()
            out.print(Text(f"report: {one_line(display_path(file))}"), soft_wrap=True)
