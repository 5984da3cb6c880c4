"""Tokens cannot be guessed and pass through addresses unchanged; what is stored of one does not give it away."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from app.core.random_tokens import hash_token, new_token


def test_a_token_is_256_bits_long_and_new_each_time() -> None:
    tokens = [new_token() for _ in range(100)]
    assert len(set(tokens)) == len(tokens)
    assert {len(base64.urlsafe_b64decode(f"{token}=")) for token in tokens} == {32}


@pytest.mark.fact("servicenow 1.2")
def test_a_token_needs_no_escaping_in_an_address_a_cookie_or_an_oauth_state() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", new_token()) for _ in range(100))


def test_the_hash_is_the_same_for_a_token_and_another_for_any_other() -> None:
    token = new_token()
    assert hash_token(token) == hash_token(token) == hashlib.sha256(token.encode()).hexdigest()
    assert hash_token(token) != hash_token(new_token())
    assert token not in hash_token(token)


@pytest.mark.parametrize("odd", ["", "é", "\0", "x" * 10_000])
def test_whatever_a_browser_sends_as_a_token_can_be_hashed(odd: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", hash_token(odd))
