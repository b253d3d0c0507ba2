"""A language model with fallbacks: the first model to begin writes the answer, and another finishes it if need be.

When an answer breaks off or stalls, another link goes on after the last whole word that was passed on. An answer that
has called a tool is not continued: the tool must not run twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import structlog

from app.clients.entry import LlmSession
from app.clients.fallback.chain import Chain, Link
from app.clients.fallback.client import FallbackClient
from app.clients.fallback.race import LinkFailed, Race
from app.errors import ContentRejected, ProviderError
from app.models import Message, TokenUsage
from app.ports.priority import Priority, requests_at
from app.ports.streams import (
    ModelAccepted,
    ModelBegun,
    ModelEvent,
    ModelFailed,
    ModelFinished,
    ModelUsed,
    TextDelta,
    TextRetracted,
    ToolCall,
    ToolSpec,
)
from app.ports.vendors import Charge, LlmCapabilities

log = structlog.get_logger(__name__)

_LATE_SECONDS = 0.9
"""A model for conversations usually begins after 0.4 to 0.8 s."""
_NEXT_LATE_SECONDS = 0.7
_PARTS_MAX = 3
"""How many links may write an answer one after another."""
_PROBE_SECONDS = 5.0
_PROBE = "Answer with the single word: ok"
_GO_ON = (
    "Your last message was cut off. Go on with the very next word, as if there had been no break. Repeat nothing of "
    "it, and do not mention the break."
)


class WholeWords:
    """Holds back a word until it is complete, so that another model can go on with the next one."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Take more text, and return it up to the end of its last whole word."""
        text = self._held + text
        whole = text
        while whole and whole[-1].isalnum():
            whole = whole[:-1]
        self._held = text[len(whole) :]
        return whole

    def rest(self) -> str:
        """The last word, at the end of the text."""
        held, self._held = self._held, ""
        return held


class FallbackModel(FallbackClient[LlmSession]):
    """A language model over a chain."""

    def __init__(self, links: Sequence[Link[LlmSession]]) -> None:
        super().__init__(Chain(links))

    @property
    def model(self) -> str:
        """The first choice's."""
        return self.first.model

    @property
    def capabilities(self) -> LlmCapabilities:
        """The first choice's, with the names of all links."""
        return replace(self.first.capabilities, chain=self.links)

    @property
    def is_down(self) -> bool:
        """Whether every link is down, and its breaker says so, too."""
        return all(self._chain.is_down(link) and link.client.is_down for link in self._chain.links)

    async def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncGenerator[ModelEvent, None]:
        """The answer as it is written. Raises FallbackFailed, or the first choice's ContentRejected."""
        await self.first.loaded()  # or the first caller of a process would take a model for late that was never asked
        answer = _Answer(self._chain, messages, tools, call_id)
        async with aclosing(answer.events()) as events:
            async for event in events:
                yield event

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        """An estimate by the first choice's prices."""
        return self.first.calculate_token_usage(messages)

    async def probe(self) -> list[Charge]:
        """Ask each link that is down and due for a probe for one word. Returns what that cost."""
        charges: list[Charge] = []
        loop = asyncio.get_running_loop()
        for link in self._chain.due(loop.time()):
            with requests_at(Priority.HEDGE):
                finished = await _answers(link.client)
            self._chain.probed(link, is_well=finished is not None, now=loop.time())
            if finished is not None:
                charges.append(Charge(provider=finished.provider, model=finished.model, cost=finished.usage.cost))
                log.info("fallback.well", link=link.name)
        return charges

    async def warm_up(self) -> None:
        """Keep a connection open to each endpoint. Raises the first choice's ProviderError."""
        for session in self.sessions[1:]:
            try:
                await session.warm_up()
            except ProviderError as error:
                log.warning("warm_up.failed", error=error.code)
        await self.first.warm_up()


class _Answer:
    """One answer, in one or more parts."""

    def __init__(
        self, chain: Chain[LlmSession], messages: list[Message], tools: Sequence[ToolSpec], call_id: str | None
    ) -> None:
        self._chain = chain
        self._messages = messages
        self._tools = tools
        self._call_id = call_id
        self._said = ""
        """What was passed on."""
        self._acts = False
        self._broken: set[str] = set()
        """Links whose answers broke off: others go on."""
        self._words = WholeWords()
        self._goes_on = False
        """Whether what comes next follows another link's text."""

    async def events(self) -> AsyncGenerator[ModelEvent, None]:
        for part in range(1, _PARTS_MAX + 1):
            race = self._race()
            try:
                async with aclosing(self._part(race)) as events:
                    async for event in events:
                        yield event
                return
            except ProviderError as error:
                is_anybody_left = len(self._broken) + 1 < len(self._chain.links)
                if (
                    race.winner is None
                    or not error.retryable
                    or self._acts
                    or not is_anybody_left
                    or part == _PARTS_MAX
                ):
                    raise
                self._broken.add(race.winner.name)
                yield ModelFailed(error)
                yield self._used(race.winner, part=self._said, served=bool(self._said))

    def _race(self) -> Race[LlmSession, ModelEvent]:
        said = [Message("assistant", self._said), Message("system", _GO_ON)] if self._said.strip() else []
        return Race(
            self._chain,
            partial(self._ask, [*self._messages, *said]),
            lambda index: _LATE_SECONDS if index == 0 and not said else _NEXT_LATE_SECONDS,
            f"{self._call_id}:think",
            answers=lambda event: not isinstance(event, TextRetracted | ModelAccepted),
            may_serve=lambda link: link.name not in self._broken,
            is_final=lambda link, error: link.client is self._chain.first.client and isinstance(error, ContentRejected),
        )

    async def _part(self, race: Race[LlmSession, ModelEvent]) -> AsyncGenerator[ModelEvent, None]:
        self._words, self._goes_on = WholeWords(), bool(self._said)
        is_told = False
        async with aclosing(race.events()) as events:
            async for event in events:
                if race.winner is not None and not is_told:
                    is_told = True
                    for told in self._who(race, race.winner):
                        yield told
                for passed in self._passed(event):
                    yield passed

    def _who(self, race: Race[LlmSession, ModelEvent], winner: Link[LlmSession]) -> list[ModelEvent]:
        """Which link answers, and what the other links that were asked have cost."""
        used = [self._used(link, part="", served=False) for link in race.overtaken]
        return [ModelBegun(winner.client.provider, winner.client.model, winner.name), *used]

    def _passed(self, event: ModelEvent | LinkFailed) -> list[ModelEvent]:
        """The event to pass on; text only up to the last whole word."""
        match event:
            case LinkFailed(error, is_late):
                return [ModelFailed(error, is_late)]
            case TextDelta(text):
                return self._text(self._words.feed(text))
            case TextRetracted():
                self._words, self._said = WholeWords(), ""
                return [event]
            case ToolCall() | ModelFinished():
                self._acts = self._acts or isinstance(event, ToolCall)
                return [*self._text(self._words.rest()), event]
            case _:
                return [event]

    def _text(self, text: str) -> list[ModelEvent]:
        if text and self._goes_on:
            text, self._goes_on = self._joined(text), False
        self._said += text
        return [TextDelta(text)] if text else []

    def _joined(self, text: str) -> str:
        """The continuation of the text so far, with a space between two words."""
        is_apart = self._said[-1:].isspace() or text[:1].isspace() or not text[:1].isalnum()
        return text if is_apart else f" {text}"

    def _ask(self, messages: list[Message], link: Link[LlmSession]) -> AsyncGenerator[ModelEvent, None]:
        return link.client.stream_reply(messages, tools=self._tools, call_id=self._call_id)

    def _used(self, link: Link[LlmSession], *, part: str, served: bool) -> ModelUsed:
        """Estimate the usage of a request that was not answered to its end."""
        answer = [Message("assistant", part)] if part else []
        usage = link.client.calculate_token_usage([*self._messages, *answer])
        return ModelUsed(link.client.provider, link.client.model, usage, way=link.name, served=served)


async def _answers(client: LlmSession) -> ModelFinished | None:
    """The end of a short answer; None when there is none."""
    finished: ModelFinished | None = None
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            async with aclosing(client.stream_reply([Message("user", _PROBE)])) as events:
                async for event in events:
                    finished = event if isinstance(event, ModelFinished) else finished
    except (ProviderError, TimeoutError):
        return None
    return finished
