"""In which order promtool evaluates rule groups at a tick, and which outcomes of a test depend on it.

promtool sorts the groups by their place in `group_eval_order`, those that it does not name as if they stood first, and
so leaves ties in the random order of a Go map (cmd/promtool/unittest.go, orderedGroups). Its documentation promises an
order among the groups that are named, and no other; two groups of one name in two files always tie.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import InputError, Span
from harness.rules import AlertRule, Group, Rule, RuleFile
from harness.rules.copies import copy_of
from harness.rules.expr import parse_expr
from harness.rules.selectors import NAME, Selector, selectors
from harness.source import Text
from harness.suites.model import Result, SuiteFile, TestGroup
from harness.suites.rulefiles import TestedRules

_STATES = ("ALERTS", "ALERTS_FOR_STATE")
_EVERY_WAY = 3
"""Up to so many undecided pairs of groups every order is tried; beyond, each pair turned by itself and all of them."""
_MOST_TURNED = 14


@dataclass(frozen=True, slots=True)
class LoadedGroup:
    """A rule group that promtool loads; `number` is its place among all that the test's rule files hold."""

    number: int
    file: RuleFile
    group: Group

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def place(self) -> str:
        return f"{self.file.name}:{self.group.span.line}"


@dataclass(frozen=True, slots=True)
class Link:
    """A rule of one group reads what a rule of another one makes."""

    reader: LoadedGroup
    writer: LoadedGroup
    by: str
    """The reading rule."""
    reads: str
    """The series, as a reader knows them: a recorded name, or ``ALERTS{alertname="…"}``."""

    @property
    def pair(self) -> tuple[int, int]:
        """The two groups, whichever reads the other."""
        first, second = sorted((self.reader.number, self.writer.number))
        return first, second


@dataclass(frozen=True, slots=True)
class _Node:
    loaded: LoadedGroup
    rule: Rule
    makes: tuple[Mapping[str, str], ...]
    """Labels that the series which it makes surely carry (or, where empty, surely lack)."""
    reads: tuple[Selector, ...]

    @property
    def name(self) -> str:
        return self.rule.alert if isinstance(self.rule, AlertRule) else self.rule.record

    @property
    def made(self) -> str:
        return f'ALERTS{{alertname="{self.name}"}}' if isinstance(self.rule, AlertRule) else self.name


@dataclass
class EvaluationOrder:
    """The groups that a unit-test file loads, and what promtool promises of their order."""

    groups: tuple[LoadedGroup, ...]
    named: tuple[Text, ...]
    """`group_eval_order` as written."""
    _nodes: tuple[_Node, ...]
    _places: dict[str, int] = field(default_factory=dict)
    _links: dict[int, list[tuple[int, Link | None]]] = field(default_factory=dict)
    """By node: the nodes whose series it reads, with the link where they are of another group."""

    @classmethod
    def of(cls, suite: SuiteFile, rules: TestedRules) -> EvaluationOrder:
        """Rule files that we cannot read are left out."""
        known: dict[tuple[Path, Span], tuple[RuleFile, Group]] = {}
        for file, group in rules.groups():  # a file that two patterns name is loaded once
            known.setdefault(_place(file, group), (file, group))
        groups = tuple(LoadedGroup(number, *pair) for number, pair in enumerate(known.values()))
        nodes = tuple(_Node(u, r, _makes(u.group, r), _selectors(r.expr)) for u in groups for r in u.group.rules)
        order = cls(groups, suite.order, nodes, {text.value: place for place, text in enumerate(suite.order)})
        order._link()
        return order

    def _link(self) -> None:
        writers: dict[str, list[int]] = defaultdict(list)
        for number, node in enumerate(self._nodes):
            for made in node.makes:
                writers[made[NAME]].append(number)
        for number, node in enumerate(self._nodes):
            found: dict[int, Link | None] = {}
            for selector in node.reads:
                names = [selector.metric] if selector.metric else list(writers)
                for writer in (w for name in names for w in writers.get(name, ())):
                    other = self._nodes[writer]
                    if writer not in found and any(selector.may_accept(made) for made in other.makes):
                        apart = other.loaded is not node.loaded
                        found[writer] = Link(node.loaded, other.loaded, node.name, other.made) if apart else None
            self._links[number] = list(found.items())

    # -- what is promised ----------------------------------------------------------------------------------------------

    def promised(self, one: LoadedGroup, other: LoadedGroup) -> bool:
        """Whether promtool promises which of two groups it evaluates first."""
        return one.name != other.name and one.name in self._places and other.name in self._places

    def tied(self, one: LoadedGroup, other: LoadedGroup) -> bool:
        """Whether this promtool evaluates them in random order: what is not named is sorted as if it came first."""
        return self._place(one) == self._place(other)

    def _place(self, loaded: LoadedGroup) -> int:
        return self._places.get(loaded.name, 0)

    @property
    def unknown(self) -> list[Text]:
        """Names in `group_eval_order` that no group bears."""
        names = {loaded.name for loaded in self.groups}
        return [text for text in self.named if text.value not in names]

    def undecided(self) -> list[Link]:
        """All links between groups whose order is not promised."""
        links = [link for found in self._links.values() for _, link in found if link is not None]
        return [link for link in links if not self.promised(link.reader, link.writer)]

    def undecided_behind(self, tests: TestGroup) -> list[Link]:
        """The undecided links on which something asserted in a test group depends, the nearest to the asserted first;
        one per pair of groups."""
        todo = self._asserted(tests)
        seen = set(todo)
        found: dict[tuple[int, int], Link] = {}
        for number in todo:  # grows while it is walked
            for writer, link in self._links[number]:
                if link is not None and not self.promised(link.reader, link.writer):
                    found.setdefault(link.pair, link)
                if writer not in seen:
                    seen.add(writer)
                    todo.append(writer)
        return list(found.values())

    def _asserted(self, tests: TestGroup) -> list[int]:
        alerts = {assertion.alertname.value for assertion in tests.alerts}
        asked = [selector for expr in tests.exprs for selector in _selectors(expr.expr)]
        return [
            number
            for number, node in enumerate(self._nodes)
            if (isinstance(node.rule, AlertRule) and node.rule.alert in alerts)
            or any(selector.may_accept(made) for selector in asked for made in node.makes)
        ]

    # -- orders --------------------------------------------------------------------------------------------------------

    def main(self) -> list[LoadedGroup]:
        """The order in which this promtool evaluates the groups, what is read being made first where that is random."""
        return next(iter(self.orders(self.undecided())))

    def orders(self, links: Sequence[Link]) -> Iterator[list[LoadedGroup]]:
        """Orders of all groups that keep what is promised, each another answer to who of these links comes first.

        First that of :meth:`main`; then one pair of groups after the other is turned round, then several of them.
        """
        pairs: dict[tuple[int, int], tuple[int, int]] = {}
        for link in reversed(links):
            first, second = link.writer, link.reader
            if self._place(first) > self._place(second):
                first, second = second, first
            pairs[link.pair] = first.number, second.number
        ways = list(pairs.values())
        told: set[tuple[int, ...]] = set()
        for turned in _turns(len(ways)):
            arcs = [(b, a) if turn else (a, b) for (a, b), turn in zip(ways, turned, strict=True)]
            order = self._sorted(arcs)
            if order is not None and tuple(order) not in told:
                told.add(tuple(order))
                yield [self.groups[number] for number in order]
        if not told:  # rings of groups that read each other
            yield [self.groups[number] for number in self._sorted([]) or ()]

    def _sorted(self, arcs: Sequence[tuple[int, int]]) -> list[int] | None:
        """The groups in the order of the files, but for these arcs and the promised order; None if those are a ring."""
        before: dict[int, set[int]] = defaultdict(set)
        for first, second in arcs:
            before[second].add(first)
        for one, other in itertools.permutations(self.groups, 2):
            if self.promised(one, other) and self._places[one.name] < self._places[other.name]:
                before[other.number].add(one.number)
        order: list[int] = []
        left = [loaded.number for loaded in self.groups]
        while left:
            free = next((number for number in left if before[number] <= set(order)), None)
            if free is None:
                return None
            order.append(free)
            left.remove(free)
        return order

    def suggestion(self, links: Sequence[Link]) -> list[str]:
        """What to write as `group_eval_order`: the groups of these links and those that it names already."""
        wanted = {link.reader.number for link in links} | {link.writer.number for link in links}
        made_first = self._sorted([(link.writer.number, link.reader.number) for link in links])
        order = [self.groups[number] for number in made_first or self._sorted([]) or ()]
        return list(dict.fromkeys(u.name for u in order if u.number in wanted or u.name in self._places))


@dataclass(frozen=True, slots=True)
class OrderDependence:
    """A test group whose assertions go one way or another with the order of groups."""

    group: TestGroup
    turned: tuple[tuple[Result, Result], ...]
    """The assertions, as they go where what is read is made first, and as they go in another order."""
    links: tuple[Link, ...]
    """Whose groups change places between the two."""
    order: EvaluationOrder


def blamed(links: Sequence[Link], one: Sequence[LoadedGroup], other: Sequence[LoadedGroup]) -> tuple[Link, ...]:
    """The links whose groups stand the other way round in another order."""

    def first(order: Sequence[LoadedGroup], link: Link) -> bool:
        return order.index(link.writer) < order.index(link.reader)

    return tuple(link for link in links if first(one, link) is not first(other, link))


def _turns(count: int) -> Iterator[tuple[bool, ...]]:
    """For each of `count` pairs whether it is turned: none, single ones, several."""
    if count <= _EVERY_WAY:
        yield from sorted(itertools.product((False, True), repeat=count), key=sum)
        return
    yield (False,) * count
    for turned in range(min(count, _MOST_TURNED)):
        yield tuple(number == turned for number in range(count))
    yield (True,) * count


def _selectors(expr: Text) -> tuple[Selector, ...]:
    try:
        return tuple(selectors(parse_expr(expr)))
    except InputError:
        return (Selector((), ()),)  # if promtool takes it all the same, it may read anything


def _makes(group: Group, rule: Rule) -> tuple[Mapping[str, str], ...]:
    labels = {name: text.value for name, text in group.labels_of(rule).items()}
    if not isinstance(rule, AlertRule):
        return ({**labels, NAME: rule.record},)
    plain = {name: value for name, value in labels.items() if "{{" not in value and name != "alertstate"}
    return tuple({**plain, "alertname": rule.alert, NAME: name} for name in _STATES)


# -- rule files in which every group has a name of its own -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PromtoolRules:
    """The rule files that promtool reads, and the names of their groups in the order of evaluation."""

    paths: tuple[Path, ...]
    order: tuple[str, ...] | None
    """None: as the unit-test file says."""
    shown: Mapping[str, Path]
    """Copies that were made, and the rule file that each stands for."""


@dataclass(frozen=True, slots=True)
class DistinctGroups:
    """What promtool is given to evaluate groups in any order we like."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    """By number of a loaded group."""
    shown: Mapping[str, Path]

    def in_order(self, order: Sequence[LoadedGroup]) -> PromtoolRules:
        return PromtoolRules(self.paths, tuple(self.names[loaded.number] for loaded in order), self.shown)


def _place(file: RuleFile, group: Group) -> tuple[Path, Span]:
    return file.path.resolve(), replace(group.span, file="")


def distinct_groups(order: EvaluationOrder, rules: TestedRules, folder: Path, prefix: str) -> DistinctGroups:
    """The rule files as they are; where two groups share a name, copies in which each has one of its own."""
    bearers: dict[str, list[int]] = defaultdict(list)
    for loaded in order.groups:
        bearers[loaded.name].append(loaded.number)
    shared = {name for name, numbers in bearers.items() if len(numbers) > 1}
    names = [loaded.name for loaded in order.groups]
    taken = set(names)
    for name in sorted(shared):
        for number in bearers[name]:
            names[number] = next(n for i in itertools.count(number) if (n := f"{name} #{i}") not in taken)
            taken.add(names[number])
    by_place = {_place(loaded.file, loaded.group): loaded.number for loaded in order.groups}
    paths: dict[Path, Path] = {}
    shown: dict[str, Path] = {}
    for file in rules.files:
        paths |= {path: path for path in file.paths if path not in paths}
        for one in file.given:
            own = {g.name: names[by_place[_place(one.file, g)]] for g in one.file.groups if g.name in shared}
            if own and paths.get(one.path) == one.path:
                paths[one.path] = copy = folder / f"{prefix}-{len(paths)}-{one.path.name}"
                copy.write_text(copy_of(one.file, own).text, encoding="utf-8")
                shown[str(copy)] = file.path
    return DistinctGroups(tuple(paths.values()), tuple(names), shown)
