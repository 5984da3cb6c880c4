"""The parameters of a world: switches of the ServiceNow sandbox that stand for uncertain facts, and the lost answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = bool | int | str
# A world: the value of each parameter that differs from its first one.
World = dict[str, Value]

LOST_ANSWER = "lost_answer"


@dataclass(frozen=True)
class Parameter:
    """One parameter. The first value is the usual one, and with all of `values` everything goes right.

    `stops` are further values with which ServiceNow lets a journey end; `holds` are further values with which a ticket whose
    answer was lost may be held. Both map the value to a pattern that must be found in what the product then says: codes of
    findings, and the sentences at the ticket, the card and the connection. `findings` are further codes that are true of a
    value and explain nothing. Any other finding counts as a wrong cause.
    """

    name: str
    values: tuple[Value, ...]
    stops: Mapping[Value, str] = field(default_factory=dict)
    holds: Mapping[Value, str] = field(default_factory=dict)
    findings: Mapping[Value, str] = field(default_factory=dict)

    @property
    def usual(self) -> Value:
        return self.values[0]


# A client that cannot look for a record, by its correlation id or among all it made, cannot know that it is missing.
UNSEEN_ID = r"correlation"
NO_PROOF = r"Insufficient rights to query|ignored what we looked for|correlation"
OFF_ON, ON_OFF = (False, True), (True, False)

PARAMETERS = (
    # How the answer to each create is lost: before or after the record was stored, and what comes in its place.
    Parameter(
        LOST_ANSWER,
        (
            "dropped_after_commit", "dropped_before", "cancelled_after_commit", "refused_after_commit", "bad_gateway",
            "session_overflow", "broken_json",
        ),
    ),
    # OAuth
    Parameter("state_required", ON_OFF),
    Parameter("pkce_required", OFF_ON),
    Parameter("pkce_with_secret_refused", (False,), stops={True: r"takes a proof key \(PKCE\)"}),
    Parameter("refuse_url_parameters", ON_OFF),
    Parameter("scope_is_empty", OFF_ON),
    Parameter("unlinked_scope", ("ignored", "refused")),
    Parameter("refresh_omits_token", OFF_ON),
    Parameter("refresh_rotates_token", OFF_ON),
    Parameter("same_token_while_valid", ON_OFF),
    Parameter("rfc_token_errors", OFF_ON),
    # Reading
    Parameter("old_401_wording", ON_OFF),
    Parameter("accept_required", OFF_ON),
    Parameter("strict_queries", OFF_ON),
    Parameter(
        "closed_fields",
        ("",),
        holds={
            "correlation_id": UNSEEN_ID,
            "correlation_display": NO_PROOF,
            "sys_created_by,correlation_display": NO_PROOF,
        },
    ),
    Parameter("invalid_query_returns_no_rows", OFF_ON),
    Parameter("range_refused", OFF_ON, findings={True: r"query_acl"}),
    Parameter("range_refused_without_sorting", OFF_ON),
    Parameter("query_refusal_without_detail", OFF_ON),
    Parameter("exact_text_comparison", OFF_ON),
    Parameter("shuffle_unordered", OFF_ON),
    Parameter(
        "unreadable_fields",
        ("", "priority,due_date", "correlation_display,sys_created_by", "sys_updated_on"),
        holds={"correlation_id": UNSEEN_ID},
    ),
    Parameter("language", ("en", "de")),
    # Writing
    Parameter("invalid_values", ("dropped", "refused")),
    Parameter("unlisted_choices", ("dropped", "kept")),
    Parameter(
        "dropped_fields",
        ("", "due_date", "correlation_display", "impact,urgency,priority"),
        holds={"correlation_id": UNSEEN_ID},
    ),
    Parameter("chosen_sys_id", ("kept", "ignored", "refused")),
    Parameter("duplicate_sys_id", ("refused", "new_record", "overwritten")),
    Parameter("created_without_body", ("", "json", "html", "no_type")),
    Parameter("truncate_long_text", ON_OFF),
    Parameter("keep_change_priority", ON_OFF),
    Parameter("priority_lookup_empty", OFF_ON),
    Parameter("type_compatibility", OFF_ON),
    Parameter("change_default", ("model", "type", "neither")),
    Parameter("retired_choices", OFF_ON),
    Parameter("unchanged_update_moves", OFF_ON),
    Parameter("failing_rule", ("",), stops={"incident,change_request": r"Business Rule|internal error|create_refused"}),
    Parameter("mandatory_on_create", ("",), stops={"category,justification": r"mandatory|create_refused"}),
    # Rights
    Parameter(
        "auth_scope_missing",
        ("",),
        # Where the token service refuses a scope that the client lacks, connecting ends with this sentence.
        stops=dict.fromkeys(("unscoped", "missing"), r"auth_scope_missing|the scope useraccount"),
    ),
    Parameter("access_policy_refuses", (False,), stops={True: r"token_refused|user_unconfirmed|access token"}),
    Parameter(
        "acl_refuses",
        ("", "change_request.delete,incident.delete"),
        stops={"incident.create,change_request.create": r"create_refused|role_missing"},
    ),
    Parameter("api_acl_active", OFF_ON),
    Parameter("choices_need_role", ON_OFF),
    Parameter("properties_readable", ON_OFF),
    Parameter("properties_missing", OFF_ON),
    Parameter("dictionary_readable", ON_OFF),
    Parameter("roles_readable", ON_OFF),
    Parameter("oauth_entity_readable", ON_OFF),
    Parameter("cross_scope_refusal", OFF_ON, findings={True: r"client_cross_scope"}),
    # Network
    Parameter("session_cookies", ON_OFF),
    Parameter("session_sync", ON_OFF),
    Parameter("cookie_outlives_token", OFF_ON),
    Parameter("compress", ON_OFF),
    Parameter("clock_off_seconds", (0, -7200, 5400), findings={-7200: r"clock", 5400: r"clock"}),
    Parameter("address_limit", (16384, 4096)),
    Parameter("ip_blocked", (False,), stops={True: r"ip_filter|refused:address"}),
    Parameter("api_asleep", (False,), stops={True: r"asleep"}),
    Parameter("asleep_with_503", OFF_ON),
    Parameter("api_sso", ("",), stops={"page": r"sso_before_api", "redirect": r"sso_before_api"}),
)  # fmt: skip
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}

# Switches that are no parameters, and why.
LEFT_OUT = {
    "redirect_mismatch": "a mistake of an administrator, whose finding has a test",
    "wrong_secret": "a mistake of an administrator, whose finding has a test",
    "client_inactive": "a mistake of an administrator, whose finding has a test",
    "grants_off": "a mistake of an administrator, whose finding has a test",
    "refresh_tokens_expired": "a moment in the life of a connection, not a kind of instance",
    "public_client": "the product is a confidential client, and the checklist says so",
    "basic_client_auth": "the product sends its credentials in the body",
    "basic_api_auth": "the product uses tokens alone",
    "password_grant": "the product uses the authorization code grant alone",
    "client_credentials_grant": "the product uses the authorization code grant alone",
    "sso": "a page of the browser, which a person passes",
    "local_login_disabled": "a page of the browser, which a person passes",
    "mfa": "a page of the browser, which a person passes",
    "web_only": "a mistake of an administrator, whose finding has a test",
    "offset_ignored": "a fault in paging, and the journeys fill no page",
    "foreign_links": "the product follows no link of an answer",
    "long_query_limit": "the product asks for no such header",
    "batch_services": "the product does not use the batch API",
    "close_fields_required": "a rule for agents, and the product closes nothing",
    "change_close_fields_required": "a rule for agents, and the product closes nothing",
    "check_transitions": "a rule for agents, and the product moves no state",
    "ignore_state_writes": "a rule for agents, and the product moves no state",
    "itil_may_delete": "the product deletes nothing",
    "notes_need_itil": "the journeys write no work note",
    "user_read_only": "a mistake of an administrator, whose finding has a test",
    "locked_keeps_tokens": "no user is locked during a journey",
    "rate_limit_per_hour": "a pause, which has tests of its own",
    "latency_ms": "a delay, which has tests of its own",
}


# Two values of which an instance has at most one. A refresh that ends the old token and names no new one would end every
# connection, with any client.
EXCLUDED = ((("refresh_omits_token", True), ("refresh_rotates_token", True)),)


def possible_worlds(world: World) -> list[World]:
    """Return the world, or where it has two values that exclude each other, one world without either of them."""
    for one, other in EXCLUDED:
        if {one, other} <= set(world.items()):
            return [world | {name: BY_NAME[name].usual} for name, _ in (one, other)]
    return [world]
