"""What every check is given, and what every failure of a call means, whichever check met it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.connection_view import ConnectionView
from app.features.connection.gateway import Lane, ServiceNowClient, call
from app.features.connection.tokens import NoToken
from app.features.provisioning.finding import Finding, State
from app.integrations.http.errors import Forbidden, InvalidResponse, ServerError, Throttled, Unreachable
from app.resources import Resources

Answer = TypeVar("Answer")

REGISTRY = T(
    "System OAuth > Application Registry, or on newer releases Machine Identity Console > Inbound integrations"
)
IP_RULES = T("System Security > IP Address Access Control")
ACCESS_RULES = T("System Security > Access Control (ACL)")
RECORD_RULES = T("System Definition > Business Rules, and System Policy > Data Policies")
TRANSACTIONS = T("System Logs > Transactions (All Applications), filtered by the integration user")
# What an instance says when the API's own access rule, and not a table's, has refused (facts 2.6).
API_WORDS = "API level ACL"
RATE_RULES = T("System Web Services > REST > Rate limit rules (table sys_rate_limit_rules)")


@dataclass(frozen=True)
class CheckContext:
    """One look at one connection, as it was when the look began."""

    resources: Resources
    connection: ConnectionView

    async def ask(self, work: Callable[[ServiceNowClient], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, called with a live token."""
        return await call(self.resources, work, connection_id=self.connection.id, lane=Lane.INTERACTIVE)

    @property
    def user(self) -> str:
        """The account that consented, as its administrator knows it."""
        return self.connection.user_name or str(T("the integration user"))


def user_screen(look: CheckContext) -> Message:
    """Where the integration user's record and its roles are."""
    return T("User Administration > Users > %(user)s, with its list of roles", user=look.user)


def redirect_message(client_id: str, ours: str) -> Message:
    """What to ask the instance's administrator for when the client's record holds another redirect URL."""
    return T("Please set the redirect URL of the OAuth client %(client)s to %(url)s", client=client_id, url=ours)


def is_about_rights(error: AppError) -> TypeGuard[Forbidden]:
    """Whether the API itself refused this one call; an address rule refuses every call before it is looked at."""
    return isinstance(error, Forbidden) and not error.is_instance_wide


def finding_for_error(look: CheckContext, checked: Message, error: AppError) -> Finding:
    """What a call that failed says about the connection, whatever it was made for."""
    match error:
        case Unreachable() if not isinstance(error, NoToken):
            return unreachable(look, checked, error)
        case Throttled():
            return throttled(look, checked, error)
        case Forbidden() if API_WORDS in str(error.message):
            return Finding(
                "role_missing.api", State.PROBLEM, checked, error.message,
                advice=T(
                    "The instance protects its REST API by a role of its own. Give the integration user the role "
                    "snc_platform_rest_api_access (itil holds it)."
                ),
                screen=user_screen(look),
                message=T("Please give the user %(user)s the role snc_platform_rest_api_access.", user=look.user),
            )  # fmt: skip
        case Forbidden() if error.is_instance_wide:
            return Finding(
                "refused", State.PROBLEM, checked, error.message,
                advice=T("Allow this server’s public address in the instance. No role of the integration user is missing here."),
                screen=IP_RULES,
                message=T(
                    "Calls of our security center to %(origin)s are refused before the API looks at them (403 without "
                    "details). Please allow its address (inbound) under System Security > IP Address Access Control.",
                    origin=look.connection.origin,
                ),
            )  # fmt: skip
        case Forbidden():
            return Finding(
                "refused", State.PROBLEM, checked, error.message,
                advice=T("Give the integration user the role that is missing, or change the rule that refuses it."),
                screen=ACCESS_RULES,
                message=T(
                    "A call of our user %(user)s to the REST API was refused. ServiceNow said: %(why)s Please look which access "
                    "rule that is; the support bundle we can send holds the transaction’s number.",
                    user=look.user, why=error.message,
                ),
            )  # fmt: skip
        case ServerError() | InvalidResponse():
            return Finding(
                "no_answer", State.PROBLEM, checked, error.message,
                advice=T("Open the instance in a browser, and check again when it shows its own pages."),
                screen=TRANSACTIONS,
                message=T(
                    "Calls of our user %(user)s to the REST API get no usable answer: %(why)s The support bundle we can send "
                    "holds the transactions’ numbers.", user=look.user, why=error.message,
                ),
            )  # fmt: skip
        case NotConnected():
            return Finding(
                "authorize", State.PROBLEM, checked, error.message, advice=T("Press Authorize on this page."),
            )  # fmt: skip
        case _:
            return Finding("trouble", State.PROBLEM, checked, error.message, advice=T("Check again in a few minutes."))


def unreachable(look: CheckContext, checked: Message, error: Unreachable) -> Finding:
    """Nothing was sent; the cause decides who can help."""
    host = look.connection.origin
    keys = {"name": "dns", "address": "private_address", "tls": "tls", "proxy": "proxy"}
    advice = {
        "name": T("Check the instance name. If a browser finds it, this server’s name service (DNS) does not."),
        "address": T("Ask whoever runs this server what the name should point to."),
        "tls": T(
            "If a proxy opens encrypted traffic here, its certificate authority must be trusted by this server "
            "(SSL_CERT_FILE). Otherwise check this server’s clock, and whether the instance’s certificate has expired."
        ),
        "proxy": T("Ask whoever runs the proxy (HTTPS_PROXY) to allow %(host)s.", host=host),
        "refused": T("A firewall may be in the way: connections to %(host)s must be allowed.", host=host),
        "slow": T("A firewall may swallow the connection: connections to %(host)s must be allowed.", host=host),
    }
    return Finding(
        keys.get(error.why, "unreachable"), State.PROBLEM, checked, error.message,
        advice=advice.get(error.why, T("Check the network between this server and %(host)s.", host=host)),
    )  # fmt: skip


def throttled(look: CheckContext, checked: Message, error: Throttled) -> Finding:
    """A rule with a limit, or all of the node's workers busy: the first names a time, the second does not."""
    if error.seconds is None:
        meaning = T(
            "ServiceNow is busy (429 without a time): all of its workers for integrations are taken. That is no limit for "
            "us in particular, and passes by itself."
        )
    else:
        meaning = T(
            "A rate limit of the instance is reached (429). It names %(seconds)s seconds; until then we send nothing.",
            seconds=round(error.seconds),
        )
    return Finding(
        "rate_limit", State.PROBLEM, checked, meaning,
        advice=T("If this happens often, ask for a higher limit for the integration user."),
        screen=RATE_RULES,
        message=T(
            "The integration user %(user)s meets a rate limit of the REST API. Please look at the rate limit rules that "
            "apply to it. It needs about 100 requests an hour, and more while many tickets are shared.",
            user=look.user,
        ),
    )  # fmt: skip
