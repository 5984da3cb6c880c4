"""Judges the address in a connection's row again before each call: the row may have been changed since it was typed.

Which addresses a name leads to is checked at each connect besides (integrations/http/ssrf.py). Resolves and calls nothing.
"""

from __future__ import annotations

from app.core.logging import get_logger
from app.core.messages import T
from app.features.connection.token_errors import StoredOriginRefused
from app.integrations.servicenow.address import InvalidAddress, parse_instance
from app.resources import Resources

log = get_logger(__name__)


def check_stored_origin(resources: Resources, origin: str) -> None:
    """Raises StoredOriginRefused unless this is `https://NAME.service-now.com` or listed in SERVICENOW_ALLOWED_ORIGINS."""
    # Who can write to the database must not be able to send our tokens elsewhere (SSRF):
    # https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
    try:
        if parse_instance(origin, resources.config.servicenow_allowed_origins).origin == origin:
            return
    except InvalidAddress:
        pass
    log.error("connection.origin.refused", origin=origin)
    raise StoredOriginRefused(
        T(
            "The stored address of the instance, %(origin)s, is none that this server may call, so nothing was sent and "
            "tickets wait. If it is right, the operator lists it in SERVICENOW_ALLOWED_ORIGINS. If not, the database was "
            "changed from outside.",
            origin=origin[:200],
        )
    )
