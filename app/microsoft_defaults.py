"""What Microsoft defines and settings default to: clouds, their addresses, and the IDs of directory roles."""

from __future__ import annotations

from enum import StrEnum


class MicrosoftCloud(StrEnum):
    """The clouds with Secure Score in Graph (docs/facts/microsoft-graph.md#1-7-national-clouds)."""

    GLOBAL = "global"
    US_GOVERNMENT = "usgov"
    US_DEFENSE = "dod"


# https://learn.microsoft.com/graph/deployments
ENTRA_AUTHORITIES = {
    MicrosoftCloud.GLOBAL: "https://login.microsoftonline.com",
    MicrosoftCloud.US_GOVERNMENT: "https://login.microsoftonline.us",
    MicrosoftCloud.US_DEFENSE: "https://login.microsoftonline.us",
}
GRAPH_URLS = {
    MicrosoftCloud.GLOBAL: "https://graph.microsoft.com",
    MicrosoftCloud.US_GOVERNMENT: "https://graph.microsoft.us",
    MicrosoftCloud.US_DEFENSE: "https://dod-graph.microsoft.us",
}

# Role template IDs are the same in every tenant.
# https://learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference
SECURITY_ADMINISTRATOR = "194ae4cb-b126-40b2-bd5b-6091b380977d"
SECURITY_OPERATOR = "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f"
SECURITY_READER = "5d6b6bb7-de71-4623-b4af-96380a352509"
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
GLOBAL_READER = "f2ef992c-3afb-46b9-b7cf-a126ee74c451"

# Names that people type where an ID belongs, in lower case.
ROLE_IDS_BY_NAME = {
    "security administrator": SECURITY_ADMINISTRATOR,
    "security operator": SECURITY_OPERATOR,
    "security reader": SECURITY_READER,
    "global administrator": GLOBAL_ADMINISTRATOR,
    "global reader": GLOBAL_READER,
}
