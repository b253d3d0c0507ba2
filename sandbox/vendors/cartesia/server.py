"""Cartesia's routes: ``/tts/websocket``, ``/tts/bytes``, ``/tts/sse``, ``/stt``, ``/voices`` (docs.cartesia.ai)."""

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.vendors.cartesia.context import Context, Piece, paced, speak, wav_header
from sandbox.vendors.cartesia.doors import BROKEN, REQUEST_ID, TURNED_AWAY, refusal, turned_away
from sandbox.vendors.cartesia.faults import Reset, Twist
from sandbox.vendors.cartesia.orders import Declined, Order, read_order
from sandbox.vendors.cartesia.stt import stt_recording, stt_websocket
from sandbox.vendors.faults import TURNED_AWAY as TURNED_AWAY_KINDS
from sandbox.vendors.faults import CutOff, Fault, Stalled, Trouble
from sandbox.vendors.stage import Stage, leading_call_id
from sandbox.vendors.wire import GARBAGE, EventStream, Message, NoAnswer, Socket, cut, deny, stage_of

_FINISHED_CONTEXTS = 1000
_VOICES = (("sandbox-ru", "Анна", "ru"), ("sandbox-en", "Alice", "en"))


async def tts_websocket(websocket: WebSocket) -> None:
    """``/tts/websocket``: many contexts on one socket."""
    stage = stage_of(websocket)
    stage.keep_request("cartesia", "tts/websocket", None, dict(websocket.query_params))
    trouble = stage.faults.take("cartesia", "tts/websocket", None, when=_strikes_handshake)
    denial = turned_away(websocket, trouble)
    if denial is not None:
        await deny(websocket, denial)
        return
    await websocket.accept()
    try:
        async with trouble.cutting():
            await SpeechSocket(websocket, stage).serve()
    except CutOff as struck:
        await cut(websocket, struck)


def _strikes_handshake(fault: Fault) -> bool:
    return fault.kind in TURNED_AWAY_KINDS and fault.call_id is None


def _strikes_context(fault: Fault) -> bool:
    return not _strikes_handshake(fault)


class _Broken(Exception):
    """Raised when an error event has ended the context."""


class SpeechSocket:
    """One client's websocket and its contexts."""

    def __init__(self, websocket: WebSocket, stage: Stage) -> None:
        self._websocket = websocket
        self._stage = stage
        self._contexts: dict[str, Context] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve until the client leaves, is idle for too long, or a fault cuts the socket. Ends the contexts' tasks."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._read(group)
                for task in self._tasks:
                    task.cancel()
        except* CutOff as cuts:
            await cut(self._websocket, cuts)
        except* WebSocketDisconnect:
            pass  # the client left while something was being sent

    async def _read(self, group: asyncio.TaskGroup) -> None:
        while True:
            try:
                async with asyncio.timeout(self._stage.limits.cartesia_idle_seconds):
                    message = await self._websocket.receive()
            except TimeoutError:
                await self._websocket.close(1000, "idle")
                return
            if message["type"] == "websocket.disconnect":
                return
            await self._handle(message.get("text") or "", group)

    async def _handle(self, text: str, group: asyncio.TaskGroup) -> None:
        context_id: str | None = None
        try:
            data = json.loads(text)
            context_id = str(data["context_id"])
            if data.get("cancel"):
                self._cancel(context_id)
            else:
                order = read_order(data, asyncio.get_running_loop().time())
                self._context(order, group).add(order)
        except Declined as declined:
            await self._websocket.send_json(declined.event(context_id, REQUEST_ID))
        except (ValueError, KeyError, TypeError, AttributeError):
            bad = Declined(400, "invalid_request", "Invalid request", "a JSON object with a context_id is expected")
            await self._websocket.send_json(bad.event(None, REQUEST_ID))

    def _cancel(self, context_id: str) -> None:
        self._stage.note("cartesia", "cancel", leading_call_id(context_id), context_id=context_id)
        if context_id in self._contexts:
            self._contexts[context_id].cancel()

    def _context(self, order: Order, group: asyncio.TaskGroup) -> Context:
        context_id = order.context_id
        if context_id in self._finished:
            raise Declined(400, "context_closed", "Context closed", "the context has ended or expired")
        if context_id not in self._contexts:
            call_id = leading_call_id(context_id)
            asked = {"context_id": context_id, "language": order.manner.language, "transcript": order.transcript}
            self._stage.keep_request("cartesia", "tts/websocket context", call_id, asked)
            text = order.transcript
            trouble = self._stage.faults.take(
                "cartesia",
                "tts/websocket",
                call_id,
                when=lambda fault: _strikes_context(fault) and (fault.phrase is None or fault.phrase in text),
            )
            twist = _twist(trouble)
            context = Context(order, self._stage, self._sender(context_id, trouble, twist), twist)
            self._contexts[context_id] = context
            task = group.create_task(self._run(context, context_id, trouble), name=f"context-{context_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._contexts[context_id]

    def _sender(self, context_id: str, trouble: Trouble, twist: Twist) -> Callable[[Message], Awaitable[None]]:
        names_context = trouble.fault is None or trouble.fault.with_context
        socket = Socket(self._websocket, BROKEN.event(context_id if names_context else None, REQUEST_ID), trouble)

        async def send(message: Message) -> None:
            try:
                twisted = twist.of(message)
            except Reset:
                raise CutOff(None, reset=True) from None
            for each in twisted:
                if isinstance(each, bytes):
                    await self._websocket.send_bytes(each)
                elif isinstance(each, str):
                    await self._websocket.send_text(each)
                elif not await socket.send(each):
                    raise _Broken

        return send

    async def _run(self, context: Context, context_id: str, trouble: Trouble) -> None:
        try:
            if trouble.turned_away == "unreachable":
                raise CutOff(None)
            if trouble.turned_away is not None:
                await self._websocket.send_json(TURNED_AWAY[trouble.turned_away].event(context_id, REQUEST_ID))
                return
            error = _twist(trouble).error(context_id)
            if error is not None:
                await self._websocket.send_json(error)
                return
            async with trouble.cutting():
                await context.run()
        except Stalled:
            await asyncio.get_running_loop().create_future()  # takes inputs and sends nothing until the socket closes
        except _Broken:
            pass  # the client has the error event
        finally:
            del self._contexts[context_id]
            self._finished[context_id] = None
            if len(self._finished) > _FINISHED_CONTEXTS:
                self._finished.popitem(last=False)


async def tts_bytes(request: Request) -> Response:
    """``/tts/bytes``: the sound of one text as the response body."""
    opened = await _open(request, "tts/bytes")
    if isinstance(opened, Response):
        return opened
    order, trouble, call_id = opened

    twist = _twist(trouble)

    async def body() -> AsyncGenerator[bytes]:
        if order.manner.output.container == "wav" or twist.has_header:
            yield wav_header(order.manner.output)
        async for piece in _pieces(stage_of(request), order, call_id):
            if piece.start >= twist.ends_after:
                return
            yield twist.instead_of(piece.audio)

    media_type = "audio/wav" if order.manner.output.container == "wav" else "audio/pcm"
    return EventStream(body(), trouble, media_type=media_type, garbage=GARBAGE.encode(), error=b"")


async def tts_sse(request: Request) -> Response:
    """``/tts/sse``: the sound of one text as server-sent events."""
    opened = await _open(request, "tts/sse")
    if isinstance(opened, Response):
        return opened
    order, trouble, call_id = opened

    async def events() -> AsyncGenerator[bytes]:
        async for piece in _pieces(stage_of(request), order, call_id):
            data = base64.b64encode(piece.audio).decode()
            yield _event({"type": "chunk", "data": data, "done": False, "status_code": 206, "step_time": 1.0})
        if order.add_timestamps:
            times = _times(order, stage_of(request), call_id)
            yield _event({"type": "timestamps", "done": False, "status_code": 206, "word_timestamps": times})
        yield _event({"type": "done", "done": True, "status_code": 200})

    garbage = f"event: chunk\ndata: {GARBAGE}\n\n".encode()
    error = _event(BROKEN.event(None, REQUEST_ID))
    return EventStream(events(), trouble, media_type="text/event-stream", garbage=garbage, error=error)


async def _open(request: Request, route: str) -> Response | tuple[Order, Trouble, str | None]:
    """The order of an HTTP request, or the error response."""
    stage = stage_of(request)
    call_id = request.headers.get("x-call-id")
    body = await request.body()
    trouble = stage.faults.take("cartesia", route, call_id)
    denial = turned_away(request, trouble)
    if denial is not None:
        return denial
    if trouble.hangs:
        return NoAnswer()
    if trouble.fault is not None and trouble.fault.kind == "error_event" and route == "tts/bytes":
        return refusal(BROKEN)
    try:
        data = json.loads(body)
        stage.keep_request("cartesia", route, call_id, data)
        order = read_order(data, asyncio.get_running_loop().time())
    except Declined as declined:
        return refusal(declined)
    except ValueError:
        return refusal(Declined(400, "invalid_request", "Invalid request", "the body is no JSON"))
    stage.note("cartesia", "input", call_id, context_id=_noted_id(order), chars=len(order.transcript))
    return order, trouble, call_id


async def _pieces(stage: Stage, order: Order, call_id: str | None) -> AsyncGenerator[Piece]:
    speech = speak(order.transcript, order, stage, call_id)
    async with aclosing(paced(speech, order, stage.profile, stage.chance("cartesia", call_id))) as pieces:
        async for piece in pieces:
            if piece.start == 0:  # before sending: the client may have played it before this task continues
                stage.note("cartesia", "first_audio", call_id, context_id=_noted_id(order), text=1)
            yield piece
    stage.note("cartesia", "audio_done", call_id)


def _noted_id(order: Order) -> str:
    """Stands for the context that an HTTP request does not have: its only text is the first."""
    return f"http-{order.received_at}"


def _times(order: Order, stage: Stage, call_id: str | None) -> dict[str, list[Any]]:
    words = speak(order.transcript, order, stage, call_id).words
    return {"words": [w.text for w in words], "start": [w.start for w in words], "end": [w.end for w in words]}


def _event(data: Message) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def _twist(trouble: Trouble) -> Twist:
    return Twist(trouble.named, status=trouble.fault.status if trouble.fault is not None else 400)


async def voices(request: Request) -> Response:
    """``/voices``: a short list; any other id works too."""
    stage = stage_of(request)
    stage.keep_request("cartesia", "voices", None, dict(request.query_params))
    trouble = stage.faults.take("cartesia", "voices", None)
    denial = turned_away(request, trouble)
    if denial is not None:
        return denial
    if trouble.hangs:
        return NoAnswer()
    listed = [_described(*each) for each in (() if "starting_after" in request.query_params else _VOICES)]
    return JSONResponse({"data": listed, "has_more": False, "next_page": None})


async def voice(request: Request) -> Response:
    """``/voices/{id}``: every id is a voice."""
    stage = stage_of(request)
    stage.keep_request("cartesia", "voices/id", None, dict(request.path_params))
    denial = turned_away(request, stage.faults.take("cartesia", "voices/id", None))
    return denial or JSONResponse(_described(request.path_params["voice_id"], "Any", "ru"))


def _described(voice_id: str, name: str, language: str) -> dict[str, Any]:
    return {
        "id": voice_id,
        "name": name,
        "language": language,
        "description": "A voice of the sandbox",
        "is_public": True,
        "is_owner": False,
        "created_at": "2026-01-01T00:00:00Z",
    }


ROUTES: list[BaseRoute] = [
    WebSocketRoute("/tts/websocket", tts_websocket),
    WebSocketRoute("/stt/websocket", stt_websocket),
    Route("/stt", stt_recording, methods=["POST"]),
    Route("/tts/bytes", tts_bytes, methods=["POST"]),
    Route("/tts/sse", tts_sse, methods=["POST"]),
    Route("/voices", voices),
    Route("/voices/{voice_id}", voice),
]
