"""Names of Microsoft's own applications, by the id that audit records hold.

Source: Microsoft, "Verify first-party Microsoft applications in sign-in reports", at
learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in: its text
of 2 April 2021 in github.com/MicrosoftDocs/SupportArticles-docs, and as of November 2026; for
Outlook on the web Message Center MC711020. Names that Microsoft changed since are the newer ones.
A name says who owns the id, not who uses it: a stolen token reads mail through Microsoft's own
applications too.
"""

from __future__ import annotations

import re

_ID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
# In what findings say; a newer list has stored titles written again.
AS_OF = "2026-11"

NAMES = {
    "00000002-0000-0000-c000-000000000000": "Windows Azure Active Directory",
    "00000002-0000-0ff1-ce00-000000000000": "Office 365 Exchange Online",
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph",
    "00000003-0000-0ff1-ce00-000000000000": "Office 365 SharePoint Online",
    "00000004-0000-0ff1-ce00-000000000000": "Skype for Business Online",
    "00000005-0000-0ff1-ce00-000000000000": "Yammer",
    "00000006-0000-0ff1-ce00-000000000000": "Microsoft Office 365 Portal",
    "00000007-0000-0ff1-ce00-000000000000": "Microsoft Exchange Online Protection",
    "00000009-0000-0000-c000-000000000000": "Power BI Service",
    "0000000c-0000-0000-c000-000000000000": "Microsoft App Access Panel",
    "00b41c95-dab0-4487-9791-b9d2c32c80f2": "Office 365 Management",
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Microsoft Azure CLI",
    "0f698dd4-f011-4d23-a33e-b36416dcb1e6": "OfficeClientService",
    "14d82eec-204b-4c2f-b7e8-296a70dab67e": "Microsoft Graph Command Line Tools",
    "17d5e35f-655b-4fb0-8ae6-86356e9a49f5": "Office Online Client AAD- Maker",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Microsoft Azure PowerShell",
    "1fec8e78-bce4-4aaf-ab1b-5451cc387264": "Microsoft Teams",
    "23523755-3a2b-41ca-9315-f81f3f566a95": "ACOM Azure Website",
    "243c63a3-247d-41c5-9d83-7788c43f1c43": "Office Online Core SSO",
    "26a7ee05-5602-4d76-a7ba-eae8b7b67941": "Windows Search",
    "27922004-5251-4030-b22d-91ecd9a37ea4": "Outlook Mobile",
    "29d9ed98-a469-4536-ade2-f981bc1d605e": "Microsoft Authentication Broker",
    "2abdc806-e091-4495-9b10-b04d93c3f040": "Office Online Client AAD- Augmentation Loop",
    "2d4d3d8e-2be3-4bef-9f87-7875a61c29de": "OneNote",
    "2d7f3606-b07d-41d1-b9d2-0d0c9296a6e8": "Microsoft Bing Search for Microsoft Edge",
    "3090ab82-f1c1-4cdf-af2c-5d7a6f3e2cc7": "Microsoft Defender for Cloud Apps",
    "4345a7b9-9a63-4910-a426-35363201d503": "O365 Suite UX",
    "4b233688-031c-404b-9a80-a4f3f2351f90": "Office.com",
    "5d661950-3475-41cd-a2c3-d671a3162bc1": "Microsoft Outlook",
    "5e3ce6c0-2b1f-4285-8d4b-75ee78787346": "Microsoft Teams Web Client",
    "66a88757-258c-4c72-893c-3e8bed4d6899": "Office 365 Search Service",
    "67e3df25-268a-4324-a550-0de1c7f97287": "Microsoft Office Web Apps Service",
    "74bcdadc-2fdc-4bb3-8459-76d06952a0e9": "Microsoft Intune Web Company Portal",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013": "Windows Azure Service Management API",
    "871c010f-5e61-4fb1-83ac-98610a7e9110": "Microsoft Power BI",
    "89bee1f7-5e6e-4d8a-9f3d-ecd601259da7": "Office365 Shell WCSS-Client",
    "9199bf20-a13f-4107-85dc-02114787ef48": "One Outlook Web",
    "93d53678-613d-4013-afc1-62e9e444a0a5": "Office Online Add-in SSO",
    "94c63fef-13a3-47bc-8074-75af8c65887a": "Office Delve",
    "95de633a-083e-42f5-b444-a4295d8e9314": "Microsoft Whiteboard Services",
    "98db8bd6-0cc0-4e67-9de5-f187f1cd1b41": "Microsoft Substrate Management",
    "a3b79187-70b2-4139-83f9-6016c58cd27b": "WindowsDefenderATP Portal",
    "a9b49b65-0a12-430b-9540-c80b3332c127": "Office Online Search",
    "ab9b8c07-8f02-4f72-87fa-80105867a763": "OneDrive SyncEngine",
    "b23dd4db-9142-4734-867f-3577f640ad0c": "Office Online Client AAD- Loki",
    "c1c74fed-04c9-4704-80dc-9f79a2e515cb": "Yammer Web",
    "c44b4083-3bb0-49c1-b47d-974e53cbdf3c": "Azure Portal",
    "c9a559d2-7aab-4f13-a6ed-e7e9c52aec87": "Microsoft Forms",
    "cc15fd57-2c6c-4117-a88c-83b1d56b4bbe": "Microsoft Teams Services",
    "cf36b471-5b44-428c-9ce7-313bf84528de": "Microsoft Bing Search",
    "d3590ed6-52b3-4102-aeff-aad2292ab01c": "Microsoft Office",
    "ee272b19-4411-433f-8f28-5c13cb6fd407": "Microsoft 365 Support Service",
    "fb78d390-0c51-40cd-8e17-fdbfab77341b": "Microsoft Exchange REST API Based Powershell",
    "ffcb16e8-f789-467c-8ce9-f826a080d987": "SharedWithMe",
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


def shown(column: str, value: object) -> object:
    """A value of a column as people read it: ids of applications have their name before them.

    >>> shown("app_id", "00000003-0000-0000-c000-000000000000")
    'Microsoft Graph (00000003-0000-0000-c000-000000000000)'
    >>> shown("mailbox", "00000003-0000-0000-c000-000000000000"), shown("app_id", None)
    ('00000003-0000-0000-c000-000000000000', None)
    """
    is_id = column.endswith("app_id") and isinstance(value, str)
    return named(str(value)) if is_id else value


def within(text: str) -> str:
    """A text in which each id that is one of Microsoft's applications has its name before it.

    >>> within("rest + 00000003-0000-0000-c000-000000000000")
    'rest + Microsoft Graph (00000003-0000-0000-c000-000000000000)'
    """
    return _ID.sub(lambda place: named(place[0]), text)


def brief(text: str) -> str:
    """A text in which the first part of each such id stands behind its name.

    >>> brief("rest + 00000003-0000-0000-c000-000000000000 + another")
    'rest + Microsoft Graph (00000003…) + another'
    """

    def short(place: re.Match[str]) -> str:
        name = NAMES.get(place[0].lower())
        return f"{name} ({place[0].lower()[:8]}…)" if name else place[0]

    return _ID.sub(short, text)
