"""The ServiceNow connection: set-up, consent, status, removal."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
