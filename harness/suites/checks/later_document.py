"""Rules behind the first document of a file: the tests see them, Prometheus and bare promtool never do.

A matter of taste, for vmalert and mimirtool read all documents.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import FileView, Hit

TASTE = True


def check(view: FileView) -> Iterator[Hit]:
    for file in view.rules.files:
        for one in file.given:
            if one.file.is_later_document:
                group = one.file.groups[0]
                yield Hit(
                    group.span,
                    f"group `{group.name}` stands behind the first document of {one.file.name}: Prometheus reads only "
                    "that",
                    "put all groups under one `groups:`, or into a file of their own",
                )
