"""State that the stand-ins share: the script of every call, the messages sent, and the requests received."""

import asyncio
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from itertools import count
from random import Random
from typing import Any, TypeVar

from sandbox.vendors.faults import FaultBook, Vendor
from sandbox.vendors.known_sounds import SoundLibrary
from sandbox.vendors.profiles import PROFILES

_KEPT_TIMINGS = 2000
_KEPT_REQUESTS = 200
_LEADING_CALL_ID = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the vendors wait, in seconds, and how much the sandbox remembers."""

    nova_idle_seconds: float = 10.0
    """Nova closes a stream that brings neither audio nor a sign of life for so long."""
    cartesia_idle_seconds: float = 300.0
    """Cartesia closes a socket that brings nothing for so long."""
    context_seconds: float = 1.0
    """A context of Cartesia expires so long after its last sound."""
    kept_calls: int = 1000
    """How many calls are kept; the least recently used is dropped first."""


LIMITS = Limits()


class BadScript(ValueError):
    """A line of a script is invalid; the message says why."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the recogniser hears the next time there is speech. Without text it is a noise."""

    text: str
    duration: float | None = None
    """Seconds of its sound, pauses included: silence well before its end is a pause. None: any silence ends it."""
    language: str | None = None
    """Language code; None: guessed from the letters."""
    confidence: float = 0.98
    eager: bool | None = None
    """Whether an eager end of turn comes before the end, if the client asked for them; None: as the model judges."""
    pauses_at: tuple[int, ...] = ()
    """How many words come before each pause inside the utterance, regardless of its sound."""
    sure_after: tuple[float, ...] = ()
    """Seconds of silence until Flux is 70 % sure of an end: for each pause, then for the end. Empty: as the profile
    says, and 1 s for a pause."""


@dataclass(frozen=True, slots=True)
class ScriptedToolCall:
    """A tool call of the model; ``arguments`` is a JSON object or its text."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answers next."""

    text: str = ""
    tool_calls: tuple[ScriptedToolCall, ...] = ()
    delay: float | None = None
    """Seconds before the first token, instead of the profile's."""
    error: dict[str, Any] | None = None
    """An HTTP error instead of an answer: ``{"status": 500, "code"?, "type"?, "message"?}``."""


class CallSheet:
    """One call's script, and what the vendors sent during the call."""

    def __init__(self) -> None:
        self.utterances: deque[Utterance] = deque()
        self.replies: deque[Reply] = deque()
        self.timings: deque[dict[str, Any]] = deque(maxlen=_KEPT_TIMINGS)
        self.scripted = False
        """Whether the caller ever had a script; speech after its end counts as noise."""
        self._answered: tuple[str, str, Reply] | None = None
        self._is_given = False
        """Whether that answer was sent to its end."""

    def expect(self, *utterances: Utterance) -> None:
        """Add to what the caller will say."""
        self.scripted = True
        self.utterances.extend(utterances)

    def answer(self, *replies: Reply) -> None:
        """Add to what the model will answer."""
        self.replies.extend(replies)

    def next_reply(self, before: str, heard: str, *, keep: bool) -> Reply | None:
        """Take the scripted answer to ``heard``; ``before`` identifies the conversation so far. None without a script.

        A client that asks eagerly, before the caller has finished, asks again with the rest: the same conversation with
        a longer last line gets the same answer. So does one that asks a second time before it has the whole answer.
        ``keep`` leaves the answer in the script, because it will break off.
        """
        if self._answered is not None:
            earlier_before, earlier_heard, reply = self._answered
            is_anew = heard.startswith(earlier_heard) if heard != earlier_heard else not self._is_given
            if before == earlier_before and is_anew:
                self._answered = (before, heard, reply)
                return reply
        if not self.replies or keep:
            return self.replies[0] if self.replies else None
        reply = self.replies.popleft()
        self._answered, self._is_given = None if reply.error else (before, heard, reply), False
        return reply

    def reply_given(self) -> None:
        """The answer was sent to its end: who asks the same once more gets the next."""
        self._is_given = True


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request as it was received."""

    vendor: Vendor
    route: str
    call_id: str | None
    at: float
    """Loop seconds."""
    body: Any
    """The JSON body, or the query."""


class Stage:
    """The shared state of one sandbox; everything in it is bounded."""

    def __init__(
        self, *, profile: str = "typical", seed: int = 0, limits: Limits = LIMITS, listens: bool = False
    ) -> None:
        self.profile = PROFILES[profile]
        self.sounds = SoundLibrary() if listens else None
        """The known sounds by which recognisers recognise speech; None: they go by the script."""
        self.faults = FaultBook()
        self.counts: Counter[tuple[Vendor, str]] = Counter()
        self.requests: deque[KeptRequest] = deque(maxlen=_KEPT_REQUESTS)
        self._calls: OrderedDict[str, CallSheet] = OrderedDict()
        self._draws: OrderedDict[str, int] = OrderedDict()
        self._numbers: OrderedDict[str, int] = OrderedDict()
        """The calls' numbers in the order of their first request or script."""
        self._numbered = count(1)
        self._seed = seed
        self.limits = limits

    def call(self, call_id: str) -> CallSheet:
        """The call's sheet; created if there is none."""
        self._number(call_id)
        return _touch(self._calls, call_id, CallSheet, self.limits.kept_calls)

    def script(self, call_id: str | None) -> deque[Utterance] | None:
        """What the caller will still say; None when nothing was ever scripted."""
        sheet = None if call_id is None else self._calls.get(call_id)
        return sheet.utterances if sheet is not None and sheet.scripted else None

    def next_reply(self, call_id: str | None, before: str, heard: str, *, keep: bool) -> Reply | None:
        """The call's next scripted answer, if any; see :meth:`CallSheet.next_reply`."""
        sheet = None if call_id is None else self._calls.get(call_id)
        return None if sheet is None else sheet.next_reply(before, heard, keep=keep)

    def reply_given(self, call_id: str | None) -> None:
        """The call's answer was sent to its end."""
        if call_id is not None:
            self.call(call_id).reply_given()

    def note(self, vendor: Vendor, event: str, call_id: str | None, **details: Any) -> None:
        """Record that something was sent or received in a call, with the time."""
        if call_id is not None:
            at = asyncio.get_running_loop().time()
            self.call(call_id).timings.append({"vendor": vendor, "event": event, "at": at, **details})

    def keep_request(self, vendor: Vendor, route: str, call_id: str | None, body: Any) -> None:
        """Count a request and keep its body."""
        self.counts[vendor, route] += 1
        at = asyncio.get_running_loop().time()
        self.requests.append(KeptRequest(vendor, route, call_id, at, body))

    def chance(self, vendor: Vendor, call_id: str | None) -> Random:
        """A generator for the call's next request to the vendor: same seed, same order of requests, same delays.

        A call counts by its number, because its id is another one each time.
        """
        key = f"{vendor}/{None if call_id is None else self._number(call_id)}"
        self._draws[key] = _touch(self._draws, key, int, self.limits.kept_calls) + 1
        return Random(f"{self._seed}/{key}/{self._draws[key]}")  # noqa: S311 - delays, no secrets

    def _number(self, call_id: str) -> int:
        return _touch(self._numbers, call_id, lambda: next(self._numbered), self.limits.kept_calls)


_Value = TypeVar("_Value")


def _touch(kept: "OrderedDict[str, _Value]", key: str, make: Callable[[], _Value], most: int) -> _Value:
    if key not in kept:
        kept[key] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def leading_call_id(context_id: str) -> str:
    """The call id of a Cartesia context, whose id is ``<call_id>:<anything>``."""
    found = _LEADING_CALL_ID.match(context_id)
    return found.group() if found else context_id


def utterances_from_json(data: Any) -> list[Utterance]:
    """Read one utterance or a list; raises :class:`BadScript`."""
    return [_read(Utterance, each, {"text": str}) for each in _listed(data)]


def replies_from_json(data: Any) -> list[Reply]:
    """Read one reply or a list; raises :class:`BadScript`."""
    replies = []
    for each in _listed(data):
        tools = each.get("tool_calls", ()) if isinstance(each, dict) else ()
        if not isinstance(tools, list | tuple):
            raise BadScript("tool_calls is a list")
        calls = tuple(_read(ScriptedToolCall, tool, {"name": str}) for tool in tools)
        replies.append(_read(Reply, {**each, "tool_calls": calls} if isinstance(each, dict) else each, {}))
    return replies


def _listed(data: Any) -> Iterable[Any]:
    return data if isinstance(data, list) else [data]


def _read(kind: type[_Value], data: Any, needed: dict[str, type]) -> _Value:
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # callers pass dataclasses
    if not isinstance(data, dict) or not set(data) <= known:
        raise BadScript(f"{kind.__name__} is an object with some of {sorted(known)}")
    for name, wanted in needed.items():
        if not isinstance(data.get(name), wanted):
            raise BadScript(f"{kind.__name__} needs {name}")
    return kind(**data)
