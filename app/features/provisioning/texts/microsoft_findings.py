"""Texts about Microsoft's side: Entra ID, Secure Score in Graph, the clocks."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.finding import FindingText, State

# fmt: off
ENTRA, GRAPH, CLOCK = T("Entra ID"), T("Secure Score in Microsoft Graph"), T("Clock, by Microsoft’s time")
CHECK_NETWORK = T(
    "Let this server reach Microsoft’s sign-in service and Microsoft Graph: look at its name service, its proxy (HTTPS_PROXY) "
    "and its certificates (SSL_CERT_FILE)."
)

MICROSOFT_FINDINGS = {
    "entra": FindingText(State.GOOD, ENTRA, T("Entra ID knows the tenant and gives this application a token.")),
    "entra_unreachable": FindingText(
        State.PROBLEM, ENTRA, T("This server cannot reach Microsoft’s sign-in service: %(why)s."), advice=CHECK_NETWORK,
    ),
    "entra_refused": FindingText(
        State.PROBLEM, ENTRA,
        advice=T(
            "Compare ENTRA_TENANT_ID, ENTRA_CLIENT_ID and ENTRA_CLIENT_SECRET with the app registration (Entra admin center "
            "> App registrations), restart web and worker, and check again."
        ),
    ),
    "graph": FindingText(State.GOOD, GRAPH, T("The Secure Score of this tenant can be read.")),
    "graph:no_score": FindingText(
        State.NOTE, GRAPH, T("Graph lets us read, and has no score for this tenant yet."),
        advice=T("Nothing has to be changed here. Microsoft computes the first score a day or two after a tenant is made."),
    ),
    "graph:files": FindingText(
        State.GOOD, GRAPH, T("Not asked: SECURE_SCORE_TENANT_ID is another tenant, whose scores come from files."),
    ),
    "graph:no_token": FindingText(State.UNKNOWN, GRAPH, T("Not asked: Entra ID gives this application no token.")),
    "graph_unreachable": FindingText(
        State.PROBLEM, GRAPH, T("This server cannot reach Microsoft Graph: %(why)s."), advice=CHECK_NETWORK,
    ),
    "graph_refused": FindingText(
        State.PROBLEM, GRAPH,
        advice=T(
            "In the app registration: API permissions > Microsoft Graph > Application permissions > "
            "SecurityEvents.Read.All, then Grant admin consent. It takes effect with the next token, within an hour."
        ),
    ),
    "microsoft_clock": FindingText(State.GOOD, CLOCK, T("This server’s clock agrees (difference: %(seconds)s s).")),
    "microsoft_clock:no_time": FindingText(State.UNKNOWN, CLOCK, T("The answer names no time.")),
    "microsoft_clock:no_answer": FindingText(State.UNKNOWN, CLOCK),
    "microsoft_clock:off": FindingText(
        State.PROBLEM, CLOCK,
        T("This server’s clock is %(seconds)s s off Microsoft’s. From five minutes on, no one can sign in."),
        advice=T("Have the server keep its time by NTP, then check again."),
    ),
}
