"""Tells what no part of the product expected from what is expected and from trouble of the database, which passes."""

from __future__ import annotations

from app.core.database_trouble import passes
from app.core.errors import AppError


def is_unforeseen(error: BaseException) -> bool:
    """Whether trying again alone will not help and nothing was planned for it: a fault of ours, or a poisonous value."""
    return isinstance(error, Exception) and not isinstance(error, AppError | OSError) and not passes(error)


def kind_of(error: BaseException) -> str:
    """The name of the error's class, which holds nothing that came from outside."""
    return type(error).__name__[:60]
