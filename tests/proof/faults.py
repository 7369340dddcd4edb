# ruff: noqa: E501 (a table: one fault, one line)
"""Planted faults and equivalent writings of the nine rules, each a small edit of one rule file.

What is expected follows from the meaning of the edit, never from what the code prints.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness.proof import Verdict

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "rules"

NEVER, ALWAYS = Verdict.NEVER_FIRES, Verdict.ALWAYS_FIRES
COMPARISON, THRESHOLD = Verdict.WRONG_COMPARISON, Verdict.OFF_THRESHOLD
HOLD, LABELS, SITUATION = Verdict.WRONG_HOLD, Verdict.WRONG_LABELS, Verdict.WRONG_SITUATION
ERROR, MISSING = Verdict.ERROR, Verdict.MISSING
ANNOTATIONS = Verdict.WRONG_ANNOTATIONS

HOMES = {
    "HighErrorRate": "application",
    "SlowResponseTime": "application",
    "ServiceDown": "application",
    "NoActiveStreams": "business",
    "HighCameraOfflineRate": "business",
    "RecordingFailures": "business",
    "HighCPUUsage": "system",
    "HighMemoryUsage": "system",
    "LowDiskSpace": "system",
}
"""In which rule file each alert stands."""

ERR, CPU, MEM, DISK = "HighErrorRate", "HighCPUUsage", "HighMemoryUsage", "LowDiskSpace"
SLOW, DOWN, IDLE, CAM, REC = "SlowResponseTime", "ServiceDown", "NoActiveStreams", "HighCameraOfflineRate", "RecordingFailures"  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one alert in a copy of its rule file."""

    alert: str
    name: str
    replace: tuple[tuple[str, str], ...] = ()
    """(old, new) within the alert's own lines; every old stands there exactly once."""
    expr: str = ""
    """A whole new expression."""
    before: str = ""
    """Rules that go before the alert, in its group."""
    after: str = ""
    """Rules that go right after it."""
    group: tuple[str, str] = ("", "")
    """(old, new) in the group's head."""
    gone: bool = False
    """Take the alert out altogether."""

    def text(self) -> str:
        """The edited rule file."""
        whole = (RULES / f"{HOMES[self.alert]}.yml").read_text(encoding="utf-8")
        begin = whole.index(f"      - alert: {self.alert}\n")
        end = whole.find("\n\n", begin)
        end = len(whole) if end < 0 else end + 1
        head, block, tail = whole[:begin], whole[begin:end], whole[end:]
        for old, new in self.replace:
            assert block.count(old) == 1, f"{self.id}: `{old}` stands {block.count(old)} times in the rule"
            block = block.replace(old, new)
        if self.expr:
            lines = "".join(f"          {line}\n" for line in self.expr.strip().splitlines())
            block, count = re.subn(
                r" {8}expr:.*?(?= {8}for:)", lambda _: f"        expr: |\n{lines}", block, flags=re.DOTALL
            )
            assert count == 1, self.id
        old, new = self.group
        assert not old or head.count(old) == 1, f"{self.id}: `{old}` is not in the group's head"
        head = head.replace(old, new) if old else head
        return head + self.before + ("" if self.gone else block) + self.after + tail

    @property
    def id(self) -> str:
        return f"{self.alert}: {self.name}"


@dataclass(frozen=True, slots=True)
class Fault:
    """An edit that makes the rule wrong, the verdicts that are right about it, and what the reasons must say."""

    edit: Edit
    verdicts: tuple[Verdict, ...]
    reason: str


def fault(alert: str, name: str, verdict: Verdict | tuple[Verdict, ...], reason: str, *replace: tuple[str, str],
          **more: object) -> Fault:  # fmt: skip
    verdicts = verdict if isinstance(verdict, tuple) else (verdict,)
    return Fault(Edit(alert, name, replace, **more), verdicts, reason)  # type: ignore[arg-type]


def telling(faults: list[Fault]) -> set[str]:
    """The ids of a selection for every run: of each alert and verdict the first few, and the faults of old."""
    chosen: Counter[tuple[str, Verdict]] = Counter()
    ids = {f"{ERR}: each 5xx series divided by itself", f"{ERR}: irate for rate", f"{ERR}: a wrong verb"}
    for planted in faults:
        kind = planted.edit.alert, planted.verdicts[0]
        chosen[kind] += 1
        if chosen[kind] <= (2 if kind[1] is SITUATION else 1):
            ids.add(planted.edit.id)
    return ids


def same(alert: str, name: str, *replace: tuple[str, str], **more: object) -> Edit:
    return Edit(alert, name, replace, **more)  # type: ignore[arg-type]


def recorded(name: str, expr: str) -> str:
    return f"      - record: {name}\n        expr: {expr}\n"


_FIVES, _ALL = 'rate(http_requests_total{status=~"5.."}[5m])', "rate(http_requests_total[5m])"
_BUCKET = "http_request_duration_seconds_bucket"
_CPU = 'rate(node_cpu_seconds_total{mode="idle"}[5m])'
_TOTAL, _AVAILABLE = "node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes"
_STREAMS, _OFF, _CAMS = "gtvision_active_streams", "gtvision_cameras_offline", "gtvision_cameras_total"
_FAILED = "gtvision_recording_errors_total"
_READONLY = "          and\n          node_filesystem_readonly == 0\n"
_PSEUDO = 'fstype!~"autofs|devtmpfs|iso9660|overlay|ramfs|squashfs|tmpfs"'
_FREE = f"100 * node_filesystem_avail_bytes{{{_PSEUDO}}} / node_filesystem_size_bytes"


FAULTS = [
    # -- HighErrorRate: > 5 % of the requests for 5 m, one step is one request in 10,000 ---------------------------
    fault(ERR, ">= for >", COMPARISON, "fires at exactly 5 %", ("> 5\n", ">= 5\n")),
    fault(ERR, "< for >", COMPARISON, "fires below the threshold", ("> 5\n", "< 5\n")),
    fault(ERR, "!= for >", COMPARISON, "also fires at", ("> 5\n", "!= 5\n")),
    fault(ERR, "== for >", COMPARISON, "fires at exactly 5 %", ("> 5\n", "== 5\n")),
    fault(ERR, "> bool", ALWAYS, "fires at every failed requests from 0 to 100 %", ("> 5\n", "> bool 5\n")),
    fault(ERR, "one unit too high", THRESHOLD, "1 % too late", ("> 5\n", "> 6\n")),
    fault(ERR, "one unit too low", THRESHOLD, "1 % too early", ("> 5\n", "> 4\n")),
    fault(ERR, "1 % of the limit too high", THRESHOLD, "too late", ("> 5\n", "> 5.05\n")),
    fault(ERR, "one request in 10,000 too high", THRESHOLD, "0.01 % too late", ("> 5\n", "> 5.01\n")),
    fault(ERR, "one request in 10,000 too low", THRESHOLD, "too early", ("> 5\n", "> 4.99\n")),
    fault(ERR, "a ratio for percent", THRESHOLD, "too early", ("> 5\n", "> 0.05\n")),
    fault(ERR, "percent against a ratio", NEVER, "stays quiet at every", ("100 * ", "")),
    fault(ERR, "each 5xx series divided by itself", THRESHOLD, "too early", expr=f"{_FIVES} / {_ALL} > 0.05"),
    fault(ERR, "summed on one side only", NEVER, "stays quiet at every",
          expr=f"100 * {_FIVES} / sum by (job) ({_ALL}) > 5"),
    fault(ERR, "on(job) of unsummed series", ERROR, "cannot evaluate", expr=f"100 * {_FIVES} / on (job) {_ALL} > 5"),
    fault(ERR, "per instance", LABELS, "2 alerts fire at once",
          expr=f"100 * sum by (job, instance) ({_FIVES}) / sum by (job, instance) ({_ALL}) > 5"),
    fault(ERR, "by instance for by job", LABELS, "job",
          expr=f"100 * sum by (instance) ({_FIVES}) / sum by (instance) ({_ALL}) > 5"),
    fault(ERR, "over all jobs", LABELS, "no `job` label", expr=f"100 * sum({_FIVES}) / sum({_ALL}) > 5"),
    fault(ERR, "sum without (status)", LABELS, "alerts fire at once",
          expr=f"100 * sum without (status) ({_FIVES}) / sum without (status) ({_ALL}) > 5"),
    fault(ERR, "4xx for 5xx", (COMPARISON, THRESHOLD), "the contract says > 5 %", ('"5.."', '"4.."')),
    fault(ERR, "only status 500", THRESHOLD, "too late", ('=~"5.."', '="500"')),
    fault(ERR, "50. for 5..", SITUATION, "errors of many kinds", ('"5.."', '"50."')),
    fault(ERR, "5.. as an equality", NEVER, "selects none of the signal", ('=~"5.."', '="5.."')),
    fault(ERR, "every status but 2xx", ALWAYS, "fires at every", ('=~"5.."', '!~"2.."')),
    fault(ERR, "4xx and 5xx", (ALWAYS, THRESHOLD), "fires", ('"5.."', '"[45].."')),
    fault(ERR, "matcher dropped", ALWAYS, "fires at every", ('{status=~"5.."}', "")),
    fault(ERR, "only GET /api/streams fails", THRESHOLD, "too late", ('"5.."}', '"5..", endpoint="/api/streams"}')),
    fault(ERR, "only another job", NEVER, "selects none of the signal", ('"5.."}', '"5..", job="gateway"}')),
    fault(ERR, "only this job", SITUATION, "another service",
          expr=f'100 * sum by (job) (rate(http_requests_total{{status=~"5..", job="streaming"}}[5m])) '
          f"/ sum by (job) ({_ALL}) > 5"),
    fault(ERR, "irate for rate", SITUATION, "peak with every evaluation",
          expr=f"100 * sum by (job) (i{_FIVES}) / sum by (job) (i{_ALL}) > 5"),
    fault(ERR, "increase on one side", THRESHOLD, "too early", (_FIVES, _FIVES.replace("rate(", "increase("))),
    fault(ERR, "delta for rate", SITUATION, "restart",
          expr=f"100 * sum by (job) ({_FIVES.replace('rate(', 'delta(')}) "
          f"/ sum by (job) ({_ALL.replace('rate(', 'delta(')}) > 5"),
    fault(ERR, "avg for sum", THRESHOLD, "the contract says > 5 %",
          expr=f"100 * avg by (job) ({_FIVES}) / sum by (job) ({_ALL}) > 5"),
    fault(ERR, "avg on both sides", THRESHOLD, "too early",
          expr=f"100 * avg by (job) ({_FIVES}) / avg by (job) ({_ALL}) > 5"),
    fault(ERR, "max on both sides", (SITUATION, THRESHOLD), "",
          expr=f"100 * max by (job) ({_FIVES}) / max by (job) ({_ALL}) > 5"),
    fault(ERR, "count for sum", (ALWAYS, NEVER), "", expr=f"100 * count by (job) ({_FIVES}) / count by (job) ({_ALL}) > 5"),
    fault(ERR, "errors against the good ones", THRESHOLD, "too early",
          expr=f'100 * sum by (job) ({_FIVES}) / sum by (job) (rate(http_requests_total{{status!~"5.."}}[5m])) > 5'),
    fault(ERR, "all minus the good ones, which may be absent", SITUATION, "every request fails",
          expr=f'100 * (sum by (job) ({_ALL}) - sum by (job) (rate(http_requests_total{{status!~"5.."}}[5m]))) / sum by (job) ({_ALL}) > 5'),
    fault(ERR, "upside down", ALWAYS, "fires at every",
          expr=f"100 * sum by (job) ({_ALL}) / sum by (job) ({_FIVES}) > 5"),
    fault(ERR, "errors a second, not a share", THRESHOLD, "too early", expr=f"sum by (job) ({_FIVES}) > 5"),
    fault(ERR, "windows of 1m", SITUATION, "three minutes", expr=f"100 * sum by (job) ({_FIVES.replace('5m', '1m')}) "
          f"/ sum by (job) ({_ALL.replace('5m', '1m')}) > 5"),
    fault(ERR, "windows of 2m", SITUATION, "three minutes", expr=f"100 * sum by (job) ({_FIVES.replace('5m', '2m')}) "
          f"/ sum by (job) ({_ALL.replace('5m', '2m')}) > 5"),
    fault(ERR, "windows of 10m", SITUATION, "burst", expr=f"100 * sum by (job) ({_FIVES.replace('5m', '10m')}) "
          f"/ sum by (job) ({_ALL.replace('5m', '10m')}) > 5"),
    fault(ERR, "windows of 1h", SITUATION, "a restart does not hide", expr=f"100 * sum by (job) ({_FIVES.replace('5m', '1h')}) "
          f"/ sum by (job) ({_ALL.replace('5m', '1h')}) > 5"),
    fault(ERR, "a window shorter than two scrapes", NEVER, "stays quiet at every",
          expr=f"100 * sum by (job) ({_FIVES.replace('5m', '5s')}) / sum by (job) ({_ALL.replace('5m', '5s')}) > 5"),
    fault(ERR, "windows unlike each other", (SITUATION, THRESHOLD), "", ('{status=~"5.."}[5m]', '{status=~"5.."}[1m]')),
    fault(ERR, "ten minutes late", SITUATION, "must fire",
          expr=f"100 * sum by (job) ({_FIVES[:-1]} offset 10m)) / sum by (job) ({_ALL[:-1]} offset 10m)) > 5"),
    fault(ERR, "a misspelt metric", NEVER, "makes `http_request_total`", ("rate(http_requests_total[5m])", "rate(http_request_total[5m])")),
    fault(ERR, "a condition that never holds", NEVER, "stays quiet at every", ("> 5\n", "> 5 and on () (vector(0) > 0)\n")),
    fault(ERR, "a second limit", THRESHOLD, "too late",
          ("> 5\n", f"> 5 and on (job) sum by (job) ({_FIVES}) > 400\n")),
    fault(ERR, "or vector(1)", ALWAYS, "fires at every", ("> 5\n", "> 5 or vector(1)\n")),
    fault(ERR, "or absent()", SITUATION, "no data at all", ("> 5\n", "> 5 or absent(http_requests_total)\n")),
    fault(ERR, "one tick longer", HOLD, "fires 5m30s after it becomes pending; the contract says 5m", ("for: 5m", "for: 5m30s")),
    fault(ERR, "one tick shorter", HOLD, "fires 4m30s after", ("for: 5m", "for: 4m30s")),
    fault(ERR, "a second too long", HOLD, "fires 5m30s after", ("for: 5m", "for: 5m1s")),
    fault(ERR, "seconds for minutes", HOLD, "fires 30s after", ("for: 5m", "for: 5s")),
    fault(ERR, "hours for minutes", HOLD, "the contract says 5m", ("for: 5m", "for: 5h")),
    fault(ERR, "no for", HOLD, "fires 0s after", ("        for: 5m\n", "")),
    fault(ERR, "keep_firing_for", HOLD, "resolves 5m after", ("for: 5m\n", "for: 5m\n        keep_firing_for: 5m\n")),
    fault(ERR, "an interval that stretches the hold", HOLD, "8m", group=("interval: 30s", "interval: 4m")),
    fault(ERR, "severity warning", LABELS, 'the contract says `severity="critical"`', ("severity: critical", "severity: warning")),
    fault(ERR, "severity in capitals", LABELS, "severity", ("severity: critical", "severity: Critical")),
    fault(ERR, "no severity", LABELS, "no `severity` label", ("          severity: critical\n", "")),
    fault(ERR, "a label that holds the value", LABELS, "value", ("team: streaming", "error_rate: '{{ $value }}'")),
    fault(ERR, "a label hides the job", LABELS, "job", ("team: streaming", "job: alerting")),
    fault(ERR, "a template without its end", ERROR, "refuses", ("{{ $labels.job }}'\n          desc", "{{ $labels.job }'\n          desc")),
    fault(ERR, "an unknown template function", ERROR, "refuses", ('printf "%.1f %%" $value', "$value | humanisePercentage")),
    fault(ERR, "a template that is not there", ANNOTATIONS, "does not render", ('{{ printf "%.1f %%" $value }}', '{{ template "nope" }}')),
    fault(ERR, "an index out of place", ANNOTATIONS, "does not render", ('{{ printf "%.1f %%" $value }}', "{{ index $labels 1 }}")),
    fault(ERR, "a wrong verb", ANNOTATIONS, "does not render", ('"%.1f %%"', '"%d %%"')),
    fault(ERR, "a misspelt label in the text", ANNOTATIONS, "$labels.jbo", ("'High error rate of {{ $labels.job }}'", "'High error rate of {{ $labels.jbo }}'")),
    fault(ERR, "no summary", ANNOTATIONS, "`summary` is missing", ("          summary: 'High error rate of {{ $labels.job }}'\n", "")),
    fault(ERR, "no runbook", ANNOTATIONS, "`runbook_url` is missing", ("runbook_url:", "runbook:")),
    fault(ERR, "gone", MISSING, "has no rule", gone=True),
    fault(ERR, "renamed", MISSING, "has no rule", ("alert: HighErrorRate", "alert: HighErrorRatio")),
    fault(ERR, "twice", LABELS, "is defined twice", after=
          "      - alert: HighErrorRate\n        expr: vector(1)\n        labels: {severity: critical, team: streaming}\n"),
    fault(ERR, "a recorded rate of 1m", SITUATION, "three minutes",
          before=recorded("job:errors:rate", f"sum by (job) ({_FIVES.replace('5m', '1m')})".replace('"', "'"))
          + recorded("job:requests:rate", f"sum by (job) ({_ALL.replace('5m', '1m')})"),
          expr="100 * job:errors:rate / job:requests:rate > 5"),
    fault(ERR, "recorded without sum", THRESHOLD, "too early",
          before=recorded("path:errors:ratio", f"{_FIVES} / {_ALL}".replace('"', "'")), expr="100 * path:errors:ratio > 5"),

    # -- SlowResponseTime: P95 > 1 s for 5 m -----------------------------------------------------------------------
    fault(SLOW, ">= for >", COMPARISON, "fires at exactly 1 s", ("> 1\n", ">= 1\n")),
    fault(SLOW, "< for >", COMPARISON, "fires below", ("> 1\n", "< 1\n")),
    fault(SLOW, "1 % too high", THRESHOLD, "too late", ("> 1\n", "> 1.01\n")),
    fault(SLOW, "a millionth too low", THRESHOLD, "too early", ("> 1\n", "> 0.999999\n")),
    fault(SLOW, "milliseconds", NEVER, "stays quiet at every", ("> 1\n", "> 1000\n")),
    fault(SLOW, "P90", THRESHOLD, "too late", ("0.95,", "0.9,")),
    fault(SLOW, "P99", THRESHOLD, "too early", ("0.95,", "0.99,")),
    fault(SLOW, "the median", THRESHOLD, "too late", ("0.95,", "0.5,")),
    fault(SLOW, "95 for 0.95", ALWAYS, "fires at every", ("0.95,", "95,")),
    fault(SLOW, "le lost", NEVER, "no label `le`", ("(job, le)", "(job)")),
    fault(SLOW, "per instance", LABELS, "2 alerts fire at once", ("(job, le)", "(job, instance, le)")),
    fault(SLOW, "over all jobs", LABELS, "no `job` label", ("(job, le)", "(le)")),
    fault(SLOW, "not aggregated", LABELS, "alerts fire at once", expr=f"histogram_quantile(0.95, rate({_BUCKET}[5m])) > 1"),
    fault(SLOW, "the largest of each bucket", SITUATION, "half of the traffic", ("sum by", "max by")),
    fault(SLOW, "the average of quantiles", SITUATION, "must",
          expr=f"avg by (job) (histogram_quantile(0.95, sum by (job, instance, endpoint, le) (rate({_BUCKET}[5m])))) > 1"),
    fault(SLOW, "the mean for a quantile", THRESHOLD, "too late",
          expr="sum by (job) (rate(http_request_duration_seconds_sum[5m])) / sum by (job) (rate(http_request_duration_seconds_count[5m])) > 1"),
    fault(SLOW, "share at the wrong bucket", THRESHOLD, "too early",
          expr=f'1 - sum by (job) (rate({_BUCKET}{{le="0.5"}}[5m])) / sum by (job) (rate({_BUCKET}{{le="+Inf"}}[5m])) > 0.05'),
    fault(SLOW, "share at a bucket that is not there", NEVER, "selects none of the signal",
          expr=f'1 - sum by (job) (rate({_BUCKET}{{le="1"}}[5m])) / sum by (job) (rate({_BUCKET}{{le="+Inf"}}[5m])) > 0.05'),
    fault(SLOW, "irate", SITUATION, "peak with every evaluation", ("(rate(", "(irate(")),
    fault(SLOW, "no rate at all", (HOLD, SITUATION), "", (f"rate({_BUCKET}[5m])", _BUCKET)),
    fault(SLOW, "window of 1m", SITUATION, "three minutes", ("[5m]", "[1m]")),
    fault(SLOW, "window of 1h", SITUATION, "three minutes", ("[5m]", "[1h]")),
    fault(SLOW, "window of 30s", NEVER, "stays quiet at every", ("[5m]", "[30s]")),
    fault(SLOW, "ten minutes late", SITUATION, "must fire", ("[5m]", "[5m] offset 10m")),
    fault(SLOW, "another metric", NEVER, "makes `http_request_duration_bucket`", ("_seconds_bucket", "_bucket")),
    fault(SLOW, "twice the hold", HOLD, "fires 10m after", ("for: 5m", "for: 10m")),
    fault(SLOW, "severity critical", LABELS, 'severity="critical"', ("severity: warning", "severity: critical")),
    fault(SLOW, "renamed", MISSING, "has no rule", ("alert: SlowResponseTime", "alert: SlowResponse")),

    # -- ServiceDown: a target down for 1 m ------------------------------------------------------------------------
    fault(DOWN, "up for down", COMPARISON, "", ("up == 0", "up == 1")),
    fault(DOWN, "!= for ==", COMPARISON, "", ("up == 0", "up != 0")),
    fault(DOWN, "> for ==", COMPARISON, "", ("up == 0", "up > 0")),
    fault(DOWN, "< for ==", NEVER, "stays quiet at every", ("up == 0", "up < 0")),
    fault(DOWN, ">= for ==", ALWAYS, "fires at every", ("up == 0", "up >= 0")),
    fault(DOWN, "== bool", ALWAYS, "fires at every", ("up == 0", "up == bool 0")),
    fault(DOWN, "only one job", SITUATION, "other jobs", ("up == 0", 'up{job="streaming"} == 0')),
    fault(DOWN, "only another job", NEVER, "stays quiet at every", ("up == 0", 'up{job="node"} == 0')),
    fault(DOWN, "only when all of a job are down", (THRESHOLD, LABELS), "", ("up == 0", "sum by (job) (up) == 0")),
    fault(DOWN, "which target is lost", LABELS, "no `instance` label", ("up == 0", "min by (job) (up) == 0")),
    fault(DOWN, "a share of the targets", LABELS, "no `instance` label", ("up == 0", "avg by (job) (up) < 1")),
    fault(DOWN, "absent for down", NEVER, "stays quiet at every", ("up == 0", "absent(up)")),
    fault(DOWN, "seldom for now", SITUATION, "must", ("up == 0", "avg_over_time(up[5m]) < 1")),
    fault(DOWN, "late", SITUATION, "must fire", ("up == 0", "max_over_time(up[10m]) == 0")),
    fault(DOWN, "no for", HOLD, "fires 0s after", ("        for: 1m\n", "")),
    fault(DOWN, "one tick longer", HOLD, "fires 1m30s after", ("for: 1m", "for: 1m30s")),
    fault(DOWN, "one tick shorter", HOLD, "fires 30s after", ("for: 1m", "for: 30s")),
    fault(DOWN, "severity warning", LABELS, "severity", ("severity: critical", "severity: warning")),
    fault(DOWN, "gone", MISSING, "has no rule", gone=True),

    # -- NoActiveStreams: no stream for 10 m -----------------------------------------------------------------------
    fault(IDLE, "!= for ==", COMPARISON, "stays quiet at exactly 0", ("== 0", "!= 0")),
    fault(IDLE, "> for ==", COMPARISON, "stays quiet at exactly 0", ("== 0", "> 0")),
    fault(IDLE, ">= for ==", ALWAYS, "fires at every", ("== 0", ">= 0")),
    fault(IDLE, "one stream too many", THRESHOLD, "1 streams too early", ("== 0", "<= 1")),
    fault(IDLE, "exactly one stream", THRESHOLD, "1 streams too", ("== 0", "== 1")),
    fault(IDLE, "fewer than five", THRESHOLD, "4 streams too early", ("== 0", "< 5")),
    fault(IDLE, "== bool", ALWAYS, "fires at every", ("== 0", "== bool 0")),
    fault(IDLE, "per instance", SITUATION, "two replicas", expr=f"{_STREAMS} == 0"),
    fault(IDLE, "min for sum", SITUATION, "two replicas of which one", ("sum by", "min by")),
    fault(IDLE, "count for sum", NEVER, "stays quiet at every", ("sum by", "count by")),
    fault(IDLE, "over all jobs", LABELS, "no `job` label", ("sum by (job)", "sum")),
    fault(IDLE, "by instance", LABELS, "job", ("by (job)", "by (instance)")),
    fault(IDLE, "absent for none", NEVER, "stays quiet at every", expr=f"absent({_STREAMS})"),
    fault(IDLE, "or absent", SITUATION, "no data at all", expr=f"sum by (job) ({_STREAMS}) == 0 or absent({_STREAMS})"),
    fault(IDLE, "or vector(0)", (ALWAYS, LABELS), "", expr=f"(sum by (job) ({_STREAMS}) or vector(0)) == 0"),
    fault(IDLE, "no recent stream at all", SITUATION, "must", expr=f"sum by (job) (max_over_time({_STREAMS}[10m])) == 0"),
    fault(IDLE, "lowest of ten minutes", SITUATION, "must", expr=f"sum by (job) (min_over_time({_STREAMS}[10m])) == 0"),
    fault(IDLE, "half the hold", HOLD, "fires 5m after", ("for: 10m", "for: 5m")),
    fault(IDLE, "one tick shorter", HOLD, "fires 9m after", ("for: 10m", "for: 9m")),
    fault(IDLE, "one tick longer", HOLD, "fires 11m after", ("for: 10m", "for: 11m")),
    fault(IDLE, "seconds for minutes", HOLD, "fires 1m after", ("for: 10m", "for: 10s")),
    fault(IDLE, "severity info", LABELS, "severity", ("severity: warning", "severity: info")),

    # -- HighCameraOfflineRate: > 20 % of the cameras for 5 m ------------------------------------------------------
    fault(CAM, ">= for >", COMPARISON, "fires at exactly 20 %", ("> 20\n", ">= 20\n")),
    fault(CAM, "< for >", COMPARISON, "fires below", ("> 20\n", "< 20\n")),
    fault(CAM, "one camera late", THRESHOLD, "0.1 % too late", ("> 20\n", "> 20.1\n")),
    fault(CAM, "5 % late", THRESHOLD, "5 % too late", ("> 20\n", "> 25\n")),
    fault(CAM, "a ratio for percent", THRESHOLD, "too early", ("> 20\n", "> 0.2\n")),
    fault(CAM, "against those online", THRESHOLD, "too early", (_CAMS, "gtvision_cameras_online")),
    fault(CAM, "those online", (COMPARISON, THRESHOLD), "", (_OFF, "gtvision_cameras_online")),
    fault(CAM, "per instance", SITUATION, "two instances", expr=f"100 * {_OFF} / {_CAMS} > 20"),
    fault(CAM, "average of the ratios", SITUATION, "two unequal instances", expr=f"100 * avg by (job) ({_OFF} / {_CAMS}) > 20"),
    fault(CAM, "max on both sides", SITUATION, "two instances", expr=f"100 * max by (job) ({_OFF}) / max by (job) ({_CAMS}) > 20"),
    fault(CAM, "over all jobs", LABELS, "no `job` label", expr=f"100 * sum({_OFF}) / sum({_CAMS}) > 20"),
    fault(CAM, "a number for a share", SITUATION, "two of nine", expr=f"sum by (job) ({_OFF}) > 200"),
    fault(CAM, "left side not summed", NEVER, "stays quiet at every", expr=f"100 * {_OFF} / sum by (job) ({_CAMS}) > 20"),
    fault(CAM, "rate of a gauge", (NEVER, THRESHOLD), "", expr=f"100 * sum by (job) (rate({_OFF}[5m])) / sum by (job) ({_CAMS}) > 20"),
    fault(CAM, "smoothed", SITUATION, "must", expr=f"100 * sum by (job) (avg_over_time({_OFF}[10m])) / sum by (job) ({_CAMS}) > 20"),
    fault(CAM, "late", SITUATION, "must fire", expr=f"100 * sum by (job) ({_OFF} offset 5m) / sum by (job) ({_CAMS} offset 5m) > 20"),
    fault(CAM, "one tick longer", HOLD, "fires 6m after", ("for: 5m", "for: 6m")),
    fault(CAM, "keep_firing_for", HOLD, "resolves 1m after", ("for: 5m\n", "for: 5m\n        keep_firing_for: 30s\n")),
    fault(CAM, "severity critical", LABELS, "severity", ("severity: warning", "severity: critical")),

    # -- RecordingFailures: > 0.1 errors/s for 5 m -----------------------------------------------------------------
    fault(REC, ">= for >", COMPARISON, "fires at exactly 0.1", ("> 0.1\n", ">= 0.1\n")),
    fault(REC, "< for >", COMPARISON, "fires below", ("> 0.1\n", "< 0.1\n")),
    fault(REC, "1 % too high", THRESHOLD, "too late", ("> 0.1\n", "> 0.101\n")),
    fault(REC, "a millionth too high", THRESHOLD, "too late", ("> 0.1\n", "> 0.1000001\n")),
    fault(REC, "ten times", THRESHOLD, "too late", ("> 0.1\n", "> 1\n")),
    fault(REC, "errors per minute", THRESHOLD, "too late", ("> 0.1\n", "> 6\n")),
    fault(REC, "increase for rate", THRESHOLD, "too early", ("rate(", "increase(")),
    fault(REC, "irate", SITUATION, "peak with every evaluation", ("rate(", "irate(")),
    fault(REC, "deriv for rate", SITUATION, "restart", ("rate(", "deriv(")),
    fault(REC, "rate of the sum", SITUATION, "restart", expr=f"rate(sum by (job) ({_FAILED})[5m:30s]) > 0.1"),
    fault(REC, "avg for sum", SITUATION, "only together", ("sum by", "avg by")),
    fault(REC, "max for sum", SITUATION, "only together", ("sum by", "max by")),
    fault(REC, "per instance", SITUATION, "only together", ("(job)", "(job, instance)")),
    fault(REC, "over all jobs", LABELS, "no `job` label", ("sum by (job)", "sum")),
    fault(REC, "window of 1m", SITUATION, "three minutes", ("[5m]", "[1m]")),
    fault(REC, "window of 10m", SITUATION, "between two scrapes", ("[5m]", "[10m]")),
    fault(REC, "late", SITUATION, "must fire", ("[5m]", "[5m] offset 10m")),
    fault(REC, "another metric", NEVER, "did you mean `gtvision_recording_errors_total`", ("_total[", "[")),
    fault(REC, "one tick shorter", HOLD, "fires 4m after", ("for: 5m", "for: 4m")),
    fault(REC, "severity warning", LABELS, "severity", ("severity: critical", "severity: warning")),

    # -- HighCPUUsage: > 80 % for 5 m ------------------------------------------------------------------------------
    fault(CPU, ">= for >", COMPARISON, "fires at exactly 80 %", ("> 80\n", ">= 80\n")),
    fault(CPU, "< for >", COMPARISON, "fires below", ("> 80\n", "< 80\n")),
    fault(CPU, "one percent late", THRESHOLD, "quiet at 81", ("> 80\n", "> 81\n")),
    fault(CPU, "a hundredth of a percent early", THRESHOLD, "too early", ("> 80\n", "> 79.99\n")),
    fault(CPU, "a billionth early", THRESHOLD, "too early", ("> 80\n", "> 79.999999999\n")),
    fault(CPU, "a ratio for percent", THRESHOLD, "too early", ("> 80\n", "> 0.8\n")),
    fault(CPU, "percent for a ratio", NEVER, "stays quiet at every", ("100 - 100 *", "1 -")),
    fault(CPU, "user for idle", (COMPARISON, THRESHOLD), "", ('"idle"', '"user"')),
    fault(CPU, "only user", SITUATION, "busy in user, system and iowait",
          expr='100 * avg by (job, instance) (rate(node_cpu_seconds_total{mode="user"}[5m])) > 80'),
    fault(CPU, "mode matcher dropped", NEVER, "stays quiet at every", ('{mode="idle"}', "")),
    fault(CPU, "sum for avg", THRESHOLD, "too late", ("avg by", "sum by")),
    fault(CPU, "max for avg", SITUATION, "one idle core", ("avg by", "max by")),
    fault(CPU, "min for avg", SITUATION, "one hot core", ("avg by", "min by")),
    fault(CPU, "count for avg", NEVER, "stays quiet at every", ("avg by", "count by")),
    fault(CPU, "per core", LABELS, "4 alerts fire at once", ("(job, instance)", "(job, instance, cpu)")),
    fault(CPU, "per job", LABELS, "no `instance` label", ("(job, instance)", "(job)")),
    fault(CPU, "over all machines", LABELS, "no `instance` label", ("avg by (job, instance)", "avg")),
    fault(CPU, "irate", SITUATION, "peaks with every evaluation", (" (rate(", " (irate(")),
    fault(CPU, "increase", THRESHOLD, "too late", (" (rate(", " (increase(")),
    fault(CPU, "delta", THRESHOLD, "too late", (" (rate(", " (delta(")),
    fault(CPU, "window of 1m", SITUATION, "three minutes", ("[5m]", "[1m]")),
    fault(CPU, "window of 2m", SITUATION, "three minutes", ("[5m]", "[2m]")),
    fault(CPU, "window of 10m", SITUATION, "must", ("[5m]", "[10m]")),
    fault(CPU, "window of 30s", NEVER, "rate() needs two", ("[5m]", "[30s]")),
    fault(CPU, "late", SITUATION, "must fire", ("[5m]", "[5m] offset 10m")),
    fault(CPU, "no for", HOLD, "fires 0s after", ("        for: 5m\n", "")),
    fault(CPU, "one tick longer", HOLD, "fires 5m30s after", ("for: 5m", "for: 5m30s")),
    fault(CPU, "ten minutes", HOLD, "fires 10m after", ("for: 5m", "for: 10m")),
    fault(CPU, "severity critical", LABELS, "severity", ("severity: warning", "severity: critical")),
    fault(CPU, "an unless that always holds", NEVER, "stays quiet at every", ("> 80\n", "> 80 unless on () vector(1)\n")),

    # -- HighMemoryUsage: > 85 % for 5 m, to the byte --------------------------------------------------------------
    fault(MEM, ">= for >", COMPARISON, "fires at exactly 85 %", ("> 85\n", ">= 85\n")),
    fault(MEM, "< for >", COMPARISON, "fires below", ("> 85\n", "< 85\n")),
    fault(MEM, "one percent late", THRESHOLD, "1 % too late", ("> 85\n", "> 86\n")),
    fault(MEM, "one byte late", THRESHOLD, "too late", ("> 85\n", "> 85.00000000625\n")),
    fault(MEM, "one byte early", THRESHOLD, "too early", ("> 85\n", ">= 84.99999999375\n")),
    fault(MEM, "a ratio for percent", THRESHOLD, "too early", ("> 85\n", "> 0.85\n")),
    fault(MEM, "percent against a ratio", NEVER, "stays quiet at every", ("100 * (", "(")),
    fault(MEM, "free for available", THRESHOLD, "too early", ("MemAvailable", "MemFree")),
    fault(MEM, "free + cached + buffers", SITUATION, "cannot be given back",
          (_AVAILABLE, "node_memory_MemFree_bytes - node_memory_Cached_bytes - node_memory_Buffers_bytes")),
    fault(MEM, "upside down", (COMPARISON, THRESHOLD), "", expr=f"100 * {_AVAILABLE} / {_TOTAL} > 85"),
    fault(MEM, "against what is available", THRESHOLD, "too early", expr=f"100 * ({_TOTAL} - {_AVAILABLE}) / {_AVAILABLE} > 85"),
    fault(MEM, "over all machines", LABELS, "no `instance` label",
          expr=f"100 * (sum({_TOTAL}) - sum({_AVAILABLE})) / sum({_TOTAL}) > 85"),
    fault(MEM, "by job", LABELS, "no `instance` label",
          expr=f"100 * sum by (job) ({_TOTAL} - {_AVAILABLE}) / sum by (job) ({_TOTAL}) > 85"),
    fault(MEM, "bytes for a share", SITUATION, "must", expr=f"{_TOTAL} - {_AVAILABLE} > 13600000000"),
    fault(MEM, "many to many", ERROR, "cannot evaluate",
          expr=f"100 * (1 - {_AVAILABLE} / on (job) group_left () {_TOTAL}) > 85"),
    fault(MEM, "the worst of ten minutes", SITUATION, "must", expr=f"100 * (1 - min_over_time({_AVAILABLE}[10m]) / {_TOTAL}) > 85"),
    fault(MEM, "the average of ten minutes", SITUATION, "must", expr=f"100 * (1 - avg_over_time({_AVAILABLE}[10m]) / {_TOTAL}) > 85"),
    fault(MEM, "late", SITUATION, "must fire", expr=f"100 * (1 - {_AVAILABLE} offset 10m / {_TOTAL}) > 85"),
    fault(MEM, "four minutes", HOLD, "fires 4m after", ("for: 5m", "for: 4m")),
    fault(MEM, "severity missing", LABELS, "no `severity` label", ("          severity: warning\n", "")),
    fault(MEM, "misspelt", NEVER, "makes `node_memory_Memtotal_bytes` (did you mean `node_memory_MemTotal_bytes`", expr=f"100 * (1 - {_AVAILABLE} / node_memory_Memtotal_bytes) > 85"),

    # -- LowDiskSpace: < 15 % for 5 m, to the byte -----------------------------------------------------------------
    fault(DISK, "<= for <", COMPARISON, "fires at exactly 15 %", ("< 15\n", "<= 15\n")),
    fault(DISK, "> for <", COMPARISON, "fires above", ("< 15\n", "> 15\n")),
    fault(DISK, "one percent late", THRESHOLD, "1 % too late", ("< 15\n", "< 14\n")),
    fault(DISK, "one percent early", THRESHOLD, "1 % too early", ("< 15\n", "< 16\n")),
    fault(DISK, "a byte early", THRESHOLD, "too early", ("< 15\n", "< 15.0000000002\n")),
    fault(DISK, "a ratio for percent", THRESHOLD, "too late", ("< 15\n", "< 0.15\n")),
    fault(DISK, "percent against a ratio", ALWAYS, "fires at every", ("          100\n            * ", "          ")),
    fault(DISK, "< bool", ALWAYS, "fires at every", ("< 15\n", "< bool 15\n")),
    fault(DISK, "free for avail", SITUATION, "reserved for root", ("node_filesystem_avail_bytes{", "node_filesystem_free_bytes{")),
    fault(DISK, "size over avail", NEVER, "stays quiet at every", expr="100 * node_filesystem_size_bytes / node_filesystem_avail_bytes < 15"),
    fault(DISK, "every file system", SITUATION, "pseudo file systems",
          expr="100 * node_filesystem_avail_bytes / node_filesystem_size_bytes < 15 and node_filesystem_readonly == 0"),
    fault(DISK, "tmpfs not left out", SITUATION, "tmpfs", ("|tmpfs|", "|")),
    fault(DISK, "overlay not left out", SITUATION, "overlay", ("|overlay|", "|")),
    fault(DISK, "read-only not left out", SITUATION, "read-only", (_READONLY, "")),
    fault(DISK, "only read-only ones", NEVER, "stays quiet at every", ("readonly == 0", "readonly == 1")),
    fault(DISK, "only the root file system", NEVER, "stays quiet at every", ('{fstype!~"', '{mountpoint="/", fstype!~"')),
    fault(DISK, "only ext4", SITUATION, "xfs", expr='100 * node_filesystem_avail_bytes{fstype="ext4"} / node_filesystem_size_bytes < 15 and node_filesystem_readonly == 0'),
    fault(DISK, "a filter turned round", NEVER, "stays quiet at every", ("fstype!~", "fstype=~")),
    fault(DISK, "per machine", LABELS, "no `mountpoint` label",
          expr=f"100 * sum by (job, instance) (node_filesystem_avail_bytes{{{_PSEUDO}}}) / sum by (job, instance) (node_filesystem_size_bytes) < 15 and on (instance) node_filesystem_readonly == 0"),
    fault(DISK, "many to many", ERROR, "cannot evaluate",
          expr=f"100 * node_filesystem_avail_bytes{{{_PSEUDO}}} / on (instance) group_left () node_filesystem_size_bytes < 15 and on (instance) node_filesystem_readonly == 0"),
    fault(DISK, "bytes for a share", SITUATION, "must", expr=f"node_filesystem_avail_bytes{{{_PSEUDO}}} < 75000000000 and node_filesystem_readonly == 0"),
    fault(DISK, "a forecast", (NEVER, SITUATION, THRESHOLD), "", expr=f"predict_linear(node_filesystem_avail_bytes{{{_PSEUDO}}}[1h], 4 * 3600) < 0"),
    fault(DISK, "late", SITUATION, "must fire", expr=f"100 * node_filesystem_avail_bytes{{{_PSEUDO}}} offset 10m / node_filesystem_size_bytes < 15 and node_filesystem_readonly == 0"),
    fault(DISK, "one tick longer", HOLD, "fires 5m30s after", ("for: 5m", "for: 5m30s")),
    fault(DISK, "severity warning", LABELS, "severity", ("severity: critical", "severity: warning")),
]  # fmt: skip


EQUIVALENTS = [
    same(ERR, "a ratio throughout", expr=f"sum by (job) ({_FIVES}) / sum by (job) ({_ALL}) > 0.05"),
    same(ERR, "percent at the end", expr=f"sum by (job) ({_FIVES}) / sum by (job) ({_ALL}) * 100 > 5"),
    same(ERR, "the limit first", expr=f"5 < 100 * sum by (job) ({_FIVES}) / sum by (job) ({_ALL})"),
    same(ERR, "increase on both sides", expr=f"100 * sum by (job) ({_FIVES.replace('rate', 'increase')}) / sum by (job) ({_ALL.replace('rate', 'increase')}) > 5"),
    # Its group evaluates the recording after it, so it sees the previous tick, from pending to resolved alike.
    same(ERR, "recorded after its reader", expr="100 * job:errors:ratio > 5",
         after=recorded("job:errors:ratio", f"sum by (job) ({_FIVES}) / sum by (job) ({_ALL})".replace('"', "'"))),
    same(ERR, "another regular expression", ('"5.."', '"5[0-9][0-9]"')),
    same(ERR, "without for by", expr=f"100 * sum without (instance, method, endpoint, status) ({_FIVES}) / sum without (instance, method, endpoint, status) ({_ALL}) > 5"),
    same(ERR, "on(job)", expr=f"100 * sum by (job) ({_FIVES}) / on (job) sum by (job) ({_ALL}) > 5"),
    same(ERR, "recorded before", before=recorded("job:errors:rate5m", f"sum by (job) ({_FIVES})".replace('"', "'")) + recorded("job:requests:rate5m", f"sum by (job) ({_ALL})"),
         expr="job:errors:rate5m / job:requests:rate5m > 0.05"),
    same(ERR, "a hold in seconds", ("for: 5m", "for: 300s")),
    same(ERR, "a hold rounded up to the same tick", ("for: 5m", "for: 4m31s")),
    same(ERR, "a group of another name", group=("name: application", "name: http")),
    same(ERR, "other words, more labels", ("High error rate of {{ $labels.job }}", "{{ $labels.job }}: {{ $value | humanize }} % of all requests fail"), ("team: streaming", "team: web\n          tier: '1'\n          service: '{{ $labels.job }}'")),
    same(ERR, "a condition that always holds", ("> 5\n", "> 5 and on () vector(0)\n")),
    same(ERR, "only with traffic", ("> 5\n", f"> 5 and sum by (job) ({_ALL}) > 0\n")),
    same(SLOW, "the limit first", expr=f"1 < histogram_quantile(0.95, sum by (le, job) (rate({_BUCKET}[5m])))"),
    same(SLOW, "without for by", expr=f"histogram_quantile(0.95, sum without (instance, method, endpoint) (rate({_BUCKET}[5m]))) > 1"),
    same(SLOW, "avg of the buckets", ("sum by", "avg by")),
    same(SLOW, "increase", ("(rate(", "(increase(")),
    same(SLOW, "milliseconds", ("          )\n            > 1\n", "          ) * 1000 > 1000\n")),
    same(SLOW, "share within 1 s", expr=f'sum by (job) (rate({_BUCKET}{{le="1.0"}}[5m])) / sum by (job) (rate(http_request_duration_seconds_count[5m])) < 0.95'),
    same(SLOW, "recorded", before=recorded("job_le:latency:rate5m", f"sum by (job, le) (rate({_BUCKET}[5m]))"), expr="histogram_quantile(0.95, job_le:latency:rate5m) > 1"),
    same(DOWN, "up < 1", ("up == 0", "up < 1")),
    same(DOWN, "up != 1", ("up == 0", "up != 1")),
    same(DOWN, "up <= 0", ("up == 0", "up <= 0")),
    same(DOWN, "0 == up", ("up == 0", "0 == up")),
    same(DOWN, "counted by target", ("up == 0", "count by (job, instance) (up == 0) > 0")),
    same(DOWN, "unless it is up", ("up == 0", "up unless up == 1")),
    same(DOWN, "a hold in seconds", ("for: 1m", "for: 60s")),
    same(IDLE, "< 1", ("== 0", "< 1")),
    same(IDLE, "<= 0", ("== 0", "<= 0")),
    same(IDLE, "the largest", ("sum by", "max by")),
    same(IDLE, "the average", ("sum by", "avg by")),
    same(IDLE, "without", ("by (job)", "without (instance)")),
    same(IDLE, "an interval of half a minute", group=("interval: 1m", "interval: 30s")),
    same(IDLE, "recorded", before=recorded("job:streams:sum", f"sum by (job) ({_STREAMS})"), expr="job:streams:sum == 0"),
    same(CAM, "a ratio", expr=f"sum by (job) ({_OFF}) / sum by (job) ({_CAMS}) > 0.2"),
    same(CAM, "online and offline", expr=f"100 * sum by (job) ({_OFF}) / sum by (job) (gtvision_cameras_online + {_OFF}) > 20"),
    same(CAM, "those not online", expr=f"100 * (1 - sum by (job) (gtvision_cameras_online) / sum by (job) ({_CAMS})) > 20"),
    same(CAM, "multiplied out", expr=f"sum by (job) ({_OFF}) > 0.2 * sum by (job) ({_CAMS})"),
    same(REC, "per minute", expr=f"sum by (job) (rate({_FAILED}[5m])) * 60 > 6"),
    same(REC, "per five minutes", expr=f"sum by (job) (increase({_FAILED}[5m])) > 30"),
    same(REC, "increase per second", expr=f"sum by (job) (increase({_FAILED}[5m])) / 300 > 0.1"),
    same(REC, "recorded per instance", before=recorded("instance:failures:rate5m", f"rate({_FAILED}[5m])"), expr="sum by (job) (instance:failures:rate5m) > 0.1"),
    same(CPU, "the usual way", expr=f"100 - (avg by (instance) ({_CPU}) * 100) > 80"),
    same(CPU, "one minus idle", expr=f"(1 - avg by (instance) ({_CPU})) * 100 > 80"),
    same(CPU, "a ratio", expr=f"1 - avg by (job, instance) ({_CPU}) > 0.8"),
    same(CPU, "too little idle", expr=f"avg by (job, instance) ({_CPU}) < 0.2"),
    same(CPU, "the limit first", expr=f"80 < 100 - 100 * avg by (job, instance) ({_CPU})"),
    same(CPU, "without", expr=f"100 - 100 * avg without (cpu, mode) ({_CPU}) > 80"),
    same(CPU, "all that is not idle", expr='100 * sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m])) / sum by (instance) (rate(node_cpu_seconds_total[5m])) > 80'),
    same(CPU, "idle among all", expr=f"100 * (1 - sum by (instance) ({_CPU}) / sum by (instance) (rate(node_cpu_seconds_total[5m]))) > 80"),
    same(CPU, "busy cores", expr=f"count by (instance) ({_CPU}) - sum by (instance) ({_CPU}) > 0.8 * count by (instance) ({_CPU})"),
    same(CPU, "recorded", before=recorded("instance:cpu_idle:rate5m", f"avg by (instance) ({_CPU})".replace('"', "'")), expr="100 * (1 - instance:cpu_idle:rate5m) > 80"),
    same(MEM, "one minus available", expr=f"(1 - {_AVAILABLE} / {_TOTAL}) * 100 > 85"),
    same(MEM, "a ratio", expr=f"1 - {_AVAILABLE} / {_TOTAL} > 0.85"),
    same(MEM, "too little available", expr=f"100 * {_AVAILABLE} / {_TOTAL} < 15"),
    same(MEM, "by instance", expr=f"100 * sum by (instance) ({_TOTAL} - {_AVAILABLE}) / sum by (instance) ({_TOTAL}) > 85"),
    same(DISK, "a shorter list", expr=f"{_FREE} < 15 and node_filesystem_readonly == 0"),
    same(DISK, "a list of real ones", expr='100 * node_filesystem_avail_bytes{fstype=~"ext[234]|xfs|btrfs|vfat"} / node_filesystem_size_bytes < 15 and node_filesystem_readonly == 0'),
    same(DISK, "unless read-only", expr=f"{_FREE} < 15 unless node_filesystem_readonly == 1"),
    same(DISK, "a ratio", expr=f"node_filesystem_avail_bytes{{{_PSEUDO}}} / node_filesystem_size_bytes{{{_PSEUDO}}} < 0.15 and node_filesystem_readonly{{{_PSEUDO}}} == 0"),
    same(DISK, "used space", expr=f"100 - {_FREE} > 85 and node_filesystem_readonly == 0"),
    same(DISK, "one minus", expr=f"(1 - node_filesystem_avail_bytes{{{_PSEUDO}}} / node_filesystem_size_bytes) * 100 > 85 and node_filesystem_readonly == 0"),
    same(DISK, "by mount point", expr=f"100 * min by (instance, mountpoint, device, fstype) (node_filesystem_avail_bytes{{{_PSEUDO}}} / node_filesystem_size_bytes unless node_filesystem_readonly == 1) < 15"),
]  # fmt: skip
