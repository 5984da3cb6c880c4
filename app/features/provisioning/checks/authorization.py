"""Checks the authorization: the last attempt, the token, the end of the consent, the release, the client's record."""

from __future__ import annotations

from app.core.errors import AppError
from app.core.messages import Message
from app.features.connection.active_connection import NotConnected
from app.features.connection.authorization_attempts import DENIED
from app.features.connection.connection_view import ConnectionView
from app.features.connection.key_rotation import KEY_LOST
from app.features.connection.models import ConnectionStatus
from app.features.connection.oauth_client import redirect_uri
from app.features.connection.renewal import recover, renew_now
from app.features.connection.token_errors import NoToken, SecretsMoved, StoredOriginRefused, WrongKeys
from app.features.connection.tokens import TOKEN_REFUSED, set_consent_lifetime
from app.features.provisioning.checks.check_context import NAMELESS_USER, CheckContext
from app.features.provisioning.checks.finding_for_error import QUERY_RULE, finding_for_error, is_about_rights
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.finding_catalog import make_finding
from app.integrations.servicenow.auth_scope import SCOPE_MISSING, grants_whole_account
from app.integrations.servicenow.oauth import NAMED_CAUSES, NOT_RENEWED
from app.integrations.servicenow.probes import OAuthClient, find_client
from app.integrations.servicenow.releases import is_supported, release_name
from app.integrations.servicenow.schemas import Release

SECONDS_PER_DAY = 86_400
# Shorter than this, and people would be asked for consent all the time. 864000 is a known slip for 8640000, ServiceNow's
# default (docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror, the sibling app's form).
SHORT_CONSENT_SECONDS = 30 * SECONDS_PER_DAY
# The default is 1,800 s; below 300 s every poll would need a new token.
SHORT_ACCESS_SECONDS = 300
# ServiceNow's default for a refresh token, for a record that does not say (docs/facts/servicenow.md#1-4-token-response).
USUAL_CONSENT_DAYS = 100
# What ServiceNow answers for nearly every cause (docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do).
USUAL_ANSWER = "access_denied"

# Refusals of a renewal, by the code of their message: the error name that ServiceNow gave, or the usual one.
REFUSED_ANSWERS = {message.code: cause for cause, message in NAMED_CAUSES.items()} | {NOT_RENEWED.code: USUAL_ANSWER}


def has_unfinished_attempt(context: CheckContext) -> bool:
    """Whether an authorization was begun after which nothing was connected."""
    attempt = context.attempt
    if attempt is None or (context.has_connection and context.connection.connected_at >= attempt.begun_at):
        return False
    return not attempt.succeeded


async def check_last_attempt(context: CheckContext) -> Finding:
    """Why the last authorization connected nothing: it failed, or no browser came back from ServiceNow."""
    attempt = context.attempt
    if attempt is None:
        raise ValueError("there is no attempt to examine")
    problem = attempt.problem
    is_in_use = context.has_connection and context.connection.is_connected
    if is_in_use and problem is not None and problem.code == DENIED.code:
        return context.finding("authorization_denied")
    # The client and the user of the attempt, which may differ from those of the connection that is in use.
    client, user = attempt.client_id, attempt.expected_user_name or NAMELESS_USER
    if problem is not None:
        return context.finding("authorization_failed", meaning=problem, why=problem, client=client, user=user)
    state = State.NOTE if context.has_connection else State.PROBLEM
    return context.finding("authorization_unfinished", state=state, client=client, user=user)


async def check_token(context: CheckContext) -> Finding:
    """Whether the token works; renews only one that is about to end, so that a diagnosis changes nothing.

    Where a refusal is on record that may pass, ServiceNow is asked again, and the connection works again if it is over.
    """
    try:
        await recover(context.resources)
        await context.call(lambda client: client.whoami())
    except (NoToken, NotConnected) as error:
        return finding_without_token(context, error)
    return context.finding("token")


async def check_renewal(context: CheckContext) -> Finding:
    """Whether the token works and can be renewed; renews it."""
    try:
        # POST /oauth_token.do with grant_type=refresh_token: that it works is only known by doing it
        # (docs/facts/servicenow.md#1-4-token-response).
        await renew_now(context.resources)
        await context.call(lambda client: client.whoami())
    except (NoToken, NotConnected) as error:
        return finding_without_token(context, error)
    return context.finding("token:renewed")


def finding_without_token(context: CheckContext, error: AppError) -> Finding:
    """Why there is no token, and who has to act: our operator, who authorizes, or the instance's administrator.

    Decided by the error's class, by the code of its message, and by what the connection's row says; never by sentences.
    """
    if isinstance(error, WrongKeys):
        return context.finding("vault_keys", meaning=error.message)
    if isinstance(error, SecretsMoved):
        return context.finding("vault_keys:moved", meaning=error.message)
    if isinstance(error, StoredOriginRefused):
        return finding_for_error(context, error)
    if isinstance(error, NoToken):
        return context.finding("token_service", meaning=error.message)
    code, answer = _cause(context.connection, error.message)
    return context.finding(code, meaning=error.message, answer=answer) if code else finding_for_error(context, error)


def finding_of_attention(connection: ConnectionView, attention: Message) -> Finding:
    """What the connection's own row says of a token that stopped working after the last check. Calls nothing."""
    code, answer = _cause(connection, attention)
    user = connection.user_name or str(NAMELESS_USER)
    return make_finding(code or "authorize", meaning=attention, user=user, client=connection.client_id, answer=answer)


def _cause(connection: ConnectionView, said: Message) -> tuple[str, str]:
    """The finding's code, empty where the message names no cause, and what the token service answered."""
    if said.code == KEY_LOST.code:
        return "vault_keys:lost", ""
    if connection.status == ConnectionStatus.UNCONFIRMED:
        # Why it is unknown who consented, where that was it.
        why = said.values.get("why")
        is_scope = isinstance(why, Message) and why.code == SCOPE_MISSING.code
        return "auth_scope_missing" if is_scope else "user_unconfirmed", ""
    # Before what ServiceNow said: it names no cause for an expired refresh token, and the day is known.
    if connection.has_expired:
        return "consent_expired", ""
    if said.code == TOKEN_REFUSED.code:
        return "token_refused", ""
    if said.code in REFUSED_ANSWERS:
        answer = REFUSED_ANSWERS[said.code]
        return "consent_refused" if answer == USUAL_ANSWER else f"consent_refused:{answer}", answer
    return "", ""


async def check_consent(context: CheckContext) -> Finding:
    """How many days the consent still lasts. Reads the connection only."""
    days = context.connection.days_left
    if days is None:
        return context.finding("consent:no_refresh_token")
    if context.connection.has_expired:
        return context.finding("consent_expired")
    if days <= 1:
        return context.finding("consent_ends_soon:at_once")
    if context.connection.ends_soon:
        return context.finding("consent_ends_soon", days=days)
    return context.finding("consent", days=days)


async def check_scope(context: CheckContext) -> Finding:
    """What the scope that came with the token says. Reads the connection only."""
    scope = context.connection.scope
    if not scope:
        return context.finding("scope:none")
    return context.finding("scope" if grants_whole_account(scope) else "scope:other", scope=scope[:100])


async def check_release(context: CheckContext) -> Finding:
    """Kingston or later, by the order of the releases."""
    # GET sys_properties (glide.buildtag, glide.buildname), often closed to non-administrators
    # (docs/facts/servicenow.md#7-which-release-is-the-instance-on).
    return evaluate_release(context, await context.call(lambda client: client.release()))


def evaluate_release(context: CheckContext, release: Release | None) -> Finding:
    """`release` is None where it may not be read."""
    supported = is_supported(release.family) if release else None
    if release is None or supported is None:
        return context.finding("release:unknown")
    return context.finding("release" if supported else "release_too_old", release=release_name(release.family))


async def check_client(context: CheckContext) -> Finding:
    """The client's record, where the integration user may read it; nothing depends on that."""
    client_id = context.connection.client_id
    try:
        # GET oauth_entity: the table that Microsoft's connector could not read across scopes
        # (docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror).
        record = await context.call(lambda client: find_client(client, client_id))
    except AppError as error:
        if not is_about_rights(error):
            raise
        code = "client_query_refused" if QUERY_RULE in error.remote_text else "client_cross_scope"
        return context.finding(code, meaning=error.message)
    if record is None:
        return context.finding("client_not_visible")
    if record.refresh_seconds:
        # Now the end of the consent is known; until the record is read, the usual hundred days are assumed.
        async with context.resources.database.transaction() as session:
            await set_consent_lifetime(context.resources, session, context.connection.id, record.refresh_seconds)
    return evaluate_client(context, record)


def evaluate_client(context: CheckContext, record: OAuthClient) -> Finding:
    """Active, our redirect URL to the letter, and lifespans that do not ask people for consent every few days."""
    if not record.active:
        return context.finding("client_inactive", name=record.name)
    if record.redirect_urls and redirect_uri(context.resources) not in record.redirect_urls:
        return context.finding("redirect_mismatch:record", theirs=", ".join(record.redirect_urls))
    days = record.refresh_seconds // SECONDS_PER_DAY
    # 0 means that the field may not be read.
    if 0 < record.refresh_seconds < SHORT_CONSENT_SECONDS or 0 < record.access_seconds < SHORT_ACCESS_SECONDS:
        return context.finding("client_lifespans", days=days, seconds=record.access_seconds)
    return context.finding("client", name=record.name, days=days or USUAL_CONSENT_DAYS)
