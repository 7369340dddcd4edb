"""An expected sample that is NaN: promtool compares by `==`, and NaN never equals itself."""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import FileView, Hit


def check(view: FileView) -> Iterator[Hit]:
    for group in view.groups:
        for expr in group.exprs:
            for sample in expr.samples:
                if sample.value and not sample.histogram and sample.value.value.lower() == ".nan":
                    yield Hit(
                        sample.value.span,
                        "NaN cannot be asserted: promtool compares with ==, which NaN never passes",
                        f"assert that it differs from itself: `({expr.expr.value}) != ({expr.expr.value})` returns "
                        "a sample exactly where it is NaN; use `count(…)` to assert how many",
                        group.title,
                    )
