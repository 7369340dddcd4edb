"""Parts of an Alertmanager file that do nothing for the alerts at hand: judged before anything runs, by what is known
of their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.alertmanager.file import AlertmanagerFile
from harness.alertmanager.inhibition import Inhibition
from harness.alertmanager.routing import Route
from harness.errors import Span, near_miss
from harness.rules.selectors import Matcher, selector_text

_NAME = "alertname"


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """What is known of the labels of one rule's alerts."""

    fixed: Mapping[str, str]
    """What the rule sets on all of them, its name among it; "" for a label that it takes away."""
    names: frozenset[str] | None
    """The names of all labels that they may have; None: any."""

    def value(self, label: str) -> str | None:
        """The label's value on all of them ("" where none has it); None: not known."""
        if label in self.fixed:
            return self.fixed[label]
        return "" if self.names is not None and label not in self.names else None

    def fits(self, matchers: Sequence[Matcher]) -> bool | None:
        """Whether they are what the matchers ask for; None: some may be."""
        sure = True
        for each in matchers:
            value = self.value(each.label)
            if value is None:
                sure = False
            elif not each.accepts(value):
                return False
        return True if sure else None


@dataclass(frozen=True, slots=True)
class UnusedPart:
    """A part of the file that does nothing here, and why."""

    span: Span
    message: str

    def __str__(self) -> str:
        return f"{self.span}: {self.message}"


def idle_parts(file: AlertmanagerFile, alerts: Sequence[KnownAlert]) -> list[UnusedPart]:
    """Inhibition rules that can silence none of these alerts, routes that none of them reaches, and receivers that no
    route uses, in that order. What is not known of an alert is taken to fit."""
    used = {route.receiver for route in file.route.all()}
    unused = [
        UnusedPart(receiver.span, f"no route uses the receiver `{receiver.name}`")
        for receiver in file.receivers
        if receiver.name not in used
    ]
    return [*_idle_inhibitions(file, alerts), *_unreached(file, alerts), *unused]


# -- inhibition --------------------------------------------------------------------------------------------------


def _idle_inhibitions(file: AlertmanagerFile, alerts: Sequence[KnownAlert]) -> Iterator[UnusedPart]:
    for number, rule in enumerate(file.inhibitions, 1):
        if why := _why_idle(rule, alerts):
            yield UnusedPart(rule.span, f"inhibition rule {number} silences nothing here: {why}")
        elif loose := _loose(rule, alerts):
            yield UnusedPart(
                rule.span,
                f"no alert here has the label `{loose}` that inhibition rule {number} wants equal"
                f"{_meant(loose, alerts)}, and where both lack a label they are equal in it",
            )


def _why_idle(rule: Inhibition, alerts: Sequence[KnownAlert]) -> str:
    sides = []
    for side, matchers in (("source", rule.source), ("target", rule.target)):
        fitting = [alert for alert in alerts if alert.fits(matchers) is not False]
        if not fitting:
            return f"no alert fits its {side}, {_why_none(matchers, alerts)}"
        sides.append(fitting)
    sources, targets = ({_side(rule, alert) for alert in side} for side in sides)
    if any(_may_hold(source, target) for source in sources for target in targets):
        return ""
    if any(_equal(source[0], target[0]) for source in sources for target in targets):
        return "every source of it is also a target, and such alerts do not silence each other"
    return f"no source and target of it are equal in {', '.join(f'`{name}`' for name in rule.equal)}"


_Side = tuple[tuple[str | None, ...], bool]
"""The values of `equal`, and whether the alert is surely both source and target."""


def _side(rule: Inhibition, alert: KnownAlert) -> _Side:
    both = alert.fits(rule.source) is True and alert.fits(rule.target) is True
    return tuple(alert.value(name) for name in rule.equal), both


def _may_hold(source: _Side, target: _Side) -> bool:
    return _equal(source[0], target[0]) and not (source[1] and target[1])


def _equal(one: Sequence[str | None], other: Sequence[str | None]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _loose(rule: Inhibition, alerts: Sequence[KnownAlert]) -> str:
    """A label of `equal` that no source or target has; empty if there is none."""
    concerned = [
        alert for alert in alerts if alert.fits(rule.source) is not False or alert.fits(rule.target) is not False
    ]
    return next((name for name in rule.equal if all(alert.value(name) == "" for alert in concerned)), "")


# -- routes ------------------------------------------------------------------------------------------------------


def _unreached(file: AlertmanagerFile, alerts: Sequence[KnownAlert]) -> Iterator[UnusedPart]:
    at: dict[str, list[KnownAlert]] = {route.path: [] for route in file.route.all()}
    for alert in alerts:
        for route in reachable(file.route, alert):
            at[route.path].append(alert)
    for parent in file.route.all():
        for number, child in enumerate(parent.routes if at[parent.path] else ()):
            if not at[child.path]:
                why = _why_unreached(parent, number, at[parent.path])
                yield UnusedPart(child.span, f"nothing reaches {child.path}: {why}")


def reachable(route: Route, alert: KnownAlert) -> list[Route]:
    """A route that the alert has reached, and every one below that it may reach (alertmanager dispatch/route.go)."""
    found = [route]
    for child in route.routes:
        fits = alert.fits(child.matchers)
        if fits is not False:
            found += reachable(child, alert)
        if fits is True and not child.goes_on:
            break
    return found


def _why_unreached(parent: Route, number: int, alerts: Sequence[KnownAlert]) -> str:
    """By the alerts that reach its parent."""
    route = parent.routes[number]
    fitting = [alert for alert in alerts if alert.fits(route.matchers) is not False]
    if not fitting:
        here = "" if parent.path == "route" else f" that reaches {parent.path}"
        return f"no alert fits it{here}, {_why_none(route.matchers, alerts)}"
    for before in parent.routes[:number]:
        if not before.goes_on and all(alert.fits(before.matchers) is True for alert in fitting):
            return f"what fits it stops before it, at {before.path} ({before.span}), which has no `continue: true`"
    return "what fits it stops before it, at routes without `continue: true`"


# -- words -------------------------------------------------------------------------------------------------------


def _why_none(matchers: Sequence[Matcher], alerts: Sequence[KnownAlert]) -> str:
    """The matchers that no alert fits, and what is wrong with the one that none does."""
    told = selector_text(*matchers)
    for each in matchers:
        values = [alert.value(each.label) for alert in alerts]
        if any(value is None or each.accepts(value) for value in values):
            continue
        if not any(values):
            return f"{told}: none here has a label `{each.label}`{_meant(each.label, alerts)}"
        if each.op == "=" and each.label == _NAME:
            return f"{told}: none has that name{near_miss(each.value, [value for value in values if value])}"
        known = sorted({value for value in values if value})
        shown = ", ".join(known[:5]) + (", …" if len(known) > 5 else "")
        return f"{told}: `{each.label}` is {shown} here"
    return told


def _meant(label: str, alerts: Sequence[KnownAlert]) -> str:
    known = {name for alert in alerts for name in (*alert.fixed, *(alert.names or ()))}
    return near_miss(label, known)
