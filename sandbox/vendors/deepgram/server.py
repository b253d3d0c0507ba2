"""Deepgram's routes: ``/v1/listen`` (websocket and POST), ``/v2/listen`` and ``POST /v1/speak``.

See developers.deepgram.com/reference.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.vendors.deepgram.faults import twisted
from sandbox.vendors.deepgram.flux import FluxStream
from sandbox.vendors.deepgram.nova import NovaStream
from sandbox.vendors.deepgram.query import BadQuery, read_flux, read_nova
from sandbox.vendors.deepgram.recording import hear_recording
from sandbox.vendors.deepgram.speak import CONTENT_TYPES, Speaking
from sandbox.vendors.deepgram.stream import Fatal, Send, Stream
from sandbox.vendors.faults import CutOff, Stalled, Trouble
from sandbox.vendors.stage import Stage
from sandbox.vendors.wire import (
    GARBAGE,
    Dropped,
    EventStream,
    Message,
    NoAnswer,
    Socket,
    cut,
    deny,
    stage_of,
    swallow,
    whole_answer,
)

RECORDING_ROUTE = "v1/listen POST"
SPEECH_ROUTE = "v1/speak POST"
_REQUEST_ID = "00000000-0000-4000-8000-000000000000"
_TURNED_AWAY: dict[str, tuple[int, str, str]] = {
    "refuse": (503, "SERVICE_UNAVAILABLE", "The service is temporarily unavailable."),
    "unauthorized": (401, "INVALID_AUTH", "Invalid credentials."),
    "unpaid": (402, "INSUFFICIENT_CREDITS", "The project has no credits left."),
    "forbidden": (403, "FORBIDDEN", "This is not available in your region."),
    "rate_limit": (429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
}
_ERRORS: dict[str, Message] = {
    "v1/listen": {"type": "Error", "variant": "ServerError", "description": "something broke", "message": ""},
    "v2/listen": {"type": "Error", "sequence_id": 0, "code": "INTERNAL_SERVER_ERROR", "description": "something broke"},
}


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    body = {"err_code": code, "err_msg": message, "request_id": _REQUEST_ID}
    return JSONResponse(body, status, {"dg-request-id": _REQUEST_ID, "dg-error": message, **(headers or {})})


def turned_away(connection: HTTPConnection, trouble: Trouble) -> Response | None:
    """The error for a client without a key, or that a fault turns away; None if it may proceed."""
    if trouble.turned_away == "unreachable":
        return Dropped()
    if trouble.turned_away is not None:
        return _refusal(*_TURNED_AWAY[trouble.turned_away], headers=trouble.headers)
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("token", "bearer") or not key.strip():
        return _refusal(*_TURNED_AWAY["unauthorized"])
    return None


async def listen_v1(websocket: WebSocket) -> None:
    """``/v1/listen``: Nova."""
    await _listen(
        websocket, "v1/listen", lambda stage, send: NovaStream(read_nova(websocket.query_params), stage, send)
    )


async def listen_v2(websocket: WebSocket) -> None:
    """``/v2/listen``: Flux."""
    await _listen(
        websocket, "v2/listen", lambda stage, send: FluxStream(read_flux(websocket.query_params), stage, send)
    )


async def _listen(websocket: WebSocket, route: str, make: Callable[[Stage, Send], Stream]) -> None:
    stage = stage_of(websocket)
    tag = websocket.query_params.get("tag")
    stage.keep_request("deepgram", route, tag, websocket.query_params.multi_items())
    trouble = stage.faults.take("deepgram", route, tag)
    socket = Socket(websocket, _ERRORS[route], trouble)

    async def send(message: Message, *, beat: bool = False) -> None:
        for each in twisted(trouble.named, message):
            if not await socket.send(each, beat=beat):
                raise Fatal

    refusal = turned_away(websocket, trouble)
    if refusal is not None:
        await deny(websocket, refusal)
        return
    try:
        stream = make(stage, send)
    except BadQuery as bad:
        await deny(websocket, _refusal(400, "INVALID_QUERY_PARAMETER", str(bad)))
        return
    await websocket.accept(headers=[(b"dg-request-id", stream.request_id.encode())])
    await _serve(websocket, stream, trouble)


async def _serve(websocket: WebSocket, stream: Stream, trouble: Trouble) -> None:
    try:
        async with trouble.cutting():
            await stream.open()
            await _read(websocket, stream)
    except Stalled:
        await swallow(websocket)
    except CutOff as struck:
        await cut(websocket, struck)
    except Fatal:
        await websocket.close(1011, "INTERNAL_SERVER_ERROR")
    except WebSocketDisconnect:
        pass  # the client left while something was being sent


async def _read(websocket: WebSocket, stream: Stream) -> None:
    while True:
        try:
            async with asyncio.timeout(stream.idle_seconds):
                received = await websocket.receive()
        except TimeoutError:
            await websocket.close(1011, "NET-0001")
            return
        if received["type"] == "websocket.disconnect":
            return
        if not await _take(received, stream):
            await stream.finish()
            await websocket.close(1000)
            return


async def _take(received: Mapping[str, Any], stream: Stream) -> bool:
    """Pass a message to the stream; False when the stream must close, which an empty binary message also asks for."""
    audio = received.get("bytes")
    if audio is not None:
        await stream.hear(audio)
        return bool(audio)
    try:
        message = json.loads(received.get("text") or "")
    except ValueError:
        message = None
    return await stream.obey(message)


async def transcribe(request: Request) -> Response:
    """``POST /v1/listen``: transcribe a whole recording."""
    stage = stage_of(request)
    tag = request.query_params.get("tag")
    stage.keep_request("deepgram", RECORDING_ROUTE, tag, request.query_params.multi_items())
    trouble = stage.faults.take("deepgram", RECORDING_ROUTE, tag)
    refusal = turned_away(request, trouble)
    if refusal is not None:
        return refusal
    try:
        heard = hear_recording(await request.body(), request.query_params, stage)
    except BadQuery as bad:
        return _refusal(400, "INVALID_QUERY_PARAMETER", str(bad))
    error = _refusal(500, "INTERNAL_SERVER_ERROR", "something broke")
    return await whole_answer(JSONResponse(heard), error, trouble)


async def speak(request: Request) -> Response:
    """``POST /v1/speak``: Aura's sound of one text as the response body."""
    stage = stage_of(request)
    tag = request.query_params.get("tag")
    stage.keep_request("deepgram", SPEECH_ROUTE, tag, request.query_params.multi_items())
    trouble = stage.faults.take("deepgram", SPEECH_ROUTE, tag)
    refusal = turned_away(request, trouble)
    if refusal is not None:
        return refusal
    if trouble.hangs:
        return NoAnswer()
    try:
        speaking = Speaking(request.query_params, await request.body())
    except BadQuery as bad:
        return _refusal(400, "INVALID_QUERY_PARAMETER", str(bad))
    return EventStream(
        speaking.pieces(stage, tag),
        trouble,
        media_type=CONTENT_TYPES[speaking.encoding_name],
        garbage=GARBAGE.encode(),
        error=b"",
        headers={"dg-request-id": _REQUEST_ID, "dg-model-name": speaking.model},
    )


async def key_details(request: Request) -> Response:
    """``GET /v1/auth/token``: what the key may do."""
    stage = stage_of(request)
    stage.keep_request("deepgram", "v1/auth/token", None, None)
    refusal = turned_away(request, stage.faults.take("deepgram", "v1/auth/token", None))
    return refusal or JSONResponse({"api_key_id": _REQUEST_ID, "scopes": ["usage:write"]})


ROUTES: list[BaseRoute] = [
    WebSocketRoute("/v1/listen", listen_v1),
    WebSocketRoute("/v2/listen", listen_v2),
    Route("/v1/listen", transcribe, methods=["POST"]),
    Route("/v1/speak", speak, methods=["POST"]),
    Route("/v1/auth/token", key_details),
]
