"""Makes our OAuth client of an instance: its redirect URI, and the purposes its secrets are sealed for. Calls nothing."""

from __future__ import annotations

from app.integrations.servicenow.oauth import ServiceNowOAuth
from app.resources import Resources

# What the vault seals each secret for: a value sealed for one purpose does not open for another.
ACCESS_TOKEN = "servicenow access token"  # noqa: S105 - a purpose, not a secret.
REFRESH_TOKEN = "servicenow refresh token"  # noqa: S105 - a purpose, not a secret.
CLIENT_SECRET = "servicenow client secret"  # noqa: S105 - a purpose, not a secret.
CODE_VERIFIER = "servicenow verifier"


def redirect_uri(resources: Resources) -> str:
    """Where ServiceNow sends the browser after the consent; the client's record there must hold exactly this address."""
    return f"{resources.config.public_url}/servicenow/callback"


def oauth_client(resources: Resources, origin: str, client_id: str, client_secret: str) -> ServiceNowOAuth:
    """Our client at the instance's authorization endpoint, token service and revoking service."""
    return ServiceNowOAuth(
        resources.servicenow,
        origin,
        client_id=client_id,
        client_secret=client_secret,
        redirect_uri=redirect_uri(resources),
    )
