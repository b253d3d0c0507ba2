"""Faults on demand: what goes wrong with which requests, and when during an answer.

A *request* is a websocket or an HTTP request. On Cartesia's websocket, which carries many calls, it is a context; but
a fault that turns clients away and names no call strikes the handshake.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, cast, get_args

from sandbox.carrier import livekit_faults
from sandbox.vendors.cartesia import faults as cartesia_faults
from sandbox.vendors.cartesia import stt_faults
from sandbox.vendors.deepgram import faults as deepgram_faults
from sandbox.vendors.openai import faults as openai_faults

Vendor = Literal["deepgram", "openai", "cartesia", "livekit"]
Fate = Literal["send", "garbage", "error_event"]

GENERAL: Final[dict[str, str]] = {
    "unreachable": "The connection drops before any answer, as if nobody listened there.",
    "refuse": "The vendor answers 503 instead of the request.",
    "unauthorized": "The vendor does not accept the key: 401.",
    "unpaid": "The account has no credit: 402.",
    "forbidden": "The vendor does not serve this region: 403.",
    "rate_limit": "The vendor answers 429, with `retry_after` seconds in the header when the fault has them.",
    "hang": "The vendor accepts the request and never answers.",
    "stall": "The answer begins and then stops; the connection stays open.",
    "cut": "The connection drops in the middle of the answer, without a close frame unless `close_code` is set.",
    "garbage": "One message of the answer is not JSON.",
    "late": "The answer begins `seconds_per_item` seconds later.",
    "slow": "Every message of the answer takes `seconds_per_item` seconds longer.",
    "error_event": "The vendor sends an error event instead of the rest of the answer.",
}
"""Faults of any vendor: the kind, and what happens."""

NAMED: Final[dict[Vendor, dict[str, str]]] = {
    "deepgram": deepgram_faults.NAMED,
    "openai": openai_faults.NAMED,
    "cartesia": {**cartesia_faults.NAMED, **stt_faults.NAMED},
    "livekit": livekit_faults.NAMED,
}
"""Content faults, which one vendor's stand-in produces: by vendor, the kind, and what happens."""

TURNED_AWAY: Final = frozenset({"unreachable", "refuse", "unauthorized", "unpaid", "forbidden", "rate_limit"})
"""Kinds for which the client gets no answer: the connection drops, or an HTTP error status comes."""

_SIDE_ROUTES = frozenset({"models", "structured", "voices"})
_MIDDLE_ITEMS = 2


class BadFault(ValueError):
    """The description of a fault is invalid; the message says why."""


class Stalled(Exception):
    """Stop sending, and keep the connection open."""


class CutOff(Exception):
    """Drop the connection now: a websocket with the close code if there is one, otherwise without a close frame."""

    def __init__(self, close_code: int | None, *, reset: bool = False) -> None:
        super().__init__("cut by a fault")
        self.close_code = close_code
        self.reset = reset
        """Whether to drop by RST, so that the peer loses what it has not read."""


@dataclass(slots=True)
class Fault:
    """One fault, and which requests it strikes.

    The first ``after`` requests are spared, the next ``times`` are struck (None: all, until cleared). A fault in the
    middle of an answer strikes once ``after_items`` messages and ``after_seconds`` seconds of it have passed. With
    ``close_code`` a cut websocket closes with that code instead of without a close frame.
    """

    vendor: Vendor
    kind: str
    """One of GENERAL, or of the vendor's NAMED."""
    times: int | None = 1
    after: int = 0
    after_items: int | None = None
    after_seconds: float = 0.0
    retry_after: float | None = None
    seconds_per_item: float = 0.3
    call_id: str | None = None
    route: str | None = None
    model: str | None = None
    phrase: str | None = None
    """Strike only requests to OpenAI whose body contains these words, or contexts of Cartesia that begin with a text
    that does."""
    close_code: int | None = None
    status: int = 400
    """The status of Cartesia's error without a context."""
    with_context: bool = True
    """Whether Cartesia's error event names its context."""
    in_progress: bool = False
    """Whether it also strikes, at once, answers that have already begun. A kind that turns clients away cuts those."""
    struck: int = field(default=0, init=False)
    """How many requests were struck so far."""

    @classmethod
    def from_json(cls, data: Any) -> "Fault":
        """Read a control message; raises :class:`BadFault`."""
        known = {each.name for each in fields(cls) if each.init}
        if not isinstance(data, dict) or not {"vendor", "kind"} <= set(data) <= known:
            raise BadFault(f"a fault is an object with vendor, kind and some of {sorted(known - {'vendor', 'kind'})}")
        if data["vendor"] not in get_args(Vendor):
            raise BadFault(f"vendor is one of {get_args(Vendor)}")
        kinds = (*GENERAL, *NAMED[cast(Vendor, data["vendor"])])
        if data["kind"] not in kinds:
            raise BadFault(f"kind is, for this vendor, one of {kinds}")
        counted = ("times", "after", "after_items", "after_seconds", "retry_after", "seconds_per_item", "close_code")
        for name in (*counted, "status"):
            value = data.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
                raise BadFault(f"{name} is a number and not negative")
        return cls(**data)

    def items_before(self) -> int:
        """How many messages pass before it strikes; by default a fault in the middle lets some through."""
        if self.after_items is not None:
            return self.after_items
        return _MIDDLE_ITEMS if self.kind in ("stall", "cut") and not self.after_seconds else 0


class FaultBook:
    """The active faults, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._answering: list[Trouble] = []
        """The answers in progress, oldest first."""

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self._faults.append(fault)
        if fault.in_progress:
            for trouble in [each for each in self._answering if each.concerns(fault)]:
                if fault in self._faults:
                    trouble.strike(self._strike(fault))

    def remove(self, fault: Fault) -> None:
        """End a fault, if it can still strike; answers in progress keep theirs."""
        if fault in self._faults:
            self._faults.remove(fault)

    @contextmanager
    def answering(self, trouble: "Trouble") -> Iterator[None]:
        """Count the answer as one in progress."""
        self._answering.append(trouble)
        try:
            yield
        finally:
            self._answering.remove(trouble)

    def clear(self) -> None:
        """Remove every fault; answers in progress keep theirs."""
        self._faults.clear()

    def listed(self) -> list[Fault]:
        """The faults that can still strike."""
        return list(self._faults)

    def take(
        self,
        vendor: Vendor,
        route: str,
        call_id: str | None,
        *,
        model: str | None = None,
        when: Callable[[Fault], bool] = lambda fault: True,
    ) -> "Trouble":
        """Find and count the first fault that applies to a request.

        On side routes (lists of models, work after a call) only lasting faults apply, and they are not counted.
        """
        asked = Asked(vendor, route, call_id, model)
        for fault in self._faults:
            if not when(fault) or not asked.concerns(fault):
                continue
            if route in _SIDE_ROUTES and fault.route is None:
                if fault.times is None and fault.kind in TURNED_AWAY | {"hang"}:
                    return Trouble(fault)
            elif fault.after > 0:
                fault.after -= 1
            else:
                return Trouble(self._strike(fault), asked, self)
        return Trouble(None, asked, self)

    def _strike(self, fault: Fault) -> Fault:
        fault.struck += 1
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, as far as a fault looks at it."""

    vendor: Vendor
    route: str
    call_id: str | None
    model: str | None

    def concerns(self, fault: Fault) -> bool:
        """Whether the fault is one of such requests."""
        wanted = ((fault.route, self.route), (fault.call_id, self.call_id), (fault.model, self.model))
        return fault.vendor == self.vendor and all(asked is None or asked == actual for asked, actual in wanted)


class Trouble:
    """How a fault affects one request; without a fault, not at all."""

    def __init__(self, fault: Fault | None, asked: Asked | None = None, book: FaultBook | None = None) -> None:
        self.fault = fault
        self._asked, self._book = asked, book
        self._began = asyncio.get_running_loop().time()
        self._items = 0
        self._spent = False
        self._cut: asyncio.Timeout | None = None
        self._is_late = False
        """Whether the fault came when the answer had already begun."""

    def concerns(self, fault: Fault) -> bool:
        """Whether the fault is one of such requests."""
        return self._asked is not None and self._asked.concerns(fault)

    def strike(self, fault: Fault) -> None:
        """Have the fault strike this answer, which is in progress, from now on."""
        self.fault, self._is_late = fault, True
        self._began, self._items, self._spent = asyncio.get_running_loop().time(), 0, False
        if self._cut is not None and (fault.kind == "cut" or fault.kind in TURNED_AWAY):
            self._cut.reschedule(self._began + fault.after_seconds)

    @property
    def turned_away(self) -> str | None:
        """The kind, if the client gets an HTTP error status instead of an answer."""
        return self.fault.kind if self.fault is not None and self.fault.kind in TURNED_AWAY else None

    @property
    def named(self) -> str | None:
        """The kind of a content fault, which the vendor's stand-in produces; None for the general kinds."""
        return self.fault.kind if self.fault is not None and self.fault.kind not in GENERAL else None

    @property
    def hangs(self) -> bool:
        """Whether the request is accepted and never answered."""
        return self.fault is not None and self.fault.kind == "hang"

    @property
    def breaks_off(self) -> bool:
        """Whether an answer that has begun will not end normally."""
        return self.fault is not None and self.fault.kind in ("stall", "cut", "garbage", "error_event")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an error status."""
        wait = None if self.fault is None else self.fault.retry_after
        return {} if wait is None else {"Retry-After": f"{wait:g}"}

    async def fate(self, *, beat: bool = False) -> Fate:
        """What happens to the next message. Raises :class:`Stalled` or :class:`CutOff`; a slow fault waits first.

        A ``beat`` is a message without news: it is not counted, and only a stall or a cut strikes it.
        """
        fault = self.fault
        if beat and (fault is None or fault.kind not in ("stall", "hang", "cut") or not self._due(fault)):
            return "send"
        if fault is None or self._spent or not self._due(fault):
            self._items += 1
            return "send"
        self._items += 1
        match fault.kind:
            case "stall" | "hang":
                raise Stalled
            case "cut":
                raise CutOff(fault.close_code)
            case "late":
                self._spent = True
                await asyncio.sleep(fault.seconds_per_item)
            case "slow":
                await asyncio.sleep(fault.seconds_per_item)
            case "garbage" | "error_event":
                self._spent = True
                return cast(Fate, fault.kind)
            case _:
                pass  # an error status, or content that the vendor's stand-in produces
        return "send"

    @asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        """Drop the connection when a timed cut is due, even if nothing is being sent; raises :class:`CutOff`."""
        fault = self.fault
        is_timed = fault is not None and fault.kind == "cut" and fault.after_seconds and not fault.after_items
        self._cut = asyncio.timeout_at(self._began + fault.after_seconds if fault is not None and is_timed else None)
        try:
            with nullcontext() if self._book is None else self._book.answering(self):
                async with self._cut:
                    yield
        except TimeoutError:
            if self._cut.expired():
                raise CutOff(None if self.fault is None else self.fault.close_code) from None
            raise

    def _due(self, fault: Fault) -> bool:
        passed = asyncio.get_running_loop().time() - self._began
        before = (fault.after_items or 0) if self._is_late else fault.items_before()
        return self._items >= before and passed >= fault.after_seconds
