"""What an expression relies on, and what is said of it on a running Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.check import MetricsServer, ProblemKind, RuleNames, Use, UseFinding, Wants, Weight, check
from harness.check.names import name_of, readings, selected
from harness.engines import Engine, Samples, make_labels
from harness.engines.process import ProcessEngine
from harness.errors import Span
from harness.source import Text


def text(expr: str) -> Text:
    return Text(expr, Span("rules.yml", 3, 5, 1, expr))


def said(
    server: MetricsServer, expr: str, known: RuleNames | None = None, **use: object
) -> list[tuple[ProblemKind, Weight, str]]:
    return [(f.kind, f.weight, f.message) for f in found(server, expr, known, **use)]


def found(server: MetricsServer, expr: str, known: RuleNames | None = None, **use: object) -> list[UseFinding]:
    return check([Use("x", text(expr), **use)], server, known)  # type: ignore[arg-type]


F, N = Weight.FINDING, Weight.NOTE


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sum by (job) (a)", [("by", ("job",), ["a"])]),
        ("sum without (cpu) (a)", [("without", ("cpu",), ["a"])]),
        ("a / on (job) b", [("on", ("job",), ["a"]), ("on", ("job",), ["b"])]),
        ("a / ignoring (job) b", [("ignoring", ("job",), ["a", "b"])]),
        ("a * on (j) group_left (v) b", [("on", ("j",), ["a"]), ("on", ("j",), ["b"]), ("group_left", ("v",), ["b"])]),
        ("a * on (j) group_right (v) b",
         [("on", ("j",), ["a"]), ("on", ("j",), ["b"]), ("group_right", ("v",), ["a"])]),
        ('label_replace(a, "new", "$1", "old", ".*")', [("label_replace", ("old",), ["a"])]),
        ('label_join(a, "new", "-", "x", "y")', [("label_join", ("x", "y"), ["a"])]),
        ('sum by (new, job) (label_replace(a, "new", "$1", "old", ".*"))',
         [("by", ("job",), ["a"]), ("label_replace", ("old",), ["a"])]),
        ('sum by (v) (count_values("v", a))', []),
        ("a * on (j) vector(1)", [("on", ("j",), ["a"])]),
    ],
)  # fmt: skip
def test_who_reads_which_labels_of_what(expr: str, expected: list[tuple[str, tuple[str, ...], list[str]]]) -> None:
    read = [(r.operator, r.labels, [name_of(selector) for selector in r.selectors]) for r in readings(text(expr))]
    assert read == expected


def test_every_way_to_select() -> None:
    expr = 'rate(a{x="1"}[5m]) / max_over_time(b[1h:1m] offset 1d) + {__name__=~"c_.*"} and absent(d{y="2"} or a)'
    assert [(name_of(selector), absent) for selector, absent in selected(text(expr)).items()] == [
        ("a", False),
        ("b", False),
        ('{__name__=~"c_.*"}', False),
        ("d", True),
        ("a", True),
    ]


GOOD = [
    'sum by (job) (rate(http_requests_total{status="200"}[5m]))',
    "histogram_quantile(0.95, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))",
    '{__name__=~"gtvision_.+", job="streaming"}',
    'up{job=~"streaming|node"}',
    'node_cpu_seconds_total{mode!="steal"}',
    'up{absent_label=""}',
    'ALERTS{alertname="ServiceDown", alertstate="firing"}',
    "vector(1)",
    'count({job="node"})',
]


@pytest.mark.parametrize("expr", GOOD)
def test_what_is_real_is_passed(server: MetricsServer, expr: str) -> None:
    assert said(server, expr, RuleNames(alerts=frozenset({"ServiceDown"}))) == []


@pytest.mark.parametrize(
    ("expr", "kind", "weight", "words"),
    [
        ("rate(http_request_total[5m])", ProblemKind.METRIC, F, ["did you mean `http_requests_total`"]),
        ('http_requests_total{status_code="200"}', ProblemKind.LABEL, F, ["`status_code`", "did you mean `status`"]),
        ('node_filesystem_avail_bytes{fstypes!~"tmpfs"}', ProblemKind.LABEL, F, ["`fstypes`", "did you mean `fstype`"]),
        (
            "sum by (instanse) (up)",
            ProblemKind.LABEL,
            F,
            ["`by` reads the label `instanse`", "did you mean `instance`"],
        ),
        ("sum without (cpus) (node_cpu_seconds_total)", ProblemKind.LABEL, F, ["`without`", "did you mean `cpu`"]),
        (
            "up * on (fstype) node_filesystem_size_bytes",
            ProblemKind.LABEL,
            F,
            ["`on` reads the label `fstype`", "`up`"],
        ),
        ("up / ignoring (modus) node_cpu_seconds_total", ProblemKind.LABEL, F, ["`ignoring`", "did you mean `mode`"]),
        ("node_cpu_seconds_total * on (job) group_left (moed) up", ProblemKind.LABEL, F, ["`group_left`", "`moed`"]),
        ('label_replace(up, "a", "$1", "jobb", ".*")', ProblemKind.LABEL, F, ["`label_replace`", "did you mean `job`"]),
        ('ALERTS{alertname="ServiceDwn"}', ProblemKind.VALUE, F, ["of these rules `ServiceDwn`", "`ServiceDown`?"]),
        (
            'ALERTS{alertname=~"ServiceDown|Servicedown"}',
            ProblemKind.VALUE,
            F,
            ["no alert of these rules `Servicedown`"],
        ),
        (
            'ALERTS{alertstate="fireing"}',
            ProblemKind.VALUE,
            F,
            ["no state of an alert `fireing`", "did you mean `firing`"],
        ),
        ('http_requests_total{status=~"5.."}', ProblemKind.VALUE, N, ['`status=~"5.."`', "there are `200`"]),
        ('up{job="straming"}', ProblemKind.VALUE, N, ["did you mean `streaming`", "there are `node`, `streaming`"]),
        ('up{job=~"streaming|noed"}', ProblemKind.VALUE, N, ['`job="noed"`', "a part of", "did you mean `node`"]),
        ('up{job="node", instance="streaming-1:8001"}', ProblemKind.VALUE, N, ["matches all of", "together"]),
        ('{job="nobody"}', ProblemKind.VALUE, N, ['no series matches `{job="nobody"}`']),
        ('up{cluster=~".*"}', ProblemKind.LABEL, N, ["no series of `up` has a label `cluster`", "is true without it"]),
        ('absent(up_total{job="node"})', ProblemKind.METRIC, N, ["`up_total`", "asks for its absence"]),
        ("rate(up)", ProblemKind.QUERY, F, ["Prometheus refuses it", "expected type range vector"]),
        ("up + on (job) group_left () (", ProblemKind.QUERY, F, ["Prometheus refuses it"]),
        ("up * on (job) node_cpu_seconds_total", ProblemKind.QUERY, F, ["duplicate series"]),
    ],
)
def test_what_is_not_real_is_named(
    server: MetricsServer, expr: str, kind: ProblemKind, weight: Weight, words: list[str]
) -> None:
    known = RuleNames(alerts=frozenset({"ServiceDown", "HighErrorRate"}))
    result = said(server, expr, known)
    assert [(k, w) for k, w, _ in result] == [(kind, weight)], result
    assert [word for word in words if word not in result[0][2]] == []


def test_a_recorded_metric_may_still_be_to_come(server: MetricsServer) -> None:
    known = RuleNames(recorded=frozenset({"job:requests:rate5m"}))
    assert said(server, "sum by (anything) (job:requests:rate5m)", known) == [
        (ProblemKind.METRIC, N, "`job:requests:rate5m` is recorded by these rules, and the server has none of it yet")
    ]
    [(kind, weight, message)] = said(server, "job:request:rate5m", known)
    assert (kind, weight) == (ProblemKind.METRIC, F)
    assert "did you mean `job:requests:rate5m`" in message


def test_a_metric_that_vanished_is_told_from_one_that_never_was(server: MetricsServer) -> None:
    late = MetricsServer(server.engine, server.now_ms + 3_600_000, 600_000)
    [(_, weight, message)] = said(late, "up")
    assert weight is F
    assert message == "no series of `up` in the last 10m (there was, within the last day)"


def test_the_caret_stands_under_the_name(server: MetricsServer) -> None:
    [finding] = found(server, 'up == 0 or sum(http_requests_total{statusx="1"}) > 0')
    assert finding.what == "statusx"
    assert finding.where.file == "rules.yml"


def test_an_alert_of_somebody_elses_rules_is_real_where_it_fires(engine: Engine, now_ms: int) -> None:
    known, expr = RuleNames(alerts=frozenset({"ServiceDown"})), 'ALERTS{alertname="Theirs"}'
    assert [kind for kind, _, _ in said(MetricsServer(engine, now_ms, 600_000), expr, known)] == [ProblemKind.VALUE]
    engine.write([Samples(make_labels("ALERTS", alertname="Theirs", alertstate="firing"), [now_ms - 1000], [1.0])])
    assert said(MetricsServer(engine, now_ms, 600_000), expr, known) == []


def test_names_of_the_new_kind(engine: Engine, now_ms: int) -> None:
    """Any UTF-8, as OpenTelemetry's dotted names."""
    if engine.version.startswith("2."):
        pytest.skip("such names came with Prometheus 3")
    engine.write([Samples((("__name__", "http.requests"), ("http.status", "200")), [now_ms - 1000], [1.0])])
    server = MetricsServer(engine, now_ms, 600_000)
    assert said(server, '{"http.requests", "http.status"="200"}') == []
    assert [(kind, message) for kind, _, message in said(server, '{"http.requests", "http.status"="500"}')] == [
        (ProblemKind.VALUE, 'no series of `http.requests` matches `"http.status"="500"`; there are `200`')
    ]
    assert [kind for kind, _, _ in said(server, '{"http.request"}')] == [ProblemKind.METRIC]


def test_what_the_server_cannot_look_up_is_told(prometheus_path: Path, now_ms: int) -> None:
    times = range(now_ms - 60_000, now_ms + 1, 1_000)
    with ProcessEngine(prometheus_path, flags=["--query.max-samples=10"]) as engine:
        engine.write([Samples(make_labels("up", job="node"), times, [1.0 for _ in times])])
        [(kind, weight, message)] = said(MetricsServer(engine, now_ms, 600_000), "up == 0")
    assert (kind, weight) == (ProblemKind.QUERY, F)
    assert "its names cannot be looked up: query processing would load too many samples" in message
    assert "--since" in message


def test_data_is_asked_for_only_where_it_is_wanted(server: MetricsServer) -> None:
    assert said(server, "up == 0") == []
    [(kind, weight, message)] = said(server, "up == 0", wants=Wants.DATA)
    assert (kind, weight) == (ProblemKind.EMPTY, F)
    assert "set the panel's `No value` text" in message
    [(kind, weight, message)] = said(server, "up == 0", wants=Wants.DATA, may_be_empty="Nothing is down")
    assert (kind, weight) == (ProblemKind.EMPTY, N)
    assert message.endswith("as it allows: Nothing is down")


def test_a_legend_shows_labels_that_the_result_has(server: MetricsServer) -> None:
    [(kind, weight, message)] = said(server, "sum by (job) (up)", wants=Wants.DATA, labels=("job", "jib"))
    assert (kind, weight) == (ProblemKind.LEGEND, F)
    assert message == "the legend shows the label `jib`, which the result does not have (did you mean `job`?)"


def test_a_label_that_the_expression_makes_is_no_fault(server: MetricsServer) -> None:
    assert said(server, 'label_replace(up, "site", "$1", "job", "(.*)")', made_of=("site",)) == []


def test_an_annotation_shows_labels_that_exist(server: MetricsServer) -> None:
    [(kind, weight, message)] = said(server, "up == 0", made_of=("instnce", "job"))
    assert (kind, weight) == (ProblemKind.LABEL, F)
    assert "a text of the alert reads the label `instnce`" in message
    assert "did you mean `instance`" in message
