"""A person is found by what an operator knows of them; several who match are listed, and none is chosen."""

from __future__ import annotations

import pytest

from app.core.clock import SetClock
from app.core.database import Database, Session
from app.core.errors import Conflict, NotFound
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.models import Person
from app.features.accounts.permissions import Role, Viewer
from app.features.keeping.person_data import find_person, identity_of


async def _person(db: Session, clock: SetClock, oid: str, name: str, email: str) -> Person:
    person = Person(tid="t", oid=oid, display_name=name, email=email, last_signed_in_at=clock.now())
    db.add(person)
    await db.flush()
    return person


async def test_by_id_address_and_object_id(db: Session, still_clock: SetClock) -> None:
    lee = await _person(db, still_clock, "0f8fad5b-d9cb-469f-a165-70867728950e", "Lee", "Lee@Contoso.example")
    for wanted in (str(lee.id), str(lee.id).upper(), " lee@contoso.example ", lee.oid.upper()):
        assert await find_person(db, wanted) is lee


@pytest.mark.parametrize("wanted", ["", "  ", "Lee", "lee", "%", "someone@contoso.example"])
async def test_not_by_anything_else(db: Session, still_clock: SetClock, wanted: str) -> None:
    await _person(db, still_clock, "one", "Lee", "")
    with pytest.raises(NotFound, match="Nothing is held"):
        await find_person(db, wanted)


async def test_several_are_listed(db: Session, still_clock: SetClock) -> None:
    first = await _person(db, still_clock, "one", "Lee", "lee@contoso.example")
    second = await _person(db, still_clock, "two", "Lee of before", "lee@contoso.example")
    with pytest.raises(Conflict) as raised:
        await find_person(db, "lee@contoso.example")
    assert str(first.id) in str(raised.value)
    assert str(second.id) in str(raised.value)


async def test_names_of_earlier_times_are_known(database: Database, still_clock: SetClock) -> None:
    async with database.transaction() as db:
        lee = await _person(db, still_clock, "one", "Lee Married", "lee@new.example")
        before = Viewer(lee.id, lee.oid, lee.tid, "Lee Born", "lee@old.example", Role.VIEWER)
        await log_action(db, before, T("Signed in"))
    async with database.transaction() as db:
        known = await identity_of(db, lee)
    assert known.names == {"Lee Married", "Lee Born"}
    assert known.emails == {"lee@new.example", "lee@old.example"}
