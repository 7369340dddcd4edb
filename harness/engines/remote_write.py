"""Prometheus remote write 1.0, encoded by hand because it is ten lines of protobuf and must be fast.

The message, from prometheus prompb/remote.proto and prompb/types.proto, with each field's tag byte::

    WriteRequest  { repeated TimeSeries timeseries = 1; }                             0x0a
    TimeSeries    { repeated Label labels = 1; repeated Sample samples = 2; }         0x0a, 0x12
    Label         { string name = 1; string value = 2; }                              0x0a, 0x12
    Sample        { double value = 1; int64 timestamp = 2; }                          0x09, 0x10
    Histogram     TimeSeries' histograms = 4; see :func:`_histogram`                  0x22

Timestamps from 1971 to 2109 are varints of six bytes, so all samples of a series have one size. The bytes of a series
without its values are made once per list of timestamps (series share them); the values are then laid in by eight
strided copies, one per byte of a double: no work in Python per sample, and every bit of a NaN is kept.
"""

from __future__ import annotations

import array
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache

import cramjam

from harness.engines.samples import Samples
from harness.series import Labels, NativeHistogram

REQUEST_BYTES = 8 << 20
"""Size of a request before compression: Prometheus refuses 32 MiB, and fewer, larger ones save little time."""

_CACHED_SAMPLES = 1 << 20
_LONGEST_SAMPLE = 22


def requests_of(samples: Iterable[Samples], request_bytes: int = REQUEST_BYTES) -> Iterator[bytes]:
    """The compressed bodies of the requests that write these series, in order.

    A series stands whole in one request, unless it alone is larger than ``request_bytes``. Raises ValueError if
    timestamps and values differ in number.
    """
    parts: list[bytes] = []
    size = 0
    for part in _timeseries(samples, request_bytes):
        if parts and size + len(part) > request_bytes:
            yield _compressed(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part)
    if parts:
        yield _compressed(parts)


def _compressed(parts: list[bytes]) -> bytes:
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def _timeseries(samples: Iterable[Samples], request_bytes: int) -> Iterator[bytes]:
    """Each series as field 1 of a WriteRequest."""
    templates = _Templates()
    most = max(1, request_bytes // _LONGEST_SAMPLE)
    for series in samples:
        times, values = series.timestamps_ms, series.values
        if len(times) != len(values):
            raise ValueError(f"{len(times)} timestamps but {len(values)} values in {series.labels}")
        labels = _labels(series.labels)
        for start in range(0, len(times), most):
            whole = len(times) <= most
            if values and isinstance(values[0], NativeHistogram):
                body = b"".join(map(_histogram, times[start : start + most], values[start : start + most]))
                yield b"\x0a" + varint(len(labels) + len(body)) + labels + body
                continue
            body = templates.fill(
                tuple(times if whole else times[start : start + most]),
                values if whole else values[start : start + most],
            )
            yield b"\x0a" + varint(len(labels) + len(body)) + labels + body


def _labels(labels: Labels) -> bytes:
    """The labels of a series, sorted; an empty value means that the label is absent, as in Prometheus."""
    return b"".join([_label(name, value) for name, value in sorted(labels) if value])


@lru_cache(maxsize=1 << 16)  # most labels of a write are those of other series
def _label(name: str, value: str) -> bytes:
    pair = _text(0x0A, name) + _text(0x12, value)
    return b"\x0a" + varint(len(pair)) + pair


def _text(tag: int, text: str) -> bytes:
    data = text.encode("utf-8")
    return bytes((tag,)) + varint(len(data)) + data


_CUSTOM_BOUNDS = -53
"""The schema of native histograms with bounds of their own (model/histogram, CustomBucketsSchema)."""


def _histogram(time: int, value: float) -> bytes:
    """A sample of a series of native histograms, as field 4 of a TimeSeries; a stale marker is one by its sum."""
    stamp = b"\x78" + varint(time)
    if not isinstance(value, NativeHistogram):
        body = b"\x11" + bytes(8) + b"\x19" + struct.pack("<d", value) + stamp
        return b"\x22" + varint(len(body)) + body
    span = b"\x10" + varint(len(value.counts))  # no offset: every bucket stands there, the empty ones too
    body = b"".join(
        (
            b"\x11" + struct.pack("<d", float(value)),
            b"\x19" + struct.pack("<d", value.total),
            b"\x20" + varint(_zigzag(_CUSTOM_BOUNDS)),
            b"\x5a" + varint(len(span)) + span,
            b"\x6a" + _doubles(value.counts),
            stamp,
            b"\x82\x01" + _doubles(value.bounds),
        )
    )
    return b"\x22" + varint(len(body)) + body


def _doubles(numbers: Sequence[float]) -> bytes:
    """A packed list of doubles, with its length."""
    data = struct.pack(f"<{len(numbers)}d", *numbers)
    return varint(len(data)) + data


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def varint(number: int) -> bytes:
    """Protobuf's variable-length integer; a negative one is taken as 64-bit two's complement."""
    number &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Templates:
    """The samples of a series as bytes, values still zero, for each list of timestamps seen.

    Keyed by the timestamps themselves, not by the list's identity: a caller may reuse a list for other times.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], list[tuple[int, bytes]]] = {}
        self._size = 0

    def fill(self, times: tuple[int, ...], values: Sequence[float]) -> bytes:
        runs = self._known.get(times)
        if runs is None:
            runs = _runs(times)
            if self._size > _CACHED_SAMPLES:
                self._known.clear()
                self._size = 0
            self._known[times] = runs
            self._size += len(times)
        doubles = array.array("d", values)
        if sys.byteorder == "big":
            doubles.byteswap()
        raw = doubles.tobytes()
        out = []
        start = 0
        for stride, template in runs:
            body = bytearray(template)
            end = start + 8 * (len(template) // stride)
            for byte in range(8):
                body[3 + byte :: stride] = raw[start + byte : end : 8]
            out.append(body)
            start = end
        return b"".join(out) if len(out) != 1 else bytes(out[0])


def _runs(times: tuple[int, ...]) -> list[tuple[int, bytes]]:
    """(bytes per sample, samples with value 0) for each stretch of timestamps whose varints are equally long."""
    if times and min(times) >= _SIX_BYTES[0] and max(times) < _SIX_BYTES[1]:
        return [(_SAMPLE_OF_SIX, _six_byte_run(times))]
    runs: list[tuple[int, bytearray]] = []
    for time in times:
        stamp = varint(time)
        sample = _sample_head(len(stamp)) + stamp
        if not runs or runs[-1][0] != len(sample):
            runs.append((len(sample), bytearray()))
        runs[-1][1].extend(sample)
    return [(stride, bytes(body)) for stride, body in runs]


def _sample_head(stamp_bytes: int) -> bytes:
    # field 2 of TimeSeries, its length, the value's tag, eight bytes of value, the timestamp's tag
    return bytes((0x12, 10 + stamp_bytes, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10))


_SIX_BYTES = (1 << 35, 1 << 42)
_SAMPLE_OF_SIX = 18


def _six_byte_run(times: tuple[int, ...]) -> bytes:
    """The usual run: each timestamp as three pairs of bytes from a table, laid in like the values."""
    table = _varint_pairs()
    body = bytearray((_sample_head(6) + bytes(6)) * len(times))
    pairs = (
        [table[time & 0x3FFF] for time in times],
        [table[time >> 14 & 0x3FFF] for time in times],
        [table[time >> 28] & 0x7FFF for time in times],  # the last byte does not announce another
    )
    for place, pair in enumerate(pairs):
        words = array.array("H", pair)
        if sys.byteorder == "big":
            words.byteswap()
        raw = words.tobytes()
        body[12 + 2 * place :: _SAMPLE_OF_SIX] = raw[0::2]
        body[13 + 2 * place :: _SAMPLE_OF_SIX] = raw[1::2]
    return bytes(body)


@cache
def _varint_pairs() -> list[int]:
    """For each 14-bit number two bytes of a varint that goes on, as a little-endian word."""
    return [number & 0x7F | 0x80 | (number >> 7 | 0x80) << 8 for number in range(1 << 14)]
