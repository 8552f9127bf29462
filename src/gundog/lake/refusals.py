"""What a store's error means, in one sentence with what to do."""

from __future__ import annotations

import re

from gundog.core.errors import StoreError

_EXPIRED = "the credentials have expired: renew them in the environment"
_SILENT = (
    "the store refuses the request and does not say why, as it does when a session token has"
    " expired: renew the credentials in the environment"
)
_MAY_NOT = "the identity is known but may not read: give it the role {role} on the {place}"
_NO_KEYS = (
    "the storage account takes no keys: unset AZURE_STORAGE_ACCOUNT_KEY, and sign in with an"
    " identity (az login, or the machine's own)"
)
_NO_GUESTS = (
    "the storage account refuses requests without an identity: remove anonymous: true, and sign in"
    " (az login) or set AZURE_STORAGE_ACCOUNT_KEY"
)
_FIREWALL = (
    "the storage account's firewall or network rules refuse this machine: allow its address or"
    " network there"
)
_NO_AZURE_IDENTITY = (
    "no Azure identity was found that may sign in: run az login, set AZURE_TENANT_ID,"
    " AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or set AZURE_STORAGE_ACCOUNT_KEY"
)
_NO_TLS = (
    "an endpoint without TLS (http://) takes no identity: set AZURE_STORAGE_ACCOUNT_KEY to the"
    " account's key, or write https:// in endpoint:"
)
_NO_GOOGLE_IDENTITY = (
    "no Google identity was found: run gcloud auth application-default login, or set"
    " GOOGLE_APPLICATION_CREDENTIALS"
)
_CREDENTIALS = (
    "check the credentials in the environment, or set anonymous: true for a public bucket"
)
# Answers of stores, and what they mean in a few words.
_MEANINGS = (
    (r"Expired_?Token|ExpiredAuthentication|token (?:has )?expired|invalid_grant", _EXPIRED),
    (r"not valid in the specified time frame", _EXPIRED),
    (
        "AuthorizationPermissionMismatch|perform this operation using this permission",
        _MAY_NOT.format(role="Storage Blob Data Reader", place="storage account or container"),
    ),
    ("KeyBasedAuthenticationNotPermitted", _NO_KEYS),
    ("Public ?Access(?: is)? ?not ?permitted|NoAuthenticationInformation", _NO_GUESTS),
    (
        "AuthenticationFailed|InvalidAuthenticationInfo|failed to authenticate the request",
        f"the key or identity is not one of this storage account: {_CREDENTIALS}",
    ),
    (r"\bAuthorizationFailure\b", _FIREWALL),
    ("not permitted for non TLS", _NO_TLS),
    ("(?:DefaultAzure|ChainedToken|ManagedIdentity)Credential|AADSTS", _NO_AZURE_IDENTITY),
    (
        "ContainerNotFound|FilesystemNotFound|specified (?:container|filesystem) does not exist",
        "there is no such container: correct its name in the path",
    ),
    (
        "NoSuchBucket|NO_SUCH_BUCKET|bucket does not exist",
        "there is no such bucket: correct its name in the path",
    ),
    (
        "InvalidAccessKeyId|INVALID_ACCESS_KEY_ID|Access Key Id you provided does not exist",
        f"the store does not know this access key (AWS_ACCESS_KEY_ID): {_CREDENTIALS}",
    ),
    (
        "SignatureDoesNotMatch|SIGNATURE_DOES_NOT_MATCH",
        f"the secret (AWS_SECRET_ACCESS_KEY) is not that of the access key: {_CREDENTIALS}",
    ),
    (
        r"does not have storage\.\S+ access|Permission '?storage\.\S+ denied",
        _MAY_NOT.format(role="Storage Object Viewer", place="bucket"),
    ),
    (
        r"determine credentials|Could not create a OAuth2|metadata\.google\.internal",
        _NO_GOOGLE_IDENTITY,
    ),
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
        _CREDENTIALS,
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
