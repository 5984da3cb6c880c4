"""An improvement action as tickets and pages see it. Types only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """The categories a ticket may carry; the value is what is sent to ServiceNow and shown.

    Source: docs/facts/microsoft-graph.md#3-4-the-servicenow-connector-of-2020-retired
    """

    DEVICES = "Devices"
    DATA = "Data"
    APPS = "Apps"
    IDENTITY = "Identity"
    INFRASTRUCTURE = "Infrastructure"


@dataclass(frozen=True)
class Action:
    """What a ticket is made from. Points are None when unknown; `category` is None when Graph's is none of the five.

    `description`, `remediation` and `remediation_impact` (what users notice; empty where Microsoft says "None.") are
    plain text, made from Graph's HTML. `score_impact` is in per cent of the tenant's maximum.
    """

    control_id: str
    title: str
    product: str
    category: Category | None
    points: float | None
    max_points: float | None
    score_impact: float | None
    rank: int | None
    description: str
    remediation: str
    remediation_impact: str
    threats: tuple[str, ...]
