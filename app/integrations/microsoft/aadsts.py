"""Entra ID's error numbers (AADSTS…): what each means here, and the setting or screen that fixes it. Sends nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.bounds import first, line, whole
from app.core.messages import Message, T

# Numbers and wordings change, says Microsoft, so an unknown number has a way on as well:
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
# docs/facts/microsoft-graph.md#2-3-signing-users-in
LONGEST_ERROR = 40
LARGEST_NUMBER = 99_999_999
_NUMBER = re.compile(r"\s*AADSTS(\d{4,8})(?!\d)")


class Purpose(StrEnum):
    """What Entra ID was asked for: a person's sign-in, or the application's own token for Graph."""

    SIGN_IN = "sign_in"
    APP_TOKEN = "app_token"  # noqa: S105 - a name, not a secret.


@dataclass(frozen=True)
class _Cause:
    """`code` is stable. `text` fits both purposes, or the sign-in alone where `application` fits the application's token."""

    code: str
    text: Message
    application: Message | None = None


_REDIRECT = _Cause(
    "microsoft.redirect_uri_unknown",
    T(
        "Entra ID does not know our redirect address (%(number)s), so no one can sign in. An administrator opens the app "
        "registration, Authentication, platform Web, and adds PUBLIC_URL followed by /sign-in/callback, letter by letter."
    ),
)
_SPA = _Cause(
    "microsoft.redirect_uri_single_page",
    T(
        "Our redirect address is registered as a single-page application (%(number)s), so no one can sign in. An "
        "administrator opens the app registration, Authentication, removes it there, and adds it under the platform Web."
    ),
)
_PUBLIC = _Cause(
    "microsoft.client_is_public",
    T(
        "Entra ID takes this application for a public client (%(number)s). An administrator opens the app registration, "
        "Authentication, moves our redirect address from Mobile and desktop applications to the platform Web, and sets "
        "Allow public client flows to No."
    ),
)
_SECRET_WRONG = _Cause(
    "microsoft.secret_wrong",
    T(
        "Entra ID does not accept the client secret (%(number)s). An operator copies the secret’s Value, not its Secret ID, "
        "from the app registration, Certificates & secrets, and sets ENTRA_CLIENT_SECRET. Where the Value is no longer "
        "shown, make a new secret."
    ),
)
_SECRET_ENDED = _Cause(
    "microsoft.secret_expired",
    T(
        "The client secret has expired (%(number)s). An operator makes a new one in the app registration, Certificates & "
        "secrets, and sets ENTRA_CLIENT_SECRET to its Value."
    ),
)
_DISABLED = _Cause(
    "microsoft.application_disabled",
    T(
        "This application is switched off in Entra ID (%(number)s). An administrator opens Enterprise applications, this "
        "application, Properties, and sets Enabled for users to sign-in to Yes."
    ),
)
_CLIENT = _Cause(
    "microsoft.application_unknown",
    T(
        "Entra ID does not know this application in this tenant (%(number)s). An operator compares ENTRA_CLIENT_ID and "
        "ENTRA_TENANT_ID with the app registration’s Overview."
    ),
)
_PRINCIPAL = _Cause(
    "microsoft.application_not_in_tenant",
    T(
        "The application is registered, but has no Enterprise application in this tenant (%(number)s). An administrator "
        "opens the app registration, API permissions, and grants admin consent, which adds it; an operator checks "
        "ENTRA_TENANT_ID."
    ),
)
_TENANT = _Cause(
    "microsoft.tenant_unknown",
    T(
        "Entra ID does not know this tenant (%(number)s). An operator sets ENTRA_TENANT_ID to the Directory (tenant) ID of "
        "the app registration’s Overview, and checks MICROSOFT_CLOUD."
    ),
)
_CLOUD = _Cause(
    "microsoft.other_cloud",
    T(
        "This tenant is in another Microsoft cloud (%(number)s). An operator sets MICROSOFT_CLOUD to the tenant’s own: "
        "global, usgov or dod."
    ),
)
_RESOURCE = _Cause(
    "microsoft.graph_unknown",
    T(
        "Entra ID does not know the Microsoft Graph that was asked for (%(number)s). An operator checks MICROSOFT_CLOUD, and "
        "removes GRAPH_URL if it is set."
    ),
)
_CONSENT = _Cause(
    "microsoft.admin_consent_missing",
    T(
        "An administrator has not agreed to this application yet (%(number)s). In Entra ID: the app registration, API "
        "permissions, Grant admin consent. Then sign in again."
    ),
    T(
        "An administrator has not agreed to this application yet (%(number)s). In Entra ID: the app registration, API "
        "permissions, Grant admin consent. The next import then works."
    ),
)
_PERMISSIONS = _Cause(
    "microsoft.permissions_misconfigured",
    T(
        "The app registration does not list what this application asks for (%(number)s). An administrator opens it, API "
        "permissions, adds Microsoft Graph openid, profile, email and SecurityEvents.Read.All, and grants admin consent."
    ),
)
_TOKEN_SETTING = _Cause(
    "microsoft.response_type_off",
    T(
        "The app registration does not allow this kind of answer (%(number)s). An administrator opens it, Authentication, and "
        "checks that our redirect address is under the platform Web and ID tokens are allowed."
    ),
)
_BODY = _Cause(
    "microsoft.request_changed",
    T(
        "Our request did not reach Entra ID whole (%(number)s). A proxy on the way may have changed it: an operator checks "
        "the proxy between this server and Microsoft."
    ),
)
_RESTRICTED = _Cause(
    "microsoft.tenant_restricted",
    T(
        "A network or tenant restriction keeps this tenant out (%(number)s). Whoever manages tenant restrictions on your "
        "proxy, or in Entra ID, has to allow it."
    ),
)
_DECLINED = _Cause(
    "microsoft.consent_declined",
    T(
        "You did not agree to what this application asks for (%(number)s), so you are not signed in. Sign in again and "
        "choose Accept, or ask an administrator to agree for everyone."
    ),
)
_NOT_ASSIGNED = _Cause(
    "microsoft.not_assigned",
    T(
        "Your account is not assigned to this application (%(number)s). Ask an administrator: Enterprise applications, this "
        "application, Users and groups, Add; or Properties, Assignment required, No."
    ),
    T(
        "This application is not assigned to the resource it asks for (%(number)s). An administrator grants admin consent in "
        "the app registration, API permissions."
    ),
)
_FOREIGN = _Cause(
    "microsoft.account_of_another_tenant",
    T(
        "The account you picked does not belong to this organization’s tenant (%(number)s). Sign in again with your work "
        "account; at Microsoft, choose Use another account."
    ),
)
_POLICY = _Cause(
    "microsoft.conditional_access",
    T(
        "A Conditional Access policy of your organization does not let you in from here (%(number)s). Try the network, device "
        "and browser your organization requires, or ask its administrator; Entra ID, Sign-in logs, names the policy."
    ),
    T(
        "A Conditional Access policy for workload identities blocks this application (%(number)s). An administrator allows "
        "this server’s address in it; Entra ID, Sign-in logs, Service principal sign-ins, names the policy."
    ),
)
_SECOND_FACTOR = _Cause(
    "microsoft.second_factor",
    T(
        "Microsoft needs another proof of who you are (%(number)s), such as a second factor. Sign in again and finish every "
        "step that Microsoft asks for."
    ),
)
_ACCOUNT = _Cause(
    "microsoft.account_cannot_sign_in",
    T(
        "Microsoft does not let your account sign in just now (%(number)s): it is locked or disabled, or its password is "
        "wrong or has expired. Ask whoever manages accounts in your organization, then sign in again."
    ),
)
_CODE_OVER = _Cause(
    "microsoft.code_over",
    T(
        "Microsoft’s confirmation was used already or has expired (%(number)s), so you are not signed in. Sign in again."
    ),
)
_INTERACTION = _Cause(
    "microsoft.interaction_needed",
    T(
        "Microsoft needs you to sign in there once more (%(number)s), so you are not signed in here. Sign in again and finish "
        "every step that Microsoft asks for."
    ),
)
_TROUBLE = _Cause(
    "microsoft.trouble",
    T("Microsoft’s sign-in service cannot answer just now (%(number)s). Try again in a few minutes."),
)
_UNKNOWN = _Cause(
    "microsoft.other_refusal",
    T(
        "Microsoft did not complete the sign-in (%(number)s). Sign in again; if it stays so, an administrator finds the "
        "number at https://login.microsoftonline.com/error."
    ),
    T(
        "Microsoft gave this application no token (%(number)s), so nothing was read. An administrator finds the number at "
        "https://login.microsoftonline.com/error."
    ),
)
_CREDENTIALS = _Cause(
    "microsoft.credentials_refused",
    T(
        "Microsoft refuses this application’s credentials (%(number)s). An operator checks ENTRA_CLIENT_ID and "
        "ENTRA_CLIENT_SECRET, and an administrator that the redirect address is under the platform Web."
    ),
)

_NUMBERS: dict[_Cause, tuple[int, ...]] = {
    _REDIRECT: (50011, 500112, 500113, 900971),
    _SPA: (9002325, 9002326, 9002327),
    _PUBLIC: (700025,),
    _SECRET_WRONG: (7000215, 7000216, 7000218, 50012),
    _SECRET_ENDED: (7000222,),
    _DISABLED: (7000112,),
    _CLIENT: (700016, 70001),
    _PRINCIPAL: (7000229,),
    _TENANT: (90002, 900021, 900023, 50059, 50128, 50194),
    _CLOUD: (90038, 90051, 900382, 900432, 900439),
    _RESOURCE: (500011, 50001, 70011, 650052, 1002012),
    _CONSENT: (65001, 90094, 90095, 90008),
    _PERMISSIONS: (65005, 650056, 650057),
    _TOKEN_SETTING: (700051, 700054, 70005),
    _BODY: (90014, 900144),
    _RESTRICTED: (50002, 500021, 5000211, 500022),
    _DECLINED: (65004,),
    _NOT_ASSIGNED: (50105, 501051),
    _FOREIGN: (50020, 50034, 51004, 50107, 50178, 500208, 90072, 16003),
    _POLICY: (53000, 53001, 53002, 53003, 53004, 53008, 53009, 53010, 53011, 530001, 530002, 530003, 530032, 530034,
              530035, 50005, 50097, 50129, 50131, 50158,),
    _SECOND_FACTOR: (50072, 50074, 50076, 50078, 50079, 50088, 50125, 500121, 50203),
    _ACCOUNT: (50053, 50055, 50057, 50126, 50056, 50064, 50144),
    _CODE_OVER: (54005, 70000, 70002, 70008, 50089, 50132, 50133, 50173, 501481, 50148, 700082, 70043, 70044),
    _INTERACTION: (16000, 50058, 50140),
}  # fmt: skip
_BY_NUMBER = {number: cause for cause, numbers in _NUMBERS.items() for number in numbers}
# Microsoft's own trouble: the same request may work a little later.
TRANSIENT = frozenset({90006, 90012, 90024, 90033, 90055, 90090, 50033})


def number_in(description: object) -> int | None:
    """The number that Entra ID's `error_description` begins with; None when it begins with none."""
    # Nothing but digits is taken: a link to the callback can carry any text (content spoofing).
    found = _NUMBER.match(description) if isinstance(description, str) else None
    return int(found[1]) if found else None


def number_of(content: dict[str, Any]) -> int | None:
    """The number of an error answer."""
    codes = content.get("error_codes")
    listed = first(codes if isinstance(codes, list) else [])
    numbers = (whole(code, 1, LARGEST_NUMBER) for code in listed if isinstance(code, int))
    named = next((number for number in numbers if number is not None), None)
    return named if named is not None else number_in(content.get("error_description"))


def explain(number: int | None, purpose: Purpose, *, error: str = "") -> Message:
    """What this refusal means and what fixes it. `error` is OAuth's word, for an answer without a number or an unknown one."""
    cause = _BY_NUMBER.get(number or 0)
    if number in TRANSIENT:
        cause = _TROUBLE
    if cause is None:
        cause = _CREDENTIALS if error == "invalid_client" else _UNKNOWN
    text = cause.application if purpose == Purpose.APP_TOKEN and cause.application else cause.text
    shown = f"AADSTS{number}" if number else line(error, LONGEST_ERROR) or "?"
    return Message(text.message, {"number": shown}, cause.code)
