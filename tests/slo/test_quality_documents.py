"""What is told of alert quality: JSON by its schema, the table, and the picture, of one small measurement."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest

from harness.engines.base import Engine
from harness.engines.process import ProcessEngine
from harness.report.quality.charts import FRAME, described, detection_svg, picture
from harness.report.quality.json import quality_json
from harness.report.quality.section import QualityReport
from harness.report.quality.terminal import quality_table, summary
from harness.report.section import section_of
from harness.report.terminal import console
from harness.slo.quality.results import ObjectiveQuality, QualityVerdict
from tests.slo.quality_worlds import PAGE, SLOW_PAGE, TICKET, at_ratios, compiled, measure, objective

ROOT = Path(__file__).resolve().parents[2]
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def engine(prometheus_path: Path) -> Iterator[Engine]:
    """Of this module's own, for every proof empties it."""
    with ProcessEngine(prometheus_path) as engine:
        yield engine


@pytest.fixture(scope="module")
def quality(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> ObjectiveQuality:
    one = replace(objective([PAGE, SLOW_PAGE, TICKET]), display_name='<b>"R&D"</b>')
    return measure(
        engine, tmp_path_factory.mktemp("rules"), one, compiled(one), at_ratios("0.2", "1", "5", "10", "100")
    )


@pytest.fixture(scope="module")
def broken(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> ObjectiveQuality:
    one = objective([PAGE])
    rules = compiled(one).replace("> 0.0144", "> 1.44")
    return measure(engine, tmp_path_factory.mktemp("rules"), one, rules, at_ratios("10", "100"))


def test_json_keeps_its_schema(quality: ObjectiveQuality, broken: ObjectiveQuality) -> None:
    schema = json.loads((ROOT / "docs" / "schema" / "slo-prove.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    both = QualityReport([quality, broken], "process", "3.5.3")
    document = json.loads(quality_json(both, [section_of(both)]))
    jsonschema.validate(document, schema)
    assert document["summary"] == {"as_meant": 2, "total": 3}
    reasons = [each["reason"] for one in document["objectives"] for s in one["severities"] for each in s["reasons"]]
    assert [finding["message"] for finding in document["findings"]] == reasons
    page = document["objectives"][0]["severities"][0]
    (outage,) = (incident for incident in page["incidents"] if incident["error_ratio"] == 1)
    assert outage["detection_s"]["closed_form"] == pytest.approx(51.84)
    assert outage["detection_s"]["measured"] in (60, 120)
    del document["objectives"][0]["severities"][0]["recall"]
    with pytest.raises(jsonschema.ValidationError, match="recall"):
        jsonschema.validate(document, schema)


def test_the_table_has_verdicts_thresholds_and_reasons(quality: ObjectiveQuality, broken: ObjectiveQuality) -> None:
    out = io.StringIO()
    quality_table([quality, broken], console(out))
    text = out.getvalue()
    assert re.search(r"requests +page +1h/5m × 14\.4, 6h/30m × 6 .* 0 of 4 .* as meant", text)
    assert "1h/5m × 14.4 never fires, even if everything fails" in text
    assert broken.severities[0].verdict is QualityVerdict.NEVER_FIRES
    assert summary([quality, broken], "process", "3.5.3").startswith("2 of 3 as meant: 7 incidents, ")


def test_the_picture_is_svg_with_words(quality: ObjectiveQuality) -> None:
    svg = detection_svg(quality, "one")
    root = ET.fromstring(svg)
    assert root.tag == f"{_SVG}svg"
    title, desc = root.find(f"{_SVG}title"), root.find(f"{_SVG}desc")
    assert title is not None
    assert desc is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert title.text == 'Detection time over error ratio: <b>"R&D"</b>'
    assert desc.text == described(quality)
    assert "script" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_every_measured_point_is_drawn_on_its_curve(quality: ObjectiveQuality) -> None:
    """Within a tick: on the logarithmic scale that is most at the lowest times, and less than 20 pixels anywhere."""
    root = ET.fromstring(detection_svg(quality))
    points = root.findall(f"{_SVG}circle")[1:]  # the first one is the legend's
    assert len(points) == len(quality.severities[0].constant())
    path = next(p for p in root.findall(f"{_SVG}path") if p.get("class") == "sq-s0" and "L" in (p.get("d") or ""))
    line = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d") or "")]
    drawn = 0
    for point, outcome in zip(points, quality.severities[0].constant(), strict=True):
        x, y = float(point.get("cx") or 0), float(point.get("cy") or 0)
        assert FRAME.left <= x <= FRAME.right
        assert 0 < y <= FRAME.bottom
        if outcome.detected_ms is None:
            continue
        drawn += 1
        assert min(abs(y - b) for a, b in line if abs(a - x) <= 2) < 20
    assert drawn == 4


def test_several_objectives_stand_under_one_another(quality: ObjectiveQuality, broken: ObjectiveQuality) -> None:
    root = ET.fromstring(picture([quality, broken]))
    inner = root.findall(f"{_SVG}svg")
    assert [one.get("y") for one in inner] == ["0", str(FRAME.height)]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) == 4
    assert "page: never fires." in described(broken)


def test_precision_and_recall_name_their_denominators(quality: ObjectiveQuality) -> None:
    page = quality.severities[0]
    assert (page.needed, page.missed, page.alerts, page.false_alerts) == (4, 0, 4, 0)
    blind = replace(page, outcomes=tuple(replace(o, detected_ms=None, alerts=0) for o in page.outcomes))
    assert blind.recall == 0
    assert blind.precision is None
    noisy = replace(page, outcomes=tuple(replace(o, alerts=2, false_alerts=1) for o in page.outcomes))
    assert noisy.precision == Fraction(1, 2)
    assert noisy.recall == 1
