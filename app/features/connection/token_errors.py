"""Why there is no usable token just now; nothing was sent, and tickets wait. Decides nothing."""

from __future__ import annotations

from app.core.messages import T
from app.integrations.http.errors import Unreachable


class NoToken(Unreachable):
    """The access token could not be renewed just now. The call that needed it was not sent, for certain."""

    default = T("ServiceNow could not renew our access just now. Nothing was sent; we will try again.")


class RefreshAnswerLost(NoToken):
    """A refresh was sent and its outcome is unknown: an instance that rotates may have spent our refresh token."""

    default = T(
        "An answer of ServiceNow with a new token was lost on its way. Nothing else was sent; we will try again."
    )


class WrongKeys(NoToken):
    """This process's VAULT_KEYS do not open what is stored, which says nothing of the connection itself."""

    default = T(
        "This server cannot open the stored tokens: they were sealed with a key that is not among its VAULT_KEYS. Nothing "
        "was sent. Its operator has to add that key and restart. If the key is lost, authorize the connection again."
    )


class SecretsMoved(NoToken):
    """A stored secret was sealed for another row or origin: the database was changed by other means than this product."""

    default = T(
        "The stored tokens do not belong to this connection and address: the database was changed from outside. Nothing was "
        "sent. Its operator undoes that change, or, after an upgrade, runs `python -m app migrate` with the same VAULT_KEYS. "
        "Otherwise authorize the connection again."
    )


class StoredOriginRefused(NoToken):
    """The address in the connection's row is none that may be called, so it was changed by other means than this product."""

    why = "origin"
    default = T(
        "The stored address of the instance is none that this server may call, so nothing was sent. Tickets wait."
    )
