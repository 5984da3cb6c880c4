"""Write CSV that spreadsheets open safely, though they run what looks like a formula. Writes no file."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

# What makes a spreadsheet read a cell as a formula. The list is OWASP's; East Asian editions also read the full-width signs.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
# An edition whose language separates cells by semicolons may begin a new cell behind one, and pasting does behind a tab.
# Every cell is quoted against that; a sign at such a place is set apart by an apostrophe as well.
HIDDEN_FORMULA = re.compile(r"([;\t\uff1b]\s*\"?\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
# A number or a percentage with its sign is a number to a spreadsheet too, and runs nothing.
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?( ?%)?")
# A cell of Excel holds 32,767 characters: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
LONGEST_CELL = 32_000


def csv_writer(out: io.StringIO) -> Any:  # noqa: ANN401 - the module csv names no type for it.
    """A writer that quotes every cell; RFC 4180 asks for CRLF between records."""
    return csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)


def safe_cell(value: str) -> str:
    """The text with an apostrophe where a spreadsheet would run it; numbers stay as they are. Cut to a cell's length."""
    value = HIDDEN_FORMULA.sub(r"\1'", value.replace("\0", "")[:LONGEST_CELL])[:LONGEST_CELL]
    if FORMULA.match(value) and not NUMBER.fullmatch(value):
        return "'" + value
    return value
