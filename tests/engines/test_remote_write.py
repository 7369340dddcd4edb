"""The encoding of remote write, against a decoder written from the .proto files."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines import STALE, Engine, Samples, make_labels
from harness.engines.remote_write import requests_of, varint


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def of_bits(number: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", number))[0])


doubles = st.one_of(
    st.integers(0, 2**64 - 1).map(of_bits),
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, STALE, 5e-324, -5e-324, 2.2250738585072014e-308, 0.1]),
)


def fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message; fixed64 as its bytes."""
    found: list[tuple[int, int | bytes]] = []
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            found.append((tag >> 3, number()))
        elif tag & 7 == 1:
            found.append((tag >> 3, message[at : at + 8]))
            at += 8
        else:
            assert tag & 7 == 2
            size = number()
            found.append((tag >> 3, message[at : at + size]))
            at += size
        assert at <= len(message)
    return found


def decode_series(message: bytes) -> tuple[tuple[tuple[str, str], ...], list[tuple[int, int]]]:
    """Labels and (timestamp, bits of the value) of a prompb.TimeSeries."""
    labels, samples = [], []
    for field, content in fields(message):
        assert isinstance(content, bytes)
        inner = dict(fields(content))
        if field == 1:
            labels.append((bytes(inner[1]).decode(), bytes(inner[2]).decode()))
        else:
            stamp = int(inner.get(2, 0))
            stamp -= (stamp >> 63) << 64
            samples.append((stamp, int.from_bytes(bytes(inner.get(1, bytes(8))), "little")))
    return tuple(labels), samples


def decode(bodies: list[bytes]) -> list[tuple[tuple[tuple[str, str], ...], list[tuple[int, int]]]]:
    found = []
    for body in bodies:
        for field, series in fields(bytes(cramjam.snappy.decompress_raw(body))):
            assert field == 1
            found.append(decode_series(bytes(series)))
    return found


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), doubles), max_size=30))
def test_any_timestamp_and_any_bits_survive(points: list[tuple[int, float]]) -> None:
    labels = make_labels("m", job="a")
    times, values = [t for t, _ in points], [v for _, v in points]
    decoded = decode(list(requests_of([Samples(labels, times, values)])))
    expected = [(labels, [(t, bits(v)) for t, v in points])] if points else []
    assert decoded == expected


@given(st.lists(st.integers(2**35 - 2, 2**35 + 2) | st.integers(2**42 - 2, 2**42 + 2), min_size=1, max_size=8))
def test_where_varints_change_their_length(times: list[int]) -> None:
    ((_, samples),) = decode(list(requests_of([Samples((), times, [1.0] * len(times))])))
    assert [t for t, _ in samples] == times


@given(st.integers(0, 2**64 - 1))
def test_varint(number: int) -> None:
    encoded = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == number
    assert [byte >= 0x80 for byte in encoded] == [True] * (len(encoded) - 1) + [False]


def test_a_list_of_timestamps_that_is_used_again_for_other_times() -> None:
    times = [1_000_000_000_000]

    def series() -> Iterator[Samples]:
        for _ in range(3):
            times[0] += 1000
            yield Samples(make_labels("m"), times, [1.0])

    stamps = [samples[0][0] for _, samples in decode(list(requests_of(series())))]
    assert stamps == [1_000_000_001_000, 1_000_000_002_000, 1_000_000_003_000]


def test_labels_are_sorted_and_empty_ones_absent() -> None:
    ((labels, _),) = decode(list(requests_of([Samples((("z", "é😀"), ("a", ""), ("__name__", "m")), [1], [1.0])])))
    assert labels == (("__name__", "m"), ("z", "é😀"))


def test_ranges_integers_and_tuples_are_sequences_too() -> None:
    ((_, samples),) = decode(list(requests_of([Samples(make_labels("m"), range(10, 40, 10), (1, 2, 3))])))
    assert samples == [(10, bits(1.0)), (20, bits(2.0)), (30, bits(3.0))]


def test_requests_are_split_and_nothing_is_lost() -> None:
    times = list(range(1_700_000_000_000, 1_700_000_000_000 + 500))
    series = [Samples(make_labels("m", i=f"{i:03}"), times, [float(i)] * 500) for i in range(40)]
    bodies = list(requests_of(series, request_bytes=4000))
    assert all(len(bytes(cramjam.snappy.decompress_raw(body))) <= 4000 + 60 for body in bodies)
    merged: dict[object, list[tuple[int, int]]] = {}
    for labels, samples in decode(bodies):
        merged.setdefault(labels, []).extend(samples)
    assert merged == {s.labels: [(t, bits(v)) for t, v in zip(times, s.values, strict=True)] for s in series}


def test_nothing_to_write_is_no_request() -> None:
    assert list(requests_of([])) == []
    assert list(requests_of([Samples(make_labels("m"), [], [])])) == []


def test_as_many_values_as_timestamps() -> None:
    with pytest.raises(ValueError, match=r"2 timestamps but 1 values"):
        list(requests_of([Samples(make_labels("m"), [1, 2], [1.0])]))


def remote_read(engine: Engine, name: str, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """(timestamp, bits) as Prometheus stores them: its JSON shows neither the bits of a NaN nor stale markers."""

    def message(field: int, content: bytes) -> bytes:
        return bytes((field << 3 | 2,)) + varint(len(content)) + content

    matcher = message(2, b"__name__") + message(3, name.encode())
    query = b"\x08" + varint(start_ms) + b"\x10" + varint(end_ms) + message(3, matcher)
    body = bytes(cramjam.snappy.compress_raw(message(1, query)))
    answer = engine._http("POST", "/api/v1/read", data=body, headers={"Content-Encoding": "snappy"})
    assert answer.status_code == 200, answer.text
    ((_, result),) = fields(bytes(cramjam.snappy.decompress_raw(answer.content)))
    samples: list[tuple[int, int]] = []
    for _, series in fields(bytes(result)):
        samples.extend(decode_series(bytes(series))[1])
    return samples


_written = [0]


@settings(max_examples=25, deadline=None)
@given(st.lists(doubles, min_size=1, max_size=200))
def test_prometheus_stores_every_bit(shared_engine: Engine, values: list[float]) -> None:
    _written[0] += 1
    name = f"every_bit_{_written[0]}"
    times = [1_500_000_000_000 + 15_000 * i for i in range(len(values))]
    shared_engine.write([Samples(make_labels(name), times, values)])
    stored = remote_read(shared_engine, name, times[0], times[-1])
    # The answer leaves out fields that equal zero, and so -0; that it is stored is shown in test_queries.
    assert stored == [(t, bits(v + 0.0) if v == 0 else bits(v)) for t, v in zip(times, values, strict=True)]
