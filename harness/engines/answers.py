"""Answers of the Prometheus HTTP API, and failures to get one, read into values and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import requests

from harness.engines.samples import Series
from harness.errors import EXIT_INPUT, HarnessError, UnsupportedError


class QueryError(HarnessError):
    """Prometheus refused an expression, or could not evaluate it over this data.

    ``message`` is what Prometheus says, ``error_type`` its kind (``bad_data``: does not parse; ``execution``: fails on
    the data). One bad step of a query_range fails the whole, so callers bisect on it.
    """

    exit_code: ClassVar[int] = EXIT_INPUT

    def __init__(self, error_type: str, message: str, expr: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.expr = expr


class AnswerWarnings:
    """Warnings of one or several answers, each once, in order."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def add(self, answer: Mapping[str, Any]) -> None:
        self._seen.update(dict.fromkeys(answer.get("warnings") or ()))

    def take(self) -> tuple[str, ...]:
        return tuple(self._seen)


def series_of(data: Any, expr: str) -> Iterator[Series]:
    """The series of an answer's ``data``; raises UnsupportedError for strings and native histograms."""
    kind, result = data.get("resultType"), data.get("result") or []
    if kind == "string":
        raise UnsupportedError(f"`{expr}` returns a string, expected numbers", hint="alerts need a vector")
    if kind == "scalar":
        yield Series((), [_ms(result[0])], [float(result[1])])
        return
    for element in result:
        labels = tuple(sorted(element["metric"].items()))
        if "histogram" in element or "histograms" in element:
            raise UnsupportedError(
                f"`{expr}` returns native histograms, expected numbers",
                hint="reduce them with histogram_quantile, histogram_count or histogram_sum",
            )
        points = [element["value"]] if kind == "vector" else element["values"]
        yield Series(labels, [_ms(at) for at, _ in points], [float(text) for _, text in points])


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def short_text(response: requests.Response) -> str:
    """The first words of an answer that is no JSON, on one line."""
    text = " ".join(response.text[:2000].split())
    return text[:300] or response.reason or "no text"


def reason_of(err: BaseException) -> str:
    """The innermost cause of an HTTP failure in its own words, without the URL that requests repeats."""
    cause: BaseException = err
    while True:
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in cause.args if isinstance(arg, BaseException)), None)
        if inner is None or inner is cause:
            break
        cause = inner
    return getattr(cause, "strerror", None) or str(cause).rpartition(": ")[2] or type(cause).__name__
