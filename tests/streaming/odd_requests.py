"""Requests that no honest client sends, as bytes: every kind of thing that a stranger can get wrong on purpose."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.streaming.streaming_server import FAULTS_TOKEN, WEBHOOK_TOKEN

_WEBHOOK = f"Authorization: Bearer {WEBHOOK_TOKEN}"
_FAULTS = f"Authorization: Bearer {FAULTS_TOKEN}"
CAMERA = b'{"camera_id":"gate","name":"gate"}'


@dataclass(frozen=True, slots=True)
class Target:
    """A request that takes JSON, what is right for it, and the header that it needs."""

    method: str
    path: str
    right: Mapping[str, object]
    header: str = ""


TARGETS = (
    Target("POST", "/api/cameras", {"camera_id": "odd", "name": "odd"}),
    Target("POST", "/api/streams", {"camera_id": "gate"}),
    Target("POST", "/api/recordings", {"stream_id": "none"}),
    Target(
        "POST",
        "/api/lpr/events",
        {"event_id": "odd", "camera_id": "gate", "plate": "X 1", "seen_at": "2026-01-02T03:04:05Z"},
        _WEBHOOK,
    ),
    Target(
        "PUT",
        "/faults",
        {"error_ratio": 0, "latency_s": 0, "latency_ratio": 0, "recording_failure_ratio": 0, "seed": 0},
        _FAULTS,
    ),
)
# As JSON texts, for most of them no encoder would write.
VALUES = (
    "NaN",
    "-Infinity",
    "1e999",
    r'"\ud800"',
    r'"x\udfff\ud800"',
    r'"\u0000"',
    r'"a\u0000b"',
    "1" * 400,
    "1" * 5000,
    "-0.0",
    "[NaN]",
    r'{"\ud800": 1e999}',
    '"' + "x" * 5000 + '"',
    r'"\n\u2028\u202e"',
)
MOMENTS = (
    '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"',
    '"2026-01-02T03:04:05+99:99"',
    "253402300800",
    "-1e17",
    "1e300",
)
BODIES = (
    b"",
    b"null",
    b"[]",
    b"NaN",
    b'"\\ud800"',
    b"{",
    b"{}}",
    b'{"\\ud800": 1}',
    b'{"\\u0000": NaN}',
    b'{"x": 1e999}',
    b'{"x": ' + b"9" * 5000 + b"}",
    b"\xff\xfe\x00",
    b'{"name": "\xed\xa0\x80"}',
    b'\xef\xbb\xbf{"camera_id": "gate"}',
    '{"camera_id": "gate"}'.encode("utf-16"),
    '{"camera_id": "gate"}'.encode("utf-32-be"),
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 300 + b"NaN" + b"}" * 300,
    b"\x00" * 1000,
)
CONTENT_TYPES = (
    "",
    "text/plain",
    "application/json; charset=utf-16",
    "application/json; charset=nothing",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/vnd.api+json",
    "application/json;" + ";" * 200,
    "/",
    "application/json, text/html",
    'application/json; x="\xff"',
)
PATHS = (
    "//",
    "/api/cameras/",
    "//api/cameras",
    "/api//cameras",
    "/api/cameras/%00/heartbeat",
    "/api/cameras/%ff/heartbeat",
    "/api/cameras/%ed%a0%80/heartbeat",
    "/api/cameras/%zz/heartbeat",
    "/api/cameras/%0d%0aX:1/heartbeat",
    "/api/cameras/%/heartbeat",
    "/api/cameras/../cameras",
    "/api/streams/%2e%2e%2f",
    "/api/streams/" + "x" * 5000,
    "/api/recordings/%F0%9F%93%B7",
    "/docs/assets/%00",
    "/docs/assets/..%2f..%2f..%2fetc%2fpasswd",
    "/docs/assets/" + "%2e%2e%2f" * 20 + "etc/passwd",
    "/docs/assets/" + "y" * 3000,
    "/%0d%0aSet-Cookie:x/",
    "/api/cameras/%0d%0a/",
    "/docs/",
    "/metrics/",
    "/\\",
    "/api/cameras#x",
    "http://[::1/api/cameras",
    "http://a:99999/api/cameras",
    "http://user@host/api/cameras/",
    "*",
    "?",
    "x",
    "/é",
    "/;x=1",
)
QUERIES = (
    "?" + "&" * 5000,
    "?" + "a=1&" * 2000,
    "?%ff=%00",
    "?x=%ed%a0%80",
    "?\xff",
    "?a[]=1&a[b]=2",
    "??",
    "?next=//host",
    "?%zz",
    "?=",
)
HEADERS = (
    "Host: [",
    "Host: [::1",
    "Host: a b",
    "Host: \xff\xfe",
    "Host: x:99999999",
    "Host: x:port",
    "Host: x\tx",
    "Host: //",
    "Host: ?#",
    "Host: " + "h" * 5000,
    "Host: a\r\nHost: b",
    "Authorization: Bearer \xff",
    "Authorization: Bearer",
    "Authorization: " + "B" * 5000,
    "Authorization: Basic !!!",
    "Cookie: " + "=;" * 2000,
    "Accept: \x80",
    "Accept-Encoding: " + "gzip;q=9," * 500,
    "Range: bytes=9999999-1",
    "Range: bytes=" + "0-1," * 2000,
    "Range: bytes=-",
    "If-Modified-Since: never",
    "If-None-Match: \xff",
    "X-Forwarded-For: " + "1.1.1.1," * 1000,
    "X-Forwarded-Proto: nothing",
    "Origin: null",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x",
    "Expect: 100-continue",
    "Expect: nothing",
    "Connection: \xff",
    "TE: trailers, \xff",
    ": x",
    "X\x00: 1",
    "X: \x00",
    " folded: 1",
    "X: 1\r\n folded",
    "\r\n".join(f"X-{number}: 1" for number in range(2000)),
)
METHODS = (
    "HEAD",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "PURGE",
    "PROPFIND",
    "CONNECT",
    "PRI",
    "M-SEARCH",
    "get",
    "G\xff",
    "",
    "X" * 3000,
)


def head(method: str, path: str, *headers: str) -> bytes:
    """The head of a request after whose answer the server closes; Host, unless given, is like everybody's."""
    lines = [f"{method} {path} HTTP/1.1", *(header for header in headers if header), "Connection: close"]
    if not any(line.startswith("Host:") for line in lines):
        lines.insert(1, "Host: x")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def with_body(target: Target, body: bytes, *headers: str) -> bytes:
    """A request to this target whose length is right."""
    sent = headers or ("Content-Type: application/json",)
    return head(target.method, target.path, target.header, *sent, f"Content-Length: {len(body)}") + body


def malformed() -> Iterator[bytes]:
    """Well-formed HTTP around JSON that is none, or that holds what a field does not."""
    for target in TARGETS:
        for body in BODIES:
            yield with_body(target, body)
        for field in target.right:
            yield from _field(target, field, VALUES)
    yield from _field(TARGETS[3], "seen_at", MOMENTS)


def _field(target: Target, field: str, texts: tuple[str, ...]) -> Iterator[bytes]:
    for text in texts:
        members = [
            f"{json.dumps(name)}: {text if name == field else json.dumps(value)}"
            for name, value in target.right.items()
        ]
        yield with_body(target, ("{" + ", ".join(members) + "}").encode())


def odd_heads() -> Iterator[bytes]:
    """Paths, queries, headers, methods, content types."""
    for path in PATHS:
        for method in ("GET", "POST"):
            yield head(method, path.encode().decode("latin-1"))
    for query in QUERIES:
        yield head("GET", "/api/cameras" + query)
    for header in HEADERS:
        for path in ("/api/cameras", "/api/cameras/", "/docs/assets/favicon.png"):
            yield head("GET", path, header)
    for method in METHODS:
        yield head(method, "/api/cameras")
        yield head(method, "/api/streams/x")
    for content_type in CONTENT_TYPES:
        yield with_body(TARGETS[0], CAMERA, f"Content-Type: {content_type}")


def odd_framing() -> Iterator[bytes]:
    """Encodings, sizes, chunks, lengths that are not true, versions of HTTP, and what is no HTTP."""
    cameras = TARGETS[0]
    json_type = "Content-Type: application/json"
    for encoding, body in (
        ("gzip", gzip.compress(CAMERA)),
        ("gzip", b"no gzip"),
        ("deflate", zlib.compress(CAMERA)),
        ("gzip, gzip", gzip.compress(gzip.compress(CAMERA))),
        ("br", CAMERA),
        ("nothing", CAMERA),
        ("gzip", gzip.compress(b"[" * 10_000_000)),
    ):
        yield with_body(cameras, body, json_type, f"Content-Encoding: {encoding}")
    for size in (65_535, 65_536, 65_537, 1_000_000):
        yield with_body(cameras, b'"' + b"x" * (size - 2) + b'"')
    for length in ("-1", "+1", "1e3", "0x10", "9" * 30, "34, 34", "34\r\nContent-Length: 35", "", "33", "35", "٣"):
        sent = length.encode().decode("latin-1")
        yield head("POST", cameras.path, json_type, f"Content-Length: {sent}") + CAMERA
    yield head("POST", cameras.path, json_type) + CAMERA
    yield head("POST", cameras.path, json_type, "Transfer-Encoding: chunked", "Content-Length: 34") + CAMERA
    yield head("POST", cameras.path, json_type, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n"
    yield head("POST", cameras.path, json_type, "Transfer-Encoding: nothing") + CAMERA
    chunked = head("POST", cameras.path, json_type, "Transfer-Encoding: chunked")
    whole = b"%x\r\n%b\r\n" % (len(CAMERA), CAMERA)
    for chunks in (
        whole + b"0\r\n\r\n",
        b"".join(b"1\r\n%c\r\n" % byte for byte in CAMERA) + b"0\r\n\r\n",
        b"".join(b"1;" + b"e" * 1000 + b"\r\n%c\r\n" % byte for byte in CAMERA) + b"0\r\n\r\n",
        whole + b"0\r\nTrailer: " + b"t" * 60_000 + b"\r\n\r\n",
        whole + b"0\r\nX\x00: 1\r\n\r\n",
        b"-1\r\n",
        b"zz\r\nx\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nx",
        b"5\r\nabc\r\n0\r\n\r\n",
        whole,
        b"0\r\n\r\n",
        b"11000\r\n" + b" " * 0x11000 + b"\r\n0\r\n\r\n",
    ):
        yield chunked + chunks
    yield b"GET /api/cameras HTTP/1.0\r\n\r\n"
    yield b"GET /api/cameras HTTP/0.9\r\n\r\n"
    yield b"GET /api/cameras HTTP/2.0\r\nHost: x\r\n\r\n"
    yield b"GET /api/cameras\r\n\r\n"
    yield b"GET  /api/cameras  HTTP/1.1\r\n\r\n"
    yield b"GET /api/cameras HTTP/1.1\nHost: x\n\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200
    yield b"\r\n" * 2000 + head("GET", "/api/cameras")
    yield b"\x00" * 5000
    yield b"GET /api/cameras HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + b"nothing\r\n\r\n"
    yield b"GET /api/cameras HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"
    yield b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET /api/cameras HTTP/1.1\r\nHost: x\r\n" + b"x: x\r\n" * 100_000
