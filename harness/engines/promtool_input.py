"""Rule files as promtool takes them: the user's own, or a copy in a private folder where it would refuse those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.engines.private import folder_error, private_folder
from harness.rules import RuleFile
from harness.rules.copies import Copy, copy_of


@dataclass(frozen=True, slots=True)
class PromtoolInput:
    """A rule file, and what promtool reads of it."""

    file: RuleFile
    path: Path
    copy: Copy | None
    """None: the user's file itself."""

    def line(self, number: int) -> int | None:
        """The user's line for one of which promtool speaks; None if that is not known."""
        return number if self.copy is None else self.copy.line(number)


def promtool_input(file: RuleFile, folder: Path, name: str) -> PromtoolInput:
    """What promtool is given of a file; a copy is written to `folder` under `name`. Raises OSError."""
    if file.as_it_is:
        return PromtoolInput(file, file.path, None)
    copy, path = copy_of(file), folder / name
    path.write_text(copy.text, encoding="utf-8")
    return PromtoolInput(file, path, copy)


@contextmanager
def promtool_inputs(files: Sequence[RuleFile]) -> Iterator[list[PromtoolInput]]:
    """What promtool is given of each file. Copies go with the context; raises InputError if the disk is full."""
    with private_folder() as folder:
        try:
            given = [
                promtool_input(file, folder, f"{number}-{file.path.stem}.yml") for number, file in enumerate(files)
            ]
        except OSError as err:
            raise folder_error(err) from err
        yield given
