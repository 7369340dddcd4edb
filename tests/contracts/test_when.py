# ruff: noqa: E501 (a table: one `when`, one line)
"""`when:` as loaded: which moments lie inside, by calendars and clocks that can be looked up, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.contracts.when import Moment, When
from harness.errors import InputError

CONTRACT = """\
contracts:
  - alert: A
    means: m
    when: {when}
    knob: {{name: n, range: [0, 10]}}
    op: ">"
    threshold: 5
    signal: [{{gauge: g, value: x}}]
"""


def load(folder: Path, when: str) -> When:
    file = folder / "c.yml"
    file.write_text(CONTRACT.format(when=when), encoding="utf-8")
    found = load_contracts([file])[0].when
    assert found is not None
    return found


def holds(when: When, utc: str) -> bool:
    at = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    return when.holds(Moment.of(round(at.timestamp() * 1000), when.tz))


@pytest.mark.parametrize(
    ("when", "inside", "outside"),
    [
        ("{days: [mon..fri]}", ["2024-05-06 00:00", "2024-05-10 23:59:59"], ["2024-05-11 00:00", "2024-05-12 23:59"]),
        ("{days: [sun]}", ["2024-05-12 12:00"], ["2024-05-13 00:00", "2024-05-11 23:59"]),
        ("{days: [fri..mon, Wednesday]}", ["2024-05-13 12:00", "2024-05-15 12:00"], ["2024-05-14 12:00"]),
        ('{hours: "08-18"}', ["2024-05-06 08:00", "2024-05-06 17:59:59"], ["2024-05-06 07:59:59", "2024-05-06 18:00"]),
        ('{hours: "22-06"}', ["2024-05-06 22:00", "2024-05-06 05:59"], ["2024-05-06 06:00", "2024-05-06 21:59"]),
        ('{hours: ["8:30-12", "13-24"]}', ["2024-05-06 08:30", "2024-05-06 23:59"], ["2024-05-06 12:00", "2024-05-06 00:00"]),
        ("{dates: [1..7, 31]}", ["2024-05-07 23:59", "2024-05-31 00:00"], ["2024-05-08 00:00", "2024-05-30 23:59"]),
        ("{months: [nov..feb]}", ["2024-02-29 23:59", "2023-11-01 00:00"], ["2024-03-01 00:00", "2023-10-31 23:59"]),
        ("{months: may, days: fri, dates: 13}", ["2022-05-13 12:00"], ["2022-05-06 12:00", "2023-05-13 12:00"]),
        # Berlin puts its clock forward at 01:00 UTC on 2024-03-31 and back at 01:00 UTC on 2024-10-27.
        ('{hours: "08-18", zone: Europe/Berlin}', ["2024-03-30 07:00", "2024-03-31 06:00"], ["2024-03-30 17:00", "2024-03-31 16:00"]),
        ('{hours: "02-03", zone: Europe/Berlin}', ["2024-03-30 01:30", "2024-10-27 00:30", "2024-10-27 01:30"], ["2024-03-31 00:59", "2024-03-31 01:00"]),
        ("{days: [mon], zone: Asia/Tokyo}", ["2024-05-05 15:00"], ["2024-05-06 15:00", "2024-05-05 14:59"]),
    ],
)  # fmt: skip
def test_what_lies_inside(when: str, inside: list[str], outside: list[str], tmp_path: Path) -> None:
    found = load(tmp_path, when)
    assert [at for at in inside if not holds(found, at)] == []
    assert [at for at in outside if holds(found, at)] == []


@pytest.mark.parametrize(
    ("when", "message", "marked"),
    [
        ("{days: [mo]}", "`mo` is none of sun, mon", "mo"),
        ("{days: [mon-fri]}", "`mon-fri` is none of", "mon-fri"),
        ("{days: []}", "`days` is empty", "days"),
        ('{hours: "8"}', "is no stretch of hours", '"8"'),
        ('{hours: "08-25"}', "is no stretch of hours", '"08-25"'),
        ('{hours: "08:60-12"}', "is no stretch of hours", '"08:60-12"'),
        ('{hours: "08-08"}', "is no stretch of hours", '"08-08"'),
        ("{dates: [0]}", "`0` is no day of a month", "0"),
        ("{dates: [1..32]}", "`32` is no day of a month", "1..32"),
        ("{dates: [1e99999999]}", "`1e99999999` is no day of a month", "1e99999999"),
        ("{months: [13]}", "`13` is none of jan", "13"),
        ("{days: [mon], zone: Europe/Berlinn}", "no time zone `Europe/Berlinn`", "Europe/Berlinn"),
        ("{days: [mon], zone: ../../etc/passwd}", "no time zone", "../../etc/passwd"),
        ("{zone: UTC}", "neither days nor hours, dates or months", "{zone: UTC}"),
        ("{day: [mon]}", "unknown field `day`", "day"),
    ],
)
def test_what_is_refused(when: str, message: str, marked: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message.replace("[", r"\[")) as refused:
        load(tmp_path, when)
    span = refused.value.span
    assert span is not None
    assert span.source_line[span.column - 1 :].startswith(marked)
