"""Secure Score's background work."""

from __future__ import annotations

from app.foundation.jobs import TaskGroup

tasks = TaskGroup("secure_score")
