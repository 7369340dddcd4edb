"""Numbers as people write them in files and on the command line: taken exactly, and bounded.

One reader for all of them. Python's own take `1_0`, Arabic digits and `infinity`, and build every digit of
`3e88120450`, which never ends; a label that happens to look like that is just a text.
"""

from __future__ import annotations

import re
import sys
from fractions import Fraction

LARGEST = Fraction(sys.float_info.max)
"""The largest double."""
MAX_DIGITS = 1_100
"""The smallest double has 1,075 when it is written out."""
MAX_EXPONENT = 999
DECIMAL = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
"""A decimal without its sign, as a regular expression."""
_DECIMAL = re.compile(rf"[-+]?{DECIMAL}")
MAX_WHOLE_DIGITS = 18
"""Such a number fits into 64 bits, whatever its digits are."""


def parse_decimal(text: str) -> Fraction:
    """``80``, ``-0.05``, ``1e9``, exactly.

    Raises ValueError with a sentence for people, also for more digits or a larger exponent than any double needs.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"expected a number, found `{shortened(text)}`")
    mantissa, _, exponent = text.lower().partition("e")
    power = exponent.lstrip("+-").lstrip("0")
    if len(power) > len(str(MAX_EXPONENT)):
        raise ValueError(f"expected a number, found `{shortened(text)}`, whose exponent is beyond {MAX_EXPONENT}")
    if len(mantissa) > MAX_DIGITS:
        raise ValueError(f"expected a number of at most {MAX_DIGITS:,} digits, found `{shortened(text)}`")
    return Fraction(text)


def parse_number(text: str) -> Fraction:
    """A decimal or a quotient of two, such as ``1/3``; raises ValueError as :func:`parse_decimal` does."""
    top, slash, bottom = text.partition("/")
    if not slash:
        return parse_decimal(text)
    divisor = parse_decimal(bottom.strip())
    if not divisor:
        raise ValueError(f"expected a number, found `{shortened(text)}`, a division by zero")
    return parse_decimal(top.strip()) / divisor


def parse_whole(text: str) -> int:
    """``0``, ``12``: digits alone, at most 18 of them; raises ValueError with a sentence for people."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"expected a whole number, found `{shortened(text)}`")
    if len(text) > MAX_WHOLE_DIGITS:
        raise ValueError(f"expected a whole number of at most {MAX_WHOLE_DIGITS} digits, found `{shortened(text)}`")
    return int(text)


def shortened(text: str) -> str:
    """The text for a message: what is too long to be read is cut."""
    return text if len(text) <= 40 else f"{text[:30]}…"
