"""Import the tables of every feature, for migrations and tests. No feature imports this module."""

from __future__ import annotations

from sqlalchemy import MetaData

from app.core import page_versions, process_reports
from app.core.database import Base
from app.features.accounts import models as accounts
from app.features.connection import models as connection
from app.features.provisioning import models as provisioning
from app.features.secure_score import models as secure_score
from app.features.tickets import models as tickets

FEATURES = (accounts, secure_score, connection, tickets, provisioning)
# The tables that belong to no feature.
CORE = (page_versions, process_reports)


def all_metadata() -> MetaData:
    """Every table of the product; the queue's own tables are Procrastinate's."""
    return Base.metadata
