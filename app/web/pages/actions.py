"""Improvement actions: the list and one action."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
