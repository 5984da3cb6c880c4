"""Discovery document and key set of the Entra ID sandbox."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.entra import directory_of, entra_error, origin


async def discovery(request: Request) -> Response:
    """Return every member that https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration has."""
    # https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#fetch-the-openid-configuration-document
    if request.path_params["tenant"] != directory_of(request).settings.tenant_id:
        return entra_error(90002, "invalid_tenant", "Tenant not found.")
    here = origin(request)
    base = f"{here}/{request.path_params['tenant']}"
    return JSONResponse(
        {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{base}/v2.0",
            "request_uri_parameter_supported": False,
            "userinfo_endpoint": f"{here}/oidc/userinfo",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
            "claims_supported": [
                "sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver", "oid", "email",
                "wids",
            ],
            "kerberos_endpoint": f"{base}/kerberos",
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "cloud_graph_host_name": "graph.windows.net",
            "msgraph_host": request.url.netloc,
            "rbac_url": "https://pas.windows.net",
        }
    )  # fmt: skip


async def keys(request: Request) -> Response:
    issuer = f"{origin(request)}/{directory_of(request).settings.tenant_id}/v2.0"
    return JSONResponse({"keys": [directory_of(request).public_key() | {"issuer": issuer}]})


ROUTES = [
    Route("/{tenant}/v2.0/.well-known/openid-configuration", discovery),
    Route("/{tenant}/discovery/v2.0/keys", keys),
]
