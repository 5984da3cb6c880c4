"""No secret reaches a log line, by its name or by its look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import logging
from app.core.logging import LONGEST_VALUE, MOST_VALUES, REDACTED, redact, shortened

TOKEN = "ZUhCbmZrU2hZbXBs0123456789abcdefghijkl"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"grant_type=refresh_token&refresh_token={TOKEN}&client_id=abc",
        f'{{"access_token": "{TOKEN}", "expires_in": 1799}}',
        f"/servicenow/callback?code={TOKEN}&state=abc",
        f"%7B%22access_token%22%3A%22{TOKEN}%22%7D",
        f"postgresql://product:{TOKEN}@db/product",
        f"client_secret%3D{TOKEN}",
    ],
)
def test_a_secret_in_a_text_is_cut_out(text: str) -> None:
    assert TOKEN not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize("name", ["client_secret", "refresh_token", "Authorization", "cookie", "code", "password"])
def test_a_secret_by_its_name_is_cut_out_wherever_it_stands(name: str) -> None:
    assert redact({"answer": [{name: TOKEN}]}) == {"answer": [{name: REDACTED}]}


@given(st.dictionaries(st.sampled_from(["instance", "table", "ms", "number"]), st.integers() | st.booleans()))
def test_what_is_no_secret_stays(event: dict[str, object]) -> None:
    assert redact(event) == event


def test_a_value_from_outside_does_not_flood_the_log_and_keeps_no_secret() -> None:
    event = {
        "reason": "r" * 20_000_000,
        "rows": [{"number": "n" * 100_000}] * 5_000,
        "exception": "first\n" + "line\n" * 100_000 + "last: Bearer abcdefghijklmnop",
        "raw": b"\xff" * 100_000,
        "short": "as it is",
    }
    written = {name: redact(shortened(value), name) for name, value in event.items()}
    assert len(str(written)) < 400_000
    assert len(written["reason"]) < LONGEST_VALUE + 50
    assert len(written["rows"]) == MOST_VALUES
    assert written["exception"].startswith("first")
    assert written["exception"].endswith("last: Bearer [redacted]")
    assert written["short"] == "as it is"


def test_what_is_logged_is_shortened_on_its_way() -> None:
    written = logging._redact_event(None, "warning", {"event": "outside.answered", "reason": "r" * 1_000_000})
    assert 1_000 < len(str(written)) < 4_000
