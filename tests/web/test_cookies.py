"""Cookies are bound to this host, deleted as they were set, and believed only when we can have made them."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest
from fastapi.responses import Response

from app.core.random_tokens import new_token
from app.web.cookies import delete_cookie, forget_everything, read_token, set_cookie, tokens_beginning
from tests.conventions.files import ROOT

HTTPS, HTTP = "https://security-center.example", "http://127.0.0.1:8000"


def attributes(response: Response) -> list[dict[str, object]]:
    """What each Set-Cookie says besides its value and its end."""
    found = SimpleCookie()
    for name, line in response.raw_headers:
        if name == b"set-cookie":
            found.load(line.decode())
    timeless = {"max-age", "expires"}
    return [{"name": one.key} | {key: one[key] for key in one if key not in timeless} for one in found.values()]


@pytest.mark.parametrize("public_url", [HTTPS, HTTP])
def test_a_cookie_is_deleted_with_what_it_was_set_with(public_url: str) -> None:
    made, gone = Response(), Response()
    set_cookie(made, public_url, "x", new_token(), max_age=60)
    delete_cookie(gone, public_url, "x")
    assert attributes(made) == attributes(gone)
    assert attributes(made)[0]["name"] == ("__Host-x" if public_url == HTTPS else "x")
    assert "Max-Age=0" in gone.headers["set-cookie"]


@pytest.mark.parametrize("value", ["", "x" * 42, "x" * 44, "x" * 42 + "\n", "x" * 42 + ";", "é" * 43, "x" * 4000])
def test_what_cannot_be_a_token_is_no_token(value: str) -> None:
    assert read_token({"__Host-x": value}, HTTPS, "x") is None
    assert tokens_beginning({"__Host-x-1": value}, HTTPS, "x-") == {}


def test_only_the_bound_name_counts_over_https() -> None:
    token = new_token()
    assert read_token({"__Host-x": token}, HTTPS, "x") == token
    assert read_token({"x": token}, HTTPS, "x") is None
    assert tokens_beginning({"x-1": token, "__Host-x-2": token}, HTTPS, "x-") == {"x-2": token}
    assert read_token({"x": token}, HTTP, "x") == token


def test_signing_out_deletes_every_cookie_of_ours() -> None:
    cookies = {"__Host-session": new_token(), "__Host-sign-in-attempt-1": new_token(), "another": "1"}
    response = Response()
    forget_everything(response, HTTPS, cookies)
    names = {str(one["name"]) for one in attributes(response)}
    assert {"__Host-session", "__Host-sign-in-attempt-1", "__Host-servicenow-attempt", "__Host-unsent-form"} == names


def test_cookies_are_set_read_and_deleted_in_one_place() -> None:
    elsewhere = re.compile(r"\.(set|delete)_cookie\(|\bcookies\.get\(|\bcookies\[")
    files = [file for file in (ROOT / "app").rglob("*.py") if elsewhere.search(file.read_text(encoding="utf-8"))]
    assert [file.name for file in files] == ["cookies.py"]
