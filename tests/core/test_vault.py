"""Secrets at rest: sealed for one place, opened with any of our keys, never printed."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.core.clock import SetClock
from app.core.vault import CannotOpen, Context, Sealed, SealedElsewhere, SealedText, Vault, fingerprint_of
from app.settings import Settings

OLD, NEW = Vault.new_key(), Vault.new_key()
PLACE = Context("connection", "refresh_token", "7", ("https://contoso.service-now.com",))


@given(st.text())
def test_what_goes_in_comes_out(secret: str) -> None:
    vault = Vault([NEW])
    assert vault.open(PLACE, vault.seal(PLACE, secret)) == secret


@pytest.mark.parametrize(
    "other",
    [
        Context("authorization_attempt", "refresh_token", "7", PLACE.bound),
        Context("connection", "access_token", "7", PLACE.bound),
        Context("connection", "refresh_token", "8", PLACE.bound),
        Context("connection", "refresh_token", "7", ("https://other.service-now.com",)),
        Context("connection", "refresh_token", "7"),
    ],
)
def test_a_secret_opens_in_its_own_place_only(other: Context) -> None:
    vault = Vault([NEW])
    sealed = vault.seal(PLACE, "s3cret")
    with pytest.raises(SealedElsewhere):
        vault.open(other, sealed)
    with pytest.raises(SealedElsewhere):
        vault.reseal(other, sealed)
    with pytest.raises(SealedElsewhere):
        vault.bind(other, "servicenow refresh token", sealed)


def test_an_old_key_still_opens_and_resealing_frees_us_of_it() -> None:
    sealed = Vault([OLD]).seal(PLACE, "s3cret")
    both = Vault([NEW, OLD])
    assert both.open(PLACE, sealed) == "s3cret"
    assert Vault([NEW]).open(PLACE, both.reseal(PLACE, sealed)) == "s3cret"
    with pytest.raises(CannotOpen) as caught:
        Vault([NEW]).open(PLACE, sealed)
    assert not isinstance(caught.value, SealedElsewhere)


def test_it_is_known_when_and_with_which_key_a_secret_was_sealed(still_clock: SetClock) -> None:
    sealed, moment = Vault([OLD]).seal(PLACE, "s3cret"), still_clock.now().replace(microsecond=0)
    still_clock.move(3600)
    both = Vault([NEW, OLD])
    resealed = both.reseal(PLACE, sealed)
    assert both.sealed_at(sealed) == both.sealed_at(resealed) == moment
    assert (resealed.key, sealed.key) == both.fingerprints
    with pytest.raises(CannotOpen):
        Vault([NEW]).sealed_at(sealed)


def before_places(key: str, purpose: str, secret: str, second: int) -> Sealed:
    """As versions sealed before values had a place: for a purpose."""
    return Sealed(Fernet(key).encrypt_at_time(json.dumps([purpose, secret]).encode(), second).decode())


def test_a_value_without_a_place_opens_nowhere_and_is_bound_once() -> None:
    vault = Vault([NEW, OLD])
    old = before_places(OLD, "servicenow refresh token", "s3cret", 1_700_000_000)
    assert old.key == ""
    for opened in (vault.open, vault.reseal):
        with pytest.raises(SealedElsewhere):
            opened(PLACE, old)
    with pytest.raises(SealedElsewhere):
        vault.bind(PLACE, "servicenow access token", old)
    bound = vault.bind(PLACE, "servicenow refresh token", old)
    assert bound is not None
    assert vault.open(PLACE, bound) == "s3cret"
    assert vault.sealed_at(bound).timestamp() == 1_700_000_000
    assert vault.bind(PLACE, "servicenow refresh token", bound) is None


def test_a_purpose_that_reads_like_a_place_is_none() -> None:
    """The place is a list inside the token; a text of an earlier version never equals it."""
    vault = Vault([NEW])
    with pytest.raises(SealedElsewhere):
        vault.open(PLACE, before_places(NEW, json.dumps(PLACE.parts), "s3cret", 1))


@pytest.mark.parametrize("token", ["", ".", "no token", f"{'0' * 12}.", "ä"])
def test_what_is_no_token_does_not_open(token: str) -> None:
    with pytest.raises(CannotOpen):
        Vault([NEW]).open(PLACE, Sealed(token))


def test_a_fingerprint_tells_keys_apart_and_is_no_part_of_them() -> None:
    assert fingerprint_of(NEW) == fingerprint_of(NEW) != fingerprint_of(OLD)
    assert len(fingerprint_of(NEW)) == 12
    assert fingerprint_of(NEW) not in urlsafe_b64decode(NEW).hex()


def test_nothing_sealed_can_be_printed_and_nothing_clear_can_be_stored() -> None:
    sealed = Vault([NEW]).seal(PLACE, "s3cret")
    assert sealed.token not in f"{sealed} {sealed!r}"
    with pytest.raises(TypeError):
        SealedText().process_bind_param("s3cret", None)  # type: ignore[arg-type]
    assert isinstance(sealed, Sealed)


def test_a_vault_without_a_key_does_not_open() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        Vault([])


@pytest.mark.fact("other-connectors bug-20")
def test_without_a_key_the_product_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENTRA_TENANT_ID", "ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x")
    for value in ("", " , "):
        monkeypatch.setenv("VAULT_KEYS", value)
        with pytest.raises(ValidationError, match="at least one key"):
            Settings(_env_file=None)
    monkeypatch.delenv("VAULT_KEYS")
    with pytest.raises(ValidationError):
        Settings(_env_file=None)
    with pytest.raises(ValueError, match="at least one key"):
        Vault([])
