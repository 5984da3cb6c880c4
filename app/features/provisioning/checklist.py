"""The installation checklist: what to do in ServiceNow, with every value to type, and which steps are marked as done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.provisioning.list_steps import StepLine, list_steps
from app.features.provisioning.models import ChecklistMark
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.auth_scope import USERACCOUNT
from app.integrations.servicenow.oauth import USUAL_ACCESS_SECONDS, USUAL_REFRESH_SECONDS
from app.integrations.servicenow.releases import FAMILIES

# What Microsoft's connector called its client on the consent page, and a name for the account; an administrator may
# choose others (docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror).
CLIENT_NAME = "Security + Compliance Connector"
USER_NAME = "m365.integration"
# Provisioning steps that examine what a step of the checklist asks for. What no check can see is left to the person's mark.
CHECKED_BY = {
    "prerequisites": ("reach", "release"),
    "client": ("token", "client"),
    "user": ("account", *(kind.value for kind in TicketKind)),
}


# A record begins without one, and newer releases then refuse every call:
# docs/facts/servicenow.md#1-7-where-it-lives-in-the-product
SCOPE_STEP = T(
    "Under Auth scope, add useraccount. Without it, ServiceNow refuses every call of the client on newer releases, whatever "
    "the roles of the user."
)


@dataclass(frozen=True)
class Part:
    """Sentences under a heading, and values to copy, each with the name of its field in ServiceNow."""

    title: Message | None
    lines: tuple[Message, ...] = ()
    values: tuple[tuple[Message, str], ...] = ()


@dataclass(frozen=True)
class ChecklistStep:
    """One step to be done in ServiceNow; `key` is its anchor on the page and its name in the table of marks."""

    key: str
    title: Message
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ChecklistLine:
    """A step, who has marked it as done and when, and what checks of the connection have found about it."""

    step: ChecklistStep
    done_at: datetime | None
    done_by: str
    checked: Sequence[StepLine] = ()


async def list_checklist(session: Session, redirect_url: str) -> list[ChecklistLine]:
    rows = (await session.execute(select(ChecklistMark))).scalars()
    marks = {row.step: row for row in rows}
    found = {line.key: line for line in await list_steps(session) if line.finding is not None}
    return [
        ChecklistLine(
            step,
            mark.done_at if mark else None,
            mark.done_by if mark else "",
            [found[key] for key in CHECKED_BY[step.key] if key in found],
        )
        for step in checklist(redirect_url)
        for mark in [marks.get(step.key)]
    ]


async def mark_step(session: Session, viewer: Viewer, key: str, *, done: bool) -> None:
    """Mark a step as done, or take that back, with an audit entry. Raises NotFound."""
    step = next((step for step in checklist("") if step.key == key), None)
    if step is None:
        raise NotFound
    await session.execute(delete(ChecklistMark).where(ChecklistMark.step == key))
    if done:
        values = {"step": key, "done_at": clock.now(), "done_by": viewer.display_name}
        # A double click sends it twice: the first mark stays.
        await session.execute(insert(ChecklistMark).values(values).on_conflict_do_nothing())
    action = T("Checklist step marked as done") if done else T("Checklist step marked as not done")
    await log_action(session, viewer, action, step=step.title)


def as_text(steps: Sequence[ChecklistStep]) -> str:
    """The steps as plain text, for a ServiceNow administrator without an account here."""
    lines = [str(T("To connect our security center to ServiceNow, please do the following in the instance.")), ""]
    for number, step in enumerate(steps, 1):
        lines.append(f"{number}. {step.title}")
        for part in step.parts:
            if part.title is not None:
                lines += ["", f"   {part.title}"]
            lines += [f"   - {line}" for line in part.lines]
            lines += [f"   - {name}: {value}" for name, value in part.values]
        lines.append("")
    lines.append(str(T("Then send back the client ID and, by a safe way, the client secret and the user’s password.")))
    return "\n".join(lines)


def checklist(redirect_url: str) -> tuple[ChecklistStep, ...]:
    """The steps to be done in ServiceNow, in order; sources stand beside them."""
    return (_prerequisites(), _client(redirect_url), _user())


def _prerequisites() -> ChecklistStep:
    # docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror
    return ChecklistStep(
        "prerequisites",
        T("Check what you need"),
        (
            Part(
                None,
                (
                    T("ServiceNow, release Kingston or later. In order: %(families)s.", families=", ".join(FAMILIES.values())),
                    T("An account with the role admin in the instance."),
                    T("Credentials for ServiceNow’s support portal, should a plug-in have to be activated."),
                    T("The default settings of incident and change management are recommended: access rules and forms that "
                      "were changed are what usually stands in the way."),
                    T("If the instance filters addresses (System Security > IP Address Access Control): the public address "
                      "of this server, to be allowed inbound."),
                ),
            ),
        ),
    )  # fmt: skip


def _client(redirect_url: str) -> ChecklistStep:
    # ServiceNow matches the redirect URL to the letter (docs/facts/servicenow.md#1-2-authorization-request); the
    # lifespans are its own defaults (docs/facts/servicenow.md#1-4-token-response).
    common: tuple[tuple[Message, str], ...] = (
        (T("Name"), CLIENT_NAME),
        (T("Redirect URL"), redirect_url),
        (T("Access token lifespan (seconds)"), str(USUAL_ACCESS_SECONDS)),
        (T("Refresh token lifespan (seconds)"), str(USUAL_REFRESH_SECONDS)),
    )
    scope = (T("Auth scope"), USERACCOUNT)
    return ChecklistStep(
        "client",
        T("Create the OAuth client"),
        (
            Part(
                T("Up to Zurich: System OAuth > Application Registry"),
                (
                    T("Press New, and choose “Create an OAuth API endpoint for external clients”."),
                    T("Leave the client secret empty: ServiceNow makes one when the record is saved. Active stays ticked, "
                      "and Public client unticked."),
                    SCOPE_STEP,
                ),
                (*common, scope),
            ),
            # docs/facts/servicenow.md#1-7-where-it-lives-in-the-product
            Part(
                T("From Zurich on, and always from Australia on: Machine Identity Console > Inbound integrations"),
                (
                    T("Press New integration, and choose “OAuth authorization code grant”."),
                    T("“This is a public client” stays off. Leave the token format at Opaque."),
                    SCOPE_STEP,
                    T("“Allow access only to APIs in selected scope” and “Enforce token restriction” stay off: either of them "
                      "keeps us from the Table API though every role is right."),
                ),
                (common[0], (T("Provider name"), CLIENT_NAME), *common[1:], scope),
            ),
            Part(
                None,
                (
                    T("The redirect URL must match to the letter, without a slash at its end."),
                    T("Save, open the record again, and copy the client ID and the client secret (the lock symbol shows it)."),
                ),
            ),
        ),
    )  # fmt: skip


def _user() -> ChecklistStep:
    # Why each flag matters: docs/facts/servicenow.md#1-8-the-integration-user-the-central-contradiction
    return ChecklistStep(
        "user",
        T("Create the integration user"),
        (
            Part(
                T("User Administration > Users > New"),
                (
                    T("Active is ticked. “Password needs reset” is not: until it is reset, ServiceNow gives no tokens."),
                    T("“Web service access only” is not ticked: whoever consents has to pass the login page, and such "
                      "accounts cannot."),
                    T("Use an e-mail address that your team reads, and no person’s."),
                ),
                ((T("User ID"), USER_NAME),),
            ),
            # docs/facts/servicenow.md#3-6-roles-for-the-integration-user
            Part(
                T("Roles"),
                (
                    T("The least that suffices: sn_incident_write, sn_change_write and snc_platform_rest_api_access (they "
                      "come with the plug-in ITSM Roles), and personalize_choices to read the lists of states."),
                    T("Or itil, with personalize_choices. Never snc_read_only: it forbids tickets and tokens alike."),
                ),
            ),
            Part(
                T("Multi-factor authentication"),
                (
                    T("From Yokohama on, every local account has to enrol. Sign in once as the integration user, and enrol "
                      "with an authenticator that your team keeps. It is asked for at each consent, and never for tickets."),
                ),
            ),
            # docs/facts/servicenow.md#1-9-sso-and-ip-filtering
            Part(
                T("Single sign-on"),
                (
                    T("The consent page sends the browser to your identity provider, which signs in the person at the desk. "
                      "One way round: in a private window, sign in at /side_door.do (or /login.do) of the instance as the "
                      "integration user, and authorize from that window."),
                    T("The other way: a user in Microsoft Entra ID with the same name and e-mail address as the integration "
                      "user and the role Security Administrator; do the set-up as that user, and take the role away after."),
                ),
            ),
        ),
    )  # fmt: skip
