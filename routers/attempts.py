"""Counts wrong keys by client address. No I/O."""

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

_ADDRESS_LETTERS = 64
"""Longer addresses are cut: a proxy may pass on any text."""


@dataclass(slots=True)
class _Failures:
    since: float
    count: int


class FailedAttempts:
    """Counts failures by address: ``budget`` of them within ``seconds`` of the first. Right keys never count.

    IPv6 addresses count by their /64, the smallest block that one customer gets. With more than ``addresses``, the one
    whose count began first is forgotten. Each process counts for itself.
    """

    def __init__(self, *, budget: int = 10, seconds: float = 60.0, addresses: int = 1000) -> None:
        self._budget = budget
        self._seconds = seconds
        self._addresses = addresses
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def fail(self, address: str, now: float) -> int:
        """Count one failure. Returns for how many seconds the address is blocked, 0 while its budget lasts.

        ``now`` is in seconds on any monotonic clock.
        """
        address = _counted_as(address)
        failures = self._failures.get(address)
        if failures is None or now - failures.since >= self._seconds:
            self._failures.pop(address, None)
            failures = self._failures[address] = _Failures(now, 0)
            if len(self._failures) > self._addresses:
                self._failures.popitem(last=False)
        failures.count += 1
        return math.ceil(failures.since + self._seconds - now) if failures.count > self._budget else 0


def _counted_as(address: str) -> str:
    """The key to count by: an IPv6 address by its /64, an IPv4-mapped one as its IPv4 address."""
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_ADDRESS_LETTERS]
    if isinstance(read, ipaddress.IPv4Address):
        return str(read)
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(ipaddress.IPv6Network((read, 64), strict=False))
