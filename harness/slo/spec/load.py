"""Objectives from files, whichever of the formats they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError, near_miss
from harness.slo.model import Objective
from harness.slo.spec import sloth
from harness.slo.spec.openslo import documents as openslo
from harness.slo.spec.openslo.read import Pending, add, resolve
from harness.slo.spec.refuse import refuse_clashes
from harness.slo.windows import DEFAULT_PERIOD_MS
from harness.source import Fields, Item, SourceFile, load_yaml


def load_objectives(paths: Sequence[Path], *, period_ms: int | None = None) -> list[Objective]:
    """Every objective of `paths` (files), in their order; OpenSLO's references may point from one file to another.

    `period_ms` is the period of objectives that name none: if it is None, 30 days for sloth's, while OpenSLO's without
    a `timeWindow` are refused. Raises InputError for what is wrong, and UnsupportedError for what is legal but not
    treated, at its line and column.
    """
    objectives = read_objectives([SourceFile.read(path) for path in paths], period_ms)
    if not objectives:
        names = ", ".join(str(path) for path in paths)
        raise InputError(f"no objective in {names}", hint="add a document of `kind: SLO`")
    return objectives


def read_objectives(sources: Sequence[SourceFile], period_ms: int | None = None) -> list[Objective]:
    """As :func:`load_objectives`, from texts; none of them needs to hold an objective."""
    index = openslo.DocumentIndex()
    found: list[Pending | Objective] = []
    for source in sources:
        documents = _documents(source)
        if not documents:
            raise InputError(f"{source.name} is empty, expected an objective", hint="see docs/slo.md for an example")
        for fields in documents:
            match _version(fields):
                case openslo.API_VERSION:
                    found += add(fields, index)
                case sloth.KUBERNETES_VERSION:
                    found += sloth.read_kubernetes(fields, period_ms or DEFAULT_PERIOD_MS)
                case _:
                    found += sloth.read(fields, period_ms or DEFAULT_PERIOD_MS)
    objectives = [
        objective
        for entry in found
        for objective in ([entry] if isinstance(entry, Objective) else resolve(entry, index, period_ms))
    ]
    refuse_clashes(objectives)
    return objectives


def _documents(source: SourceFile) -> list[Fields]:
    """The documents of a file; a list is its elements, as go-sdk reads and writes them."""
    what = "an objective's document"
    items = [Item(node, source, what) for node in load_yaml(source)]
    return [one.fields() for item in items for one in (item.items() if item.is_list else [item])]


_VERSIONS = {
    "apiVersion": (openslo.API_VERSION, sloth.KUBERNETES_VERSION),
    "version": (sloth.VERSION,),
}
_INSTEAD = f"write `apiVersion: {openslo.API_VERSION}` (OpenSLO) or `version: {sloth.VERSION}` (sloth)"
_OTHERS = (
    # (how `apiVersion` begins, whose it is, what to write instead)
    (
        "pyrra.dev/", "pyrra's form",
        "write an OpenSLO `SLO`: `target` / 100 is its `target`, `window` its `timeWindow`; of `indicator`, "
        "`ratio.errors.metric` (`latency.success.metric` as `good`) is `bad`, `….total.metric` is `total`, "
        "with `counter: true`; and give --windows pyrra",
    ),
    (
        "sre.google.com/", "slo-generator's form",
        "write an OpenSLO `SLO`: `goal` is its `target`; of `service_level_indicator`, `filter_good` or `filter_bad` "
        "is `good` or `bad`, `filter_valid` is `total`, with `counter: true` (an `expression` is `raw`, `rawType: "
        "success`); the window (seconds) of its error budget policy is the `timeWindow`",
    ),
    (
        "n9/", "Nobl9's form",
        "write an OpenSLO `SLO`: `countMetrics` (`good` or `bad`, and `total`) is its `ratioMetric`, `rawMetric` its "
        "`thresholdMetric`, `timeWindows[].count` and `unit` its `timeWindow`",
    ),
    (
        "openslo/", "another version of OpenSLO",
        f"write `apiVersion: {openslo.API_VERSION}`; of v1alpha, `indicator.ratioMetrics` (now `ratioMetric`), "
        "`timeWindows` (now `timeWindow` with `duration: 30d`), `budgetingMethod` and `objectives[].ratioMetrics` have "
        "moved (github.com/OpenSLO/OpenSLO tells how)",
    ),
    (
        "monitoring.coreos.com/", "a rule file for the Prometheus operator",
        "objectives are what such rules are made of; rules are proved by `slo prove OBJECTIVES --rules FILE`",
    ),
)  # fmt: skip
_SLOM = (
    "write sloth's `version: prometheus/v1`: `objective.ratio` × 100 is its `objective`, and the `errorRatio` of "
    "`indicator.prometheus` its `raw.error_ratio_query`, with {{.window}} for `$window`; `windows` is "
    "--default-slo-period"
)


def _version(fields: Fields) -> str:
    """The format of a document; raises InputError for every other, saying what to write instead where that is known."""
    for key, known in _VERSIONS.items():
        if key not in fields:
            continue
        version = fields.text(key)
        if version.value in known:
            return version.value
        every = [one for some in _VERSIONS.values() for one in some]
        near = near_miss(version.value, every)
        for begin, whose, instead in _OTHERS:
            if version.value.startswith(begin):
                raise InputError(
                    f"`{key}: {version.value}` is {whose}, which cannot be read here{near}",
                    span=version.span,
                    hint=instead,
                )
        raise InputError(
            f"`{key}: {version.value}` is not a version that is read here{near}", span=version.span, hint=_INSTEAD
        )
    if "groups" in fields:
        raise InputError("this is a rule file, and no objective", span=fields.key_span("groups"), hint=_OTHERS[-1][2])
    if "slos" in fields and "name" in fields:
        raise InputError("this is slom's form, which is not read here", span=fields.key_span("slos"), hint=_SLOM)
    raise InputError(
        "this document says neither `apiVersion` (OpenSLO) nor `version` (sloth)",
        span=fields.span,
        hint=_INSTEAD.replace("write", "start it with"),
    )
