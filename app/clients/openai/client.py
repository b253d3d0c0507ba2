"""The language model client: OpenAI, or any server that speaks one of its two APIs."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog

from app.clients.breaker import CircuitBreaker
from app.clients.limiter import RequestLimiter
from app.clients.loading import LoadedWhenNeeded
from app.clients.openai.answer import OpenAIAnswer
from app.clients.openai.context_window import estimate_tokens, trim
from app.clients.openai.events import PROVIDER
from app.clients.openai.requests import OpenAIOptions, request_body
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.clients.text_tokens import estimate_text_tokens
from app.errors import ContentRejected, ProviderError, ProviderProtocolError
from app.models import ConversationContext, Message, TokenUsage
from app.ports.streams import (
    ModelAccepted,
    ModelEvent,
    ModelFinished,
    TextDelta,
    TextRetracted,
    ToolSpec,
    text_after,
)
from app.ports.vendors import GeneratedText, LlmCapabilities

if TYPE_CHECKING:  # see _load
    from app.clients.openai.connections import OpenAIConnections

__all__ = ["KEEPALIVE_SECONDS", "OpenAILLMClient", "OpenAIOptions"]

log = structlog.get_logger(__name__)

KEEPALIVE_SECONDS = 300.0
"""How long an idle connection is kept; calling :meth:`OpenAILLMClient.warm_up` more often keeps one open forever."""

_SAID_ONCE_MAX = 100
_UNHURRIED: dict[str, Any] = {"first_token_seconds": 30.0, "token_gap_seconds": 10.0, "max_output_tokens": 4000}
"""Options of an answer for which no caller waits."""
_CALLS_KEPT = 1000


class OpenAILLMClient(BaseResilientClient):
    """Streams answers of a language model; the process has one client.

    ``base_url`` ends in ``/v1`` like OpenAI's own. The environment's proxy variables apply.

    Connections use HTTP/1.1 on purpose. A telephone agent abandons many answers half-way, and closing the connection
    stops the model. Over HTTP/2, httpcore2 sends no RST_STREAM for an abandoned stream and keeps receiving it; after
    16 MiB of such data the connection stalls, with all calls on it. A connection that an interruption closes is
    replaced at once, before the next turn needs it.

    No error or log line contains what was said: neither OpenAI's error messages, which may quote the input, nor the
    exceptions that contain them are passed on.
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
        limiter: RequestLimiter | None = None,
    ) -> None:
        super().__init__(retry=retry, breaker=breaker, observer=observer, limiter=limiter)
        self._options = options or OpenAIOptions()
        self._prices = prices
        self._access = {"api_key": api_key, "base_url": base_url}
        self._connections = LoadedWhenNeeded(self._connect, provider=PROVIDER, name="openai.connecting")
        self._closed = False
        self._spare: asyncio.Task[None] | None = None
        self._think_first: dict[str | None, None] = {}
        """Calls whose last answer began with reasoning without an opening tag; beyond a bound the oldest is dropped."""
        self._said_once: set[str] = set()

    @property
    def model(self) -> str:
        """The model's name."""
        return self._options.model

    @property
    def capabilities(self) -> LlmCapabilities:
        """Both APIs accept tools; a compatible server without them refuses the request."""
        return LlmCapabilities(tools=True)

    async def stream_reply(
        self,
        messages: list[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        call_id: str | None = None,
    ) -> AsyncGenerator[ModelEvent, None]:
        """Stream one answer: pieces of text and complete tool calls as they come, :class:`ModelFinished` last.

        :class:`ModelAccepted` comes first, if the vendor names its requests.

        No retries. Closing the generator, or cancelling its consumer, closes the HTTP request at once. Messages beyond
        ``context_window_size`` are left out, oldest first. The header ``X-Call-ID`` has ``call_id``. Raises
        ProviderError.
        """
        answer, is_told = self._ask(messages, tools, call_id), False
        try:
            async with self.attempt("stream_reply") as attempt:
                while not answer.complete:
                    events = await answer.read()
                    if answer.request_id is not None and not is_told:
                        is_told = True
                        yield ModelAccepted(answer.request_id)
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
        """The whole text of one answer, by the way of :meth:`generate`. Raises ProviderError."""
        kept = trim(messages, self._options.context_window_size, estimate_tokens)
        return (await self.generate(kept, call_id=context.call_context.call_id)).text

    async def generate(
        self, messages: list[Message], *, schema: Mapping[str, Any] | None = None, call_id: str | None = None
    ) -> GeneratedText:
        """The whole text of one answer that nobody waits for, with retries; with a schema, JSON that should fit it.

        Raises ProviderError; ContentRejected when the model refuses.
        """
        options = replace(self._options, **_UNHURRIED)
        body = request_body(options, messages, (), schema)

        async def generate() -> GeneratedText:
            answer = OpenAIAnswer(self._connections.get, options, body, call_id, on_headers=self.limiter.learn)
            text = ""
            try:
                while not answer.complete:
                    for event in await answer.read():
                        text = text_after(text, event)
                await answer.read_to_end()
            finally:
                await answer.aclose()
            if answer.decoder.refused or answer.decoder.reason == "content_filter":
                raise ContentRejected(PROVIDER, "the model refused to answer", request_id=answer.request_id)
            usage = self._finished(answer, messages, (), call_id).usage
            written = text if schema is None else "".join(answer.decoder.pieces)  # JSON is not text to be said
            return GeneratedText(written, usage, self.model)

        generated: GeneratedText = await self.make_request(generate)
        return generated

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        """Estimate the tokens and price of a request whose usage the vendor did not report, as after an interruption.

        A final assistant message is the answer (``completion``); the messages before it are the ``prompt``. See
        :func:`app.clients.text_tokens.estimate_text_tokens` for the accuracy.
        """
        answered = bool(messages) and messages[-1].role == "assistant"
        prompt = messages[:-1] if answered else messages
        completion = estimate_text_tokens(messages[-1].content) if answered else 0
        return self._priced(TokenUsage(sum(map(estimate_tokens, prompt)), 0, completion), None)

    async def warm_up(self) -> None:
        """Load the vendor's library and open a connection in the pool. Raises ProviderError."""
        await self.loaded()  # loading time does not count as the vendor's latency
        await self.make_request(self._list_models)

    async def loaded(self) -> None:
        """Return when the vendor's library is loaded, or cannot be."""
        with suppress(ProviderError):
            await self._connections.get()

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
            self._connections.get,
            self._options,
            body,
            call_id,
            on_headers=self.limiter.learn,
            thinks_first=call_id in self._think_first,
        )

    def _learn(self, answer: OpenAIAnswer, call_id: str | None) -> None:
        """Note an unusual answer. It affects only the call's next answer, because the caller may be the cause."""
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
        # If the pool has an idle connection, this request reuses it, and no new one was needed.
        with suppress(ProviderError, TimeoutError):
            await self._list_models()


@cache
def _load() -> "type[OpenAIConnections]":
    """Load the vendor's library. It would take a fifth of the start, so the service loads it once it is ready.

    Like the modules of the start, it is exempt from garbage collection; see ``app/cli/serve.py``.
    """
    from app.clients.openai.connections import OpenAIConnections

    gc.freeze()
    return OpenAIConnections
