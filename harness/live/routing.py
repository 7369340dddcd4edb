"""The user's Alertmanager configuration, with our webhook at the end of every receiver and the clock compressed.

Routes, grouping and inhibition stay the user's. Which receiver a label set is routed to is asked of amtool.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import EngineError, HarnessError, InputError
from harness.live.clock import Clock
from harness.source import SourceFile, display_path, load_yaml
from harness.units import parse_duration_ms

BUILT_IN = "built in: one receiver, grouped by alertname"
_DEFAULT: Mapping[str, Any] = {
    "route": {"receiver": "default", "group_by": ["alertname"]},
    "receivers": [{"name": "default", "webhook_configs": [{"url": "http://127.0.0.1/"}]}],
}
_QUIET_BY_DEFAULT = ("email_configs", "slack_configs", "wechat_configs", "rocketchat_configs")
"""Integrations that do not tell of a resolved alert unless they are asked to (alertmanager config/notifiers.go)."""
_MATCHER = re.compile(
    r'\s*(?P<name>[^=!~"{},\s]+|"(?:\\.|[^"\\])*")\s*(?P<op>=~|!~|!=|=)\s*(?P<value>"(?:\\.|[^"\\])*"|[^",{}]*)'
)


@dataclass(frozen=True, slots=True)
class Inhibition:
    """An inhibition rule: a firing source silences targets that agree with it in `equal`."""

    source: tuple[tuple[str, str, str], ...]
    target: tuple[tuple[str, str, str], ...]
    equal: tuple[str, ...]

    def holds(self, source: Mapping[str, str], target: Mapping[str, str]) -> bool:
        """Whether an alert with the labels `source` silences one with the labels `target`."""
        # An alert that is both source and target does not silence itself (alertmanager inhibit/inhibit.go).
        if self.is_target(source) and self.is_source(target):
            return False
        return not self.unlike(source, target) and self.is_source(source) and self.is_target(target)

    def idle(self, exact: Sequence[Mapping[str, str]], partly: Sequence[Mapping[str, str]]) -> str:
        """Which side of the rule fits no alert, in words; empty if both do. `exact` are all labels of an alert, of the
        other alerts only some are known."""
        for side, matchers in (("source", self.source), ("target", self.target)):
            known = any(_match(matchers, labels) for labels in exact)
            told = [([one for one in matchers if one[0] in labels], labels) for labels in partly]
            may = any(not part or _match(part, labels) for part, labels in told)
            if not known and not may:
                shown = ", ".join(f'{name}{op}"{value}"' for name, op, value in matchers)
                return f"no alert fits its {side}, {shown or 'which has no matcher'}"
        return ""

    def is_source(self, labels: Mapping[str, str]) -> bool:
        return _match(self.source, labels)

    def is_target(self, labels: Mapping[str, str]) -> bool:
        return _match(self.target, labels)

    def unlike(self, source: Mapping[str, str], target: Mapping[str, str]) -> list[str]:
        """The labels of `equal` in which two alerts differ."""
        return [name for name in self.equal if source.get(name, "") != target.get(name, "")]


@dataclass(frozen=True, slots=True)
class Routing:
    """An Alertmanager configuration as the user wrote it."""

    name: str
    raw: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path | None) -> Routing:
        """Read a configuration (None: a small one that is built in); raises InputError for what is none."""
        if path is None:
            return cls(BUILT_IN, _DEFAULT)
        source = SourceFile.read(path)
        load_yaml(source)  # its complaints have places
        try:
            raw = yaml.safe_load(source.text)
        except (ValueError, yaml.YAMLError) as err:  # no date, more digits than Python takes, an unknown tag
            raise InputError(
                f"{source.name} cannot be read: {err}", hint="quote what only looks like a number"
            ) from err
        name = display_path(path)
        if not isinstance(raw, dict) or not isinstance(raw.get("route"), dict) or not raw.get("receivers"):
            raise InputError(f"{name} is no Alertmanager configuration", hint="it needs `route` and `receivers`")
        try:
            Clock(1).alertmanager(raw)
        except HarnessError as err:
            raise type(err)(f"{name}: {err.message}", hint=err.hint) from err
        return cls(name, raw)

    def for_run(self, clock: Clock, url: Callable[[str], str]) -> dict[str, Any]:
        """What the throwaway Alertmanager is given; `url` is the webhook's address for a receiver."""
        made = {
            key: self.raw[key] for key in ("route", "inhibit_rules", "time_intervals", "mute_time_intervals")
            if key in self.raw
        }  # fmt: skip
        if resolve := (self.raw.get("global") or {}).get("resolve_timeout"):
            made["global"] = {"resolve_timeout": resolve}
        made["receivers"] = [self._receiver(receiver, url) for receiver in self.raw["receivers"]]
        return clock.alertmanager(made)

    def _receiver(self, receiver: Mapping[str, Any], url: Callable[[str], str]) -> dict[str, Any]:
        name = str(receiver.get("name", ""))
        if not self.tells(name):
            return {"name": name}
        hook = {"url": url(name), "send_resolved": self.tells_resolved(name), "max_alerts": 0}
        return {"name": name, "webhook_configs": [hook]}

    def _integrations(self, receiver: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for each in self.raw["receivers"]:
            if str(each.get("name", "")) == receiver:
                for key, found in each.items():
                    if key.endswith("_configs"):
                        yield from ((key, one or {}) for one in found or [])

    def tells(self, receiver: str) -> bool:
        """Whether a receiver has anywhere to send to."""
        return any(True for _ in self._integrations(receiver))

    def tells_resolved(self, receiver: str) -> bool:
        """Whether a receiver is told when an alert is over."""
        return any(
            bool(one.get("send_resolved", kind not in _QUIET_BY_DEFAULT)) for kind, one in self._integrations(receiver)
        )

    def longest_ms(self, name: str, default: str) -> int:
        """The longest `group_wait` (or `group_interval`) of all routes, on the world's clock."""
        return max(
            parse_duration_ms(str(route.get(name, default if route is self.raw["route"] else "0s")))
            for route in _routes(self.raw["route"])
        )

    def groups_alone(self) -> bool:
        """Whether every alert name is notified in a group of its own, so that none waits for another's turn."""
        top = self.raw["route"]
        return all(
            set(route.get("group_by") or top.get("group_by") or ()) & {"alertname", "..."} for route in _routes(top)
        )

    def inhibitions(self) -> list[Inhibition]:
        made = []
        for rule in self.raw.get("inhibit_rules") or []:
            source, target = _matchers(rule, "source"), _matchers(rule, "target")
            made.append(Inhibition(source, target, tuple(map(str, rule.get("equal") or ()))))
        return made


def _routes(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield route
    for child in route.get("routes") or []:
        yield from _routes(child)


def _matchers(rule: Mapping[str, Any], side: str) -> tuple[tuple[str, str, str], ...]:
    found = [(str(name), "=", str(value)) for name, value in (rule.get(f"{side}_match") or {}).items()]
    found += [(str(name), "=~", str(value)) for name, value in (rule.get(f"{side}_match_re") or {}).items()]
    for text in rule.get(f"{side}_matchers") or []:
        for match in _MATCHER.finditer(str(text)):
            found.append((_unquote(match["name"]), match["op"], _unquote(match["value"].strip())))
    return tuple(found)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] == '"' else text


def _match(matchers: Sequence[tuple[str, str, str]], labels: Mapping[str, str]) -> bool:
    def one(name: str, op: str, value: str) -> bool:
        found = labels.get(name, "")
        same = re.fullmatch(value, found) is not None if "~" in op else found == value
        return same is not op.startswith("!")

    return bool(matchers) and all(one(*matcher) for matcher in matchers)


def routed_to(amtool: Path, config: Path, labels: Mapping[str, str]) -> list[str]:
    """The receivers to which Alertmanager routes an alert with these labels, as amtool says."""
    pairs = [f'{name}="{_escape(value)}"' for name, value in labels.items()]
    done = subprocess.run(
        [str(amtool), "config", "routes", "test", f"--config.file={config}", *pairs],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode != 0:
        raise EngineError(f"amtool cannot say where an alert is routed: {done.stderr.strip()[:300]}")
    return [name for name in done.stdout.strip().split(",") if name]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
