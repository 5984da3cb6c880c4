"""The tickets' background work."""

from __future__ import annotations

from app.foundation.jobs import TaskGroup

tasks = TaskGroup("tickets")
