"""Channel binding data of a TLS connection: ``tls-server-end-point`` (RFC 5929 section 4.1)."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding


def end_point(certificate: bytes) -> bytes | None:
    """The hash of a certificate (DER) that both ends use; None where its signature has no hash (Ed25519: undefined)."""
    try:
        algorithm: HashAlgorithm | None = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, MD5 | SHA1):
        algorithm = SHA256()
    digest = Hash(algorithm)
    digest.update(certificate)
    return digest.finalize()


def end_point_of_file(path: str) -> bytes | None:
    """The same of the first certificate in a PEM file. Raises OSError, ValueError."""
    with open(path, "rb") as stream:
        certificate = x509.load_pem_x509_certificates(stream.read())[0]
    return end_point(certificate.public_bytes(Encoding.DER))
