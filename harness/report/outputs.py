"""The documents of a run besides its text: the page, JUnit, annotations; chosen once, written behind the results."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.errors import InputError, near_miss
from harness.report.outcome import Outcome
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

    def write(self, outcome: Outcome, out: Console) -> None:
        """Write everything; a line with the page's path goes to `out`, GitHub's commands to standard error.

        GitHub reads them from either stream, and standard output may belong to JSON. The writers are imported when
        they are needed: before the first row there is nothing to write.
        """
        if self.junit is not None:
            from harness.report.junit import junit_xml

            write_file(self.junit, junit_xml(outcome))
        if self.annotate is not None:
            from harness.report.annotations import github, gitlab

            if (target := self._quality_file()) is not None:
                write_file(target, gitlab(outcome))
            else:
                sys.stderr.write(github(outcome))
        if self.page is not None:
            from harness.report.html.page import page_html

            file = self.page / "index.html"
            write_file(file, page_html(outcome))
            if outcome.objectives is not None:
                from harness.report.slo.html import slo_report_html
                from harness.report.slo.summary import PAGE as OBJECTIVES_PAGE

                write_file(self.page / OBJECTIVES_PAGE, slo_report_html(outcome.objectives))
            out.print()
            out.print(Text(f"report: {one_line(display_path(file))}"), soft_wrap=True)


NO_OUTPUTS = Outputs()


def write_file(target: Path, text: str) -> None:
    """Write a document as a whole or not at all; raises InputError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():  # /dev/stdout and the like
            target.write_text(text, encoding="utf-8", errors="backslashreplace")
            return
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as err:
        raise InputError(f"cannot write {target}: {err.strerror or err}", hint="choose another place") from err
