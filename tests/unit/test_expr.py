"""What an expression says: reach, comparisons, metrics; and where its characters stand in a file."""

from __future__ import annotations

import pytest

from harness.errors import InputError, UnsupportedError
from harness.prometheus import DEFAULTS, ServerSettings
from harness.rules.expr import comparisons, leaves_a_step_out, parse_expr, reach_ms, reads_clock, subquery_steps_ms
from harness.rules.selectors import metric_names
from harness.source import Fields, SourceFile, Text, load_yaml

S, M, H = 1000, 60_000, 3_600_000
BACK = 5 * M


def text(expr: str) -> Text:
    source = SourceFile.of_text("r.yml", expr)
    return Text(expr, source.span(1, 1, len(expr)))


@pytest.mark.parametrize(
    ("expr", "reach"),
    [
        ("1", 0), ("time()", 0), ("vector(1) > 0", 0), ("x", BACK), ("x offset 1h", BACK + H), ("absent(x)", BACK),
        ("rate(x[5m])", BACK + 5 * M), ("rate(x[5m] offset 1d)", BACK + 5 * M + 24 * H),
        ("rate(x[1h]) / rate(y[5m])", BACK + H), ("x > 1 and y offset 2h", BACK + 2 * H),
        ("-rate(x[30s])", BACK + 30 * S), ("(sum by (a) (rate(x[5m])))", BACK + 5 * M),
        ("topk(scalar(rate(n[1h])), x)", BACK + H), ("histogram_quantile(0.9, rate(b[5m]))", BACK + 5 * M),
        # A subquery looks back by its range, one step, its offset, and what lies inside it.
        ("max_over_time(x[1h:30s])", BACK + H + 30 * S), ("max_over_time(x[1h:])", BACK + H + M),
        ("max_over_time(rate(x[5m])[1h:30s] offset 10m)", BACK + 5 * M + H + 30 * S + 10 * M),
        ("min_over_time(max_over_time(rate(x[1m])[10m:1m])[1h:5m])", BACK + M + 11 * M + H + 5 * M),
        ("max_over_time(vector(1)[1h:1m])", H + M),
        ("x offset 1h + max_over_time(y[2h:1m])", BACK + 2 * H + M),
    ],
)  # fmt: skip
def test_reach(expr: str, reach: int) -> None:
    assert reach_ms(text(expr), DEFAULTS) == reach


def test_reach_hangs_on_the_settings_of_prometheus() -> None:
    """The lookback of every instant selector, and the step of a subquery that has none."""
    server = ServerSettings(evaluation_ms=15 * S, lookback_ms=M)
    assert reach_ms(text("x"), server) == M
    assert reach_ms(text("max_over_time(x[1h:])"), server) == M + H + 15 * S
    assert reach_ms(text("max_over_time(x[1h:30s])"), server) == M + H + 30 * S
    assert subquery_steps_ms(text("max_over_time(max_over_time(x[5m:])[1h:2m])"), server) == [2 * M, 15 * S]
    assert leaves_a_step_out(text("max_over_time(max_over_time(x[5m:])[1h:2m])"))
    assert not leaves_a_step_out(text("max_over_time(max_over_time(x[5m:1m])[1h:2m])"))


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("x offset -5m", r"`x offset -5m` looks into the future \(negative offset\)"),
        ("1 + rate(x[5m] offset -1s)", "looks into the future"),
        ("max_over_time(x[1h:1m] offset -1m)", "looks into the future"),
        ("x @ 100", "`@` in `x.*` fixes an evaluation time"),
        ("rate(x[5m] @ end())", "fixes an evaluation time"),
        ("max_over_time(x[1h:] @ start())", "fixes an evaluation time"),
        ("sum(y) or max_over_time((x @ 1)[1h:])", "fixes an evaluation time"),
    ],
)
def test_times_that_no_slot_can_hold_are_refused(expr: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        reach_ms(text(expr), DEFAULTS)
    assert caught.value.span is not None
    assert caught.value.hint


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ("x", []),
        ("x > 1", [(">", False)]),
        ("x > bool 1", [(">", True)]),
        ("(x > 1) < 5 and y != 2", [("<", False), (">", False), ("!=", False)]),
        ("count(x == 0) / count(x) >= 0.5", [(">=", False), ("==", False)]),
        ("max_over_time((x > 2)[5m:])", [(">", False)]),
        ("a <= on (i) group_left (j) b", [("<=", False)]),
        ('x{a=~"[<>=]+"} unless y', []),
    ],
)
def test_comparisons_outermost_first(expr: str, found: list[tuple[str, bool]]) -> None:
    got = comparisons(text(expr))
    assert [(c.op, c.is_bool) for c in got] == found
    for c in got:
        for part in (c.text, c.left, c.right):
            parse_expr(text(part))


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("1", set()), ("up", {"up"}), ("rate(a[5m]) / b", {"a", "b"}), ('{__name__="c", x="y"}', {"c"}),
        ('{__name__=~"c.*"}', {None}), ('{x="y"} or d', {None, "d"}), ("max_over_time(sum(e)[5m:])", {"e"}),
        ("topk(scalar(k), f)", {"k", "f"}), ("-(g)", {"g"}),
    ],
)  # fmt: skip
def test_metric_names(expr: str, names: set[str | None]) -> None:
    assert metric_names(text(expr)) == names


def test_subquery_steps_and_the_clock() -> None:
    assert subquery_steps_ms(text("max_over_time(max_over_time(x[5m:15s])[1h:])"), DEFAULTS) == [M, 15 * S]
    assert subquery_steps_ms(text("rate(x[5m])"), DEFAULTS) == []
    assert reads_clock(text("time() - x > 5"))
    assert reads_clock(text("x and on () hour() > 8"))
    assert not reads_clock(text("timestamp(x) > 5"))


def test_what_does_not_parse() -> None:
    with pytest.raises(
        InputError, match=r"(?s)^r.yml:1:1: this expression cannot be read: unclosed left paren.*promtool"
    ):
        reach_ms(text("sum(x"), DEFAULTS)


@pytest.mark.parametrize("expr", ["x" + " + x" * 400, "-" * 400 + "x", "(" * 400 + "x" + ")" * 400])
def test_depth_is_no_matter(expr: str) -> None:
    assert reach_ms(text(expr), DEFAULTS) == BACK
    assert metric_names(text(expr)) == {"x"}
    assert subquery_steps_ms(text(expr), DEFAULTS) == []


YAML = """\
- sum(a) > 1
- sum(a)
    + b
    > 1
- "sum(a) > 1"
- 'sum(a) > 1'
- 'a{b="x"} > 1'
- |
  sum(a)
    + b > 1
- >
  sum(a)
  + b
- >-

  sum(a)

  + b > 1
- "sum(a)
   + b > 1"
"""


def scalars() -> list[Text]:
    source = SourceFile.of_text("r.yml", "expr:\n" + YAML)
    return [item.text() for item in Fields(load_yaml(source)[0], source, "a file").items("expr", "one")]


@pytest.mark.parametrize("number", range(9))
def test_each_character_is_found_where_it_stands(number: int) -> None:
    """Plain, quoted, literal and folded, over one line or several."""
    scalar = scalars()[number]
    lines = ["expr:", *YAML.split("\n")]
    places = []
    for offset, char in enumerate(scalar.value):
        if not char.isspace():
            span = scalar.span_at(offset)
            assert lines[span.line - 1][span.column - 1] == char
            assert span.source_line == lines[span.line - 1]
            places.append((span.line, span.column))
    assert places == sorted(set(places)), "each character has a place of its own, in order"
