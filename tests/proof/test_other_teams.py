# ruff: noqa: E501 (a table: one rule, one line)
"""Rules as other teams write them: odd but legal, each with a small contract of its own and the verdict that is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engines.base import Engine
from harness.proof import Verdict
from tests.proof.proving import prove_files

GAUGE = 'gauge: load{instance="a:1"}\n        value: x'


@dataclass(frozen=True, slots=True)
class Case:
    """A rule and a contract over one gauge, `load`, and what must come out."""

    name: str
    expr: str
    verdict: Verdict
    reason: str = ""
    op: str = ">"
    threshold: str = "5"
    knob: str = "range: [0, 10]"
    hold: str = "1m"
    rule: str = ""
    """Further lines of the rule."""
    contract: str = ""
    """Further lines of the contract."""
    group: str = "interval: 30s"
    before: str = ""
    alert: str = "Load"
    means_for: str = ""
    """The contract's `for`, where it is not the rule's."""
    identifies: str = '{instance: "a:1"}'
    signal: str = GAUGE
    severity: str = "page"

    def write(self, folder: Path) -> tuple[Path, Path]:
        def indented(text: str, by: int) -> str:
            return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())

        rules, contracts = folder / "rules.yml", folder / "contracts.yml"
        rules.write_text(
            "groups:\n  - name: 'a group'\n" + indented(self.group, 4) + "    rules:\n" + indented(self.before, 6)
            + f"      - alert: {self.alert}\n        expr: |\n" + indented(self.expr, 10)
            + f"        for: {self.hold}\n        labels: {{severity: {self.severity}}}\n" + indented(self.rule, 8),
            encoding="utf-8",
        )  # fmt: skip
        contracts.write_text(
            f"contracts:\n  - alert: {self.alert}\n    means: something\n"
            f"    knob: {{name: load, unit: '', {self.knob}}}\n    op: '{self.op}'\n    threshold: {self.threshold}\n"
            f"    for: {self.means_for or self.hold}\n    severity: page\n    identifies: {self.identifies}\n"
            f"    signal:\n      - {self.signal}\n" + indented(self.contract, 4),
            encoding="utf-8",
        )
        return rules, contracts


WHOLE = "range: [0, 10], step: 1, counts: things"
EXACT = Verdict.EXACT

CASES = [
    Case("chained comparisons", "1 < load < 9", Verdict.WRONG_COMPARISON, "", threshold="1"),
    Case("an upper guard out of reach", "5 < load < 90", EXACT),
    Case("and with a guard", "load > 5 and on (instance) load < 1000", EXACT),
    Case("unless with a guard", "load > 5 unless on (instance) load > 8", Verdict.WRONG_COMPARISON, "also is quiet at"),
    Case("several comparisons of which one decides", "(load >= 0) * 2 > 10 and load != 3", EXACT),
    Case("no comparison at all", "load", Verdict.ALWAYS_FIRES, "fires at every"),
    Case("no comparison, but a filter by arithmetic", "absent(load)", Verdict.NEVER_FIRES, "stays quiet at every"),
    Case("a guard that divides by zero", "1 / (load - load) > 5", Verdict.ALWAYS_FIRES, "", knob="range: [1, 10]"),
    Case("clamped", "clamp_max(load, 7) > 5", EXACT),
    Case("a subquery", "avg_over_time(load[2m:30s]) > 5", EXACT),
    Case("an offset", "load offset 1m > 5", EXACT),
    Case("group_left", "load * on (instance) group_left (zone) info > 5", EXACT,
         signal=GAUGE + '\n      - gauge: info{instance="a:1", zone="z"}\n        value: 1', identifies='{instance: "a:1", zone: z}'),
    Case("the clock", "load > 5 and on () vector(time()) > 0", EXACT),
    Case("by scalar()", "load > scalar(limit)", EXACT, signal=GAUGE + "\n      - gauge: limit\n        value: 5"),
    Case("one of a count", "load == 3", EXACT, op="==", threshold="3", knob=WHOLE),
    Case("one of a count, missed", "load == 4", Verdict.OFF_THRESHOLD, "1 ", op="==", threshold="3", knob=WHOLE),
    Case("one of a count, and all above", "load >= 3", Verdict.WRONG_COMPARISON, "also fires at 4", op="==", threshold="3", knob=WHOLE),
    Case("one of a count, and all below", "load <= 3", Verdict.WRONG_COMPARISON, "also fires at 2", op="==", threshold="3", knob=WHOLE),
    Case("at most, by a count", "load <= 3", EXACT, op="<=", threshold="3", knob=WHOLE),
    Case("at most, meant as less than", "load < 3", Verdict.WRONG_COMPARISON, "stays quiet at exactly 3", op="<=", threshold="3", knob=WHOLE),
    Case("at least", "load >= 5", EXACT, op=">="),
    Case("at least, meant as more than", "load > 5", Verdict.WRONG_COMPARISON, "stays quiet at exactly 5", op=">="),
    Case("at most", "load <= 5", EXACT, op="<="),
    Case("below zero", "load < -5", EXACT, op="<", threshold="-5", knob="range: [-40, 40]"),
    Case("above a limit below zero", "load > -5", EXACT, threshold="-5", knob="range: [-40, 40]"),
    Case("around zero", "load > 0", EXACT, threshold="0", knob="range: [-40, 40]"),
    Case("around zero, missed", "load > 0.001", Verdict.OFF_THRESHOLD, "too late", threshold="0", knob="range: [-40, 40]"),
    Case("more than the smallest", "load > 0", EXACT, threshold="0"),
    Case("less than the largest", "load < 10", EXACT, op="<", threshold="10"),
    Case("at the largest", "load >= 10", EXACT, op=">=", threshold="10"),
    Case("at the largest, meant as above", "load > 10", Verdict.NEVER_FIRES, "stays quiet", op=">=", threshold="10"),
    Case("at the smallest, by a count", "load == 0", EXACT, op="<=", threshold="0", knob=WHOLE),
    Case("a hold between two ticks", "load > 5", EXACT, hold="45s"),
    Case("an interval of 7 s", "load > 5", EXACT, group="interval: 7s"),
    Case("an interval of 7 s, a hold too short", "load > 5", Verdict.WRONG_HOLD, "42s after", group="interval: 7s", hold="42s", means_for="1m"),
    Case("an interval that stretches the hold", "load > 5", Verdict.WRONG_HOLD, "stretches the hold", group="interval: 10m"),
    Case("no hold", "load > 5", EXACT, hold="0s"),
    Case("no hold, but one meant", "load > 5", Verdict.WRONG_HOLD, "fires 0s after", hold="0s", means_for="1m"),
    Case("keep_firing_for as meant", "load > 5", EXACT, rule="keep_firing_for: 2m", contract="keep_firing_for: 2m"),
    Case("keep_firing_for lost", "load > 5", Verdict.WRONG_HOLD, "resolves 0s after", contract="keep_firing_for: 2m"),
    Case("keep_firing_for too long", "load > 5", Verdict.WRONG_HOLD, "resolves 3m after", rule="keep_firing_for: 3m", contract="keep_firing_for: 2m"),
    Case("no hold but keep_firing_for", "load > 5", EXACT, hold="0s", rule="keep_firing_for: 1m", contract="keep_firing_for: 1m"),
    Case("a limit that one alert does not pass", "load > 5", EXACT, group="interval: 30s\nlimit: 1"),
    Case("a recording rule with labels", "load:x2 > 10", EXACT, before="- record: load:x2\n  expr: load * 2\n  labels: {kind: twice}"),
    Case("a label from a label", "load > 5", EXACT, rule="annotations: {text: 'on {{ $labels.instance }}: 100%!'}"),
    Case("a text in a condition", "load > 5", EXACT, rule="annotations: {text: '{{ if $labels.insance }}{{ $labels.insance }}{{ end }}'}"),
    Case("a text with a misspelt label", "load > 5", Verdict.WRONG_ANNOTATIONS, "did you mean `instance`", rule="annotations: {text: '{{ $labels.insance }}'}"),
    Case("a text without its format", "load > 5", Verdict.WRONG_ANNOTATIONS, "does not render", rule="annotations: {text: '{{ printf \"%.1f %\" $value }}'}"),
    Case("a severity by value", "load > 5", Verdict.WRONG_LABELS, "holds the value", severity="'{{ if gt $value 8.0 }}page{{ else }}warning{{ end }}'"),
    Case("a name with spaces and quotes", "load > 5", EXACT, alert="'Load of \"it\" {is}, [high]: 10 %'"),
    Case("a name in another script", "load > 5", EXACT, alert="'Überlast 過負荷 🔥'"),
    Case("hostile label values", "load > 5", EXACT, identifies="{path: 'a\"b\\c {d}, e=\"f\"'}",
         signal="gauge: 'load{path=\"a\\\"b\\\\c {d}, e=\\\"f\\\"\"}'\n        value: x"),
    Case("hostile label values, beyond ASCII", "load > 5", EXACT, identifies='{path: "ü\\n\\t→ %d {{x}}"}',
         signal="gauge: \"load{path=\\\"ü\\\\n\\\\t→ %d {{x}}\\\"}\"\n        value: x"),
]  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rules_of_other_teams(case: Case, tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    (result,) = prove_files(*case.write(tmp_path), module_engine, promtool_path)
    told = "\n".join(result.reasons)
    assert result.verdict is case.verdict, told
    assert case.reason in told
    assert result.confirmed or case.verdict is not EXACT, result.notes


def test_two_severities_of_one_name(tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    rules, contracts = Case("", "load > 5", EXACT).write(tmp_path)
    text = rules.read_text(encoding="utf-8")
    rule = text[text.index("      - alert:") :]
    second = rule.replace("severity: page", "severity: warning").replace("> 5", "> 3")
    rules.write_text(text + second, encoding="utf-8")
    text = contracts.read_text(encoding="utf-8")
    second = text[text.index("  - alert:") :].replace("severity: page", "severity: warning")
    contracts.write_text(text + second, encoding="utf-8")
    first, other = prove_files(rules, contracts, module_engine, promtool_path)
    assert first.verdict is EXACT, first.reasons
    assert other.verdict is Verdict.OFF_THRESHOLD
    assert "too early; the contract says > 5; measured: quiet at 3" in other.reasons[0]
