"""uuid, bytea, inet, cidr: short binary values with a text of their own."""

from __future__ import annotations

import binascii
import re
from ipaddress import AddressValueError, IPv6Address

from pgnym.wire.codecs.base import CANONICAL, Codec, Settings
from pgnym.wire.errors import CodecError

_UUID_DIGITS = rb"((?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4})"
_UUID = re.compile(rb"(?:\{" + _UUID_DIGITS + rb"\}|" + _UUID_DIGITS + rb")\Z")
_UUID_PLAIN = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_HEX = re.compile(rb"[0-9a-fA-F \t\r\n]*")
_SPACES = re.compile(rb"[ \n\t\r]+")
_ESCAPE = re.compile(rb"\\(\\|[0-3][0-7]{2})?")
_UNPRINTABLE = re.compile(rb"[\\\x00-\x1f\x7f-\xff]")
_IPV4 = re.compile(rb"([0-9]+(?:\.[0-9]+){0,3})(?:/([0-9]{1,5}))?\Z")
_IPV6 = re.compile(rb"([0-9a-fA-F:.]{2,45})(?:/([0-9]{1,5}))?\Z")
_FAMILY_4 = 2
"""PGSQL_AF_INET, the same on every platform."""
_FAMILY_6 = 3


class Uuid(Codec):
    """``uuid``."""

    name = "uuid"
    oid = 2950
    array_oid = 2951
    size = 16

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Any case, braces around it, a hyphen or none after each group of four digits."""
        if _UUID_PLAIN.match(data):
            return data
        found = _UUID.match(data)
        if not found:
            raise self.syntax_error()
        return _hyphenate((found.group(1) or found.group(2)).replace(b"-", b"").lower())

    def receive(self, data: bytes) -> bytes:
        """16 bytes."""
        if len(data) != 16:
            raise self.binary_error()
        return _hyphenate(data.hex().encode())

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """16 bytes."""
        return bytes.fromhex(canonical.replace(b"-", b"").decode())


class Bytea(Codec):
    """``bytea``: canonical is the hex form."""

    name = "bytea"
    oid = 17
    array_oid = 1001

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Hex form (white space between bytes allowed) or escape form."""
        if data[:2] == rb"\x":
            try:
                return rb"\x" + b"".join(
                    [binascii.hexlify(binascii.unhexlify(part)) for part in _SPACES.split(data[2:])]
                )
            except (binascii.Error, ValueError):
                # hex_decode: a wrong digit is 22023, an odd count too. PostgreSQL shows the digit.
                what = "odd number of digits" if _HEX.fullmatch(data[2:]) else "a character is no digit"
                raise CodecError("22023", f"invalid hexadecimal data: {what}") from None
        if b"\\" not in data:
            return rb"\x" + binascii.hexlify(data)
        return rb"\x" + binascii.hexlify(_ESCAPE.sub(self._unescape, data))

    def receive(self, data: bytes) -> bytes:
        """The bytes."""
        return rb"\x" + binascii.hexlify(data)

    def show(self, canonical: bytes, typmod: int = -1, settings: Settings = CANONICAL) -> bytes:
        """As ``bytea_output`` says."""
        if settings.bytea_output != "escape":
            return canonical
        return _UNPRINTABLE.sub(_octal, self.send(canonical))

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """The bytes."""
        return binascii.unhexlify(canonical[2:])

    def _unescape(self, found: re.Match[bytes]) -> bytes:
        what = found.group(1)
        if what is None:
            raise self.syntax_error()
        return b"\\" if what == b"\\" else bytes((int(what, 8),))


class Network(Codec):
    """``inet`` (an address, perhaps with a netmask) and ``cidr`` (a network)."""

    def __init__(self, name: str, oid: int, array_oid: int, network: bool) -> None:
        self.name, self.oid, self.array_oid = name, oid, array_oid
        self._network = network

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """IPv4 dotted decimal (cidr: abbreviated by classes too) or IPv6, with /bits or without."""
        if b":" in data:
            found = _IPV6.match(data)
            if not found:
                raise self.syntax_error()
            try:
                packed = IPv6Address(found.group(1).decode()).packed
            except AddressValueError:
                raise self.syntax_error() from None
            bits = int(found.group(2) or 128)
        else:
            found = _IPV4.match(data)
            if not found:
                raise self.syntax_error()
            packed, bits = self._ipv4(found.group(1), found.group(2))
        return self._checked(packed, bits)

    def receive(self, data: bytes) -> bytes:
        """Family, bits, is_cidr, length, address."""
        if len(data) not in (8, 20) or data[0] != (_FAMILY_4 if len(data) == 8 else _FAMILY_6):
            raise self.binary_error()
        if data[3] != len(data) - 4 or data[1] > 8 * data[3]:
            raise self.binary_error()
        return self._checked(data[4:], data[1])

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """See ``receive``."""
        address, _, bits = canonical.partition(b"/")
        if b":" in address:
            packed, family = IPv6Address(address.decode()).packed, _FAMILY_6
        else:
            packed, family = bytes(map(int, address.split(b"."))), _FAMILY_4
        return bytes((family, int(bits or 8 * len(packed)), self._network, len(packed))) + packed

    def _ipv4(self, address: bytes, suffix: bytes | None) -> tuple[bytes, int]:
        """inet_net_pton_ipv4 and inet_cidr_pton_ipv4 of PostgreSQL, less their hexadecimal form."""
        octets = [int(part) for part in address.split(b".") if len(part) <= 10]
        given = address.count(b".") + 1
        if len(octets) != given or max(octets) > 255:
            raise self.syntax_error()
        if suffix is not None:
            bits = int(suffix)
        elif not self._network:
            if given < 4:
                raise self.syntax_error()
            bits = 32
        else:
            bits = max(_class_bits(octets[0]), 8 * given)
            if bits == 8 and octets[0] == 224:
                bits = 4
        if bits > 32 or (not self._network and bits // 8 > given):
            raise self.syntax_error()
        return bytes(octets + [0] * (4 - given)), bits

    def _checked(self, packed: bytes, bits: int) -> bytes:
        width = 8 * len(packed)
        if bits > width:
            raise self.syntax_error()
        if self._network:
            if int.from_bytes(packed, "big") & ((1 << (width - bits)) - 1):
                raise CodecError("22P02", "invalid cidr value: it has bits set to the right of the mask")
        elif bits == width:
            return _address(packed)
        return _address(packed) + b"/%d" % bits


def _class_bits(first: int) -> int:
    """The prefix that the old address classes A to E imply."""
    for floor, bits in ((240, 32), (224, 8), (192, 24), (128, 16)):
        if first >= floor:
            return bits
    return 8


def _hyphenate(digits: bytes) -> bytes:
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _octal(found: re.Match[bytes]) -> bytes:
    byte = found.group()[0]
    return rb"\\" if byte == 0x5C else b"\\%03o" % byte


def _address(packed: bytes) -> bytes:
    """inet_net_ntop: the first longest run of two or more zero words becomes ``::``; embedded IPv4 is dotted."""
    if len(packed) == 4:
        return b"%d.%d.%d.%d" % tuple(packed)
    words = [int.from_bytes(packed[i : i + 2], "big") for i in range(0, 16, 2)]
    best, length = -1, 1
    start = 0
    while start < 8:
        stop = start
        while stop < 8 and words[stop] == 0:
            stop += 1
        if stop - start > length:
            best, length = start, stop - start
        start = stop + 1
    if best == 0 and (length == 6 or (length == 5 and words[5] == 0xFFFF)):
        return (b"::ffff:" if length == 5 else b"::") + b"%d.%d.%d.%d" % tuple(packed[12:])
    if best < 0:
        return ":".join(f"{word:x}" for word in words).encode()
    head = ":".join(f"{word:x}" for word in words[:best])
    tail = ":".join(f"{word:x}" for word in words[best + length :])
    return f"{head}::{tail}".encode()
