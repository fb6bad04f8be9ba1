"""Addresses of a zone's own network interfaces, and what is guessed from them (ifinfo.cpp)."""

from __future__ import annotations

from typing import Final, final

from ..scap.tables import SCAP_FD_IPV4_SOCK, SCAP_FD_IPV6_SOCK
from .fd import Fd
from .sockinfo import ZERO, ZERO4, ZERO16, port_at, view, write

LOOPBACK4: Final = b"\x7f\0\0\1"
LOOPBACK6: Final = bytes(15) + b"\1"
MAX_ADDRESSES: Final = 1_024  # the daemon's control message names them; a zone has a handful


@final
class Interfaces:
    """``addresses``: all of them. ``v4``: (address, netmask) as numbers in network order, in the order in which they were told."""

    __slots__ = ("addresses", "v4", "v6")

    def __init__(self) -> None:
        self.addresses: frozenset[bytes] = frozenset()
        self.v4: list[tuple[int, int]] = []
        self.v6: list[bytes] = []

    def set_addresses(self, addresses: list[bytes]) -> None:
        """Without netmasks: loopback's is known, others reach themselves only."""
        self.set_networks([(address, 8 if address == LOOPBACK4 else 8 * len(address)) for address in addresses])

    def set_networks(self, networks: list[tuple[bytes, int]]) -> None:
        """(address of 4 or 16 bytes, length of its network prefix in bits); others are left out."""
        v4: list[tuple[int, int]] = []
        v6: list[bytes] = []
        for address, prefix in networks[:MAX_ADDRESSES]:
            if len(address) == 4:
                bits = min(max(prefix, 0), 32)
                v4.append((int.from_bytes(address, "big"), 0xFFFF_FFFF & ~((1 << (32 - bits)) - 1)))
            elif len(address) == 16:
                v6.append(address)
        self.v4 = v4
        self.v6 = v6
        self.addresses = frozenset([address.to_bytes(4, "big") for address, _ in v4] + v6)

    def guess4(self, address: bytes) -> bytes:
        """The own address that is likely to talk to ``address``: itself, one of its network, the first that is not loopback,
        else 0.0.0.0."""
        wanted = int.from_bytes(address, "big")
        for own, _ in self.v4:
            if own == wanted:
                return address
        for own, mask in self.v4:
            if own & mask == wanted & mask:
                return own.to_bytes(4, "big")
        loopback = int.from_bytes(LOOPBACK4, "big")
        for own, _ in self.v4:
            if own != loopback:
                return own.to_bytes(4, "big")
        return ZERO4

    def guess6(self, address: bytes) -> bytes:
        """The same for IPv6, where libsinsp takes the first 64 bits for the network."""
        for own in self.v6:
            if own == address:
                return own
        for own in self.v6:
            if own[:8] == address[:8]:
                return own
        for own in self.v6:
            if own != LOOPBACK6:
                return own
        return ZERO16

    def complete(self, fd: Fd) -> None:
        """Fill in the own end of a socket that was told as all zero (update_fd); ports equal on both ends forbid the same address."""
        memory = fd.memory if fd.memory else ZERO
        if fd.kind == SCAP_FD_IPV4_SOCK:
            size = 4
            sip = memory[0:4]
            dip = memory[4:8]
            same_port = port_at(memory, 8) == port_at(memory, 10)
        elif fd.kind == SCAP_FD_IPV6_SOCK:
            size = 16
            sip = memory[0:16]
            dip = memory[16:32]
            same_port = port_at(memory, 32) == port_at(memory, 34)
        else:
            return
        zero = ZERO[:size]
        if sip != zero and dip != zero:
            return
        known = dip if sip == zero else sip
        guess = self.guess4(known) if size == 4 else self.guess6(known)
        if guess == known and same_port:
            return
        write(fd, 0 if sip == zero else size, guess)
        view(fd)
