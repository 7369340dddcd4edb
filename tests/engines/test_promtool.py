"""promtool: what it says, read back exactly, on the real one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines.gostrings import go_unquote
from harness.engines.promtool import Promtool
from harness.engines.promtool_complaints import RuleProblem
from harness.engines.promtool_failures import AlertFailure, parse_failures
from harness.errors import EXIT_ENGINE, EngineError, InputError

HOSTILE = "a\"b}, {c='\\d', got:[ \n tab\t é 😀 \x01\x7f \u2028 ÿ\n        got:[\n0:\n  Labels:{}, x=\""


@pytest.fixture(scope="module")
def promtool(promtool_path: Path) -> Promtool:
    return Promtool(promtool_path)


def write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def rules(path: Path, *entries: dict[str, object]) -> Path:
    return write(path, {"groups": [{"name": "g", "rules": list(entries)}]})


def unit_test(path: Path, rule_file: Path, series: list[str], *assertions: object, name: str = "") -> Path:
    group = {
        **({"name": name} if name else {}),
        "interval": "1m",
        "input_series": [{"series": each, "values": "1x5"} for each in series],
        "alert_rule_test": list(assertions),
    }
    return write(path, {"rule_files": [rule_file.name], "evaluation_interval": "1m", "tests": [group]})


def test_version(promtool: Promtool) -> None:
    assert promtool.version.count(".") == 2


def test_a_passing_test(promtool: Promtool, tmp_path: Path) -> None:
    rule_file = rules(tmp_path / "r.yml", {"alert": "Up", "expr": "up > 0"})
    test = unit_test(
        tmp_path / "t.yml",
        rule_file,
        ['up{i="a"}'],
        {"alertname": "Up", "eval_time": "1m", "exp_alerts": [{"exp_labels": {"i": "a"}}]},
    )
    run = promtool.test_rules([test])
    assert run.returncode == 0
    failures = promtool.failures(run)
    assert (failures.alerts, failures.other) == ((), ())


def test_failures_with_hostile_values(promtool: Promtool, tmp_path: Path) -> None:
    rule_file = rules(
        tmp_path / "r.yml",
        {
            "alert": "Weird",
            "expr": "up > 0",
            "labels": {"x": HOSTILE},
            "annotations": {"summary": HOSTILE, "value": "{{ $value }}"},
        },
        {"alert": "Never", "expr": "up > 5"},
    )
    group = "a group,\n    name: of lines,"
    test = unit_test(
        tmp_path / "t.yml",
        rule_file,
        ['up{i="1"}', 'up{i="2\\"} ]"}'],
        {
            "alertname": "Weird",
            "eval_time": "65s",
            "exp_alerts": [{"exp_labels": {"i": HOSTILE}, "exp_annotations": {"summary": "no\nyes"}}],
        },
        {"alertname": "Never", "eval_time": "1h", "exp_alerts": [{"exp_labels": {"i": "1"}}]},
        {"alertname": "Weird", "eval_time": "5m", "exp_alerts": []},
        name=group,
    )
    run = promtool.test_rules([test])
    assert run.returncode == 1
    annotations = {"summary": HOSTILE, "value": "1"}
    got = (
        ({"alertname": "Weird", "i": "1", "x": HOSTILE}, annotations),
        ({"alertname": "Weird", "i": '2"} ]', "x": HOSTILE}, annotations),
    )
    assert promtool.failures(run).alerts == (
        AlertFailure(group, "Weird", 65_000, (({"alertname": "Weird", "i": HOSTILE}, {"summary": "no\nyes"}),), got),
        AlertFailure(group, "Weird", 300_000, (), got),
        AlertFailure(group, "Never", 3_600_000, (({"alertname": "Never", "i": "1"}, {}),), ()),
    )
    assert promtool.failures(run).other == ()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_any_text_comes_back(promtool: Promtool, tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    named = {f"t{i}": text for i, text in enumerate(texts)}
    rule_file = rules(folder / "r.yml", {"alert": "A", "expr": "vector(0) > 0"})
    test = unit_test(
        folder / "t.yml",
        rule_file,
        [],
        {"alertname": "A", "eval_time": "1m", "exp_alerts": [{"exp_labels": named, "exp_annotations": named}]},
    )
    (failure,) = promtool.failures(promtool.test_rules([test])).alerts
    assert failure.expected == (({"alertname": "A", **named}, named),)


def test_what_is_no_alert_assertion_is_kept(promtool: Promtool, tmp_path: Path) -> None:
    test = write(
        tmp_path / "t.yml",
        {
            "tests": [
                {
                    "name": "named",
                    "interval": "1m",
                    "input_series": [{"series": "up", "values": "1x5"}],
                    "alert_rule_test": [{"alertname": "A", "eval_time": "1m", "exp_alerts": [{}]}],
                    "promql_expr_test": [{"expr": "up", "eval_time": "1m", "exp_samples": []}],
                }
            ]
        },
    )
    failures = promtool.failures(promtool.test_rules([test]))
    assert [failure.alertname for failure in failures.alerts] == ["A"]
    assert len(failures.other) == 1
    assert 'expr: "up", time: 1m' in failures.other[0]
    assert 'got: {__name__="up"} 1E+00' in failures.other[0]


def test_unquoted_names_of_2x_and_quoted_ones_of_3x() -> None:
    text = """  FAILED:
    alertname: A, time: 1h5m, 
        exp:[
            0:
              Labels:{alertname="A", %s="=\\""}
              Annotations:{}
            ], 
        got:[]

"""  # noqa: W291
    for name in ("i.x", '"i.x"'):
        (failure,) = parse_failures(text % name).alerts
        assert failure == AlertFailure("", "A", 3_900_000, (({"alertname": "A", "i.x": '="'}, {}),), ())


@pytest.mark.parametrize("cut", ["Labels:{", 'Labels:{a="x', 'Labels:{a="\\q"}', "Lables:{}", 'Labels:{a="x"}\n got'])
def test_a_report_that_does_not_read(cut: str) -> None:
    with pytest.raises(EngineError, match="cannot read promtool's report of alert `A`"):
        parse_failures(f"  FAILED:\n    alertname: A, time: 1m, \n        exp:[\n            0:\n              {cut}")


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        (r'""', ""),
        (r'"\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
        (r'"\xc3\xa9\x00\u00e9\U0001f600"', "é\0é😀"),
        (r'"\xff"', r"\xff"),
        ('"é😀"', "é😀"),
    ],
)
def test_go_unquote(quoted: str, text: str) -> None:
    assert go_unquote(quoted) == text


@pytest.mark.parametrize(
    "quoted",
    ["", '"', "x", '"a', 'a"', '"\\"', r'"\q"', r'"\x4"', r'"\u12"', r'"\ud800"', r'"\U00110000"', '"a"b"', '"\n"'],
)
def test_go_unquote_refuses(quoted: str) -> None:
    with pytest.raises(ValueError):
        go_unquote(quoted)


def test_good_rules(promtool: Promtool, tmp_path: Path) -> None:
    files = [rules(tmp_path / f"{name}.yml", {"alert": name, "expr": "up == 0"}) for name in "ab"]
    assert promtool.check_rules(files) == []
    assert promtool.check_rules([]) == []


def test_every_problem_with_its_place(promtool: Promtool, tmp_path: Path) -> None:
    good = rules(tmp_path / "good.yml", {"alert": "A", "expr": "up == 0"})
    bad = tmp_path / "bad.yml"
    bad.write_text(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n"
        "  - {alert: B, expr: up, annotations: {a: '{{ x '}}\n"
    )
    field = tmp_path / "field.yml"
    field.write_text("groups:\n- name: g\n  rules:\n  - alert: A\n    exprr: up\n")
    twice = rules(tmp_path / "twice.yml", {"alert": "A", "expr": "up == 0"}, {"alert": "A", "expr": "up == 0"})
    problems = promtool.check_rules([good, bad, field, twice])
    assert [Path(problem.file).name for problem in problems] == ["bad.yml", "bad.yml", "field.yml", "twice.yml"]
    assert (problems[0].line, problems[0].column, problems[0].lint) == (5, 11, False)
    assert "could not parse expression" in problems[0].message
    assert 'function "x" not defined' in problems[1].message
    assert problems[2].line == 5
    assert "field exprr not found" in problems[2].message
    assert problems[3].lint
    assert "1 duplicate rule(s) found" in problems[3].message
    assert promtool.check_rules([twice], lint=False) == []


def test_a_problem_as_text() -> None:
    assert str(RuleProblem("r.yml", "bad", 3, 4)) == "r.yml:3:4: bad"
    assert str(RuleProblem("r.yml", "bad")) == "r.yml: bad"


def test_a_file_that_is_not_there(promtool: Promtool, tmp_path: Path) -> None:
    for call in (promtool.check_rules, promtool.test_rules):
        with pytest.raises(InputError, match=r"there is no file .*absent\.yml"):
            call([tmp_path / "absent.yml"])
    with pytest.raises(InputError, match="no promtool unit-test file was named"):
        promtool.test_rules([])


def test_an_unknown_flag(promtool: Promtool, tmp_path: Path) -> None:
    test = write(tmp_path / "t.yml", {"tests": []})
    with pytest.raises(
        EngineError, match=r"(?s)`promtool test rules` ended with exit status.*unknown long flag"
    ) as caught:
        promtool.test_rules([test], flags=["--no-such-flag"])
    assert caught.value.exit_code == EXIT_ENGINE


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_binary_that_is_not_promtool(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no promtool at"):
        Promtool(tmp_path / "absent")
    with pytest.raises(EngineError) as caught:
        Promtool(script(tmp_path / "quiet", "exit 0"))
    assert caught.value.message.endswith("quiet is not promtool")
    with pytest.raises(EngineError, match=r"(?s)is not promtool.*asked for its version it says.*prometheus, version 3"):
        Promtool(script(tmp_path / "other", "echo prometheus, version 3.5.0"))
    text = tmp_path / "text"
    text.write_text("x")
    with pytest.raises(EngineError, match=r"cannot start promtool .*Permission denied"):
        Promtool(text)


def test_a_promtool_that_hangs_or_dies(tmp_path: Path) -> None:
    version = 'if [ "$1" = --version ]; then echo promtool, version 3.5.0; exit; fi'
    file = write(tmp_path / "t.yml", {})
    hanging = Promtool(script(tmp_path / "hanging", f"{version}\nexec sleep 60"), timeout_s=0.5)
    with pytest.raises(EngineError, match=r"did not end within 0.5 s"):
        hanging.test_rules([file])
    dying = Promtool(script(tmp_path / "dying", f"{version}\necho panic: oh >&2\nkill -SEGV $$"))
    with pytest.raises(EngineError, match=r"(?s)ended by signal 11.*panic: oh"):
        dying.test_rules([file])
    with pytest.raises(EngineError, match=r"(?s)`promtool check rules` ended by signal 11.*panic: oh"):
        dying.check_rules([file])
    silent = Promtool(script(tmp_path / "silent", f"{version}\nexit 0"))
    with pytest.raises(EngineError, match="ended with exit status 0"):
        silent.check_rules([file])
