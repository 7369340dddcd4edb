"""Prometheus rule files: groups, alerting and recording rules with their places, and what an expression says."""

from harness.rules.load import Loaded, RuleFault, load_rule_file, load_rules, read_rules
from harness.rules.model import AlertRule, Group, RecordingRule, Rule, RuleFile

__all__ = [
    "AlertRule",
    "Group",
    "Loaded",
    "RecordingRule",
    "Rule",
    "RuleFault",
    "RuleFile",
    "load_rule_file",
    "load_rules",
    "read_rules",
]
