"""Texts about the way to the instance, and about calls that failed: network, filters, limits, refusals."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.finding import FindingText, State
from app.features.provisioning.texts.screens import (
    ACCESS_RULES,
    IP_RULES,
    RATE_RULES,
    REGISTRY,
    SIGN_ON,
    TRANSACTIONS,
    USER_RECORD,
)

# fmt: off
NETWORK, REDIRECT_URL, CONSENT_PAGE, CLOCKS = T("Network"), T("Redirect URL"), T("Consent page"), T("Clocks")
ENTER_REDIRECT_URL = T("Enter exactly this redirect URL in the record, without a slash at its end: %(url)s")
REDIRECT_MESSAGE = T("Please set the redirect URL of the OAuth client %(client)s to %(url)s")
HIGHER_LIMIT = T("If this happens often, ask for a higher limit for the integration user.")
LIMIT_MESSAGE = T(
    "The integration user %(user)s meets a rate limit of the REST API. Please look at the rate limit rules that "
    "apply to it. It needs about 100 requests an hour, and more while many tickets are shared."
)
IP_MESSAGE = T(
    "Please allow the address %(address)s (inbound) under System Security > IP Address Access Control, so that our "
    "security center reaches %(origin)s."
)
# The two ways in which a refusal does or does not tell our address (docs/facts/servicenow.md#1-9-sso-and-ip-filtering:
# the format of that 403 is not documented).
ADDRESS_NAMED = T("The refusal names our address: %(address)s.")
ADDRESS_GUESSED = T(
    "It does not name our address. This server uses %(address)s towards it; if your network changes addresses on "
    "the way out, ask your network administrators for the public one."
)

INSTANCE_FINDINGS = {
    "reachable": FindingText(State.GOOD, NETWORK, T("The instance is awake and answers.")),
    # Nothing was sent: the errors `Unreachable.why` tells apart. Only people here can help.
    "dns": FindingText(
        State.PROBLEM, T("Network: name"),
        advice=T("Check the instance name. If a browser finds it, this server’s name service (DNS) does not."),
    ),
    "private_address": FindingText(
        State.PROBLEM, T("Network: address"), advice=T("Ask whoever runs this server what the name should point to."),
    ),
    "private_address:stored": FindingText(
        State.PROBLEM, T("Network: address"),
        advice=T("Ask the operator of this server whether SERVICENOW_ALLOWED_ORIGINS or the database was changed."),
    ),
    "tls": FindingText(
        State.PROBLEM, T("Network: TLS"),
        advice=T(
            "If a proxy opens encrypted traffic here, its certificate authority must be trusted by this server "
            "(SSL_CERT_FILE). Otherwise check this server’s clock, and whether the instance’s certificate has expired."
        ),
    ),
    "proxy": FindingText(
        State.PROBLEM, T("Network: proxy"), advice=T("Ask whoever runs the proxy (HTTPS_PROXY) to allow %(origin)s."),
    ),
    "unreachable": FindingText(
        State.PROBLEM, NETWORK, advice=T("Check the network between this server and %(origin)s."),
    ),
    "unreachable:refused": FindingText(
        State.PROBLEM, NETWORK, advice=T("A firewall may be in the way: connections to %(origin)s must be allowed."),
    ),
    "unreachable:slow": FindingText(
        State.PROBLEM, NETWORK, advice=T("A firewall may swallow the connection: connections to %(origin)s must be allowed."),
    ),
    "unreachable:no_answer": FindingText(
        State.PROBLEM, NETWORK, advice=T("Check the network between this server and the instance, then check again."),
    ),
    # A developer instance that is not used: docs/facts/servicenow.md#5-limits-failures-sleeping-instances.
    "asleep": FindingText(
        State.PROBLEM, T("Instance asleep"), T("The instance hibernates: its hibernation page answered in place of its API."),
        advice=T("Wake it up at developer.servicenow.com, wait until its login page appears, and check again."),
    ),
    "sso_before_api": FindingText(
        State.PROBLEM, T("Sign-on page before the API"),
        T("A sign-on page answered in place of the API (status %(status)s)."),
        advice=T("Single sign-on must not stand in front of /api/ and /oauth_token.do: exempt both."),
        screen=SIGN_ON,
        message=T(
            "Calls to %(origin)s/api/now/ without a session are answered by a sign-on page. Please exempt /api/ "
            "and /oauth_token.do, so that OAuth clients reach them."
        ),
    ),
    "ip_filter": FindingText(
        State.PROBLEM, T("Network: IP filter"),
        T("The instance refuses this server before looking at the call (403 without details): an IP address rule. "
          "%(address_note)s"),
        advice=T("Allow this server’s public address in the instance."), screen=IP_RULES, message=IP_MESSAGE,
    ),
    "gateway": FindingText(
        State.PROBLEM, T("Instance unavailable"),
        T("An error page answered (status %(status)s): the instance starts, or is under maintenance."),
        advice=T("This usually passes within minutes. If not, look at the instance’s status page."),
        screen=T("The instance’s status, in ServiceNow’s support portal"),
        message=T("%(origin)s answers with an error page (status %(status)s). Is it under maintenance?"),
    ),
    "not_servicenow": FindingText(
        State.PROBLEM, T("Not ServiceNow"), T("Something answered that is no ServiceNow instance (status %(status)s)."),
        advice=T("Check the instance name. A proxy may also answer in its place."),
    ),
    # Semaphores: 4 threads and a queue of 50 per node; a 429 of theirs names no time (KB0564204).
    "rate_limit:busy": FindingText(
        State.PROBLEM, T("Rate limit"),
        T("ServiceNow is busy (429 without a time): all of its workers for integrations are taken. That is no limit for "
          "us in particular, and passes by itself."),
        advice=HIGHER_LIMIT, screen=RATE_RULES, message=LIMIT_MESSAGE, passes=True,
    ),
    "rate_limit": FindingText(
        State.PROBLEM, T("Rate limit"),
        T("A rate limit of the instance is reached (429). It names %(seconds)s seconds; until then we send nothing."),
        advice=HIGHER_LIMIT, screen=RATE_RULES, message=LIMIT_MESSAGE, passes=True,
    ),
    "consent_page": FindingText(
        State.GOOD, CONSENT_PAGE,
        T("The page leads to the login. Some instances check client and redirect URL only after that."),
    ),
    "consent_page:no_answer": FindingText(State.UNKNOWN, CONSENT_PAGE),
    "consent_page:unreadable": FindingText(State.UNKNOWN, CONSENT_PAGE, T("The consent page could not be read.")),
    "consent_page:unknown": FindingText(
        State.UNKNOWN, CONSENT_PAGE,
        T("ServiceNow shows a page that we do not know to a browser that is signed out. It may be a login page of your own, "
          "or single sign-on. Authorize, and look whose name stands at the top of the consent page."),
    ),
    "redirect_mismatch": FindingText(
        State.PROBLEM, REDIRECT_URL, T("ServiceNow refuses our redirect URL: the client’s record holds another one."),
        advice=ENTER_REDIRECT_URL, screen=REGISTRY, message=REDIRECT_MESSAGE,
    ),
    "redirect_mismatch:record": FindingText(
        State.PROBLEM, REDIRECT_URL, T("The record holds %(theirs)s and not our redirect URL."),
        advice=ENTER_REDIRECT_URL, screen=REGISTRY, message=REDIRECT_MESSAGE,
    ),
    "client_unknown": FindingText(
        State.PROBLEM, T("Client ID"), T("ServiceNow does not know the client ID, or the client’s record is not active."),
        advice=T("Copy the client ID again from the record, and make sure that Active is ticked."),
        screen=REGISTRY,
        message=T("Please check that an OAuth client with the ID %(client)s exists and that Active is ticked in its record."),
    ),
    # The ways round: docs/facts/servicenow.md#1-9-sso-and-ip-filtering.
    "sso": FindingText(
        State.NOTE, T("Single sign-on"),
        T("Single sign-on takes over when somebody authorizes: it may sign in the person at the desk, and not the "
          "integration user."),
        advice=T(
            "Open a private window, sign in at %(origin)s/side_door.do (or /login.do) as the integration user, and "
            "authorize from that window. Or let the integration user sign in through single sign-on: a Microsoft "
            "account with the same name and e-mail address, and the role Security Administrator for that moment."
        ),
        screen=SIGN_ON,
        message=T(
            "To authorize our connector, the integration user has to sign in to %(origin)s once. Please tell us how it can: "
            "by a local login (/side_door.do or /login.do), or by an account at the identity provider."
        ),
    ),
    "clock": FindingText(State.GOOD, CLOCKS, T("Both clocks agree (difference: %(seconds)s s).")),
    "clock:no_answer": FindingText(State.UNKNOWN, CLOCKS),
    "clock:no_time": FindingText(State.UNKNOWN, CLOCKS, T("The answer names no time.")),
    "clock:off": FindingText(
        State.NOTE, CLOCKS,
        T("The instance’s clock is %(seconds)s s off ours. Changes are still found, but times look odd."),
        advice=T("Check this server’s time service first; instances keep good time."),
    ),
    # What any call may end in, whichever check made it.
    "role_missing.api": FindingText(
        State.PROBLEM, T("Role missing"),
        advice=T(
            "The instance protects its REST API by a role of its own. Give the integration user the role "
            "snc_platform_rest_api_access (itil holds it). If it has the role: “Allow access only to APIs in selected scope” "
            "and “Enforce token restriction” have to be off in the client’s form."
        ),
        screen=USER_RECORD,
        message=T("Please give the user %(user)s the role snc_platform_rest_api_access."),
    ),
    "refused": FindingText(
        State.PROBLEM, T("Access refused"),
        advice=T(
            "Give the integration user the role that is missing, or change the rule that refuses it. If every role is right: "
            "“Allow access only to APIs in selected scope” and “Enforce token restriction” have to be off in the client’s form."
        ),
        screen=ACCESS_RULES,
        message=T(
            "A call of our user %(user)s to the REST API was refused. ServiceNow said: %(why)s Please look which access "
            "rule that is; the support bundle we can send holds the transaction’s number."
        ),
    ),
    "refused:address": FindingText(
        State.PROBLEM, T("Access refused"),
        advice=T("Allow this server’s public address in the instance. No role of the integration user is missing here."),
        screen=IP_RULES,
        message=T(
            "Calls of our security center to %(origin)s are refused before the API looks at them (403 without "
            "details). Please allow its address (inbound) under System Security > IP Address Access Control."
        ),
    ),
    "no_answer": FindingText(
        State.PROBLEM, T("No usable answer"),
        advice=T("Open the instance in a browser, and check again when it shows its own pages."),
        screen=TRANSACTIONS,
        message=T(
            "Calls of our user %(user)s to the REST API get no usable answer: %(why)s The support bundle we can send "
            "holds the transactions’ numbers."
        ),
    ),
    "trouble": FindingText(
        State.PROBLEM, T("Not checked to the end"), advice=T("Check again in a few minutes."), passes=True,
    ),
}
