"""What gundog.yaml says of a cluster: the keys `workers` and `insecureWorkers`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from gundog.core.fields import Fields

KEYS = frozenset("address ca cert key".split())
_NO_ADDRESS = "is not a scheduler's address: write one such as tls://HOST:8786"
_ADDRESS = re.compile(r"(tcp|tls)://(?:\[([0-9a-fA-F:.]+)\]|([^\s/@?#:\[\]]+)):(\d{1,5})/?")


@dataclass(frozen=True)
class Workers:
    """The cluster whose workers read.

    Attributes:
        address: of its scheduler.
        ca: certificates of those whom its scheduler's certificate must come from; like `cert` and
            `key` from Dask's own configuration where it is None.
        cert: the certificate that this run shows.
        key: the key of that certificate.
        is_insecure: somebody agreed to a cluster that anybody can join and listen to.
    """

    address: str = field(repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    is_insecure: bool = False

    @property
    def shown(self) -> str:
        """The address for people, without what may be a password in it.

        >>> Workers("tls://ana:secret@dask.example:8786").shown
        'tls://dask.example:8786'
        """
        scheme, _, rest = self.address.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"

    @property
    def refusal(self) -> str:
        """Why the cluster must not be used; empty where it may.

        >>> Workers("tcp://127.0.0.1:8786").refusal
        ''
        """
        match = _ADDRESS.fullmatch(self.address)
        if not match:
            return "is not tls://HOST:PORT or tcp://HOST:PORT: correct workers in gundog.yaml"
        if match[1] == "tcp" and not self.is_insecure and not _is_loopback(match[2] or match[3]):
            return (
                "anybody who reaches it can run code on it and read what its workers read:"
                " use tls://, or agree with insecureWorkers: true"
            )
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read(fields: Fields, root: Path) -> Workers | None:
    """The values of the keys `workers` and `insecureWorkers`; None without a cluster."""
    is_insecure = fields.flag("insecureWorkers", False)
    value = fields.data.get("workers")
    if isinstance(value, dict):
        inner = fields.inner("workers", KEYS)
        address = inner.text("address")
        _check(inner, "address", address)
        ca, cert, key = (_file(inner, name, root) for name in ("ca", "cert", "key"))
        return Workers(address, ca, cert, key, is_insecure)
    address = fields.text("workers", "")
    if not address:
        return None
    _check(fields, "workers", address)
    return Workers(address, is_insecure=is_insecure)


def _check(fields: Fields, key: str, address: str) -> None:
    if address and not re.fullmatch(r"[a-z]+://\S+", address):
        fields.problem(key, _NO_ADDRESS)


def _file(fields: Fields, key: str, root: Path) -> Path | None:
    name = fields.text(key, "")
    return root / name if name else None
