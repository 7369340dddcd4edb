"""A template that promtool cannot render: its error message stands where the text should be.

`externalURL` fails in every unit test; `pathPrefix` too. A failed template is no failure for promtool: the error
becomes the label or annotation, and an assertion on ALERTS or one that expects the error text passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.suites.checks import FileView, Hit
from harness.suites.coverage import alerts_selected
from harness.suites.model import Status

_ERROR = "<error expanding template"
_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_FAILS = re.compile(r"(?<![\w.$\"`])(externalURL|pathPrefix)\b")


def check(view: FileView) -> Iterator[Hit]:
    names = view.rules.alert_names()
    tested: set[str] = set()
    for group in view.groups:
        for assertion in group.alerts:
            if assertion.expected:
                tested.add(assertion.alertname.value)
            result = view.result_of(assertion.span)
            for alert in assertion.expected if result and result.status is Status.PASSED else ():
                for name, value in {**alert.labels, **alert.annotations}.items():
                    if _ERROR in value:
                        yield Hit(
                            assertion.span,
                            f"the test expects an error message as `{name}` of `{assertion.alertname.value}`: the "
                            "rule's template does not render",
                            "correct the template; if it is `externalURL` or `pathPrefix`, promtool cannot render it",
                            group.title,
                        )
        for expr in group.exprs:
            if expr.samples:
                tested |= alerts_selected(expr, names)
    for _, _, rule in view.rules.alerts():
        if rule.alert not in tested:
            continue
        for part, texts in (("label", rule.labels), ("annotation", rule.annotations)):
            for name, text in texts.items():
                for action in _ACTION.finditer(text.value):
                    if fails := _FAILS.search(action[0]):
                        yield Hit(
                            text.span_at(action.start() + fails.start(), len(fails[0])),
                            f"`{fails[0]}` in {part} `{name}` of `{rule.alert}` is an error message in every unit "
                            "test, so what the test saw is not what production sends",
                            "write the address out, or put it into Alertmanager's templates",
                        )
