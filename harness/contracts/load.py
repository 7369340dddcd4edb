"""Contracts from YAML; docs/contracts.md describes every field."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import promql_parser as promql

from harness.contracts.formula import VARIABLES, constant, parse_formula
from harness.contracts.model import (
    Contract,
    ContractKind,
    Knob,
    Op,
    Quantile,
    SeriesSpec,
    Shape,
    Signal,
    Situation,
    Stretch,
)
from harness.contracts.when import load_when
from harness.errors import InputError, near_miss
from harness.numbers import LARGEST, parse_number
from harness.prometheus import DEFAULTS, ServerSettings
from harness.source import Fields, Item, SourceFile, Text, duration_ms, load_yaml, without_mark

CONFIRM = "confirm:"
"""How a value begins that nobody has confirmed yet; a contract that holds one is a draft."""

FILE_FIELDS = ("version", "scrape_interval", "annotations", "contracts")
CONTRACT_FIELDS = (
    "alert", "means", "draft", "allow", "labels", "always", "knob", "op", "threshold", "for", "keep_firing_for",
    "severity", "identifies", "annotations", "silenced_by", "never_silenced_by", "given", "signal", "scrape_interval",
    "when", "situations",
)  # fmt: skip
KNOB_FIELDS = ("name", "unit", "range", "step", "counts")
SERIES_FIELDS = {
    Shape.GAUGE: ("gauge", "value", "each", "present"),
    Shape.COUNTER: ("counter", "rate", "each", "present"),
    Shape.HISTOGRAM: ("histogram", "rate", "buckets", "quantile", "each", "present"),
    Shape.NATIVE: ("native_histogram", "rate", "buckets", "quantile", "each", "present"),
}
SITUATION_FIELDS = (
    "name", "expect", "alerts", "given", "knob", "signal", "also", "lasts", "scrape_interval", "failed_scrapes", "gap",
    "restarts",
)  # fmt: skip

DEFAULT_SCRAPE_MS = 30_000
DEFAULT_LASTS_MS = 1_800_000
_MAX_SERIES = 10_000
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
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
_SWITCH = Knob("presence", "", Fraction(0), Fraction(1), Fraction(1), "")
_STILL = Knob("knob", "", Fraction(0), Fraction(0), Fraction(1), "")


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
    scrape_ms = _positive_ms(top, "scrape_interval", 0)
    annotations = (
        tuple(item.text().value for item in top.items("annotations", "a name")) if "annotations" in top else ()
    )
    return [_contract(item, scrape_ms, annotations, server) for item in top.items("contracts", "a contract")]


def _contract(item: Item, file_scrape_ms: int, annotations: tuple[str, ...], server: ServerSettings) -> Contract:
    item, marked = without_mark(item, CONFIRM, keep=("means",))
    fields = item.fields()
    alert = fields.text("alert")
    fields.what = f"the contract of `{alert.value}`"
    fields.only(*CONTRACT_FIELDS)
    draft = _flag(fields, "draft") or marked
    allowed = _allowed(fields)
    kind = _kind(fields)
    refused, why = _REFUSED.get(kind, ((), ""))
    for name in refused:
        if name in fields:
            raise InputError(
                f"`{name}` beside `{_SPELT[kind]}` in {fields.what}",
                span=fields.key_span(name),
                hint=f"remove it: {why}",
            )
    given = _given(fields, {})
    knob, op, threshold = _limit(fields, kind, given)
    identifies = _labels(fields, "identifies")
    if "annotations" in fields:
        annotations = tuple(item.text().value for item in fields.items("annotations", "a name"))
    items = fields.items("signal", "a series") if _has_signal(fields, kind) else []

    def own_series(given: Mapping[str, Fraction]) -> tuple[SeriesSpec, ...]:
        return _on_and_off(_series(items, given), kind, fields)

    signal = Signal(given, own_series(given))
    scrape_ms = _positive_ms(fields, "scrape_interval", file_scrape_ms or _scraped_ms(signal, server))
    quiet_at = Fraction(1) if kind is ContractKind.ABSENCE else knob.low
    situations: list[Situation] = []
    for place in fields.items("situations", "a situation") if "situations" in fields else []:
        situation = _situation(place.fields(), given, own_series, knob, quiet_at, identifies, scrape_ms)
        if any(other.name == situation.name for other in situations):
            raise InputError(f"two situations are named `{situation.name}`", span=situation.span, hint="rename one")
        situations.append(situation)
    silenced_by, never = _names(fields, "silenced_by"), _names(fields, "never_silenced_by")
    for other in never:
        if other.value in {silencer.value for silencer in silenced_by}:
            raise InputError(
                f"`{other.value}` stands in both `silenced_by` and `never_silenced_by`",
                span=other.span,
                hint="keep the one that is meant",
            )
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
        situations=tuple(situations),
        kind=kind,
        draft=draft,
        allowed=allowed,
        labels=_labels(fields, "labels") or {},
        silenced_by=silenced_by,
        never_silenced_by=never,
        when=load_when(fields.fields("when", f"`when` of {fields.what}")) if "when" in fields else None,
    )


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


def _limit(fields: Fields, kind: ContractKind, given: Mapping[str, Fraction]) -> tuple[Knob, Op, Fraction]:
    """Knob, comparison and threshold; what has none of its own gets the one that says the same."""
    if kind in (ContractKind.ABSENCE, ContractKind.PRESENCE):
        return _SWITCH, Op.LT if kind is ContractKind.ABSENCE else Op.GE, Fraction(1)
    if kind is ContractKind.THRESHOLD or "knob" in fields:
        knob = _knob(fields.fields("knob", f"the knob of {fields.what.removeprefix('the contract of ')}"), given)
    else:
        knob = _STILL
    if kind is not ContractKind.THRESHOLD:
        return knob, Op.GE, knob.low
    return knob, _op(fields.text("op")), _threshold(fields.text("threshold"), knob, given)


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


def _positive_ms(fields: Fields, name: str, default: int) -> int:
    if name not in fields:
        return default
    value = fields.duration_ms(name)
    if value < 1000:
        raise InputError(f"`{name}` must be at least 1s", span=fields.text(name).span, hint="write 1s or more")
    return value


def _op(text: Text) -> Op:
    try:
        return Op(text.value)
    except ValueError:
        what = (
            f"`{text.value}` is no comparison of a contract"
            if text.value
            else "`op` is empty; unquoted, YAML folds `>`"
        )
        raise InputError(
            what,
            span=text.span,
            hint=f"expected one of: {', '.join(op.value for op in Op)} (quoted), absent, present",
        ) from None


def _given(fields: Fields, inherited: Mapping[str, Fraction]) -> dict[str, Fraction]:
    given = dict(inherited)
    if "given" in fields:
        for name, item in fields.fields("given", "`given`").each():
            if not re.fullmatch(r"[A-Za-z_]\w*", name.value) or name.value in VARIABLES:
                raise InputError(
                    f"`{name.value}` cannot be a name in `given`", span=name.span, hint="x, t and now are taken"
                )
            given[name.value] = constant(item.text(), given)
    return given


def _knob(fields: Fields, given: Mapping[str, Fraction]) -> Knob:
    fields.only(*KNOB_FIELDS)
    bounds = [constant(item.text(), given) for item in fields.items("range", "a bound")]
    if len(bounds) != 2 or bounds[0] >= bounds[1]:
        raise InputError(
            f"`range` of {fields.what} must be two numbers, the smaller first",
            span=fields.key_span("range"),
            hint="write range: [0, 100]",
        )
    if max(map(abs, bounds)) > LARGEST:
        raise InputError(
            f"`range` of {fields.what} goes beyond what a double holds",
            span=fields.key_span("range"),
            hint="doubles end at about 1.8e308",
        )
    step = constant(fields.text("step"), given) if "step" in fields else None
    if step is not None and (step <= 0 or (bounds[1] - bounds[0]) % step):
        raise InputError(
            f"`step` of {fields.what} must be positive and divide its range",
            span=fields.text("step").span,
            hint="the knob stands at low, low + step, … up to high",
        )
    if "counts" in fields and step is None:
        raise InputError(
            f"{fields.what} counts things but has no `step`", span=fields.key_span("counts"), hint="add step: 1"
        )
    return Knob(
        name=fields.text("name").value,
        unit=fields.text("unit").value if "unit" in fields else "",
        low=bounds[0],
        high=bounds[1],
        step=step,
        counts=fields.text("counts").value if "counts" in fields else "",
    )


def _on_knob(text: Text, knob: Knob, given: Mapping[str, Fraction], what: str) -> Fraction:
    value = constant(text, given)
    if not knob.low <= value <= knob.high:
        raise InputError(
            f"{what} {text.value} lies outside the knob's range, "
            f"{float(knob.low):g} to {float(knob.high):g} {knob.unit}",
            span=text.span,
            hint="widen `range`, or correct the value",
        )
    if knob.step is not None and (value - knob.low) % knob.step:
        raise InputError(
            f"{what} {text.value} is no position of the knob, whose step is {knob.step} {knob.unit}",
            span=text.span,
            hint="choose a step that meets it exactly",
        )
    return value


def _threshold(text: Text, knob: Knob, given: Mapping[str, Fraction]) -> Fraction:
    return _on_knob(text, knob, given, "the threshold")


def _series(items: Sequence[Item], given: Mapping[str, Fraction]) -> tuple[SeriesSpec, ...]:
    specs = tuple(_spec(item.fields(), given) for item in items)
    total = sum(len(spec.each) * max(1, len(spec.buckets)) for spec in specs)
    if total > _MAX_SERIES:
        raise InputError(
            f"the signal has {total:,} series, more than {_MAX_SERIES:,}",
            span=items[0].span,
            hint="a few of each kind show as much",
        )
    return specs


def _spec(fields: Fields, given: Mapping[str, Fraction]) -> SeriesSpec:
    kinds = [shape for shape in Shape if shape.value in fields]
    if len(kinds) != 1:
        raise InputError(
            f"a series of a signal is exactly one of {', '.join(shape.value for shape in Shape)}",
            span=fields.span,
            hint='write `gauge: metric{label="value"}` and `value:`, or `counter:` and `rate:`',
        )
    shape = kinds[0]
    amount = "value" if shape is Shape.GAUGE else "rate"
    fields.what = f"a {shape.value.replace('_', ' ')}"
    fields.only(*SERIES_FIELDS[shape])
    each = _each(fields.item("each", "`each`"), given) if "each" in fields else ({},)
    texts = _texts(each)
    names = {*VARIABLES, *given, *(each[0].keys() - texts.keys() if each else ())}
    selector = fields.text(shape.value)
    metric, labels = _selector(selector, set(each[0]) if each else set())
    buckets: tuple[Fraction, ...] = ()
    quantile = None
    if shape in (Shape.HISTOGRAM, Shape.NATIVE):
        bounds = fields.items("buckets", "a bound")
        buckets = tuple(constant(item.text()) for item in bounds)
        if not buckets or list(buckets) != sorted(set(buckets)) or buckets[0] <= 0:
            raise InputError(
                "`buckets` must rise from a positive bound, without +Inf",
                span=fields.key_span("buckets"),
                hint="write buckets: [0.1, 0.5, 1]",
            )
        inner = fields.fields("quantile", "`quantile`")
        inner.only("q", "at")
        q = constant(inner.text("q"))
        if not 0 < q < 1:
            raise InputError("`q` must lie between 0 and 1", span=inner.text("q").span, hint="write 95/100 for P95")
        quantile = Quantile(q, parse_formula(inner.text("at"), names, texts))
    return SeriesSpec(
        shape=shape,
        metric=metric,
        labels=labels,
        each=each,
        formula=parse_formula(fields.text(amount), names, texts),
        present=parse_formula(fields.text("present"), names, texts) if "present" in fields else None,
        buckets=buckets,
        quantile=quantile,
    )


def _texts(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The names of `each` that are no numbers in some row, with what stands there; they are for labels only."""
    texts: dict[str, str] = {}
    for row in rows:
        for name in row.keys() - texts.keys():
            try:
                parse_number(row[name])
            except ValueError as err:
                texts[name] = str(err)
    return texts


def _each(item: Item, given: Mapping[str, Fraction]) -> tuple[Mapping[str, str], ...]:
    if item.is_list:
        rows = [{n: t.value for n, t in row.fields().texts().items()} for row in item.items()]
        for row, place in zip(rows, item.items(), strict=True):
            if set(row) != set(rows[0]):
                raise InputError(
                    "all rows of `each` must have the same names",
                    span=place.span,
                    hint=f"expected {', '.join(rows[0])}",
                )
        return tuple(rows)
    choices: list[list[tuple[str, str]]] = []
    for name, values in item.fields().each():
        if values.is_list:
            choices.append([(name.value, value.text().value) for value in values.items()])
            continue
        count = constant(values.text(), given)
        if count.denominator != 1 or not 0 <= count <= _MAX_SERIES:
            raise InputError(
                f"`{name.value}: {values.text().value}` must be a list or a whole number, found {count}",
                span=values.span,
                hint="`each: {cpu: 8}` makes cpu 0 to 7",
            )
        choices.append([(name.value, str(i)) for i in range(int(count))])
    total = math.prod(map(len, choices))
    if total > _MAX_SERIES:  # before they are made: a typo must not eat the memory
        raise InputError(
            f"`each` makes {total:,} series, more than {_MAX_SERIES:,}",
            span=item.span,
            hint="a few of each kind show as much",
        )
    return tuple(dict(row) for row in itertools.product(*choices))


def _selector(text: Text, names: set[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    try:
        node = promql.parse(text.value)
    except ValueError as err:
        raise InputError(
            f"not a series: {err}", span=text.span_at(0), hint='write metric{label="value", …}; quote it in YAML'
        ) from err
    matchers = node.matchers.matchers if isinstance(node, promql.VectorSelector) else []
    # A name in quotes, {"http.status"}, is to the parser a matcher.
    named = [m.value for m in matchers if m.name == "__name__" and m.op == promql.MatchOp.Equal]
    metric = (node.name or "".join(named)) if isinstance(node, promql.VectorSelector) else ""
    if not isinstance(node, promql.VectorSelector) or not metric or node.offset or node.at:
        raise InputError(f"`{text.value}` is not a series", span=text.span_at(0), hint='write metric{label="value", …}')
    labels = []
    for matcher in matchers:
        if matcher.name == "__name__" and named:
            continue
        if matcher.op != promql.MatchOp.Equal:
            raise InputError(
                f"label `{matcher.name}` of a series needs `=`", span=text.span_at(0), hint="a series has fixed labels"
            )
        for match in _REFERENCE.finditer(matcher.value):
            name = match[1] or match[2]
            if name not in names:
                raise InputError(
                    f"`${name}` is not defined by `each`{near_miss(name, names)}",
                    span=text.span_at(max(0, text.value.find(match[0])), len(match[0])),
                    hint=f"names here: {', '.join(sorted(names)) or 'none'}",
                )
        labels.append((matcher.name, matcher.value))
    return metric, tuple(labels)


def expand(value: str, row: Mapping[str, str]) -> str:
    """A label value with its ``$name`` references replaced."""
    return _REFERENCE.sub(lambda m: row[m[1] or m[2]], value) if "$" in value else value


def _situation(
    fields: Fields,
    inherited: Mapping[str, Fraction],
    own_series: Callable[[Mapping[str, Fraction]], tuple[SeriesSpec, ...]],
    knob: Knob,
    quiet_at: Fraction,
    identifies: Mapping[str, str] | None,
    scrape_ms: int,
) -> Situation:
    """A situation, with the contract's own series and the knob at `quiet_at` where it has none of its own."""
    name = fields.text("name")
    fields.what = f"situation `{name.value}`"
    fields.only(*SITUATION_FIELDS)
    given = _given(fields, inherited)
    series = _series(fields.items("signal", "a series"), given) if "signal" in fields else own_series(given)
    if "also" in fields:
        series += _series(fields.items("also", "a series"), given)
    expect = fields.text("expect")
    if expect.value not in ("quiet", "fires"):
        raise InputError(
            f"`expect` must be quiet or fires, found `{expect.value}`", span=expect.span, hint="write one of the two"
        )
    alerts: tuple[Mapping[str, str], ...] | None = ()
    if expect.value == "fires":
        alerts = (identifies,) if identifies is not None else None
        if "alerts" in fields:
            alerts = tuple(
                {n: t.value for n, t in item.fields().texts().items()} for item in fields.items("alerts", "an alert")
            )
            if not alerts:
                raise InputError("`alerts` is empty", span=fields.key_span("alerts"), hint="or write expect: quiet")
    elif "alerts" in fields:
        raise InputError(
            "`alerts` goes with expect: fires", span=fields.key_span("alerts"), hint="remove it, or write expect: fires"
        )
    return Situation(
        name=name.value,
        span=name.span,
        alerts=alerts,
        signal=Signal(given, series),
        knob=_knob_timeline(fields, knob, quiet_at, given),
        lasts_ms=_positive_ms(fields, "lasts", DEFAULT_LASTS_MS),
        scrape_ms=_positive_ms(fields, "scrape_interval", scrape_ms),
        failed_scrapes=_stretch(fields, "failed_scrapes"),
        gap=_stretch(fields, "gap"),
        restarts_ms=tuple(
            duration_ms(item.text(), "`restarts`") for item in fields.items("restarts", "a time")
        ) if "restarts" in fields else (),
    )  # fmt: skip


def _knob_timeline(
    fields: Fields, knob: Knob, quiet_at: Fraction, given: Mapping[str, Fraction]
) -> tuple[tuple[int, Fraction], ...]:
    if "knob" not in fields:
        return ((0, quiet_at),)
    item = fields.item("knob", "`knob`")
    if not item.is_mapping:
        return ((0, _in_range(item.text(), knob, given)),)
    steps = [
        (duration_ms(at, "a time of `knob`"), _in_range(value.text(), knob, given))
        for at, value in item.fields().each()
    ]
    if not steps or steps[0][0] != 0 or [at for at, _ in steps] != sorted({at for at, _ in steps}):
        raise InputError(
            "the times of `knob` must begin at 0s and rise", span=item.span, hint="write knob: {0s: 10, 10m: 90}"
        )
    return tuple(steps)


def _in_range(text: Text, knob: Knob, given: Mapping[str, Fraction]) -> Fraction:
    value = constant(text, given)
    if not knob.low <= value <= knob.high:
        return _on_knob(text, knob, given, "the knob's position")
    return value


def _stretch(fields: Fields, name: str) -> Stretch | None:
    if name not in fields:
        return None
    inner = fields.fields(name, f"`{name}`")
    inner.only("from", "to")
    start, end = inner.duration_ms("from"), inner.duration_ms("to")
    if start >= end:
        raise InputError(f"`{name}` must end after it begins", span=inner.span, hint="write {from: 12m, to: 16m}")
    return Stretch(start, end)
