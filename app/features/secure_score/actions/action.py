"""An improvement action as other rooms and pages see it. Reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """The five categories a ticket may carry; the value is what is sent and shown."""

    DEVICES = "Devices"
    DATA = "Data"
    APPS = "Apps"
    IDENTITY = "Identity"
    INFRASTRUCTURE = "Infrastructure"


@dataclass(frozen=True)
class Action:
    """What a ticket is made of. Points are None when unknown; `category` is None when Graph's is none of the five.

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
