"""A contract file as loaded: drafts, alerts set aside, absence and presence, and what is not checked."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from harness.contracts import Contract, ContractKind, Op, load_contracts
from harness.errors import InputError

PLAIN = """\
alert: A
    means: m
    knob: {name: n, range: [0, 10]}
    op: ">"
    threshold: 5
    signal: [{gauge: g, value: x}]
"""


def load(folder: Path, *entries: str) -> list[Contract]:
    file = folder / "c.yml"
    file.write_text("contracts:\n" + "".join(f"  - {entry}" for entry in entries), encoding="utf-8")
    return load_contracts([file])


def refused(folder: Path, *entries: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, *entries)
    assert caught.value.span is not None
    return caught.value


# -- drafts --------------------------------------------------------------------------------------------------------


def test_a_contract_that_somebody_wrote_is_no_draft(tmp_path: Path) -> None:
    assert not load(tmp_path, PLAIN + "    # confirm: a comment does not count\n")[0].draft
    assert not load(tmp_path, PLAIN + "    draft: false\n")[0].draft
    later = PLAIN.replace("means: m", "means: 'to be read; confirm: not at its beginning'")
    assert not load(tmp_path, later)[0].draft


def test_draft_is_a_key_of_one_contract(tmp_path: Path) -> None:
    first, second = load(tmp_path, PLAIN + "    draft: true\n", PLAIN.replace("alert: A", "alert: B"))
    assert (first.draft, second.draft) == (True, False)
    assert "true or false" in refused(tmp_path, PLAIN + "    draft: perhaps\n").message


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("means: m", 'means: "confirm: m"'),
        ("threshold: 5", 'threshold: "confirm: 5"'),
        ('op: ">"', 'op: "confirm: >"'),
        ("name: n", 'name: "confirm: n"'),
        ("[0, 10]", '[0, "confirm: 10"]'),
        ("value: x", "value: 'confirm: x'"),
        ("gauge: g", "gauge: 'confirm: g'"),
    ],
)
def test_any_value_that_begins_with_confirm_makes_a_draft_and_is_read_without_it(
    line: str, marked: str, tmp_path: Path
) -> None:
    (plain,) = load(tmp_path, PLAIN)
    (draft,) = load(tmp_path, PLAIN.replace(line, marked))
    assert draft.draft
    assert (draft.op, draft.threshold, draft.knob) == (plain.op, plain.threshold, plain.knob)
    assert draft.signal.series[0].metric == "g"
    assert draft.means == ("confirm: m" if "means" in line else "m")


def test_an_alias_to_a_marked_value_is_a_draft_too(tmp_path: Path) -> None:
    first, second = load(
        tmp_path,
        PLAIN.replace("threshold: 5", 'threshold: &t "confirm: 5"'),
        PLAIN.replace("alert: A", "alert: B").replace("threshold: 5", "threshold: *t"),
    )
    assert (first.draft, second.draft) == (True, True)
    assert second.threshold == 5


def test_the_caret_stands_in_the_value_behind_confirm(tmp_path: Path) -> None:
    text = PLAIN.replace("value: x", "value: 'confirm: x + nothing'")
    err = refused(tmp_path, text)
    assert err.span is not None
    line = (tmp_path / "c.yml").read_text().splitlines()[err.span.line - 1]
    assert line[err.span.column - 1 :].startswith("nothing")


# -- alerts that are set aside -------------------------------------------------------------------------------------


def test_an_entry_that_only_sets_an_alert_aside(tmp_path: Path) -> None:
    (found,) = load(tmp_path, "alert: A\n    allow: {reason: reads ALERTS}\n")
    assert (found.kind, found.allowed, found.signal.series) == (ContractKind.SET_ASIDE, "reads ALERTS", ())
    (found,) = load(tmp_path, "alert: A\n    labels: {team: b}\n    allow: {reason: r}\n")
    assert (found.kind, found.labels) == (ContractKind.SET_ASIDE, {"team": "b"})


def test_allow_beside_a_contract_leaves_it_a_contract(tmp_path: Path) -> None:
    (found,) = load(tmp_path, PLAIN + "    allow: {reason: known}\n")
    assert (found.kind, found.allowed, found.threshold) == (ContractKind.THRESHOLD, "known", 5)


def test_an_allow_without_a_reason_is_refused(tmp_path: Path) -> None:
    assert "no `reason`" in refused(tmp_path, "alert: A\n    allow: {}\n").message
    assert "empty" in refused(tmp_path, 'alert: A\n    allow: {reason: " "}\n').message
    assert "must be a mapping" in refused(tmp_path, "alert: A\n    allow: true\n").message


def test_half_a_contract_is_not_set_aside(tmp_path: Path) -> None:
    err = refused(tmp_path, "alert: A\n    means: m\n    op: '>'\n    allow: {reason: r}\n")
    assert "has no `knob`" in err.message


# -- absence, presence, always -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "kind", "comparison", "quiet_at"),
    [("absent", ContractKind.ABSENCE, Op.LT, 1), ("present", ContractKind.PRESENCE, Op.GE, 0)],
)
def test_a_series_that_is_there_or_not(
    op: str, kind: ContractKind, comparison: Op, quiet_at: int, tmp_path: Path
) -> None:
    (found,) = load(
        tmp_path,
        f"alert: A\n    means: m\n    op: {op}\n    signal: [{{gauge: g, value: 3}}, "
        "{gauge: h, value: 1, present: 1}]\n    situations:\n      - {name: s, expect: quiet}\n"
        "      - {name: o, expect: quiet, signal: [{gauge: other, value: 1}]}\n",
    )
    comes, stays = found.signal.series
    assert (found.kind, found.op, found.threshold) == (kind, comparison, 1)
    assert comes.present is not None
    assert stays.present is not None
    assert [comes.present({"x": Fraction(x)}) for x in (0, 1)] == [0, 1]
    assert [stays.present({"x": Fraction(x)}) for x in (0, 1)] == [1, 1]
    first, second = found.situations
    assert first.knob == ((0, Fraction(quiet_at)),)
    assert first.signal.series == found.signal.series
    assert second.signal.series[0].present is None  # not the contract's own: there unless it says otherwise


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("op: absent\n    threshold: 1\n    signal: [{gauge: g, value: 1}]\n", "`threshold` beside `op: absent`"),
        ("op: present\n    knob: {name: n, range: [0, 1]}\n    signal: []\n", "`knob` beside `op: present`"),
        ("op: absent\n    signal: [{gauge: g, value: 1, present: 1}]\n", "comes and goes"),
        ("op: absent\n", "has no `signal`"),
        ("always: true\n    op: '>'\n", "`op` beside `always: true`"),
        ("always: true\n    threshold: 1\n", "`threshold` beside `always: true`"),
        ("always: 'yes'\n", "must be true or false"),
        ("op: missing\n    knob: {name: n, range: [0, 1]}\n", "no comparison of a contract"),
    ],
)
def test_what_does_not_go_together_is_refused(entry: str, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, f"alert: A\n    means: m\n    {entry}").message


def test_always_needs_neither_knob_nor_signal(tmp_path: Path) -> None:
    (found,) = load(tmp_path, "alert: A\n    means: m\n    always: true\n    for: 5m\n")
    assert (found.kind, found.hold_ms, found.signal.series) == (ContractKind.ALWAYS, 300_000, ())
    (found,) = load(tmp_path, "alert: A\n    means: m\n    always: true\n    knob: {name: n, range: [2, 4]}\n")
    assert (found.knob.low, found.knob.high) == (2, 4)


# -- what is checked -----------------------------------------------------------------------------------------------


def test_what_is_left_out_is_not_checked(tmp_path: Path) -> None:
    fires = "    situations: [{name: s, expect: fires}]\n"
    (left_out,) = load(tmp_path, PLAIN + fires)
    assert (left_out.severity, left_out.identifies, left_out.meant_labels) == (None, None, {})
    assert left_out.situations[0].alerts is None
    (nothing,) = load(tmp_path, PLAIN + '    severity: ""\n    identifies: {}\n' + fires)
    assert (nothing.severity, nothing.identifies, nothing.meant_labels) == ("", {}, {"severity": ""})
    assert nothing.situations[0].alerts == ({},)
    assert [s.expected for s in (*left_out.situations, *nothing.situations)] == ["fires", "fires"]


def test_contracts_of_one_alert_are_told_apart_by_severity_or_labels(tmp_path: Path) -> None:
    two = [PLAIN + "    labels: {team: a}\n", PLAIN + "    labels: {team: b}\n"]
    assert [found.labels["team"] for found in load(tmp_path, *two)] == ["a", "b"]
    assert len(load(tmp_path, PLAIN + "    severity: a\n", PLAIN + "    severity: b\n")) == 2
    assert "a second contract for `A` (first at" in refused(tmp_path, PLAIN, PLAIN).message
    assert "with severity `a`" in refused(tmp_path, *[PLAIN + "    severity: a\n"] * 2).message


def test_silence(tmp_path: Path) -> None:
    (found,) = load(tmp_path, PLAIN + "    silenced_by: [B, C]\n    never_silenced_by: [D]\n")
    assert [name.value for name in found.silenced_by] == ["B", "C"]
    assert [name.value for name in found.never_silenced_by] == ["D"]
    both = refused(tmp_path, PLAIN + "    silenced_by: [B]\n    never_silenced_by: [B]\n")
    assert "stands in both" in both.message
