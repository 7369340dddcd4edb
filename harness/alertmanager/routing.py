"""Where notifications go: the tree of routes, and the receivers at its ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import Span
from harness.rules.selectors import Matcher
from harness.source import unshared


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the routing tree. What it does not say itself it has from its parent."""

    path: str
    """Where it stands in the file: ``route.routes[0]``."""
    span: Span
    receiver: str
    matchers: tuple[Matcher, ...]
    goes_on: bool
    """`continue`: whether siblings behind it see the alert, too."""
    group_by: tuple[str, ...]
    waits_ms: Mapping[str, int]
    """`group_wait`, `group_interval` and `repeat_interval`."""
    routes: tuple[Route, ...]
    written: Mapping[str, Any]
    """Its own fields, without `routes`, as plain values."""

    def all(self) -> Iterator[Route]:
        """It and every route below it."""
        yield self
        for child in self.routes:
            yield from child.all()

    def config(self) -> dict[str, Any]:
        """It as Alertmanager reads it, a copy that shares nothing."""
        made: dict[str, Any] = unshared(self.written) | {"continue": self.goes_on}
        return made | ({"routes": [child.config() for child in self.routes]} if self.routes else {})


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver, and of each of its integrations whether it is told when an alert is over."""

    name: str
    span: Span
    tells_resolved: tuple[bool, ...]
