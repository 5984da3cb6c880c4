"""The tree of expected errors: what a person is told, the HTTP status, and whether a job may retry. Logs nothing.

AppError
├── NotFound 404 · NotAllowed 403 · Conflict 409 · InvalidInput 422
├── NeedsAttention 409     a person must act before this can go on
├── RetryLater 503         not done yet, the job runs again after the named seconds
└── app.integrations.http.errors.RemoteError 502
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from app.core.messages import Message, T


@dataclass(frozen=True)
class Retry:
    """Whether a job may retry after this error; `seconds` is None where the backoff of the queue decides (core/jobs.py)."""

    allowed: bool
    seconds: float | None = None

    NEVER: ClassVar[Retry]
    LATER: ClassVar[Retry]

    @classmethod
    def after(cls, seconds: float | None) -> Retry:
        return cls(allowed=True, seconds=seconds)


Retry.NEVER = Retry(allowed=False)
Retry.LATER = Retry(allowed=True)


class AppError(Exception):
    """An expected error. `message` is shown to a person, `status` is the HTTP status, `retry` is for jobs."""

    status: int = 500
    retry: Retry = Retry.NEVER
    default: Message = T("Something went wrong.")

    def __init__(self, message: Message | None = None, *, retry: Retry | None = None) -> None:
        self.message = message or self.default
        if retry is not None:
            self.retry = retry
        super().__init__(self.message)

    @property
    def code(self) -> str | None:
        """The stable code of the message, for logic and logs; None where nothing depends on it."""
        return self.message.code

    def __str__(self) -> str:
        return str(self.message)


class NotFound(AppError):
    """There is no such thing, or this person may not see it."""

    status = 404
    default = T("We could not find what you asked for. It may have been removed, or the address may be mistyped.")


class NotAllowed(AppError):
    """The role of this person does not permit it."""

    status = 403
    default = T("Your role does not allow this.")


class Conflict(AppError):
    """The thing has changed since the page was shown."""

    status = 409
    default = T("This has changed in the meantime. Reload the page and try again.")


class InvalidInput(AppError):
    """What was typed cannot be accepted. `fields` says why by field; the form is shown again with everything in it."""

    status = 422
    default = T("Please check the marked fields. Nothing you typed is lost.")

    def __init__(self, message: Message | None = None, *, fields: Mapping[str, Message] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class NeedsAttention(AppError):
    """A person must act first: reconnect, grant a role, choose a setting."""

    status = 409
    default = T("Somebody needs to act before this can go on.")


class RetryLater(AppError):
    """Not delivered yet. The queue runs the job again after `seconds`. Not a failure."""

    status = 503
    default = T("Not delivered yet.")

    def __init__(self, seconds: float, message: Message | None = None) -> None:
        super().__init__(message, retry=Retry.after(seconds))
        self.seconds = seconds
