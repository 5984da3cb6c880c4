"""The switches that change how one instance behaves until they are set back. Describes them; carries nothing out."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

OAUTH, SIGN_ON, TABLES, RULES, ACCESS, EDGE = (
    "OAuth",
    "Logging in",
    "Table API",
    "Rules and lists",
    "Roles and access",
    "Network and limits",
)


def _switch(group: str, number: str, text: str, *, default: bool | int | str, choices: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - a dataclass field, whatever its type.
    return field(default=default, metadata={"group": group, "number": number, "text": text, "choices": choices})


@dataclass
class Switches:
    """Lasting behaviour. Numbers are behaviours of the fact sheet; a number after a letter is a section of it."""

    state_required: bool = _switch(OAUTH, "2", "An authorization request needs a state", default=True)
    pkce_required: bool = _switch(OAUTH, "8", "An authorization request needs a code challenge", default=False)
    refuse_url_parameters: bool = _switch(
        OAUTH, "9", "The token service refuses parameters in the address", default=True
    )
    scope_is_empty: bool = _switch(OAUTH, "10", "The scope in the token answer is empty", default=False)
    refresh_omits_token: bool = _switch(
        OAUTH, "11", "A refresh answers without a refresh token; the old one stays good", default=False
    )
    refresh_rotates_token: bool = _switch(
        OAUTH, "11", "A refresh gives a new refresh token, and the old one is over", default=False
    )
    same_token_while_valid: bool = _switch(
        OAUTH, "12", "Asking again while an access token lives gives the same one", default=True
    )
    refresh_tokens_expired: bool = _switch(OAUTH, "13", "Every refresh token counts as expired", default=False)
    redirect_mismatch: bool = _switch(
        OAUTH, "3", "The client record holds another redirect URL than the connector's", default=False
    )
    wrong_secret: bool = _switch(OAUTH, "7", "The client record holds another client secret", default=False)
    client_inactive: bool = _switch(OAUTH, "1.5", "The client record is not active", default=False)
    grants_off: str = _switch(
        OAUTH, "1.5", "Grant types switched off, e.g. authorization_code,refresh_token", default=""
    )
    rfc_token_errors: bool = _switch(
        OAUTH, "1.5", "The token service names its errors as the RFC does, not access_denied", default=False
    )

    sso: bool = _switch(SIGN_ON, "1.9", "Single sign-on: the consent page sends people to their IdP", default=False)
    local_login_disabled: bool = _switch(
        SIGN_ON, "1.9", "With single sign-on, /login.do no longer takes a local login", default=False
    )
    mfa: bool = _switch(SIGN_ON, "1.8", "A local login asks for a second factor", default=False)
    web_only: bool = _switch(SIGN_ON, "6", "The integration user is marked Web service access only", default=False)

    old_401_wording: bool = _switch(
        TABLES, "17", "401 says User Not Authenticated (newer builds: User is not authenticated)", default=True
    )
    strict_queries: bool = _switch(TABLES, "21", "An unknown field in a query is 403, not ignored", default=False)
    range_refused: bool = _switch(
        TABLES, "2.3", "A query ACL refuses range operators such as sys_updated_on>=", default=False
    )
    shuffle_unordered: bool = _switch(
        TABLES, "2.3", "Lists without ORDERBY come in another order each time", default=False
    )
    offset_ignored: bool = _switch(TABLES, "25", "sysparm_offset is ignored: every page is the first", default=False)
    foreign_links: bool = _switch(TABLES, "25", "Link headers point to another host", default=False)
    long_query_limit: int = _switch(
        TABLES, "2.9", "Queries longer than this need sysparm_suppress_pagination_header (0: no limit)", default=0
    )
    unreadable_fields: str = _switch(
        TABLES, "28", "Fields left out of every record, e.g. priority,due_date", default=""
    )
    language: str = _switch(TABLES, "4.4", "Language of the labels", default="en", choices=("en", "de"))
    batch_services: int = _switch(TABLES, "39", "A batch does so many requests and leaves the rest (0: all)", default=0)

    keep_change_priority: bool = _switch(RULES, "31", "A change keeps the priority it was sent with", default=True)
    close_fields_required: bool = _switch(
        RULES, "32", "Resolving an incident needs a resolution code and notes", default=True
    )
    change_close_fields_required: bool = _switch(
        RULES, "4.2", "Closing a change needs a close code and notes", default=False
    )
    check_transitions: bool = _switch(RULES, "33", "Illegal state changes of a change are aborted", default=True)
    ignore_state_writes: bool = _switch(
        RULES, "33", "A state sent in an update is ignored without a word (200)", default=False
    )
    truncate_long_text: bool = _switch(RULES, "35", "Over-long texts are cut (off: stored whole)", default=True)

    user_read_only: bool = _switch(
        ACCESS, "1.5", "The integration user has the role snc_read_only: no tokens, no writes", default=False
    )
    acl_refuses: str = _switch(
        ACCESS, "2.6", "Table and action refused, e.g. incident.create,change_request.read", default=""
    )
    api_acl_active: bool = _switch(
        ACCESS, "3.6", "The Table API's own ACL is active: snc_platform_rest_api_access is needed", default=False
    )
    choices_need_role: bool = _switch(ACCESS, "36", "sys_choice needs the role personalize_choices", default=True)
    properties_readable: bool = _switch(ACCESS, "37", "sys_properties can be read (off: 403)", default=True)
    properties_missing: bool = _switch(ACCESS, "37", "sys_properties answers, but with no rows", default=False)
    dictionary_readable: bool = _switch(ACCESS, "3.6", "sys_dictionary can be read (off: 403)", default=True)
    roles_readable: bool = _switch(ACCESS, "3.6", "sys_user_has_role can be read", default=True)
    oauth_entity_readable: bool = _switch(ACCESS, "9", "oauth_entity can be read without an OAuth role", default=True)
    cross_scope_refusal: bool = _switch(
        ACCESS, "9", "oauth_entity refuses to be read from another application scope", default=False
    )

    session_cookies: bool = _switch(EDGE, "38", "API answers set session cookies", default=True)
    session_sync: bool = _switch(
        EDGE, "38", "Calls that share a session wait for one another; past 10 waiters: 202, not done", default=True
    )
    cookie_outlives_token: bool = _switch(
        EDGE, "1.10", "A session cookie is enough when the token has expired", default=False
    )
    compress: bool = _switch(EDGE, "38", "Large answers are compressed", default=True)
    ip_blocked: bool = _switch(EDGE, "47", "An IP rule keeps the API's callers out: 403 without JSON", default=False)
    api_asleep: bool = _switch(EDGE, "46", "The instance hibernates: every answer is its page", default=False)
    asleep_with_503: bool = _switch(EDGE, "46", "The hibernation page comes with status 503, not 200", default=False)
    api_sso: str = _switch(
        EDGE, "46", "Single sign-on stands in front of the API", default="", choices=("", "page", "redirect")
    )
    rate_limit_per_hour: int = _switch(
        EDGE, "42", "Table API calls per user and clock hour; then 429 until the hour is over (0: no limit)", default=0
    )
    clock_off_seconds: int = _switch(EDGE, "23", "The instance's clock is off by so many seconds", default=0)
    latency_ms: int = _switch(EDGE, "48", "Added to every answer, in milliseconds", default=0)

    def change(self, wanted: dict[str, Any]) -> None:
        """Set some; unknown names, wrong types and unknown choices are refused with ValueError, and then none is set."""
        known = {item.name: item for item in fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"there is no switch named {name}")
            if type(value) is not type(getattr(self, name)):
                raise ValueError(f"{name} takes a {type(getattr(self, name)).__name__}")
            choices = known[name].metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}")
        for name, value in wanted.items():
            setattr(self, name, value)

    def read(self, name: str, text: str | None) -> None:
        """Set one from a form's text; a switch that is on or off takes `on` and `off`, and turns without a text."""
        before = getattr(self, name, None)
        if isinstance(before, bool):
            self.change({name: not before if text is None else text == "on"})
        elif isinstance(before, int):
            self.change({name: int(text or "0")})
        else:
            self.change({name: (text or "").strip()})

    def reset(self) -> None:
        """All as in a new instance."""
        for item in fields(self):
            setattr(self, item.name, item.default)

    def lists(self, name: str) -> frozenset[str]:
        """A comma list as a set."""
        return frozenset(part.strip() for part in str(getattr(self, name)).split(",") if part.strip())

    @classmethod
    def changed(cls, now: Switches) -> list[str]:
        """The names of those that are not as they are in a new instance."""
        new = cls()
        return [item.name for item in fields(cls) if getattr(new, item.name) != getattr(now, item.name)]

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Every switch by its group, for the console and for `GET /_sandbox/switches?explain`."""
        groups: dict[str, list[dict[str, Any]]] = {}
        changed = set(self.changed(self))
        for item in fields(self):
            value = getattr(self, item.name)
            about = dict(item.metadata)
            line = {"name": item.name, "value": value, "is_changed": item.name in changed, "kind": type(value).__name__}
            groups.setdefault(about.pop("group"), []).append(line | about)
        return groups
