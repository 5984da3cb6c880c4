"""Store what people decide and write about actions: status and plan, notes, tags. Never calls Graph.

Each function writes its entry of the audit log in the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.secure_score.actions.action_details import ActionDetail, load_action
from app.features.secure_score.actions.action_status import (
    DECISIONS,
    NAMES,
    STATES_TO_WRITE,
    Status,
    status_of_state,
)
from app.features.secure_score.models import ActionNote, ActionPlan, ActionTag, StatusChange

LONGEST_NOTE = 4000
LONGEST_REASON = 1000
LONGEST_TAG = 40
MOST_TAGS = 20


@dataclass(frozen=True)
class PlanChange:
    """The wanted status; `planned_for` belongs to Planned alone and is None for every other."""

    status: Status
    planned_for: date | None
    reason: str


async def decide(
    session: Session, tenant_id: str, control_id: str, change: PlanChange, *, by: Viewer, write_back: bool
) -> bool:
    """Store a decision; gives whether it has to be written to Graph.

    Raises NotFound, InvalidInput, and Conflict where Microsoft alone decides the status.
    """
    detail = await load_action(session, tenant_id, control_id)
    _refuse_uneditable(detail)
    _check(change)
    planned = {"planned_for": change.planned_for} if change.planned_for else {}
    await log_action(session, by, T("Status set"), action=control_id, status=NAMES[change.status], **planned)
    if _changes_nothing(detail, change):
        return False
    now = clock.now()
    must_send = write_back and _differs_at_graph(detail, change.status)
    values = {
        "status": change.status,
        "status_before": detail.line.status,
        "planned_for": change.planned_for,
        "decided_at": now,
        "decided_by": by.display_name,
        "to_send": must_send,
        "sent_state": "",
        "sent_at": None,
        "confirmed_at": None,
        "problem": None,
    }
    statement = insert(ActionPlan).values(tenant_id=tenant_id, control_id=control_id, **values)
    # Graph holds this state already, though no import has shown it. Without it, a decision that goes back to the shown
    # state would look like no change and would never be sent: docs/facts/microsoft-graph.md#edge-46
    if _is_unshown(detail):
        del values["sent_state"]
    await session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "control_id"], set_=values))
    session.add(
        StatusChange(
            tenant_id=tenant_id,
            control_id=control_id,
            status_before=detail.wanted_status or detail.line.status,
            status_after=change.status,
            planned_for=change.planned_for,
            reason=change.reason,
            decided_at=now,
            decided_by=by.display_name,
        )
    )
    return must_send


def _changes_nothing(detail: ActionDetail, change: PlanChange) -> bool:
    """Whether it repeats what is in force, without a reason to write down."""
    is_same = change.status is detail.line.status and change.planned_for == detail.line.planned_for
    # Another decision on its way to Graph is taken back by choosing the status that is still in force.
    return is_same and not change.reason and detail.wanted_status is None


def _refuse_uneditable(detail: ActionDetail) -> None:
    # docs/facts/microsoft-graph.md#edge-44
    if detail.is_device:
        raise Conflict(
            T(
                "Device actions have no status of their own: they follow the exceptions in Microsoft Defender "
                "Vulnerability Management."
            )
        )
    if detail.line.status is Status.COMPLETED:
        raise Conflict(T("Microsoft has confirmed all points, so this action is completed and has no other status."))
    if not detail.is_editable:
        raise Conflict(T("Microsoft does not score this action for your organisation, so it has no status."))


def _check(change: PlanChange) -> None:
    if change.status not in DECISIONS:
        raise InvalidInput(fields={"status": T("Choose one of the list.")})
    if change.status is Status.PLANNED and change.planned_for is None:
        raise InvalidInput(fields={"planned_for": T("When is it planned for?")})
    if change.planned_for is not None and change.planned_for < clock.earliest_day(clock.now()):
        raise InvalidInput(fields={"planned_for": T("This day has passed. Choose a later one.")})


def _differs_at_graph(detail: ActionDetail, status: Status) -> bool:
    """Whether Graph has a name for the status, and holds another one."""
    # Each PATCH is an entry in the score's history, so one is sent for a real change only.
    # docs/facts/microsoft-graph.md#edge-45
    return status in STATES_TO_WRITE and (_is_unshown(detail) or status_of_state(detail.state) is not status)


def _is_unshown(detail: ActionDetail) -> bool:
    """Whether Graph took a state that no import has shown yet."""
    return detail.sent_state != "" and detail.confirmed_at is None


async def add_note(session: Session, tenant_id: str, control_id: str, note: str, *, author: Viewer) -> None:
    """Raises NotFound, and InvalidInput for an empty or too long note."""
    if not note.strip():
        raise InvalidInput(fields={"note": T("This is required.")})
    if len(note) > LONGEST_NOTE:
        raise InvalidInput(fields={"note": T("At most %(limit)s characters, please.", limit=LONGEST_NOTE)})
    await load_action(session, tenant_id, control_id)
    session.add(
        ActionNote(
            tenant_id=tenant_id,
            control_id=control_id,
            text=note.strip(),
            author_id=author.person_id,
            author_name=author.display_name,
            created_at=clock.now(),
        )
    )
    await log_action(session, author, T("Note written"), action=control_id)


async def remove_note(session: Session, tenant_id: str, control_id: str, note_id: UUID, *, author: Viewer) -> None:
    """Remove a note of this author. Raises NotFound for a note of another one."""
    found = await session.execute(
        delete(ActionNote)
        .where(
            ActionNote.tenant_id == tenant_id,
            ActionNote.control_id == control_id,
            ActionNote.id == note_id,
            ActionNote.author_id == author.person_id,
        )
        .returning(ActionNote.id)
    )
    if found.scalar_one_or_none() is None:
        raise NotFound(T("There is no such note of yours. It may have been removed already."))
    await log_action(session, author, T("Note removed"), action=control_id, note=note_id)


def parse_tags(typed: str) -> list[str]:
    """Tags from one line, separated by commas: trimmed, each once regardless of case. Raises InvalidInput."""
    tags: dict[str, str] = {}
    for part in typed.replace("\n", ",").split(","):
        tag = " ".join(part.split())
        if len(tag) > LONGEST_TAG:
            raise InvalidInput(fields={"tags": T("A tag has at most %(limit)s characters.", limit=LONGEST_TAG)})
        if tag:
            tags.setdefault(tag.casefold(), tag)
    if len(tags) > MOST_TAGS:
        raise InvalidInput(fields={"tags": T("At most %(limit)s tags, please.", limit=MOST_TAGS)})
    return list(tags.values())


async def set_tags(session: Session, tenant_id: str, control_id: str, typed: str, *, by: Viewer) -> None:
    """Replace an action's tags. Raises as `parse_tags`, and NotFound."""
    wanted = parse_tags(typed)
    await load_action(session, tenant_id, control_id)
    found = await session.execute(select(ActionTag.tag).where(ActionTag.tenant_id == tenant_id).distinct())
    # "mail" and "Mail" would be two values of the filter, so the spelling that other actions have already wins.
    known = {tag.casefold(): tag for tag in found.scalars()}
    await session.execute(delete(ActionTag).where(ActionTag.tenant_id == tenant_id, ActionTag.control_id == control_id))
    session.add_all(
        ActionTag(tenant_id=tenant_id, control_id=control_id, tag=known.get(tag.casefold(), tag)) for tag in wanted
    )
    await log_action(session, by, T("Tags set"), action=control_id, tags=typed or "none")
