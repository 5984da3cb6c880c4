"""The home page: cards."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
