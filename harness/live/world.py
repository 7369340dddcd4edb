"""A world: contracts whose signals do not disturb each other, on one Prometheus and one Alertmanager of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.alertmanager.inhibition import Inhibition
from harness.errors import UnsupportedError
from harness.live.cases import UP, LiveCase, compressed
from harness.live.clock import Clock
from harness.live.exporter import Feed, line
from harness.proof.model import LocatedAlert
from harness.replay.labels import opaque_labels
from harness.rules import Group, RecordingRule, Rule, RuleFile
from harness.rules.selectors import metric_names
from harness.series import Labels, format_labels
from harness.source import Text

TICK = "alert_harness_tick"
"""What a recording rule of ours writes at every tick of every group, so that ticks and gaps can be read exactly."""
SCRAPE_MS = 500
_OURS = "alert-harness-exporter"


@dataclass(slots=True)
class LiveWorld:
    """The cases that are measured in it, and those that one of these must inhibit."""

    cases: list[LiveCase] = field(default_factory=list)
    inhibited: list[LiveCase] = field(default_factory=list)
    feed: Feed = field(default_factory=lambda: Feed("/metrics"))
    targets: dict[Labels, Feed] = field(default_factory=dict)
    """The scrape targets whose `up` the contracts speak of, by their labels."""

    def all(self) -> list[LiveCase]:
        return [*self.cases, *self.inhibited]

    def rules(self) -> set[int]:
        """The ids of all rules that its cases need."""
        found = {id(case.located.rule) for case in self.all()}
        found |= {id(other.rule) for case in self.all() for other in case.co_firing}
        return found | {id(rule) for case in self.all() for _, rule in case.plan.recordings}

    def feeds(self) -> list[Feed]:
        return [self.feed, *self.targets.values()]


def divide(cases: Sequence[LiveCase], inhibitions: Sequence[Inhibition]) -> list[LiveWorld]:
    """As few worlds as it takes; in one there are no two cases that share a metric or of which one silences the other.

    Where one silences the other, that is seen in the world of the silencer, which the other joins to be inhibited.
    """
    worlds: list[LiveWorld] = []
    for case in cases:
        home = next((w for w in worlds if not any(_apart(case, other, inhibitions) for other in w.cases)), None)
        if home is None:
            home = LiveWorld()
            worlds.append(home)
        home.cases.append(case)
    for world in worlds:
        for case in cases:
            silencers = [other for other in world.cases if _silences(other, case, inhibitions)]
            free = not any(_disturbs(case, other) for other in world.all() if other is not case)
            if silencers and case not in world.cases and free:
                world.inhibited.append(to_be_inhibited(case, silencers))
    return worlds


def may_inhibit(case: LiveCase, files: Sequence[RuleFile], inhibitions: Sequence[Inhibition]) -> list[LocatedAlert]:
    """Alerts that read the case's signal directly and, by their names and plain labels, may silence its alert."""
    mine = labels_of(case)
    found = []
    for file in files:
        for group in file.groups:
            for rule in group.alerts():
                # what `equal` asks for, a signal may well give
                theirs = {**mine, **LocatedAlert(file, group, rule).fixed_labels}
                reads = metric_names(rule.expr)
                if (
                    rule is not case.located.rule
                    and (None in reads or reads & case.shows)
                    and any(inhibition.holds(theirs, mine) for inhibition in inhibitions)
                ):
                    found.append(LocatedAlert(file, group, rule))
    return found


def to_be_inhibited(case: LiveCase, silencers: Sequence[LiveCase]) -> LiveCase:
    """The case once more, for a world in which these must inhibit it."""
    again = LiveCase(
        case.contract, case.located, case.plan, case.reads, case.shows, case.course, rendered=case.rendered
    )
    again.inhibitors = [other.name for other in silencers]
    return again


def _apart(one: LiveCase, other: LiveCase, inhibitions: Sequence[Inhibition]) -> bool:
    return _disturbs(one, other) or _silences(one, other, inhibitions) or _silences(other, one, inhibitions)


def _disturbs(one: LiveCase, other: LiveCase) -> bool:
    if None in one.reads or None in other.reads:
        return True
    return bool((one.reads | one.shows) & other.shows or (other.reads | other.shows) & one.shows)


def _silences(source: LiveCase, target: LiveCase, inhibitions: Sequence[Inhibition]) -> bool:
    return any(inhibition.holds(labels_of(source), labels_of(target)) for inhibition in inhibitions)


def labels_of(case: LiveCase) -> dict[str, str]:
    """The labels with which Alertmanager will get the alert, as far as rule and contract tell; exact ones once its
    course is settled."""
    main = case.main()
    if main is None:
        told = {**case.contract.meant_labels, **case.located.fixed_labels}
    else:
        opaque = opaque_labels(case.located.rule, case.located.group)
        meant = {name: value for name, value in case.contract.meant_labels.items() if name in opaque}
        told = {**dict(main.labels), **meant, **case.rendered}
    return case.plan.server.sent(told)


def group_key(group: Group) -> str:
    """What tells a group from all others: names are unique only within a file."""
    return f"{group.span.file}:{group.name}"


def tick_rule(group: Group) -> list[Rule]:
    """The recording rule that marks every tick of a group."""
    span = group.span
    return [RecordingRule(TICK, Text("vector(1)", span), {"of": Text(group_key(group), span)}, span)]


# -- what is scraped ---------------------------------------------------------------------------------------------


def make_targets(world: LiveWorld, clock: Clock) -> None:
    """A scrape target for every `up` series of the cases. Raises UnsupportedError for one that no target can have."""
    for case in world.all():
        for labels in up_series(case, clock):
            path = f"/target/{len(world.targets)}"
            world.targets.setdefault(labels, Feed(path))


def up_series(case: LiveCase, clock: Clock) -> Iterator[Labels]:
    if not case.uses_up:
        return
    for trace in compressed(case, clock):
        labels = dict(trace.labels)
        if labels["__name__"] != UP:
            continue
        if "job" not in labels or "instance" not in labels:
            raise UnsupportedError(
                f"the signal of `{case.name}` has {format_labels(trace.labels)}, but every target has a job and an "
                "instance",
                span=case.contract.alert.span,
                hint="give the series both labels",
            )
        if set(trace.values) - {0.0, 1.0}:
            raise UnsupportedError(
                f"the signal of `{case.name}` sets {format_labels(trace.labels)} to something other than 0 and 1",
                span=case.contract.alert.span,
                hint="a target is up or it is not",
            )
        yield trace.labels


def scrape_configs(world: LiveWorld, port: int, clock: Clock) -> list[dict[str, Any]]:
    """One job for the feed, whose series bring their own labels, and one for each target that can be down."""
    address = f"127.0.0.1:{port}"
    steps = {labels: clock.shrink_ms(case.contract.scrape_ms) for case in world.all() for labels in _ups(case, world)}
    jobs: list[dict[str, Any]] = [
        {
            "job_name": _OURS,
            "honor_labels": True,
            "metrics_path": world.feed.path,
            "scrape_interval": f"{SCRAPE_MS}ms",
            "scrape_timeout": f"{SCRAPE_MS}ms",
            "static_configs": [{"targets": [address]}],
            # A series without job or instance keeps none: it must not be given the exporter's.
            "metric_relabel_configs": [
                {"source_labels": [name], "regex": ours, "target_label": name, "replacement": ""}
                for name, ours in (("job", _OURS), ("instance", address))
            ],
        }
    ]
    for number, (labels, feed) in enumerate(world.targets.items()):
        pairs = {name: value for name, value in labels if name != "__name__"}
        jobs.append(
            {
                "job_name": f"{_OURS}-{number}",
                "metrics_path": feed.path,
                "scrape_interval": f"{steps[labels]}ms",
                "scrape_timeout": f"{steps[labels]}ms",
                "static_configs": [{"targets": [address], "labels": pairs}],
            }
        )
    return jobs


def _ups(case: LiveCase, world: LiveWorld) -> list[Labels]:
    return [labels for labels in world.targets if case.uses_up]


def load_feeds(world: LiveWorld, clock: Clock) -> Mapping[Labels, list[int]]:
    """Give the exporter everything that it will show, now that every case has its beginning; returns the due times."""
    samples: list[tuple[int, bytes]] = []
    due: dict[Labels, list[int]] = {}
    down: dict[Labels, list[tuple[int, int]]] = {labels: [] for labels in world.targets}
    for case in world.all():
        half = clock.shrink_ms(case.contract.scrape_ms // 2)
        for trace in compressed(case, clock):
            times = [case.begin_ms + at for at in trace.times_ms]
            if trace.labels in world.targets:
                # A scrape at any moment between two ticks stands for the sample in their middle.
                down[trace.labels] += [
                    (at - half, at + half) for at, value in zip(times, trace.values, strict=True) if value == 0
                ]
                continue
            due[trace.labels] = times
            samples += [(at, line(trace.labels, value, at)) for at, value in zip(times, trace.values, strict=True)]
    for labels, feed in world.targets.items():
        feed.down_ms = tuple(down[labels])
    world.feed.load(samples)
    return due
