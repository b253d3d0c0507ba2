"""The language model: OpenAI, or any server that speaks one of its two APIs."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import structlog

from app.clients.breaker import CircuitBreaker
from app.clients.loading import LoadedWhenNeeded
from app.clients.openai.answer import OpenAIAnswer
from app.clients.openai.context_window import estimate_text_tokens, estimate_tokens, trim
from app.clients.openai.events import PROVIDER
from app.clients.openai.requests import OpenAIOptions, request_body
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.errors import ProviderError, ProviderProtocolError
from app.models import ConversationContext, Message, TokenUsage
from app.ports.streams import ModelEvent, ModelFinished, TextDelta, TextRetracted, ToolSpec, text_after
from app.ports.vendors import LlmCapabilities

if TYPE_CHECKING:  # see _load
    from app.clients.openai.connections import OpenAIConnections

__all__ = ["KEEPALIVE_SECONDS", "OpenAILLMClient", "OpenAIOptions"]

log = structlog.get_logger(__name__)

KEEPALIVE_SECONDS = 300.0
"""How long an unused connection is kept; :meth:`OpenAILLMClient.warm_up` within that time keeps one open for ever."""

_SAID_ONCE_MAX = 100
_CALLS_KEPT = 1000


class OpenAILLMClient(BaseResilientClient):
    """Streams answers of a language model; one for the process.

    ``base_url`` ends in ``/v1`` as OpenAI's own does. The proxy variables of the environment are honoured.

    Connections speak HTTP/1.1 on purpose. A telephone agent leaves answers half-way all the time, and closing the
    connection is what stops the model; httpcore2 does not tell an HTTP/2 server that a stream was left (no RST_STREAM),
    goes on receiving it, and after 16 MiB of such leftovers the connection stands still, with all calls on it. The
    connection that an interruption costs is replaced at once, before the next turn needs it.

    Nothing that was said is in an error or in a log line: neither OpenAI's error messages, which may quote the input,
    nor the exceptions that carry them are passed on.
    """

    provider = PROVIDER

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        options: OpenAIOptions | None = None,
        prices: Prices = DEFAULT_PRICES,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
        observer: ProviderObserver | None = None,
    ) -> None:
        super().__init__(retry=retry, breaker=breaker, observer=observer)
        self._options = options or OpenAIOptions()
        self._prices = prices
        self._access = {"api_key": api_key, "base_url": base_url}
        self._connections = LoadedWhenNeeded(self._connect, provider=PROVIDER, name="openai.connecting")
        self._closed = False
        self._spare: asyncio.Task[None] | None = None
        self._think_first: dict[str | None, None] = {}
        """Calls whose last answer began with a thought whose beginning is not told; of too many the oldest goes."""
        self._said_once: set[str] = set()

    @property
    def model(self) -> str:
        """OpenAI's name of the model."""
        return self._options.model

    @property
    def capabilities(self) -> LlmCapabilities:
        """Both APIs take tools; a compatible server that does not refuses the request."""
        return LlmCapabilities(tools=True)

    async def stream_reply(
        self,
        messages: list[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        call_id: str | None = None,
    ) -> AsyncGenerator[ModelEvent, None]:
        """One answer: pieces of text and whole tool calls as they come, :class:`ModelFinished` last.

        Tried once. Closing the generator, or cancelling whoever waits on it, closes the HTTP request at once. Messages
        beyond ``context_window_size`` are left out, oldest first. ``call_id`` travels in the header ``X-Call-ID``.
        Raises ProviderError.
        """
        answer = self._ask(messages, tools, call_id)
        try:
            async with self.attempt("stream_reply") as attempt:
                while not answer.complete:
                    events = await answer.read()
                    if answer.begun:
                        attempt.answered(answer.request_id)
                    for event in events:
                        yield event
            yield self._finished(answer, messages, tools, call_id)
            await answer.read_to_end()
        except (GeneratorExit, asyncio.CancelledError):
            self._replace_connection()
            raise
        finally:
            self._learn(answer, call_id)
            await answer.aclose()

    async def stream_response(self, messages: list[Message]) -> AsyncGenerator[str, None]:
        """The text of one answer, piece by piece. Raises ProviderError."""
        async with aclosing(self.stream_reply(messages)) as reply:
            async for event in reply:
                if isinstance(event, TextDelta):
                    yield event.text
                elif isinstance(event, TextRetracted):
                    raise ProviderProtocolError(PROVIDER, "the answer began with a thought")

    async def generate_response(self, messages: list[Message], context: ConversationContext) -> str:
        """The whole text of one answer; tried again while that may help. Raises ProviderError."""

        async def generate_response() -> str:
            answer, text = self._ask(messages, (), context.call_context.call_id), ""
            try:
                while not answer.complete:
                    for event in await answer.read():
                        text = text_after(text, event)
                await answer.read_to_end()
            finally:
                self._learn(answer, context.call_context.call_id)
                await answer.aclose()
            return text

        text: str = await self.make_request(generate_response)
        return text

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        """Estimated tokens and price of a request, for when the vendor reports none, as after an interruption.

        An assistant's message at the end is the answer (``completion``), what stands before it the ``prompt``. See
        :func:`app.clients.openai.context_window.estimate_text_tokens` for the error.
        """
        answered = bool(messages) and messages[-1].role == "assistant"
        prompt = messages[:-1] if answered else messages
        completion = estimate_text_tokens(messages[-1].content) if answered else 0
        return self._priced(TokenUsage(sum(map(estimate_tokens, prompt)), 0, completion), None)

    async def warm_up(self) -> None:
        """Have the vendor's library loaded and an open connection in the pool. Raises ProviderError."""
        with suppress(ProviderError):
            await self._connections.get()  # the time that loading takes is none of the vendor's
        await self.make_request(self._list_models)

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._spare:
            self._spare.cancel()
            await asyncio.wait([self._spare])
        await self._connections.aclose()

    def _connect(self) -> "OpenAIConnections":
        seconds = self._options.connect_seconds
        return _load()(**self._access, connect_seconds=seconds, keepalive_seconds=KEEPALIVE_SECONDS)

    def _ask(self, messages: list[Message], tools: Sequence[ToolSpec], call_id: str | None) -> OpenAIAnswer:
        kept = trim(messages, self._options.context_window_size, estimate_tokens)
        body = request_body(self._options, kept, tools)
        return OpenAIAnswer(
            self._connections.get, self._options, body, call_id, thinks_first=call_id in self._think_first
        )

    def _learn(self, answer: OpenAIAnswer, call_id: str | None) -> None:
        """What an answer shows of the server: for the next one of the call alone, since a caller may be the cause."""
        if answer.speech.thought_first or answer.complete:
            self._think_first.pop(call_id, None)
        if answer.speech.thought_first:
            self._think_first[call_id] = None
            if len(self._think_first) > _CALLS_KEPT:
                del self._think_first[next(iter(self._think_first))]
            self._say_once("thoughts without a beginning are in the text")
        if answer.speech.dropped_call:
            self._say_once("a tool call is written into the text, and not run")
        if answer.decoder.unknown_reason is not None:
            self._say_once(f"the finish reason is {answer.decoder.unknown_reason}")

    def _say_once(self, detail: str) -> None:
        if detail not in self._said_once and len(self._said_once) < _SAID_ONCE_MAX:
            self._said_once.add(detail)
            log.warning("model.unusual_answer", model=self._options.model, detail=detail)

    def _finished(
        self, answer: OpenAIAnswer, messages: list[Message], tools: Sequence[ToolSpec], call_id: str | None
    ) -> ModelFinished:
        usage = answer.decoder.usage or self._estimated(answer, messages, tools)
        reason = answer.decoder.reason or "stop"
        log.debug(
            "model.finished",
            model=self._options.model,
            reason=reason,
            prompt_tokens=usage.prompt,
            cached_tokens=usage.cached,
            completion_tokens=usage.completion,
            request_id=answer.request_id,
            call_id=call_id,
        )
        priced = self._priced(usage, answer.decoder.service_tier)
        return ModelFinished(reason, priced, answer.request_id, self.provider, self.model)

    def _estimated(self, answer: OpenAIAnswer, messages: list[Message], tools: Sequence[ToolSpec]) -> TokenUsage:
        kept = trim(messages, self._options.context_window_size, estimate_tokens)
        described = sum(estimate_text_tokens(f"{tool.name}{tool.description}{tool.parameters}") for tool in tools)
        written = estimate_text_tokens("".join(answer.decoder.pieces))
        return TokenUsage(described + sum(map(estimate_tokens, kept)), 0, written)

    def _priced(self, usage: TokenUsage, served_tier: str | None) -> TokenUsage:
        return replace(usage, cost=self._prices.llm_cost(self._options.model, usage, service_tier=served_tier))

    async def _list_models(self) -> None:
        allowed = self._options.connect_seconds + self._options.first_token_seconds
        connections = await self._connections.get()
        async with asyncio.timeout(allowed):
            await connections.list_models()

    def _replace_connection(self) -> None:
        if not self._closed and (self._spare is None or self._spare.done()):
            loop = asyncio.get_running_loop()
            self._spare = loop.create_task(self._open_spare(), name="openai.spare_connection")

    async def _open_spare(self) -> None:
        # An idle connection is used again here if there is one, and then none was needed.
        with suppress(ProviderError, TimeoutError):
            await self._list_models()


@cache
def _load() -> "type[OpenAIConnections]":
    """The vendor's library takes a fifth of a start to load, so a service that is ready loads it while it takes calls.

    It stays for good, as what the start loaded: no garbage collection looks at it, see ``app/cli/serve.py``.
    """
    from app.clients.openai.connections import OpenAIConnections

    gc.freeze()
    return OpenAIConnections
