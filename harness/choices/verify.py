"""What `verify` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.choices.option import option
from harness.choices.shared import RunChoices


@dataclass(frozen=True)
class VerifyChoices(RunChoices):
    """Unit tests, and steps to leave out, beside what `prove` has too."""

    tests: Sequence[str] | None = option(
        "--tests", help="promtool test file, folder or glob", action="append", metavar="PATH"
    )
    skip: Sequence[str] = option(
        "--skip",
        help="leave this step out: live, stack (repeatable)",
        default=(),
        action="append",
        metavar="STEP",
    )
