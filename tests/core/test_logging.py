"""No secret reaches a log line, by its name or by its look."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import logging as product_logging
from app.core.logging import (
    LONGEST_VALUE,
    MOST_VALUES,
    REDACTED,
    bind_correlation_id,
    bind_fields,
    configure_logs,
    escape,
    redact,
    redact_shortened,
    shortened,
)

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


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/callback?access_token={}&state=abc",
        "Authorization: Bearer {}",
        "postgresql://product:{}@db/product",
        '{{"refresh_token": "{}"}}',
    ],
)
@pytest.mark.parametrize("words", [0, 100, 161, 1600])
@pytest.mark.parametrize("length", [LONGEST_VALUE, 20 * LONGEST_VALUE])
def test_of_a_secret_in_the_middle_of_a_long_text_no_part_is_left(text: str, words: int, length: int) -> None:
    shown = redact_shortened(["words " * words + text.format("z" * length)], "")
    assert "zz" not in shown[0]
    assert len(shown[0]) <= LONGEST_VALUE


@pytest.mark.parametrize("name", ["client_secret", "refresh_token", "Authorization", "cookie", "code", "password"])
def test_a_secret_by_its_name_is_cut_out_wherever_it_stands(name: str) -> None:
    assert redact({"answer": [{name: TOKEN}]}) == {"answer": [{name: REDACTED}]}


@given(st.dictionaries(st.sampled_from(["instance", "table", "ms", "number"]), st.integers() | st.booleans()))
def test_what_is_no_secret_stays(event: dict[str, object]) -> None:
    assert redact(event) == event


@pytest.fixture
def _handlers_stay() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.usefixtures("_handlers_stay")
def test_no_foreign_value_begins_a_line_of_its_own(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    configure_logs(as_json=as_json)
    logging.getLogger("uvicorn.error").warning("Invalid %s", "x\r\n2026-01-01 forged \x1b[31m\u2028\u202e")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "\x1b[31m\u2028" not in lines[0]
    assert "forged" in lines[0]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.usefixtures("_handlers_stay")
def test_a_trace_keeps_its_lines_and_its_error_commands_no_terminal(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    configure_logs(as_json=as_json)
    try:
        raise ValueError("said\x1b[31m\r\ud800")
    except ValueError:
        logging.getLogger("procrastinate.worker").exception("It failed")
    written = capsys.readouterr().err
    trace = json.loads(written)["exception"] if as_json else written
    assert trace.startswith("Traceback") or not as_json
    assert "\n" in trace.strip()
    assert "ValueError: said\\u001b[31m\\u000d\\ud800" in trace


@pytest.mark.usefixtures("_handlers_stay")
def test_lines_of_libraries_carry_the_ids_as_ours_do(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(as_json=True)
    bind_correlation_id("0123456789abcdef")
    bind_fields(ticket="a-ticket", number="")
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).error("Something of %s", name)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["correlation_id"], line["ticket"], "number" in line) for line in lines] == [
        ("0123456789abcdef", "a-ticket", False)
    ] * 2


@given(st.text())
def test_an_escaped_text_is_one_printable_line(text: str) -> None:
    assert len(escape(text).splitlines()) <= 1
    escape(text).encode()


def test_a_long_value_is_cut() -> None:
    once = escape("x" * LONGEST_VALUE * 2)
    assert LONGEST_VALUE - 50 < len(once) <= LONGEST_VALUE
    # Each line passes through more than one place that cuts.
    assert escape(once) == once


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


@given(st.text(alphabet='ab &"', min_size=101, max_size=300))
def test_a_text_that_is_cut_between_words_keeps_no_part_of_one(text: str) -> None:
    head, _, tail = shortened(text, 100, whole_words=True).split(" … ")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert head[-1:] in ("", *' &"')
    assert tail[:1] in ("", *' &"')


def test_what_is_logged_is_shortened_on_its_way() -> None:
    written = product_logging._redact_event(None, "warning", {"event": "outside.answered", "reason": "r " * 500_000})
    assert 1_000 < len(str(written)) < 4_000
