"""What is kept of a form is sealed, bounded in size and number, and gone after a quarter of an hour."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Session
from app.core.random_tokens import hash_token, new_token
from app.core.vault import Vault
from app.features.accounts.models import Person, UnsentForm
from app.features.accounts.permissions import Viewer
from app.features.accounts.sessions import viewer_of
from app.features.accounts.unsent_forms import (
    MOST_AT_ONCE,
    MOST_OF_UNKNOWN,
    FormGone,
    PostedForm,
    find_form,
    forget_old_forms,
    forget_sent,
    keep_form,
)
from app.resources import ProductConfig

FORM = PostedForm("tickets.add_note", "/tickets/1/notes", {"ticket_id": "1"}, [], [("note", "Typed"), ("note_id", "2")])
CONFIG = ProductConfig("http://security-center.test", "t", "t", (), {}, 12)


def form_of(*fields: tuple[str, str]) -> PostedForm:
    return PostedForm("tickets.add_note", "/tickets/1/notes", {}, [], list(fields))


async def a_person(db: Session, oid: str) -> Viewer:
    person = Person(tid="t", oid=oid, display_name=oid, email="", last_signed_in_at=clock.now())
    db.add(person)
    await db.flush()
    return viewer_of(person, (), CONFIG)


async def kept(db: Session) -> list[UUID]:
    return list((await db.execute(select(UnsentForm.id).order_by(UnsentForm.kept_at))).scalars())


async def test_it_comes_back_as_it_was_and_is_sealed_in_between(db: Session, vault: Vault) -> None:
    token, lee = new_token(), await a_person(db, "lee")
    form_id = await keep_form(db, vault, FORM, browser_token=token, owner=lee.person_id)
    assert form_id is not None
    stored = (await db.execute(select(UnsentForm))).scalar_one()
    assert "Typed" not in stored.content.token + stored.browser_hash
    assert await find_form(db, vault, lee, form_id, token) == FORM


async def test_neither_another_person_nor_another_browser_gets_it(db: Session, vault: Vault) -> None:
    token, lee, megan = new_token(), await a_person(db, "lee"), await a_person(db, "megan")
    for owner in (lee.person_id, None):
        form_id = await keep_form(db, vault, FORM, browser_token=token, owner=owner)
        assert form_id is not None
        for viewer, browser in ((lee, new_token()), (lee, None)):
            with pytest.raises(FormGone):
                await find_form(db, vault, viewer, form_id, browser)
        assert await find_form(db, vault, lee, form_id, token)  # The first one, where no one was known.
        with pytest.raises(FormGone):
            await find_form(db, vault, megan, form_id, token)


@pytest.mark.parametrize("name", ["client_secret", "Password", "access_token"])
async def test_a_secret_is_never_kept(db: Session, vault: Vault, name: str) -> None:
    assert await keep_form(db, vault, form_of((name, "x")), browser_token=new_token(), owner=None) is None
    token, lee = new_token(), await a_person(db, "lee")
    form_id = await keep_form(db, vault, form_of((name, "x"), ("note", "y")), browser_token=token, owner=None)
    assert form_id is not None
    assert (await find_form(db, vault, lee, form_id, token)).fields == [("note", "y")]


async def test_of_one_browser_the_newest_few_are_kept(db: Session, vault: Vault, still_clock: SetClock) -> None:
    token, other = new_token(), new_token()
    first = await keep_form(db, vault, FORM, browser_token=other, owner=None)
    made = []
    for _ in range(MOST_AT_ONCE + 2):
        still_clock.move(1)
        made.append(await keep_form(db, vault, FORM, browser_token=token, owner=None))
    assert await kept(db) == [first, *made[2:]]


async def test_of_one_person_the_newest_few_are_kept(db: Session, vault: Vault, still_clock: SetClock) -> None:
    lee, made = await a_person(db, "lee"), []
    for _ in range(MOST_AT_ONCE + 1):
        still_clock.move(1)
        made.append(await keep_form(db, vault, FORM, browser_token=new_token(), owner=lee.person_id))
    assert await kept(db) == made[1:]


async def test_forms_of_unknown_browsers_do_not_fill_the_table(db: Session, vault: Vault) -> None:
    made = [await keep_form(db, vault, FORM, browser_token=new_token(), owner=None) for _ in range(MOST_OF_UNKNOWN + 2)]
    assert made.count(None) == 2
    lee = await a_person(db, "lee")
    assert await keep_form(db, vault, FORM, browser_token=new_token(), owner=lee.person_id)


async def test_what_is_too_large_is_not_kept(db: Session, vault: Vault) -> None:
    assert await keep_form(db, vault, form_of(("note", "x" * 262_144)), browser_token=new_token(), owner=None) is None


async def test_it_is_gone_after_a_quarter_of_an_hour_or_when_it_is_sent(
    db: Session, vault: Vault, still_clock: SetClock
) -> None:
    token, lee = new_token(), await a_person(db, "lee")
    sent = await keep_form(db, vault, FORM, browser_token=token, owner=None)
    await forget_sent(db, "tickets.save", token)
    assert await kept(db) == [sent]
    await forget_sent(db, FORM.route, token)
    assert await kept(db) == []
    late = await keep_form(db, vault, FORM, browser_token=token, owner=None)
    assert late is not None
    still_clock.move(900)
    with pytest.raises(FormGone):
        await find_form(db, vault, lee, late, token)
    await forget_old_forms(db)
    assert await kept(db) == []


async def test_with_another_key_it_is_gone(db: Session, vault: Vault) -> None:
    token, lee = new_token(), await a_person(db, "lee")
    form_id = await keep_form(db, vault, FORM, browser_token=token, owner=None)
    assert form_id is not None
    with pytest.raises(FormGone):
        await find_form(db, Vault([Vault.new_key()]), lee, form_id, token)


@pytest.mark.parametrize("column", ["route", "browser_hash"])
async def test_a_row_that_was_changed_in_the_database_is_not_opened(db: Session, vault: Vault, column: str) -> None:
    # Another route would have what was typed sent to a page that does it; another browser would read it.
    token, other, lee = new_token(), new_token(), await a_person(db, "lee")
    form_id = await keep_form(db, vault, FORM, browser_token=token, owner=lee.person_id)
    assert form_id is not None
    changed = {"route": "share.selection", "browser_hash": hash_token(other)}[column]
    await db.execute(update(UnsentForm).values({column: changed}))
    with pytest.raises(FormGone):
        await find_form(db, vault, lee, form_id, other if column == "browser_hash" else token)
