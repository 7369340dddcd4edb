"""Contracts from YAML; docs/contracts.md describes every field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from harness.contracts.formula import parse_formula
from harness.contracts.knob import read_given, read_limit
from harness.contracts.model import Contract, ContractKind, SeriesSpec, Signal
from harness.contracts.signal import expand, read_series
from harness.contracts.situations import Inherited, read_situations
from harness.contracts.unconfirmed import without_confirm
from harness.contracts.when import load_when
from harness.errors import InputError
from harness.prometheus import DEFAULTS, ServerSettings
from harness.source import Fields, Item, SourceFile, Text, load_yaml

FILE_FIELDS = ("version", "scrape_interval", "annotations", "contracts")
CONTRACT_FIELDS = (
    "alert", "means", "draft", "allow", "labels", "always", "knob", "op", "threshold", "for", "keep_firing_for",
    "severity", "identifies", "annotations", "silenced_by", "never_silenced_by", "given", "signal", "scrape_interval",
    "when", "situations",
)  # fmt: skip

DEFAULT_SCRAPE_MS = 30_000
_SET_ASIDE = frozenset({"alert", "means", "allow", "labels", "severity"})
"""The fields of an entry that only sets an alert aside."""
_REFUSED: Mapping[ContractKind, tuple[Sequence[str], str]] = {
    ContractKind.ABSENCE: (
        ("knob", "threshold"),
        "the series are there or gone, which needs neither knob nor threshold",
    ),
    ContractKind.PRESENCE: (
        ("knob", "threshold"),
        "the series are there or gone, which needs neither knob nor threshold",
    ),
    ContractKind.ALWAYS: (
        ("op", "threshold", "keep_firing_for"),
        "an alert that always fires has neither threshold nor end",
    ),
}
_SPELT = {ContractKind.ABSENCE: "op: absent", ContractKind.PRESENCE: "op: present", ContractKind.ALWAYS: "always: true"}


def load_contracts(paths: Sequence[Path], server: ServerSettings = DEFAULTS) -> list[Contract]:
    """Load every contract; raises InputError at the first thing that is wrong, with its place.

    Where neither contract nor file says how often its signal is scraped, the server's own scrape intervals do.
    """
    contracts: list[Contract] = []
    seen: dict[tuple[str, str | None, frozenset[tuple[str, str]]], Text] = {}
    for path in paths:
        for contract in _load_file(path, server):
            key = (contract.alert.value, contract.severity, frozenset(contract.labels.items()))
            if key in seen:
                which = f" with severity `{contract.severity}`" if contract.severity is not None else ""
                raise InputError(
                    f"a second contract for `{key[0]}`{which} (first at {seen[key].span})",
                    span=contract.alert.span,
                    hint="keep one, or give them different severities, or `labels:` that tell their rules apart",
                )
            seen[key] = contract.alert
            contracts.append(contract)
    return contracts


def _load_file(path: Path, server: ServerSettings) -> list[Contract]:
    source = SourceFile.read(path)
    documents = load_yaml(source)
    if not documents:
        raise InputError(f"{source.name} is empty, expected contracts", hint="start it with `contracts:`")
    if len(documents) > 1:
        raise InputError(
            f"{len(documents)} YAML documents in one contract file",
            span=source.span_of(documents[1]),
            hint="split the file, or put all contracts under one `contracts:`",
        )
    top = Fields(documents[0], source, "a contract file")
    top.only(*FILE_FIELDS)
    if "version" in top and top.text("version").value != "1":
        version = top.text("version")
        raise InputError(f"contract version `{version.value}` is not known", span=version.span, hint="write version: 1")
    scrape_ms = top.duration_ms("scrape_interval", 0, least_ms=1000)
    annotations = _annotations(top) if "annotations" in top else ()
    return [_contract(item, scrape_ms, annotations, server) for item in top.items("contracts", "a contract")]


def _contract(item: Item, file_scrape_ms: int, annotations: tuple[str, ...], server: ServerSettings) -> Contract:
    """One contract; scrape interval (0: none) and annotations are the file's, for where it has none of its own."""
    item, unconfirmed = without_confirm(item, keep=("means",))
    fields = item.fields()
    alert = fields.text("alert")
    fields.what = f"the contract of `{alert.value}`"
    fields.only(*CONTRACT_FIELDS)
    draft = _flag(fields, "draft") or unconfirmed
    allowed = _allowed(fields)
    kind = _kind(fields)
    _refuse_needless(fields, kind)
    given = read_given(fields, {})
    knob, op, threshold = read_limit(fields, kind, given)
    identifies = _labels(fields, "identifies")
    if "annotations" in fields:
        annotations = _annotations(fields)
    items = fields.items("signal", "a series") if _has_signal(fields, kind) else []

    def own_series(given: Mapping[str, Fraction]) -> tuple[SeriesSpec, ...]:
        return _on_and_off(read_series(items, given), kind, fields)

    signal = Signal(given, own_series(given))
    scrape_ms = fields.duration_ms("scrape_interval", file_scrape_ms or _scraped_ms(signal, server), least_ms=1000)
    quiet_at = Fraction(1) if kind is ContractKind.ABSENCE else knob.low
    situations = read_situations(fields, Inherited(given, own_series, knob, quiet_at, identifies, scrape_ms))
    silenced_by, never_silenced_by = _silencers(fields)
    return Contract(
        alert=alert,
        means=fields.text("means").value if kind is not ContractKind.SET_ASIDE or "means" in fields else "",
        knob=knob,
        op=op,
        threshold=threshold,
        hold_ms=fields.duration_ms("for", 0),
        keep_firing_ms=fields.duration_ms("keep_firing_for", 0),
        severity=fields.text("severity").value if "severity" in fields else None,
        identifies=identifies,
        annotations=annotations,
        signal=signal,
        scrape_ms=scrape_ms,
        situations=situations,
        kind=kind,
        draft=draft,
        allowed=allowed,
        labels=_labels(fields, "labels") or {},
        silenced_by=silenced_by,
        never_silenced_by=never_silenced_by,
        when=load_when(fields.fields("when", f"`when` of {fields.what}")) if "when" in fields else None,
    )


def _refuse_needless(fields: Fields, kind: ContractKind) -> None:
    """Raise InputError for a field that a contract of this kind has no use for."""
    refused, why = _REFUSED.get(kind, ((), ""))
    for name in refused:
        if name in fields:
            raise InputError(
                f"`{name}` beside `{_SPELT[kind]}` in {fields.what}",
                span=fields.key_span(name),
                hint=f"remove it: {why}",
            )


def _annotations(fields: Fields) -> tuple[str, ...]:
    return tuple(item.text().value for item in fields.items("annotations", "a name"))


def _silencers(fields: Fields) -> tuple[tuple[Text, ...], tuple[Text, ...]]:
    """The alerts that silence this one, and those that must not; raises InputError for one that stands in both."""
    silenced_by, never = _names(fields, "silenced_by"), _names(fields, "never_silenced_by")
    for other in never:
        if other.value in {silencer.value for silencer in silenced_by}:
            raise InputError(
                f"`{other.value}` stands in both `silenced_by` and `never_silenced_by`",
                span=other.span,
                hint="keep the one that is meant",
            )
    return silenced_by, never


def _flag(fields: Fields, name: str) -> bool:
    if name not in fields:
        return False
    text = fields.text(name)
    if text.value not in ("true", "false"):
        raise InputError(f"`{name}` must be true or false, found `{text.value}`", span=text.span, hint="write true")
    return text.value == "true"


def _allowed(fields: Fields) -> str | None:
    if "allow" not in fields:
        return None
    inner = fields.fields("allow", f"`allow` of {fields.what}")
    inner.only("reason")
    reason = inner.text("reason")
    if not reason.value.strip():
        raise InputError("the reason is empty", span=reason.span, hint="say why this alert may be as it is")
    return reason.value


def _kind(fields: Fields) -> ContractKind:
    """What a contract says, by the fields that it has."""
    if "allow" in fields and {name.value for name in fields.names() if name.value in fields} <= _SET_ASIDE:
        return ContractKind.SET_ASIDE
    if _flag(fields, "always"):
        return ContractKind.ALWAYS
    if "op" in fields and fields.text("op").value in ("absent", "present"):
        return ContractKind(fields.text("op").value)
    return ContractKind.THRESHOLD


def _has_signal(fields: Fields, kind: ContractKind) -> bool:
    """Whether there is one; only an alert that always fires, or is not proved, can do without."""
    return "signal" in fields or kind not in (ContractKind.ALWAYS, ContractKind.SET_ASIDE)


def _labels(fields: Fields, name: str) -> dict[str, str] | None:
    if name not in fields:
        return None
    return {n: t.value for n, t in fields.fields(name, f"`{name}`").texts().items()}


def _scraped_ms(signal: Signal, server: ServerSettings) -> int:
    """How often the jobs of a signal's series are scraped."""
    jobs = {
        expand(value, row)
        for spec in signal.series
        for name, value in spec.labels
        if name == "job"
        for row in spec.each
    }
    return server.scraped_ms(jobs) or DEFAULT_SCRAPE_MS


def _names(fields: Fields, name: str) -> tuple[Text, ...]:
    return tuple(item.text() for item in fields.items(name, "an alert's name")) if name in fields else ()


def _on_and_off(specs: tuple[SeriesSpec, ...], kind: ContractKind, fields: Fields) -> tuple[SeriesSpec, ...]:
    """The signal of an absence or presence: series that say nothing of their own presence come and go with the knob."""
    if kind not in (ContractKind.ABSENCE, ContractKind.PRESENCE):
        return specs
    there = parse_formula(Text("x", fields.key_span("signal")), {"x"})
    made = tuple(spec if spec.present is not None else replace(spec, present=there) for spec in specs)
    if not any("x" in spec.present.names for spec in made if spec.present is not None):
        raise InputError(
            f"no series of {fields.what} comes and goes",
            span=fields.key_span("signal"),
            hint="name a series without `present:`, or with one that holds x",
        )
    return made
