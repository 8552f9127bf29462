"""Names of Microsoft's own applications, by the id that audit records hold.

Source: Microsoft, "Verify first-party Microsoft applications in sign-in reports", at
learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in, and for
Outlook on the web Message Center MC711020; as of November 2026. A name says who owns the id, not
who uses it: a stolen token reads mail through Microsoft's own applications too.
"""

from __future__ import annotations

NAMES = {
    "00000002-0000-0ff1-ce00-000000000000": "Office 365 Exchange Online",
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph",
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Microsoft Azure CLI",
    "14d82eec-204b-4c2f-b7e8-296a70dab67e": "Microsoft Graph Command Line Tools",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Microsoft Azure PowerShell",
    "1fec8e78-bce4-4aaf-ab1b-5451cc387264": "Microsoft Teams",
    "27922004-5251-4030-b22d-91ecd9a37ea4": "Outlook Mobile",
    "5d661950-3475-41cd-a2c3-d671a3162bc1": "Microsoft Outlook",
    "9199bf20-a13f-4107-85dc-02114787ef48": "One Outlook Web",
    "d3590ed6-52b3-4102-aeff-aad2292ab01c": "Microsoft Office",
    "fb78d390-0c51-40cd-8e17-fdbfab77341b": "Microsoft Exchange REST API Based Powershell",
}


def named(app_id: str) -> str:
    """The id with its name before it where it is one of Microsoft's.

    >>> named("00000003-0000-0000-C000-000000000000")
    'Microsoft Graph (00000003-0000-0000-c000-000000000000)'
    >>> named("another")
    'another'
    """
    name = NAMES.get(app_id.lower())
    return f"{name} ({app_id.lower()})" if name else app_id
