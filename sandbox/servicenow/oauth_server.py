"""OAuth authorization server: consent page and revocation. The token endpoint is elsewhere."""
# See docs/facts/servicenow.md#1-1-endpoints and #1-2-authorization-request

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from sandbox.page_rendering import render_page
from sandbox.servicenow.browser_session import form_secret, instance_of, signed_in_user


async def authorize(request: Request) -> Response:
    """Show login, then consent. An invalid request gets a page with status 200 and no redirect."""
    # See docs/facts/servicenow.md#sandbox-1 to #sandbox-3 and #1-2-authorization-request
    instance = instance_of(request)
    params = _parse_query(request.url.query)
    client = instance.client(params.get("client_id", ""))
    if client is None:
        return render_page(request, "message.html", 200, title="Invalid client", text="Invalid client_id")
    if params.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return render_page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    if not params.get("state") and instance.switches.state_required:
        return render_page(
            request, "message.html", 200, title="Missing state", text="Missing State parameter in request."
        )
    if params.get("response_type") != "code":
        return render_page(request, "message.html", 200, title="Invalid request", text="Invalid response_type")
    proof_required = instance.switches.pkce_required or instance.switches.public_client
    if proof_required and params.get("code_challenge_method") != "S256":
        return render_page(
            request, "message.html", 200, title="Invalid request", text="Missing code_challenge in request."
        )
    user = signed_in_user(request)
    if user is None:
        return RedirectResponse(f"/oauth_login.do?{urlencode({'goto': f'/oauth_auth.do?{request.url.query}'})}", 302)
    return render_page(
        request, "consent.html", client=client, user=user, query=request.url.query, ck=form_secret(request)
    )


async def submit_consent(request: Request) -> Response:
    """Handle the consent form: redirect with a code and the unchanged state, or with `error=access_denied`."""
    # See docs/facts/servicenow.md#sandbox-4: the form is refused without its CSRF token `sysparm_ck`.
    instance = instance_of(request)
    form = await request.form()
    user = signed_in_user(request)
    if user is None or not secrets.compare_digest(str(form.get("sysparm_ck", "")), form_secret(request)):
        return render_page(request, "message.html", 403, title="Refused", text="The form is out of date. Start again.")
    params = _parse_query(str(form.get("query", "")))
    client = instance.client(params.get("client_id", ""))
    if client is None or params.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return render_page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    answer: dict[str, str] = {}
    if form.get("oauth_auth_check_action") == "authorize":
        code = secrets.token_urlsafe(64)
        instance.issue(
            "code", code, user["sys_id"], client["client_id"], int(client["auth_code_lifespan"]),
            redirect_uri=params["redirect_uri"], challenge=params.get("code_challenge", ""),
            scope=params.get("scope", ""),
        )  # fmt: skip
        answer["code"] = code
    else:
        answer["error"] = "access_denied"
    if "state" in params:
        answer["state"] = params["state"]
    glue = "&" if urlsplit(params["redirect_uri"]).query else "?"
    return RedirectResponse(f"{params['redirect_uri']}{glue}{urlencode(answer)}", 302)


async def revoke(request: Request) -> Response:
    # See docs/facts/servicenow.md#sandbox-14: no authentication is needed; only the given token is revoked.
    instance = instance_of(request)
    value = request.query_params.get("token", "")
    if not value and request.method == "POST":
        value = str((await request.form()).get("token", ""))
    for kind in ("access", "refresh"):
        found = instance.credential(kind, value)
        if found:
            instance.store.put("oauth_credential", found | {"expires": instance.expires(-1)})
    return PlainTextResponse("")


def _parse_query(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
