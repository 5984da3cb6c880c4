"""Escape cells against CSV injection: spreadsheets run what looks like a formula. Writes no file."""

from __future__ import annotations

import re

# What makes a spreadsheet read a cell as a formula. The list is OWASP's; East Asian editions also read the full-width signs.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
# A number or a percentage with its sign is a number to a spreadsheet too, and runs nothing.
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?( ?%)?")
# A cell of Excel holds 32,767 characters: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
LONGEST_CELL = 32_000


def safe_cell(value: str) -> str:
    """The text with an apostrophe in front if a spreadsheet would run it; numbers stay as they are. Cut to a cell's length."""
    value = value[:LONGEST_CELL].replace("\0", "")
    if FORMULA.match(value) and not NUMBER.fullmatch(value):
        return "'" + value
    return value
