"""OAuth 2.0 with an instance: authorize, exchange, refresh, revoke. Stores no token and retries nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from app.core.bounds import LONGEST_CODE, LONGEST_LABEL, LONGEST_TOKEN, line, token_text, whole
from app.core.errors import Retry
from app.core.messages import Message, T
from app.integrations.http.errors import Forbidden, InvalidResponse, RemoteError, ServerError, Unauthorized
from app.integrations.http.http_types import RemoteResponse, Request, named_retry, throttled
from app.integrations.http.transport import Transport
from app.integrations.servicenow.auth_scope import USERACCOUNT
from app.integrations.servicenow.schemas import Tokens

# The default of a client record, in seconds, for answers that name no lifetime: docs/facts/servicenow.md#1-4-token-response
USUAL_ACCESS_SECONDS = 1800
# 100 days, the default of a client record; a refresh does not extend it: docs/facts/servicenow.md#trap-25
USUAL_REFRESH_SECONDS = 8_640_000
# A year. An answer that names more is taken for a year.
LONGEST_ACCESS_SECONDS = 31_536_000


# ServiceNow answers `server_error` and `access_denied` for nearly every cause, so a person has to check them in turn.
# docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do
NO_TOKENS = T(
    "ServiceNow did not give us tokens. It says the same for every cause, so check them in turn: the client secret, the "
    "redirect URL of the client record, whether the client record is active and allows authorization codes, whether the "
    "integration user may write (the role snc_read_only forbids it), whether the client takes a proof key (PKCE) and has "
    "the scope useraccount (each can be switched off under Advanced in this form), and whether more than a minute passed "
    "between Allow and now."
)
NOT_RENEWED = T(
    "ServiceNow no longer renews our access. It says the same for every cause: the consent may have expired (after 100 "
    "days by default) or have been revoked, the integration user may be inactive, or the client record or its secret may "
    "have been changed. We ask again by ourselves from time to time; to end it now, authorize the connection again.",
    code="oauth.not_renewed",
)
# Some instances use the error codes of RFC 6749, and then the cause is certain.
# https://www.rfc-editor.org/rfc/rfc6749#section-5.2
NAMED_CAUSES = {
    "invalid_client": T(
        "ServiceNow does not accept the client: the client ID or the client secret is wrong, or the client record is not "
        "active. Copy both again from the record, and authorize again.",
        code="oauth.invalid_client",
    ),
    "unsupported_grant_type": T(
        "ServiceNow has switched off the kind of grant we need (authorization code, with refresh tokens) for this client. "
        "Ask its administrator to allow it, and authorize again.",
        code="oauth.unsupported_grant_type",
    ),
    "unauthorized_client": T(
        "ServiceNow does not allow this client the kind of grant we need (authorization code, with refresh tokens). Ask "
        "its administrator to allow it, and authorize again.",
        code="oauth.unauthorized_client",
    ),
    "invalid_scope": T(
        "ServiceNow does not give this client the scope useraccount. Add it to the client in ServiceNow, or switch it off "
        "under Advanced in the set-up form, and authorize again.",
        code="oauth.invalid_scope",
    ),
    "invalid_grant": T(
        "ServiceNow says that this consent is over: it has expired, was revoked, or was given in another way. Authorize "
        "again.",
        code="oauth.invalid_grant",
    ),
}


def new_state() -> str:
    """48 random letters and digits."""
    # The instance refuses special characters in `state`: docs/facts/servicenow.md#1-2-authorization-request
    return str(generate_token(48))


def new_verifier() -> str:
    """A PKCE verifier: https://www.rfc-editor.org/rfc/rfc7636#section-4.1"""
    return str(generate_token(64))


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier."""
    return str(create_s256_code_challenge(verifier))


class UnusableTokens(InvalidResponse):
    """ServiceNow granted access with tokens that no request can carry. `received` are those that came, to be revoked."""

    status = 409
    retry = Retry.LATER
    default = T(
        "ServiceNow’s answer holds no access token that can be used. Nothing was changed. Press Authorize again; if it stays "
        "so, ask the administrator of the instance what changes its answers on the way.",
        code="oauth.unusable_tokens",
    )

    def __init__(self, received: Sequence[str]) -> None:
        super().__init__()
        self.received = tuple(received)


class ServiceNowOAuth:
    """One OAuth client at one instance."""

    # Credentials go in the body, the only documented way: docs/facts/servicenow.md#1-3-token-request-and-client-authentication

    def __init__(
        self, transport: Transport, origin: str, *, client_id: str, client_secret: str, redirect_uri: str
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        self._redirect_uri = redirect_uri

    def authorize_url(self, *, state: str, code_challenge: str, sends_scope: bool = True) -> str:
        """Where the browser goes for consent.

        An empty `code_challenge` sends none: PKCE together with a secret is not documented for every release
        (docs/facts/servicenow.md#1-3-token-request-and-client-authentication). The scope is asked for here only: a token
        request has none (https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3), and a refresh keeps what was granted.
        """
        challenge = {"code_challenge": code_challenge, "code_challenge_method": "S256"} if code_challenge else {}
        return str(
            prepare_grant_uri(
                f"{self._origin}/oauth_auth.do",
                client_id=self._credentials["client_id"],
                response_type="code",
                redirect_uri=self._redirect_uri,
                state=state,
                # docs/facts/servicenow.md#1-2-authorization-request
                scope=USERACCOUNT if sends_scope else None,
                **challenge,
            )
        )

    async def exchange(self, *, code: str, code_verifier: str, state: str) -> Tokens:
        """Tokens for a code, which works once within 60 seconds. Raises Unauthorized when it is refused."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri}
        # Some releases list the state as required here: docs/facts/servicenow.md#1-3-token-request-and-client-authentication
        form["state"] = state
        answer = await self._grant(form | ({"code_verifier": code_verifier} if code_verifier else {}))
        # `invalid_grant` is said of the code here, and its causes are those of NO_TOKENS: no consent was given before.
        try:
            return _tokens(answer, NO_TOKENS, NAMED_CAUSES | {"invalid_grant": NO_TOKENS})
        except UnusableTokens as error:
            # They would open the instance for months, and nothing of ours can use them.
            for token in error.received:
                with suppress(RemoteError):
                    await self.revoke(token)
            raise

    async def refresh(self, refresh_token: str) -> Tokens:
        """A new access token. The refresh token usually stays the same and may be missing in the answer."""
        # docs/facts/servicenow.md#sandbox-11
        answer = await self._grant({"grant_type": "refresh_token", "refresh_token": refresh_token})
        try:
            return _tokens(answer, NOT_RENEWED)
        except UnusableTokens as error:
            raise InvalidResponse(T("ServiceNow’s answer holds no access token."), retry=Retry.LATER) from error

    async def revoke(self, token: str) -> None:
        """Revoke one token. Raises a RemoteError unless ServiceNow confirms it."""
        # Documented with the token in the query only; our logs keep no queries: docs/facts/servicenow.md#1-1-endpoints
        answer = await self._transport.send(
            Request("GET", f"{self._origin}/oauth_revoke_token.do", query={"token": token})
        )
        if answer.status >= 400:
            raise ServerError(T("ServiceNow did not confirm that the token was revoked."))

    async def _grant(self, form: dict[str, str]) -> RemoteResponse:
        return await self._transport.send(
            Request(
                "POST",
                f"{self._origin}/oauth_token.do",
                headers={"Accept": "application/json"},
                form={**form, **self._credentials},
            )
        )


def _tokens(answer: RemoteResponse, refused: Message, causes: Mapping[str, Message] = NAMED_CAUSES) -> Tokens:
    # Only a 400 or 401 in JSON, or an `error` in a 200, means that the grant is refused: docs/facts/other-connectors.md#bug-6
    if answer.status == 429:
        raise throttled(answer)
    if answer.status >= 500:
        sentence = T("ServiceNow’s token service answered with an error (status %(status)s).", status=answer.status)
        raise ServerError(sentence, retry=named_retry(answer))
    if not answer.is_json():
        raise _web_page(answer)
    try:
        content = answer.json_object()
    except InvalidResponse as error:
        raise InvalidResponse(error.message, retry=Retry.LATER) from error
    if answer.status in (400, 401) or (answer.status < 300 and "error" in content):
        cause = line(content.get("error"), LONGEST_CODE)
        raise Unauthorized(causes.get(cause, refused))
    if answer.status >= 300:
        raise InvalidResponse(
            T("ServiceNow’s token service answered with status %(status)s.", status=answer.status), retry=Retry.LATER
        )
    access_token, refresh_token = token_text(content.get("access_token")), token_text(content.get("refresh_token"))
    if access_token is None:
        named = (content.get("refresh_token"), content.get("access_token"))
        raise UnusableTokens([token for token in named if isinstance(token, str) and 0 < len(token) <= LONGEST_TOKEN])
    return Tokens(
        access_token=access_token,
        refresh_token=refresh_token,
        expires_in=_seconds(content.get("expires_in")),
        scope=line(content.get("scope"), LONGEST_LABEL),
    )


def _web_page(answer: RemoteResponse) -> RemoteError:
    # Something else than the token service answered, which says nothing about our tokens.
    if answer.status in (401, 403):
        return Forbidden(
            T(
                "Something in front of ServiceNow’s token service refused us (status %(status)s, without details). An "
                "IP address rule or an access policy of the instance may be in the way: ask its administrator to allow "
                "this server’s address.",
                status=answer.status,
            ),
            retry=Retry.LATER,
        )
    return InvalidResponse(
        T(
            "A web page answered in place of ServiceNow’s token service. The instance may be hibernating or under "
            "maintenance: open it in a browser, wait until it is awake, and try again."
        ),
        retry=Retry.LATER,
    )


def _seconds(value: object) -> int:
    # Missing, text, zero or negative lifetimes were all seen: docs/facts/other-connectors.md#bug-7
    seconds = whole(value, 1, 2**62)
    return USUAL_ACCESS_SECONDS if seconds is None else min(seconds, LONGEST_ACCESS_SECONDS)
