"""Tickets: share, list, one ticket."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
