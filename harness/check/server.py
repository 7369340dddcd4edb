"""What a running Prometheus has, asked by PromQL: each question once.

By PromQL and not by the label API, which is as coarse as the server's blocks: a metric that was renamed an hour ago
would still be there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from harness.engines import Engine, Series
from harness.errors import UnsupportedError
from harness.rules.selectors import Matcher, label_text, selector_text
from harness.units import DAY_MS

_STEPS = 240
"""Points of a panel's query: as many as a panel of ordinary width has Grafana ask for."""
_Answer = TypeVar("_Answer")


class MetricsServer:
    """Answers about the `since_ms` milliseconds before `now_ms`.

    Raises EngineError if the server breaks, QueryError where it refuses an expression of the caller's.
    """

    def __init__(self, engine: Engine, now_ms: int, since_ms: int) -> None:
        self.engine = engine
        self.now_ms = now_ms
        self.since_ms = since_ms
        self._known: dict[tuple[str, ...], object] = {}

    @property
    def start_ms(self) -> int:
        return self.now_ms - self.since_ms

    @property
    def step_ms(self) -> int:
        """How far apart a panel asks for points."""
        return max(1_000, self.since_ms // _STEPS // 1_000 * 1_000)

    def has(self, *matchers: Matcher) -> bool:
        """Whether a sample of such a series came in."""
        text = selector_text(*matchers)
        return self._once(("has", text), lambda: bool(self._query(f"count(last_over_time({text}[{self.since_ms}ms]))")))

    def metrics(self) -> list[str]:
        """All metric names that the server tells of, for the near miss."""
        return self._once(("metrics",), lambda: self.engine.label_values("__name__", "", self.start_ms, self.now_ms))

    def had(self, *matchers: Matcher) -> bool:
        """Whether such a series was there within the last day."""
        text = selector_text(*matchers)
        start_ms = min(self.start_ms, self.now_ms - DAY_MS)
        return self._once(
            ("had", text), lambda: bool(self.engine.label_values("__name__", text, start_ms, self.now_ms))
        )

    def labels_of(self, *matchers: Matcher) -> list[str]:
        """The label names of such series."""
        text = selector_text(*matchers)
        return self._once(("labels", text), lambda: self.engine.label_names(text, self.start_ms, self.now_ms))

    def values_of(self, label: str, *matchers: Matcher) -> list[str]:
        """The values of a label on such series, sorted."""
        text = selector_text(*matchers)

        def ask() -> list[str]:
            found = self._query(f"group by ({label_text(label)}) (last_over_time({text}[{self.since_ms}ms]))")
            return sorted(value for series in found if (value := series.metric.get(label, "")))

        return self._once(("values", label, text), ask)

    def now(self, expr: str) -> list[Series] | None:
        """The result at this moment; None where it is data that is no number (native histograms, text)."""
        try:
            return self.engine.query(expr, self.now_ms)
        except UnsupportedError:
            return None

    def over_time(self, expr: str) -> list[Series] | None:
        """The result over the whole time, as a panel asks for it; None as for :meth:`now`."""
        try:
            return self.engine.query_range(expr, self.start_ms, self.now_ms, self.step_ms)
        except UnsupportedError:
            return None

    def _query(self, expr: str) -> list[Series]:
        return self.engine.query(expr, self.now_ms)

    def _once(self, question: tuple[str, ...], ask: Callable[[], _Answer]) -> _Answer:
        if question not in self._known:
            self._known[question] = ask()
        return self._known[question]  # type: ignore[return-value]  # one question has one type of answer
