"""Compiled rule files: what promtool and our own lints say of them, their tests, the command."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli import main
from harness.engines.promtool import Promtool
from harness.errors import EXIT_OK, HarnessError
from harness.rules import load_rules
from harness.slo.compile.rules import compile_objectives
from harness.slo.compile.unittests import unit_tests_yaml
from harness.slo.compile.write import Format, rules_yaml
from harness.slo.spec.convert import convert
from harness.slo.spec.windows import windows_of
from tests.slo.slo_bench import THRESHOLD, document, ratio, read

ROOT = Path(__file__).resolve().parents[2]

ALERTING = """\
metadata:
  name: answers
  labels: {team: web, cost-centre: "7", tags: [a, b]}
  annotations:
    alert-harness/alerting: |
"""

SHAPES = {
    "bad of all": document(),
    "good of all": document(indicator=ratio("good", 'requests_total{code!~"5.."}', "requests_total")),
    "a difference": document(indicator=ratio("bad", 'x_count - x_bucket{le="1.0"}', "x_count")),
    "gauges": document(indicator=ratio().replace("counter: true", "counter: false")),
    "own windows": document(
        indicator=ratio(
            "bad",
            'sum by (zone) (increase(errors_total{a=~"b|c"}[{{.window}}]))',
            "sum by (zone) (increase(requests_total[{{.window}}])) # all",
        )
    ),
    "raw success": document(
        indicator="      ratioMetric: {rawType: success, raw: {metricSource: "
        "{type: Prometheus, spec: {query: availability}}}}"
    ),
    "threshold": document(indicator=THRESHOLD.format(query="sum(depth)"), goal="{op: lt, value: 10, target: 0.95}"),
    "slices": document(method="Timeslices", goal="{target: 0.95, timeSliceTarget: 0.9, timeSliceWindow: 5m}"),
    "ratio slices": document(method="RatioTimeslices", goal="{target: 0.95, timeSliceWindow: 1m}"),
    "zero errors by hand": document(
        indicator=ratio(
            "bad", "sum(rate(errors_total[{{.window}}])) or vector(0)", "sum(rate(requests_total[{{.window}}]))"
        )
    ),
    "a calendar": document(
        window="{duration: 1Q, calendar: {startTime: 2026-01-01 06:00:00, timeZone: UTC}}", policies=[("2", "1h")]
    ),
    "weeks": document(
        window="{duration: 1w, calendar: {startTime: 2026-01-05 00:00:00, timeZone: Asia/Tokyo}}",
        policies=[("2", "1h")],
    ),
    "its own policy": document(policies=[("10", "1h"), ("1.5", "12h")]),
    "a floor, holds and labels": document().replace(
        "metadata:\n  name: answers\n",
        ALERTING
        + "      {min_events: 100, labels: {a: 'it''s \"x\"'}, page_alert: {for: 2m, labels: {severity: \"\\\\é\"}}, "
        "ticket_alert: {for: 1h}}\n",
    ),
    "a long hold": document().replace(
        "metadata:\n  name: answers\n", ALERTING + "      {ticket_alert: {for: 1h}, no_data_alert: {for: 5m}}\n"
    ),
    "labels made by templates": document().replace(
        "metadata:\n  name: answers\n", ALERTING + "      {labels: {route: '{{ $labels.sloth_slo }}-x'}}\n"
    ),
    "an odd name": document("'Größe \"x\" \\ y'").replace("service: shop", "service: a/b"),
}


@pytest.fixture(scope="module")
def promtool(promtool_path: Path) -> Promtool:
    return Promtool(promtool_path)


def _emit(tmp_path: Path, text: str, *options: str) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "slo.yml").write_text(text, encoding="utf-8")
    assert main(["slo", "compile", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *options]) == EXIT_OK
    return tmp_path / "out"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("shape", SHAPES)
def test_rules_lint_and_their_tests_pass_strictly(
    shape: str, tmp_path: Path, promtool: Promtool, capfd: pytest.CaptureFixture[str]
) -> None:
    out = _emit(tmp_path, SHAPES[shape])
    rules = sorted((out / "rules").glob("*.yml"))
    assert len(rules) == 1
    load_rules(rules)
    assert promtool.check_rules(rules, lint=True) == []
    assert main(["test", "--strict", "--report", "none", str(out / "tests")]) == EXIT_OK, capfd.readouterr()


def test_what_answers_without_data_says_that_its_alerts_are_not_tested(tmp_path: Path) -> None:
    goal = "{op: lt, value: 10, target: 0.95}"
    out = _emit(tmp_path, document(indicator=THRESHOLD.format(query="depth or vector(0)"), goal=goal))
    (tests,) = (out / "tests").glob("*.yml")
    assert "their thresholds are not tested here" in tests.read_text(encoding="utf-8")
    assert main(["test", "--no-strict", "--report", "none", str(tests)]) == EXIT_OK


def test_our_own_objectives_pass_on_both_versions(
    each_promtool: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["slo", "compile", str(ROOT / "slo"), "-o", str(out)]) == EXIT_OK
    promtool = Promtool(each_promtool)
    assert promtool.check_rules(sorted((out / "rules").glob("*.yml")), lint=True) == []
    files = sorted((out / "tests").glob("*.yml"))
    done = subprocess.run([each_promtool, "test", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(files) == 6


BREAKS: dict[str, Callable[[str], str]] = {
    "a threshold that includes itself": lambda text: text.replace("} > 0.0144", "} >= 0.0144", 1),
    "a threshold that moved by one double": lambda text: text.replace("} > 0.006", "} > 0.006000000000000001", 1),
    "only one of two windows": lambda text: text.replace("and ignoring (sloth_window)", "or", 1),
    "a window in another's place": lambda text: text.replace("ratio_rate6h{", "ratio_rate3d{", 1),
    "no zero for missing errors": lambda text: text.replace("      or 0 * sum(", "      and sum(", 1),
    "0/0 as a ratio": lambda text: text.replace("[30m])) > 0)", "[30m])) > -1)", 1),
    "another objective": lambda text: text.replace("vector(0.999)", "vector(0.99)"),
    "another budget": lambda text: text.replace("} / 0.001", "} / 0.002"),
    "all events as bad ones": lambda text: text.replace("errors_total", "requests_total"),
    "a severity's label": lambda text: text.replace("sloth_severity: page", "sloth_severity: ticket", 1),
    "a shorter range": lambda text: text.replace("[1h]", "[1m]"),
    "no alert without data": lambda text: text.replace("absent(slo:", "absent(absent(slo:").replace("\"})'", "\"}))'"),
    "an alert without data that waits for less": lambda text: text.replace("for: 10m", "for: 9m"),
    "no traffic as no data": lambda text: text.replace("absent(slo:sli_total_events:rate5m", "absent(slo:sli_error:x"),
    "the period from another series": lambda text: text.replace(
        "sum_over_time(slo:sli_bad", "sum_over_time(slo:sli_total"
    ),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", BREAKS)
def test_the_generated_tests_see_a_broken_rule(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = _emit(tmp_path, document())
    (rules,) = (out / "rules").glob("*.yml")
    text = rules.read_text(encoding="utf-8")
    broken = BREAKS[name](text)
    assert broken != text
    rules.write_text(broken, encoding="utf-8")
    assert main(["test", "--no-strict", "--report", "none", str(out / "tests")]) == 1, capfd.readouterr()


# -- one alert for each severity, and the alert on absent data -------------------------------------------------------


@pytest.mark.parametrize("shape", ["bad of all", "its own policy", "ratio slices"])
def test_one_alert_for_each_severity(shape: str, tmp_path: Path, promtool: Promtool) -> None:
    out = _emit(tmp_path, SHAPES[shape], "--one-alert")
    (rules,) = (out / "rules").glob("*.yml")
    alerts = [rule for rule in yaml.safe_load(rules.read_text("utf-8"))["groups"][0]["rules"] if "alert" in rule]
    burning = [rule for rule in alerts if not rule["alert"].endswith("NoData")]
    assert len({rule["labels"]["sloth_severity"] for rule in burning}) == len(burning)
    assert promtool.check_rules([rules], lint=True) == []
    assert main(["test", "--strict", "--report", "none", str(out / "tests")]) == EXIT_OK


def _active_pages(out: Path, promtool: Promtool, tmp_path: Path) -> int:
    """How many page alerts are there while both pairs of the severity burn."""
    (rules,) = (out / "rules").glob("*.yml")
    inputs = [
        {
            "series": f'slo:sli_error:ratio_rate{window}{{sloth_id="shop-answers",sloth_window="{window}"}}',
            "values": "1x5",
        }
        for window in ("5m", "1h", "30m", "6h")
    ]
    check = {"expr": 'count(ALERTS{sloth_severity="page"})', "eval_time": "3m"}
    counts = []
    for number in (1, 2):
        expected = {**check, "exp_samples": [{"labels": "{}", "value": number}]}
        file = tmp_path / f"{number}.yml"
        tests = [{"interval": "1m", "input_series": inputs, "promql_expr_test": [expected]}]
        file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}))
        counts.append(promtool.test_rules([file]).returncode == 0)
    assert sum(counts) == 1
    return 1 + counts.index(True)


@pytest.mark.parametrize(("options", "active"), [((), 2), (("--one-alert",), 1)])
def test_two_burning_pairs_are_one_alert_if_asked(
    options: tuple[str, ...], active: int, tmp_path: Path, promtool: Promtool
) -> None:
    assert _active_pages(_emit(tmp_path, document(), *options), promtool, tmp_path) == active


def test_pairs_that_wait_differently_long_are_not_one_alert(tmp_path: Path) -> None:
    text = document(window="{duration: 28d, isRolling: true}")
    with pytest.raises(HarnessError) as caught:
        compile_objectives(read(tmp_path, text), windows=windows_of("pyrra"), one_alert=True)
    assert "which wait differently long: 1h/5m for 2m, 6h/30m for 15m" in caught.value.message


def _no_data_severities(tmp_path: Path, text: str, **choices: bool) -> list[str]:
    (group,) = compile_objectives(read(tmp_path, text), **choices)
    return [rule.labels["sloth_severity"] for rule in group.no_data_alerts]


POLICY = """\
    - kind: AlertPolicy
      metadata: {{name: {severity}}}
      spec:
        {said}
        conditions:
          - kind: AlertCondition
            metadata: {{name: {severity}}}
            spec:
              severity: {severity}
              condition: {{kind: burnrate, threshold: {factor}, lookbackWindow: 1h, alertAfter: 0m}}
"""


def _policies(page: str, ticket: str) -> str:
    """Policies for a page and for a ticket, each with what it says of absent data."""
    made = POLICY.format(severity="page", factor=10, said=page) + POLICY.format(
        severity="ticket", factor=2, said=ticket
    )
    return f"{document()}  alertPolicies:\n{made}"


def test_who_is_told_of_absent_data(tmp_path: Path) -> None:
    assert _no_data_severities(tmp_path, document()) == ["ticket"]
    assert _no_data_severities(tmp_path, document(), no_data=False) == []
    assert _no_data_severities(tmp_path, _alerting("{no_data_alert: {disable: true}}")) == []
    assert _no_data_severities(tmp_path, _alerting("{ticket_alert: {disable: true}}")) == ["page"]
    both = "{page_alert: {disable: true}, ticket_alert: {disable: true}}"
    assert _no_data_severities(tmp_path, _alerting(both)) == []
    yes, no = "alertWhenNoData: true", "alertWhenNoData: false"
    assert _no_data_severities(tmp_path, _policies("", "")) == ["ticket"]
    assert _no_data_severities(tmp_path, _policies(yes, "")) == ["page"]
    assert _no_data_severities(tmp_path, _policies(no, no)) == []
    (group,) = compile_objectives(read(tmp_path, _policies("", f"alertWhenBreaching: false\n        {yes}")))
    assert [pair.severity for rule in group.burn_alerts for pair in rule.pairs] == ["page"]
    assert [rule.labels["sloth_severity"] for rule in group.no_data_alerts] == ["ticket"]
    ((_, text),) = convert([group.objective]).documents
    (written,) = read(tmp_path, text)
    assert written.alerting == group.objective.alerting


def test_what_answers_without_data_has_no_alert_on_its_absence(tmp_path: Path) -> None:
    text = document(indicator=THRESHOLD.format(query="time() - depth"), goal="{op: lt, value: 10, target: 0.95}")
    assert _no_data_severities(tmp_path, text) == []
    raw = THRESHOLD.format(query="sum(depth) or vector(0)")
    (group,) = compile_objectives(read(tmp_path, document(indicator=raw, goal="{op: lt, value: 10, target: 0.95}")))
    (rule,) = group.no_data_alerts
    assert "".join(rule.expr.split()) == "absent(count(sum(depth)))"
    windows = ("sum(rate(x[{{.window}}]))", "(sum(rate(y[{{.window}}])) or on() vector(0))")
    (group,) = compile_objectives(read(tmp_path, document(indicator=ratio("bad", *windows))))
    (rule,) = group.no_data_alerts
    assert "".join(rule.expr.split()) == "absent(count(sum(rate(y[5m]))))"


def test_the_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    texts = [
        [rules_yaml(groups), *(unit_tests_yaml(group, "r.yml") for group in groups)]
        for _ in range(2)
        for groups in [compile_objectives(read(tmp_path, *list(SHAPES.values())[:1]))]
    ]
    assert texts[0] == texts[1]


def test_the_operators_object_holds_the_same_rules(tmp_path: Path) -> None:
    groups = compile_objectives(read(tmp_path, document("a"), document("b")))
    plain = yaml.safe_load(rules_yaml(groups))
    objects = list(yaml.safe_load_all(rules_yaml(groups, Format.OPERATOR)))
    assert [o["kind"] for o in objects] == ["PrometheusRule"] * 2
    assert [o["apiVersion"] for o in objects] == ["monitoring.coreos.com/v1"] * 2
    assert [o["metadata"]["name"] for o in objects] == ["slo-shop-a", "slo-shop-b"]
    assert [group for o in objects for group in o["spec"]["groups"]] == plain["groups"]


ODD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: bool(text.strip()))


@given(name=ODD, service=ODD, value=ODD)
@settings(deadline=timedelta(seconds=20), max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_and_label_value_comes_through(
    tmp_path: Path, promtool: Promtool, name: str, service: str, value: str
) -> None:
    """Quotes, backslashes, line ends, emoji: as YAML, as PromQL and as a file's name."""
    from dataclasses import replace

    (objective,) = read(tmp_path, document())
    odd = replace(objective, name=name, service=service, labels={"odd": value})
    (group,) = compile_objectives([odd])
    file = tmp_path / "rules.yml"
    file.write_text(rules_yaml([group]), encoding="utf-8")
    assert promtool.check_rules([file], lint=True) == []
    (loaded,) = load_rules([file])
    assert loaded.groups[0].name == group.name
    for rule, read_back in zip(group.rules, loaded.groups[0].rules, strict=True):
        assert read_back.expr.value == rule.expr
        assert {key: text.value for key, text in read_back.labels.items()} == rule.labels
    assert set(group.objective.file_name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


# -- what cannot be compiled ---------------------------------------------------------------------------------------


def _alerting(text: str) -> str:
    return document().replace("metadata:\n  name: answers\n", ALERTING + f"      {text}\n")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            document(goal="{target: 0.9}", policies=[("10", "1h")]), "can never fire", "an alert policy of its own",
        ),
        (
            document(method="Timeslices", goal="{target: 0.99, timeSliceTarget: 0.9, timeSliceWindow: 10m}"),
            "time slices of 10m do not fit in the shortest window of `answers`, 5m", "1m",
        ),
        (
            document(window="{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}}"),
            "follows the calendar of Europe/Berlin, whose clock changes", "`alert-harness slo report` follows any zone",
        ),
        (
            document(method="RatioTimeslices", goal="{target: 0.99, timeSliceWindow: 1m}").replace(
                "metadata:\n  name: answers\n", ALERTING + "      min_events: 5\n"
            ),
            "whose budget is one of time and not of events", "remove it",
        ),
        (_alerting("{labels: {sloth_severity: x}}"), "`sloth_severity` of `answers` is set by the compiled", "rename"),
        (_alerting("{labels: {a-b: x}}"), "`a-b` of `answers` is no label name", "letters"),
        (
            document().replace("  name: answers", "  name: answers\n  labels: {a-b: x, a.b: y}"),
            "the labels `a-b` and `a.b` of `answers` both become `a_b`", "rename one",
        ),
        (document(policies=[("2", "1h"), ("3", "1h")]), "look at the same windows, 1h", "lower burn rate"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(HarnessError) as caught:
        compile_objectives(read(tmp_path, text))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 2
    assert caught.value.span is not None


# -- the command ---------------------------------------------------------------------------------------------------


def test_rules_go_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str], promtool: Promtool) -> None:
    assert main(["slo", "compile", str(ROOT / "slo")]) == EXIT_OK
    captured = capsys.readouterr()
    assert captured.err == ""
    file = tmp_path / "all.yml"
    file.write_text(captured.out, encoding="utf-8")
    assert promtool.check_rules([file], lint=True) == []
    assert len(yaml.safe_load(captured.out)["groups"]) == 6


def test_files_of_objectives_that_are_gone_are_removed_and_others_are_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yml").write_text(document("a"), encoding="utf-8")
    (tmp_path / "b.yml").write_text(document("b"), encoding="utf-8")
    out = tmp_path / "out"
    assert main(["slo", "compile", str(tmp_path / "a.yml"), str(tmp_path / "b.yml"), "-o", str(out)]) == EXIT_OK
    (out / "rules" / "hand.yml").write_text("groups: []\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["slo", "compile", str(tmp_path / "b.yml"), "-o", str(out)]) == EXIT_OK
    assert "2 files of objectives that are gone removed" in capsys.readouterr().err
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert found == ["rules/hand.yml", "rules/shop-b.yml", "tests/shop-b.test.yml"]


def test_a_file_that_was_not_generated_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yml").write_text(document("a"), encoding="utf-8")
    mine = tmp_path / "out" / "rules" / "shop-a.yml"
    mine.parent.mkdir(parents=True)
    mine.write_text("groups: []\n", encoding="utf-8")
    assert main(["slo", "compile", str(tmp_path / "a.yml"), "-o", str(tmp_path / "out")]) == 2
    assert "is there and was not generated" in capsys.readouterr().err
    assert mine.read_text(encoding="utf-8") == "groups: []\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.yml"], "nowhere.yml does not exist"),
        (["--interval", "often", "a.yml"], "--interval: `often` is not a duration"),
        (["--interval", "0s", "a.yml"], "--interval is 0"),
        (["-o", "a.yml", "a.yml"], "cannot write a.yml: it is a file"),
        (["empty.yml"], "empty.yml is empty, expected an objective"),
        (["service.yml"], "no objective in"),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yml").write_text(document(), encoding="utf-8")
    Path("empty.yml").write_text("# nothing\n", encoding="utf-8")
    Path("service.yml").write_text(
        "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: a}\nspec: {description: b}\n", encoding="utf-8"
    )
    assert main(["slo", "compile", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_manifests_stand_beside_the_rule_files(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(document("a"), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["slo", "compile", str(tmp_path / "a.yml"), "-o", str(out), "--format", "prometheus-operator"]
    assert main(arguments) == EXIT_OK
    assert (out / "manifests" / "shop-a.yml").is_file()
    assert (out / "tests" / "shop-a.test.yml").is_file()
