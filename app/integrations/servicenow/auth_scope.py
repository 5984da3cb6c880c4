"""The authentication scope of an OAuth client: its name, and how ServiceNow refuses a client without it. Pure."""

from __future__ import annotations

import re

from app.core.messages import T

# All the rights of the user. A client record made in the new console begins without any scope:
# docs/facts/servicenow.md#1-7-where-it-lives-in-the-product
USERACCOUNT = "useraccount"
SCOPE_MISSING = T(
    "ServiceNow refuses our OAuth client: it lacks the authentication scope useraccount. Every ticket waits until the "
    "scope is added to the client in ServiceNow; none has arrived.",
    code="servicenow.auth_scope_missing",
)
# The two known wordings (docs/facts/servicenow.md#2-6-error-envelope), and then their pattern: wordings differ by release.
WORDINGS = ("access to unscoped api is not allowed", "missing required api access scope")
PATTERN = re.compile(r"\b(unscoped\s+api|(api|auth\w*|oauth)\s+(access\s+)?scopes?|scopes?\s+useraccount)\b")
# Application scopes are something else: docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror
OTHER_SCOPES = re.compile(r"cross-?\s?scope|application scope")


def is_scope_refusal(remote_text: str) -> bool:
    """Whether ServiceNow's words of a 403 say that the client lacks an authentication scope."""
    said = remote_text.lower()
    if any(wording in said for wording in WORDINGS):
        return True
    return PATTERN.search(said) is not None and OTHER_SCOPES.search(said) is None


def grants_whole_account(scope: str) -> bool:
    """Whether the scope that came with a token (names with blanks between them) includes `useraccount`."""
    return USERACCOUNT in scope.split()
