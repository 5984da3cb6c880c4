"""Which addresses we agree to call: a typed address is corrected, or refused with a sentence that says why."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.servicenow.address import Instance, InvalidAddress, parse_instance

CONTOSO = Instance("contoso", "https://contoso.service-now.com")
SANDBOX = "http://127.0.0.1:8100"
ALLOWED = (SANDBOX, "https://servicenow.contoso.example", "https://vanity.contoso.example:8443/")


@pytest.mark.fact("other-connectors bug-73")
@pytest.mark.parametrize(
    "typed",
    [
        "contoso",
        "  contoso\n",
        "\u200bcontoso\u200b \ufeff",
        "CONTOSO",
        "contoso/",
        "contoso.service-now.com",
        "Contoso.Service-Now.com.",
        "contoso.service-now.com:443",
        "https://contoso.service-now.com",
        "https://contoso.service-now.com/",
        "https://contoso.service-now.com//",
        "HTTPS://CONTOSO.SERVICE-NOW.COM/now/nav/ui/classic/params/target/incident.do%3Fsys_id%3D1",
        "http://contoso.service-now.com",  # We call it by https nevertheless.
        "contoso.service-now.com/login.do?a=b#c",
        "//contoso.service-now.com/",
        "https://contoso.service-now.com:443/",
        "https://contoso",
        "https:/contoso.service-now.com",
        "https//contoso.service-now.com",
        "https://https://contoso.service-now.com",
        "http://https://contoso",
        "ｃｏｎｔｏｓｏ",
    ],
)
def test_what_a_person_means_becomes_one_form(typed: str) -> None:
    assert parse_instance(typed, ALLOWED) == CONTOSO


@pytest.mark.fact("other-connectors bug-73")
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Type the instance name"),
        (" \t ", "Type the instance name"),
        ("con toso", "holds no blanks"),
        ("con\u200btoso", "holds no blanks"),
        ("https://con\ntoso.service-now.com", "holds no blanks"),
        ("con_toso", "not an instance name"),
        ("-contoso", "not an instance name"),
        ("contoso-", "not an instance name"),
        ("a" * 64, "not an instance name"),
        ("a" * 500, "holds no blanks"),
        ("ftp://contoso.service-now.com", "not an instance name"),
        ("javascript://contoso.service-now.com", "not an instance name"),
        ("https:///contoso", "not an instance name"),
        ("https://", "not an instance name"),
        ("contoso:8443", "has no port. Leave :8443 out"),
        ("https://contoso.service-now.com:80", "has no port"),
        ("contoso:99999", "not an instance name"),
        ("contoso:port", "not an instance name"),
        ("admin@contoso.service-now.com", "user name or password"),
        ("https://admin:change-me@contoso.service-now.com", "user name or password"),
        ("https://evil.example\\@contoso.service-now.com", "user name or password"),
        ("https://contoso.service-now.com@evil.example", "user name or password"),
        ("127.0.0.1", "IP address"),
        ("127.1", "IP address"),
        ("2130706433", "IP address"),
        ("0x7f000001", "IP address"),
        ("0x7f.0.0.1", "IP address"),
        ("017700000001", "IP address"),
        ("http://127.0.0.1:8101", "IP address"),
        ("https://[::1]/", "IP address"),
        ("[::ffff:127.0.0.1]", "IP address"),
        ("::1", "not an instance name"),
        ("169.254.169.254", "IP address"),
        ("localhost.localdomain", "SERVICENOW_ALLOWED_ORIGINS"),
        ("contösö", "only the letters a to z"),
        ("сontoso", "only the letters a to z"),  # A Cyrillic first letter.
        ("xn--bcher-kva", "only the letters a to z"),
        ("xn--bcher-kva.service-now.com", "only the letters a to z"),
        ("a.b.service-now.com", "SERVICENOW_ALLOWED_ORIGINS"),
        ("service-now.com", "SERVICENOW_ALLOWED_ORIGINS"),
        ("contoso.service-now.com.evil.example", "SERVICENOW_ALLOWED_ORIGINS"),
        ("https://evil.example#.service-now.com", "SERVICENOW_ALLOWED_ORIGINS"),
        ("https://evil.example/.service-now.com", "SERVICENOW_ALLOWED_ORIGINS"),
        ("https://evil.example?.service-now.com", "SERVICENOW_ALLOWED_ORIGINS"),
        ("evil.example\\.service-now.com", "SERVICENOW_ALLOWED_ORIGINS"),
        ("contoso%2eservice-now.com", "SERVICENOW_ALLOWED_ORIGINS"),
        ("contoso。service-now。com", "only the letters a to z"),
        ("null\0byte", "holds no blanks"),
    ],
)
def test_everything_else_gets_a_sentence(typed: str, words: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        parse_instance(typed, ALLOWED)
    assert words in str(caught.value)


@pytest.mark.fact("other-connectors bug-73")
@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("http://127.0.0.1:8100", SANDBOX),
        ("127.0.0.1:8100", SANDBOX),
        ("http://127.0.0.1:8100/oauth_auth.do", SANDBOX),
        ("HTTPS://ServiceNow.Contoso.Example/", "https://servicenow.contoso.example"),
        ("servicenow.contoso.example", "https://servicenow.contoso.example"),
        ("https://vanity.contoso.example:8443", "https://vanity.contoso.example:8443"),
    ],
)
def test_listed_addresses_are_taken_with_their_port(typed: str, origin: str) -> None:
    assert parse_instance(typed, ALLOWED).origin == origin


@pytest.mark.fact("other-connectors bug-74")
@pytest.mark.parametrize(
    "typed",
    [
        "https://127.0.0.1:8100",
        "http://127.0.0.1:8101",
        "http://127.0.0.1",
        "http://servicenow.contoso.example",
        "https://vanity.contoso.example",
        "https://x@servicenow.contoso.example",
        "http://127.0.0.1:8100@evil.example",
    ],
)
def test_what_only_resembles_a_listed_address_is_refused(typed: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_instance(typed, ALLOWED)


SHAPED = st.text(alphabet="abcxyz019-._:/@#?%\\[] \t\u3002\uff0e\u0430Ａ", max_size=60)


@given(st.one_of(st.text(max_size=80), SHAPED, SHAPED.map(lambda text: f"https://{text}.service-now.com")))
def test_every_input_gives_the_cloud_a_listed_address_or_an_error(typed: str) -> None:
    try:
        found = parse_instance(typed, ALLOWED)
    except InvalidAddress:
        return
    listed = {origin.rstrip("/") for origin in ALLOWED}
    assert found.origin in listed or re.fullmatch(r"https://[a-z0-9-]{1,63}\.service-now\.com", found.origin)
    assert parse_instance(found.origin, ALLOWED) == found
