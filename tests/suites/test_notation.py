"""The notation of series: every sequence means to us what it means to promtool, and no others are taken."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.engines.promtool import Promtool
from harness.errors import InputError, Span
from harness.source import Text
from harness.suites.account import read_account, write_copy
from harness.suites.load import load_suite
from harness.suites.notation import ItemKind, parse_values


def _text(value: str) -> Text:
    return Text(value, Span("x.yml", 1, 1))


def _samples(value: str) -> list[float | None]:
    found: list[float | None] = []
    for item in parse_values(_text(value)):
        found += item.values() if item.kind is ItemKind.NUMBER else [None] * item.count
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("1", [1]),
        ("1 -2 +3", [1, -2, 3]),
        ("1x3", [1, 1, 1, 1]),
        ("0+10x2", [0, 10, 20]),
        ("5-1.5x2", [5, 3.5, 2]),
        ("-1+1x2", [-1, 0, 1]),
        ("1+2x0", [1]),
        ("_ _x2 1", [None, None, None, 1]),
        ("stale 1", [None, 1]),
        ("Inf -inf", [math.inf, -math.inf]),
        ("1e3 .5 1.", [1000, 0.5, 1]),
        ("0x2", [0, 0, 0]),
        ("010 -010 08 010.5 1_000", [8, -8, 8, 10.5, 1000]),
        (" 1\n 2 ", [1, 2]),
        ("{{schema:1 count:3 buckets:[1 2]}}x1 {{}}", [None, None, None]),
        ("{{count:1}}+{{count:2}}x2", [None, None, None]),
    ],
)
def test_what_an_item_stands_for(value: str, expected: list[float | None]) -> None:
    assert _samples(value) == expected


@pytest.mark.parametrize(
    ("value", "column", "hint"),
    [
        ("1, 2", 2, "not commas"),
        ("1 2 x", 5, "whole number"),
        ("1 2+x3", 4, "write numbers"),
        ("NaNx3", 1, "one by one"),
        ("1*5", 2, "repetition"),
        ("0xff", 2, "hexadecimal"),
        ("1 stalex2", 3, "write numbers"),
    ],
)
def test_an_error_stands_under_its_column(value: str, column: int, hint: str, tmp_path: Path) -> None:
    file = tmp_path / "x.test.yml"
    file.write_text(f"tests:\n- input_series:\n  - series: up\n    values: '{value}'\n", encoding="utf-8")
    problem = load_suite(file).groups[0].series[0].problem
    assert problem is not None
    assert problem.span is not None
    assert problem.span.line == 4
    assert problem.span.column == 13 + column
    assert hint in (problem.hint or "")


_PLAIN = ("0", "1", "2.5", "1e3", ".5", "7.", "12", "1e-2", "NaN", "Inf", "inf", "nan")
_AS_IN_GO = ("010", "08", "0_17", "1_000", "010.5", "1_0.2_5e+0_1", "0777777777777777777777777")
_number = st.sampled_from([*_PLAIN, *_AS_IN_GO])
_signed = st.builds(str.__add__, st.sampled_from(["", "-", "+"]), _number)
_times = st.sampled_from(["x0", "x1", "x3", "x5"])
_item = st.one_of(
    st.sampled_from(["_", "_x2", "_x0", "stale", "stalex2"]),
    _signed,
    st.builds(str.__add__, _signed, _times),
    st.builds(lambda a, s, b, t: a + s + b + t, _signed, st.sampled_from("+-"), _number, _times),
)
_sequence = st.lists(_item, max_size=6).map(" ".join)
_garbage = st.text(alphabet="01x+-_. eNaIfnstl,{}", max_size=8)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequences=st.lists(_sequence | _garbage, min_size=40, max_size=60))
def test_agrees_with_promtool(promtool: Promtool, sequences: list[str]) -> None:
    tests = []
    parsed: list[list[float | None] | None] = []
    for sequence in sequences:
        try:
            samples = _samples(sequence)
        except InputError:
            parsed.append(None)
            samples = []
        else:
            parsed.append(samples)
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": "x", "values": sequence}],
                "promql_expr_test": [_expected(i, value) for i, value in enumerate([*samples, None])],
            }
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.test.yml"
        file.write_text(yaml.safe_dump({"tests": tests}, allow_unicode=True), encoding="utf-8")
        suite = load_suite(file)
        copy = Path(folder) / "copy.yml"
        write_copy(suite, suite.groups, [], copy)
        account = read_account(promtool.test_rules([copy]).stderr, len(sequences))
    assert account.groups
    for sequence, expected, said in zip(sequences, parsed, account.groups, strict=True):
        assert ("parse error" in said) is (expected is None), (sequence, said)
        if expected is not None:
            assert said == "", sequence


def _expected(index: int, value: float | None) -> dict[str, object]:
    """What is seen at this minute and at no other."""
    expr, labels = "last_over_time(x[59s])", "x"
    if value is not None and math.isnan(value):
        expr, labels, value = f"count({expr} != {expr})", "{}", 1.0
    samples = [] if value is None else [{"labels": labels, "value": value}]
    return {"expr": expr, "eval_time": f"{index}m", "exp_samples": samples}
