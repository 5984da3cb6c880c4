"""Texts about the authorization: the connection itself, the token, the consent, the client's record."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.finding import FindingText, State
from app.features.provisioning.texts.screens import ACCESS_RULES, AUTH_SCOPE, REGISTRY

# fmt: off
TOKEN, CONSENT, CLIENT, LAST = T("Access token"), T("Consent"), T("OAuth client"), T("Last authorization")
REFUSED, OWN_KEYS, RELEASE = T("Consent refused"), T("Keys of this server"), T("Release")
SCOPE = T("Authentication scope")
AUTHORIZE_AGAIN = T("Press Authorize, and consent as the integration user. Everything else stays as it is.")
BEFORE_THEN = T("Press Authorize before then. Everything else stays as it is.")
ALLOW_GRANT = T("Ask for that kind of grant to be allowed, then press Authorize.")
REFUSED_MESSAGE = T(
    "Our OAuth client %(client)s gets %(answer)s from /oauth_token.do. Please check its record (Active, client "
    "secret, redirect URL), the tokens of %(user)s under System OAuth > Manage Tokens, and that %(user)s is active "
    "and does not have the role snc_read_only."
)

AUTHORIZATION_FINDINGS = {
    "not_connected": FindingText(
        State.PROBLEM, T("Connection"), T("ServiceNow is not connected."),
        advice=T("Open ServiceNow > Connect to ServiceNow, and follow the checklist."),
    ),
    "authorize": FindingText(
        State.PROBLEM, T("Authorization"), advice=T("Press Authorize on this page."), needs_consent=True,
    ),
    "authorization_denied": FindingText(
        State.NOTE, LAST, T("Deny was pressed on ServiceNow’s consent page. The connection is as it was before."),
        advice=T("Nothing has to be done, unless another account or client was meant to take its place."),
    ),
    "authorization_failed": FindingText(
        State.PROBLEM, LAST,
        advice=T("Mend what it names, then press Authorize again."),
        screen=REGISTRY,
        message=T("The authorization of our OAuth client %(client)s by the user %(user)s did not succeed: %(why)s"),
    ),
    # Error pages of ServiceNow's own that never lead back to us: docs/facts/servicenow.md#1-2-authorization-request.
    "authorization_unfinished": FindingText(
        State.PROBLEM, LAST,
        T("An authorization was begun, and no browser has come back from ServiceNow. If it showed an error page: "
          "“Invalid redirect_uri” means that the client’s record holds another redirect URL; “Invalid client_id” that the "
          "client ID is wrong or the record not active. If the login refused the integration user: it is marked “Web "
          "service access only”, locked, or has to enrol in multi-factor authentication first. If it signed in somebody "
          "else: single sign-on took over."),
        advice=T("The checklist on the set-up page has the way round for each of them."),
        screen=T("%(registry)s; User Administration > Users", registry=REGISTRY),
        message=T(
            "Authorizing our OAuth client %(client)s ends at an error page or at the login. Please check that its record is "
            "active and holds our redirect URL, and that the user %(user)s is active, not locked, not marked “Web service "
            "access only”, and enrolled in multi-factor authentication where that is required."
        ),
    ),
    "token": FindingText(State.GOOD, TOKEN, T("The access token works.")),
    "token:renewed": FindingText(State.GOOD, TOKEN, T("The access token works, and was renewed just now.")),
    "vault_keys": FindingText(
        State.PROBLEM, OWN_KEYS,
        advice=T("Every server and every worker needs the same VAULT_KEYS. /health/ready names those that differ."),
    ),
    "vault_keys:lost": FindingText(
        State.PROBLEM, OWN_KEYS,
        advice=T("Type the client secret again on the set-up page, and authorize. Everything else stays as it is."),
    ),
    "vault_keys:moved": FindingText(
        State.PROBLEM, OWN_KEYS,
        advice=T(
            "Ask the operator of this server what was changed in its database. If it cannot be undone, press Authorize. "
            "Tickets wait until then."
        ),
    ),
    "token_service": FindingText(
        State.PROBLEM, T("Token service"), advice=T("Nothing is lost. Check again when the instance answers as usual."),
    ),
    "user_unconfirmed": FindingText(
        State.PROBLEM, T("Integration user"),
        advice=T("On the provisioning page, confirm that this account is the right one, or sign in as another user."),
    ),
    # API access policies and Adaptive Authentication answer 401 as well: docs/facts/servicenow.md#2-6-error-envelope.
    "token_refused": FindingText(
        State.PROBLEM, TOKEN,
        advice=T(
            "The consent and the client are in order: ServiceNow has just given this token. Ask whether the integration user "
            "is active and not locked, whether a REST API access policy or Adaptive Authentication keeps this server out, and "
            "whether “Enforce token restriction” or “Allow access only to APIs in selected scope” is ticked in the client. "
            "When that is mended, press Check again; we also ask again by ourselves."
        ),
        screen=T("User Administration > Users, and System Web Services > API Access Policies > REST API Access Policies"),
        message=T(
            "Our OAuth client %(client)s gets access tokens from /oauth_token.do, and the REST API answers 401 even to a fresh "
            "one. Please check that %(user)s is active and not locked, and that no REST API access policy or Adaptive "
            "Authentication policy refuses our server."
        ), needs_consent=True,
    ),
    # Every call is refused with 403, whatever the roles: docs/facts/servicenow.md#2-6-error-envelope
    "auth_scope_missing": FindingText(
        State.PROBLEM, SCOPE,
        advice=T(
            "Roles do not help here. Add the scope useraccount to the client in ServiceNow, or allow it unrestricted access; "
            "“Allow access only to APIs in selected scope” and “Enforce token restriction” stay off. Then press Authorize, "
            "so that a new token carries the scope. Tickets that wait are sent by themselves."
        ),
        screen=AUTH_SCOPE,
        message=T(
            "ServiceNow refuses our OAuth client %(client)s: it lacks an authentication scope. Please add the scope "
            "useraccount under %(screen)s. “Allow access only to APIs in selected scope” and “Enforce token restriction” "
            "should be off.",
            screen=AUTH_SCOPE,
        ), needs_consent=True,
    ),
    "scope": FindingText(State.GOOD, SCOPE, T("The token carries the scope useraccount, all the rights of the user.")),
    # Both are usual on instances that protect no API by a scope: docs/facts/servicenow.md#1-4-token-response
    "scope:none": FindingText(
        State.NOTE, SCOPE,
        T("The token carries no scope. That does no harm as long as calls are answered. If they are refused with “User Not "
          "Authorized”, the client lacks the scope useraccount."),
        advice=T("Nothing has to be done while tickets flow. Otherwise add the scope to the client, then press Authorize."),
        screen=AUTH_SCOPE,
        message=T("Please add the scope useraccount to our OAuth client %(client)s (%(screen)s).", screen=AUTH_SCOPE),
    ),
    "scope:other": FindingText(
        State.NOTE, SCOPE,
        T("The token carries the scope %(scope)s and not useraccount. Calls to tables outside that scope may be refused."),
        advice=T("Nothing has to be done while tickets flow. Otherwise add the scope useraccount to the client, then press "
                 "Authorize."),
        screen=AUTH_SCOPE,
        message=T("Please add the scope useraccount to our OAuth client %(client)s (%(screen)s).", screen=AUTH_SCOPE),
    ),
    # One answer for nearly every cause: docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do.
    "consent_refused": FindingText(
        State.PROBLEM, REFUSED, screen=REGISTRY, message=REFUSED_MESSAGE,
        advice=T(
            "ServiceNow names no cause, so it may pass: we ask again by ourselves, and at once when you press Check again. If "
            "it stays, try in this order: press Authorize; if no tokens come, copy the client secret again on the set-up "
            "page; then ask whether the client is active and allows authorization codes, whether it has the scope "
            "useraccount and takes a proof key (PKCE), and whether the integration user is active and has no role "
            "snc_read_only."
        ), needs_consent=True,
    ),
    # The names of RFC 6749, section 5.2, which some instances do use: then the cause is certain.
    "consent_refused:invalid_client": FindingText(
        State.PROBLEM, REFUSED, screen=REGISTRY, message=REFUSED_MESSAGE,
        advice=T(
            "Copy the client ID and the client secret again from the record to the set-up page, make sure that the record is "
            "active, and authorize."
        ), needs_consent=True,
    ),
    "consent_refused:unsupported_grant_type": FindingText(
        State.PROBLEM, REFUSED, screen=REGISTRY, message=REFUSED_MESSAGE, advice=ALLOW_GRANT, needs_consent=True,
    ),
    "consent_refused:unauthorized_client": FindingText(
        State.PROBLEM, REFUSED, screen=REGISTRY, message=REFUSED_MESSAGE, advice=ALLOW_GRANT, needs_consent=True,
    ),
    "consent_refused:invalid_scope": FindingText(
        State.PROBLEM, SCOPE, screen=AUTH_SCOPE, message=REFUSED_MESSAGE, needs_consent=True,
        advice=T("Ask for the scope useraccount to be added to the client, then press Authorize."),
    ),
    "consent_refused:invalid_grant": FindingText(
        State.PROBLEM, REFUSED, screen=REGISTRY, message=REFUSED_MESSAGE, advice=AUTHORIZE_AGAIN, needs_consent=True,
    ),
    "consent_expired": FindingText(
        State.PROBLEM, T("Consent expired"),
        T("The consent has expired: a refresh token lives 100 days unless the client’s record says otherwise."),
        advice=AUTHORIZE_AGAIN, screen=REGISTRY, needs_consent=True,
    ),
    "consent": FindingText(State.GOOD, CONSENT, T("The consent lasts %(days)s more days.")),
    # Refresh tokens are for private clients: docs/facts/servicenow.md#1-3-token-request-and-client-authentication.
    "consent:no_refresh_token": FindingText(
        State.PROBLEM, CONSENT, T("ServiceNow gave no refresh token: access ends within half an hour."),
        advice=T("Use a client that is not public, and authorize again."), screen=REGISTRY,
        message=T("Our OAuth client %(client)s gets no refresh tokens. Please make it a private client (not public)."),
    ),
    "consent_ends_soon": FindingText(
        State.NOTE, CONSENT, T("The consent ends in %(days)s days."), advice=BEFORE_THEN,
    ),
    "consent_ends_soon:at_once": FindingText(
        State.NOTE, CONSENT, T("The consent ends in less than two days."), advice=BEFORE_THEN,
    ),
    "release": FindingText(State.GOOD, RELEASE, T("The release is %(release)s.")),
    # sys_properties is often closed to non-administrators: docs/facts/servicenow.md#7-which-release-is-the-instance-on.
    "release:unknown": FindingText(
        State.UNKNOWN, RELEASE,
        T("The integration user may not read which release this is. That is usual, and Kingston or later is assumed."),
    ),
    "release_too_old": FindingText(
        State.PROBLEM, RELEASE, T("The release is %(release)s."),
        advice=T("Kingston or later is needed. Ask for an upgrade of the instance."),
        screen=T("System Diagnostics > Stats"),
        message=T("Our connector needs the release Kingston or later. Your instance says that it is %(release)s."),
    ),
    "client": FindingText(
        State.GOOD, CLIENT,
        T("The record “%(name)s” is active and holds our redirect URL. A consent lasts %(days)s days."),
    ),
    "client_not_visible": FindingText(
        State.UNKNOWN, CLIENT, T("The integration user may not see the record. That is usual, and nothing depends on it."),
        advice=T("Open the record yourself and compare: Active is ticked, and the redirect URL is %(url)s"),
        screen=REGISTRY,
    ),
    "client_inactive": FindingText(
        State.PROBLEM, CLIENT, T("The record “%(name)s” is not active."),
        advice=T("Tick Active in the record."), screen=REGISTRY,
        message=T("Please tick Active in the record of the OAuth client %(client)s."),
    ),
    "client_lifespans": FindingText(
        State.NOTE, CLIENT,
        T("Tokens of this client are short-lived: a consent lasts %(days)s days, an access token %(seconds)s seconds."),
        advice=T("ServiceNow’s own defaults are 8640000 seconds (100 days) and 1800 seconds."), screen=REGISTRY,
        message=T(
            "Please set the lifespans of the OAuth client %(client)s to ServiceNow’s defaults: refresh token 8640000 "
            "seconds, access token 1800 seconds."
        ),
    ),
    "client_query_refused": FindingText(
        State.NOTE, CLIENT,
        advice=T("Nothing depends on it. If you want this check to work: allow the integration user to query the field client_id "
                 "of oauth_entity (a query_match rule)."),
        screen=ACCESS_RULES,
        message=T(
            "Please let the user %(user)s query the field client_id of oauth_entity (an access rule of the operation "
            "query_match), so that it can read its own client %(client)s."
        ),
    ),
    # Microsoft's connector of 2020 failed here: docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror.
    "client_cross_scope": FindingText(
        State.NOTE, CLIENT,
        advice=T(
            "Nothing depends on it. If you want this check to work: open the table “Application Registries” "
            "(oauth_entity), and under Application Access set “Accessible from” to “All application scopes” and tick "
            "“Can read”."
        ),
        screen=T("System Definition > Tables > Application Registries (oauth_entity) > Application Access"),
        message=T(
            "Please open System Definition > Tables > Application Registries (oauth_entity) > Application Access, set "
            "“Accessible from” to “All application scopes”, and tick “Can read”, so that %(user)s can read its own client "
            "%(client)s."
        ),
    ),
}
