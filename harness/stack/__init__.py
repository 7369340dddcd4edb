"""Start, watch, disturb and stop the instrumented stack: containers by compose, or local processes."""

from __future__ import annotations
