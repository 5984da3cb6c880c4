"""Makes our OAuth client of an instance, with its redirect URI, if that instance may be called. Calls nothing."""

from __future__ import annotations

from app.features.connection.stored_origin import check_stored_origin
from app.integrations.servicenow.oauth import ServiceNowOAuth
from app.resources import Resources


def redirect_uri(resources: Resources) -> str:
    """Where ServiceNow sends the browser after the consent; the client's record there must hold exactly this address."""
    return f"{resources.config.public_url}/servicenow/callback"


def oauth_client(resources: Resources, origin: str, client_id: str, client_secret: str) -> ServiceNowOAuth:
    """Our client at the authorization, token and revoking services. Raises StoredOriginRefused, see stored_origin.py."""
    check_stored_origin(resources, origin)
    return ServiceNowOAuth(
        resources.servicenow,
        origin,
        client_id=client_id,
        client_secret=client_secret,
        redirect_uri=redirect_uri(resources),
    )
