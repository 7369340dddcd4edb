"""Which metrics an expression reads, directly or through the recording rules of a rule set."""

from __future__ import annotations

from collections.abc import Iterable

from harness.errors import InputError
from harness.rules.model import RecordingRule
from harness.rules.selectors import metric_names
from harness.source import Text
from harness.suites.model import InputSeries
from harness.suites.rulefiles import TestedRules


class Reads:
    """Answers for one rule set; `None` in an answer stands for a selector without a fixed name."""

    def __init__(self, rules: TestedRules) -> None:
        self._records: dict[str, list[RecordingRule]] = {}
        for _, _, rule in rules.records():
            self._records.setdefault(rule.record, []).append(rule)
        self._alerts: dict[str, list[Text]] = {}
        for _, _, alert in rules.alerts():
            self._alerts.setdefault(alert.alert, []).append(alert.expr)

    def of_expr(self, expr: Text) -> tuple[set[str | None], list[RecordingRule]]:
        """Every metric that is read, recorded ones included, and the recording rules on the way."""
        return self._closure([expr])

    def of_alert(self, name: str) -> tuple[set[str | None], list[RecordingRule]]:
        return self._closure(self._alerts.get(name, ()))

    def exprs_of_alert(self, name: str) -> list[Text]:
        """The alert's own expressions, and those of the recording rules that it reads."""
        return [*self._alerts.get(name, ()), *(rule.expr for rule in self.of_alert(name)[1])]

    def _closure(self, exprs: Iterable[Text]) -> tuple[set[str | None], list[RecordingRule]]:
        names: set[str | None] = set()
        through: list[RecordingRule] = []
        todo = list(exprs)
        while todo:
            try:
                found = metric_names(todo.pop())
            except InputError:
                continue  # promtool says it
            for name in found - names:
                names.add(name)
                for rule in self._records.get(name or "", ()):
                    through.append(rule)
                    todo.append(rule.expr)
        return names, through


def read_series(series: Iterable[InputSeries], names: set[str | None]) -> list[InputSeries]:
    """Those of the input series that a reader of these metrics can see."""
    return [s for s in series if None in names or s.metric is None or s.metric in names]
