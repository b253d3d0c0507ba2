"""How often the service looks and how long it waits, in seconds, where no operator needs a setting."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """The defaults are those of production."""

    heartbeat_seconds: float = 15.0
    """How long a stream of events may be silent. Proxies close one that is silent for a minute, some sooner."""
    room_look_seconds: float = 3.0
    """How often the rooms at LiveKit are looked into."""
    room_left_open_seconds: float = 10.0
    """How long after the end of its call a room is left to the process that should end it. Then any process ends it."""
    transfer_ring_seconds: int = 20
    """How long the human's telephone rings, whether the caller's network dials it or we do."""


STANDARD_TIMES = ServiceTimes()
