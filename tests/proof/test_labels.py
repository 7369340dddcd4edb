# ruff: noqa: E501 (a table: one rule, one line)
"""Labels as Prometheus sets them: what templates see, what overrides what, and elements that become one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.errors import InputError
from harness.proof import Proof, Verdict
from harness.rules import load_rules
from tests.proof.proving import prove_files

SIZE = 'gauge: queue_size{host="h1", team="infra"}\n        value: x'


@dataclass(frozen=True, slots=True)
class Case:
    """A rule over `queue_size` of host h1, which is bad above 5."""

    name: str
    verdict: Verdict = Verdict.EXACT
    said: str = ""
    """Part of a reason, or of a note where the alert is exact."""
    expr: str = "queue_size > 5"
    labels: str = "{severity: page}"
    text: str = ""
    rendered: str = ""
    """The annotation as it must be rendered."""
    group: str = ""
    """The group's labels, which Prometheus has from 3.0 on."""
    hold: str = "0s"
    severity: str = "severity: page"
    identifies: str = "{host: h1}"
    signal: str = SIZE
    more: str = ""
    """Further rules of the group."""
    contract: str = ""

    def write(self, folder: Path) -> tuple[Path, Path]:
        rules, contracts = folder / "rules.yml", folder / "contracts.yml"
        annotations = f"annotations: {{text: '{self.text}'}}" if self.text else "annotations: {}"
        rules.write_text(
            "groups:\n- name: g\n  interval: 30s\n"
            + (f"  labels: {self.group}\n" if self.group else "")
            + f"  rules:\n{self.more}"
            f"  - alert: Long\n    expr: |\n      {self.expr}\n    for: {self.hold}\n    labels: {self.labels}\n    {annotations}\n",
            encoding="utf-8",
        )
        contracts.write_text(
            "contracts:\n  - alert: Long\n    means: something\n    knob: {name: size, range: [0, 10]}\n"
            f"    op: '>'\n    threshold: 5\n    for: {self.hold}\n    {self.severity}\n    identifies: {self.identifies}\n"
            f"    signal:\n      - {self.signal}\n{self.contract}",
            encoding="utf-8",
        )
        return rules, contracts


TWO = SIZE + '\n      - gauge: queue_size{host="h2", team="infra"}\n        value: x'
MADE = 'label_replace(queue_size, "site", "$1", "host", "(.).*") > 5'
EXACT, ERROR, LABELS, TEXTS = Verdict.EXACT, Verdict.ERROR, Verdict.WRONG_LABELS, Verdict.WRONG_ANNOTATIONS
EQUAL = "vector contains metrics with the same labelset after applying alert labels"
UPPER = '{severity: page, host: \'{{ reReplaceAll "h" "H" $labels.host }}\'}'
BAD = "    situations:\n      - {{name: bad, knob: 9, expect: fires{}}}\n"

CASES = [
    # -- templates see the query's result only
    Case("a label that the rule sets anew", labels="{severity: page, team: web}", text="was {{ $labels.team }}", rendered="was infra"),
    Case("a label that the group sets anew", group="{team: web}", text="was {{ $labels.team }}", rendered="was infra"),
    Case("a label taken from one that is set anew", labels="{severity: page, team: web, was: '{{ $labels.team }}'}", identifies="{team: web, was: infra}"),
    Case("a label that only the rule sets", said="which the rule sets: templates see the labels of the query's result only", text="{{ $labels.severity }}!", rendered="!"),
    Case("the rule's name", said="which is the rule's name", text="{{ $labels.alertname }}!", rendered="!"),
    Case("the metric's name", text="{{ $labels.__name__ }}", rendered="queue_size"),
    Case("the metric's name, gone", said="nothing is rendered there", expr="queue_size * 1 > 5", text="{{ $labels.__name__ }}!", rendered="!"),
    Case("a label that the rule makes", expr=MADE, text="in {{ $labels.site }}", rendered="in h", identifies="{host: h1, site: h}"),
    Case("a label that the rule makes, though not here", said="nothing is rendered there", expr=MADE.replace('"host"', '"hoist"').replace('"site"', '"hosts"'),
         text="in {{ $labels.hosts }}", rendered="in "),
    Case("a label that a recording rule sets", more="  - {record: 'q:size', expr: queue_size, labels: {hosted: yes}}\n", expr="q:size > 5",
         text="{{ $labels.hosted }}", rendered="yes"),
    Case("a misspelt one", TEXTS, "names `$labels.hots`, which the rule's expression does not return (did you mean `host`?)", text="{{ $labels.hots }}"),
    # -- what overrides what
    Case("the rule's name over a label of the rule", labels="{severity: page, alertname: Other}"),
    Case("the rule's name over a label of the series", signal=SIZE.replace("host=", 'alertname="Other", host='), text="{{ $labels.alertname }}", rendered="Other"),
    Case("a label alertstate", labels="{severity: page, alertstate: wild}", identifies="{host: h1, alertstate: wild}"),
    Case("a label alertstate, beside a rule of the same name", labels="{severity: page, alertstate: wild}", hold="1m",
         more="  - {alert: Long, expr: queue_size > 7, labels: {severity: log, alertstate: tame}}\n"),
    Case("the rule over its group", group="{severity: log}"),
    Case("the rule over its group, wrong", LABELS, 'carries `severity="log"`', group="{severity: page}", labels="{severity: log}"),
    Case("a name that two rules have, told apart by what one of them lacks", labels="{severity: page, kind: ''}",
         more="  - {alert: Long, expr: queue_size > 7, labels: {severity: log, kind: x}}\n"),
    # -- an empty label is an absent one
    Case("a severity taken away", LABELS, "carries no `severity` label", labels="{severity: ''}"),
    Case("no severity, and none meant", labels="{severity: ''}", severity="severity: ''"),
    Case("a severity where none is meant", LABELS, 'carries `severity="page"`', severity="severity: ''"),
    Case("the group's severity taken away by the rule", group="{severity: page}", labels="{severity: ''}", severity="severity: ''"),
    Case("a label of the series taken away", labels="{severity: page, team: ''}", identifies="{host: h1, team: ''}"),
    Case("a template that renders to nothing", labels="{severity: page, team: '{{ $labels.nothing }}'}", identifies="{host: h1, team: ''}"),
    Case("a recording rule that takes a label away", more="  - {record: 'q:size', expr: queue_size, labels: {team: ''}}\n", expr='q:size{team=""} > 5',
         identifies="{host: h1, team: ''}"),
    Case("in a situation", identifies="{host: h1, team: ''}", labels="{severity: page, team: ''}",
         contract=BAD.format("")),
    # -- a label that only Prometheus can tell
    Case("one that a template makes, in a situation", labels=UPPER, identifies="{host: H1}", contract=BAD.format("")),
    Case("one that a template makes, in a situation that means another", Verdict.WRONG_SITUATION, 'must fire with {host="H2"}, but fires only for {host="H1", severity="page", team="infra"}',
         labels=UPPER, identifies="{host: H1}", contract=BAD.format(", alerts: [{host: H2}]")),
    Case("two that a template makes, in a situation", labels=UPPER, identifies="{host: H1}",
         contract=BAD.format(", also: [{gauge: 'queue_size{host=\"h2\"}', value: x}], alerts: [{host: H2}, {host: H1, team: infra}]")),
    # -- elements that become one
    Case("two elements with equal labels", ERROR, f'{EQUAL}: {{alertname="Long", host="all", severity="page", team="infra"}} from queue_size{{host="h1", team="infra"}} and ',
         labels="{severity: page, host: all}", signal=TWO),
    Case("two metrics that only their names tell apart", ERROR, EQUAL, expr='{__name__=~"queue_size|queue_age"} > 5',
         signal=SIZE + "\n      - 'gauge': queue_age{host=\"h1\", team=\"infra\"}\n        value: x"),
    Case("two elements that only a template tells apart", Verdict.WRONG_LABELS, "2 alerts fire at once",
         labels=UPPER, signal=TWO, identifies="{host: H1}"),
    Case("one element that a template renames", labels=UPPER, identifies="{host: H1}"),
    Case("two recorded elements with equal labels", ERROR, EQUAL.replace("alert", "rule"), more="  - {record: 'q:size', expr: queue_size, labels: {host: ''}}\n",
         expr="q:size > 5", signal=TWO),
    Case("two elements with equal labels, in a situation only", ERROR, f"situation `bad`: Prometheus cannot evaluate the rule in this situation: {EQUAL}",
         labels="{severity: page, host: all}", identifies="{host: all}", contract=BAD.format(", also: [{gauge: 'queue_size{host=\"h2\", team=\"infra\"}', value: x}]")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labels(case: Case, tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    if case.group and Promtool(promtool_path).version.startswith("2."):
        with pytest.raises(InputError, match="labels not found"):
            prove_files(*case.write(tmp_path), module_engine, promtool_path)
        return
    result = prove_files(*case.write(tmp_path), module_engine, promtool_path)[0]
    told = "\n".join([*result.reasons, *result.notes])
    assert result.verdict is case.verdict, told
    assert case.said in told
    assert result.confirmed or case.verdict is ERROR, told
    if case.verdict is TEXTS:
        span = result.findings[0].span
        assert span is not None
        assert span.source_line.lstrip().startswith("annotations: ")
    if case.rendered:
        assert result.annotations == {"text": case.rendered}
    if not case.said:
        assert told.replace("the rule's sides", "") == "" or "never meet" in told


def test_only_the_alert_at_fault_is_an_error(tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    fine, faulty = tmp_path / "fine", tmp_path / "faulty"
    fine.mkdir()
    faulty.mkdir()
    one = Case("", signal=TWO.replace("queue_size", "q2"), expr="q2 > 5", labels="{severity: page, host: ''}").write(
        faulty
    )
    for file in one:
        file.write_text(file.read_text(encoding="utf-8").replace("Long", "Faulty"), encoding="utf-8")
    two = Case("").write(fine)
    proof = Proof(
        load_rules([one[0], two[0]]), load_contracts([one[1], two[1]]), module_engine, Promtool(promtool_path)
    )
    module_engine.reset()
    assert {result.alert: result.verdict for result in proof.run()} == {"Faulty": ERROR, "Long": EXACT}
