"""Checks whether the instance is there, awake, and lets this server in. Needs no token; API calls go through the gateway."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from app.features.connection.gateway import ping
from app.features.connection.oauth_client import redirect_uri
from app.features.connection.stored_origin import check_stored_origin
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.finding_for_error import throttled, unreachable
from app.features.provisioning.finding import Finding
from app.features.provisioning.finding_catalog import fill
from app.features.provisioning.texts.instance_findings import ADDRESS_GUESSED, ADDRESS_NAMED
from app.integrations.http.errors import RemoteError, Throttled, Unreachable
from app.integrations.http.http_types import RemoteResponse, named_wait
from app.integrations.servicenow.probes import open_consent_page
from app.integrations.servicenow.responder import responder_of, seen_address

# Polling reads changes from a little before its watermark, so a difference up to this is bridged. More makes the times
# on cards look odd, so a person should know of it.
CLOCK_TOLERANCE_SECONDS = 60
HTTPS_PORT = 443


async def check_reach(context: CheckContext) -> Finding:
    """Name, TLS, proxy, IP filter, hibernation, sign-on page and gateway each have their own finding."""
    try:
        # GET /api/now/v2/table/sys_user without a token: an instance that is awake answers 401 in its JSON envelope
        # (docs/facts/servicenow.md#2-6-error-envelope). It needs no token, so that it works before any consent.
        ping_response = await ping(context.resources, context.connection.origin)
    except Unreachable as error:
        return unreachable(context, error)
    except RemoteError as error:
        return context.finding("unreachable:no_answer", meaning=error.message)
    return evaluate_answer(context, ping_response.answer)


def evaluate_answer(context: CheckContext, answer: RemoteResponse) -> Finding:
    """Who answered a call without a token, by status and by JSON or HTML, as far as possible without prose."""
    match responder_of(answer):
        case "instance":
            return context.finding("reachable")
        case "hibernation":
            return context.finding("asleep")
        case "sign_on":
            return context.finding("sso_before_api", status=answer.status)
        case "access_filter":
            return _blocked(context, answer)
        case "rate_limiter":
            return throttled(context, Throttled(seconds=named_wait(answer)))
        case "gateway":
            return context.finding("gateway", status=answer.status)
        case _:
            return context.finding("not_servicenow", status=answer.status)


def _blocked(context: CheckContext, answer: RemoteResponse) -> Finding:
    # 403 without the JSON envelope: refused before the API saw the call. The node's log names the address, the answer
    # need not (KB0793431, docs/facts/servicenow.md#1-9-sso-and-ip-filtering).
    seen = seen_address(answer)
    ours = seen or local_address(context.connection.origin)
    note = fill(ADDRESS_NAMED, {"address": seen}) if seen else fill(ADDRESS_GUESSED, {"address": ours or "–"})
    return context.finding("ip_filter", address_note=note, address=ours or "…")


async def check_consent_page(context: CheckContext) -> Finding:
    """Whether the client and its redirect URL are known, as far as the page says so before a login."""
    try:
        # GET /oauth_auth.do as a browser without a session. Its error pages never lead back to us, so that this is the
        # only way to see them (docs/facts/servicenow.md#1-2-authorization-request). A page for browsers and no call of the
        # API, so it takes no slot of the gateway: the contract `one-gateway` in pyproject.toml says why.
        check_stored_origin(context.resources, context.connection.origin)
        page = await open_consent_page(
            context.resources.servicenow, context.connection.origin, context.connection.client_id,
            redirect_uri(context.resources),
        )  # fmt: skip
    except RemoteError as error:
        return context.finding("consent_page:no_answer", meaning=error.message)
    match page:
        case "wrong_redirect":
            return context.finding("redirect_mismatch")
        case "unknown_client":
            return context.finding("client_unknown")
        case "sign_on":
            return context.finding("sso")
        case "unreadable":
            return context.finding("consent_page:unreadable")
        case "unknown":
            return context.finding("consent_page:unknown")
        case _:
            return context.finding("consent_page")


async def check_clock(context: CheckContext) -> Finding:
    """How far apart both clocks are; theirs is read from the answer's Date header, which is exact to a second."""
    try:
        ping_response = await ping(context.resources, context.connection.origin)
    except RemoteError as error:
        return context.finding("clock:no_answer", meaning=error.message)
    return evaluate_clock(context, ping_response.ahead)


def evaluate_clock(context: CheckContext, ahead: float | None) -> Finding:
    """`ahead` is how many seconds their clock is ahead of ours, None where the answer named no time."""
    if ahead is None:
        return context.finding("clock:no_time")
    seconds = round(ahead)
    if abs(seconds) <= CLOCK_TOLERANCE_SECONDS:
        return context.finding("clock", seconds=abs(seconds))
    return context.finding("clock:off", seconds=seconds)


def local_address(origin: str) -> str:
    """The address this machine would use towards the instance, before anything changes it on the way; "" if unknown."""
    parts = urlsplit(origin)
    try:
        # Nothing is sent: connecting a datagram socket only asks the routing table.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname or "", parts.port or HTTPS_PORT))
            return str(probe.getsockname()[0])
    except OSError:
        return ""
