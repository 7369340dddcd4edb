"""What an OpenSLO document may not be: the message, its place, what to do, and the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError, InputError, UnsupportedError
from harness.rules.expr import UnreadableError
from tests.slo.slo_bench import THRESHOLD, document, ratio, read

GOAL = "{target: 0.999}"
POLICY = document(policies=[("2", "1h")])
CONDITIONS = "        conditions:"
SLICED = "{target: 0.99, timeSliceTarget: 0.9, timeSliceWindow: 1m}"
ALERTING = "metadata:\n  name: answers\n  annotations:\n    alert-harness/alerting: |\n      "

WRONG: dict[str, tuple[str, type[HarnessError], str, str]] = {
    # name: (document, kind of error, what it says, what to do)
    "100 %": (document(goal="{target: 1}"), InputError, "an objective of 100 % leaves no error budget", "99.9 %"),
    "100.0 percent": (document(goal="{targetPercent: 100.0}"), InputError, "100 % leaves no error budget", "99.9 %"),
    "0 %": (document(goal="{target: 0.0}"), InputError, "an objective of 0 % cannot be missed", "above 0"),
    "percent as a ratio": (document(goal="{target: 99.9}"), InputError, "9990 % is not between", "`targetPercent`"),
    "negative": (document(goal="{target: -1}"), InputError, "-100 % is not between", "ratio"),
    "no number": (document(goal="{target: .nan}"), InputError, "`target`: expected a number, found `.nan`", "digits"),
    "two targets": (document(goal="{target: 0.9, targetPercent: 90}"), InputError, "exactly one of `target`", "0.999"),
    "no target": (document(goal="{displayName: x}"), InputError, "exactly one of `target`", "target: 0.999"),
    "unknown field": (document(goal="{taget: 0.9}"), InputError, "(did you mean `target`?)", "expected one of"),
    "composite": (
        document(goal="{target: 0.9, compositeWeight: 2}"), UnsupportedError, "a composite SLO", "for each indicator",
    ),
    "good and bad": (
        document(indicator=ratio() + "\n        good: {}"), InputError, "exactly one of `good` and `bad`", "keep one",
    ),
    "raw and total": (
        document(indicator=ratio() + "\n        raw: {}"), InputError, "`raw` and `bad` exclude each other", "all of",
    ),
    "no counter": (
        document(indicator=ratio().replace("        counter: true\n", "")),
        InputError, "`ratioMetric` has no `counter`", "add a line",
    ),
    "quoted boolean": (
        document(indicator=ratio().replace("counter: true", 'counter: "true"')),
        InputError, "`counter` of `ratioMetric` must be true or false", "without quotes",
    ),
    "another source": (
        document(indicator=ratio().replace("type: Prometheus", "type: Datadog")),
        UnsupportedError, "a data source of type `Datadog`", "PromQL",
    ),
    "missing reference": (
        document(indicator=ratio().replace("type: Prometheus", "metricSourceRef: prom")),
        InputError, "no document of kind DataSource is named `prom`", "known: none",
    ),
    "more than a query": (
        document(indicator=ratio().replace("spec: {query:", "spec: {dimensions: a, query:")),
        UnsupportedError, "`dimensions` in the `spec`", "nothing beside it",
    ),
    "not PromQL": (
        document(indicator=ratio(query="errors_total{")), UnreadableError, "this expression cannot be read", "plainer",
    ),
    "a rate as a counter": (
        document(indicator=ratio(query="rate(errors_total[5m])")),
        UnsupportedError, "no sum or difference of selectors", "{{.window}}",
    ),
    "a grouped counter": (
        document(indicator=ratio(query="sum by (zone) (errors_total)")), UnsupportedError, "sum by (zone)", "raw",
    ),
    "an offset": (document(indicator=ratio(query="errors_total offset 5m")), UnsupportedError, "`offset`", "as its"),
    "one window of two": (
        document(indicator=ratio(query="sum(rate(errors_total[{{.window}}]))")),
        InputError, "only one of the two queries has {{.window}}", "in both",
    ),
    "a template": (
        document(indicator=ratio(query='errors_total{job="{{ .job }}"}')),
        UnsupportedError, "holds the template `{{ .job }}`", "only {{.window}}",
    ),
    "good is 5xx": (
        document(indicator=ratio("good", 'http_requests_total{status=~"5.."}', "http_requests_total")),
        InputError, "upside down: it counts only server errors (5xx) as good", "as `bad`",
    ),
    "bad is 2xx": (
        document(indicator=ratio("bad", 'http_requests_total{code=~"2.."}', "http_requests_total")),
        InputError, "upside down: it counts successes (200), and no server error, as bad", "as `good`",
    ),
    "bad is not 5xx": (
        document(indicator=ratio("bad", 'http_requests_total{code!~"5.."}', "http_requests_total")),
        InputError, "upside down", "as `good`",
    ),
    "good is errors by name": (
        document(indicator=ratio("good", "errors_total", "requests_total")),
        InputError, "upside down: it counts `errors_total` as good", "as `bad`",
    ),
    "good is a failure by label": (
        document(indicator=ratio("good", 'jobs_total{result="failure"}', "jobs_total")),
        InputError, "what its labels call a failure", "as `bad`",
    ),
    "bad is the fast ones": (
        document(indicator=ratio("bad", 'seconds_bucket{le="0.5"}', "seconds_count")),
        InputError, "the events up to a bucket's bound", "as `good`",
    ),
    "all events are bad": (
        document(indicator=ratio("bad", "requests_total", "requests_total")), InputError, "always 1", "only the events",
    ),
    "latency that should be high": (
        document(
            indicator=THRESHOLD.format(query="request_latency_seconds"), method="Timeslices",
            goal="{op: gte, value: 1, target: 0.99, timeSliceTarget: 1, timeSliceWindow: 1m}",
        ),
        InputError, "counts as good where it is high", "op: lt",
    ),
    "threshold without value": (
        document(indicator=THRESHOLD.format(query="depth"), goal="{op: lt, target: 0.9}"),
        InputError, "has no `value`", "op: lte",
    ),
    "ratio with a value": (
        document(goal="{op: lt, value: 3, target: 0.9}"), InputError, "`value` means nothing with a `ratio", "remove",
    ),
    "slices without window": (
        document(method="Timeslices", goal="{target: 0.9, timeSliceTarget: 0.9}"),
        InputError, "`timeSliceWindow` is needed", "add",
    ),
    "slices for occurrences": (
        document(goal=SLICED), InputError, "`timeSliceTarget` means nothing with `budgetingMethod: Occ", "remove",
    ),
    "a slice target above 1": (
        document(method="Timeslices", goal=SLICED.replace("0.9,", "90,")), InputError, "`timeSliceTarget` is 90", "95",
    ),
    "method in lower case": (
        document(method="occurrences"), InputError, "(did you mean `Occurrences`?)", "RatioTimeslices",
    ),
    "rolling month": (
        document(window="{duration: 1M, isRolling: true}"), UnsupportedError, "no fixed length", "such as 30d",
    ),
    "calendar minute": (
        document(window='{duration: 1m, calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}}'),
        UnsupportedError, "a calendar window of `1m`", "1M for a month",
    ),
    "calendar on the 31st": (
        document(window='{duration: 1M, calendar: {startTime: 2026-01-31 00:00:00, timeZone: UTC}}'),
        UnsupportedError, "begin on the 31th", "1st to the 28th",
    ),
    "no such zone": (
        document(window='{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlim}}'),
        InputError, "(did you mean `Europe/Berlin`?)", "IANA",
    ),
    "zone outside the database": (
        document(window='{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: ../../etc/passwd}}'),
        InputError, "is no time zone", "IANA",
    ),
    "start with a zone": (
        document(window='{duration: 1M, calendar: {startTime: "2026-01-01T00:00:00Z", timeZone: UTC}}'),
        InputError, "no local date and time", "without a zone",
    ),
    "rolling calendar": (
        document(window='{duration: 1M, isRolling: true, calendar: {}}'), InputError, "has no `calendar`", "remove one",
    ),
    "neither": (document(window="{duration: 1d, isRolling: false}"), InputError, "needs a `calendar`", "startTime"),
    "two windows": (
        document(window="{duration: 1d, isRolling: true}\n    - {duration: 2d, isRolling: true}"),
        InputError, "has 2 entries", "a document of its own",
    ),
    "another version": (
        document().replace("openslo/v1", "openslo/v2"), InputError, "(did you mean `openslo/v1`?)", "of v1alpha",
    ),
    "no version": ("kind: SLO\n", InputError, "neither `apiVersion` (OpenSLO) nor `version` (sloth)", "start it with"),
    "another kind": (document().replace("kind: SLO", "kind: Slo", 1), InputError, "(did you mean `SLO`?)", "SLI"),
    "unknown annotation of ours": (
        document().replace("  name: answers", "  name: answers\n  annotations: {alert-harness/alert: x}"),
        InputError, "(did you mean `alert-harness/alerting`?)", "is ours",
    ),
    "wrong alerting": (
        document().replace("metadata:\n  name: answers", ALERTING + "page_alert: {lables: {}}"),
        InputError, "(did you mean `labels`?)", "expected one of",
    ),
    "resolved": (
        POLICY.replace(CONDITIONS, "        alertWhenResolved: true\n" + CONDITIONS),
        UnsupportedError, "`alertWhenResolved: true`", "send_resolved",
    ),
    "alerts on nothing": (
        POLICY.replace(CONDITIONS, "        alertWhenBreaching: false\n        alertWhenNoData: false\n" + CONDITIONS),
        UnsupportedError, "`alertWhenBreaching: false`", "set it to true",
    ),
    "a policy that nobody wrote": (
        document() + "  alertPolicies: [fast]\n",
        InputError, "no document of kind AlertPolicy is named `fast`",
        "- {kind: AlertPolicy, metadata: {name: fast}, spec: {alertWhenBreaching: true, conditions: ",
    ),
    "a condition that nobody wrote": (
        document() + "  alertPolicies: [{kind: AlertPolicy, metadata: {name: a}, spec: {conditions: [fast]}}]\n",
        InputError, "no document of kind AlertCondition is named `fast`", "condition: {kind: burnrate, op: gt, ",
    ),
    "a condition for a low burn rate": (
        POLICY.replace("kind: burnrate,", "kind: burnrate, op: lte,"),
        UnsupportedError, "a condition of `op: lte` alerts while the budget is not being burned", "op: gte",
    ),
    "two names of one query": (
        document(indicator=ratio().replace("spec: {query:", "spec: {promql: x, query:")),
        InputError, "`query` and `promql` are two names", "keep `query`",
    ),
    "no period": (
        document().replace("  timeWindow:\n    - {duration: 30d, isRolling: true}\n", ""),
        InputError, "`answers` has no `timeWindow`", 'slo_period = "30d"',
    ),
    "a list in a list": ("- - kind: SLO\n", InputError, "must be a mapping", "docs/"),
    "pyrra's form": (
        "apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\n",
        InputError, "is pyrra's form", "--windows pyrra",
    ),
    "slo-generator's form": (
        "apiVersion: sre.google.com/v2\nkind: ServiceLevelObjective\n",
        InputError, "is slo-generator's form", "`filter_good`",
    ),
    "Nobl9's form": ("apiVersion: n9/v1alpha\nkind: SLO\n", InputError, "is Nobl9's form", "`countMetrics`"),
    "slom's form": (
        "name: shop\nslos: [{name: a, objective: {ratio: 0.99}}]\n", InputError, "is slom's form", "$window",
    ),
    "a rule file": ("groups: []\n", InputError, "this is a rule file", "slo prove"),
    "windows": (
        "apiVersion: sloth.slok.dev/v1\nkind: AlertWindows\n", InputError, "windows for alerts, and no objective",
        "--windows",
    ),
    "another object of sloth's": (
        "apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevels\n", InputError,
        "(did you mean `PrometheusServiceLevel`?)", "expected",
    ),
    "burn rate of 0": (document(policies=[("0", "1h")]), InputError, "a burn rate of 0 is always exceeded", "above 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused_with_place_and_way_out(name: str, tmp_path: Path) -> None:
    text, kind, message, hint = WRONG[name]
    with pytest.raises(kind) as caught:
        read(tmp_path, text)
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 2
    span = caught.value.span
    assert span is not None
    assert span.file.endswith("slo.yml")
    assert span.line <= len(text.splitlines())


def test_an_error_inside_the_alerting_annotation_points_at_its_column(tmp_path: Path) -> None:
    text = document().replace("metadata:\n  name: answers", ALERTING + "min_events: some")
    with pytest.raises(InputError, match="expected a whole number, found `some`") as caught:
        read(tmp_path, text)
    span = caught.value.span
    assert span is not None
    assert text.splitlines()[span.line - 1][span.column - 1 :].startswith("some")


def test_two_objectives_of_one_id(tmp_path: Path) -> None:
    one = document("a-b").replace("service: shop", "service: x")
    two = document("b").replace("service: shop", "service: x-a")
    with pytest.raises(InputError, match="two objectives have the id `x-a-b`"):
        read(tmp_path, one, two)


def test_two_documents_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two documents of kind SLO are named `answers`"):
        read(tmp_path, document(), document())


SOUND = {
    "bad is 4xx only": ratio("bad", 'http_requests_total{status=~"4.."}', "http_requests_total"),
    "good is not 5xx": ratio("good", 'http_requests_total{status!~"5.."}', "http_requests_total"),
    "bad is 5xx and 429": ratio("bad", 'http_requests_total{code=~"5..|429"}', "http_requests_total"),
    "errors of errors": ratio("good", 'errors_total{handled="true"}', "errors_total"),
    "how many do not succeed": ratio(
        "bad",
        "sum(count_over_time((probe_success == 0)[{{.window}}:]))",
        "sum(count_over_time(probe_success[{{.window}}]))",
    ),
    "slow ones as a difference": ratio("bad", 'x_count - on() x_bucket{le="1"}', "x_count").replace(" on()", ""),
}


@pytest.mark.parametrize("name", SOUND)
def test_the_upside_down_check_is_silent_where_it_is_not_sure(name: str, tmp_path: Path) -> None:
    (objective,) = read(tmp_path, document(indicator=SOUND[name]))
    assert objective.name == "answers"


def test_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"slo\.yml is empty"):
        read(tmp_path, "[]\n")


_RAW = "      ratioMetric: {{rawType: {kind}, raw: {{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}}}"
UPSIDE_DOWN = {
    # (query, what it is said to be): None where it is right, or where nobody can be sure
    ("failure", "avg_over_time(probe_success[5m])"): "`probe_success` is a ratio of successes",
    ("failure", "1 - avg_over_time(probe_success[5m])"): None,
    ("success", "1 - avg_over_time(probe_success[5m])"): "1 less `probe_success` is a ratio of errors",
    ("success", "avg_over_time(probe_success[5m])"): None,
    ("failure", "1 - (sum(min_over_time(probe_success[5m])) / 3)"): None,
    ("failure", "sum(rate(checks_success[5m])) / 3 * 3"): "`checks_success` is a ratio of successes",
    ("success", "avg(errors_ratio) or vector(0)"): "`errors_ratio` is a ratio of errors",
    ("failure", "1 - avg(errors_ratio)"): "1 less `errors_ratio` is a ratio of successes",
    ("success", "-avg(errors_ratio) + 1"): None,
    ("failure", "avg(probe_success == bool 0)"): None,
    ("failure", "1 / probe_success"): None,
    ("failure", "count(probe_success) - sum(probe_success)"): None,
    ("failure", "absent(probe_success)"): None,
}


@pytest.mark.parametrize(("kind", "query"), UPSIDE_DOWN)
def test_what_a_ratio_is_of_is_read_with_its_signs(kind: str, query: str, tmp_path: Path) -> None:
    text = document(indicator=_RAW.format(kind=kind, query=query))
    said = UPSIDE_DOWN[(kind, query)]
    if said is None:
        assert len(read(tmp_path, text)) == 1
        return
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert said in caught.value.message
    assert caught.value.hint == f"write `rawType: {'success' if kind == 'failure' else 'failure'}`"
