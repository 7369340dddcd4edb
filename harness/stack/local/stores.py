"""The stores of the streaming service, as their exporters need them: whether there is one, and how it is reached."""

from __future__ import annotations

import socket
from urllib.parse import SplitResult, unquote, urlsplit


def store_problem(store: str, url: str | None) -> str | None:
    """Why this store's exporter has nothing to watch; None if the store answers."""
    variable = "STREAMING_DATABASE_URL" if store == "PostgreSQL" else "STREAMING_REDIS_URL"
    parts = _parts(url)
    schemes = ("postgresql", "postgres") if store == "PostgreSQL" else ("redis",)
    if parts is None or parts.scheme.partition("+")[0] not in schemes:
        embedded = "SQLite" if store == "PostgreSQL" else "memory"
        return f"there is no {store}: the service keeps this in {embedded} ({variable} names a server)"
    host, port = parts.hostname or "localhost", parts.port or (5432 if store == "PostgreSQL" else 6379)
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError as err:
        return f"{store} does not answer at {host}:{port} ({err.strerror or err})"
    return None


def _parts(url: str | None) -> SplitResult | None:
    try:
        parts = urlsplit(url or "")
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts


def postgres_environment(url: str) -> dict[str, str]:
    """Source: https://github.com/prometheus-community/postgres_exporter, environment variables."""
    parts = urlsplit(url)
    query = parts.query or "sslmode=disable"
    return {
        "DATA_SOURCE_URI": f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path or '/postgres'}?{query}",
        "DATA_SOURCE_USER": unquote(parts.username or ""),
        "DATA_SOURCE_PASS": unquote(parts.password or ""),
    }


def redis_environment(url: str) -> dict[str, str]:
    """Source: https://github.com/oliver006/redis_exporter, environment variables."""
    parts = urlsplit(url)
    return {
        "REDIS_ADDR": f"redis://{parts.hostname or 'localhost'}:{parts.port or 6379}",
        "REDIS_USER": unquote(parts.username or ""),
        "REDIS_PASSWORD": unquote(parts.password or ""),
    }
