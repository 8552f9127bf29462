"""A cluster with certificates: who shows a good one reads, every other night is hunted alone."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gundog.staging import stage
from gundog.workers import cluster as reading
from gundog.workers.client import Waits
from gundog.workers.config import Workers
from tests import cluster, kit
from tests.cluster import Cluster
from tests.kit import hunt
from tests.lab import STAGE, Lab, good
from tests.test_workers import LONG, assert_same, fill, twin

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
WAITS = Waits(connect=6, answer=60, lonely=60, poll=0.1)
LONGER = replace(WAITS, connect=60)


@dataclass(frozen=True)
class Signer:
    """Somebody whose certificates others trust."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    cert: x509.Certificate

    @property
    def ca(self) -> Path:
        return _write(self.folder / f"{self.name}.pem", self.cert)

    def issue(self, name: str, days: int = 30) -> tuple[Path, Path]:
        """A certificate and its key; with negative days one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _cert(name, key, self.name, self.key, NOW + days * DAY, is_ca=False)
        return _write(self.folder / f"{name}.pem", cert), _write(self.folder / f"{name}.key", key)


def signer(folder: Path, name: str) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    return Signer(folder, name, key, _cert(name, key, name, key, NOW + 90 * DAY, is_ca=True))


def _cert(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    until: datetime.datetime,
    *,
    is_ca: bool,
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 60 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(host, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _write(path: Path, item: x509.Certificate | ec.EllipticCurvePrivateKey) -> Path:
    pem = serialization.Encoding.PEM
    if isinstance(item, x509.Certificate):
        path.write_bytes(item.public_bytes(pem))
    else:
        form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(item.private_bytes(pem, form, none))
    return path


def security(by: Signer, cert: tuple[Path, Path]) -> dict[str, str]:
    """How a scheduler and its workers know each other and whoever comes."""
    said = {"tls_ca_file": str(by.ca)}
    for role in ("client", "scheduler", "worker"):
        said |= {f"tls_{role}_cert": str(cert[0]), f"tls_{role}_key": str(cert[1])}
    return said


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer(tmp_path_factory.mktemp("ca"), "ours")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, ours: Signer) -> Iterator[Cluster]:
    """A worker and a scheduler that talk to nobody without a certificate of ours."""
    root = tmp_path_factory.mktemp("cluster")
    with cluster.started(root, 1, security=security(ours, ours.issue("server"))) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path / "lab", {"mail": STAGE})
    made.put(good(1))
    return made


def problem_of(lab: Lab, workers: Workers) -> str:
    """What a run says that reads alone after all."""
    with reading.Cluster(workers, LONG, WAITS) as others:
        assert lab.stage(others=others).files == 1
        assert others.taken == 0
    (problem,) = others.problems()
    return problem


@pytest.mark.slow
def test_run_with_a_certificate_is_read_for(
    tmp_path: Path, ours: Signer, secured: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tables over TLS."""
    monkeypatch.setattr(stage, "BATCH_FILES", 3)
    here = Lab(tmp_path / "here", {"mail": STAGE})
    fill(here)
    there = twin(here, tmp_path / "there")

    mine = Workers(secured.address, ours.ca, *ours.issue("run"))
    with reading.Cluster(mine, LONG, LONGER) as others:
        done = there.stage(others=others)

    assert secured.address.startswith("tls://127.0.0.1:")
    assert others.problems() == []
    assert others.taken >= 8
    assert_same(here, here.stage(), there, done)


def test_expired_certificate_of_a_scheduler(tmp_path: Path, lab: Lab, ours: Signer) -> None:
    """It is not used, and what to do is said."""
    old = security(ours, ours.issue("old", days=-1))

    with cluster.started(tmp_path / "c", 0, security=old) as made:
        problem = problem_of(lab, Workers(made.address, ours.ca, *ours.issue("run")))

    assert "cannot be reached (certificate has expired): renew the certificate" in problem


def test_expired_certificate_of_the_run(tmp_path: Path, ours: Signer, secured: Cluster) -> None:
    """The night is hunted alone, exit 1, with the problem named."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    cert, key = ours.issue("gone", days=-1)
    said = f"{{address: '{secured.address}', ca: {ours.ca}, cert: {cert}, key: {key}}}"
    kit.write_text(root / "gundog.yaml", f"{kit.CONFIG}workers: {said}\n")

    done = hunt(root)

    assert done.exit_status == 1
    assert done.files == 2
    (problem,) = done.problems
    assert problem.startswith(f"workers: {secured.address}: cannot be reached (")
    assert "cannot be reached (certificate of this run has expired): renew the cert" in problem


def test_scheduler_of_somebody_else(tmp_path: Path, lab: Lab, secured: Cluster) -> None:
    """Its certificate comes from nobody whom the run trusts."""
    others = signer(tmp_path, "others")

    problem = problem_of(lab, Workers(secured.address, others.ca, *others.issue("run")))

    assert "cannot be reached (" in problem
    assert problem.count("make ca, cert and key fit those of the scheduler") == 1


def test_files_of_certificates_that_are_not_there(
    tmp_path: Path, lab: Lab, ours: Signer, secured: Cluster
) -> None:
    """Or that hold something else."""
    cert, key = ours.issue("run")
    empty = kit.write_text(tmp_path / "empty.pem", "nothing")

    for workers in (
        Workers(secured.address, tmp_path / "no.pem", cert, key),
        Workers(secured.address, ours.ca, empty, key),
    ):
        problem = problem_of(lab, workers)
        lab.con.execute("delete from source_files")
        lab.con.execute("delete from file_stages")

        assert "correct ca, cert and key" in problem
