"""A running Prometheus with what the stack's exporters tell, in the last ten minutes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.check import MetricsServer
from harness.engines import Engine, Samples, make_labels
from harness.engines.process import ProcessEngine

SINCE_MS = 600_000
_SCRAPE_MS = 15_000
_STREAMING = {"job": "streaming", "instance": "streaming-1:8001"}
_NODE = {"job": "node", "instance": "node-1:9100"}
_REQUEST = _STREAMING | {"method": "GET", "endpoint": "/streams"}

GAUGES: list[tuple[str, dict[str, str], float]] = [
    ("up", _STREAMING, 1),
    ("up", _NODE, 1),
    ("http_connections_active", _STREAMING, 3),
    ("gtvision_active_streams", _STREAMING, 4),
    ("gtvision_recordings_active", _STREAMING, 2),
    ("gtvision_cameras_online", _STREAMING, 9),
    ("gtvision_cameras_offline", _STREAMING, 1),
    ("gtvision_cameras_total", _STREAMING, 10),
    ("node_memory_MemTotal_bytes", _NODE, 8e9),
    ("node_memory_MemAvailable_bytes", _NODE, 6e9),
    ("node_memory_Cached_bytes", _NODE, 1e9),
    *(
        (name, _NODE | {"device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}, value)
        for name, value in (
            ("node_filesystem_avail_bytes", 5e10),
            ("node_filesystem_size_bytes", 9e10),
            ("node_filesystem_readonly", 0),
        )
    ),
]
COUNTERS: list[tuple[str, dict[str, str], float]] = [
    ("http_requests_total", _REQUEST | {"status": "200"}, 5),
    ("http_request_duration_seconds_bucket", _REQUEST | {"le": "0.5"}, 4),
    ("http_request_duration_seconds_bucket", _REQUEST | {"le": "1.0"}, 5),
    ("http_request_duration_seconds_bucket", _REQUEST | {"le": "+Inf"}, 5),
    ("http_request_duration_seconds_count", _REQUEST, 5),
    ("http_request_duration_seconds_sum", _REQUEST, 2),
    ("gtvision_lpr_events_total", _STREAMING, 0.5),
    ("gtvision_recording_errors_total", _STREAMING, 0.01),
    ("node_cpu_seconds_total", _NODE | {"cpu": "0", "mode": "idle"}, 0.8),
    ("node_cpu_seconds_total", _NODE | {"cpu": "0", "mode": "user"}, 0.2),
    ("node_disk_written_bytes_total", _NODE | {"device": "sda"}, 1e6),
    ("node_disk_read_bytes_total", _NODE | {"device": "sda"}, 1e6),
    ("node_network_receive_bytes_total", _NODE | {"device": "eth0"}, 1e6),
    ("node_network_transmit_bytes_total", _NODE | {"device": "eth0"}, 1e6),
]
"""Name, labels and increase per second."""


@pytest.fixture(scope="session")
def now_ms() -> int:
    return round(time.time() * 1000)


@pytest.fixture(scope="session")
def running(prometheus_path: Path, now_ms: int) -> Iterator[Engine]:
    """A Prometheus that was fed as if it had scraped the stack."""
    times = range(now_ms - SINCE_MS, now_ms + 1, _SCRAPE_MS)
    with ProcessEngine(prometheus_path) as engine:
        engine.write(
            Samples(make_labels(name, **labels), times, [value for _ in times]) for name, labels, value in GAUGES
        )
        engine.write(
            Samples(make_labels(name, **labels), times, [1 + rate * (at - times[0]) / 1000 for at in times])
            for name, labels, rate in COUNTERS
        )
        yield engine


@pytest.fixture
def server(running: Engine, now_ms: int) -> MetricsServer:
    return MetricsServer(running, now_ms, SINCE_MS)
