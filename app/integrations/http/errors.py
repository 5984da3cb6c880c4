"""What can go wrong when we talk to a stranger, told apart by what it means for the thing we asked for."""

from app.core.errors import AppError, Retry
from app.core.messages import Message, T


class RemoteError(AppError):
    """A call to another system did not give what we asked for.

    `is_final` says that the other side is surely done with the call, whether it did what was asked or not.
    `is_instance_wide` says that what stands in the way of this call stands in the way of every call.
    """

    status = 502
    is_final = False
    is_instance_wide = False
    retry = Retry.LATER
    default = T("The other system did not give a usable answer.")


class Unreachable(RemoteError):
    """Failed before anything was sent: surely not received.

    `why` tells the causes apart, for diagnosis: name, address, tls, proxy, refused, slow or other.
    """

    why = "other"
    is_final = True
    is_instance_wide = True
    default = T("The other system could not be reached. Nothing was sent; we will try again.")


class Ambiguous(RemoteError):
    """Sent, and no usable answer came: it may have been received, so look before repeating."""

    default = T(
        "The connection broke before an answer came, so we cannot know yet whether it was received. "
        "We will look before trying again."
    )


class Throttled(RemoteError):
    """Answered 429; `seconds` is the time it named, or None."""

    is_final = True
    is_instance_wide = True
    default = T("The other system asks us to slow down. We will try again later.")

    def __init__(self, message: Message | None = None, *, seconds: float | None = None) -> None:
        super().__init__(message, retry=Retry.after(seconds))
        self.seconds = seconds


class ServerError(RemoteError):
    """Answered 5xx: it may or may not have done what was asked."""

    default = T("The other system reported an internal error. We will try again.")


class Unauthorized(RemoteError):
    """Our token is refused and cannot be renewed: somebody must authorize again."""

    is_final = True
    status = 409
    retry = Retry.NEVER
    default = T("The other system no longer accepts our sign-in. Authorize the connection again.")


class Forbidden(RemoteError):
    """Answered 403: the account we use may not do this."""

    is_final = True
    status = 409
    retry = Retry.NEVER
    default = T("The other system refused: the account we use there may not do this.")


class RecordNotFound(RemoteError):
    """Answered 404: deleted, or hidden from the account we use.

    `counted` is how many such records the other side counts, shown or not; None when it did not say.
    """

    counted: int | None = None
    is_final = True
    status = 409
    retry = Retry.NEVER
    default = T("The other system has no such record, or hides it from the account we use.")


class InvalidResponse(RemoteError):
    """Answered, but not in the agreed shape."""

    retry = Retry.NEVER
    default = T("The other system answered with something we cannot read.")


class QueryIgnored(InvalidResponse):
    """Answered with what the question excluded, or without what it was about: it proves nothing, least of all absence."""

    default = T("The other system ignored what it was asked for.")
