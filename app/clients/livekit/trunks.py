"""What LiveKit SIP is told of the carrier: trunks and the rule that gives every caller a room. Plain values, no I/O.

https://docs.livekit.io/sip/: an inbound trunk says whose calls are taken, a dispatch rule which room they go to, an
outbound trunk whom we call through.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

RuleKind = Literal["individual", "fixed", "callee", "direct", "none"]
"""``fixed`` is individual without the random end of the room's name: a number's second call ends its first."""


_SEPARATOR = "_"
"""LiveKit puts it between a dispatch rule's prefix and the rest of the room's name."""


def is_our_room(name: str, room_prefix: str) -> bool:
    """Whether a room holds a telephone call for the agent: its name is the prefix, the separator, and more.

    Only such rooms are looked into, answered in and ended: ``call_+79990000001_x`` with the prefix ``call``, not
    ``callcenter-7_x``, which is another application's.
    """
    start = f"{room_prefix}{_SEPARATOR}"
    return name.startswith(start) and name != start


def outbound_room_name(room_prefix: str, call_id: str) -> str:
    """Of the room of a call that we place."""
    return _SEPARATOR.join((room_prefix, "out", call_id))


def inbound_trunk_name(room_prefix: str) -> str:
    """Of the trunk that calls come in by, and of the rule behind it: what is ours at LiveKit is found by its name."""
    return f"{room_prefix}-in"


def outbound_trunk_name(room_prefix: str) -> str:
    """Of the trunk that we call through."""
    return f"{room_prefix}-out"


@dataclass(frozen=True, slots=True)
class InboundTrunk:
    """Whose calls are taken. Numbers are those called."""

    name: str
    numbers: tuple[str, ...]
    allowed_addresses: tuple[str, ...]
    asks_password: bool = False
    trunk_id: str = field(default="", compare=False)
    """LiveKit's, once it knows the trunk."""

    @property
    def is_open_to_the_world(self) -> bool:
        """Whether anybody on the internet may call."""
        return not self.asks_password and allows_everybody(self.allowed_addresses)

    def takes(self, number: str) -> bool:
        """Whether a call to that number may come in by this trunk; one without numbers takes all."""
        return not self.numbers or bare_number(number) in map(bare_number, self.numbers)


@dataclass(frozen=True, slots=True)
class OutboundTrunk:
    """Whom we call through, and as whom."""

    name: str
    address: str
    numbers: tuple[str, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    from_host: str = ""
    """Host in our own address of a call; carriers look for their own there."""
    trunk_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class DispatchRule:
    """Which room a call of these trunks goes to."""

    name: str
    trunk_ids: tuple[str, ...]
    """None: every trunk's calls."""
    kind: RuleKind
    room_prefix: str
    """Of a ``direct`` rule, the name of its one room."""
    needs_pin: bool = False
    called_numbers: tuple[str, ...] = ()
    """None: all."""
    room_empty_seconds: int = 0
    """How long a room waits for its first participant; 0 is the server's default, 300."""
    room_departure_seconds: int = 0
    """How long a room waits after the last one left; 0 is the server's default, 20."""
    rule_id: str = field(default="", compare=False)

    def catches(self, number: str, trunk: InboundTrunk) -> bool:
        """Whether it is asked about a call to that number that came in by that trunk."""
        of_trunk = not self.trunk_ids or trunk.trunk_id in self.trunk_ids
        numbers = {bare_number(each) for each in self.called_numbers}
        return of_trunk and (not numbers or bare_number(number) in numbers)


@dataclass(frozen=True, slots=True)
class Telephony:
    """All that a LiveKit server has been told."""

    inbound: tuple[InboundTrunk, ...] = ()
    rules: tuple[DispatchRule, ...] = ()
    outbound: tuple[OutboundTrunk, ...] = ()


def allows_everybody(addresses: tuple[str, ...]) -> bool:
    """Whether the addresses and networks are none, which LiveKit takes for all, or together the whole internet."""
    networks = [network for each in addresses if (network := _network(each)) is not None and network.version == 4]
    return not addresses or any(not network.prefixlen for network in ipaddress.collapse_addresses(networks))


def bare_number(number: str) -> str:
    """As LiveKit compares numbers: +7... is 7..."""
    return number.removeprefix("+")


def _network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(address, strict=False)
    except ValueError:
        return None
