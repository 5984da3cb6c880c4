"""Secure Score: overview, history and imports."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
