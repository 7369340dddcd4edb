"""docs/contracts.md against the loader: the fields that each accepts, which are needed, and that its examples load."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.contracts import load_contracts
from harness.errors import InputError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "contracts.md").read_text(encoding="utf-8")
TABLE = re.compile(r"^Of a (?P<of>[^\n:(]+?)(?: \([^)]*\))?:\n\n(?P<rows>(?:\|.*\n)+)", re.MULTILINE)
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

SERIES: dict[str, dict[str, Any]] = {
    "`gauge`": {"gauge": "g", "value": "x", "each": {"n": 2}, "present": "1"},
    "`counter`": {"counter": "c_total", "rate": "x", "each": {"n": 2}, "present": "1"},
    "`native_histogram`": {
        "native_histogram": "h", "rate": 1, "buckets": [1, 2], "quantile": {"q": "1/2", "at": "x"}, "each": {"n": 2},
        "present": "1",
    },
    "`histogram`": {
        "histogram": "h", "rate": 1, "buckets": [1, 2], "quantile": {"q": "1/2", "at": "x"}, "each": {"n": 2},
        "present": "1",
    },
}  # fmt: skip
WHOLE: dict[str, dict[str, Any]] = {
    **SERIES,
    "contract file": {"version": 1, "scrape_interval": "1m", "annotations": ["summary"], "contracts": []},
    "contract": {
        "alert": "A", "means": "m", "draft": True, "allow": {"reason": "r"}, "labels": {"a": "b"}, "always": False,
        "knob": {"name": "n", "range": [0, 10]}, "op": ">", "threshold": 1, "for": "1m", "keep_firing_for": "1m",
        "severity": "s", "identifies": {"a": "b"}, "annotations": [], "silenced_by": ["B"], "never_silenced_by": ["C"],
        "given": {"n": 1}, "signal": [{"gauge": "g", "value": "x"}], "scrape_interval": "15s", "situations": [],
        "when": {"days": ["mon..fri"]},
    },
    "`when`": {"days": ["sun"], "hours": "08-18", "dates": ["1..7"], "months": ["jan"], "zone": "UTC"},
    "knob": {"name": "n", "unit": "u", "range": [0, 10], "step": 1, "counts": "things"},
    "situation": {
        "name": "s", "expect": "fires", "alerts": [{}], "given": {"m": 1}, "knob": 1, "signal": [{"gauge": "g",
        "value": "x"}], "also": [{"gauge": "h", "value": "x"}], "lasts": "1m", "scrape_interval": "15s",
        "failed_scrapes": {"from": "1s", "to": "2s"}, "gap": {"from": "1s", "to": "2s"}, "restarts": ["1s"],
    },
}  # fmt: skip
"""One of each kind with every field set."""


def tables() -> dict[str, dict[str, bool]]:
    """Kind → field → whether the page says that it is needed."""
    found = {}
    for match in TABLE.finditer(PAGE):
        rows = [[cell.strip() for cell in row.strip("|\n").split("|")] for row in match["rows"].splitlines()[2:]]
        found[match["of"]] = {row[0].strip("`"): row[1] == "yes" for row in rows}
    return found


def file_with(kind: str, one: dict[str, Any]) -> dict[str, Any]:
    """A contract file in which `one` stands in the place of its kind."""
    if kind == "contract file":
        return one
    contract = {key: value for key, value in WHOLE["contract"].items() if key != "situations"}
    if kind == "contract":
        contract = one
    elif kind == "knob":
        contract["knob"] = one
    elif kind == "`when`":
        contract["when"] = one
    elif kind == "situation":
        contract["situations"] = [one]
    else:
        contract["signal"] = [one]
    return {"contracts": [contract]}


def load(folder: Path, document: dict[str, Any]) -> None:
    file = folder / "c.yml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    load_contracts([file])


def test_the_page_has_a_table_of_each_kind() -> None:
    assert set(tables()) == set(WHOLE)


@pytest.mark.parametrize("kind", WHOLE)
def test_fields_of_page_and_loader_are_the_same(kind: str, tmp_path: Path) -> None:
    load(tmp_path, file_with(kind, WHOLE[kind]))
    with pytest.raises(InputError, match="unknown field `nonsense`") as refused:
        load(tmp_path, file_with(kind, {**WHOLE[kind], "nonsense": 1}))
    accepted = (refused.value.hint or "").removeprefix("expected one of: ").split(", ")
    assert sorted(tables()[kind]) == sorted(accepted)
    assert sorted(WHOLE[kind]) == sorted(accepted)


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in WHOLE for field in WHOLE[kind]])
def test_needed_on_the_page_is_needed(kind: str, field: str, tmp_path: Path) -> None:
    less = {key: value for key, value in WHOLE[kind].items() if key != field}
    if field == "step":
        less.pop("counts")  # which goes with it
    if tables()[kind][field]:
        with pytest.raises(InputError):
            load(tmp_path, file_with(kind, less))
    else:
        load(tmp_path, file_with(kind, less))


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_load(example: str, tmp_path: Path) -> None:
    text = textwrap.dedent(example)
    if "contracts:" not in text:
        text = "contracts:\n" + textwrap.indent(text, "  ")
    file = tmp_path / "c.yml"
    file.write_text(text, encoding="utf-8")
    assert load_contracts([file])
