"""Numbers as people write them: exact, and bounded whatever was typed."""

from __future__ import annotations

import struct
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.alertmanager.file import AlertmanagerFile
from harness.config import load_config
from harness.contracts import load_contracts
from harness.contracts.world import Scrapes, traces
from harness.errors import InputError
from harness.numbers import parse_decimal, parse_number, parse_whole
from harness.series import format_labels
from harness.source import Fields, SourceFile, load_yaml, number
from harness.units import parse_duration_ms

HUGE = ("3e88120450", "1e999999999", "-1E+999999999", "1e-999999999", "1e1000", "9" * 5_000, f"0.{'1' * 5_000}")
STRANGE = (
    "1_0",
    "\u0661\u0662",
    "\uff15",
    "infinity",
    "inf",
    "nan",
    "0x10",
    " 5",
    "5 ",
    "",
    "e5",
    ".",
    "1e",
    "--1",
    "²",
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("80", 80), ("-0.05", Fraction(-1, 20)), ("+1e9", 10**9), (".5", Fraction(1, 2)), ("5.", 5), ("017", 17),
        ("1E-3", Fraction(1, 1000)), ("1e0000000000002", 100), ("1e999", 10**999), ("1e-999", Fraction(1, 10**999)),
    ],
)  # fmt: skip
def test_decimals_are_exact(text: str, value: Fraction) -> None:
    assert parse_decimal(text) == parse_number(text) == value


@given(st.integers(0, (0x7FF << 52) - 1))
def test_every_double_written_out_is_read(bits: int) -> None:
    """Down to the smallest, whose digits are the most."""
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    assert parse_decimal(repr(value)) == Fraction(repr(value))
    assert parse_decimal(format(Decimal(value), "f")) == Fraction(value)


@pytest.mark.parametrize("text", [*HUGE, *STRANGE])
def test_what_is_no_number(text: str) -> None:
    for read in (parse_decimal, parse_number, parse_whole):
        with pytest.raises(ValueError, match=r"^expected a (whole )?number.{0,99}$"):
            read(text)


def test_quotients() -> None:
    assert parse_number("1/3") == parse_number(" 1 / 3 ") == Fraction(1, 3)
    for text in ("1/0", "1/", "/2", "1/2/3", "1/3e88120450", "3e88120450/3e88120450"):
        with pytest.raises(ValueError, match="expected a number"):
            parse_number(text)


def test_whole_numbers() -> None:
    assert parse_whole("0") == 0
    assert parse_whole("9" * 18) == 10**18 - 1
    for text in ("-1", "+1", "1.0", "1e3", "9" * 19):
        with pytest.raises(ValueError, match="expected a whole number"):
            parse_whole(text)


@pytest.mark.parametrize("text", ["293y", f"{'9' * 19}s", f"{'9' * 5_000}m"])
def test_durations_are_bounded_too(text: str) -> None:
    with pytest.raises(ValueError, match=r"^`.{1,40}` is longer than 292 years$"):
        parse_duration_ms(text)


def test_beyond_every_double_is_told_at_its_place() -> None:
    source = SourceFile.of_text("o.yml", "target: 1e400\n")
    with pytest.raises(InputError, match=r"(?s)^o.yml:1:9: `target`: `1e400` is beyond every double.*about 1.8e308"):
        number(Fields(load_yaml(source)[0], source, "a file").text("target"), "`target`")


CONTRACT = """
contracts:
  - alert: A
    means: m
    knob: {{name: k, range: [0, 10]}}
    op: ">"
    threshold: 5
    severity: warning
    identifies: {{}}
    signal:
      - gauge: build{{commit="$commit"}}
        value: {value}
        each: {each}
"""


def contract(folder: Path, each: str, value: str = "x") -> Path:
    file = folder / "c.yml"
    file.write_text(CONTRACT.format(each=each, value=value), encoding="utf-8")
    return file


@pytest.mark.parametrize("text", [*HUGE, *STRANGE[:6]])
def test_a_label_that_looks_like_a_number_is_a_label(tmp_path: Path, text: str) -> None:
    (one,) = load_contracts([contract(tmp_path, f'{{commit: ["{text}", "77"]}}')])
    made = traces(one.signal, ((0, Fraction(1)),), Scrapes.regular(30_000, 60_000))
    assert [format_labels(trace.labels) for trace in made] == [f'build{{commit="{text}"}}', 'build{commit="77"}']
    with pytest.raises(InputError) as refused:
        load_contracts([contract(tmp_path, f'{{commit: ["77", "{text}"]}}', "x * commit")])
    error = refused.value
    assert error.message.startswith("`commit` is a label's text here, no number to reckon with: expected a number")
    assert error.span is not None
    assert (error.span.line, error.span.column, error.span.length) == (12, 20, 6)


@pytest.mark.parametrize(
    ("each", "value", "place", "message"),
    [
        ("{commit: 3e88120450}", "x", "13:24", "whose exponent is beyond 999"),
        ("{commit: 1}", "x * 3e88120450", "12:20", "whose exponent is beyond 999"),
        (f"{{commit: {' * '.join(['1e999'] * 9)}}}", "x", "13:24", "is far beyond every double"),
    ],
)
def test_a_number_without_end_in_a_formula(tmp_path: Path, each: str, value: str, place: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        load_contracts([contract(tmp_path, each, value)])
    assert f":{place}: " in str(refused.value)
    assert message in refused.value.message


def test_settings_and_routes_with_more_digits_than_python_takes(tmp_path: Path) -> None:
    settings = tmp_path / "alert-harness.toml"
    settings.write_text(f"rules = {'9' * 5_000}\n", encoding="utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        load_config(tmp_path)
    for odd in ("9" * 5_000, "2026-02-31"):  # a text, to Alertmanager as to us
        routes = tmp_path / "alertmanager.yml"
        routes.write_text(f"route: {{receiver: {odd}}}\nreceivers: [{{name: {odd}}}]\n")
        assert AlertmanagerFile.load(routes, None).route.receiver == odd
