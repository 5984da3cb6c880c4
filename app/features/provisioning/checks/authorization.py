"""Checks the token, the consent's end, and the client's record at ServiceNow."""

from __future__ import annotations

from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.key_rotation import KEY_LOST
from app.features.connection.models import ConnectionStatus
from app.features.connection.oauth_client import redirect_uri
from app.features.connection.tokens import TOKEN_REFUSED, NoToken, WrongKeys, renew_now, set_consent_lifetime
from app.features.provisioning.checks.check_context import (
    ACCESS_RULES,
    REGISTRY,
    CheckContext,
    finding_for_error,
    is_about_rights,
    redirect_message,
)
from app.features.provisioning.finding import Finding, State
from app.integrations.http.errors import Forbidden
from app.integrations.servicenow.oauth import NAMED_CAUSES, NOT_RENEWED
from app.integrations.servicenow.probes import OAuthClient, find_client
from app.integrations.servicenow.releases import is_supported, release_name

# Shorter than this, and people would be asked for consent all the time; 864000 is a known slip for 8640000.
SHORT_CONSENT_SECONDS = 30 * 86_400
SHORT_ACCESS_SECONDS = 300
# What an instance says when a query rule, and no rule of the table, has refused (facts 2.3).
QUERY_WORDS = "Insufficient rights to query records"


async def check_token(look: CheckContext) -> Finding:
    """Whether the token works; renews only one that is about to end."""
    checked = T("The access token is used to ask who we are.")
    try:
        await look.ask(lambda client: client.whoami())
    except (NoToken, NotConnected) as error:
        return _no_token(look, checked, error)
    except AppError as error:
        return finding_for_error(look, checked, error)
    return Finding("token", State.GOOD, checked, T("The access token works."))


async def check_renewal(look: CheckContext) -> Finding:
    """Whether the token works and can be renewed; renews it."""
    checked = T("The access token is renewed with the refresh token, and then used to ask who we are.")
    try:
        await renew_now(look.resources)
        await look.ask(lambda client: client.whoami())
    except (NoToken, NotConnected) as error:
        return _no_token(look, checked, error)
    except AppError as error:
        return finding_for_error(look, checked, error)
    return Finding("token", State.GOOD, checked, T("The access token works, and was renewed just now."))


def _no_token(look: CheckContext, checked: Message, error: AppError) -> Finding:
    """Who has to do what: our operator, whoever authorizes, or the instance's administrator."""
    if isinstance(error, WrongKeys):
        return Finding(
            "vault_keys", State.PROBLEM, checked, error.message,
            advice=T("Every server and every worker needs the same VAULT_KEYS. /health/ready names those that differ."),
        )  # fmt: skip
    if error.message == KEY_LOST:
        return Finding(
            "vault_keys", State.PROBLEM, checked, error.message,
            advice=T("Type the client secret again on the set-up page, and authorize. Everything else stays as it is."),
        )  # fmt: skip
    if isinstance(error, NoToken):
        return Finding(
            "token_service", State.PROBLEM, checked, error.message,
            advice=T("Nothing is lost. Check again when the instance answers as usual."),
        )  # fmt: skip
    if look.connection.status == ConnectionStatus.UNCONFIRMED:
        return Finding(
            "user_unconfirmed", State.PROBLEM, checked, error.message,
            advice=T("On the provisioning page, confirm that this account is the right one, or sign in as another user."),
        )  # fmt: skip
    if look.connection.has_expired:
        return _expired(checked)
    if error.message == TOKEN_REFUSED:
        return _token_refused(look, checked, error)
    if error.message == NOT_RENEWED or error.message in NAMED_CAUSES.values():
        return _consent_refused(look, checked, error)
    return finding_for_error(look, checked, error)


def _expired(checked: Message) -> Finding:
    return Finding(
        "consent_expired", State.PROBLEM, checked,
        T("The consent has expired: a refresh token lives 100 days unless the client’s record says otherwise."),
        advice=T("Press Authorize, and consent as the integration user. Everything else stays as it is."),
        screen=REGISTRY,
    )  # fmt: skip


def _token_refused(look: CheckContext, checked: Message, error: AppError) -> Finding:
    """The token service works, and the API answers 401 all the same: access policies answer so, too (facts 1.9)."""
    return Finding(
        "token_refused", State.PROBLEM, checked, error.message,
        advice=T(
            "The consent and the client are in order: ServiceNow has just given this token. Ask whether the integration user "
            "is active and not locked, and whether a REST API access policy or Adaptive Authentication keeps this server "
            "out. When that is mended, press Authorize."
        ),
        screen=T("User Administration > Users, and System Web Services > API Access Policies > REST API Access Policies"),
        message=T(
            "Our OAuth client %(client)s gets access tokens from /oauth_token.do, and the REST API answers 401 even to a fresh "
            "one. Please check that %(user)s is active and not locked, and that no REST API access policy or Adaptive "
            "Authentication policy refuses our server.",
            client=look.connection.client_id, user=look.user,
        ),
    )  # fmt: skip


def _consent_refused(look: CheckContext, checked: Message, error: AppError) -> Finding:
    """The token service refuses us; some instances name the cause, and most do not (facts 1.5)."""
    cause = next((name for name, sentence in NAMED_CAUSES.items() if sentence == error.message), "")
    advice = {
        "invalid_client": T(
            "Copy the client ID and the client secret again from the record to the set-up page, make sure that the record is "
            "active, and authorize."
        ),
        "unsupported_grant_type": T("Ask for that kind of grant to be allowed, then press Authorize."),
        "unauthorized_client": T("Ask for that kind of grant to be allowed, then press Authorize."),
        "invalid_grant": T("Press Authorize, and consent as the integration user. Everything else stays as it is."),
    }
    usual = T(
        "ServiceNow names no cause, so try in this order: press Authorize; if no tokens come, copy the client secret "
        "again on the set-up page; then ask whether the client is active and allows authorization codes, and whether "
        "the integration user is active and has no role snc_read_only."
    )
    return Finding(
        "consent_refused", State.PROBLEM, checked, error.message,
        advice=advice.get(cause, usual),
        screen=REGISTRY,
        message=T(
            "Our OAuth client %(client)s gets %(answer)s from /oauth_token.do. Please check its record (Active, client "
            "secret, redirect URL), the tokens of %(user)s under System OAuth > Manage Tokens, and that %(user)s is active "
            "and does not have the role snc_read_only.",
            client=look.connection.client_id, answer=cause or "access_denied", user=look.user,
        ),
    )  # fmt: skip


async def check_consent(look: CheckContext) -> Finding:
    """How long the consent lasts still."""
    checked = T("The day on which the refresh token ends.")
    days = look.connection.days_left
    if days is None:
        return Finding(
            "consent", State.PROBLEM, checked, T("ServiceNow gave no refresh token: access ends within half an hour."),
            advice=T("Use a client that is not public, and authorize again."), screen=REGISTRY,
            message=T("Our OAuth client %(client)s gets no refresh tokens. Please make it a private client (not public).",
                      client=look.connection.client_id),
        )  # fmt: skip
    if look.connection.has_expired:
        return _expired(checked)
    if days <= 1:
        return Finding(
            "consent_ends_soon", State.NOTE, checked, T("The consent ends in less than two days."),
            advice=T("Press Authorize before then. Everything else stays as it is."),
        )  # fmt: skip
    if look.connection.ends_soon:
        return Finding(
            "consent_ends_soon", State.NOTE, checked, T("The consent ends in %(days)s days.", days=days),
            advice=T("Press Authorize before then. Everything else stays as it is."),
        )  # fmt: skip
    return Finding("consent", State.GOOD, checked, T("The consent lasts %(days)s more days.", days=days))


async def check_release(look: CheckContext) -> Finding:
    """Kingston or later, by the order of the releases."""
    checked = T("The properties that name the build.")
    try:
        release = await look.ask(lambda client: client.release())
    except AppError as error:
        return finding_for_error(look, checked, error)
    if release is None or is_supported(release.family) is None:
        return Finding(
            "release", State.UNKNOWN, checked,
            T("The integration user may not read which release this is. That is usual, and Kingston or later is assumed."),
        )  # fmt: skip
    name = release_name(release.family)
    if not is_supported(release.family):
        return Finding(
            "release_too_old", State.PROBLEM, checked, T("The release is %(release)s.", release=name),
            advice=T("Kingston or later is needed. Ask for an upgrade of the instance."),
            screen=T("System Diagnostics > Stats"),
            message=T("Our connector needs the release Kingston or later. Your instance says that it is %(release)s.",
                      release=name),
        )  # fmt: skip
    return Finding("release", State.GOOD, checked, T("The release is %(release)s.", release=name))


async def check_client(look: CheckContext) -> Finding:
    """The client's record, where the integration user may read it; nothing depends on that."""
    checked = T("The record of the client in the table oauth_entity.")
    client_id = look.connection.client_id
    try:
        found = await look.ask(lambda client: find_client(client, client_id))
    except AppError as error:
        if not is_about_rights(error):
            return finding_for_error(look, checked, error)
        if QUERY_WORDS in str(error.message):
            return _unqueried_client(look, checked, error)
        return _hidden_client(look, checked, error)
    if found is None:
        return Finding(
            "client_not_visible", State.UNKNOWN, checked,
            T("The integration user may not see the record. That is usual, and nothing depends on it."),
            advice=T("Open the record yourself and compare: Active is ticked, and the redirect URL is %(url)s",
                     url=redirect_uri(look.resources)),
            screen=REGISTRY,
        )  # fmt: skip
    return await _judged_client(look, checked, found)


async def _judged_client(look: CheckContext, checked: Message, found: OAuthClient) -> Finding:
    ours = redirect_uri(look.resources)
    if found.refresh_seconds:
        async with look.resources.database.transaction() as session:
            await set_consent_lifetime(look.resources, session, look.connection.id, found.refresh_seconds)
    if not found.active:
        return Finding(
            "client_inactive", State.PROBLEM, checked, T("The record “%(name)s” is not active.", name=found.name),
            advice=T("Tick Active in the record."), screen=REGISTRY,
            message=T("Please tick Active in the record of the OAuth client %(client)s.", client=look.connection.client_id),
        )  # fmt: skip
    if found.redirect_urls and ours not in found.redirect_urls:
        return Finding(
            "redirect_mismatch", State.PROBLEM, checked,
            T("The record holds %(theirs)s and not our redirect URL.", theirs=", ".join(found.redirect_urls)),
            advice=T("Enter exactly this redirect URL in the record, without a slash at its end: %(url)s", url=ours),
            screen=REGISTRY,
            message=redirect_message(look.connection.client_id, ours),
        )  # fmt: skip
    days = found.refresh_seconds // 86_400
    if 0 < found.refresh_seconds < SHORT_CONSENT_SECONDS or 0 < found.access_seconds < SHORT_ACCESS_SECONDS:
        return Finding(
            "client_lifespans", State.NOTE, checked,
            T("Tokens of this client are short-lived: a consent lasts %(days)s days, an access token %(seconds)s seconds.",
              days=days, seconds=found.access_seconds),
            advice=T("ServiceNow’s own defaults are 8640000 seconds (100 days) and 1800 seconds."), screen=REGISTRY,
            message=T(
                "Please set the lifespans of the OAuth client %(client)s to ServiceNow’s defaults: refresh token 8640000 "
                "seconds, access token 1800 seconds.", client=look.connection.client_id,
            ),
        )  # fmt: skip
    return Finding(
        "client", State.GOOD, checked,
        T("The record “%(name)s” is active and holds our redirect URL. A consent lasts %(days)s days.",
          name=found.name, days=days or 100),
    )  # fmt: skip


def _unqueried_client(look: CheckContext, checked: Message, error: Forbidden) -> Finding:
    """The table may be read, and its records may not be asked for by the client ID."""
    return Finding(
        "client_query_refused", State.NOTE, checked, error.message,
        advice=T("Nothing depends on it. If you want this check to work: allow the integration user to query the field client_id "
                 "of oauth_entity (a query_match rule)."),
        screen=ACCESS_RULES,
        message=T(
            "Please let the user %(user)s query the field client_id of oauth_entity (an access rule of the operation "
            "query_match), so that it can read its own client %(client)s.",
            user=look.user, client=look.connection.client_id,
        ),
    )  # fmt: skip


def _hidden_client(look: CheckContext, checked: Message, error: Forbidden) -> Finding:
    """The original connector failed here: a table that other application scopes may not read."""
    return Finding(
        "client_cross_scope", State.NOTE, checked, error.message,
        advice=T(
            "Nothing depends on it. If you want this check to work: open the table “Application Registries” "
            "(oauth_entity), and under Application Access set “Accessible from” to “All application scopes” and tick "
            "“Can read”."
        ),
        screen=T("System Definition > Tables > Application Registries (oauth_entity) > Application Access"),
        message=T(
            "Please open System Definition > Tables > Application Registries (oauth_entity) > Application Access, set "
            "“Accessible from” to “All application scopes”, and tick “Can read”, so that %(user)s can read its own client "
            "%(client)s.",
            user=look.user, client=look.connection.client_id,
        ),
    )  # fmt: skip
