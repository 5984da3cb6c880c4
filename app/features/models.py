"""Gathers every room's tables, for migrations and for tests; no room imports it."""

from __future__ import annotations

from sqlalchemy import MetaData

from app.core.database import Base
from app.features.accounts import models as accounts
from app.features.connection import models as connection
from app.features.provisioning import models as provisioning
from app.features.secure_score import models as secure_score
from app.features.tickets import models as tickets

ROOMS = (accounts, secure_score, connection, tickets, provisioning)


def all_metadata() -> MetaData:
    """Every table the product has, except the queue's own."""
    return Base.metadata
