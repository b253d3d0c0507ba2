"""The cells of the matrix: what breaks, how, when in the call, on which attempts, after which start."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final, Literal

from sandbox.vendors.faults import TURNED_AWAY, Fault, Vendor

Moment = Literal["before", "greeting", "listening", "thinking", "speaking", "tool", "ending"]
Start = Literal["cold", "warm"]
Attempts = Literal["one", "all"]

MOMENTS: Final[tuple[Moment, ...]] = ("before", "greeting", "listening", "thinking", "speaking", "tool", "ending")
STARTS: Final[tuple[Start, ...]] = ("cold", "warm")
ATTEMPTS: Final[tuple[Attempts, ...]] = ("one", "all")


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a vendor, with the service that uses it as its first choice; or a part of the house."""

    vendor: Vendor | None
    """None: a part that no vendor stands for."""
    route: str | None
    language: str = "ru"
    settings: Mapping[str, Any] = field(default_factory=dict)
    down: tuple[tuple[Vendor, str | None], ...] = ()
    """Vendor and route of what is down all the time, so that this one serves."""
    is_shared: bool = False
    """Whether calls share its connection. What cuts that is seen by each of them, and named in each one's record."""
    is_vendors_first: bool = False
    """Whether the failure of a whole vendor is tried with it."""
    is_in_real_time: bool = False
    """Whether other programs set the pace: such cells are held one after another, with a telephone as the caller."""
    takes_the_line: bool = False
    """Whether nothing can reach the caller without it."""


INTERFACES: Final[dict[str, Interface]] = {
    "flux": Interface("deepgram", "v2/listen", is_vendors_first=True),
    "nova": Interface("deepgram", "v1/listen", settings={"stt_model": "nova-3"}),
    "whisper": Interface("cartesia", "stt/websocket", down=(("deepgram", "v2/listen"), ("deepgram", "v1/listen"))),
    "responses": Interface("openai", "responses", is_vendors_first=True),
    "chat": Interface("openai", "chat/completions", settings={"openai_api": "chat"}),
    "cartesia-socket": Interface("cartesia", "tts/websocket", is_shared=True, is_vendors_first=True),
    "cartesia-http": Interface("cartesia", "tts/bytes", down=(("cartesia", "tts/websocket"),)),
    "aura": Interface("deepgram", "v1/speak POST", language="en", down=(("cartesia", None),)),
    "livekit-api": Interface("livekit", None, is_vendors_first=True, is_in_real_time=True),
    "room": Interface(None, None, is_vendors_first=True, is_in_real_time=True, takes_the_line=True),
    "database": Interface(None, None, is_vendors_first=True, is_in_real_time=True),
    "disk": Interface(None, None, is_vendors_first=True, is_in_real_time=True),
}
"""By name."""


_LIVEKITS: Final = {"cut": "half_message", "slow": "drip"}
"""What the faults of the vendors' streams are for the answers of LiveKit's API, each of one piece."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How it breaks."""

    kind: str
    """Of the sandbox's faults."""
    more: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    """How long it lasts; None: to the end of the call."""
    is_whole_vendor: bool = False
    is_of_account: bool = False
    """Whether a vendor that does it to one request does it to all with the same key."""


KINDS: Final[dict[str, Kind]] = {
    "refuses": Kind("unreachable"),
    "401": Kind("unauthorized", is_of_account=True),
    "402": Kind("unpaid", is_of_account=True),
    "403": Kind("forbidden", is_of_account=True),
    "429-short": Kind("rate_limit", {"retry_after": 0.3}),
    "429-long": Kind("rate_limit", {"retry_after": 20.0}, is_of_account=True),
    "5xx": Kind("refuse"),
    "hangs": Kind("hang"),
    "stalls": Kind("stall"),
    "drips": Kind("slow", {"seconds_per_item": 0.5}),
    "cuts": Kind("cut"),
    "garbage": Kind("garbage"),
    "late": Kind("late", {"seconds_per_item": 4.0}),
    "back-after-5s": Kind("hang", seconds=5.0, is_whole_vendor=True),
    "down": Kind("unreachable", is_whole_vendor=True),
}
"""By name."""


_NO_STATUS: Final = "it has no HTTP statuses"
_STATUSES: Final = ("401", "402", "403", "429-short", "429-long", "5xx")
_NOT_A_REQUEST: Final = "it fails for a time, not for a request"

LEFT_OUT: Final[dict[str, dict[str, str]]] = {
    "livekit-api": {"stalls": "an answer is one piece; it drips instead"},
    "room": {
        **dict.fromkeys(_STATUSES, _NO_STATUS),
        "one": _NOT_A_REQUEST,
        "refuses": "as down",
        "stalls": "as hangs",
        "drips": "LiveKit drops late packets itself",
        "late": "LiveKit drops late packets itself",
        "garbage": "its packets are encrypted, and what does not decrypt is dropped",
    },
    "database": {
        **dict.fromkeys(_STATUSES, _NO_STATUS),
        "one": _NOT_A_REQUEST,
        "refuses": "a stranger's lock is how SQLite refuses: hangs",
        "stalls": "a transaction has no pieces",
        "drips": "as late on the disk, where the database is, too",
        "late": "as late on the disk, where the database is, too",
        "cuts": "there is no connection to another program",
        "garbage": "a damaged file stops the start",
        "down": "as hangs",
    },
    "disk": {
        **dict.fromkeys(_STATUSES, _NO_STATUS),
        "one": _NOT_A_REQUEST,
        "hangs": "as late: two seconds an access are as good as none",
        "stalls": "as late",
        "drips": "as late",
        "cuts": "there is no connection",
        "garbage": "no program can tell",
        "down": "as refuses: the disk is full to the end",
    },
}
"""Ways and attempts that make no sense for a part, and why."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One call in which something breaks. Its name is its fields in this order."""

    interface: str
    kind: str
    moment: Moment
    attempts: Attempts
    start: Start

    def __str__(self) -> str:
        return f"{self.interface} {self.kind} {self.moment} {self.attempts} {self.start}"

    @property
    def place(self) -> Interface:
        """What breaks."""
        return INTERFACES[self.interface]

    @property
    def way(self) -> Kind:
        """How it breaks."""
        return KINDS[self.kind]

    @property
    def is_from_the_start(self) -> bool:
        """Whether it is broken before the service starts, for every call and for all that a start does."""
        return (self.moment, self.attempts, self.start) == ("before", "all", "cold")

    @property
    def strikes_all(self) -> bool:
        """Whether the other call of the cell is struck, too."""
        if self.place.is_in_real_time:
            return False  # neither a websocket needs LiveKit, nor may any call notice the disk or the database
        return self.is_from_the_start or self.way.is_whole_vendor or self.way.is_of_account

    @property
    def cuts_all(self) -> bool:
        """Whether it cuts a connection that carries the other call, too."""
        return self.place.is_shared and (self.way.kind == "cut" or self.way.kind in TURNED_AWAY)

    def fault(self, call_id: str) -> Fault:
        """The order for the sandbox; only for a vendor's interface."""
        if self.place.vendor is None:
            raise ValueError(f"{self.interface} is no vendor's")
        kind = self.way.kind
        return Fault(
            self.place.vendor,
            _LIVEKITS.get(kind, kind) if self.place.vendor == "livekit" else kind,
            times=1 if self.attempts == "one" else None,
            call_id=None if self.strikes_all or self.place.is_in_real_time else call_id,
            route=None if self.way.is_whole_vendor else self.place.route,
            in_progress=self.moment != "before",
            **self.way.more,
        )

    @property
    def is_in_the_table(self) -> bool:
        """Whether it makes sense. A whole vendor does not fail for one attempt, and once is enough for each vendor."""
        if {self.kind, self.attempts} & LEFT_OUT.get(self.interface, {}).keys():
            return False
        return not self.way.is_whole_vendor or (self.attempts == "all" and self.place.is_vendors_first)


def all_cells() -> list[Cell]:
    """The whole matrix."""
    cells = (Cell(*names) for names in product(INTERFACES, KINDS, MOMENTS, ATTEMPTS, STARTS))
    return [cell for cell in cells if cell.is_in_the_table]


def chosen(cells: Iterable[Cell], only: Sequence[str] = (), sample: int | None = None, seed: int = 1) -> list[Cell]:
    """The cells whose names have all words of one of ``only``; of those, ``sample`` drawn by the seed."""
    found = [cell for cell in cells if not only or any(set(each.split()) <= set(str(cell).split()) for each in only)]
    if sample is None or sample >= len(found):
        return found
    return random.Random(seed).sample(found, sample)  # noqa: S311 - draws cells, keeps no secret
