"""The tables of provisioning: steps, diagnosis runs, checklist marks and status tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Id
from app.core.page_versions import bump_on_change
from app.core.vault import Sealed, SealedText
from app.features.provisioning.finding import State


class ProvisioningStep(Base):
    """One step at one connection, as it was last checked. `state` is a State; `finding` (Finding.to_json) is its last."""

    __tablename__ = "provisioning_step"

    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default=State.WAITING)
    finding: Mapped[dict[str, Any] | None]
    changed_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]


class DiagnosisRun(Base):
    """One run of "Check the connection": its findings in order, and who asked. `finished_at` is empty while it runs."""

    __tablename__ = "diagnosis_run"

    id: Mapped[Id]
    asked_by: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    # Finding.to_json in the order in which they were found. Texts are kept, so that an old run reads as it was.
    findings: Mapped[list[Any]] = mapped_column(default=list)


class ChecklistMark(Base):
    """A step of the installation checklist that was marked as done. It outlives connections."""

    __tablename__ = "checklist_mark"

    step: Mapped[str] = mapped_column(primary_key=True)
    done_at: Mapped[datetime]
    done_by: Mapped[str]


class StatusToken(Base):
    """A read-only token for the connector's state, for a widget in ServiceNow. Revoked ones stay, to be told apart.

    The token itself is not kept: it is the id, signed with a key of its own that is sealed in `key`.
    """

    __tablename__ = "status_token"

    id: Mapped[Id]
    name: Mapped[str]
    key: Mapped[Sealed] = mapped_column(SealedText())
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    revoked_at: Mapped[datetime | None]
    # For a person who wonders which token may be revoked.
    used_at: Mapped[datetime | None]


bump_on_change("connection", ProvisioningStep)
