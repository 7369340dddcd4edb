"""Each part of an expression is cut from its source: reading the cut text gives that part of the tree again."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UnsupportedError
from harness.rules.expr import alternatives, children, comparisons, parse_expr, walk
from harness.rules.spans import node_span, node_text, one_line, parsed, place_of, tokens
from harness.source import Fields, SourceFile, Text, load_yaml
from tests.cut import unlike


def text(expr: str) -> Text:
    return Text(expr, SourceFile.of_text("r.yml", expr).span(1, 1, len(expr)))


HARD = [
    "1", "-1", "- - 1", "+1", "+-+1", "0x1F", "1e-3 + x", "5. * x", ".5 * x", "Inf", "-inf", "nAn", "1h30m + 2", "x",
    "+x", "+-x", "-+-x", "-x^2", "- -1^2", "2 ^ -1 ^ -x", "-(1)", "a - -b", "a - b - c", "a - (b - c)", "a ^ b ^ c",
    "a + b * c > d and e or f unless g", "((a) + ((b)))", "+(a) + +b", "a % b atan2 c",
    "x offset 5m", "x offset -1h30m", "x @ 5 offset 1m", "x offset 1m @ start()", "x @ -1.5e3", "x @ end ( )",
    "x[5m]", "x[ 5m ]", "rate(x[5m] offset 1d)", "rate(x[5m] @ 1 offset +1d)", "rate(x{a='b'}[300])",
    "max_over_time(x[1h:])", "max_over_time(x[1h:5m] offset 3m @ 4)", "max_over_time((x)[1h:] offset -3m)",
    "min_over_time(max_over_time(rate(x[1m])[10m:1m])[1h:5m])", "max_over_time(x offset 1m [1h:1m])",
    "max_over_time(a:b[1h:1m])", ":a + a:b:c", "max_over_time(:a[1h:])",
    "sum(x)", "SUM BY (a, b,) (x)", "sum(x) wiThout ()", "sum by (on, by) (x) / sum(y) by (sum)", "topk(3, x)",
    "topk by (a) (scalar(y), x)", "count_values('by', x) by (a)", "quantile without (a) (0.9, sum by (b) (x))",
    'sum by ("a.b") (x)', "time()", "time ( )", "hour()", "histogram_quantile(0.9, sum by (le) (rate(b[5m])))",
    'label_replace(x, "a", "$1-)", "b", "(.*)")', "label_join(x, 'a', ',', \"b\", `c`)", "absent(x{a='b'}) > 0",
    "a > bool 1", "a > bool on (x) group_left (y) b", "a*ON()b", "a / ignoring (x,y) GROUP_RIGHT b",
    "a * on (x) group_left b", "a * on (x) group_left () (b)", "a + fill(0) b",
    "a + on (x) fill_left (-1) fill_right (2) b",
    "fill + fill_left", "sum + sum", "offset offset 5m", "by or without", "and and and",
    "count / on () count offset 1h",
    "start + end", "group(group)", "x{}", "{a='b'}", "{__name__=~\"a|}\"}", 'x{a="}", b!~"[{(]", c != "\\"}",}',
    '{"a metric", "a label"="b"}', 'x{"é.ü"=~"ö+"}', 'x{on="a", by="b", origin="c"}', "x{a='it\\'s'}",
    'x{a="q\\"uote"} > 1', "x{a=~`foo\\.bar|\\d+`}", "x{a=`\\`, b=`\"`} == 1", "x{a=`#`} # ` { ( [ \"\n > 1",
    "# first\nx # then\n#\n > # 5\n 1 # last", "sum # ) (\n(x # )\n) by # x\n (a)", "x{a='b' # }\n}", "\t x\r\n> 1 \n",
    "x > 1 or x{a='b' or c='d'}", "sum(x{job='é日本'}) / 2 > 1",
]  # fmt: skip


@pytest.mark.parametrize("expr", HARD)
def test_each_node_comes_back_from_its_own_text(expr: str) -> None:
    assert list(unlike(text(expr))) == []


@pytest.mark.parametrize("expr", ["x" + " + x" * 400, "-" * 400 + "x", "(" * 400 + "x" + ")" * 400])
def test_depth_is_no_matter(expr: str) -> None:
    scalar = text(expr)
    nodes = list(walk(parse_expr(scalar)))
    assert node_text(scalar, nodes[0]) == expr
    assert node_text(scalar, nodes[-1]) == "x"


# -- expressions that nobody thought of ----------------------------------------------------------------------------

BLANKS = [" ", "  ", "\n", "\t", "\r\n  ", " # a > (b\n", "\n# } ] ) \" '\n"]
DURATIONS = ["5m", "1h30m", "90s", "300", "1d", "250ms", "0x10", "1e3"]
LABELS = ["a", "job", "by", "on", "le", "or_else", '"a.b"', "'é'"]
STRINGS = ['"b"', "'b'", "`b`", '"a\\"}"', "'a\\'['", "`a\\.b`", '"é # ("', '"a,b)"', '""', '"\\\\"']
NAMES = ["x", "up", "a:b", ":c", "sum", "offset", "by", "Count", "start", "fill", "or", "infinite", "e5"]
NUMBERS = ["1", "0.5", ".5", "5.", "1e3", "1E-3", "0x1f", "Inf", "NaN", "5m", "1h30m"]
SIGNS = ["", "", "", "-", "+", "--", "+-", "-+"]


T = TypeVar("T")


class Writer:
    """Writes any expression that Prometheus' grammar allows, token by token, with whatever blanks between them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.tokens: list[str] = []

    def pick(self, among: list[T]) -> T:
        return self.draw(st.sampled_from(among))

    def put(self, *tokens: str) -> None:
        self.tokens += [token for token in tokens if token]

    def signs(self) -> None:
        self.put(*self.pick(SIGNS))

    def labels(self) -> None:
        self.put("(")
        for number in range(self.draw(st.integers(0, 2))):
            self.put("," if number else "", self.pick(LABELS))
        self.put(")")

    def grouping(self) -> None:
        if self.draw(st.booleans()):
            self.put(self.pick(["by", "without", "BY"]))
            self.labels()

    def selector(self) -> None:
        self.put(self.pick(NAMES))
        if self.draw(st.booleans()):
            self.put("{")
            for number in range(self.draw(st.integers(0, 2))):
                self.put("," if number else "", self.pick(LABELS), self.pick(["=", "!="]), self.pick(STRINGS))
            self.put("}")

    def modifiers(self) -> None:
        for kind in self.draw(st.sampled_from([(), (), ("offset",), ("@",), ("@", "offset"), ("offset", "@")])):
            if kind == "offset":
                self.put(self.pick(["offset", "OFFSET"]), self.pick(["", "-", "+"]), self.pick(DURATIONS))
            else:
                self.put(
                    "@", *self.draw(st.sampled_from([("1",), ("-", "5.5"), ("start", "(", ")"), ("end", "(", ")")]))
                )

    def scalar(self, depth: int) -> None:
        match self.draw(st.integers(0, 3 if depth else 1)):
            case 0:
                self.signs()
                self.put(self.pick(NUMBERS))
            case 1:
                self.put("time", "(", ")")
            case 2:
                self.signs()
                self.put("(")
                self.scalar(depth - 1)
                self.put(")")
            case _:
                self.scalar(depth - 1)
                self.put(*self.draw(st.sampled_from([("+",), ("-",), ("^",), ("%",), (">", "bool"), ("==", "bool")])))
                self.scalar(depth - 1)

    def vector(self, depth: int) -> None:
        match self.draw(st.integers(0, 9 if depth else 2)):
            case 0:
                self.signs()
                self.selector()
                self.modifiers()
            case 1:
                self.signs()
                self.put("rate", "(")
                self.selector()
                self.put("[", self.pick(DURATIONS), "]")
                self.modifiers()
                self.put(")")
            case 2:
                self.put("max_over_time", "(")
                if depth:
                    self.enclosed(depth - 1)
                else:
                    self.selector()
                    self.modifiers()
                self.put("[", self.pick(DURATIONS), ":", self.pick(["", *DURATIONS]), "]")
                self.modifiers()
                self.put(")")
            case 3:
                self.signs()
                self.enclosed(depth - 1)
            case 4:
                self.signs()
                self.put(self.pick(["sum", "Max", "count"]))
                self.enclosed(depth - 1)
                self.grouping()
            case 5:
                self.put("topk")
                self.grouping()
                self.put("(")
                self.scalar(depth - 1)
                self.put(",")
                self.vector(depth - 1)
                self.put(")")
            case 6:
                self.put("label_replace", "(")
                self.vector(depth - 1)
                self.put(",", '"a"', ",", self.pick(STRINGS), ",", "'b'", ",", "`(.*)`", ")")
            case 7:
                if self.draw(st.booleans()):
                    self.vector(depth - 1)
                    self.operator()
                    self.scalar(depth - 1)
                else:
                    self.scalar(depth - 1)
                    self.operator()
                    self.enclosed(depth - 1)
            case 8 if self.draw(st.booleans()):
                self.vector(depth - 1)
                self.operator()
                self.vector(depth - 1)
            case 8:
                self.enclosed(depth - 1)
                self.operator()
                self.put(self.pick(["on", "ignoring", "ON"]))
                self.labels()
                if self.draw(st.booleans()):
                    self.put(
                        self.pick(["group_left", "group_right"]), *self.pick([["(", ")"], ["(", "kept", ",", ")"]])
                    )
                self.enclosed(depth - 1)
            case _:
                self.vector(depth - 1)
                self.put(self.pick(["and", "or", "unless", "AND"]))
                if self.draw(st.booleans()):
                    self.put("on")
                    self.labels()
                self.vector(depth - 1)

    def enclosed(self, depth: int) -> None:
        self.put("(")
        self.vector(depth)
        self.put(")")

    def operator(self) -> None:
        self.put(self.pick(["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<="]))
        if self.tokens[-1][0] in "=!<>" and self.draw(st.booleans()):
            self.put("bool")


@st.composite
def expressions(draw: st.DrawFn) -> str:
    writer = Writer(draw)
    writer.vector(draw(st.integers(0, 3)))
    made = ""
    brackets = False  # promql-parser takes no comments in there
    for token in writer.tokens:
        if (made and _is_wordy(made[-1]) and _is_wordy(token[0])) or draw(st.integers(0, 3)) == 0:
            made += draw(st.sampled_from(BLANKS[:4] if brackets else BLANKS))
        made += token
        brackets = token == "[" or (brackets and token != "]")
    return made


def _is_wordy(char: str) -> bool:
    return char.isalnum() or char in "_:."


@given(expressions())
def test_each_node_of_any_expression_comes_back(expr: str) -> None:
    assert list(unlike(text(expr))) == []


@given(expressions())
def test_parts_lie_within_each_other_and_side_by_side(expr: str) -> None:
    scalar = text(expr)
    for node in walk(parse_expr(scalar)):
        place = place_of(scalar, node)
        at = place.start
        for child in children(node):
            inner = place_of(scalar, child)
            assert at <= inner.start < inner.end <= place.end
            at = inner.end


@given(expressions())
def test_a_message_shows_it_on_one_line_with_the_same_meaning(expr: str) -> None:
    shown = one_line(expr)
    assert repr(parsed(shown).tree) == repr(parsed(expr).tree)
    assert not {"\n", "\t"} & set(shown)


@given(expressions())
def test_tokens_are_the_whole_text(expr: str) -> None:
    assert "".join(token.text for token in tokens(expr)) == expr


# -- what is cut -----------------------------------------------------------------------------------------------------


def test_comparisons_are_spelt_as_the_user_spells_them() -> None:
    expr = 'sum by(job) (rate(x{a="q\\"uote"}[5m]))/ 2>bool 1e1 and ( y<(3) )'
    found = comparisons(text(expr))
    assert [(c.left, c.op, c.right, c.is_bool) for c in found] == [
        ('sum by(job) (rate(x{a="q\\"uote"}[5m]))/ 2', ">", "1e1", True),
        ("y", "<", "(3)", False),
    ]
    assert [c.text for c in found] == ['sum by(job) (rate(x{a="q\\"uote"}[5m]))/ 2>bool 1e1', "y<(3)"]


def test_alternatives_are_cut_too() -> None:
    assert alternatives(text("(a  > 1 or (max_over_time(b[1d:])) ) or c unless d")) == [
        "a  > 1", "max_over_time(b[1d:])", "c unless d",
    ]  # fmt: skip
    assert alternatives(text(" a > 1 ")) == [" a > 1 "]


def test_durations_have_places() -> None:
    expr = "max_over_time(rate(x[5m] offset - 1h)[1h : 30s] offset 2m) > y @ 3 offset 4d"
    scalar = text(expr)
    seen = []
    for node in walk(parse_expr(scalar)):
        place = place_of(scalar, node)
        found = [expr[slice(*each)] for each in (place.range, place.step, place.offset) if each]
        if found:
            seen.append((type(node).__name__, found))
    assert seen == [
        ("SubqueryExpr", ["1h", "30s", "2m"]), ("MatrixSelector", ["5m", "- 1h"]), ("VectorSelector", ["4d"]),
    ]  # fmt: skip


def test_a_node_of_another_tree_has_no_place_here() -> None:
    with pytest.raises(LookupError, match="no part of `a > 1`"):
        node_text(text("a > 1"), parse_expr(text("b > 1")))


def test_what_cannot_be_walked_is_unsupported_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.rules.spans.tokens", lambda source: iter(list(tokens(source))[:-1]))
    scalar = text("a_metric > 1.2345")
    with pytest.raises(UnsupportedError, match=r"cannot be told apart.*missing at its end"):
        node_text(scalar, parse_expr(scalar))


# -- in the file -----------------------------------------------------------------------------------------------------

YAML = """\
- sum(a) > 1
- sum(a)
    + b
    > 1
- "x{a=\\"b\\"} > 1"
- 'x{a=''b''} > 1'
- |
  # how many
  sum(a)
    + b > 1
- >-

  sum(a)

  + b
  > 1 and c == 2
- "label_replace(x, \\"a\\",
   \\"b\\", 'c', \\"d\\") > 1"
"""


def _scalars() -> list[Text]:
    source = SourceFile.of_text("r.yml", YAML)
    document = SourceFile.of_text("r.yml", "expr:\n" + YAML)
    del source
    return [item.text() for item in Fields(load_yaml(document)[0], document, "a file").items("expr", "one")]


@pytest.mark.parametrize("number", range(7))
def test_each_node_is_found_in_the_file(number: int) -> None:
    """The first line of what is cut is what the file holds there, as the file spells it."""
    scalar = _scalars()[number]
    lines = ["expr:", *YAML.split("\n")]
    for node in walk(parse_expr(scalar)):
        span = node_span(scalar, node)
        held = lines[span.line - 1][span.column - 1 :][: span.length]
        spelt = held.replace('\\"', '"').replace("''", "'") if scalar.quoted else held
        first = node_text(scalar, node)
        assert spelt == first[: len(spelt)]
        assert not held[:1].isspace()
        assert not held[-1:].isspace()
        assert len(spelt) == len(first) or lines[span.line - 1].rstrip('"').endswith(held)


def test_the_caret_is_under_the_comparison() -> None:
    (comparison,) = comparisons(_scalars()[2])
    assert comparison.span.excerpt().split("\n")[1].count("^") == len('x{a=\\"b\\"} > 1')
