"""What the fixtures give to a test of one's own: the public API, whose errors fail a test in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import pytest

from harness.api.alert_rules import AlertRules
from harness.api.prometheus import NotPlayed, Prometheus
from harness.api.series import Time, Values
from harness.api.stories import Stories, play
from harness.engines.promtool import CompletedRun, Promtool
from harness.engines.promtool_complaints import RuleProblem
from harness.errors import HarnessError
from harness.rules import RuleFile

__all__ = ["NotPlayed", "PlainPrometheus", "PlainPromtool", "PlainStories", "Replayer", "told_plainly"]

_T = TypeVar("_T")
_P = ParamSpec("_P")


def told_plainly(called: Callable[_P, _T]) -> Callable[_P, _T]:
    """An error that a user may see fails the test with its own words, as the command line has them, once, and at the
    test's own line: what lies between is of no use to a reader."""

    @wraps(called)
    def calling(*args: _P.args, **named: _P.kwargs) -> _T:
        __tracebackhide__ = True
        try:
            return called(*args, **named)
        # Also what another call has told plainly, and a warning that the user takes for an error.
        except (HarnessError, pytest.fail.Exception, NotPlayed) as err:
            said = str(err)
        _fail(said)

    return calling


def _fail(said: str) -> NoReturn:
    __tracebackhide__ = True
    raise pytest.fail.Exception(said) from None


class PlainPromtool(Promtool):
    """The fixture `promtool`: as :class:`Promtool`, with paths as text too."""

    @told_plainly
    def check_rules(self, files: str | Path | Sequence[str | Path], *, lint: bool = True) -> list[RuleProblem]:
        return super().check_rules(_paths(files), lint=lint)

    @told_plainly
    def test_rules(
        self, files: str | Path | Sequence[str | Path], *, flags: Sequence[str] = (), timeout_s: float | None = None
    ) -> CompletedRun:
        return super().test_rules(_paths(files), flags=flags, timeout_s=timeout_s)


def _paths(files: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]


class PlainPrometheus(Prometheus):
    """The fixture `prometheus`: as :class:`harness.api.prometheus.Prometheus`."""

    load = told_plainly(Prometheus.load)
    samples = told_plainly(Prometheus.samples)
    write = told_plainly(Prometheus.write)
    query = told_plainly(Prometheus.query)
    alerts = told_plainly(Prometheus.alerts)
    timelines = told_plainly(Prometheus.timelines)


class PlainStories(Stories):
    """As :class:`harness.api.stories.Stories`."""

    __missing__ = told_plainly(Stories.__missing__)


class Replayer:
    """The fixture `replay`: rules and series in, what the alerts did out. `make` makes a Prometheus for each call, so
    nothing of one is seen by the next."""

    def __init__(self, make: Callable[[], Prometheus]) -> None:
        self._make = make

    @told_plainly
    def __call__(
        self,
        rules: str | Path | RuleFile | AlertRules,
        series: Mapping[str, Values],
        *,
        until: Time,
        interval: Time = "1m",
        start: Time = 0,
        alert: str | None = None,
    ) -> Stories:
        """Play series against rules from 0 to `until`; with `alert` only the rules of this name."""
        played = play(self._make().load(rules).samples(series, interval, start=start), until, alert)
        stories = PlainStories()
        stories.update(played)
        stories.left_out = played.left_out
        return stories
