"""Secrets at rest: sealed for one purpose, opened with any of our keys, never printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.core.clock import SetClock
from app.core.vault import CannotOpen, Sealed, SealedText, Vault
from app.settings import Settings

OLD, NEW = Vault.new_key(), Vault.new_key()


@given(st.text())
def test_what_goes_in_comes_out(secret: str) -> None:
    vault = Vault([NEW])
    assert vault.open("client secret", vault.seal("client secret", secret)) == secret


def test_a_secret_opens_for_its_own_purpose_only() -> None:
    vault = Vault([NEW])
    with pytest.raises(CannotOpen):
        vault.open("access token", vault.seal("refresh token", "s3cret"))


def test_an_old_key_still_opens_and_resealing_frees_us_of_it() -> None:
    sealed = Vault([OLD]).seal("refresh token", "s3cret")
    both = Vault([NEW, OLD])
    assert both.open("refresh token", sealed) == "s3cret"
    assert Vault([NEW]).open("refresh token", both.reseal(sealed)) == "s3cret"
    with pytest.raises(CannotOpen):
        Vault([NEW]).open("refresh token", sealed)


def test_it_is_known_when_a_secret_was_sealed_and_resealing_keeps_that(still_clock: SetClock) -> None:
    sealed, moment = Vault([OLD]).seal("refresh token", "s3cret"), still_clock.now().replace(microsecond=0)
    still_clock.move(3600)
    both = Vault([NEW, OLD])
    assert both.sealed_at(sealed) == moment
    assert both.sealed_at(both.reseal(sealed)) == moment
    with pytest.raises(CannotOpen):
        Vault([NEW]).sealed_at(sealed)


def test_nothing_sealed_can_be_printed_and_nothing_clear_can_be_stored() -> None:
    sealed = Vault([NEW]).seal("refresh token", "s3cret")
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
