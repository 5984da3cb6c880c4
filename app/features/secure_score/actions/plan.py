"""Keeps what people decide and write about actions: status and plan, notes, tags. Sends nothing itself."""

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
from app.features.secure_score.actions.action_details import ActionDetail, load_action
from app.features.secure_score.actions.action_status import DECISIONS, STATES_TO_WRITE, Status, status_of_state
from app.features.secure_score.models import ActionNote, ActionPlan, ActionTag, StatusChange

LONGEST_NOTE = 4000
LONGEST_REASON = 1000
LONGEST_TAG = 40
MOST_TAGS = 20


@dataclass(frozen=True)
class PlanChange:
    """What somebody wants the status to be; the date belongs to Planned alone."""

    status: Status
    planned_for: date | None
    reason: str


async def decide(
    session: Session, tenant_id: str, control_id: str, wish: PlanChange, *, who: str, write_back: bool
) -> bool:
    """Keep a decision; says whether it is to be written to Graph.

    Raises NotFound, Conflict where Microsoft alone says how it stands, and InvalidInput.
    """
    detail = await load_action(session, tenant_id, control_id)
    _refuse_uneditable(detail)
    _check(wish)
    is_same = wish.status is detail.line.status and wish.planned_for == detail.line.planned_for and not wish.reason
    if is_same and detail.wanted_status is None:  # One that is on its way may be taken back.
        return False
    now = clock.now()
    must_send = write_back and _differs_at_graph(detail, wish.status)
    values = {
        "status": wish.status,
        "status_before": detail.line.status,
        "planned_for": wish.planned_for,
        "decided_at": now,
        "decided_by": who,
        "to_send": must_send,
        "sent_state": "",
        "sent_at": None,
        "confirmed_at": None,
        "problem": None,
    }
    statement = insert(ActionPlan).values(tenant_id=tenant_id, control_id=control_id, **values)
    if _is_unshown(detail):
        del values["sent_state"]  # Graph was told it, so the next word to Graph is no repetition.
    await session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "control_id"], set_=values))
    session.add(
        StatusChange(
            tenant_id=tenant_id,
            control_id=control_id,
            status_before=detail.wanted_status or detail.line.status,
            status_after=wish.status,
            planned_for=wish.planned_for,
            reason=wish.reason,
            decided_at=now,
            decided_by=who,
        )
    )
    return must_send


def _refuse_uneditable(detail: ActionDetail) -> None:
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


def _check(wish: PlanChange) -> None:
    if wish.status not in DECISIONS:
        raise InvalidInput(fields={"status": T("Choose one of the list.")})
    if wish.status is Status.PLANNED and wish.planned_for is None:
        raise InvalidInput(fields={"planned_for": T("When is it planned for?")})
    if wish.planned_for is not None and wish.planned_for < clock.earliest_day(clock.now()):
        raise InvalidInput(fields={"planned_for": T("This day has passed. Choose a later one.")})


def _differs_at_graph(detail: ActionDetail, status: Status) -> bool:
    """Whether Graph would have to be told: it knows the status, and shows another one now or was sent another one."""
    return status in STATES_TO_WRITE and (_is_unshown(detail) or status_of_state(detail.state) is not status)


def _is_unshown(detail: ActionDetail) -> bool:
    """Whether Graph took a state that no import has shown yet."""
    return detail.sent_state != "" and detail.confirmed_at is None


async def add_note(session: Session, tenant_id: str, control_id: str, note: str, *, author_id: UUID, who: str) -> None:
    """Keep a note. Raises NotFound and InvalidInput."""
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
            author_id=author_id,
            author_name=who,
            created_at=clock.now(),
        )
    )


async def remove_note(session: Session, tenant_id: str, control_id: str, note_id: UUID, *, author_id: UUID) -> None:
    """Remove one's own note. Raises NotFound for anybody else's."""
    found = await session.execute(
        delete(ActionNote)
        .where(
            ActionNote.tenant_id == tenant_id,
            ActionNote.control_id == control_id,
            ActionNote.id == note_id,
            ActionNote.author_id == author_id,
        )
        .returning(ActionNote.id)
    )
    if found.scalar_one_or_none() is None:
        raise NotFound(T("There is no such note of yours. It may have been removed already."))


def read_tags(typed: str) -> list[str]:
    """Tags from one line, separated by commas: trimmed, each once whatever its case. Raises InvalidInput."""
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


async def set_tags(session: Session, tenant_id: str, control_id: str, typed: str) -> None:
    """Replace an action's tags. A tag that other actions have in another case takes theirs. Raises as `read_tags`."""
    wanted = read_tags(typed)
    await load_action(session, tenant_id, control_id)
    found = await session.execute(select(ActionTag.tag).where(ActionTag.tenant_id == tenant_id).distinct())
    spelled = {tag.casefold(): tag for tag in found.scalars()}
    await session.execute(delete(ActionTag).where(ActionTag.tenant_id == tenant_id, ActionTag.control_id == control_id))
    session.add_all(
        ActionTag(tenant_id=tenant_id, control_id=control_id, tag=spelled.get(tag.casefold(), tag)) for tag in wanted
    )
