"""Provisioning: what stands between connected and working."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
