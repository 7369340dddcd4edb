"""The formula language against an oracle of its own: trees are built first, then written, then computed apart."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.contracts.formula import constant, parse_formula
from harness.errors import InputError
from harness.source import Fields, SourceFile, Text, load_yaml

VALUES = {"x": Fraction(7, 2), "t": Fraction(615), "cores": Fraction(0), "_a1": Fraction(-3)}
INDENT = "formula: '"


def text_of(formula: str) -> Text:
    """The formula as it stands in a file, after ten characters of its line."""
    source = SourceFile.of_text("c.yml", f"{INDENT}{formula}'\n")
    text = Fields(load_yaml(source)[0], source, "a file").text("formula")
    assert text.value == formula
    return text


# -- the oracle --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    text: str
    value: Fraction


@dataclass(frozen=True)
class Call:
    """An operator (`+`, `neg`, `<=`) or a function, by its name."""

    name: str
    args: tuple[Leaf | Call, ...]


Tree = Leaf | Call

_INFIX: dict[str, tuple[int, Callable[[Fraction, Fraction], Fraction | bool]]] = {
    **{sign: (1, compare) for sign, compare in [
        ("<", operator.lt), ("<=", operator.le), (">", operator.gt),
        (">=", operator.ge), ("==", operator.eq), ("!=", operator.ne),
    ]},
    "+": (2, operator.add), "-": (2, operator.sub),
    "*": (3, operator.mul), "/": (3, operator.truediv),
}  # fmt: skip


def level(tree: Tree) -> int:
    """How tightly a tree's outermost sign binds."""
    if isinstance(tree, Leaf):
        return 5
    return 4 if tree.name == "neg" else _INFIX.get(tree.name, (5,))[0]


def written(tree: Tree, least: int, space: Callable[[], str]) -> str:
    """The tree as a formula, in parentheses only where its place asks for a tighter bond."""
    if level(tree) < least:
        return f"({space()}{written(tree, 1, space)}{space()})"
    if isinstance(tree, Leaf):
        return tree.text
    if tree.name == "neg":
        return f"-{space()}{written(tree.args[0], 4, space)}"
    if tree.name in _INFIX:
        own = level(tree)
        left = written(tree.args[0], own + (own == 1), space)
        return f"{left}{space()}{tree.name}{space()}{written(tree.args[1], own + 1, space)}"
    return f"{tree.name}({space()}{f'{space()},{space()}'.join(written(arg, 1, space) for arg in tree.args)})"


def value_of(tree: Tree) -> Fraction:
    """What the tree is worth; ZeroDivisionError where a part that counts is divided by zero."""
    if isinstance(tree, Leaf):
        return tree.value
    if tree.name == "if":
        return value_of(tree.args[1] if value_of(tree.args[0]) != 0 else tree.args[2])
    args = [value_of(arg) for arg in tree.args]
    if tree.name in _INFIX:
        return Fraction(_INFIX[tree.name][1](*args))
    if tree.name == "neg":
        return 0 - args[0]
    if tree.name == "floor":
        return Fraction(args[0].numerator // args[0].denominator)
    if tree.name == "mod":
        quotient = args[0] / args[1]
        return args[0] - args[1] * (quotient.numerator // quotient.denominator)
    return sorted(args)[0 if tree.name == "min" else -1]


@st.composite
def numbers(draw: st.DrawFn) -> Leaf:
    """A number by its digits: whole, decimal, with an exponent; its value from integers alone."""
    before, after = draw(st.integers(0, 9999)), draw(st.sampled_from(["", "5", "05", "125", "0"]))
    exponent = draw(st.sampled_from([0, 0, 0, 1, 3, -2, 12]))
    value = Fraction(int(f"{before}{after}"), 10 ** len(after)) * Fraction(10) ** exponent
    text = f"{before}.{after}" if after or draw(st.booleans()) else f"{before}"
    if before == 0 and after and draw(st.booleans()):
        text = text.removeprefix("0")
    if exponent:
        text += f"{draw(st.sampled_from('eE'))}{'+' if exponent > 0 and draw(st.booleans()) else ''}{exponent}"
    return Leaf(text, value)


def calls(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    def of(names: list[str], fewest: int, most: int) -> st.SearchStrategy[Tree]:
        args = st.lists(inner, min_size=fewest, max_size=most).map(tuple)
        return st.builds(Call, st.sampled_from(names), args)

    functions = of(["floor"], 1, 1) | of(["mod"], 2, 2) | of(["if"], 3, 3) | of(["min", "max"], 1, 4)
    return of(list(_INFIX), 2, 2) | of(["neg"], 1, 1) | functions


LEAVES = numbers() | st.sampled_from([Leaf(name, value) for name, value in VALUES.items()])
TREES: st.SearchStrategy[Tree] = st.recursive(LEAVES, calls, max_leaves=8)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    return draw(TREES)


@settings(max_examples=150, deadline=None)
@given(trees(), st.integers(0, 999))
def test_every_formula_is_worth_what_its_tree_is_worth(tree: Tree, seed: int) -> None:
    random = Random(seed)
    formula = written(tree, 1, lambda: random.choice(["", " ", "  "]))
    parsed = parse_formula(text_of(formula), VALUES)
    try:
        expected = value_of(tree)
    except ZeroDivisionError:
        with pytest.raises(InputError, match="division by zero in"):
            parsed(VALUES)
        return
    assert parsed(VALUES) == expected
    assert type(parsed(VALUES)) is Fraction


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        # Sums and products from left to right.
        ("10 - 3 - 2", 5), ("24 / 4 / 2", 3), ("24 / 4 * 2", 12), ("10 - 3 + 2", 9),
        # * / before + -, those before comparisons; a sign binds tightest.
        ("2 + 3 * 4", 14), ("2 * 3 + 4", 10), ("(2 + 3) * 4", 20), ("1 + 1 < 3", 1), ("1 < 1 + 1", 1),
        ("3 * 2 == 6", 1),
        ("-2 - -3", 1), ("2 * -3", -6), ("-2 * 3", -6), ("- -2", 2), ("--2", 2), ("-(1 + 2)", -3), ("-1 < 0", 1),
        # Comparisons give 1 or 0 and can be counted with.
        ("(1 < 2) + (2 < 1)", 1), ("1 <= 1", 1), ("1 >= 2", 0), ("1 != 1", 0), ("100 * (x > 3)", 100),
        # Decimals are exact: with doubles the first would be 0.
        ("0.1 + 0.2 == 0.3", 1), ("0.1", Fraction(1, 10)), ("1e9", 10**9), ("2.5E-1", Fraction(1, 4)),
        (".5", Fraction(1, 2)),
        ("5.", 5), ("1 / 3 * 3", 1),
        # Functions.
        ("min(3, 1, 2)", 1), ("max(3, 1, 2)", 3), ("max(4)", 4), ("floor(7 / 2)", 3), ("floor(-7 / 2)", -4),
        ("mod(7, 4)", 3),
        ("mod(-7, 4)", 1), ("mod(x, 1)", Fraction(1, 2)), ("if(x, 1, 2)", 1), ("if(0, 1, 2)", 2), ("if(-1, 1, 2)", 1),
        # `if` does not look at the branch that is not taken.
        ("if(cores == 0, 0, 1 / cores)", 0), ("if(cores, 1 / cores, 5)", 5),
    ],
)  # fmt: skip
def test_precedence_and_meaning(formula: str, value: object) -> None:
    assert parse_formula(text_of(formula), VALUES)(VALUES) == value


def test_a_formula_knows_its_names() -> None:
    assert parse_formula(text_of("x * cores + if(t, 1, x)"), VALUES).names == {"x", "t", "cores"}
    assert parse_formula(text_of("80"), VALUES).names == frozenset()


def test_a_number_has_no_names() -> None:
    assert constant(text_of("100 / 1000")) == Fraction(1, 10)
    with pytest.raises(InputError, match=r"(?s)unknown name `x` in the formula.*known names: none here"):
        constant(text_of("x"))


@pytest.mark.parametrize(
    ("formula", "at", "length", "message"),
    [
        ("1 +", 3, 1, "expected a number or a name, found the end"),
        ("+ 1", 0, 1, "expected a number or a name, found `+`"),
        ("1 + * 2", 4, 1, "expected a number or a name, found `*`"),
        ("(1 + 2", 6, 1, "expected `)`, found the end"),
        ("(1 < 2 < 3)", 7, 1, "expected `)`, found `<`"),
        ("1 + 2)", 5, 1, "expected an operator or the end, found `)`"),
        ("2 x", 2, 1, "expected an operator or the end, found `x`"),
        ("x cores", 2, 5, "expected an operator or the end, found `cores`"),
        ("1 < 2 <= 3", 6, 2, "expected an operator or the end, found `<=`"),
        ("2 * 1e9999", 4, 6, "expected a number, found `1e9999`, whose exponent is beyond 999"),
        ("1.2.3", 3, 2, "expected an operator or the end, found `.3`"),
        ("()", 1, 1, "expected a number or a name, found `)`"),
        ("1 ^ 2", 2, 1, "`^` is not part of the formula language"),
        ("x = 1", 2, 1, "`=` is not part of the formula language"),
        ("x % 2", 2, 1, "`%` is not part of the formula language"),
        ("1 ; 2", 2, 1, "`;` is not part of the formula language"),
        ("x.real", 1, 1, "`.` is not part of the formula language"),
        ("10 * core", 5, 4, "unknown name `core` in the formula (did you mean `cores`?)"),
        ("min", 0, 3, "unknown name `min` in the formula"),
        ("1 + mix(1, 2)", 4, 3, "unknown function `mix` (did you mean `min`?)"),
        ("__import__(1)", 0, 10, "unknown function `__import__`"),
        ("x(1)", 0, 1, "unknown function `x`"),
        ("min()", 4, 1, "expected a number or a name, found `)`"),
        ("min(1,)", 6, 1, "expected a number or a name, found `)`"),
        ("min(1 2)", 6, 1, "expected `)`, found `2`"),
        ("1 + floor(1, 2)", 4, 5, "`floor` takes 1 arguments, found 2"),
        ("mod(1)", 0, 3, "`mod` takes 2 arguments, found 1"),
        ("if(1, 2)", 0, 2, "`if` takes 3 arguments, found 2"),
    ],
)  # fmt: skip
def test_every_error_has_its_exact_column(formula: str, at: int, length: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_formula(text_of(formula), VALUES)
    span = caught.value.span
    assert caught.value.message == message
    assert span is not None
    assert (span.file, span.line, span.column, span.length) == ("c.yml", 1, len(INDENT) + at + 1, length)
    assert caught.value.hint


def test_an_empty_formula() -> None:
    source = SourceFile.of_text("c.yml", "formula: '  '\n")
    with pytest.raises(InputError, match=r"(?s)^c.yml:1:10: the formula is empty.*write a number or a formula"):
        parse_formula(Fields(load_yaml(source)[0], source, "a file").text("formula"), VALUES)


def test_a_division_by_zero_shows_the_values_and_the_way_out() -> None:
    formula = parse_formula(text_of("x / (cores * t)"), VALUES)
    with pytest.raises(InputError) as caught:
        formula(VALUES)
    assert str(caught.value) == (
        "c.yml:1:10: division by zero in `x / (cores * t)` at cores = 0, t = 615, x = 7/2\n"
        "    1 | formula: 'x / (cores * t)'\n"
        "      |          ^^^^^^^^^^^^^^^^^\n"
        "  what to do: guard it: if(total == 0, 0, part / total)"
    )


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("(" * 40 + "x" + ")" * 40, None),
        ("(" * 60 + "x" + ")" * 60, "nested too deeply"),
        ("-" * 60 + "x", "nested too deeply"),
        ("floor(" * 60 + "x" + ")" * 60, "nested too deeply"),
        ("x" + " + x" * 200, None),
        ("x" + " * 1" * 5000, "more than 500 parts"),
        ("min(1" + ", 1" * 98 + ")", None),
        ("min(1" + ", 1" * 99 + ")", "`min` takes 1 or more arguments, found 100"),
    ],
)
def test_depth_and_length_have_an_end(formula: str, message: str | None) -> None:
    if message is None:
        assert parse_formula(text_of(formula), VALUES)(VALUES)
        return
    with pytest.raises(InputError, match=message):
        parse_formula(text_of(formula), VALUES)


class Untouchable(Mapping[str, Fraction]):
    """Names as a formula may see them: plain numbers, and no way to anything else."""

    def __getitem__(self, name: str) -> Fraction:
        return VALUES[name]

    def __iter__(self) -> object:  # type: ignore[override]
        return iter(VALUES)

    def __len__(self) -> int:
        return len(VALUES)


PIECES = st.sampled_from(
    ["x", "t", "1", "0", ".5", "1e9", "(", ")", ",", "-", "+", "*", "/", "<", "==", "if(", "min(", "mod(",
        "floor(", " ",
     "__class__", "eval(", "lambda", "x.real", "**", "//", "[", "'", '"', "\\", "\n", "\u0663", "é", "\x00"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.lists(PIECES, max_size=15).map("".join))
@example("\u0663")  # a digit, but none of ours
@example("__import__('os').system('true')")
def test_any_text_gives_a_number_or_an_input_error(formula: str) -> None:
    source = SourceFile.of_text("c.yml", formula)
    text = Text(formula, source.span(1, 1, len(formula)))
    where = value = None
    try:
        value = parse_formula(text, VALUES)(Untouchable())
    except InputError as err:
        where = err.span
    assert (value is None) is (where is not None)
    assert value is None or (type(value) is Fraction and formula.isascii())
