"""Makes texts harmless to spreadsheets, which run what looks like a formula. Writes no file."""

from __future__ import annotations

import re

# What makes a spreadsheet take a cell for a formula, in full width too: East Asian editions read those letters alike.
# The list is OWASP's, at owasp.org/www-community/attacks/CSV_Injection.
FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
# A cell of Excel holds 32,767 characters.
LONGEST_CELL = 32_000


def safe_cell(value: str) -> str:
    """A text that no spreadsheet runs: what looks like a formula gets an apostrophe in front. Numbers stay numbers."""
    value = value[:LONGEST_CELL].replace("\0", "")
    if FORMULA.match(value) and not NUMBER.fullmatch(value):
        return "'" + value
    return value
