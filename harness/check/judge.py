"""One use against the server: its names, then its result.

A metric or label that does not exist can't be meant: a finding. A *value* may still come (the first 5xx, a camera that
is not registered yet): a note. What the rules under check record, and Prometheus' own `ALERTS`, count as existing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from harness.check.model import ProblemKind, Use, UseFinding, Wants, Weight
from harness.check.names import name_of, readings, selected
from harness.check.server import MetricsServer
from harness.engines import QueryError, Series
from harness.errors import InputError, Span, near_miss
from harness.rules.expr import parse_expr
from harness.rules.selectors import NAME, Matcher, Selector, made_labels, selector_text
from harness.units import format_duration

_MOST_VALUES = 8
_STATES = ("pending", "firing")
_LITERALS = re.compile(r"[\w /:@-]+(?:\|[\w /:@-]+)*", re.ASCII)
"""A regex that is nothing but a plain text, or a choice of some."""


@dataclass(frozen=True, slots=True)
class RuleNames:
    """What exists by the rules under check, whether or not the server shows it at the moment."""

    recorded: frozenset[str] = frozenset()
    """Names that recording rules write."""
    alerts: frozenset[str] = frozenset()
    """Names of alerts; empty: not known, so none is called misspelt."""


@dataclass(slots=True)
class _Case:
    """One use under judgement: each thing is said once."""

    use: Use
    server: MetricsServer
    names: RuleNames
    found: dict[tuple[ProblemKind, str], UseFinding] = field(default_factory=dict)

    def say(self, kind: ProblemKind, weight: Weight, what: str, message: str, *, at: str = "") -> None:
        self.found.setdefault(
            (kind, what), UseFinding(kind, weight, self.use.name, _place(self.use, at or what), what, message)
        )

    @property
    def since(self) -> str:
        return format_duration(self.server.since_ms)


def judge_use(use: Use, server: MetricsServer, names: RuleNames) -> list[UseFinding]:
    """What is wrong with one use, or worth a note; raises EngineError if the server breaks."""
    case = _Case(use, server, names)
    try:
        read = selected(use.expr)
    except InputError as err:
        # Our parser is not the judge of PromQL; the server is.
        if not _run(case):
            return list(case.found.values())
        case.say(ProblemKind.QUERY, Weight.NOTE, "", f"its names are not checked: {err.message}")
        return list(case.found.values())
    try:
        for selector, may_be_absent in read.items():
            _judge_selector(case, selector, may_be_absent)
        for reading in readings(use.expr):
            _judge_labels(case, f"`{reading.operator}`", reading.labels, reading.selectors)
        made = made_labels(parse_expr(use.expr))
        _judge_labels(case, "a text of the alert", [label for label in use.made_of if label not in made], read)
    except QueryError as err:  # too much for the server's limits, or a name that an old Prometheus can't write
        message = f"its names cannot be looked up: {err.message}; if it is too much at once, ask for less with --since"
        case.say(ProblemKind.QUERY, Weight.FINDING, "", message)
        return list(case.found.values())
    if use.wants is not Wants.NAMES:
        _run(case)
    return list(case.found.values())


# -- names ---------------------------------------------------------------------------------------------------------


def _judge_selector(case: _Case, selector: Selector, may_be_absent: bool) -> None:
    if selector.metric in ("ALERTS", "ALERTS_FOR_STATE"):
        _judge_alerts(case, selector)
    elif not selector.names:
        if not case.server.has(*selector.matchers):
            text = selector_text(*selector.matchers)
            case.say(ProblemKind.VALUE, Weight.NOTE, text, f"no series matches `{text}`")
    elif not case.server.has(*selector.names):
        _judge_missing(case, selector, may_be_absent)
    else:
        _judge_matchers(case, selector)


def _judge_missing(case: _Case, selector: Selector, may_be_absent: bool) -> None:
    metric = name_of(selector)
    if metric in case.names.recorded:
        message = f"`{metric}` is recorded by these rules, and the server has none of it yet"
        case.say(ProblemKind.METRIC, Weight.NOTE, metric, message)
        return
    if case.server.had(*selector.names):
        why = " (there was, within the last day)"
    else:
        why = near_miss(metric, _likely(metric, [*case.server.metrics(), *case.names.recorded]))
    message = f"no series of `{metric}` in the last {case.since}{why}"
    if may_be_absent:
        case.say(ProblemKind.METRIC, Weight.NOTE, metric, f"{message}; the expression asks for its absence")
    else:
        case.say(ProblemKind.METRIC, Weight.FINDING, metric, message)


def _judge_matchers(case: _Case, selector: Selector) -> None:
    good = True
    for matcher in selector.matchers:
        if matcher.op == "=" and not matcher.value:
            continue  # it asks for the label's absence
        if not case.server.has(*selector.names, Matcher(matcher.label, "!=", "")):
            _judge_missing_label(case, selector, matcher)
            good = False
        elif matcher.op in ("=", "=~"):
            good &= _judge_value(case, selector, matcher)
    if good and len(selector.matchers) > 1 and not case.server.has(*selector.names, *selector.matchers):
        text = selector_text(*selector.matchers)
        message = f"no series of `{name_of(selector)}` matches all of `{text}` together"
        case.say(ProblemKind.VALUE, Weight.NOTE, f"{name_of(selector)}{text}", message, at=name_of(selector))


def _judge_missing_label(case: _Case, selector: Selector, matcher: Matcher) -> None:
    near = near_miss(matcher.label, case.server.labels_of(*selector.names))
    message = f"no series of `{name_of(selector)}` has a label `{matcher.label}`{near}"
    if matcher.op == "=~" and case.server.has(*selector.names, matcher):
        # `cluster=~".*"`, as a variable makes it where everything is chosen.
        case.say(ProblemKind.LABEL, Weight.NOTE, matcher.label, f"{message}; `{matcher}` is true without it")
    else:
        case.say(ProblemKind.LABEL, Weight.FINDING, matcher.label, message)


def _judge_value(case: _Case, selector: Selector, matcher: Matcher) -> bool:
    """Whether some series has such a value; a note with those that there are, if not."""
    server = case.server
    if not server.has(*selector.names, matcher):
        values = server.values_of(matcher.label, *selector.names)
        message = f"no series of `{name_of(selector)}` matches `{matcher}`{_among(matcher, values)}"
        case.say(ProblemKind.VALUE, Weight.NOTE, str(matcher), message, at=matcher.label)
        return False
    choices = _choices(matcher)
    if len(choices) > 1:
        values = server.values_of(matcher.label, *selector.names)
        for choice in choices:
            if choice not in values:
                one = Matcher(matcher.label, "=", choice)
                message = f"no series of `{name_of(selector)}` matches `{one}`, a part of `{matcher}`"
                case.say(ProblemKind.VALUE, Weight.NOTE, str(one), message + _among(one, values), at=choice)
    return True


def _choices(matcher: Matcher) -> list[str]:
    """The values that a matcher names in so many words; none for any other regex, and for exclusions."""
    if matcher.op == "=":
        return [matcher.value]
    return matcher.value.split("|") if matcher.op == "=~" and _LITERALS.fullmatch(matcher.value) else []


def _among(matcher: Matcher, values: Collection[str]) -> str:
    # Not of numbers: 500 is no slip of the pen for 200.
    near = near_miss(matcher.value, values) if matcher.op == "=" and not matcher.value.isdigit() else ""
    shown = ", ".join(f"`{value}`" for value in sorted(values)[:_MOST_VALUES])
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return f"{near}; there are {shown}{more}"


def _judge_alerts(case: _Case, selector: Selector) -> None:
    """`ALERTS` exists while an alert waits or fires, so its names are held against the rules."""
    closed: dict[str, Collection[str]] = {"alertname": case.names.alerts, "alertstate": _STATES}
    for matcher in selector.matchers:
        known = closed.get(matcher.label, ())
        if not known:
            continue
        for choice in _choices(matcher):
            # What the server shows is real, whoever's rule it is.
            if choice not in known and not case.server.has(*selector.names, Matcher(matcher.label, "=", choice)):
                what = "alert of these rules" if matcher.label == "alertname" else "state of an alert"
                message = f"there is no {what} `{choice}`{near_miss(choice, known)}"
                case.say(ProblemKind.VALUE, Weight.FINDING, choice, message)


def _judge_labels(case: _Case, reader: str, labels: Iterable[str], below: Collection[Selector]) -> None:
    named = [selector for selector in below if selector.names and not selector.metric.startswith("ALERTS")]
    if len(named) < len(below) or not all(case.server.has(*selector.names) for selector in named):
        return  # which labels there would be cannot be told; a metric that is missing was reported
    for label in labels:
        if not any(case.server.has(*selector.names, Matcher(label, "!=", "")) for selector in named):
            known = {name for selector in named for name in case.server.labels_of(*selector.names)} - {NAME}
            metrics = ", ".join(f"`{name}`" for name in dict.fromkeys(name_of(selector) for selector in named))
            message = f"{reader} reads the label `{label}`, which no series of {metrics} has{near_miss(label, known)}"
            case.say(ProblemKind.LABEL, Weight.FINDING, label, message)


def _likely(name: str, names: Iterable[str]) -> Iterator[str]:
    """Names of about the same length: a server may know a hundred thousand."""
    return (known for known in names if abs(len(known) - len(name)) <= max(4, len(name) // 3))


# -- the result ----------------------------------------------------------------------------------------------------


def _run(case: _Case) -> bool:
    """Evaluate the use; whether the server took the expression."""
    use, server = case.use, case.server
    whole = use.wants is Wants.DATA and not use.instant
    try:
        result = server.over_time(use.expr.value) if whole else server.now(use.expr.value)
    except QueryError as err:
        case.say(ProblemKind.QUERY, Weight.FINDING, "", f"Prometheus refuses it: {err.message}")
        return False
    if use.wants is Wants.DATA and result is not None:
        _judge_result(case, result)
    return True


def _judge_result(case: _Case, result: list[Series]) -> None:
    use = case.use
    if not result:
        when = "now" if use.instant else f"in the last {case.since}"
        if use.may_be_empty:
            case.say(ProblemKind.EMPTY, Weight.NOTE, "", f"no data {when}, as it allows: {use.may_be_empty}")
        else:
            message = f"no data {when}; if that may be, say so: set the panel's `No value` text"
            case.say(ProblemKind.EMPTY, Weight.FINDING, "", message)
        return
    shown = {label for series in result for label, _ in series.labels}
    for label in use.labels:
        if label not in shown:
            message = f"the legend shows the label `{label}`, which the result does not have{near_miss(label, shown)}"
            case.say(ProblemKind.LEGEND, Weight.FINDING, label, message)


def _place(use: Use, word: str) -> Span:
    """Where a name stands in the expression, as well as it can be told."""
    if word and (found := re.search(rf"(?<![\w:]){re.escape(word)}(?![\w:])", use.expr.value)):
        return use.expr.span_at(found.start(), len(word))
    return use.expr.span
