"""Each of Entra ID's numbers names what fixes it, and no one is told to sign in again for an import."""

from __future__ import annotations

import pytest

from app.integrations.microsoft.aadsts import _BY_NUMBER, _NUMBERS, TRANSIENT, Purpose, explain, number_in, number_of

# What an administrator has to find in the sentence: the setting, or the screen of the admin center.
FIXED_BY = {
    50011: "Authentication, platform Web", 500113: "Authentication, platform Web", 900971: "/sign-in/callback",
    9002327: "single-page application", 9002325: "platform Web", 700025: "Allow public client flows",
    7000215: "Value, not its Secret ID", 7000222: "has expired", 7000218: "ENTRA_CLIENT_SECRET",
    7000112: "Enabled for users to sign-in", 700016: "ENTRA_CLIENT_ID", 7000229: "grants admin consent",
    90002: "ENTRA_TENANT_ID", 900023: "ENTRA_TENANT_ID", 50194: "ENTRA_TENANT_ID", 900382: "MICROSOFT_CLOUD",
    500011: "GRAPH_URL", 65001: "Grant admin consent", 90094: "Grant admin consent", 65005: "API permissions",
    65004: "choose Accept", 50105: "Users and groups", 50020: "work account", 53003: "Conditional Access",
    53000: "Conditional Access", 50076: "second factor", 50057: "disabled", 50126: "password", 70008: "Sign in again",
    54005: "Sign in again", 700054: "ID tokens", 500021: "tenant restrictions", 900144: "proxy",
}  # fmt: skip


@pytest.mark.parametrize(("number", "words"), FIXED_BY.items(), ids=str)
@pytest.mark.fact("microsoft-graph 2.3")
def test_each_number_names_the_setting_or_the_screen_that_fixes_it(number: int, words: str) -> None:
    told = explain(number, Purpose.SIGN_IN)
    assert words in str(told)
    assert f"(AADSTS{number})" in str(told)
    assert told.code
    assert told.code.startswith("microsoft.")


def test_no_number_has_two_causes_and_none_is_both_final_and_transient() -> None:
    listed = [number for numbers in _NUMBERS.values() for number in numbers]
    assert len(listed) == len(set(listed)) == len(_BY_NUMBER)
    assert not TRANSIENT & _BY_NUMBER.keys()
    assert len({cause.code for cause in _NUMBERS}) == len(_NUMBERS)


@pytest.mark.parametrize(
    "number", [700016, 90002, 7000112, 53003, 7000215, 7000222, 65001, 501051, 500011, 12345, None]
)
def test_an_import_is_never_told_to_sign_in_again(number: int | None) -> None:
    told = str(explain(number, Purpose.APP_TOKEN, error="unauthorized_client"))
    assert "sign in again" not in told.lower()
    assert "the sign-in" not in told


@pytest.mark.parametrize("purpose", Purpose)
def test_a_number_of_no_table_is_repeated_and_has_a_way_on(purpose: Purpose) -> None:
    assert "(AADSTS12345678)" in str(explain(12345678, purpose))
    assert "https://login.microsoftonline.com/error" in str(explain(12345678, purpose))
    refused = explain(None, purpose, error="invalid_client")
    assert "ENTRA_CLIENT_SECRET" in str(refused)
    assert "(invalid_client)" in str(refused)


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ({"error_codes": [700016, 1]}, 700016),
        ({"error_codes": [], "error_description": "AADSTS65004: User declined."}, 65004),
        ({"error_codes": "700016", "error_description": "\r\n AADSTS50011: no"}, 50011),
        ({"error_codes": [None, -1, "7"]}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_number_is_found_where_entra_id_puts_it(content: dict[str, object], number: int | None) -> None:
    assert number_of(content) == number


@pytest.mark.parametrize("text", ["Call AADSTS50011", "AADSTS5550100123456", "aadsts50011", "AADSTS", "AADSTS12", None])
def test_words_around_a_number_are_not_taken(text: str | None) -> None:
    assert number_in(text) is None
