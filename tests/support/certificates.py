"""A throw-away certificate authority for TLS tests."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority's certificate, one for localhost and 127.0.0.1, and its key."""

    authority: Path
    server: Path
    key: Path


class Authority:
    """Signs certificates that are valid for a day; its own is the file ``path``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        now = datetime.datetime.now(datetime.UTC)
        self._begin, self._end = now - datetime.timedelta(hours=1), now + datetime.timedelta(days=1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pgnym test authority")])
        public = self._key.public_key()
        certificate = (
            self._builder([self._name], public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.path = directory / "authority.crt"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, file: str, *names: str, hosts: bool = False) -> tuple[Path, Path]:
        """Write a certificate and its key. ``names``: its common names. ``hosts``: for localhost and 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in names]
        builder = self._builder(subject, key.public_key()).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        if hosts:
            local = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(local), critical=False)
        written = self._directory / f"{file}.crt", self._directory / f"{file}.key"
        certificate = builder.sign(self._key, hashes.SHA256())
        written[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        written[1].touch(mode=0o600)
        written[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return written

    def _builder(
        self, subject: list[x509.Name], public: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([part for name in subject for part in name.rdns]))
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(self._end)
        )


def make_certificates(directory: Path) -> Certificates:
    """Write a new authority and a server certificate signed by it (valid for a day) into ``directory``."""
    authority = Authority(directory)
    return Certificates(authority.path, *authority.sign("server", "localhost", hosts=True))
