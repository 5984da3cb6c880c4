"""Revoke tokens that were received and could not be stored, whatever the reason: nothing would ever use or end them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.errors import Conflict
from app.core.logging import get_logger
from app.core.messages import T
from app.core.unforeseen import is_unforeseen, kind_of
from app.features.connection.disconnect import DiscardedSecrets, revoke_tokens
from app.resources import Resources

log = get_logger(__name__)


class NotStored(Conflict):
    """What ServiceNow answered to the consent cannot be stored."""

    default = T(
        "ServiceNow let us in, but something it told us cannot be stored, so the consent was given back and nothing was "
        "changed. Press Authorize again; if it stays so, an operator finds the cause in the log.",
        code="connection.not_stored",
    )


@asynccontextmanager
async def revoked_unless_stored(resources: Resources, received: DiscardedSecrets) -> AsyncIterator[None]:
    """Around what stores them. Raises what was raised inside, and NotStored in place of what no one foresaw."""
    try:
        yield
    except Exception as error:
        await revoke_tokens(resources, received)
        if not is_unforeseen(error):
            raise
        log.exception("connection.consent.not_stored", origin=received.origin, error=kind_of(error))
        raise NotStored from error
