"""Checks whether the instance is there, awake, and lets this server in. Needs no token."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from app.core.messages import Message, T
from app.features.connection.oauth_client import redirect_uri
from app.features.provisioning.checks.check_context import (
    IP_RULES,
    REGISTRY,
    CheckContext,
    redirect_message,
    throttled,
    unreachable,
)
from app.features.provisioning.finding import Finding, State
from app.integrations.http.errors import RemoteError, Throttled, Unreachable
from app.integrations.http.http_types import RemoteResponse, named_wait
from app.integrations.servicenow.probes import PingResponse, open_consent_page, ping
from app.integrations.servicenow.responder import presence_of, seen_address

# A difference that the refresh of states bridges by itself; more is worth a look.
CLOCKS_MAY_DIFFER_SECONDS = 60
SIGN_ON = T("Multi-Provider SSO > Identity Providers, or whatever stands in front of the instance")


async def check_reach(look: CheckContext) -> Finding:
    """DNS, TLS, proxy, an IP filter, hibernation, a sign-on page or a gateway: each has its own finding."""
    checked = T("%(origin)s is called without a token.", origin=look.connection.origin)
    try:
        met = await ping(look.resources.servicenow, look.connection.origin)
    except Unreachable as error:
        return unreachable(look, checked, error)
    except RemoteError as error:
        return Finding(
            "unreachable", State.PROBLEM, checked, error.message,
            advice=T("Check the network between this server and the instance, then check again."),
        )  # fmt: skip
    return _met(look, checked, met.answer)


def _met(look: CheckContext, checked: Message, answer: RemoteResponse) -> Finding:
    origin = look.connection.origin
    match presence_of(answer):
        case "awake":
            return Finding("reachable", State.GOOD, checked, T("The instance is awake and answers."))
        case "asleep":
            return Finding(
                "asleep", State.PROBLEM, checked,
                T("The instance hibernates: its hibernation page answered in place of its API."),
                advice=T("Wake it up at developer.servicenow.com, wait until its login page appears, and check again."),
            )  # fmt: skip
        case "sign_on":
            return Finding(
                "sso_before_api", State.PROBLEM, checked,
                T("A sign-on page answered in place of the API (status %(status)s).", status=answer.status),
                advice=T("Single sign-on must not stand in front of /api/ and /oauth_token.do: exempt both."),
                screen=SIGN_ON,
                message=T(
                    "Calls to %(origin)s/api/now/ without a session are answered by a sign-on page. Please exempt /api/ "
                    "and /oauth_token.do, so that OAuth clients reach them.",
                    origin=origin,
                ),
            )  # fmt: skip
        case "blocked":
            return _blocked(look, checked, answer)
        case "limited":
            return throttled(look, checked, Throttled(seconds=named_wait(answer)))
        case "gateway":
            return Finding(
                "gateway", State.PROBLEM, checked,
                T("An error page answered (status %(status)s): the instance starts, or is under maintenance.",
                  status=answer.status),
                advice=T("This usually passes within minutes. If not, look at the instance’s status page."),
                screen=T("The instance’s status, in ServiceNow’s support portal"),
                message=T("%(origin)s answers with an error page (status %(status)s). Is it under maintenance?",
                          origin=origin, status=answer.status),
            )  # fmt: skip
        case _:
            return Finding(
                "not_servicenow", State.PROBLEM, checked,
                T("Something answered that is no ServiceNow instance (status %(status)s).", status=answer.status),
                advice=T("Check the instance name. A proxy may also answer in its place."),
            )  # fmt: skip


def _blocked(look: CheckContext, checked: Message, answer: RemoteResponse) -> Finding:
    """403 without the JSON envelope: refused before the API looked at it."""
    seen = seen_address(answer)
    ours = seen or local_address(look.connection.origin)
    told = (
        T("The refusal names our address: %(address)s.", address=seen)
        if seen
        else T(
            "It does not name our address. This server uses %(address)s towards it; if your network changes addresses on "
            "the way out, ask your network administrators for the public one.",
            address=ours or "–",
        )
    )
    return Finding(
        "ip_filter", State.PROBLEM, checked,
        T("The instance refuses this server before looking at the call (403 without details): an IP address rule. %(told)s",
          told=told),
        advice=T("Allow this server’s public address in the instance."),
        screen=IP_RULES,
        message=T(
            "Please allow the address %(address)s (inbound) under System Security > IP Address Access Control, so that our "
            "security center reaches %(origin)s.",
            address=ours or "…", origin=look.connection.origin,
        ),
    )  # fmt: skip


async def check_consent_page(look: CheckContext) -> Finding:
    """Whether the client and its redirect URL are known, as far as the page says so before anybody has logged in."""
    ours = redirect_uri(look.resources)
    checked = T("The consent page is opened as a browser would, signed in as nobody.")
    origin, client_id = look.connection.origin, look.connection.client_id
    try:
        page = await open_consent_page(look.resources.servicenow, origin, client_id, ours)
    except RemoteError as error:
        return Finding("consent_page", State.UNKNOWN, checked, error.message)
    if page == "wrong_redirect":
        return Finding(
            "redirect_mismatch", State.PROBLEM, checked,
            T("ServiceNow refuses our redirect URL: the client’s record holds another one."),
            advice=T("Enter exactly this redirect URL in the record, without a slash at its end: %(url)s", url=ours),
            screen=REGISTRY,
            message=redirect_message(client_id, ours),
        )  # fmt: skip
    if page == "unknown_client":
        return Finding(
            "client_unknown", State.PROBLEM, checked,
            T("ServiceNow does not know the client ID, or the client’s record is not active."),
            advice=T("Copy the client ID again from the record, and make sure that Active is ticked."),
            screen=REGISTRY,
            message=T("Please check that an OAuth client with the ID %(client)s exists and that Active is ticked in its record.",
                      client=client_id),
        )  # fmt: skip
    if page == "sign_on":
        return Finding(
            "sso", State.NOTE, checked,
            T("Single sign-on takes over when somebody authorizes: it may sign in the person at the desk, and not the "
              "integration user."),
            advice=T(
                "Open a private window, sign in at %(origin)s/side_door.do (or /login.do) as the integration user, and "
                "authorize from that window. Or let the integration user sign in through single sign-on: a Microsoft "
                "account with the same name and e-mail address, and the role Security Administrator for that moment.",
                origin=origin,
            ),
            screen=SIGN_ON,
            message=T(
                "To authorize our connector, the integration user has to sign in to %(origin)s once. Please tell us how it can: "
                "by a local login (/side_door.do or /login.do), or by an account at the identity provider.", origin=origin,
            ),
        )  # fmt: skip
    if page == "unreadable":
        return Finding("consent_page", State.UNKNOWN, checked, T("The consent page could not be read."))
    return Finding(
        "consent_page", State.GOOD, checked,
        T("The page leads to the login. Some instances check client and redirect URL only after that."),
    )  # fmt: skip


async def check_clock(look: CheckContext) -> Finding:
    """How far apart both clocks are."""
    checked = T("The time in an answer is compared with this server’s clock.")
    try:
        met: PingResponse = await ping(look.resources.servicenow, look.connection.origin)
    except RemoteError as error:
        return Finding("clock", State.UNKNOWN, checked, error.message)
    if met.ahead is None:
        return Finding("clock", State.UNKNOWN, checked, T("The answer names no time."))
    seconds = round(met.ahead)
    if abs(seconds) <= CLOCKS_MAY_DIFFER_SECONDS:
        return Finding(
            "clock", State.GOOD, checked, T("Both clocks agree (difference: %(seconds)s s).", seconds=abs(seconds))
        )
    return Finding(
        "clock", State.NOTE, checked,
        T("The instance’s clock is %(seconds)s s off ours. Changes are still found, but times look odd.",
          seconds=seconds),
        advice=T("Check this server’s time service first; instances keep good time."),
    )  # fmt: skip


def local_address(origin: str) -> str:
    """The address this machine would use towards the instance, before anything changes it on the way; "" if unknown."""
    parts = urlsplit(origin)
    try:
        # Nothing is sent: a datagram socket only asks the routing table.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect((parts.hostname or "", parts.port or 443))
            return str(asking.getsockname()[0])
    except OSError:
        return ""
