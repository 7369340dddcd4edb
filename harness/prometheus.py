"""Prometheus' own settings, as far as rules hang on them: prometheus.yml, flags, features.

One value says them to whoever reads rules, evaluates them, or has them evaluated. Nothing else knows a default of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError
from harness.source import Fields, SourceFile, load_yaml
from harness.units import MINUTE_MS, format_duration

FEATURES = (
    "agent", "auto-gomaxprocs", "auto-gomemlimit", "auto-reload-config", "concurrent-rule-eval",
    "created-timestamp-zero-ingestion", "delayed-compaction", "exemplar-storage", "expand-external-labels",
    "extra-scrape-metrics", "fast-startup", "memory-snapshot-on-shutdown", "metadata-wal-records", "native-histograms",
    "new-service-discovery-manager", "no-default-scrape-port", "old-ui", "otlp-deltatocumulative",
    "otlp-native-delta-ingestion", "otlp-write-receiver", "promql-at-modifier", "promql-binop-fill-modifiers",
    "promql-delayed-name-removal", "promql-duration-expr", "promql-experimental-functions",
    "promql-extended-range-selectors", "promql-negative-offset", "promql-per-step-stats", "remote-write-receiver",
    "st-storage", "type-and-unit-labels", "use-uncached-io", "utf8-names",
)  # fmt: skip
"""What `--enable-feature` of Prometheus 2.40 to 3.9 takes, to tell slips of the pen. Others are passed on as they are:
Prometheus itself says what it does not know."""
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<braced>[^}]*)\}|(?P<bare>\w+))", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What of a Prometheus' settings rules hang on; by default what it does where nobody sets anything."""

    evaluation_ms: int = MINUTE_MS
    """`global.evaluation_interval`: of groups without `interval`, and the step of subqueries without one."""
    lookback_ms: int = 5 * MINUTE_MS
    """`--query.lookback-delta`: how old a sample may be that an instant selector still sees."""
    query_offset_ms: int = 0
    """`global.rule_query_offset`: of groups without `query_offset`."""
    scrape_ms: int | None = None
    """`global.scrape_interval`; None where nobody told."""
    jobs: Mapping[str, int] = field(default_factory=dict)
    """Name of a job → its own scrape interval in milliseconds."""
    external_labels: Mapping[str, str] = field(default_factory=dict)
    """`global.external_labels`: in templates, and on alerts as they are sent."""
    features: tuple[str, ...] = ()
    """`--enable-feature`."""

    def scraped_ms(self, jobs: Collection[str] = ()) -> int | None:
        """How far apart the samples of these jobs are, of several the farthest; None where nobody told."""
        known = [self.jobs[job] for job in jobs if job in self.jobs]
        return max(known) if known else self.scrape_ms

    def sent(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels of an alert as Alertmanager gets them: external ones stand where it has none of that name."""
        return {**self.external_labels, **{name: value for name, value in labels.items() if value}}

    def flags(self, *features: str) -> list[str]:
        """The flags of a Prometheus with these settings, and with some features besides."""
        every = ",".join(dict.fromkeys((*features, *self.features)))
        lookback = f"--query.lookback-delta={format_duration(self.lookback_ms)}"
        return [lookback, *([f"--enable-feature={every}"] if every else [])]

    def config(self) -> dict[str, object]:
        """The `global` section of its prometheus.yml: it scrapes and sends nothing by itself."""
        told: dict[str, object] = {"scrape_interval": "1m", "evaluation_interval": format_duration(self.evaluation_ms)}
        if self.external_labels:
            told["external_labels"] = {name: value.replace("$", "$$") for name, value in self.external_labels.items()}
        return told


DEFAULTS = ServerSettings()
"""Those of a Prometheus, and of promtool, without any flag or configuration."""


def read_prometheus_yml(path: Path) -> ServerSettings:
    """What a prometheus.yml says; raises InputError, with its place, where it cannot be understood.

    Only what rules hang on is read: files that it names (rules, targets, credentials) need not be there, and fields of
    a newer Prometheus are none of ours.
    """
    return parse_prometheus_yml(SourceFile.read(path))


def parse_prometheus_yml(source: SourceFile) -> ServerSettings:
    """The same for a text."""
    documents = load_yaml(source)
    if len(documents) > 1:
        raise InputError(
            f"{len(documents)} YAML documents in one configuration; Prometheus reads only the first",
            span=source.span_of(documents[1]),
            hint="remove what is not meant",
        )
    if not documents:
        return ServerSettings(scrape_ms=MINUTE_MS)
    top = Fields(documents[0], source, "a Prometheus configuration")
    if "global" not in top and "scrape_configs" not in top and "groups" in top:
        raise InputError(
            f"{source.name} holds rule groups, expected the configuration of Prometheus",
            span=top.key_span("groups"),
            hint="name the prometheus.yml that names this file under `rule_files:`",
        )
    told = top.fields("global", "`global`") if "global" in top else None
    scrape_ms = _interval_ms(told, "scrape_interval", MINUTE_MS)
    jobs: dict[str, int] = {}
    for item in top.items("scrape_configs", "a scrape configuration") if "scrape_configs" in top else []:
        job = item.fields()
        name = job.text("job_name")
        jobs[name.value] = _interval_ms(job, "scrape_interval", scrape_ms)
    return ServerSettings(
        evaluation_ms=_interval_ms(told, "evaluation_interval", MINUTE_MS),
        query_offset_ms=0 if told is None else told.duration_ms("rule_query_offset", 0),
        scrape_ms=scrape_ms,
        jobs=jobs,
        external_labels={} if told is None else _external_labels(told),
    )


def _interval_ms(fields: Fields | None, name: str, default: int) -> int:
    """An interval; 0 is to Prometheus as good as none."""
    return (fields.duration_ms(name, default) if fields is not None else default) or default


def _external_labels(told: Fields) -> dict[str, str]:
    """The external labels with `$VARIABLES` of the environment in them; Prometheus drops empty ones."""
    if "external_labels" not in told:
        return {}
    given = told.fields("external_labels", "`external_labels`")
    labels = {
        name: _VARIABLE.sub(_from_environment, text.value) for name, text in given.texts().items() if name in given
    }
    return {name: value for name, value in labels.items() if value}


def _from_environment(found: re.Match[str]) -> str:
    name = found["braced"] or found["bare"]
    return os.environ.get(name, "") if name else "$"
