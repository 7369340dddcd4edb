"""Every form of rule file that docs/rules.md lists is read alike, and a fault in it is found by every command."""

from __future__ import annotations

import json
import os
import re
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from harness.engines import Engine, Samples, make_labels
from harness.rules import RuleFile, load_rules
from harness.rules.copies import copy_of
from harness.rules.forms import FOREIGN_GROUP, FOREIGN_RULE, FOREIGN_TOP, KINDS
from tests.cli.scripting import Outcome, clean_environ, in_process

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
Run = Callable[..., Outcome]


def _object(kind: str, api_group: str) -> Callable[[str], str]:
    head = f"apiVersion: {api_group}/v1\nkind: {kind}\nmetadata: {{name: demo, labels: {{role: rules}}}}\n"
    return lambda groups: f"{head}spec:\n  groups:\n{textwrap.indent(groups, '    ')}"


def _plain(groups: str) -> str:
    return f"groups:\n{textwrap.indent(groups, '  ')}"


def _list(groups: str) -> str:
    item = textwrap.indent(_object("PrometheusRule", "monitoring.coreos.com")(groups), "    ")
    other = "  - apiVersion: v1\n    kind: Service\n    metadata: {name: other}\n"
    return f"apiVersion: v1\nkind: List\nitems:\n{other}  -\n{item}"


def _config_map(groups: str) -> str:
    entry = textwrap.indent(_plain(groups), "    ")
    return f"apiVersion: v1\nkind: ConfigMap\ndata:\n  other.ini: |\n    a = b\n  rules.yml: |\n{entry}  more.txt: c\n"


def _merged(groups: str) -> str:
    """Each rule's fields come from an anchor, and its own expression overrides one."""
    (group,) = yaml.safe_load(groups)
    rules = "".join(
        f"- &r{n}\n{_fields({**rule, 'expr': 'vector(0) > 1', 'alert': f'Base{n}'})}"
        f"- <<: *r{n}\n{_fields({'alert': rule['alert'], 'expr': rule['expr']})}"
        for n, rule in enumerate(group["rules"])
        if "alert" in rule
    )
    records = "".join(f"-\n{_fields(rule)}" for rule in group["rules"] if "record" in rule)
    head = _fields({key: value for key, value in group.items() if key != "rules"})
    return f"groups:\n  -\n{textwrap.indent(head, '  ')}    rules:\n{textwrap.indent(records + rules, '      ')}"


def _fields(mapping: Mapping[str, object]) -> str:
    return "".join(f"  {key}: {json.dumps(value)}\n" for key, value in mapping.items())


def _foreign(top: str, group: Mapping[str, object], rule: Mapping[str, object]) -> Callable[[str], str]:
    def form(groups: str) -> str:
        made = yaml.safe_load(groups)
        for each in made:
            each |= group
            each["rules"] = [{**rule, **one} for one in each["rules"]]
        return top + yaml.safe_dump({"groups": made}, sort_keys=False)

    return form


FORMS: dict[str, Callable[[str], str]] = {
    "rule file": _plain,
    "JSON": lambda groups: json.dumps({"groups": yaml.safe_load(groups)}),
    "merge keys and anchors": _merged,
    "several documents": lambda groups: _plain("- {name: other, rules: []}\n") + "---\n" + _plain(groups),
    "fields of Thanos": _foreign("", {"partial_response_strategy": "abort"}, {}),
    "fields of Mimir": _foreign("namespace: team\n", {"source_tenants": ["a"], "evaluation_delay": "1m"}, {}),
    "fields of vmalert": _foreign(
        "",
        {"type": "prometheus", "tenant": "1:0", "concurrency": 2, "eval_offset": "10s", "params": {"nocache": ["1"]}},
        {"debug": True, "update_entries_limit": 4},
    ),
    **{kind: _object(kind, groups[0]) for kind, groups in KINDS.items()},
    "List": _list,
    "several objects": lambda groups: (
        "# Source: chart\n---\n" + _object("PrometheusRule", "monitoring.coreos.com")(groups) + "---\n"
        "apiVersion: v1\nkind: Secret\n"
    ),
    "ConfigMap": _config_map,
}


@pytest.fixture
def run(tmp_path: Path, tools: dict[str, Path]) -> Run:
    (tmp_path / "temp").mkdir()
    environ = clean_environ(os.environ, tools, tmp_path / "temp")
    return lambda *arguments: in_process(arguments, tmp_path, environ)


def lay(folder: Path, groups: Callable[[int], str]) -> list[str]:
    """A file of each form, each with groups of its own; returns the names."""
    names = []
    for number, form in enumerate(FORMS.values()):
        name = f"rules{number}.yaml"
        (folder / name).write_text(form(groups(number)), encoding="utf-8")
        names.append(name)
    return names


def level_group(number: int) -> str:
    return textwrap.dedent(f"""\
        - name: levels{number}
          interval: 30s
          rules:
            - record: level{number}:max
              expr: max by (job) (level{number})
            - alert: TooHigh{number}
              expr: |-
                level{number}:max
                  > 81
              for: 5m
              labels: {{severity: page}}
              annotations: {{summary: "{{{{ $labels.job }}}} is high"}}
        """)


def said(file: RuleFile) -> list[object]:
    return [
        (group.name, group.interval_ms, [r for r in group.rules if not getattr(r, "alert", "").startswith("Base")])
        for group in file.groups
        if group.rules
    ]


def plainly(found: list[object]) -> str:
    """Without places."""
    return re.sub(r"span=Span\(.*?source_line=(?:'.*?'|\".*?\")\)|quoted=\w+", "", str(found))


@pytest.mark.parametrize("name", FORMS)
def test_it_says_what_the_plain_file_says_and_so_does_the_copy(name: str, tmp_path: Path) -> None:
    plain, formed, copied = (tmp_path / f"{n}.yml" for n in ("plain", "formed", "copied"))
    plain.write_text(_plain(level_group(1)), encoding="utf-8")
    formed.write_text(FORMS[name](level_group(1)), encoding="utf-8")
    (expected,), found = load_rules([plain]), load_rules([formed])[-1]
    assert plainly(said(found)) == plainly(said(expected))
    assert said(expected), "nothing to compare"
    lines = formed.read_text(encoding="utf-8").splitlines()
    (group,) = [group for group in found.groups if group.rules]
    alert = group.alerts()[-1]
    if name != "JSON":
        assert "TooHigh1" in lines[alert.span.line - 1]
        assert "level1:max" in lines[alert.expr.span_at(0).line - 1]
    copy = copy_of(found)
    copied.write_text(copy.text, encoding="utf-8")
    assert load_rules([copied])[0].as_it_is
    assert plainly(said(load_rules([copied])[0])) == plainly(said(expected))


def test_a_planted_fault_is_found_in_every_form_by_prove_test_and_check(
    run: Run, tmp_path: Path, shared_engine: Engine
) -> None:
    names = lay(tmp_path, level_group)
    contracts = "".join(
        f"  - {{alert: TooHigh{n}, means: high, knob: {{name: level, unit: '', range: [0, 100], step: 1}}, op: '>',\n"
        f"     threshold: 80, for: 5m, signal: [{{gauge: 'level{n}{{job=\"a\"}}', value: x}}]}}\n"
        for n in range(len(names))
    )
    (tmp_path / "contracts.yml").write_text(f"version: 1\ncontracts:\n{contracts}", encoding="utf-8")
    rules = [argument for name in names for argument in ("--rules", name)]
    done = run("prove", *rules, "--contracts", "contracts.yml", "--json", "-")
    verdicts = {row["alert"]: row["verdict"] for row in json.loads(done.stdout)["alerts"] if row["contract"]}
    assert verdicts == {f"TooHigh{n}": "off_threshold" for n in range(len(names))}, done.stderr
    confirmed = {row["alert"]: row["confirmed"] for row in json.loads(done.stdout)["alerts"] if row["contract"]}
    assert all(confirmed.values()), confirmed

    asserted = "".join(
        f"      - {{eval_time: 6m, alertname: TooHigh{n}, exp_alerts: [{{exp_labels: {{job: a, severity: page}}, "
        "exp_annotations: {summary: a is high}}]}\n"
        for n in range(len(names))
    )
    series = "".join(f"      - {{series: 'level{n}{{job=\"a\"}}', values: 80.5x20}}\n" for n in range(len(names)))
    (tmp_path / "all.test.yml").write_text(
        f"rule_files: {json.dumps(names)}\nevaluation_interval: 30s\ntests:\n  - interval: 30s\n    input_series:\n"
        f"{series}    alert_rule_test:\n{asserted}",
        encoding="utf-8",
    )
    done = run("test", "all.test.yml", "--json", "-")
    (file,) = json.loads(done.stdout)["files"]
    failed = [r for r in file["assertions"] if r["status"] == "failed"]
    assert len(failed) == len(names), done.stdout
    assert done.code == 1
    mended = [text.replace("> 81", "> 80") for text in ((tmp_path / name).read_text("utf-8") for name in names)]
    for name, text in zip(names, mended, strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (file,) = json.loads(run("test", "all.test.yml", "--json", "-").stdout)["files"]
    assert {r["status"] for r in file["assertions"]} == {"passed"}, file

    now = round(time.time() * 1000)
    shared_engine.write(Samples(make_labels(f"levels{n}", job="a"), [now], [1.0]) for n in range(len(names)))
    done = run("check", "--against", shared_engine.url, *rules, "--json", "-")
    found = [finding["message"] for finding in json.loads(done.stdout)["findings"]]
    for n in range(len(names)):
        assert any(f"`level{n}`" in message for message in found), (n, found)
    assert done.code == 1


def test_init_writes_drafts_for_every_form_and_tells_what_it_cannot_read(run: Run, tmp_path: Path) -> None:
    names = lay(tmp_path, level_group)
    first = tmp_path / names[0]
    lines = first.read_text(encoding="utf-8").splitlines()
    first.write_text("\n".join([*lines, "      - {alert: Broken, exp: up}", ""]), encoding="utf-8")
    done = run("init")
    assert done.code == 2
    assert f"rules0.yaml:{len(lines) + 1}:25: unknown field `exp` in a rule (did you mean `expr`?)" in done.stderr
    for number, name in enumerate(names):
        draft = (tmp_path / "contracts" / name.replace(".yaml", ".yml")).read_text(encoding="utf-8")
        assert f"alert: 'TooHigh{number}'\n" in draft
        assert "threshold: 81 " in draft
    settings = (tmp_path / "alert-harness.toml").read_text(encoding="utf-8")
    assert all(f'"{name}"' in settings for name in names)


def test_what_is_right_of_a_rule_file_is_tested_and_the_rest_told(run: Run, tmp_path: Path) -> None:
    groups = level_group(1) + "- name: more\n  rules:\n  - {alert: Down, expr: up ==}\n  - {alert: Typo, exp: up}\n"
    text = _object("PrometheusRule", "monitoring.coreos.com")(groups)
    (tmp_path / "r.yml").write_text(text, encoding="utf-8")
    down = text[: text.index("Down")].count("\n") + 1
    (tmp_path / "all.test.yml").write_text(
        "rule_files: [r.yml]\nevaluation_interval: 30s\ntests:\n  - interval: 30s\n    input_series:\n"
        "      - {series: level1, values: 82x20}\n    alert_rule_test:\n"
        "      - {eval_time: 1m, alertname: TooHigh1, exp_alerts: []}\n"
        "      - {eval_time: 6m, alertname: TooHigh1, exp_alerts: []}\n",
        encoding="utf-8",
    )
    done = run("test", "all.test.yml", "--json", "-")
    (file,) = json.loads(done.stdout)["files"]
    assert done.code == 2
    assert [assertion["status"] for assertion in file["assertions"]] == ["passed", "failed"]
    assert (file["promtool"], file["problem"]["line"]) == ("failed", down)
    shown = run("test", "all.test.yml").stdout
    assert f"r.yml:{down}:34: `Down`: not a valid PromQL expression" in shown
    assert f"r.yml:{down + 1}:23: unknown field `exp` in a rule (did you mean `expr`?)" in shown


@pytest.mark.slow
def test_a_planted_fault_is_found_in_every_form_by_slo_prove(run: Run, tmp_path: Path) -> None:
    objective = """\
    apiVersion: openslo/v1
    kind: SLO
    metadata: {{name: form{n}}}
    spec:
      service: shop
      budgetingMethod: Occurrences
      objectives: [{{target: 0.999}}]
      timeWindow: [{{duration: 1d, isRolling: true}}]
      indicator:
        metadata: {{name: good}}
        spec:
          ratioMetric:
            counter: true
            good: {{metricSource: {{type: Prometheus, spec: {{query: 'requests{n}_total{{code!~"5.."}}'}}}}}}
            total: {{metricSource: {{type: Prometheus, spec: {{query: 'requests{n}_total'}}}}}}
    """
    text = textwrap.dedent(objective)
    (tmp_path / "slo.yml").write_text("---\n".join(text.format(n=n) for n in range(len(FORMS))), encoding="utf-8")
    compiled = run("slo", "compile", "slo.yml", "--no-data-alert", "off")
    groups = {group["name"]: group for group in yaml.safe_load(compiled.stdout)["groups"]}
    own = [next(group for name, group in groups.items() if f"form{n}" in name) for n in range(len(FORMS))]
    faulty = [json.loads(json.dumps(group).replace("> 0.0144", "> 0.0244")) for group in own]
    names = lay(tmp_path, lambda n: yaml.safe_dump([faulty[n]], width=10_000))
    rules = [argument for name in names for argument in ("--rules", name)]
    done = run("slo", "prove", "slo.yml", *rules, "--json", "-")
    assert done.code == 1, done.stderr
    verdicts = [each["verdict"] for row in json.loads(done.stdout)["objectives"] for each in row["severities"]]
    assert verdicts == ["off threshold"] * len(FORMS)


def test_the_page_has_a_row_for_every_form_and_field() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:`([^`|]+)`|([^`|]+?)) \|", text, re.MULTILINE)
    first = {code or word for code, word in rows}
    assert set(FORMS) <= first, set(FORMS) - first
    for field in (*FOREIGN_TOP, *FOREIGN_GROUP, *FOREIGN_RULE):
        assert field in first, field
