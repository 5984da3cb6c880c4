"""Every setting of the product, read from the environment. Imported only where processes are put together."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


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

Words = Annotated[tuple[str, ...], NoDecode]
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Where each ID stands in the admin center, for a message that must not repeat the value: it may be a secret in the wrong line.
GUIDS = {
    "entra_tenant_id": "the Directory (tenant) ID of the app registration's Overview, not a domain name or 'common'",
    "entra_client_id": "the Application (client) ID of the app registration's Overview",
    "secure_score_tenant_id": "a Directory (tenant) ID, or nothing",
}
# A list that is set to nothing gives its role to no one, and keys have a message of their own; every other setting that is
# blank counts as not set.
MAY_BE_BLANK = ("_roles", "vault_keys")
USUAL_PORTS = {"http": 80, "https": 443}


def _origin(value: str) -> str:
    """The address as browsers name it: scheme, host and port alone, in lower case. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme.lower() not in USUAL_PORTS or not parts.hostname:
        raise ValueError("is no address; write it like https://security-center.example.com")
    port = parts.port  # Raises ValueError for what is no port.
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("is scheme, host and port alone; take away what follows, or stands before the host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = port is None or port == USUAL_PORTS[parts.scheme.lower()]
    return f"{parts.scheme.lower()}://{host}" + ("" if usual else f":{port}")


def _bare(value: str) -> str:
    """Without the blanks around it, and without one pair of quotes around the rest."""
    value = value.strip()
    return value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


class Settings(BaseSettings):
    """Read from environment variables of the same names, in capitals, or from a file named ``.env``."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore")

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL address. Without it, an embedded PostgreSQL under VAR_DIR is used."
    )
    var_dir: Path = Field(Path("var"), description="Folder for what the embedded PostgreSQL keeps.")
    public_url: str = Field(
        "http://127.0.0.1:8000",
        description="The address people open; redirect addresses are made from it.",
    )
    host: str = Field("127.0.0.1", description="The address the web process listens on.")
    port: int = Field(8000, description="The port the web process listens on.", ge=1, le=65535)

    trusted_proxies: Words = Field(
        (),
        description="Addresses or networks of proxies whose word on where a browser calls from is believed, separated by commas.",
    )

    entra_tenant_id: str = Field(description="Directory (tenant) ID. Only its accounts may sign in.")
    entra_client_id: str = Field(description="Application (client) ID of the app registration.")
    entra_client_secret: SecretStr = Field(description="A client secret of the app registration.", min_length=1)
    microsoft_cloud: MicrosoftCloud = Field(
        MicrosoftCloud.GLOBAL,
        description="global, usgov or dod. The cloud operated by 21Vianet in China has no Secure Score in Graph.",
    )
    entra_authority: str | None = Field(None, description="Address of Entra ID, if not the cloud's own (the sandbox).")
    graph_url: str | None = Field(None, description="Address of Microsoft Graph, if not the cloud's own (the sandbox).")
    secure_score_tenant_id: str | None = Field(
        None,
        description="Whose Secure Score the pages show, if not ENTRA_TENANT_ID's; for files of another tenant.",
    )

    secure_score_write_back: bool = Field(
        default=False,
        description="true writes statuses that are set here to Graph as well; needs SecurityEvents.ReadWrite.All.",
    )

    vault_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="Fernet keys that seal secrets at rest, newest first, separated by commas."
    )
    servicenow_allowed_origins: Words = Field(
        (), description="Addresses besides https://NAME.service-now.com that an instance may have, separated by commas."
    )

    manager_roles: Words = Field(
        (SECURITY_ADMINISTRATOR, GLOBAL_ADMINISTRATOR, "SecurityCenter.Manage"),
        description="Role template IDs, or app roles, whose holders manage the connection.",
    )
    sharer_roles: Words = Field(
        (SECURITY_OPERATOR, "SecurityCenter.Share"),
        description="Role template IDs, or app roles, whose holders share actions as tickets.",
    )
    viewer_roles: Words = Field(
        (SECURITY_READER, GLOBAL_READER, "SecurityCenter.View"),
        description="Role template IDs, or app roles, whose holders may look.",
    )
    session_hours: int = Field(12, description="Hours after which a person signs in again.", ge=1, le=168)
    session_idle_minutes: int = Field(
        60, description="Minutes without use after which a person signs in again.", ge=5, le=10080
    )
    role_check_minutes: int = Field(
        60,
        description="Minutes between two questions to Entra ID whether a signed-in person still has their roles; 0 never asks.",
        ge=0,
        le=1440,
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_json: bool = Field(default=False, description="true writes one JSON object per line.")

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature.
        # Not every reader of .env files takes away the quotes and blanks around a value; docker run --env-file keeps them.
        # https://docs.docker.com/reference/cli/docker/container/run/#env
        if not isinstance(given, dict):
            return given
        cleaned = {name: _bare(value) if isinstance(value, str) else value for name, value in given.items()}
        return {
            name: value for name, value in cleaned.items() if value != "" or str(name).lower().endswith(MAY_BE_BLANK)
        }

    @field_validator(
        "servicenow_allowed_origins",
        "manager_roles",
        "sharer_roles",
        "viewer_roles",
        "vault_keys",
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("microsoft_cloud", mode="before")
    @classmethod
    def _no_china(cls, value: object) -> object:
        if isinstance(value, str) and value.strip().lower() in {"china", "21vianet", "gallatin"}:
            raise ValueError(
                "Secure Score is not offered by Microsoft Graph in the cloud operated by 21Vianet in China"
            )
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _only_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # A host name or `*` would let any caller who reaches us choose the address that we log and limit.
        for part in value:
            try:
                ip_network(part)
            except ValueError as error:
                raise ValueError(
                    f"{part} is no address or network; write them as 10.0.0.5 or 10.0.0.0/24, separated by commas"
                ) from error
        return value

    @field_validator("public_url", "entra_authority", "graph_url")
    @classmethod
    def _only_an_origin(cls, value: str | None) -> str | None:
        # Pages, redirect addresses, the tenant and Graph's version are added to it, so a path here would be a wrong address.
        return _origin(value) if value else value

    @field_validator("servicenow_allowed_origins")
    @classmethod
    def _only_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(part) for part in value)

    @field_validator(*GUIDS)
    @classmethod
    def _only_a_guid(cls, value: str | None, info: ValidationInfo) -> str | None:
        # Entra ID takes capitals in addresses, and names itself in lower case: docs/facts/microsoft-graph.md#2-3-signing-users-in
        if value is None or GUID.fullmatch(value.lower()):
            return value and value.lower()
        raise ValueError(f"has to be {GUIDS[info.field_name or '']}")

    @field_validator("manager_roles", "sharer_roles", "viewer_roles")
    @classmethod
    def _role_ids_in_lower_case(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # Role template IDs are GUIDs, which have no case; the values of app roles do.
        return tuple(part.lower() if GUID.fullmatch(part.lower()) else part for part in value)

    @field_validator("vault_keys")
    @classmethod
    def _needs_a_key(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            raise ValueError("VAULT_KEYS needs at least one key; `python -m app generate-key` prints a fresh one")
        return value

    @property
    def role_ids(self) -> dict[str, frozenset[str]]:
        """What Entra ID reports for the holders of each role, by role: every setting named `<role>_roles`."""
        ending = "_roles"
        names = [name for name in type(self).model_fields if name.endswith(ending)]
        return {name.removesuffix(ending): frozenset(getattr(self, name)) for name in names}

    @property
    def authority(self) -> str:
        """The address of Entra ID, without a slash at the end."""
        return self.entra_authority or ENTRA_AUTHORITIES[self.microsoft_cloud]

    @property
    def graph(self) -> str:
        """The address of Microsoft Graph, without a slash at the end."""
        return self.graph_url or GRAPH_URLS[self.microsoft_cloud]

    @property
    def shown_tenant_id(self) -> str:
        """The tenant whose Secure Score the pages show."""
        return self.secure_score_tenant_id or self.entra_tenant_id
