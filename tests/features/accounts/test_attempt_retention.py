"""Begun sign-ins are swept when others begin, and are never more than so many."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.core import clock
from app.core.database import Session
from app.features.accounts import attempt_retention
from app.features.accounts.attempt_retention import KEPT_MINUTES, forget_sign_in_attempts, sweep_attempts
from app.features.accounts.models import SignInAttempt
from tests.factories.system import System


def attempt(name: str, minutes: float) -> SignInAttempt:
    ends = clock.now() + timedelta(minutes=minutes)
    return SignInAttempt(state_hash=name, browser_hash="", nonce="", verifier=None, return_to="/", expires_at=ends)


async def names(db: Session) -> list[str]:
    return list((await db.execute(select(SignInAttempt.state_hash).order_by(SignInAttempt.expires_at))).scalars())


async def test_what_ended_long_ago_goes(db: Session) -> None:
    db.add_all([attempt("old", -KEPT_MINUTES - 1), attempt("late", -1), attempt("open", 5)])
    await db.flush()
    await sweep_attempts(db)
    assert await names(db) == ["late", "open"]


async def test_the_oldest_go_beyond_the_most(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_retention, "MOST_ATTEMPTS", 2)
    db.add_all([attempt(str(number), number) for number in range(1, 5)])
    await db.flush()
    await sweep_attempts(db)
    assert await names(db) == ["3", "4"]


async def test_retention_takes_those_that_expired_before_a_moment_the_oldest_first(db: Session) -> None:
    db.add_all([attempt("older", -6), attempt("old", -5), attempt("open", 5)])
    await db.flush()
    assert await forget_sign_in_attempts(db, clock.now(), limit=1) == 1
    assert await names(db) == ["old", "open"]
    assert await forget_sign_in_attempts(db, clock.now(), limit=10) == 1
    assert await names(db) == ["open"]


async def test_beginning_to_sign_in_sweeps_although_no_one_finishes(system: System) -> None:
    async with system.resources.database.transaction() as session:
        session.add(attempt("old", -KEPT_MINUTES - 1))
    async with system.client() as browser:
        assert (await browser.post("/sign-in")).status_code == 200
    async with system.resources.database.transaction() as session:
        assert (await session.execute(select(func.count()).select_from(SignInAttempt))).scalar_one() == 1
