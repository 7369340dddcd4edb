"""The state machine against what is known of Prometheus' own (rules/alerting.go, and promtool where it was run).

Written by hand: `1` is a tick at which the expression returns the alert; `.` inactive, `p` pending, `F` firing.
"""

from __future__ import annotations

import pytest

from harness.replay.timeline import AlertState, AlertTimeline, alert_states
from harness.series import Labels

_LETTERS = {AlertState.INACTIVE: ".", AlertState.PENDING: "p", AlertState.FIRING: "F"}
A: Labels = (("alertname", "A"), ("i", "a"))
B: Labels = (("alertname", "A"), ("i", "b"))
C: Labels = (("alertname", "A"), ("i", "c"))


def states(
    *courses: tuple[Labels, str], interval_s: float = 60, hold_s: float = 0, keep_s: float = 0, limit: int = 0
) -> dict[Labels, str]:
    ticks = [frozenset(labels for labels, course in courses if course[i] == "1") for i in range(len(courses[0][1]))]
    found = alert_states(
        ticks,
        interval_ms=round(interval_s * 1000),
        hold_ms=round(hold_s * 1000),
        keep_firing_ms=round(keep_s * 1000),
        limit=limit,
    )
    return {labels: "".join(_LETTERS[state] for state in history) for labels, history in found.items()}


@pytest.mark.parametrize(
    ("interval_s", "hold_s", "keep_s", "returned", "expected"),
    [
        # fires at the first tick with ts - ActiveAt >= for, that is after ceil(for / interval) ticks
        pytest.param(60, 0, 0, "0111", ".FFF", id="no for: fires on its first tick"),
        pytest.param(60, 60, 0, "0111", ".pFF", id="for of one interval: on the second"),
        pytest.param(60, 90, 0, "011111", ".ppFFF", id="for 90s on 1m: after 2m"),
        pytest.param(60, 120, 0, "011111", ".ppFFF", id="for 2m on 1m: after 2m as well"),
        pytest.param(60, 120.001, 0, "011111", ".pppFF", id="a millisecond more: a tick more"),
        pytest.param(60, 1, 0, "0111", ".pFF", id="for shorter than the interval: the second tick"),
        pytest.param(7, 20, 0, "111111", "pppFFF", id="for 20s on 7s: after 21s"),
        pytest.param(30, 300, 0, "1" * 12, "p" * 10 + "FF", id="for 5m on 30s: after 10 ticks"),
        # one tick on which the element is missing resets `for`
        pytest.param(60, 120, 0, "110111", "pp.ppF", id="one gap starts the wait again"),
        pytest.param(60, 120, 0, "11011011", "pp.pp.pp", id="one tick short again and again: never fires"),
        pytest.param(60, 60, 0, "1101", "pF.p", id="one gap ends firing"),
        pytest.param(60, 0, 0, "1010", "F.F.", id="no for: fires again at once"),
        # keep_firing_for counts from the first false tick, and ends when that much has passed
        pytest.param(60, 0, 120, "110000", "FFFF..", id="keep 2m on 1m: ends at first-false + 2m"),
        pytest.param(60, 0, 90, "110000", "FFFF..", id="keep 90s on 1m: the same"),
        pytest.param(60, 0, 60, "1100", "FFF.", id="keep one interval: one tick"),
        pytest.param(60, 0, 1, "1100", "FFF.", id="keep less than an interval: one tick"),
        pytest.param(60, 0, 120, "1001000", "FFFFFF.", id="true again: the clock starts anew"),
        pytest.param(60, 60, 120, "11010000", "pFFFFF..", id="kept, then true: still firing, no new wait"),
        pytest.param(60, 60, 120, "11000111", "pFFF.pFF", id="kept and resolved, then a new wait"),
        pytest.param(60, 120, 300, "110000", "pp....", id="pending is not kept"),
        pytest.param(60, 120, 60, "1111000011", "ppFFF...pp", id="hold and keep together"),
        pytest.param(60, 300, 0, "0000", None, id="never returned"),
    ],
)
def test_one_alert(interval_s: float, hold_s: float, keep_s: float, returned: str, expected: str | None) -> None:
    found = states((A, returned), interval_s=interval_s, hold_s=hold_s, keep_s=keep_s)
    assert found == ({A: expected} if expected else {})


def test_alerts_of_one_rule_wait_each_for_itself() -> None:
    assert states((A, "11111"), (B, "01011"), hold_s=60) == {A: "pFFFF", B: ".p.pF"}


@pytest.mark.parametrize(
    ("limit", "courses", "expected"),
    [
        # pending and firing both count; one too many clears all state of the rule
        (2, {A: "11111", B: "01111", C: "00100"}, {A: "pF.pF", B: ".p.pF"}),
        (2, {A: "1111", B: "1111"}, {A: "pFFF", B: "pFFF"}),
        (1, {A: "1111", B: "1111"}, {}),
        (0, {A: "11", B: "11", C: "11"}, {A: "pF", B: "pF", C: "pF"}),
    ],
)
def test_limit(limit: int, courses: dict[Labels, str], expected: dict[Labels, str]) -> None:
    assert states(*courses.items(), hold_s=60, limit=limit) == expected


def test_a_kept_alert_counts_against_the_limit() -> None:
    assert states((A, "1100"), (B, "0010"), keep_s=300, limit=1) == {A: "FF.."}


def test_the_first_tick_in_a_state() -> None:
    history = (AlertState.INACTIVE, AlertState.PENDING, AlertState.FIRING, AlertState.FIRING)
    timeline = AlertTimeline(A, history, frozenset({1, 2, 3}), {1: 1.0, 2: 1.0, 3: 1.0})
    assert [timeline.first(state) for state in (AlertState.INACTIVE, AlertState.PENDING, AlertState.FIRING)] == [
        0,
        1,
        2,
    ]
    assert timeline.fires
    quiet = AlertTimeline(A, (AlertState.INACTIVE, AlertState.PENDING), frozenset({1}), {1: 1.0})
    assert quiet.first(AlertState.FIRING) is None
    assert not quiet.fires
