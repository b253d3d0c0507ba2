"""How the stand-ins answer under a fault: error statuses, dropped connections, websockets and event streams."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from sandbox.vendors.faults import CutOff, Stalled, Trouble
from sandbox.vendors.stage import Stage

GARBAGE = '{"type": "chun'
"""A message that is not JSON."""

Message = dict[str, Any]


def stage_of(connection: HTTPConnection) -> Stage:
    """The sandbox's shared state."""
    stage: Stage = connection.app.state.stage
    return stage


def drop(connection: HTTPConnection, *, reset: bool = False) -> None:
    """Close the connection without a close frame, or reset it."""
    hang_up: Callable[..., None] | None = getattr(connection.app.state, "hang_up", None)
    if hang_up is not None:
        hang_up(connection.scope["client"], reset=reset)


async def cut(websocket: WebSocket, cause: CutOff | ExceptionGroup[CutOff]) -> None:
    """Cut the connection: with the close code if there is one, otherwise without a close frame."""
    first = cause if isinstance(cause, CutOff) else cause.exceptions[0]
    close_code = first.close_code if isinstance(first, CutOff) else None
    if close_code is None:
        drop(websocket, reset=isinstance(first, CutOff) and first.reset)
    else:
        await websocket.close(close_code)


async def deny(websocket: WebSocket, refusal: Response) -> None:
    """Answer the upgrade with an error status, or not at all."""
    if isinstance(refusal, Dropped):
        drop(websocket)
        await swallow(websocket)
        await websocket.close()  # raises for a client that is gone, and so the server knows
    else:
        await websocket.send_denial_response(refusal)


async def swallow(websocket: WebSocket) -> None:
    """Read and ignore until the client leaves."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


class Socket:
    """A server's websocket that applies the request's fault to its messages."""

    def __init__(self, websocket: WebSocket, error: Message, trouble: Trouble) -> None:
        self._websocket = websocket
        self._error = error
        self._trouble = trouble

    async def send(self, message: Message | str | bytes, *, beat: bool = False) -> bool:
        """Send the message, or what the fault turns it into; False after an error event, which ends the answer.

        ``beat`` marks a message without news. Raises Stalled, CutOff, and WebSocketDisconnect when the client has
        left.
        """
        fate = await self._trouble.fate(beat=beat)
        if fate == "garbage":
            await self._websocket.send_text(GARBAGE)
        data = self._error if fate == "error_event" else message
        if isinstance(data, bytes):
            await self._websocket.send_bytes(data)
        else:
            await self._websocket.send_text(data if isinstance(data, str) else json.dumps(data, ensure_ascii=False))
        return fate != "error_event"


class NoAnswer(Response):
    """Accepts the request and never answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait until the client leaves."""
        await gone(Request(scope, receive))


class EventStream(Response):
    """An HTTP body that is produced piece by piece, and to which the request's fault applies.

    A piece is complete in itself, such as one event. ``garbage`` and ``error`` are what those faults send.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        trouble: Trouble,
        *,
        media_type: str,
        garbage: bytes,
        error: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._pieces = pieces
        self._trouble = trouble
        self._garbage = garbage
        self._error = error
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers at once and pieces as they come; stop when the client leaves."""
        request = Request(scope, receive)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(gone(request), name="client-watch")
            streaming = group.create_task(self._stream(send), name="event-stream")
            await asyncio.wait({watching, streaming}, return_when=asyncio.FIRST_COMPLETED)
            streaming.cancel()
            if not (streaming.done() and streaming.result() == "stalled"):
                watching.cancel()
        if not streaming.cancelled() and streaming.result() == "cut":
            await Dropped()(scope, receive, send)

    async def _stream(self, send: Send) -> Literal["ended", "stalled", "cut"]:
        try:
            async with self._trouble.cutting(), aclosing(self._pieces):
                async for piece in self._pieces:
                    if not await self._put(piece, send):
                        break
        except Stalled:
            return "stalled"
        except CutOff:
            return "cut"
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return "ended"

    async def _put(self, piece: bytes, send: Send) -> bool:
        fate = await self._trouble.fate()
        body = {"send": piece, "garbage": self._garbage + piece, "error_event": self._error}[fate]
        await send({"type": "http.response.body", "body": body, "more_body": True})
        return fate != "error_event"


class Dropped(Response):
    """Closes the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drop the connection, and wait until it is gone."""
        request = Request(scope, receive)
        drop(request)
        await gone(request)


async def whole_answer(answer: Response, error: Response, trouble: Trouble) -> Response:
    """Apply a fault to an answer in one piece; it has no middle, so the fault strikes at once."""
    fault = trouble.fault
    match fault.kind if fault is not None else None:
        case "hang" | "stall":
            return NoAnswer()
        case "cut":
            return Dropped()
        case "garbage":
            return Response(GARBAGE, media_type="application/json")
        case "error_event":
            return error
        case "slow" | "late" if fault is not None:
            await asyncio.sleep(fault.seconds_per_item)
            return answer
        case _:
            return answer


async def gone(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
