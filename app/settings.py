"""Every setting of the product, read from the environment. Imported only where processes are put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core import setting_rules
from app.core.database_settings import DatabaseSettings
from app.core.secret_files import SecretFiles
from app.core.setting_types import DatabaseAddress, HeaderToken, Hosts, Keys, Networks, Origin, Origins, Roles, guid
from app.microsoft_defaults import (
    ENTRA_AUTHORITIES,
    GLOBAL_ADMINISTRATOR,
    GLOBAL_READER,
    GRAPH_URLS,
    SECURITY_ADMINISTRATOR,
    SECURITY_OPERATOR,
    SECURITY_READER,
    MicrosoftCloud,
)

# Where each ID stands in the admin center, for a message that must not repeat the value: it may be a secret in the wrong line.
TenantId = Annotated[
    str, guid("the Directory (tenant) ID of the app registration's Overview, not a domain name or 'common'")
]
ClientId = Annotated[str, guid("the Application (client) ID of the app registration's Overview")]
ShownTenantId = Annotated[str, guid("a Directory (tenant) ID, or nothing")]
# A list that is set to nothing gives its role to no one, and keys have a message of their own; every other setting that is
# blank counts as not set.
MAY_BE_BLANK = ("_roles", "vault_keys")
SOME_GUID = "aaaabbbb-0000-cccc-1111-dddd2222eeee"


class Settings(DatabaseSettings):
    """Read from environment variables of the same names, in capitals, or from a file named ``.env``."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", hide_input_in_errors=True
    )

    database_url: DatabaseAddress | None = Field(
        None,
        description="PostgreSQL address. Without it, an embedded PostgreSQL under VAR_DIR is used.",
        examples=["postgresql://user:change-me@host:5432/name"],
    )
    var_dir: Path = Field(
        Path("var"), description="Folder for what the embedded PostgreSQL keeps.", examples=["/var/lib/security-center"]
    )
    public_url: Origin = Field(
        "http://127.0.0.1:8000",
        description="The address people open; redirect addresses are made from it.",
        examples=["https://security-center.example.com"],
    )
    host: Hosts = Field(
        ("127.0.0.1",),
        description="Addresses the web process listens on, separated by commas; :: is every address, IPv4 as well.",
        examples=["127.0.0.1"],
    )
    port: int = Field(8000, description="The port the web process listens on.", ge=1, le=65535, examples=["8000"])

    worker_port: int = Field(
        0,
        description="The port at which the worker says whether it is healthy, on the address of HOST; 0 opens none.",
        ge=0,
        le=65535,
        examples=["8001"],
    )

    trusted_proxies: Networks = Field(
        (),
        description="Addresses of proxies whose word on where a browser calls from is believed, separated by commas; or "
        "networks, /8 (IPv4, and fd00::) and /16 (IPv6) at the widest.",
        examples=["10.0.0.5,10.0.1.0/24"],
    )

    entra_tenant_id: TenantId = Field(
        description="Directory (tenant) ID. Only its accounts may sign in.", examples=[SOME_GUID]
    )
    entra_client_id: ClientId = Field(
        description="Application (client) ID of the app registration.", examples=[SOME_GUID]
    )
    entra_client_secret: SecretStr = Field(
        description="A client secret of the app registration.",
        examples=["the Value of a client secret, about 40 letters"],
    )
    microsoft_cloud: MicrosoftCloud = Field(
        MicrosoftCloud.GLOBAL,
        description="global, usgov or dod. The cloud operated by 21Vianet in China has no Secure Score in Graph.",
        examples=["global"],
    )
    entra_authority: Origin | None = Field(
        None,
        description="Address of Entra ID, if not the cloud's own (the sandbox).",
        examples=["https://login.microsoftonline.com"],
    )
    graph_url: Origin | None = Field(
        None,
        description="Address of Microsoft Graph, if not the cloud's own (the sandbox).",
        examples=["https://graph.microsoft.com"],
    )
    secure_score_tenant_id: ShownTenantId | None = Field(
        None,
        description="Whose Secure Score the pages show, if not ENTRA_TENANT_ID's; for files of another tenant.",
        examples=[SOME_GUID],
    )

    secure_score_write_back: bool = Field(
        default=False,
        description="true writes statuses that are set here to Graph as well; needs SecurityEvents.ReadWrite.All.",
        examples=["true"],
    )

    vault_keys: Keys = Field(
        description="Fernet keys that seal secrets at rest, newest first, separated by commas.",
        examples=["what `python -m app generate-key` prints"],
    )
    servicenow_allowed_origins: Origins = Field(
        (),
        description="Addresses besides https://NAME.service-now.com that an instance may have, separated by commas.",
        examples=["https://servicenow.example.com"],
    )

    manager_roles: Roles = Field(
        (SECURITY_ADMINISTRATOR, GLOBAL_ADMINISTRATOR, "SecurityCenter.Manage"),
        description="Role template IDs, or app roles, whose holders manage the connection.",
        examples=[f"{SECURITY_ADMINISTRATOR},SecurityCenter.Manage"],
    )
    sharer_roles: Roles = Field(
        (SECURITY_OPERATOR, "SecurityCenter.Share"),
        description="Role template IDs, or app roles, whose holders share actions as tickets.",
        examples=[f"{SECURITY_OPERATOR},SecurityCenter.Share"],
    )
    viewer_roles: Roles = Field(
        (SECURITY_READER, GLOBAL_READER, "SecurityCenter.View"),
        description="Role template IDs, or app roles, whose holders may look.",
        examples=[f"{SECURITY_READER},SecurityCenter.View"],
    )
    session_hours: int = Field(
        12, description="Hours after which a person signs in again.", ge=1, le=168, examples=["12"]
    )

    metrics_token: HeaderToken | None = Field(
        None,
        description="The token that /metrics asks for, visible ASCII without blanks; without it there are no metrics.",
        min_length=16,
        examples=["a random text of 16 letters and digits at least"],
    )
    otel_exporter_otlp_endpoint: Origin | None = Field(
        None,
        description="Base address of an OpenTelemetry collector (OTLP over HTTP). Without it nothing is traced.",
        examples=["http://collector:4318"],
    )
    keep_audit_days: int = Field(
        730, description="Days that audit entries are kept; 0 is for ever.", ge=0, le=36500, examples=["730"]
    )
    keep_closed_tickets_days: int = Field(
        0,
        description="Days that a ticket is kept after ServiceNow closed it; 0 is for ever.",
        ge=0,
        le=36500,
        examples=["730"],
    )
    keep_import_runs_days: int = Field(
        90, description="Days that the record of an import is kept; 0 is for ever.", ge=0, le=36500, examples=["90"]
    )
    keep_sessions_days: int = Field(
        1, description="Days that an ended session is kept at most.", ge=1, le=365, examples=["1"]
    )
    keep_failed_jobs_days: int = Field(
        90, description="Days that a failed background job is kept; 0 is for ever.", ge=0, le=36500, examples=["90"]
    )
    session_idle_minutes: int = Field(
        60, description="Minutes without use after which a person signs in again.", ge=5, le=10080, examples=["60"]
    )
    role_check_minutes: int = Field(
        60,
        description="Minutes between two questions to Entra ID whether a signed-in person still has their roles; 0 never asks.",
        ge=0,
        le=1440,
        examples=["60"],
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR.", examples=["INFO"]
    )
    log_json: bool = Field(default=False, description="true writes one JSON object per line.", examples=["true"])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature.
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = SecretFiles(settings_cls, env_settings, dotenv_settings)
        return init_settings, files, env_settings, dotenv_settings

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature.
        # Not every reader of .env files takes away the quotes and blanks around a value; docker run --env-file keeps them.
        # https://docs.docker.com/reference/cli/docker/container/run/#env
        if not isinstance(given, dict):
            return given
        bare = setting_rules.without_quotes
        cleaned = {name: bare(value) if isinstance(value, str) else value for name, value in given.items()}
        return {
            name: value for name, value in cleaned.items() if value != "" or str(name).lower().endswith(MAY_BE_BLANK)
        }

    @field_validator("microsoft_cloud", mode="before")
    @classmethod
    def _no_china(cls, value: object) -> object:
        if isinstance(value, str) and value.lower() in {"china", "21vianet", "gallatin"}:
            raise ValueError(
                "Secure Score is not offered by Microsoft Graph in the cloud operated by 21Vianet in China"
            )
        return value.lower() if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _readable(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, ValueError):  # From SecretFiles: told here, beside what is wrong with the other settings.
            raise value
        if not isinstance(value, str):
            return value
        is_list = get_args(cls.model_fields[info.field_name or ""].annotation)[-1:] == (...,)
        # A file may hold one key in each line.
        value = setting_rules.printable(value.replace("\r", "").replace("\n", ",") if is_list else value)
        return setting_rules.entries(value) if is_list else value

    @field_validator("manager_roles")
    @classmethod
    def _some_manager(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("is empty, so no one could connect ServiceNow; name a role, or leave the line out")
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
