"""Text and YAML files, with the place of every node kept so that messages can point at it.

YAML is composed into nodes (never constructed into Python objects by tag), so loading is safe, duplicate keys are
seen, and each field still knows its line and column.
"""

from harness.source.fields import Fields, Item, duration_ms, number, whole_number
from harness.source.file import SourceFile, display_path
from harness.source.load import load_yaml, merged, unshared
from harness.source.text import Text

__all__ = [
    "Fields",
    "Item",
    "SourceFile",
    "Text",
    "display_path",
    "duration_ms",
    "load_yaml",
    "merged",
    "number",
    "unshared",
    "whole_number",
]
