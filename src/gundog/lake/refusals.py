"""What a store's error means, in one sentence with what to do."""

from __future__ import annotations

import re

from gundog.core.errors import StoreError

_EXPIRED = "the credentials have expired: renew them in the environment"
_SILENT = (
    "the store refuses the request and does not say why, as it does when a session token has"
    " expired: renew the credentials in the environment"
)
# Answers of stores, and what they mean in a few words.
_MEANINGS = (
    (r"Expired_?Token|ExpiredAuthentication|token (?:has )?expired|invalid_grant", _EXPIRED),
    (r"not valid in the specified time frame", _EXPIRED),
    # The answer to HEAD has no body that could name the reason.
    (r"\bstatus:? 400\b.*No response body", _SILENT),
)
_HINTS = (
    (r"TooSkewed|TOO_SKEWED", "set this machine's clock"),
    (
        r"\b301\b|configured region|region '.*' is wrong|location constraint",
        "set region: in gundog.yaml",
    ),
    (
        r"ACCESS_DENIED|\b40[13]\b|Forbidden|ACCESS_KEY|SIGNATURE|Unauthori[sz]ed|credential",
        "check the credentials in the environment, or set anonymous: true for a public bucket",
    ),
    (r"No space left|File too large|quota", "free disk space"),
    (r"wrong version number", "begin the endpoint with http:// where the store has no TLS"),
    (r"InvalidToken|Base64", "correct the credentials in the environment"),
    (r"\b404\b|valid account name", "correct the path in gundog.yaml"),
    (r"NETWORK_CONNECTION|timed? ?out|connect|resolve", "check endpoint: and the network"),
    (r"SLOW_DOWN|\b50[0-9]\b", "the store is busy or failing: try again later"),
)


def store_error(shown: str, failure: str, error: Exception) -> StoreError:
    """What a store's error means, in one line with what to do.

    Args:
        shown: the file or folder, as people name it.
        failure: what failed, such as `cannot be read`.
        error: what the store's client raised.
    """
    reason = " ".join(str(error).split())
    return StoreError(f"{shown}: {failure}: {_meaning(reason) or _with_hint(reason)}")


def _meaning(reason: str) -> str | None:
    return _first(_MEANINGS, reason)


def _with_hint(reason: str) -> str:
    return f"{reason}: {_first(_HINTS, reason) or 'run `gundog check --lake`'}"


def _first(meanings: tuple[tuple[str, str], ...], reason: str) -> str | None:
    meaning = (said for pattern, said in meanings if re.search(pattern, reason, re.IGNORECASE))
    return next(meaning, None)
