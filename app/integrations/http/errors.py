"""Errors of remote calls, classified by whether the request may have taken effect. Raised by the integrations only.

RemoteError 502                    job
├── Unreachable                    later      failed before anything was sent: surely not received
├── Ambiguous                      later      sent, no usable answer: may have been received, look before repeating
├── Throttled                      after(n)   429, with or without a named time
├── ServerError                    later      5xx: may or may not have been done
├── Unauthorized 409               never      the token is refused and cannot be refreshed
├── Forbidden 409                  never      403: the account may not do this
├── RecordNotFound 409             never      404: deleted, or hidden by an access rule
└── InvalidResponse                never      answered, but not in the agreed shape
    └── QueryIgnored               never      rows came that were not asked for

Telling Unreachable from Ambiguous is what makes exactly-once delivery possible: only what was surely not received may be
sent again without looking first (docs/reliability.md).
"""

from app.core.errors import AppError, Retry
from app.core.messages import Message, T


class RemoteError(AppError):
    """A call to another system did not give a usable answer.

    `is_final`: the other side has surely finished with the call, whether or not it did what was asked.
    `is_instance_wide`: the cause holds for every call to that system, so that all of them should pause.
    `is_at_the_door`: the caller was refused before the other side looked at what was asked for.
    `remote_text`: what the other side said of it, in its own words and shortened; for logic that has to know which rule
    refused, and never for people.
    """

    status = 502
    is_final = False
    is_instance_wide = False
    is_at_the_door = False
    remote_text = ""
    retry = Retry.LATER
    default = T("The other system did not give a usable answer.")


class Unreachable(RemoteError):
    """Failed before anything was sent: surely not received.

    `why` names the cause for the diagnosis: name, address, tls, proxy, refused, slow, late or other.
    """

    why = "other"
    is_final = True
    is_instance_wide = True
    default = T("The other system could not be reached. Nothing was sent; we will try again.")


class Ambiguous(RemoteError):
    """Sent, and no usable answer came: it may have been received, so reconcile before repeating."""

    default = T(
        "The connection broke before an answer came, so we cannot know yet whether it was received. "
        "We will look before trying again."
    )


class Throttled(RemoteError):
    """Answered 429; `seconds` is the time it named, or None.

    `is_surely_not_done`: the other side itself said so, and not something in front of it that may have passed the call on.
    """

    is_surely_not_done = True
    is_final = True
    is_instance_wide = True
    default = T("The other system asks us to slow down. We will try again later.")

    def __init__(self, message: Message | None = None, *, seconds: float | None = None) -> None:
        super().__init__(message, retry=Retry.after(seconds))
        self.seconds = seconds


class ServerError(RemoteError):
    """Answered 5xx: it may or may not have done what was asked.

    ServiceNow cancels a transaction after its insert was committed, and answers 500
    (docs/facts/servicenow.md#5-limits-failures-sleeping-instances), so a create that ended so must be looked up.
    """

    default = T("The other system reported an internal error. We will try again.")


class Unauthorized(RemoteError):
    """The token is refused and cannot be refreshed: a person must authorize again.

    `why` names the check that refused it, for the log only; empty where the other side refused.
    """

    why = ""
    is_final = True
    status = 409
    retry = Retry.NEVER
    default = T("The other system no longer accepts our sign-in. Authorize the connection again.")


class Forbidden(RemoteError):
    """Answered 403: the account may not do this.

    Not proof that nothing happened: ServiceNow answers 403 to a create whose record it then refuses to show
    (docs/facts/servicenow.md#trap-4).
    """

    is_final = True
    status = 409
    retry = Retry.NEVER
    default = T("The other system refused: the account we use there may not do this.")


class RecordNotFound(RemoteError):
    """Answered 404: deleted, or hidden from the account by an access rule; the answer is the same for both.

    `counted` is how many matching records the other side counts, including hidden ones; None when it did not say.
    Source: docs/facts/servicenow.md#2-6-error-envelope and docs/facts/servicenow.md#2-5-pagination-headers.
    """

    counted: int | None = None
    is_final = True
    status = 409
    retry = Retry.NEVER
    default = T("The other system has no such record, or hides it from the account we use.")


class InvalidResponse(RemoteError):
    """Answered, but not in the agreed shape: HTML with status 200, JSON without `result`, a body cut off.

    A hibernating instance and a login page answer 200 with HTML (docs/facts/servicenow.md#trap-1).
    """

    retry = Retry.NEVER
    default = T("The other system answered with something we cannot read.")


class QueryIgnored(InvalidResponse):
    """Answered with rows that the query excluded: the query was ignored, so the answer proves nothing, above all not absence.

    An unknown field in `sysparm_query` is dropped and everything matches (docs/facts/servicenow.md#trap-6).
    """

    default = T("The other system ignored what it was asked for.")
