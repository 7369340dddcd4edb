"""Numbers that workers share, and the page that tells them; the client library is the oracle of the page."""

from __future__ import annotations

import os
import random
import time
from array import array
from collections.abc import Callable
from functools import partial

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from streaming.observability import ledger as module
from streaming.observability.business import BUSINESS_FAMILIES, STREAMS, BusinessMetrics
from streaming.observability.exposition import Exposition
from streaming.observability.ledger import Family, Kind, Ledger, LedgerFull

from tests.streaming.one_thread import in_one_thread

HITS = Family("hits_total", Kind.COUNTER, "Hits.", ("path",))
TIMES = Family("times_seconds", Kind.HISTOGRAM, "Times.", ("path",), (0.1, 1.0))
LEVEL = Family("level", Kind.LEVEL, "Level.")
STATE = Family("state", Kind.STATE, "State.")
FAMILIES = (HITS, TIMES, LEVEL, STATE)

Told = dict[tuple[str, tuple[str, ...]], list[float]]


def _told(ledger: Ledger) -> Told:
    return {(row.family.name, row.values): list(cells) for row, cells in ledger.rows()}


def _in_a_child(work: Callable[[], None]) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def _three_workers() -> Told:
    ledger = Ledger(FAMILIES, workers=3)

    def work(worker: int) -> None:
        sheet = ledger.sheet(worker)
        for number in range(worker + 1):  # rows in another order in each worker
            sheet.row(HITS, (f"/{number}",))
        sheet.cells[sheet.row(HITS, ("/0",))] += 10
        first = sheet.row(TIMES, ("/",))
        for cell in range(4):
            sheet.cells[first + cell] += worker + cell
        sheet.cells[sheet.row(LEVEL)] = worker

    for worker in range(3):
        _in_a_child(partial(work, worker))
    return _told(ledger)


def test_counters_and_histograms_of_workers_add_up() -> None:
    assert in_one_thread(_three_workers) == {
        ("hits_total", ("/0",)): [30],
        ("hits_total", ("/1",)): [0],
        ("hits_total", ("/2",)): [0],
        ("times_seconds", ("/",)): [3, 6, 9, 12],
        ("level", ()): [3],
    }


def _one_worker_after_another() -> Told:
    ledger = Ledger(FAMILIES, workers=2)

    def work() -> None:
        sheet = ledger.sheet(1)
        sheet.cells[sheet.row(HITS, ("/",))] += 1
        sheet.cells[sheet.row(LEVEL)] = 7

    _in_a_child(work)

    def follow() -> None:
        ledger.sheet(1).row(HITS, ("/new",))  # beside what the first one published, which this process has not read
        work()

    _in_a_child(follow)
    ledger.sheet(1).settle()
    return _told(ledger)


def test_the_place_of_a_dead_worker_is_taken_over() -> None:
    assert in_one_thread(_one_worker_after_another) == {
        ("hits_total", ("/",)): [2],
        ("hits_total", ("/new",)): [0],
        ("level", ()): [0],
    }, "counted on, and holding nothing"


@pytest.mark.parametrize(("fast", "slow"), [(0, 1), (1, 0)])
def test_the_newest_reading_of_shared_state_holds_whoever_wrote_last(fast: int, slow: int) -> None:
    ledger = Ledger(BUSINESS_FAMILIES, workers=2)
    new, old = BusinessMetrics(ledger.sheet(fast)), BusinessMetrics(ledger.sheet(slow))
    now_s = time.monotonic()
    new.set_work(streams=6, recordings=0, as_of_s=now_s)
    old.set_work(streams=5, recordings=0, as_of_s=now_s - 0.001)
    assert _told(ledger)[STREAMS.name, ()][0] == 6, "not 5, and never 11"
    new.set_work(streams=4, recordings=0, as_of_s=now_s - 0.5)
    assert _told(ledger)[STREAMS.name, ()][0] == 6, "nor does a thread that was overtaken"


@pytest.mark.parametrize("workers", [1, 2])
def test_state_that_nobody_could_read_for_long_is_left_out(workers: int) -> None:
    ledger = Ledger((STATE,), workers=workers, stale_after_s=60)
    sheet = ledger.sheet()
    first = sheet.row(STATE)
    assert _told(ledger) == {}, "never read"
    sheet.cells[first : first + 2] = _doubles(3, time.monotonic())
    assert _told(ledger)["state", ()][0] == 3
    sheet.cells[first : first + 2] = _doubles(3, time.monotonic() - 61)
    assert _told(ledger) == {}


def _doubles(*values: float) -> array[float]:
    return array("d", values)


def test_a_full_sheet_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CELLS", 3)
    ledger = Ledger(FAMILIES)
    for path in ("/a", "/b", "/c"):
        ledger.sheet().row(HITS, (path,))
    with pytest.raises(LedgerFull, match=r"hits_total\('/d',\): 3 series are there"):
        ledger.sheet().row(HITS, ("/d",))
    assert ledger.sheet().row(HITS, ("/b",)) == 1, "what is there goes on"


def test_the_page_says_what_the_client_library_says() -> None:
    """The same random observations in both; label values with all that must be escaped."""
    rolls = random.Random(11)
    registry = CollectorRegistry()
    bounds = (0.1, 1.0)
    hits = Counter("hits", "Hits.", ["path"], registry=registry)
    times = Histogram("times_seconds", "Times.", ["path"], buckets=bounds, registry=registry)
    level = Gauge("level", "Level.", registry=registry)
    ledger = Ledger((HITS, TIMES, LEVEL))
    sheet = ledger.sheet()
    for _ in range(500):
        path = rolls.choice(["/plain", 'quote"', "back\\slash", "new\nline", "ünïcode", ""])
        taken_s = rolls.choice([0.05, 0.1, 0.5, 1.0, 3.0])
        hits.labels(path).inc()
        times.labels(path).observe(taken_s)
        level.set(rolls.random())
        sheet.cells[sheet.row(HITS, (path,))] += 1
        first = sheet.row(TIMES, (path,))
        sheet.cells[first + sum(taken_s > bound for bound in bounds)] += 1
        sheet.cells[first + 3] += taken_s
    sheet.cells[sheet.row(LEVEL)] = level._value.get()
    assert _samples(Exposition(ledger).render()) == _samples(generate_latest(registry))


def _samples(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_help_is_escaped() -> None:
    family = Family("odd", Kind.LEVEL, "a\\b\nc")
    ledger = Ledger((family,))
    ledger.sheet().row(family)
    assert Exposition(ledger).render() == b"# HELP odd a\\\\b\\nc\n# TYPE odd gauge\nodd 0.0\n"
