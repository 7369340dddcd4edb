"""An Alertmanager configuration: routes, receivers and inhibition rules, each with its place.

YAML's aliases are one route in several places: each place is read anew, so that nothing is shared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.alertmanager.amtool import check_config
from harness.alertmanager.inhibition import Inhibition
from harness.alertmanager.matchers import matcher, parse_matchers
from harness.alertmanager.routing import Receiver, Route
from harness.alertmanager.secrets import read_veiled
from harness.errors import EngineError, HarnessError, InputError
from harness.rules.selectors import Matcher
from harness.source import Fields, Item, SourceFile, Text
from harness.toolchain import Tool
from harness.units import parse_duration_ms

BUILT_IN = "built in: one receiver, grouped by alertname"
_DEFAULT = """\
route: {receiver: default, group_by: [alertname]}
receivers: [{name: default, webhook_configs: [{url: 'http://127.0.0.1/'}]}]
"""
_QUIET_BY_DEFAULT = ("email_configs", "slack_configs", "wechat_configs", "rocketchat_configs")
"""Integrations that do not tell of a resolved alert unless they are asked to (alertmanager config/notifiers.go)."""
_WAITS = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
"""And what they are at the root (alertmanager dispatch/route.go, DefaultRouteOpts)."""
_TIMES = ("mute_time_intervals", "active_time_intervals")
_MOST_ROUTES = 100_000
_OWN_TAGS = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class AlertmanagerFile:
    """An Alertmanager configuration as the user wrote it."""

    name: str
    route: Route
    receivers: tuple[Receiver, ...]
    inhibitions: tuple[Inhibition, ...]
    resolve_timeout: str | None
    timed: Text | None = None
    """A place at which a route depends on the time of day, if any does."""

    @classmethod
    def load(cls, path: Path | None, amtool: Tool | None) -> AlertmanagerFile:
        """Read a configuration (None: a small one that is built in) that `amtool check-config` takes.

        Without `amtool` only what is read here is checked. Raises InputError, with its place, for what Alertmanager
        refuses or would not read to its end, EngineError if amtool breaks. No secret of the file gets into a message.
        """
        source = SourceFile.of_text(BUILT_IN, _DEFAULT) if path is None else SourceFile.read(path)
        documents, shown, told = read_veiled(source)
        if len(documents) > 1:
            raise InputError(
                "a second document, which Alertmanager does not read",
                span=shown.span_of(documents[1]),
                hint="keep one document in the file",
            )
        document = documents[0] if documents else None
        if document is not None:
            _refuse_tags(document, shown)
        made, wrong = None, None
        try:
            made = _ConfigReader(shown).file(document)
        except HarnessError as err:
            wrong = type(err)(told(err.message), span=err.span, hint=err.hint)
        if path is not None and amtool is not None:
            try:
                check_config(amtool, path, shown, document, told, wrong.span if wrong else None)
            except EngineError as err:
                if wrong is not None:  # amtool does not survive every file
                    raise wrong from err
                raise
        if made is None:
            raise wrong or AssertionError("what is not read is wrong")
        return made

    def receiver(self, name: str) -> Receiver | None:
        return next((receiver for receiver in self.receivers if receiver.name == name), None)

    def tells(self, receiver: str) -> bool:
        """Whether a receiver has anywhere to send to."""
        found = self.receiver(receiver)
        return found is not None and bool(found.tells_resolved)

    def tells_resolved(self, receiver: str) -> bool:
        """Whether a receiver is told when an alert is over."""
        found = self.receiver(receiver)
        return found is not None and any(found.tells_resolved)

    def longest_ms(self, wait: str) -> int:
        """The longest `group_wait` (or `group_interval`) of all routes, on the world's clock."""
        return max(route.waits_ms[wait] for route in self.route.all())

    def groups_alone(self) -> bool:
        """Whether every alert name is notified in a group of its own, so that none waits for another's turn."""
        return all({"alertname", "..."} & set(route.group_by) for route in self.route.all())


class _ConfigReader:
    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._routes = 0
        self._timed: Text | None = None

    def file(self, document: yaml.Node | None) -> AlertmanagerFile:
        if document is None:
            raise InputError(
                f"{self._source.name} is no Alertmanager configuration: it is empty",
                hint="it needs `route` and `receivers`",
            )
        top = Fields(document, self._source, "an Alertmanager configuration")
        for name in ("route", "receivers"):
            if name not in top:
                raise InputError(
                    f"{self._source.name} is no Alertmanager configuration: it has no `{name}`",
                    span=top.span,
                    hint="it needs `route` and `receivers`",
                )
        receivers = [self._receiver(item.fields()) for item in top.items("receivers", "a receiver")]
        root = top.fields("route", "`route`")
        route = self._route(root, "route", None)
        for one in route.all():
            if one.receiver not in {receiver.name for receiver in receivers}:
                raise InputError(
                    f"{one.path} names the receiver `{one.receiver}`, which is not there",
                    span=one.span,
                    hint="name one of `receivers`",
                )
        inhibitions = [self._inhibition(item) for item in _items(top, "inhibit_rules", "an inhibition rule")]
        resolve = None
        if "global" in top:
            settings = top.fields("global", "`global`")
            if "resolve_timeout" in settings:
                settings.duration_ms("resolve_timeout")
                resolve = settings.text("resolve_timeout").value
        return AlertmanagerFile(
            self._source.name, route, tuple(receivers), tuple(inhibitions), resolve, self._timed
        )  # fmt: skip

    def _receiver(self, fields: Fields) -> Receiver:
        told = []
        for key, integrations in fields.each():
            if key.value.endswith("_configs") and key.value in fields:
                for one in integrations.items():
                    resolved = key.value not in _QUIET_BY_DEFAULT
                    if not _is_nothing(one):
                        asked = one.fields()
                        resolved = _yes(asked, "send_resolved", resolved)
                    told.append(resolved)
        name = fields.text("name")
        return Receiver(name.value, name.span, tuple(told))

    def _route(self, fields: Fields, path: str, parent: Route | None) -> Route:
        self._routes += 1
        if self._routes > _MOST_ROUTES:
            raise InputError(f"more than {_MOST_ROUTES:,} routes", span=fields.span, hint="use fewer aliases")
        group_by = [item.text().value for item in _items(fields, "group_by", "a label of `group_by`")]
        for name in _TIMES:
            if (items := _items(fields, name, f"an item of `{name}`")) and self._timed is None:
                self._timed = Text(name, items[0].span)
        inherited = parent.waits_ms if parent is not None else {}
        waits = {
            name: fields.duration_ms(name) if name in fields else inherited.get(name, parse_duration_ms(default))
            for name, default in _WAITS.items()
        }
        receiver = fields.text("receiver").value if "receiver" in fields or parent is None else parent.receiver
        matchers = [matcher(name, "=", value) for name, value in _pairs(fields, "match")]
        matchers += [matcher(name, "=~", value) for name, value in _pairs(fields, "match_re")]
        matchers += _matchers(fields, "matchers")
        own = {key.value: _plain(item.node) for key, item in fields.each() if key.value != "routes"}
        made = Route(
            path,
            fields.span,
            receiver,
            tuple(matchers),
            _yes(fields, "continue", False),
            tuple(group_by) if "group_by" in fields or parent is None else parent.group_by,
            waits,
            (),
            own,
        )
        children = [
            self._route(item.fields(), f"{path}.routes[{number}]", made)
            for number, item in enumerate(_items(fields, "routes", "a route"))
        ]
        return replace(made, routes=tuple(children))

    def _inhibition(self, item: Item) -> Inhibition:
        fields = item.fields()
        sides = []
        for side in ("source", "target"):
            found = [matcher(name, "=", value) for name, value in _pairs(fields, f"{side}_match")]
            found += [matcher(name, "=~", value) for name, value in _pairs(fields, f"{side}_match_re")]
            sides.append(tuple(found + _matchers(fields, f"{side}_matchers")))
        equal = tuple(each.text().value for each in _items(fields, "equal", "a label of `equal`"))
        return Inhibition(sides[0], sides[1], equal, fields.span, _plain(item.node))


def _items(fields: Fields, name: str, what: str) -> list[Item]:
    return fields.items(name, what) if name in fields else []


def _pairs(fields: Fields, name: str) -> list[tuple[str, Text]]:
    return list(fields.fields(name, f"`{name}`").texts().items()) if name in fields else []


def _matchers(fields: Fields, name: str) -> list[Matcher]:
    return [found for item in _items(fields, name, "a matcher") for found in parse_matchers(item.text())]


def _yes(fields: Fields, name: str, default: bool) -> bool:
    if name not in fields:
        return default
    text = fields.text(name)
    if text.value.lower() not in ("true", "false", "yes", "no", "on", "off", "y", "n"):
        raise InputError(f"`{name}` must be true or false", span=text.span, hint=f"write {name}: true")
    return text.value.lower() in ("true", "yes", "on", "y")


def _is_nothing(item: Item) -> bool:
    return item.node.tag == f"{_OWN_TAGS}null"


def _refuse_tags(document: yaml.Node, source: SourceFile) -> None:
    todo, seen = [document], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if not node.tag.startswith(_OWN_TAGS):
            raise InputError(
                f"a YAML tag, `{node.tag}`, which Alertmanager does not know",
                span=source.span_of(node),
                hint="remove the tag",
            )
        if isinstance(node, yaml.MappingNode):
            todo += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            todo += node.value


def _plain(node: yaml.Node) -> Any:
    """The node as plain values, every scalar as its text: what fields of routes and inhibition rules take."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child) for child in node.value]
    return None if node.tag == f"{_OWN_TAGS}null" else node.value
