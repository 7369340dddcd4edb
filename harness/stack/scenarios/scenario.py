"""Scenarios: what goes wrong with the stack, when, and which alerts must come of it.

Times are the scenario's own ("world time"): on a compressed clock they pass faster. Rates are per second of any clock,
for rules speak of rates, and a latency is what it is: a threshold of one second does not shrink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from harness.errors import InputError, near_miss
from harness.rules import RuleFile
from harness.source import Fields, Item, SourceFile, Text, duration_ms, load_yaml, number

_MAX_RATE = 2_000
_MAX_CAMERAS = 1_000
_MAX_LATENCY_MS = 30_000


@dataclass(frozen=True, slots=True)
class Load:
    """The traffic of a whole scenario, whatever goes wrong in it."""

    requests_per_s: Fraction
    """Reads: lists of streams, cameras and recordings."""
    recordings_per_s: Fraction
    plates_per_s: Fraction
    """LPR events by webhook."""
    cameras: int
    heartbeat_ms: int
    """World time between two heartbeats of a camera."""
    streams: int
    """So many are kept active."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The service is killed, stays down for a while, and all that again and again."""

    every_ms: int
    down_ms: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong from `at_ms` on, up to `until_ms`; shares are of 1."""

    at_ms: int
    until_ms: int
    error_ratio: Fraction = Fraction(0)
    latency_s: Fraction = Fraction(0)
    latency_ratio: Fraction = Fraction(1)
    """The share of requests that the latency hits."""
    recording_failures: Fraction = Fraction(0)
    cameras_silent: Fraction = Fraction(0)
    streams_ended: bool = False
    crash: Crash | None = None

    @property
    def text(self) -> str:
        """The fault in words, for a legend."""
        said = []
        if self.error_ratio:
            said.append(f"{_percent(self.error_ratio)} of requests fail")
        if self.latency_s:
            said.append(f"{_percent(self.latency_ratio)} of requests take {float(self.latency_s):g} s longer")
        if self.recording_failures:
            said.append(f"{_percent(self.recording_failures)} of recordings fail")
        if self.cameras_silent:
            said.append(f"{_percent(self.cameras_silent)} of cameras are silent")
        if self.streams_ended:
            said.append("all streams end")
        if self.crash:
            said.append("the service crashes again and again")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Expectation:
    """An alert that must fire, once, and when; world time since the scenario began."""

    alert: Text
    labels: Mapping[str, str]
    fires_from_ms: int
    fires_to_ms: int
    resolved_to_ms: int | None
    """None: it may still be firing at the end."""
    again: bool
    """Whether it may fire more than once."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Alerts that may fire without being part of the scenario."""

    alerts: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class ScenarioMoment:
    """What happens at a moment of a scenario, and a word on it."""

    at_ms: int
    says: str = ""
    faults: tuple[Fault, ...] | None = None
    """All that is wrong from now on; None: as before."""
    alive: bool | None = None
    """Whether the service lives from now on; None: as before."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario file. An alert that is neither expected nor tolerated must stay quiet."""

    file: str
    name: str
    means: str
    lasts_ms: int
    load: Load
    faults: tuple[Fault, ...]
    expect: tuple[Expectation, ...]
    tolerate: tuple[Tolerance, ...]

    def faults_at(self, at_ms: int) -> tuple[Fault, ...]:
        """What is wrong at this moment."""
        return tuple(fault for fault in self.faults if fault.at_ms <= at_ms < fault.until_ms)

    def timetable(self) -> list[ScenarioMoment]:
        """Everything that happens, in its order; the last moment is the end."""
        moments = []
        for at_ms in sorted({at_ms for fault in self.faults for at_ms in (fault.at_ms, fault.until_ms)}):
            active = self.faults_at(at_ms)
            says = "; ".join(fault.text for fault in active) or "all is well again"
            moments.append(ScenarioMoment(at_ms, says, faults=active))
        for fault in self.faults:
            if fault.crash is None:
                continue
            for at_ms in range(fault.at_ms, fault.until_ms, fault.crash.every_ms):
                again_ms = min(at_ms + fault.crash.down_ms, fault.until_ms)
                moments.append(ScenarioMoment(at_ms, "the service is killed", alive=False))
                moments.append(ScenarioMoment(again_ms, "the service starts again", alive=True))
        moments.append(ScenarioMoment(self.lasts_ms))
        return sorted(moments, key=lambda moment: moment.at_ms)

    def check_alerts(self, files: Sequence[RuleFile]) -> None:
        """Raise InputError for an alert that no rule file defines: it would wait in vain, or tolerate nothing."""
        known = {alert.alert for file in files for group in file.groups for alert in group.alerts()}
        for expectation in self.expect:
            if expectation.alert.value not in known:
                raise InputError(
                    f"no rule file defines an alert `{expectation.alert.value}`"
                    f"{near_miss(expectation.alert.value, known)}",
                    span=expectation.alert.span,
                    hint=f"known alerts: {', '.join(sorted(known))}",
                )


def find_scenario(name: str, folder: Path) -> Scenario:
    """A scenario by its path, or by its name in a folder; raises InputError with the near miss."""
    if (path := Path(name)).is_file():
        return load_scenario(path)
    shipped = {file.stem: file for file in sorted(folder.glob("*.yml"))}
    if name in shipped:
        return load_scenario(shipped[name])
    raise InputError(
        f"no scenario `{name}`{near_miss(Path(name).stem, shipped)}",
        hint=f"name a file, or one of: {', '.join(shipped)}" if shipped else "name a scenario file",
    )


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; raises InputError at the first thing that is wrong, with its place."""
    source = SourceFile.read(path)
    documents = load_yaml(source)
    if len(documents) != 1:
        raise InputError(
            f"{source.name} holds {len(documents)} YAML documents, expected one scenario",
            hint="one scenario a file; docs/scenarios.md shows its shape",
        )
    top = Fields(documents[0], source, "a scenario")
    top.only("version", "name", "means", "lasts", "load", "faults", "expect", "tolerate")
    if (version := top.text("version")).value != "1":
        raise InputError(f"scenario version `{version.value}` is not known", span=version.span, hint="write version: 1")
    lasts_ms = top.duration_ms("lasts")
    if lasts_ms <= 0:
        raise InputError("`lasts` must be longer than 0s", span=top.text("lasts").span, hint="write something like 30m")
    return Scenario(
        file=source.name,
        name=top.text("name").value,
        means=top.text("means").value,
        lasts_ms=lasts_ms,
        load=_load(top.fields("load", "the load")),
        faults=tuple(_fault(item.fields(), lasts_ms) for item in _list(top, "faults", "a fault")),
        expect=tuple(_expectation(item.fields(), lasts_ms) for item in _list(top, "expect", "an expected alert")),
        tolerate=tuple(_tolerance(item.fields()) for item in _list(top, "tolerate", "a tolerance")),
    )


def _list(top: Fields, name: str, what: str) -> list[Item]:
    return top.items(name, what) if name in top else []


def _load(entry: Fields) -> Load:
    entry.only("requests_per_s", "recordings_per_s", "plates_per_s", "cameras", "heartbeat", "streams")
    heartbeat_ms = entry.duration_ms("heartbeat", 30_000)
    if heartbeat_ms < 1000:
        raise InputError("`heartbeat` must be at least 1s", span=entry.text("heartbeat").span, hint="write 30s")
    cameras, streams = _whole(entry, "cameras", 0, _MAX_CAMERAS), _whole(entry, "streams", 0, _MAX_CAMERAS)
    if streams and not cameras:
        raise InputError("streams need a camera", span=entry.text("streams").span, hint="set `cameras` to 1 or more")
    return Load(
        requests_per_s=_number(entry, "requests_per_s", 0, _MAX_RATE),
        recordings_per_s=_number(entry, "recordings_per_s", 0, _MAX_RATE),
        plates_per_s=_number(entry, "plates_per_s", 0, _MAX_RATE),
        cameras=cameras,
        heartbeat_ms=heartbeat_ms,
        streams=streams,
    )


_KINDS = ("error_ratio", "latency", "recording_failures", "cameras_silent", "streams_ended", "crash")


def _fault(entry: Fields, lasts_ms: int) -> Fault:
    entry.only("at", "until", "latency_ratio", *_KINDS)
    at_ms, until_ms = entry.duration_ms("at"), entry.duration_ms("until", lasts_ms)
    if not at_ms < until_ms <= lasts_ms:
        raise InputError(
            "a fault must begin before it ends, and end within the scenario",
            span=entry.key_span("until" if "until" in entry else "at"),
            hint="compare `at`, `until` and the scenario's `lasts`",
        )
    if not any(kind in entry for kind in _KINDS):
        raise InputError(
            "this fault says nothing that goes wrong", span=entry.span, hint=f"add one of {', '.join(_KINDS)}"
        )
    crash = None
    if "crash" in entry:
        cycle = entry.fields("crash", "`crash`")
        cycle.only("every", "down")
        crash = Crash(cycle.duration_ms("every"), cycle.duration_ms("down"))
        if not 0 < crash.down_ms < crash.every_ms:
            raise InputError(
                "`down` must be longer than 0s and shorter than `every`",
                span=cycle.key_span("down"),
                hint="write something like {every: 6m, down: 3m}",
            )
    latency_ms = entry.duration_ms("latency", 0)
    if latency_ms > _MAX_LATENCY_MS:
        raise InputError("`latency` must be at most 30s", span=entry.text("latency").span, hint="write a shorter one")
    return Fault(
        at_ms=at_ms,
        until_ms=until_ms,
        error_ratio=_number(entry, "error_ratio", 0, 1),
        latency_s=Fraction(latency_ms, 1000),
        latency_ratio=_number(entry, "latency_ratio", 0, 1, 1),
        recording_failures=_number(entry, "recording_failures", 0, 1),
        cameras_silent=_number(entry, "cameras_silent", 0, 1),
        streams_ended=_flag(entry, "streams_ended"),
        crash=crash,
    )


def _expectation(entry: Fields, lasts_ms: int) -> Expectation:
    entry.only("alert", "labels", "fires", "resolved", "again")
    labels = entry.fields("labels", "`labels`").texts() if "labels" in entry else {}
    fires = entry.fields("fires", "`fires`")
    fires.only("from", "to")
    from_ms, to_ms = fires.duration_ms("from"), fires.duration_ms("to")
    resolved_ms = None
    if "resolved" in entry:
        resolved = entry.fields("resolved", "`resolved`")
        resolved.only("to")
        resolved_ms = duration_ms(resolved.text("to"), "`to` of `resolved`")
    if not from_ms < to_ms <= (resolved_ms or lasts_ms) <= lasts_ms:
        raise InputError(
            "the times of an expected alert must follow one another within the scenario",
            span=entry.key_span("fires"),
            hint="compare `from`, `to`, `resolved` and the scenario's `lasts`",
        )
    return Expectation(
        alert=entry.text("alert"),
        labels={name: text.value for name, text in labels.items()},
        fires_from_ms=from_ms,
        fires_to_ms=to_ms,
        resolved_to_ms=resolved_ms,
        again=_flag(entry, "again"),
    )


def _tolerance(entry: Fields) -> Tolerance:
    entry.only("alerts", "because")
    alerts = tuple(item.text().value for item in entry.items("alerts", "an alert's name"))
    return Tolerance(alerts, entry.text("because").value)


def _number(entry: Fields, name: str, low: int, high: int, default: int = 0) -> Fraction:
    text = entry.optional_text(name)
    if text is None:
        return Fraction(default)
    value = number(text, f"`{name}`", quotient=True)
    if not low <= value <= high:
        raise InputError(
            f"`{name}`: expected a number from {low} to {high}, found `{text.value}`",
            span=text.span,
            hint="a share is written like 0.2 or 1/5",
        )
    return value


def _whole(entry: Fields, name: str, low: int, high: int) -> int:
    value = _number(entry, name, low, high, low)
    if value.denominator != 1:
        raise InputError(f"`{name}` must be a whole number", span=entry.text(name).span, hint="write a whole number")
    return int(value)


def _flag(entry: Fields, name: str) -> bool:
    text = entry.optional_text(name)
    if text and text.value not in ("true", "false"):
        raise InputError(f"`{name}` must be true or false", span=text.span, hint="write true, or leave it out")
    return bool(text and text.value == "true")


def _percent(share: Fraction) -> str:
    return f"{float(100 * share):g} %"
