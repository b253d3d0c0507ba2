"""A server that answers as OpenAI does, by a script, and keeps what it was sent; and a client of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import app.clients.openai.connections  # noqa: F401 - a reply's deadlines are not to time the loading of the library
from app.clients.openai.client import OpenAILLMClient, OpenAIOptions
from app.clients.resilient import RetryPolicy
from app.models import Message
from app.ports.streams import ModelAccepted, ModelEvent, ToolSpec

Api = Literal["chat", "responses"]

DIALOGUE = [Message("system", "You are brief."), Message("user", "секретное слово")]


@dataclass(frozen=True)
class Refuse:
    """An answer with a status instead of a stream."""

    status: int
    error: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Hang:
    """Nothing more comes until the client leaves."""


class Cut:
    """The connection is closed without the end of the body."""


@dataclass
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int


Step = bytes | Hang | Cut
Script = Refuse | Sequence[Step]


NO_MODELS = Refuse(200)
"""An answer to the question for models: everything is fine, there are none."""


class OpenAIServer:
    """Plays one script for each POST, in order; the last one again when there are no more. GET gives ``models``."""

    def __init__(self, *scripts: Script, models: Refuse = NO_MODELS) -> None:
        self.scripts = list(scripts)
        self.models = models
        self.received: list[Received] = []
        self.connections = 0
        self.client_left = asyncio.Event()
        """Set when a client closes its connection during an answer."""
        self.arrived: dict[str, asyncio.Event] = {"GET": asyncio.Event(), "POST": asyncio.Event()}
        """Set when the first request of the method has arrived."""
        self.base_url = ""
        self.headers: dict[str, str] = {}
        """More headers of each answer."""
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def posts(self) -> list[Received]:
        return [request for request in self.received if request.method == "POST"]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        number = self.connections
        try:
            while True:
                await self._serve_one(reader, writer, number)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, EOFError):
            pass
        finally:
            writer.close()
            self._handlers.discard(task)

    async def stop(self) -> None:
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    def _next_script(self) -> Script:
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"null")
        self.received.append(Received(method, path, headers, body, connection))
        self.arrived[method].set()
        script = self.models if method == "GET" else self._next_script()
        if isinstance(script, Refuse):
            await self._answer_json(writer, script.status, {"error": script.error}, script.headers)
        else:
            await self._stream(reader, writer, script)

    async def _answer_json(self, writer: asyncio.StreamWriter, status: int, body: Any, more: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "x-request-id": "req_1", "Content-Length": str(len(content))}
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in (headers | more).items()), "", ""]
        writer.write("\r\n".join(lines).encode() + content)
        await writer.drain()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, steps: Sequence[Step]) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-request-id: req_1\r\n"
            b"Transfer-Encoding: chunked\r\n"
        )
        writer.write("".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode() + b"\r\n")
        for step in steps:
            match step:
                case Hang():
                    with suppress(ConnectionError):
                        await reader.read(1)  # returns when the client closes
                    self.client_left.set()
                    raise EOFError
                case Cut():
                    raise EOFError
                case bytes():
                    writer.write(b"%x\r\n%b\r\n" % (len(step), step))
                    await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def running(*scripts: Script, models: Refuse = NO_MODELS) -> AsyncIterator[OpenAIServer]:
    """The server on a free port; ``base_url`` says where."""
    openai_server = OpenAIServer(*scripts, models=models)
    server = await asyncio.start_server(openai_server.connected, "127.0.0.1", 0)
    openai_server.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield openai_server
    finally:
        server.close()
        await openai_server.stop()
        await server.wait_closed()


def event(payload: Any, name: str | None = None) -> bytes:
    """A server-sent event."""
    data = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()


def chat_chunk(delta: Any = None, finish_reason: str | None = None, **more: Any) -> bytes:
    """A ``chat.completion.chunk`` with one choice."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish_reason}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], "usage": None} | more)


CHAT_USAGE = {"prompt_tokens": 1500, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 1000}}
RESPONSES_USAGE = {"input_tokens": 1500, "output_tokens": 12, "input_tokens_details": {"cached_tokens": 1000}}


def chat_text(*pieces: str, usage: Any = CHAT_USAGE, finish_reason: str = "stop") -> list[bytes]:
    """A whole answer of Chat Completions."""
    last = [event({"object": "chat.completion.chunk", "choices": [], "usage": usage})] if usage else []
    begin = chat_chunk({"role": "assistant", "content": "", "refusal": None})
    words = [chat_chunk({"content": piece}) for piece in pieces]
    return [begin, *words, chat_chunk({}, finish_reason), *last, event("[DONE]")]


def responses_event(kind: str, **more: Any) -> bytes:
    """An event of the Responses API."""
    return event({"type": kind, "sequence_number": 0} | more, kind)


def responses_text(*pieces: str, usage: Any = RESPONSES_USAGE) -> list[bytes]:
    """A whole answer of Responses."""
    response = {"id": "resp_1", "object": "response", "error": None, "incomplete_details": None}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    return [
        responses_event("response.created", response=response),
        responses_event("response.output_item.added", output_index=0, item=item),
        *(responses_event("response.output_text.delta", item_id="msg_1", delta=piece) for piece in pieces),
        responses_event("response.output_item.done", output_index=0, item=item),
        responses_event("response.completed", response=response | {"usage": usage, "status": "completed"}),
    ]


def answer(api: Api, *pieces: str, **more: Any) -> list[bytes]:
    """A whole answer of the API."""
    return chat_text(*pieces, **more) if api == "chat" else responses_text(*pieces, **more)


def first_words(api: Api) -> list[bytes]:
    """The answer up to its first piece of text, ``Hel``."""
    return answer(api, "Hel")[: 2 if api == "chat" else 3]


@asynccontextmanager
async def client_of(
    server: OpenAIServer, api: Api = "responses", options: OpenAIOptions | None = None
) -> AsyncIterator[OpenAILLMClient]:
    """A client that tries twice, with hardly a wait between."""
    client = OpenAILLMClient(
        api_key="sk-test",
        base_url=server.base_url,
        options=replace(options or OpenAIOptions(), api=api),
        retry=RetryPolicy(attempts=2, initial_seconds=0.001, max_seconds=0.01, jitter_seconds=0),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def reply_of(
    client: OpenAILLMClient, *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
) -> list[ModelEvent]:
    """All events of one reply to the dialogue, after the one that names its request."""
    accepted, *events = [event async for event in client.stream_reply(DIALOGUE, tools=tools, call_id=call_id)]
    assert isinstance(accepted, ModelAccepted)
    return events
