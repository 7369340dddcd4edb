"""alert-harness: proves where Prometheus alerts fire."""

__version__ = "0.1.0"
