"""One live run: worlds are started, played, read and judged."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import requests

from harness.alertmanager.alerts import unused_by
from harness.alertmanager.amtool import routed_to
from harness.alertmanager.file import AlertmanagerFile
from harness.contracts import Contract, ContractKind
from harness.engines import Engine, QueryError
from harness.engines.base import new_session
from harness.engines.private import private_folder
from harness.engines.promtool import Promtool
from harness.errors import EngineError, HarnessError, UnsupportedError
from harness.live.cases import LiveCase, Planner, new_case, only
from harness.live.clock import PROMETHEUS_WAITS_MS, Clock, durations_ms
from harness.live.exporter import Exporter
from harness.live.judge import judge
from harness.live.model import BusyRun, LiveReport, LiveResult, LiveVerdict
from harness.live.recording import Recording
from harness.live.routing import config_for_run
from harness.live.servers import Alertmanager, Opener
from harness.live.silence import judge_silence
from harness.live.templates import render_labels
from harness.live.webhook import Webhook
from harness.live.world import (
    TICK,
    LiveWorld,
    divide,
    group_key,
    labels_of,
    load_feeds,
    make_targets,
    may_inhibit,
    scrape_configs,
    tick_rule,
    up_series,
)
from harness.prometheus import ServerSettings
from harness.proof.pairing import pair
from harness.replay import AlertState, SlotWriter
from harness.replay.labels import opaque_labels
from harness.rules import AlertRule, RuleFile, load_rule_file
from harness.toolchain import Tool

_FIRST_SCRAPE_S = 40.0
"""The first scrape comes 5 s after the start (the discovery manager's interval); so long we wait on a busy machine."""
_MARGIN_MS = 1_200
"""From the moment at which all targets were scraped to the first move of a knob: the history arrives meanwhile."""
_SLACK_MS = 1_000
"""How much longer than it needs the knob stays past the threshold, so that the notification finds the alert firing."""
_LATE_MS = 3_000
"""How long after the earliest moment a notification may come on a loaded machine."""
_POLL_S = 0.2
_MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Tools:
    """What a live run starts."""

    opener: Opener
    replay: Callable[[], Engine]
    """An engine for replay, on the world's clock."""
    alertmanager: Tool
    amtool: Tool
    promtool: Promtool


@dataclass(slots=True)
class Progress:
    """Told what the run is doing; the command line shows it."""

    phase: Callable[[str], None] = lambda what: None
    state: Callable[[str, str], None] = lambda alert, state: None


def live(
    files: Sequence[RuleFile],
    contracts: Sequence[Contract],
    tools: Tools,
    routing: AlertmanagerFile,
    clock: Clock,
    progress: Progress | None = None,
    complaints: Mapping[int, str] | None = None,
) -> LiveReport:
    """Run all contracts' alerts live, again on a slower clock if the machine is too busy for this one.

    `complaints` are the rules, by their ids, that Prometheus would not load, and why (`proof.check_rule_files`).
    Raises EngineError where a server does not start or breaks, InputError for rules and configurations that are wrong.
    """
    shown = progress or Progress()
    attempts: list[BusyRun] = []
    while True:
        run = _Run(files, contracts, tools, routing, clock, shown, complaints or {})
        report = run.whole(attempts)
        slower = clock.factor // 2
        if not run.busy or slower < 1 or len(attempts) + 1 >= _MAX_ATTEMPTS:
            return report
        attempts.append(BusyRun(clock.factor, run.busy))
        shown.phase(f"the machine was too busy ({run.busy}): again, {slower} times as fast as the world")
        clock = replace(clock, factor=fitting_factor(slower, files, contracts, clock.server))


def fitting_factor(limit: int, files: Sequence[RuleFile], contracts: Sequence[Contract], server: ServerSettings) -> int:
    """The largest factor up to `limit` that leaves every duration a whole number of milliseconds."""
    durations = {PROMETHEUS_WAITS_MS, server.lookback_ms, server.evaluation_ms}
    for file in files:
        for group in file.groups:
            durations |= {group.interval_ms, group.query_offset_ms}
            for rule in group.rules:
                durations |= durations_ms(rule.expr)
                if isinstance(rule, AlertRule):
                    durations |= {rule.hold_ms, rule.keep_firing_ms}
    # A contract's scrapes fall half an interval beside the ticks.
    durations |= {contract.scrape_ms // 2 for contract in contracts}
    return next(k for k in range(limit, 0, -1) if not any(ms % k for ms in durations))


@dataclass(slots=True)
class _Stage:
    """A world with its running servers."""

    world: LiveWorld
    exporter: Exporter
    webhook: Webhook
    alertmanager: Alertmanager
    engine: Engine
    shrunk: list[RuleFile]
    recording: Recording = field(default_factory=Recording)
    moves_ms: int = 0

    def close(self) -> None:
        self.engine.close()
        self.alertmanager.close()
        self.exporter.close()
        self.webhook.close()


class _Run:
    def __init__(
        self,
        files: Sequence[RuleFile],
        contracts: Sequence[Contract],
        tools: Tools,
        routing: AlertmanagerFile,
        clock: Clock,
        progress: Progress,
        complaints: Mapping[int, str],
    ) -> None:
        self.files = files
        self.complaints = complaints
        self.contracts = contracts
        self.tools = tools
        self.routing = routing
        self.clock = clock
        self.progress = progress
        self.busy = ""
        """Why this run is not believed."""
        self.results: list[LiveResult] = []
        self._seconds: dict[str, float] = {}
        self._lap_s = time.monotonic()

    def _lap(self, phase: str) -> None:
        now = time.monotonic()
        self._seconds[phase] = round(now - self._lap_s, 3)
        self._lap_s = now

    def whole(self, attempts: Sequence[BusyRun]) -> LiveReport:
        self.progress.phase("starting")
        with self.tools.replay() as replayer:
            cases = self._cases(replayer)
            version = replayer.version
            writer = SlotWriter(replayer)
            self._foresee(replayer, writer, cases)
            if cases:
                worlds = divide(cases, self.routing.inhibitions)
                for world in worlds:
                    make_targets(world, self.clock)
                with private_folder() as folder, self._open(worlds, folder) as stages:
                    version = stages[0].engine.version if stages else version
                    self._lap("start the servers")
                    self._settle(replayer, writer, worlds)
                    self._route(stages)
                    self._lap("replay on the world's clock")
                    self._play(stages)
                    self._judge(stages)
                    self._lap("read and judge")
                self._lap("end the servers")
        order = {id(contract): number for number, contract in enumerate(self.contracts)}
        self.results.sort(key=lambda result: order[id(result.contract)])
        if self.busy:
            for result in self.results:
                if result.moved_ms is not None:
                    result.find(LiveVerdict.TOO_BUSY, f"the machine was too busy to tell: {self.busy}")
        return LiveReport(
            self.results,
            self.clock.factor,
            self.tools.opener.kind,
            version,
            self.tools.alertmanager.version_text,
            self.routing.name,
            tuple(attempts),
            self._seconds,
            sum(contract.kind is ContractKind.SET_ASIDE for contract in self.contracts),
            unused_by(self.routing, self.files, self.contracts, self.clock.server),
        )

    # -- before --------------------------------------------------------------------------------------------------

    def _cases(self, engine: Engine) -> list[LiveCase]:
        """One case per contract that has a rule and can be run live; the others get their verdicts here."""
        cases = []
        for pairing in pair(self.files, self.contracts):
            contract = pairing.contract
            if contract is None:
                continue  # `prove` speaks of alerts without a contract
            if contract.kind is ContractKind.SET_ASIDE:
                continue  # there is nothing that could be run
            result = LiveResult(contract.alert.value, contract, pairing.located)
            if pairing.located is None or pairing.duplicates:
                what = "has no rule" if pairing.located is None else "has several rules"
                result.find(LiveVerdict.MISSING, f"the contract at {contract.alert.span} {what}")
                self.results.append(result)
                continue
            if id(pairing.located.rule) in self.complaints:
                reason = f"Prometheus refuses the rule: {self.complaints[id(pairing.located.rule)]}"
                result.find(LiveVerdict.REFUSED, reason)
                self.results.append(result)
                continue
            try:
                case = new_case(contract, pairing.located, self.files, engine, self.clock)
                group = case.located.group
                for expr in (case.located.rule.expr, *(recording.expr for _, recording in case.plan.recordings)):
                    self.clock.expression(expr)
                self.clock.shrink_ms(group.interval_ms, f"the interval of group `{group.name}`", group.span)
                list(up_series(case, self.clock))
            except UnsupportedError as err:
                result.find(LiveVerdict.NOT_LIVE, str(err))
                self.results.append(result)
                continue
            cases.append(case)
        return cases

    @contextlib.contextmanager
    def _open(self, worlds: Sequence[LiveWorld], folder: Path) -> Iterator[list[_Stage]]:
        """All servers of all worlds, started at the same time."""
        with ThreadPoolExecutor(max_workers=max(1, len(worlds))) as pool:
            started = [pool.submit(self._stage, world, folder / f"world-{n}") for n, world in enumerate(worlds)]
            stages: list[_Stage] = []
            try:
                stages = [future.result() for future in started]
                yield stages
            finally:
                self._close(pool, started)

    @staticmethod
    def _close(pool: ThreadPoolExecutor, started: Sequence[Future[_Stage]]) -> None:
        up = [future.result() for future in started if future.exception() is None]
        for closed in [pool.submit(stage.close) for stage in up]:
            closed.result()

    def _stage(self, world: LiveWorld, folder: Path) -> _Stage:
        folder.mkdir()
        shrunk, paths = [], []
        needed = world.rules()
        for number, file in enumerate(self.files):
            part = only(file, needed, tick_rule)
            if part is None:
                continue
            path = folder / f"{number}-{file.path.name}"
            path.write_text(self.clock.rules(part), encoding="utf-8")
            paths.append(path)
            shrunk.append(load_rule_file(path))
        with contextlib.ExitStack() as opened:
            exporter = Exporter(world.feeds())
            opened.callback(exporter.close)
            webhook = Webhook()
            opened.callback(webhook.close)
            alertmanager = Alertmanager(self.tools.alertmanager, config_for_run(self.routing, self.clock, webhook.url))
            opened.callback(alertmanager.close)
            config = self.clock.prometheus({"global": self.clock.server.config()})
            config["scrape_configs"] = scrape_configs(world, exporter.port, self.clock)
            address = alertmanager.url.removeprefix("http://")
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
            engine = self.tools.opener(paths, config, self.clock.flags())
            opened.pop_all()
        return _Stage(world, exporter, webhook, alertmanager, engine, shrunk)

    @contextlib.contextmanager
    def _planner(self, replayer: Engine, writer: SlotWriter, needed: Collection[int]) -> Iterator[Planner]:
        """A planner for the rules of these ids."""
        with private_folder() as folder:
            parts = [part for file in self.files if (part := only(file, needed, lambda group: [])) is not None]
            shrunk = []
            for number, part in enumerate(parts):
                path = folder / f"{number}.yml"
                path.write_text(self.clock.rules(part), encoding="utf-8")
                shrunk.append(load_rule_file(path))
            told = self.routing.longest_ms("group_wait") + self.routing.longest_ms("group_interval")
            rest_ms = told + _SLACK_MS * self.clock.factor
            yield Planner(replayer, writer, parts, shrunk, self.clock, self.routing.inhibitions, rest_ms)

    def _foresee(self, replayer: Engine, writer: SlotWriter, cases: Sequence[LiveCase]) -> None:
        """Measure the labels that inhibition rules ask for and neither rule nor contract tells, for who silences whom
        decides what can run beside what; render those that are templates; then look for other alerts
        that the same signal sets off."""
        asked = set().union(*(inhibition.asks_for() for inhibition in self.routing.inhibitions))
        unknown = [
            case
            for case in cases
            if (asked & case.may_carry) - set(labels_of(case)) or opaque_labels(case.located.rule, case.located.group)
        ]
        if unknown:
            with (
                self._planner(replayer, writer, LiveWorld(list(unknown)).rules()) as planner,
                private_folder() as folder,
            ):
                for case in unknown:
                    # what cannot be measured is said when the courses are settled
                    with contextlib.suppress(UnsupportedError, QueryError):
                        planner.settle(case, self._linger_ms())
                        render_labels(case, self.tools.promtool, folder)
        for case in cases:
            case.co_firing = may_inhibit(case, self.files, self.routing.inhibitions)

    def _settle(self, replayer: Engine, writer: SlotWriter, worlds: Sequence[LiveWorld]) -> None:
        """Every case's course, and what must come of it, while the servers wait for their first scrape."""
        needed = {each for world in worlds for each in world.rules()}
        with self._planner(replayer, writer, needed) as planner:
            for world in worlds:
                for case in list(world.all()):
                    try:
                        planner.settle(case, self._linger_ms())
                    except (UnsupportedError, QueryError) as err:
                        self._drop(world, case, err)
                self._silence(planner, world)

    def _drop(self, world: LiveWorld, case: LiveCase, err: HarnessError) -> None:
        if case in world.inhibited:
            world.inhibited.remove(case)
            return
        world.cases.remove(case)
        result = LiveResult(case.name, case.contract, case.located)
        if isinstance(err, QueryError):
            what = "Prometheus cannot evaluate the rule over the contract's signal"
            result.find(LiveVerdict.ERROR, f"{what}: {err.message}")
        else:
            result.find(LiveVerdict.NOT_LIVE, str(err))
        self.results.append(result)

    def _linger_ms(self) -> int:
        """How long the knob stays past the threshold after the alert fires, on the world's clock."""
        wait = self.routing.longest_ms("group_wait")
        if not self.routing.groups_alone():
            # Another alert may have opened the group; then ours waits for its next turn.
            wait += self.routing.longest_ms("group_interval")
        return wait + _SLACK_MS * self.clock.factor

    def _route(self, stages: Sequence[_Stage]) -> None:
        """Where what each contract describes must arrive, as amtool says."""
        for stage in stages:
            for case in stage.world.cases:
                labels = {**labels_of(case), **case.contract.meant_labels}
                case.routed = routed_to(self.tools.amtool.path, stage.alertmanager.config_file, labels)

    def _silence(self, planner: Planner, world: LiveWorld) -> None:
        """Let silencers fire before and after the alerts that they silence."""
        inhibitions = self.routing.inhibitions
        for case in list(world.inhibited):
            by = [
                other
                for other in world.cases
                if any(rule.holds(labels_of(other), labels_of(case)) for rule in inhibitions)
            ]
            case.inhibitors = [other.name for other in by]
            if not by or case.over() is None:
                world.inhibited.remove(case)  # by its exact labels nobody silences it
                continue
            for silencer in by:
                silent_until = self._after_ms(case, case.over()) + self._delay_ms(case, world) + 2 * _SLACK_MS
                firing = silencer.first(AlertState.FIRING)
                if firing is not None:
                    needed = silent_until - self._after_ms(silencer, firing) - self._delay_ms(silencer, world)
                    planner.settle(silencer, max(self._linger_ms(), needed * self.clock.factor))

    def _after_ms(self, case: LiveCase, tick: int | None) -> int:
        """How long after its knob's move a tick of the case is, in real milliseconds."""
        interval = self.clock.shrink_ms(case.plan.interval_ms)
        return 0 if tick is None else (tick - case.course.on) * interval

    def _delay_ms(self, case: LiveCase, world: LiveWorld) -> int:
        """How much later than others a case moves: an inhibited one so that its silencers fire before it does, an
        absence so that all of its world is yet to come, for before that is shown it is absent, too."""
        rest = 0
        if case.contract.kind is ContractKind.ABSENCE:
            rest = case.course.on * self.clock.shrink_ms(case.plan.interval_ms)
        if not case.inhibitors:
            return rest
        by = [other for other in world.cases if other.name in case.inhibitors]
        latest = max(
            (self._delay_ms(other, world) + self._after_ms(other, other.first(AlertState.FIRING)) for other in by),
            default=0,
        )
        return max(rest, latest + 2 * _SLACK_MS - self._after_ms(case, case.first(AlertState.FIRING)))

    # -- the run itself ------------------------------------------------------------------------------------------

    def _play(self, stages: Sequence[_Stage]) -> None:
        self.progress.phase("waiting for the first scrape")
        deadline = time.monotonic() + _FIRST_SCRAPE_S
        for stage in stages:
            if not stage.exporter.scraped.wait(max(0.0, deadline - time.monotonic())):
                raise EngineError(
                    f"Prometheus did not scrape the exporter within {_FIRST_SCRAPE_S:g} s",
                    hint="is the machine overloaded? does a firewall forbid connections to 127.0.0.1?",
                )
        self._lap("wait for the first scrape")
        for stage in stages:
            self._begin(stage)
        self.progress.phase("running")
        session = new_session()
        waiting = list(stages)
        while waiting:
            time.sleep(_POLL_S)
            for stage in list(waiting):
                self._look(stage, session)
                if _now_ms() >= self._ends_ms(stage):
                    waiting.remove(stage)
        session.close()
        self._lap("the run itself")

    def _begin(self, stage: _Stage) -> None:
        """Place every case on the ticks of its group, and let the exporter show it."""
        moved = _now_ms() + _MARGIN_MS
        stage.moves_ms = moved
        ticks = _ticks(stage.engine, _now_ms())
        for case in stage.world.all():
            group = case.located.group
            interval = self.clock.shrink_ms(group.interval_ms)
            known = ticks.get(group_key(group))
            if not known:
                raise EngineError(f"the live Prometheus does not evaluate the group `{group.name}`")
            offset = self.clock.shrink_ms(group.query_offset_ms)
            wanted = moved + self._delay_ms(case, stage.world)
            move = known[0] + offset + -(-(wanted - known[0] - offset) // interval) * interval
            case.begin_ms = move - case.course.on * interval
        stage.recording.due = load_feeds(stage.world, self.clock)

    def _look(self, stage: _Stage, session: requests.Session) -> None:
        """Alerts as Prometheus and Alertmanager show them now."""
        measured = {case.name for case in stage.world.cases}
        with contextlib.suppress(requests.exceptions.RequestException, ValueError, KeyError):
            alerts = session.get(f"{stage.engine.url}/api/v1/alerts", timeout=2.0).json()["data"]["alerts"]
            for alert in alerts:
                name = alert["labels"].get("alertname", "")
                stage.recording.rendered.setdefault(name, []).append((alert["labels"], alert["annotations"]))
                if name in measured:
                    self.progress.state(name, str(alert["state"]))
        if self.routing.inhibitions:
            for name, by in stage.alertmanager.inhibitors().items():
                stage.recording.inhibited.setdefault(name, set()).update(by)

    def _ends_ms(self, stage: _Stage) -> int:
        """When there is nothing more to wait for in a world, as far as is known now."""
        told = stage.webhook.deliveries()
        interval = -(-self.routing.longest_ms("group_interval") // self.clock.factor)
        ends = stage.moves_ms
        for case in stage.world.all():
            over, firing = case.over(), case.first(AlertState.FIRING)
            last = case.tick_ms(case.course.ticks if over is None else over + 2, self.clock) + _POLL_MS
            ends = max(ends, last)
            if case.always and not any(d.labels.get("alertname") == case.located.rule.alert for d in told):
                ends = max(ends, last + _LATE_MS)
            if case.inhibitors or firing is None or over is None:
                continue
            # An absence fires before its world is shown too, and that it was over then is not what is waited for.
            on = case.tick_ms(case.course.on, self.clock)
            mine = [d for d in told if d.labels.get("alertname") == case.located.rule.alert and d.at_ms >= on]
            wants = {"firing"} | ({"resolved"} if self._tells_resolved(mine) else set())
            if not wants <= {d.status for d in mine}:
                ends = max(ends, case.tick_ms(over, self.clock) + interval + _LATE_MS)
        return ends

    def _tells_resolved(self, mine: Sequence[object]) -> bool:
        receivers = {getattr(each, "receiver", "") for each in mine}
        return not receivers or any(self.routing.tells_resolved(name) for name in receivers)

    # -- afterwards ----------------------------------------------------------------------------------------------

    def _judge(self, stages: Sequence[_Stage]) -> None:
        self.progress.phase("reading what was stored")
        inhibited: dict[str, list[tuple[LiveCase, Recording]]] = {}
        for stage in stages:
            until = _now_ms()
            self._read(stage, until)
            for case in stage.world.inhibited:
                inhibited.setdefault(case.name, []).append((case, stage.recording))
        every = [case for stage in stages for case in stage.world.cases]
        for stage in stages:
            for case in stage.world.cases:
                result = judge(
                    case,
                    stage.recording,
                    self.clock,
                    self.routing,
                    [pair for pair in inhibited.get(case.name, []) if pair[0].located.rule is case.located.rule],
                )
                judge_silence(case, every, self.files, self.routing, result)
                self.results.append(result)

    def _read(self, stage: _Stage, until_ms: int) -> None:
        recording = stage.recording
        recording.told = stage.webhook.deliveries()
        recording.read(stage.engine, stage.world, until_ms)
        recording.ticks = _ticks(stage.engine, until_ms)
        recording.first_shown_ms = max((s.sent_ms for s in stage.world.feed.sent[:1]), default=stage.moves_ms)
        if not self.busy:
            self.busy = recording.too_busy(stage.world, self.clock, stage.moves_ms, until_ms)


_POLL_MS = round(_POLL_S * 1000)


def _now_ms() -> int:
    return round(time.time() * 1000)


def _ticks(engine: Engine, until_ms: int) -> Mapping[str, list[int]]:
    """The exact ticks of each group so far, less its query offset."""
    found = engine.query(f"{TICK}[1h]", until_ms)
    return {dict(series.labels)["of"]: series.timestamps_ms for series in found}
