"""A line end inside a series or its values: promtool drops every series that stands after it.

promtool writes the input series one below the other into one text, in which an empty line ends the list (the `load`
command of promql/promqltest). A `|` block ends with a line end, which makes such a line, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import FileView, Hit


def check(view: FileView) -> Iterator[Hit]:
    for group in view.groups:
        for number, series in enumerate(group.series):
            text = series.values if "\n" in series.values.value else series.series
            if "\n" not in text.value:
                continue
            lost = len(group.series) - number - 1
            if lost:
                yield Hit(
                    text.span,
                    f"the text ends a line, so promtool drops the {lost} series after it",
                    "write it on one line, or with `>-` instead of `|`",
                    group.title,
                )
