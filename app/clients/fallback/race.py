"""A race for the first answer: asks the links of a chain in turn, the next as soon as one fails or is late.

    first choice   |---- late ----|....................x cancelled
    second                        |---- late ----|==== answers, and is heard to its end
    third                                        |..x cancelled

The race does not give up a late link before another one answers: a slow answer is better than none. When every link
has failed, those that only wanted a short wait (429 with a small ``Retry-After``) are asked again after it, for three
seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from app.clients.fallback.chain import Chain, Link
from app.clients.limiter import LIVE_WAIT_SECONDS
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
    Throttled,
)
from app.ports.priority import Priority, context_at, current_priority

log = structlog.get_logger(__name__)

_LIMITED_SECONDS = 3.0
"""So long links that want short waits are asked again. An answer after that would come too late for its turn."""

ClientT = TypeVar("ClientT")
EventT = TypeVar("EventT")


class FallbackFailed(ProviderError):
    """A link's failure, as the user of the chain sees it: ``retryable`` says whether another link is left.

    ``provider`` and ``code`` are those of the link's own failure.
    """

    def __init__(self, error: ProviderError, *, retryable: bool) -> None:
        super().__init__(error.provider, str(error).removeprefix(f"{error.provider}: "), request_id=error.request_id)
        self.code = error.code
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class LinkFailed:
    """An event of a race: a link has failed or is late, and the next one was asked."""

    error: ProviderError
    is_late: bool = False
    """Whether it has not failed: it may still be the first to answer, or was never asked."""


@dataclass(slots=True, eq=False)
class _Contender(Generic[ClientT, EventT]):
    link: Link[ClientT]
    events: AsyncGenerator[EventT, None]
    began_at: float
    first: asyncio.Task[list[EventT]]
    """Its events, up to the one that counts as an answer."""
    is_late: bool = False


@dataclass(slots=True, eq=False)
class Race(Generic[ClientT, EventT]):
    """One request to a chain. Iterate :meth:`events` once.

    Task ledger: ``{name}:{link}`` waits for the first event of a link. It ends with that event. When another link was
    first, or the iteration ends, the race cancels it and waits for it.
    """

    chain: Chain[ClientT]
    ask: Callable[[Link[ClientT]], AsyncGenerator[EventT, None]]
    """The answer of a link; raises ProviderError."""
    patience: Callable[[int], float]
    """Seconds without an answer after which the link with this index, from 0, is late."""
    name: str
    answers: Callable[[EventT], bool]
    """Whether the event gives the waiting caller something, and so counts as an answer."""
    may_serve: Callable[[Link[ClientT]], bool] = lambda _link: True
    """Whether to ask a link at all."""
    is_final: Callable[[Link[ClientT], ProviderError], bool] = lambda _link, _error: False
    """Whether a failure is itself the answer: it is raised as it is, and no other link is asked."""
    winner: Link[ClientT] | None = None
    """The link that answers; None before that is known."""
    overtaken: list[Link[ClientT]] = field(default_factory=list)
    """The links that were also asked, and were stopped when another answered."""
    _running: list[_Contender[ClientT, EventT]] = field(default_factory=list)
    _error: ProviderError | None = None
    _cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    _limited: dict[str, tuple[Link[ClientT], float]] = field(default_factory=dict)
    """The links that have failed and wanted a short wait, in seconds; by name."""
    _reported: set[str] = field(default_factory=set)
    """The links whose failure was reported."""

    def cancel(self) -> None:
        """Nobody wants the answer any more: end the iteration, unless an answer has begun."""
        self._cancelled.set()
        for contender in self._running:
            contender.first.cancel()

    async def events(self) -> AsyncGenerator[EventT | LinkFailed, None]:
        """The events of the first link that answers, after one :class:`LinkFailed` for each that failed or was late.

        Raises FallbackFailed when all links have failed, with the first link's failure, or when the answer breaks off.
        """
        waiting = [link for link in self.chain.order() if self.may_serve(link)]
        asked = 0
        again_until = asyncio.get_running_loop().time() + _LIMITED_SECONDS
        try:
            while self.winner is None:
                if waiting and all(contender.is_late for contender in self._running):
                    self._start(waiting.pop(0))
                    asked += 1
                if not self._running:
                    waiting = await self._again(again_until)
                    if self._cancelled.is_set():
                        return
                    continue
                failures = await self._look(self.patience(asked - 1) if waiting else None)
                if self._cancelled.is_set():
                    return
                for failure in failures:
                    yield failure
            contender = await self._won(self.winner)
            for event in contender.first.result():
                yield event
            async for event in self._rest(contender):
                yield event
        finally:
            await self._stop(self._running)

    async def _again(self, until: float) -> list[Link[ClientT]]:
        """Wait as long as the links that are limited want, and return them. Raises FallbackFailed if there is none."""
        limited, self._limited = self._limited, {}
        wait = min((seconds for _link, seconds in limited.values()), default=None)
        if wait is None or asyncio.get_running_loop().time() + wait > until:
            raise FallbackFailed(self._error or _nobody(), retryable=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._cancelled.wait()
        return [link for link, _seconds in limited.values()]

    def _start(self, link: Link[ClientT]) -> None:
        events = self.ask(link)
        loop = asyncio.get_running_loop()
        context = context_at(Priority.HEDGE if self._running else current_priority())
        first = loop.create_task(self._first(events), name=f"{self.name}:{link.name}", context=context)
        self._running.append(_Contender(link, events, loop.time(), first))

    async def _first(self, events: AsyncGenerator[EventT, None]) -> list[EventT]:
        before: list[EventT] = []
        async for event in events:
            before.append(event)
            if self.answers(event):
                return before
        raise _NoAnswer

    async def _look(self, seconds: float | None) -> list[LinkFailed]:
        """Wait for the next answer, failure or lateness. Returns the events to report."""
        tasks = [contender.first for contender in self._running]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._cancelled.is_set():
            return []
        if not done:
            return self._late()
        told: list[LinkFailed] = []
        for contender in [each for each in self._running if each.first in done]:
            error = contender.first.exception()
            if error is None:
                self.winner = self.winner or contender.link
                continue
            self._running.remove(contender)
            failure = self._failure(contender, error)
            self._note(contender, failure)
            if self.is_final(contender.link, failure):
                raise failure
            if isinstance(failure, ProviderRateLimited) and 0 < (failure.retry_after or 0.0) <= LIVE_WAIT_SECONDS:
                self._limited[contender.link.name] = (contender.link, failure.retry_after or 0.0)
            if not contender.is_late and contender.link.name not in self._reported:
                self._reported.add(contender.link.name)
                told.append(LinkFailed(failure, is_late=isinstance(failure, Throttled)))
        return told

    def _late(self) -> list[LinkFailed]:
        told: list[LinkFailed] = []
        for contender in self._running:
            if not contender.is_late:
                contender.is_late = True
                late = ProviderTimeout(_provider(contender.link), "no answer yet, another is asked")
                told.append(LinkFailed(late, is_late=True))
        return told

    async def _won(self, link: Link[ClientT]) -> _Contender[ClientT, EventT]:
        """Stop the others. Those that were late are down until a probe; those asked later are not to blame."""
        (contender,) = (each for each in self._running if each.link is link)
        others = [each for each in self._running if each is not contender]
        self._running = [contender]
        self.overtaken = [each.link for each in others]
        await self._stop(others)
        for other in others:
            if other.is_late:
                late = ProviderTimeout(_provider(other.link), "another answered first")
                self._note(other, FallbackFailed(late, retryable=False))
        return contender

    async def _rest(self, contender: _Contender[ClientT, EventT]) -> AsyncGenerator[EventT, None]:
        try:
            async for event in contender.events:
                yield event
        except ProviderError as error:
            has_stalled = isinstance(error, ProviderTimeout)
            self._note(contender, FallbackFailed(error, retryable=False) if has_stalled else error)
            if self.is_final(contender.link, error):
                raise
            # for the user of the chain this is one link of several: the next attempt may well succeed
            raise error if error.retryable else FallbackFailed(error, retryable=True) from error
        self.chain.served(contender.link)

    async def _stop(self, contenders: list[_Contender[ClientT, EventT]]) -> None:
        for contender in contenders:
            contender.first.cancel()
        if contenders:
            await asyncio.wait([contender.first for contender in contenders])
        for contender in contenders:
            await contender.events.aclose()

    def _failure(self, contender: _Contender[ClientT, EventT], error: BaseException) -> ProviderError:
        if isinstance(error, _NoAnswer):
            error = ProviderProtocolError(_provider(contender.link), "it ended without an answer")
        if not isinstance(error, ProviderError):
            raise error
        self._error = self._error or error
        return error

    def _note(self, contender: _Contender[ClientT, EventT], error: ProviderError) -> None:
        now = asyncio.get_running_loop().time()
        if self.chain.failed(contender.link, error, began_at=contender.began_at, now=now):
            log.warning("fallback.down", link=contender.link.name, code=error.code)


class _NoAnswer(Exception):
    """Events that ended before one of them answered."""


def _nobody() -> ProviderError:
    return ProviderUnavailable("nobody", "no link can serve the request")


def _provider(link: Link[ClientT]) -> str:
    return str(getattr(link.client, "provider", link.name))
