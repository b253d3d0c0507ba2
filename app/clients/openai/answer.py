"""One streaming answer of the language model, read with deadlines on its progress."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from app.clients.openai.events import PROVIDER, AnswerDecoder, ServerSentEvents, decoder
from app.clients.openai.requests import Body, OpenAIOptions, request_path
from app.clients.openai.spoken_text import SpeechFilter, Spoken
from app.errors import ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from app.ports.streams import TextDelta, TextRetracted, ToolCall

if TYPE_CHECKING:  # it imports the vendor's library, which is loaded once the service is ready
    from app.clients.openai.connections import OpenAIConnections, OpenAIResponse

_LAST_WORDS_SECONDS = 0.3
"""How long to wait for the usage after the end of the answer; without it the tokens are estimated."""
_END_OF_BODY_SECONDS = 0.1
"""How long to wait for the end of the HTTP body after the last event; without it the connection is not reused."""


class OpenAIAnswer:
    """One request and its answer."""

    def __init__(
        self,
        connections: Callable[[], Awaitable["OpenAIConnections"]],
        options: OpenAIOptions,
        body: Body,
        call_id: str | None,
        *,
        on_headers: Callable[[Mapping[str, str]], None],
        thinks_first: bool = False,
    ) -> None:
        """``on_headers`` is called with the headers of the answer, before its first event."""
        self._connections = connections
        self._on_headers = on_headers
        self._options = options
        self._body = body
        # Compressed events would arrive in bursts.
        self._headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if call_id:
            self._headers["X-Call-ID"] = call_id
        self._response: OpenAIResponse | None = None
        self._events = ServerSentEvents()
        self._patience = options.first_token_seconds
        self.decoder: AnswerDecoder = decoder(options.api)
        self.speech = SpeechFilter(thinks_first=thinks_first)
        self.request_id: str | None = None
        self.complete = False

    @property
    def begun(self) -> bool:
        """Whether the first token has arrived."""
        return bool(self.decoder.pieces) or self.decoder.reason is not None

    async def read(self) -> list[TextDelta | TextRetracted | ToolCall]:
        """The events of the next bytes; sets ``complete`` after the last ones. Raises ProviderError."""
        chunk = await self._next_chunk()
        progress, had_reason = len(self.decoder.pieces), self.decoder.reason is not None
        try:
            events = self._end() if chunk is None else self._decode(self._events.feed(chunk))
        except ProviderError as error:
            error.request_id = self.request_id
            raise
        self.complete = self.complete or self.decoder.complete
        if self.decoder.reason:
            self._patience = min(self._patience, _LAST_WORDS_SECONDS)
        elif len(self.decoder.pieces) > progress:
            self._patience = self._options.token_gap_seconds
        is_over = self.complete or (self.decoder.reason is not None and not had_reason)
        return self._audible(events, is_over=is_over)

    def _decode(self, events: list[bytes]) -> list[TextDelta | ToolCall]:
        return [event for data in events for event in self.decoder.decode(data)]

    def _audible(
        self, events: list[TextDelta | ToolCall], *, is_over: bool
    ) -> list[TextDelta | TextRetracted | ToolCall]:
        """The events without text that must not be spoken; tool calls come after the text."""
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        spoken = [self.speech.feed(text), *([self.speech.finish()] if is_over else [])]
        calls = [event for event in events if isinstance(event, ToolCall)]
        return [event for each in spoken for event in _events_of(each)] + calls

    async def read_to_end(self) -> None:
        """Read the end of the HTTP body, so that the connection can be reused; failing to do so is harmless."""
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(_END_OF_BODY_SECONDS):
                while await self._receive() is not None:
                    pass

    async def aclose(self) -> None:
        """Close the request, and the connection too unless the body was read to its end."""
        if self._response is not None:
            await self._response.aclose()

    async def _next_chunk(self) -> bytes | None:
        """The next bytes, None at the end. Only time spent here counts toward the deadline, not the consumer's."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout_at(began + self._patience):
                return await self._receive()
        except (TimeoutError, ProviderUnavailable) as error:
            if self.decoder.reason:  # the answer itself is complete
                return None
            if isinstance(error, ProviderError):
                raise
            what = "no next token" if self.begun else "no first token"
            raise ProviderTimeout(PROVIDER, f"{what} before the deadline", request_id=self.request_id) from None
        finally:
            self._patience -= clock() - began

    async def _receive(self) -> bytes | None:
        if self._response is None:
            connections = await self._connections()
            self._response = await connections.send(request_path(self._options), self._body, self._headers)
            self.request_id = self._response.request_id
            self._on_headers(self._response.headers)
        return await self._response.read()

    def _end(self) -> list[TextDelta | ToolCall]:
        """Handle the end of the body; an error unless the model has finished."""
        self.complete = True
        if self.decoder.reason:
            return self.decoder.end_of_body()
        events = self._decode(self._events.finish()) + self.decoder.end_of_body()
        if self.decoder.reason or self.decoder.complete:
            return events
        if not self.decoder.events:
            raise ProviderProtocolError(PROVIDER, "the answer is not an event stream")
        raise ProviderUnavailable(PROVIDER, "the stream ended before the answer did")


def _events_of(spoken: Spoken) -> list[TextDelta | TextRetracted | ToolCall]:
    retraction: list[TextDelta | TextRetracted | ToolCall] = [TextRetracted()] if spoken.retracts else []
    return retraction + ([TextDelta(spoken.text)] if spoken.text else [])
