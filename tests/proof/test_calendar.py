# ruff: noqa: E501 (a table: one rule, one line)
"""Rules that read the calendar, on a real Prometheus: each against what its contract says of the time, with what must
come out worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engines.base import Engine
from harness.proof import AlertResult, Verdict
from tests.proof.proving import prove_files

EXACT, SITUATION = Verdict.EXACT, Verdict.WRONG_SITUATION


@dataclass(frozen=True, slots=True)
class Case:
    """A rule over one gauge, `load > 5` being what is meant, when it is meant, and what must come out."""

    name: str
    expr: str
    when: str = ""
    verdict: Verdict = EXACT
    says: tuple[str, ...] = ()
    """Messages of its findings, all of them."""
    confirmed: bool | None = True
    before: str = ""
    hold: str = "2m"
    interval: str = "1m"
    signal: str = 'gauge: load{job="j"}\n        value: x'
    situations: str = ""

    def write(self, folder: Path) -> tuple[Path, Path]:
        rules, contracts = folder / "rules.yml", folder / "contracts.yml"
        before = "".join(f"      - {line}\n" for line in self.before.splitlines())
        rules.write_text(
            f"groups:\n  - name: g\n    interval: {self.interval}\n    rules:\n{before}"
            f"      - alert: Load\n        expr: {self.expr}\n        for: {self.hold}\n",
            encoding="utf-8",
        )
        when = f"    when: {{{self.when}}}\n" if self.when else ""
        contracts.write_text(
            f"scrape_interval: 1m\ncontracts:\n  - alert: Load\n    means: m\n{when}"
            "    knob: {name: load, range: [0, 10], step: 1, counts: things}\n    op: '>'\n    threshold: 5\n"
            f"    for: {self.hold}\n    identifies: {{job: j}}\n    signal:\n      - {self.signal}\n{self.situations}",
            encoding="utf-8",
        )
        return rules, contracts


LONDON = """\
{record: summer, expr: "(vector(1) and (month() > 3 and month() < 10)) or (vector(1) and (month() == 3 and (day_of_month() - day_of_week()) >= 25) and absent((day_of_month() >= 25) and (day_of_week() == 0))) or (vector(1) and (month() == 10 and (day_of_month() - day_of_week()) < 25) and absent((day_of_month() >= 25) and (day_of_week() == 0))) or (vector(1) and ((month() == 10 and hour() < 1) or (month() == 3 and hour() > 0)) and ((day_of_month() >= 25) and (day_of_week() == 0))) or vector(0)"}
{record: london, expr: time() + 3600 * summer}"""
"""Summer time as rule files of many teams compute it."""

CASES = [
    # What a contract without `when` says of each function.
    Case("weekends left out", "load > 5 and on () day_of_week() % 6 != 0", "", SITUATION, ("stays quiet on Saturday and Sunday",)),
    Case("weekends left out, as a factor", "load * on () group_left () (day_of_week() % 6 > bool 0) > 5", "", SITUATION, ("stays quiet on Saturday and Sunday",)),
    Case("nights left out", "load > 5 and on () (hour() >= 8 < 18)", "", SITUATION, ("stays quiet from 18:00 to 08:00",)),
    Case("half of every hour", "load > 5 and on () minute() < 30", "", SITUATION, (), hold="0s"),
    Case("the first week of the month", "load > 5 and on () day_of_month() <= 7", "", SITUATION, ("stays quiet on days 8 to 31 of the month",)),
    Case("not in winter", "load > 5 unless on () (month() < 3 or month() == 12)", "", SITUATION, ("stays quiet in December to February",), confirmed=None),
    Case("not in the last days of the year", "load > 5 unless on () day_of_year() > 359", "", SITUATION, (), ),
    Case("not on the last day of a month", "load > 5 unless on () day_of_month() == days_in_month()", "", SITUATION, ()),
    Case("by the second of the day", "load > 5 and on () vector(time() % 86400) >= 43200", "", SITUATION, ("stays quiet from 00:00 to 12:00",)),
    Case("by the hour of the sample", "load > 5 and hour(timestamp(load)) >= 12", "", SITUATION, (), hold="0s"),
    Case("another threshold at night", "load > on () group_left () (5 + 3 * (hour() >= bool 18))", "", SITUATION, ("has another threshold from 18:00 to 00:00",)),
    Case("whatever the load at night", "load > 5 or load and on () hour() >= 22", "", SITUATION, ("fires from 22:00 to 00:00 wherever the knob stands",)),
    Case("always true", "load > 5 and on () (day_of_week() != 0 or day_of_week() != 6)"),
    Case("never true", "load > 5 and on () day_of_week() == 7", "", Verdict.NEVER_FIRES, ("stays quiet at every load from 0 to 10, even at 10",), None),
    Case("since long", "load > 5 and on () vector(time()) > 1e8", confirmed=None),
    Case("through a recording", "load > 5 and on () weekday", "", SITUATION, ("stays quiet on Saturday and Sunday",), before="{record: weekday, expr: day_of_week() > 0 < 6}"),
    # With `when`.
    Case("working days", "load > 5 and on () (day_of_week() > 0 < 6)", "days: [mon..fri]"),
    Case("Sunday is 0, not 7", "load > 5 and on () (day_of_week() < 6)", "days: [mon..fri]", SITUATION, ("fires on Sunday",)),
    Case("Monday is 1, not 0", "load > 5 and on () (day_of_week() < 5)", "days: [mon..fri]", SITUATION, ("fires on Sunday", "stays quiet on Friday")),
    Case("office hours", "load > 5 and on () (hour() >= 8 < 18)", 'hours: "08-18"'),
    Case("office hours, an hour late", "load > 5 and on () (hour() > 8 < 18)", 'hours: "08-18"', SITUATION, ("stays quiet from 08:00 to 09:00",)),
    Case("office hours, an hour more", "load > 5 and on () (hour() >= 8 <= 18)", 'hours: "08-18"', SITUATION, ("fires from 18:00 to 19:00",)),
    Case("nights", "load > 5 unless on () (hour() >= 6 < 22)", 'hours: "22-06"'),
    Case("two stretches, to the minute", "load > 5 and on () (vector(time() % 86400) >= 30600 < 43200 or vector(time() % 86400) >= 46800 < 63000)", 'hours: ["08:30-12", "13-17:30"]'),
    Case("to the minute, missed by one", "load > 5 and on () (vector(time() % 86400) >= 30660 < 43200)", 'hours: "08:30-12"', SITUATION, ("stays quiet from 08:30 to 08:31",)),
    Case("working days and office hours", "load > 5 and on () (hour() >= 8 < 18) and on () (day_of_week() > 0 < 6)", 'days: [mon..fri], hours: "08-18"'),
    Case("no calendar in the rule", "load > 5", 'days: [mon..fri], hours: "08-18"', SITUATION, ("fires on Saturday and Sunday, and from 18:00 to 08:00",)),
    Case("first days", "load > 5 and on () day_of_month() <= 7", "dates: [1..7]"),
    Case("the first Monday", "load > 5 and on () day_of_month() <= 7 and on () day_of_week() == 1", "dates: [1..7], days: [mon]"),
    Case("month ends", "load > 5 and on () day_of_month() >= 29", "dates: [29..31]", confirmed=None),
    Case("month ends, from the 28th", "load > 5 and on () day_of_month() >= 28", "dates: [29..31]", SITUATION, ("fires on day 28 of the month",), confirmed=None),
    Case("a quarter", "load > 5 and on () month() <= 3", "months: [jan..mar]"),
    Case("over the turn of the year", "load > 5 and on () (month() >= 11 or month() <= 2)", "months: [nov..feb]"),
    Case("a zone without summer time", "load > 5 and on () (hour() >= 2 < 12)", 'hours: "07:30-17:30", zone: Asia/Kolkata', EXACT),
    Case("UTC for a zone", "load > 5 and on () (hour() >= 8 < 18)", 'hours: "08-18", zone: Asia/Kolkata', SITUATION, ("fires from 18:00 to 23:30 (Asia/Kolkata)", "stays quiet from 08:00 to 13:30 (Asia/Kolkata)")),
    Case("winter time all the year", "load > 5 and on () (hour() >= 7 < 17)", 'hours: "08-18", zone: Europe/Berlin', SITUATION, ("fires at times from 18:00 to 19:00 in March to October (Europe/Berlin)", "stays quiet at times from 08:00 to 09:00 in March to October (Europe/Berlin)")),
    Case("summer time, computed", "load > 5 and on () (hour(london) >= 8 < 18)", 'hours: "08-18", zone: Europe/London', EXACT, before=LONDON),
    Case("summer time, of the wrong zone", "load > 5 and on () (hour(london) >= 8 < 18)", 'hours: "08-18", zone: Europe/Berlin', SITUATION, ("fires from 18:00 to 19:00 (Europe/Berlin)", "stays quiet from 08:00 to 09:00 (Europe/Berlin)"), before=LONDON),
    # What is measured beside it, is measured where the contract applies.
    Case("another hold", "load > 5 and on () (day_of_week() > 0 < 6)", "days: [mon..fri]", hold="30m"),
    Case("a wrong threshold on the right days", "load > 6 and on () (day_of_week() > 0 < 6)", "days: [mon..fri]", Verdict.OFF_THRESHOLD, ("fires 1 too late",)),
    Case("a situation", "load > 5 and on () (day_of_week() > 0 < 6)", "days: [mon..fri]",
         situations="    situations:\n      - {name: up and down, expect: quiet, knob: {0s: 0, 5m: 9, 6m: 0}}\n"),
    Case("an age on working days", "time() - load > 5 and on () (day_of_week() > 0 < 6)", "days: [mon..fri]", signal='gauge: load{job="j"}\n        value: now - x'),
    Case("a window over the counter", "rate(load_total[5m]) > 5 and on () (hour() >= 8 < 18)", 'hours: "08-18"', signal='counter: load_total{job="j"}\n        rate: x'),
    # What cannot be measured is named.
    Case("since last year", "load > 5 and on () vector(time()) > 1.2e9", "", Verdict.UNSUPPORTED, ("`vector(time()) > 1.2e9` changes once and for all, which no slot and no `when` can say",), None),
    Case("in one year", "load > 5 and on () year() == 2010", "", Verdict.UNSUPPORTED, ("`year() == 2010` changes once and for all, which no slot and no `when` can say",), None),
    Case("with the second of the day", "load > on () group_left () vector(time() % 86400)", "", Verdict.UNSUPPORTED, ("`vector(time() % 86400)` is another number in more than 400 phases of the calendar",), None),
    Case("a hold longer than the hours", "load > 5 and on () (hour() == 3)", 'hours: "03-04"', Verdict.UNSUPPORTED, (), None, hold="2h"),
]  # fmt: skip


def prove(case: Case, folder: Path, engine: Engine, promtool: Path) -> AlertResult:
    (result,) = prove_files(*case.write(folder), engine, promtool)
    return result


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rules_that_read_the_calendar(case: Case, tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    result = prove(case, tmp_path, module_engine, promtool_path)
    told = [finding.message for finding in result.findings]
    assert (result.verdict, told) == (case.verdict, list(case.says) if case.says or case.verdict is EXACT else told)
    assert result.confirmed is case.confirmed, (result.notes, result.confirmed_reason)
    if result.confirmed is None and result.measured.cases:
        assert result.confirmed_reason.startswith("promtool's time begins on Thursday 1970-01-01")
        assert "labels and annotations are not checked, for promtool renders them" in result.notes
