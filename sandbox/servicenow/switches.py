"""Switches of one ServiceNow instance: lasting behavior that differs between real instances. Describes them; applies none."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.toggles import Toggles, toggle

OAUTH, SIGN_ON, TABLES, RULES, ACCESS, EDGE = (
    "OAuth",
    "Logging in",
    "Table API",
    "Rules and lists",
    "Roles and access",
    "Network and limits",
)


@dataclass
class Switches(Toggles):
    """Each switch names its fact: a section's number, or `sandbox-N`.

    The facts are in docs/facts/servicenow.md#what-a-faithful-sandbox-must-reproduce.
    """

    state_required: bool = toggle(OAUTH, "sandbox-2", "An authorization request needs a state", default=True)
    pkce_required: bool = toggle(OAUTH, "sandbox-8", "An authorization request needs a code challenge", default=False)
    refuse_url_parameters: bool = toggle(
        OAUTH, "sandbox-9", "The token service refuses parameters in the address", default=True
    )
    scope_is_empty: bool = toggle(OAUTH, "sandbox-10", "The scope in the token answer is empty", default=False)
    refresh_omits_token: bool = toggle(
        OAUTH, "sandbox-11", "A refresh answers without a refresh token; the old one stays good", default=False
    )
    refresh_rotates_token: bool = toggle(
        OAUTH, "sandbox-11", "A refresh gives a new refresh token, and the old one is over", default=False
    )
    same_token_while_valid: bool = toggle(
        OAUTH, "sandbox-12", "Asking again while an access token lives gives the same one", default=True
    )
    refresh_tokens_expired: bool = toggle(OAUTH, "sandbox-13", "Every refresh token counts as expired", default=False)
    redirect_mismatch: bool = toggle(
        OAUTH, "sandbox-3", "The client record holds another redirect URL than the connector's", default=False
    )
    wrong_secret: bool = toggle(OAUTH, "sandbox-7", "The client record holds another client secret", default=False)
    client_inactive: bool = toggle(OAUTH, "1.5", "The client record is not active", default=False)
    grants_off: str = toggle(
        OAUTH, "1.5", "Grant types switched off, e.g. authorization_code,refresh_token", default=""
    )
    basic_client_auth: bool = toggle(
        OAUTH, "1.3", "The token service takes the client's credentials in a Basic header too", default=True
    )
    public_client: bool = toggle(
        OAUTH, "1.3", "The client record is a public client: PKCE is needed, and no secret", default=False
    )
    pkce_with_secret_refused: bool = toggle(
        OAUTH, "1.3", "A code given for a challenge is not exchanged by a client with a secret", default=False
    )
    unlinked_scope: str = toggle(
        OAUTH,
        "1.5",
        "What becomes of a request for a scope that the client record is not linked to",
        default="ignored",
        choices=("ignored", "refused"),
    )
    password_grant: bool = toggle(OAUTH, "1.6", "The token service takes the password grant", default=True)
    client_credentials_grant: bool = toggle(
        OAUTH, "1.6", "The token service takes the client credentials grant", default=False
    )
    rfc_token_errors: bool = toggle(
        OAUTH, "1.5", "The token service names its errors as the RFC does, not access_denied", default=False
    )

    sso: bool = toggle(SIGN_ON, "1.9", "Single sign-on: the consent page sends people to their IdP", default=False)
    local_login_disabled: bool = toggle(
        SIGN_ON, "1.9", "With single sign-on, /login.do no longer takes a local login", default=False
    )
    mfa: bool = toggle(SIGN_ON, "1.8", "A local login asks for a second factor", default=False)
    web_only: bool = toggle(SIGN_ON, "6", "The integration user is marked Web service access only", default=False)
    basic_api_auth: bool = toggle(
        SIGN_ON, "1.8", "The APIs take a user's name and password (Basic) as well as tokens", default=True
    )

    old_401_wording: bool = toggle(
        TABLES, "sandbox-17", "401 says User Not Authenticated (newer builds: User is not authenticated)", default=True
    )
    strict_queries: bool = toggle(
        TABLES, "sandbox-21", "An unknown field in a query is 403, not ignored", default=False
    )
    closed_fields: str = toggle(
        TABLES,
        "2.3",
        "Fields that may not be queried: ignored, or 403 with strict queries, e.g. correlation_id",
        default="",
    )
    range_refused: bool = toggle(
        TABLES, "2.3", "A query ACL (query_range) refuses <, >, BETWEEN, LIKE, STARTSWITH and sorting", default=False
    )
    range_refused_without_sorting: bool = toggle(
        TABLES, "2.3", "With range_refused: sorting stays allowed", default=False
    )
    query_refusal_without_detail: bool = toggle(
        TABLES, "2.3", "The 403 of a refused query has no detail", default=False
    )
    invalid_query_returns_no_rows: bool = toggle(
        TABLES, "2.3", "A query with an unknown or closed field finds nothing (200)", default=False
    )
    exact_text_comparison: bool = toggle(TABLES, "2.3", "=, !=, IN and NOT IN mind case and accents", default=False)
    accept_required: bool = toggle(
        TABLES, "2.1", "A call without an Accept header is 400 (off: answered with JSON)", default=False
    )
    shuffle_unordered: bool = toggle(
        TABLES, "2.3", "Lists without ORDERBY come in another order each time", default=False
    )
    offset_ignored: bool = toggle(
        TABLES, "sandbox-25", "sysparm_offset is ignored: every page is the first", default=False
    )
    foreign_links: bool = toggle(TABLES, "sandbox-25", "Link headers point to another host", default=False)
    long_query_limit: int = toggle(
        TABLES, "2.9", "Queries longer than this need sysparm_suppress_pagination_header (0: no limit)", default=0
    )
    unreadable_fields: str = toggle(
        TABLES, "sandbox-28", "Fields left out of every record, e.g. priority,due_date", default=""
    )
    language: str = toggle(TABLES, "4.4", "Language of the labels", default="en", choices=("en", "de"))
    batch_services: int = toggle(
        TABLES, "sandbox-39", "A batch does so many requests and leaves the rest (0: all)", default=0
    )

    keep_change_priority: bool = toggle(
        RULES, "sandbox-31", "A change keeps the priority it was sent with", default=True
    )
    close_fields_required: bool = toggle(
        RULES, "sandbox-32", "Resolving an incident needs a resolution code and notes", default=True
    )
    change_close_fields_required: bool = toggle(
        RULES, "4.2", "Closing a change needs a close code and notes", default=False
    )
    mandatory_on_create: str = toggle(
        RULES, "2.6", "Fields that a data policy wants in every new ticket, e.g. assignment_group", default=""
    )
    check_transitions: bool = toggle(RULES, "sandbox-33", "Illegal state changes of a change are aborted", default=True)
    ignore_state_writes: bool = toggle(
        RULES, "sandbox-33", "A state sent in an update is ignored without a word (200)", default=False
    )
    truncate_long_text: bool = toggle(RULES, "sandbox-35", "Over-long texts are cut (off: stored whole)", default=True)
    invalid_values: str = toggle(
        RULES,
        "2.4",
        "What becomes of a value that its column's type does not take: left out silently, or the write is refused",
        default="dropped",
        choices=("dropped", "refused"),
    )
    unlisted_choices: str = toggle(
        RULES,
        "4.4",
        "What becomes of a value that the column's choice list does not have: as other invalid values, or stored",
        default="dropped",
        choices=("dropped", "kept"),
    )
    dropped_fields: str = toggle(
        RULES,
        "2.6",
        "Columns whose value is lost silently (2xx), journals included, e.g. correlation_id,incident.work_notes",
        default="",
    )
    chosen_sys_id: str = toggle(
        RULES,
        "6",
        "What becomes of a sys_id that the caller chose for a new record",
        default="kept",
        choices=("kept", "ignored", "refused"),
    )
    duplicate_sys_id: str = toggle(
        RULES,
        "6",
        "What an insert does whose chosen sys_id is taken already",
        default="refused",
        choices=("refused", "new_record", "overwritten"),
    )
    created_without_body: str = toggle(
        RULES,
        "2.1",
        "A created record is answered with 201 and an empty body, of this content type",
        default="",
        choices=("", "json", "html", "no_type"),
    )
    failing_rule: str = toggle(
        RULES, "2.6", "Tables whose inserts a broken business rule ends with 500, every time, e.g. incident", default=""
    )
    priority_lookup_empty: bool = toggle(
        RULES, "4.1", "The priority lookup of incidents finds nothing: the priority stays empty", default=False
    )
    unchanged_update_moves: bool = toggle(
        RULES, "6", "An update that changes nothing moves sys_updated_on and sys_mod_count all the same", default=False
    )
    type_compatibility: bool = toggle(
        RULES, "3.5", "Changes are made by type as well as by model (off: by model alone)", default=False
    )
    change_default: str = toggle(
        RULES,
        "3.5",
        "What a change that is sent with neither type nor model gets",
        default="model",
        choices=("model", "type", "neither"),
    )
    retired_choices: bool = toggle(
        RULES,
        "4.4",
        "Choice lists hold retired second rows of values that are in use, first in sequence",
        default=False,
    )

    auth_scope_missing: str = toggle(
        ACCESS,
        "1.7",
        "The client has no auth scope, or Enforce token restriction is ticked: every API call is 403, in one of two wordings",
        default="",
        choices=("", "unscoped", "missing"),
    )
    access_policy_refuses: bool = toggle(
        ACCESS, "2.6", "A REST API access policy refuses the token: 401 that names the scheme BEARER", default=False
    )
    user_read_only: bool = toggle(
        ACCESS, "1.5", "The integration user has the role snc_read_only: no tokens, no writes", default=False
    )
    locked_keeps_tokens: bool = toggle(
        ACCESS, "1.8", "Tokens of a user who is locked out or inactive go on working", default=False
    )
    acl_refuses: str = toggle(
        ACCESS, "2.6", "Table and action refused, e.g. incident.create,change_request.read", default=""
    )
    notes_need_itil: bool = toggle(
        ACCESS, "3.6", "Work notes of users without the role itil are lost silently", default=False
    )
    itil_may_delete: bool = toggle(
        ACCESS, "3.6", "The role itil is enough to delete tickets (off: itil_admin or change_manager)", default=False
    )
    api_acl_active: bool = toggle(
        ACCESS, "3.6", "The Table API's own ACL is active: snc_platform_rest_api_access is needed", default=False
    )
    choices_need_role: bool = toggle(
        ACCESS, "sandbox-36", "sys_choice needs the role personalize_choices", default=True
    )
    properties_readable: bool = toggle(ACCESS, "sandbox-37", "sys_properties can be read (off: 403)", default=True)
    properties_missing: bool = toggle(ACCESS, "sandbox-37", "sys_properties answers, but with no rows", default=False)
    dictionary_readable: bool = toggle(ACCESS, "3.6", "sys_dictionary can be read (off: 403)", default=True)
    roles_readable: bool = toggle(ACCESS, "3.6", "sys_user_has_role can be read", default=True)
    oauth_entity_readable: bool = toggle(ACCESS, "9", "oauth_entity can be read without an OAuth role", default=True)
    cross_scope_refusal: bool = toggle(
        ACCESS, "9", "oauth_entity refuses to be read from another application scope", default=False
    )

    session_cookies: bool = toggle(EDGE, "sandbox-38", "API answers set session cookies", default=True)
    session_sync: bool = toggle(
        EDGE,
        "sandbox-38",
        "Calls that share a session wait for one another; past 10 waiters: 202, not done",
        default=True,
    )
    cookie_outlives_token: bool = toggle(
        EDGE, "1.10", "A session cookie is enough when the token has expired", default=False
    )
    compress: bool = toggle(EDGE, "sandbox-38", "Large answers are compressed", default=True)
    ip_blocked: bool = toggle(
        EDGE, "sandbox-47", "An IP rule keeps the API's callers out: 403 without JSON", default=False
    )
    api_asleep: bool = toggle(EDGE, "sandbox-46", "The instance hibernates: every answer is its page", default=False)
    asleep_with_503: bool = toggle(
        EDGE, "sandbox-46", "The hibernation page comes with status 503, not 200", default=False
    )
    api_sso: str = toggle(
        EDGE, "sandbox-46", "Single sign-on stands in front of the API", default="", choices=("", "page", "redirect")
    )
    rate_limit_per_hour: int = toggle(
        EDGE,
        "sandbox-42",
        "Table API calls per user and clock hour; then 429 until the hour is over (0: no limit)",
        default=0,
    )
    clock_off_seconds: int = toggle(EDGE, "sandbox-23", "The instance's clock is off by so many seconds", default=0)
    address_limit: int = toggle(
        EDGE,
        "2.9",
        "Longer addresses of API calls are answered by the web server, with HTML (0: no limit)",
        default=16384,
    )
    latency_ms: int = toggle(EDGE, "sandbox-48", "Added to every answer, in milliseconds", default=0)
