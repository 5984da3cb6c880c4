"""How numbers, dates, moments and data are written into pages."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import SetClock
from app.web.templating import (
    STATIC,
    ago,
    asset,
    format_date,
    format_moment,
    format_number,
    format_percent,
    path_quote,
    since,
    to_data,
)

NOON = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (None, 2, "–"),
        (0, 2, "0"),
        (1234567.5, 2, "1,234,567.5"),
        (0.126, 2, "0.13"),
        (2.5, 0, "3"),
        (61.25, 1, "61.3"),
        (8.125, 2, "8.13"),
        (-0.0, 2, "0"),
        (1e300, 0, "1" + ",000" * 100),
        (-3.10, 2, "-3.1"),
        (float("nan"), 2, "–"),
        (float("inf"), 0, "–"),
        (float("-inf"), 2, "–"),
        (10**400, 2, "–"),
    ],
)
def test_a_number_has_no_useless_zeros(value: float | None, digits: int, expected: str) -> None:
    assert format_number(value, digits) == expected


@given(st.floats() | st.integers(), st.integers(0, 4))
def test_no_number_at_all_breaks_a_page(value: float, digits: int) -> None:
    assert 0 < len(format_number(value, digits)) < 500
    assert len(format_percent(value, digits)) < 500


@pytest.mark.parametrize(
    ("value", "digits", "expected"), [(None, 0, "–"), (49.1, 0, "49%"), (49.126, 2, "49.13%"), (0.0, 0, "0%"), (100.0, 1, "100%")]
)  # fmt: skip
def test_a_percentage_counts_to_a_hundred(value: float | None, digits: int, expected: str) -> None:
    assert format_percent(value, digits) == expected


def test_a_day_is_spelled_out() -> None:
    assert format_date(date(2026, 11, 5)) == "5 Nov 2026"
    assert format_date(None) == "–"


def test_a_moment_is_in_utc_and_readable_by_machines() -> None:
    assert format_moment(NOON) == '<time datetime="2026-11-05T12:00:00+00:00">5 Nov 2026, 12:00 UTC</time>'
    assert format_moment(None) == "–"


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=30), "30 seconds ago"),
        (timedelta(minutes=2), "2 minutes ago"),
        (timedelta(hours=26), "1 day ago"),
        (timedelta(days=-3), "in 3 days"),
    ],
)
def test_the_age_of_a_moment_is_in_one_unit(still_clock: SetClock, passed: timedelta, words: str) -> None:
    moment = still_clock.now() - passed
    html = ago(moment)
    assert f">{words}</time>" in html
    assert f'data-ago="{int(passed.total_seconds())}"' in html
    assert f'datetime="{moment.isoformat(timespec="seconds")}"' in html


def test_what_never_happened_has_no_age() -> None:
    assert ago(None) == since(None) == "never"


def test_a_moment_in_a_kept_text_is_exact(still_clock: SetClock) -> None:
    moment = still_clock.now()
    html = since(moment)
    still_clock.move(3600)
    assert since(moment) == html
    assert html == '<time datetime="2026-11-20T09:00:00+00:00" data-since>20 Nov 2026, 09:00 UTC</time>'


def test_a_value_of_a_query_is_quoted_whole() -> None:
    assert path_quote("a/b c&d=é") == "a%2Fb%20c%26d%3D%C3%A9"


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_data_for_scripts_is_json_that_cannot_end_its_element(value: object) -> None:
    written = str(to_data(value))
    assert json.loads(written) == value
    assert not set(written) & set("<>&")


def test_an_asset_carries_its_content_in_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    first = asset("js/theme.js")
    assert first.startswith("/static/js/theme.js?v=")
    assert asset("js/tabs.js").rpartition("=")[2] != first.rpartition("=")[2]
    assert (STATIC / "js" / "theme.js").is_file()
    with pytest.raises(FileNotFoundError):
        asset("js/nothing.js")
