"""LiveKit SIP's configuration as plain values: trunks, and the rule that gives every caller a room. No I/O.

https://docs.livekit.io/sip/: an inbound trunk says which calls are accepted, a dispatch rule which room they go to, an
outbound trunk which carrier we call through.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

RuleKind = Literal["individual", "fixed", "callee", "direct", "none"]
"""``fixed`` is individual without the random suffix of the room's name: a second call from a number ends its first."""


_SEPARATOR = "_"
"""What LiveKit puts between a dispatch rule's prefix and the rest of the room's name."""


def is_our_room(name: str, room_prefix: str) -> bool:
    """Whether a room is for our telephone calls: its name is the prefix, the separator, and more.

    The service inspects, joins and ends only such rooms: with the prefix ``call`` it owns ``call_+79990000001_x``, but
    not ``callcenter-7_x``, which belongs to another application.
    """
    start = f"{room_prefix}{_SEPARATOR}"
    return name.startswith(start) and name != start


def outbound_room_name(room_prefix: str, call_id: str) -> str:
    """The name of an outbound call's room."""
    return _SEPARATOR.join((room_prefix, "out", call_id))


def inbound_trunk_name(room_prefix: str) -> str:
    """The name of our inbound trunk and of its dispatch rule; by it we find our objects at LiveKit."""
    return f"{room_prefix}-in"


def outbound_trunk_name(room_prefix: str) -> str:
    """The name of our outbound trunk."""
    return f"{room_prefix}-out"


@dataclass(frozen=True, slots=True)
class InboundTrunk:
    """Which calls are accepted. Numbers are the called ones."""

    name: str
    numbers: tuple[str, ...]
    allowed_addresses: tuple[str, ...]
    asks_password: bool = False
    trunk_id: str = field(default="", compare=False)
    """LiveKit's id of the trunk; empty before it is created."""

    @property
    def is_open_to_the_world(self) -> bool:
        """Whether anyone on the internet may call."""
        return not self.asks_password and allows_everybody(self.allowed_addresses)

    def takes(self, number: str) -> bool:
        """Whether the trunk accepts calls to this number; a trunk without numbers accepts all."""
        return not self.numbers or bare_number(number) in map(bare_number, self.numbers)


@dataclass(frozen=True, slots=True)
class OutboundTrunk:
    """The carrier we call through, and our numbers."""

    name: str
    address: str
    numbers: tuple[str, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    from_host: str = ""
    """The host in the From address of our calls; carriers expect their own there."""
    trunk_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class DispatchRule:
    """Which room the calls of these trunks go to."""

    name: str
    trunk_ids: tuple[str, ...]
    """Empty: the calls of every trunk."""
    kind: RuleKind
    room_prefix: str
    """For a ``direct`` rule, the name of its only room."""
    needs_pin: bool = False
    called_numbers: tuple[str, ...] = ()
    """Empty: all numbers."""
    room_empty_seconds: int = 0
    """Seconds a room waits for its first participant; 0: the server's default, 300."""
    room_departure_seconds: int = 0
    """Seconds a room stays after the last participant left; 0: the server's default, 20."""
    rule_id: str = field(default="", compare=False)

    def catches(self, number: str, trunk: InboundTrunk) -> bool:
        """Whether the rule applies to a call to this number that came in by this trunk."""
        of_trunk = not self.trunk_ids or trunk.trunk_id in self.trunk_ids
        numbers = {bare_number(each) for each in self.called_numbers}
        return of_trunk and (not numbers or bare_number(number) in numbers)


@dataclass(frozen=True, slots=True)
class SipObjects:
    """The trunks and dispatch rules of a LiveKit server."""

    inbound: tuple[InboundTrunk, ...] = ()
    rules: tuple[DispatchRule, ...] = ()
    outbound: tuple[OutboundTrunk, ...] = ()


def allows_everybody(addresses: tuple[str, ...]) -> bool:
    """Whether the list is empty, which LiveKit reads as everyone, or covers the whole internet."""
    networks = [network for each in addresses if (network := _network(each)) is not None and network.version == 4]
    return not addresses or any(not network.prefixlen for network in ipaddress.collapse_addresses(networks))


def bare_number(number: str) -> str:
    """The number in the form in which LiveKit compares numbers: +7... equals 7..."""
    return number.removeprefix("+")


def _network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(address, strict=False)
    except ValueError:
        return None
