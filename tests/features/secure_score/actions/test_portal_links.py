"""Links to Microsoft's portals: of the tenant's cloud, and of today."""

from __future__ import annotations

import pytest

from app.features.secure_score.actions.portal_links import manage_link, secure_score_page, teams_share_page
from app.microsoft_defaults import MicrosoftCloud

ENTRA = "#view/Microsoft_AAD_IAM/ConsentPoliciesMenuBlade/~/UserSettings"


@pytest.mark.fact("microsoft-graph edge-41")
@pytest.mark.parametrize(
    ("address", "cloud", "url"),
    [
        (f"https://aad.portal.azure.com/{ENTRA}", "global", f"https://entra.microsoft.com/{ENTRA}"),
        (f"https://aad.portal.azure.com/{ENTRA}", "usgov", f"https://entra.microsoft.us/{ENTRA}"),
        ("https://compliance.microsoft.com/datalossprevention?tid=1", "global", "https://purview.microsoft.com/"),
        ("https://portal.cloudappsecurity.com/#/connected-apps", "global", "https://security.microsoft.com/"),
        ("https://security.microsoft.com/antispam?tid=1", "global", "https://security.microsoft.com/antispam?tid=1"),
        ("https://security.microsoft.com/antispam?tid=1", "usgov", "https://security.microsoft.us/antispam?tid=1"),
        ("https://security.microsoft.com/antispam?tid=1", "dod", "https://security.apps.mil/antispam?tid=1"),
        ("https://security.microsoft.us/antispam", "global", "https://security.microsoft.us/antispam"),
        ("https://contoso.us3.portal.cloudappsecurity.com/#/apps", "global", "https://security.microsoft.com/"),
        ("https://securescore.microsoft.com/#!/action", "global", "https://security.microsoft.com/"),
        ("https://devicemanagement.microsoft.com/#home", "usgov", "https://intune.microsoft.us/#home"),
        ("https://admin.exchange.microsoft.com/#/x", "global", "https://admin.exchange.microsoft.com/#/x"),
        ("https://admin.exchange.microsoft.com/#/x", "usgov", "https://portal.office365.us/"),
        ("https://admin.exchange.microsoft.com/#/x", "dod", "https://portal.apps.mil/"),
        ("https://admin.teams.microsoft.com/policies", "dod", "https://admin.dod.teams.microsoft.us/policies"),
        ("https://docs.github.com/x", "usgov", "https://docs.github.com/x"),
        ("  http://intranet.example/x ", "global", "http://intranet.example/x"),
    ],
)
def test_an_address_leads_to_todays_portal_of_the_tenants_cloud(address: str, cloud: str, url: str) -> None:
    link = manage_link(address, cloud)
    assert link is not None
    assert link.url == url


@pytest.mark.fact("microsoft-graph edge-41")
@pytest.mark.parametrize(
    ("address", "is_portal"),
    [
        ("https://security.microsoft.us/x", True),
        ("https://entra.microsoft.com/#view", True),
        ("https://learn.microsoft.com/x", False),
        ("https://security.microsoft.com.evil.example/x", False),
    ],
)
def test_only_microsofts_portals_are_called_so(address: str, is_portal: bool) -> None:
    link = manage_link(address, "global")
    assert link is not None
    assert link.is_portal is is_portal


@pytest.mark.parametrize("address", ["", "not a link", "javascript:alert(1)", "https://[broken"])
def test_what_is_no_web_address_is_no_link(address: str) -> None:
    assert manage_link(address, "global") is None


@pytest.mark.parametrize("cloud", MicrosoftCloud)
def test_every_cloud_has_its_own_pages(cloud: MicrosoftCloud) -> None:
    host = secure_score_page(cloud).split("/")[2]
    assert host.endswith({"global": ".com", "usgov": ".us", "dod": ".mil"}[cloud])
    assert ("microsoft.com" in teams_share_page(cloud)) is (cloud is MicrosoftCloud.GLOBAL)
