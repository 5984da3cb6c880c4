"""Improvement actions for tests: lines of the list, states as Graph sends them, and what a database holds of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sqlalchemy import select

from app.core import clock
from app.core.database import Database
from app.features.accounts.models import Person
from app.features.accounts.permissions import Role, Viewer
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.actions.action_status import NAMES, ActionStatus, Status
from app.features.secure_score.vocabulary import Category
from tests.factories.graph_payloads import TENANT


def action_line(control_id: str = "A", **changes: Any) -> ActionLine:
    """A licensed action to address, with 1 of 10 points."""
    made: dict[str, Any] = {
        "control_id": control_id, "title": f"Title {control_id}", "product": "Exchange Online", "category": Category.APPS,
        "category_raw": "Apps", "points": 1.0, "max_points": 10.0, "percent": 10.0, "score_impact": 9.0, "rank": 1,
        "tier": "Core", "user_impact": "low", "implementation_cost": "low", "threats": ("Malware",),
        "status_shown": shown_status(Status.TO_ADDRESS), "planned_for": None, "scored": True, "has_profile": True,
        "deprecated": False, "regressed_on": None, "regressed_from": None, "last_synced_at": None, "updated_at": None,
        "added_on": None, "last_scored_on": None, "tags": (), "notes": 0, "is_new": False, "is_updated": False,
        "action_type": "Config", "max_is_derived": False, "tenant_max": 100.0,
    }  # fmt: skip
    return ActionLine(**made | changes)


def shown_status(status: Status) -> ActionStatus:
    """A status without a pending decision."""
    return ActionStatus(status, NAMES[status])


def state_update(state: str | None, at: str | None, **changes: Any) -> dict[str, Any]:
    """One entry of a profile's `controlStateUpdates`."""
    return {"state": state, "updatedDateTime": at, "assignedTo": None, "comment": None, "updatedBy": None} | changes


async def lines_of(database: Database, tenant_id: str = TENANT) -> dict[str, ActionLine]:
    """Every action of a tenant, by control id."""
    async with database.transaction() as session:
        return {line.control_id: line for line in await load_lines(session, tenant_id)}


async def a_manager(database: Database) -> Viewer:
    """Alex, with a row that the audit log can refer to."""
    async with database.transaction() as session:
        found = await session.execute(select(Person.id).where(Person.oid == "alex"))
        person_id = found.scalar_one_or_none()
        if person_id is None:
            person_id = uuid4()
            session.add(
                Person(
                    id=person_id, tid=TENANT, oid="alex", display_name="Alex", email="alex@contoso.example",
                    last_signed_in_at=clock.now(),
                )
            )  # fmt: skip
    return Viewer(person_id, "alex", TENANT, "Alex", "alex@contoso.example", Role.MANAGER)
