"""The failed assertions that `promtool test rules` prints, read back.

promtool prints them for people only. Label values in them are quoted as Go's %q does, so a tokenizer, not a
regular expression, reads them: a value may hold quotes, braces, commas, or the very words between which it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.engines.gostrings import go_unquote
from harness.errors import EngineError
from harness.units import parse_duration_ms

# prometheus cmd/promtool/unittest.go prints, for each failed assertion on alerts,
#
#     name: GROUP,                     only if the group has a name; names are printed raw
#     alertname: NAME, time: 5m, ⏎
#         exp:[
#             0:
#               Labels:{alertname="NAME", i="z\""}
#               Annotations:{summary="no\nyes"}
#             ], ⏎
#         got:[]

_FAILED = "  FAILED:\n"
_GROUP = re.compile(r"    name: (.*?),\n(?=    (?:alertname|expr): )", re.DOTALL)
_ALERT = re.compile(r"    alertname: (.*?), time: (\w+), ?\n        exp:(?=\[)", re.DOTALL)

Alert = tuple[dict[str, str], dict[str, str]]
"""Labels and annotations of an alert in promtool's output."""


@dataclass(frozen=True, slots=True)
class AlertFailure:
    """A failed `alert_rule_test`: the alerts that the test expects at a time, and those that fired."""

    group: str
    """The test group's name, empty if it has none. promtool does not tell the file."""
    alertname: str
    time_ms: int
    expected: tuple[Alert, ...]
    got: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed assertions of a run; ``other`` holds, as text, whatever is no alert assertion."""

    alerts: tuple[AlertFailure, ...]
    other: tuple[str, ...]


def parse_failures(stderr: str) -> Failures:
    """Read the standard error of `promtool test rules` (2.53 to 3.x, without ``--diff``).

    Raises EngineError if an assertion on alerts does not read as above.
    """
    alerts: list[AlertFailure] = []
    other: list[str] = []
    at = 0
    group = ""
    while at < len(stderr):
        if stderr.startswith(_FAILED, at):
            at += len(_FAILED)
            group = ""
        elif named := _GROUP.match(stderr, at):
            group = named[1]
            at = named.end()
        elif header := _ALERT.match(stderr, at):
            reader = _FailureReader(stderr, header.end())
            try:
                time_ms = parse_duration_ms(header[2])
                expected = reader.alerts()
                reader.skip_space()
                reader.take(",")
                reader.skip_space()
                reader.take("got:")
                got = reader.alerts()
            except ValueError as err:
                raise EngineError(
                    f"cannot read promtool's report of alert `{header[1]}`: {err}",
                    hint="this version of promtool prints failures in another way; please report it",
                ) from err
            alerts.append(AlertFailure(group, header[1], time_ms, expected, got))
            at = reader.at + (1 if stderr.startswith("\n", reader.at) else 0)
            group = ""
        else:
            end = stderr.find("\n", at)
            end = len(stderr) if end < 0 else end + 1
            line = stderr[at:end].rstrip("\n")
            if line.startswith("        ") and other:
                other[-1] += "\n" + line  # the exp: and got: of an expression
            elif line.strip():
                other.append((f"{group}: " if group else "") + line.strip())
                group = ""
            at = end
    return Failures(tuple(alerts), tuple(other))


class _FailureReader:
    """Reads ``[0: Labels:{…} Annotations:{…}, 1: …]`` from a position; ValueError says what does not fit."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def take(self, expected: str) -> None:
        if not self.text.startswith(expected, self.at):
            found = self.text[self.at : self.at + 20]
            raise ValueError(f"expected {expected!r} at offset {self.at}, found {found!r}")
        self.at += len(expected)

    def looking_at(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \n":
            self.at += 1

    def alerts(self) -> tuple[Alert, ...]:
        found: list[Alert] = []
        self.take("[")
        self.skip_space()
        while not self.looking_at("]"):
            self.take(f"{len(found)}:")
            self.skip_space()
            self.take("Labels:")
            labels = self.pairs()
            self.skip_space()
            self.take("Annotations:")
            found.append((labels, self.pairs()))
            if self.looking_at(","):
                self.at += 1
            self.skip_space()
        self.take("]")
        return tuple(found)

    def pairs(self) -> dict[str, str]:
        pairs: dict[str, str] = {}
        self.take("{")
        while not self.looking_at("}"):
            if pairs:
                self.take(", ")
            # 3.x quotes names that are not of the old alphabet, 2.x never does.
            if self.looking_at('"'):
                name = self.quoted()
                self.take("=")
            else:
                end = self.text.find('="', self.at)
                if end < 0:
                    raise ValueError(f'expected name="value" at offset {self.at}')
                name = self.text[self.at : end]
                self.at = end + 1
            pairs[name] = self.quoted()
        self.take("}")
        return pairs

    def quoted(self) -> str:
        start = self.at
        self.take('"')
        while not self.looking_at('"'):
            if self.at >= len(self.text) or self.text[self.at] == "\n":
                raise ValueError(f"a string without end at offset {start}")
            self.at += 2 if self.text[self.at] == "\\" else 1
        self.at += 1
        return go_unquote(self.text[start : self.at])
