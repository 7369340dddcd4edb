"""Window catalogues by their names, and from files of sloth's `AlertWindows`."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InputError, near_miss
from harness.slo import closedform
from harness.slo.model import SEVERITIES, BurnPair
from harness.slo.spec.sloth import KUBERNETES_VERSION, WINDOWS_KIND
from harness.slo.windows import Catalogue, catalogues
from harness.source import Fields, SourceFile, load_yaml, number


def windows_of(choice: str) -> tuple[Catalogue, ...]:
    """What `--windows` names: a built-in catalogue, or a file of sloth's `AlertWindows`.

    Raises InputError for what is neither.
    """
    if (known := catalogues().get(choice)) is not None:
        return known
    path = Path(choice)
    if not path.is_file():
        names = ", ".join(catalogues())
        raise InputError(
            f"--windows {choice}: there is no such catalogue and no such file{near_miss(choice, catalogues())}",
            hint=f"name one of {names}, or a file with `kind: {WINDOWS_KIND}` (docs/slo-compile.md has one)",
        )
    source = SourceFile.read(path)
    found = tuple(_alert_windows(Fields(node, source, f"an {WINDOWS_KIND} document")) for node in load_yaml(source))
    if not found:
        raise InputError(f"{source.name} is empty", hint=f"write `kind: {WINDOWS_KIND}` (docs/slo-compile.md has one)")
    return found


def _alert_windows(fields: Fields) -> Catalogue:
    """A document of sloth's: per severity a quick and a slow pair, each with its share of the budget in percent."""
    fields.only("apiVersion", "kind", "metadata", "spec")
    for key, wanted in (("apiVersion", KUBERNETES_VERSION), ("kind", WINDOWS_KIND)):
        if (text := fields.text(key)).value != wanted:
            raise InputError(
                f"`{key}: {text.value}` is no catalogue of windows{near_miss(text.value, [wanted])}",
                span=text.span,
                hint=f"expected `{key}: {wanted}` (docs/slo-compile.md has an example)",
            )
    spec = fields.fields("spec", "`spec`")
    spec.only("sloPeriod", *SEVERITIES)
    period_ms = _above_0(spec, "sloPeriod")
    pairs = []
    for severity in SEVERITIES:
        pace = spec.fields(severity, f"`{severity}`")
        pace.only("quick", "slow")
        pairs += [
            _alert_window(pace.fields(key, f"`{severity}.{key}`"), severity, period_ms) for key in ("quick", "slow")
        ]
    name = fields.source.name
    return Catalogue(name, name, period_ms, tuple(pairs), scales=True)


def _alert_window(fields: Fields, severity: str, period_ms: int) -> BurnPair:
    fields.only("errorBudgetPercent", "shortWindow", "longWindow")
    share = fields.text("errorBudgetPercent")
    percent = number(share, "`errorBudgetPercent`")
    if not 0 < percent <= 100:
        raise InputError(
            f"`errorBudgetPercent` is {share.value}, not above 0 and at most 100",
            span=share.span,
            hint="write how much of the period's budget may be spent within the long window: 2",
        )
    short_ms, long_ms = _above_0(fields, "shortWindow"), _above_0(fields, "longWindow")
    factor = closedform.factor_of(percent / 100, period_ms, long_ms)
    return BurnPair(severity, long_ms, short_ms, factor, span=fields.text("longWindow").span)


def _above_0(fields: Fields, key: str) -> int:
    ms = fields.duration_ms(key)
    if ms == 0:
        raise InputError(
            f"`{key}` of {fields.what} is 0", span=fields.text(key).span, hint="write a duration such as 1h"
        )
    return ms
