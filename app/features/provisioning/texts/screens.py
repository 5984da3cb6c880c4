"""Where things are in ServiceNow's own menus, as its administrators know them."""

from __future__ import annotations

from app.core.messages import T

# Zurich and Australia moved the registry: docs/facts/servicenow.md#1-7-where-it-lives-in-the-product.
REGISTRY = T(
    "System OAuth > Application Registry, or on newer releases Machine Identity Console > Inbound integrations"
)
# Where a client gets its authentication scope: docs/facts/servicenow.md#1-7-where-it-lives-in-the-product
AUTH_SCOPE = T(
    "Machine Identity Console > Inbound integrations > the client > Auth scope, or System OAuth > Application Registry > "
    "the client > Auth Scopes"
)
# ServiceNow KB0793431, docs/facts/servicenow.md#1-9-sso-and-ip-filtering.
IP_RULES = T("System Security > IP Address Access Control")
ACCESS_RULES = T("System Security > Access Control (ACL)")
# Both refuse a create with 403 "Operation Failed": docs/facts/servicenow.md#2-6-error-envelope.
RECORD_RULES = T("System Definition > Business Rules, and System Policy > Data Policies")
TRANSACTIONS = T("System Logs > Transactions (All Applications), filtered by the integration user")
# docs/facts/servicenow.md#5-limits-failures-sleeping-instances, the first of the three layers of limits.
RATE_RULES = T("System Web Services > REST > Rate limit rules (table sys_rate_limit_rules)")
SIGN_ON = T("Multi-Provider SSO > Identity Providers, or whatever stands in front of the instance")
USER_RECORD = T("User Administration > Users > %(user)s, with its list of roles")
