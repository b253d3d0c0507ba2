"""The language model: OpenAI, or any server that speaks one of its two APIs."""

import asyncio
import socket
import urllib.request
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import httpx2
import openai
import structlog

from app.clients.breaker import CircuitBreaker
from app.clients.context_window import estimate_text_tokens, estimate_tokens, trim
from app.clients.openai_events import PROVIDER, AnswerDecoder, ServerSentEvents, decoder, vendor_error
from app.clients.openai_requests import Body, OpenAIOptions, request_body, request_path
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.clients.streams import ModelEvent, ModelFinished, TextDelta, ToolCall, ToolSpec
from app.clients.tls import tls_context
from app.errors import ProviderError, ProviderProtocolError, ProviderRateLimited, ProviderTimeout, ProviderUnavailable
from app.models import ConversationContext, Message, TokenUsage
from app.observability.costs import DEFAULT_PRICES, Prices

__all__ = ["KEEPALIVE_SECONDS", "OpenAILLMClient", "OpenAIOptions"]

log = structlog.get_logger(__name__)

KEEPALIVE_SECONDS = 300.0
"""How long an unused connection is kept; :meth:`OpenAILLMClient.warm_up` within that time keeps one open for ever."""

_LAST_WORDS_SECONDS = 0.3
"""How long the usage may come after the answer has ended; without it the tokens are estimated."""
_END_OF_BODY_SECONDS = 0.1
"""How long the end of the HTTP body may come after the last event; without it the connection is not used again."""
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=200, keepalive_expiry=KEEPALIVE_SECONDS)
_PROBES = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 15),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 5),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
)
"""The kernel probes idle connections after 15 s, each 5 s, 3 times: a dead one is noticed before it is needed."""


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
        self._sdk = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            # No read timeout: the progress of an answer has its own deadlines.
            timeout=httpx2.Timeout(self._options.connect_seconds, read=None),
            http_client=openai.DefaultAsyncHttpxClient(
                limits=_LIMITS, transport=_probing_transport(), verify=tls_context()
            ),
        )
        self._spare: asyncio.Task[None] | None = None

    async def stream_reply(
        self,
        messages: list[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        call_id: str | None = None,
        cache_key: str | None = None,
    ) -> AsyncGenerator[ModelEvent, None]:
        """One answer: pieces of text and whole tool calls as they come, :class:`ModelFinished` last.

        Tried once. Closing the generator, or cancelling whoever waits on it, closes the HTTP request at once. Messages
        beyond ``context_window_size`` are left out, oldest first. ``call_id`` travels in the header ``X-Call-ID``;
        ``cache_key`` groups requests with the same beginning for the vendor's prompt cache. Raises ProviderError.
        """
        answer = self._ask(messages, tools, call_id, cache_key)
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
            await answer.aclose()

    async def stream_response(self, messages: list[Message]) -> AsyncGenerator[str, None]:
        """The text of one answer, piece by piece. Raises ProviderError."""
        async with aclosing(self.stream_reply(messages)) as reply:
            async for event in reply:
                if isinstance(event, TextDelta):
                    yield event.text

    async def generate_response(self, messages: list[Message], context: ConversationContext) -> str:
        """The whole text of one answer; tried again while that may help. Raises ProviderError."""

        async def generate_response() -> str:
            answer = self._ask(messages, (), context.call_context.call_id, None)
            try:
                while not answer.complete:
                    await answer.read()
                await answer.read_to_end()
            finally:
                await answer.aclose()
            return "".join(answer.decoder.pieces)

        text: str = await self.make_request(generate_response)
        return text

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        """Estimated tokens and price of a request, for when the vendor reports none, as after an interruption.

        An assistant's message at the end is the answer (``completion``), what stands before it the ``prompt``. See
        :func:`app.clients.context_window.estimate_text_tokens` for the error.
        """
        answered = bool(messages) and messages[-1].role == "assistant"
        prompt = messages[:-1] if answered else messages
        completion = estimate_text_tokens(messages[-1].content) if answered else 0
        return self._priced(TokenUsage(sum(map(estimate_tokens, prompt)), 0, completion), None)

    async def warm_up(self) -> None:
        """Have an open connection in the pool, by asking for the list of models. Raises ProviderError."""
        await self.make_request(self._list_models)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._spare:
            self._spare.cancel()
            await asyncio.wait([self._spare])
        await self._sdk.close()

    def _ask(
        self, messages: list[Message], tools: Sequence[ToolSpec], call_id: str | None, cache_key: str | None
    ) -> "_Answer":
        kept = trim(messages, self._options.context_window_size, estimate_tokens)
        return _Answer(self._sdk, self._options, request_body(self._options, kept, tools, cache_key), call_id)

    def _finished(
        self, answer: "_Answer", messages: list[Message], tools: Sequence[ToolSpec], call_id: str | None
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
        return ModelFinished(reason, self._priced(usage, answer.decoder.service_tier), answer.request_id)

    def _estimated(self, answer: "_Answer", messages: list[Message], tools: Sequence[ToolSpec]) -> TokenUsage:
        kept = trim(messages, self._options.context_window_size, estimate_tokens)
        described = sum(estimate_text_tokens(f"{tool.name}{tool.description}{tool.parameters}") for tool in tools)
        written = estimate_text_tokens("".join(answer.decoder.pieces))
        return TokenUsage(described + sum(map(estimate_tokens, kept)), 0, written)

    def _priced(self, usage: TokenUsage, served_tier: str | None) -> TokenUsage:
        tier = served_tier or self._options.service_tier
        return replace(usage, cost=self._prices.llm_cost(self._options.model, usage, service_tier=tier))

    async def _list_models(self) -> None:
        allowed = self._options.connect_seconds + self._options.first_token_seconds
        with _vendor_errors():
            async with asyncio.timeout(allowed):
                # A compatible server may have no such list; the connection is open all the same.
                with suppress(openai.NotFoundError):
                    await self._sdk.get("/models", cast_to=httpx2.Response)

    def _replace_connection(self) -> None:
        if not self._sdk.is_closed() and (self._spare is None or self._spare.done()):
            loop = asyncio.get_running_loop()
            self._spare = loop.create_task(self._open_spare(), name="openai.spare_connection")

    async def _open_spare(self) -> None:
        # An idle connection is used again here if there is one, and then none was needed.
        with suppress(ProviderError, TimeoutError):
            await self._list_models()


class _Answer:
    """One request on the wire and its answer, read with deadlines on progress."""

    def __init__(self, sdk: openai.AsyncOpenAI, options: OpenAIOptions, body: Body, call_id: str | None) -> None:
        self._sdk = sdk
        self._options = options
        self._body = body
        # Compressed events would come in lumps.
        self._headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if call_id:
            self._headers["X-Call-ID"] = call_id
        self._response: httpx2.Response | None = None
        self._chunks: AsyncGenerator[bytes, None] | None = None
        self._events = ServerSentEvents()
        self._patience = options.first_token_seconds
        self.decoder: AnswerDecoder = decoder(options.api)
        self.request_id: str | None = None
        self.complete = False

    @property
    def begun(self) -> bool:
        """Whether the first token is here."""
        return bool(self.decoder.pieces) or self.decoder.reason is not None

    async def read(self) -> list[TextDelta | ToolCall]:
        """What the next bytes bring; sets ``complete`` when they were the last. Raises ProviderError."""
        chunk = await self._next_chunk()
        if chunk is None:
            self._end()
            return []
        progress = len(self.decoder.pieces)
        try:
            events = [event for data in self._events.feed(chunk) for event in self.decoder.decode(data)]
        except ProviderError as error:
            error.request_id = self.request_id
            raise
        self.complete = self.decoder.complete
        if self.decoder.reason:
            self._patience = min(self._patience, _LAST_WORDS_SECONDS)
        elif len(self.decoder.pieces) > progress:
            self._patience = self._options.token_gap_seconds
        return events

    async def read_to_end(self) -> None:
        """Read the end of the HTTP body, which the connection needs to be used again; nothing depends on it."""
        with suppress(TimeoutError, httpx2.HTTPError, OSError):
            async with asyncio.timeout(_END_OF_BODY_SECONDS):
                while await self._receive() is not None:
                    pass

    async def aclose(self) -> None:
        """Close the request; the connection too, unless the body was read to its end."""
        if self._chunks is not None:
            await self._chunks.aclose()
        if self._response is not None:
            await self._response.aclose()

    async def _next_chunk(self) -> bytes | None:
        """The next bytes, None at the end. Only time spent here counts against the deadline, not the reader's own."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            with _vendor_errors(self.request_id):
                async with asyncio.timeout_at(began + self._patience):
                    return await self._receive()
        except (TimeoutError, ProviderUnavailable) as error:
            if self.decoder.reason:  # the answer itself is whole
                return None
            if isinstance(error, ProviderError):
                raise
            what = "no next token" if self.begun else "no first token"
            raise ProviderTimeout(PROVIDER, f"{what} before the deadline", request_id=self.request_id) from None
        finally:
            self._patience -= clock() - began

    async def _receive(self) -> bytes | None:
        if self._chunks is None:
            self._response = await self._send()
            self.request_id = self._response.headers.get("x-request-id")
            self._chunks = self._response.aiter_bytes()
        return await anext(self._chunks, None)

    async def _send(self) -> httpx2.Response:
        # The SDK's generic call gives the bare response: its typed one costs 0.8 ms more before the first token.
        response = await self._sdk.post(
            request_path(self._options),
            cast_to=httpx2.Response,
            body=self._body,
            options={"headers": self._headers},
            stream=True,
            stream_cls=openai.AsyncStream[Any],
        )
        return cast("httpx2.Response", response)

    def _end(self) -> None:
        """The body is over: rightly so if the model has finished."""
        self.complete = True
        if self.decoder.reason:
            return
        if not self.decoder.events:
            raise ProviderProtocolError(PROVIDER, "the answer is not an event stream", request_id=self.request_id)
        raise ProviderUnavailable(PROVIDER, "the stream ended before the answer did", request_id=self.request_id)


@contextmanager
def _vendor_errors(request_id: str | None = None) -> Iterator[None]:
    """Turns errors of the SDK and of the network into the service's; from None, because theirs may quote the input."""
    try:
        yield
    except TimeoutError:  # our own deadline; whoever set it knows what it was for
        raise
    except openai.APIStatusError as error:
        raise _status_error(error) from None
    except (openai.APITimeoutError, httpx2.TimeoutException):
        raise ProviderTimeout(PROVIDER, "no connection before the deadline", request_id=request_id) from None
    except (openai.APIConnectionError, httpx2.TransportError, OSError) as error:
        cause = type(error.__cause__ or error).__name__
        raise ProviderUnavailable(PROVIDER, f"the connection failed ({cause})", request_id=request_id) from None
    except (openai.OpenAIError, httpx2.HTTPError) as error:
        raise ProviderProtocolError(PROVIDER, f"unreadable ({type(error).__name__})", request_id=request_id) from None


def _status_error(error: openai.APIStatusError) -> ProviderError:
    mapped = vendor_error(error.status_code, error.code or error.type, request_id=error.request_id)
    if isinstance(mapped, ProviderRateLimited):
        seconds = error.response.headers.get("retry-after", "")
        mapped.retry_after = float(seconds) if seconds.isdecimal() else None  # a date is not sent by OpenAI
    return mapped


def _probing_transport() -> httpx2.AsyncHTTPTransport | None:
    """A transport whose sockets are probed; None, which is httpx2's own, where the environment names a proxy."""
    if urllib.request.getproxies().keys() & {"http", "https", "all"}:
        return None
    probes = [(level, getattr(socket, name), value) for name, level, value in _PROBES if hasattr(socket, name)]
    return httpx2.AsyncHTTPTransport(limits=_LIMITS, socket_options=probes, verify=tls_context())
