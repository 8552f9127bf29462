"""IP addresses as sources write them: with a port, in brackets."""

from __future__ import annotations

import re

_WRITTEN = re.compile(
    r"\s*(?:\[([^\]]*)\]|((?:[0-9A-Fa-f:]*:)?\d{1,3}(?:\.\d{1,3}){3}))(?::\d*)?\s*", re.ASCII
)


def plain(text: str) -> str:
    """An address without its port and brackets; other text as it is.

    A colon and digits behind an IPv6 address without brackets are part of it.

    >>> plain("203.0.113.9:5001"), plain("[2001:db8::9]:443"), plain("2001:db8::9:443")
    ('203.0.113.9', '2001:db8::9', '2001:db8::9:443')
    """
    match = _WRITTEN.fullmatch(text)
    return (match[1] or match[2] or "") if match else text
