"""``WS /calls/{call_id}/listen``: both sides of a live call, for an operator.

The sound is what the call's owner writes to the disk (:mod:`media.live_sound`), so any worker can send it, and nothing
that happens to a listener is felt by the call. The disk is the buffer: a listener who is slow hears the newest sound
next. Messages to the listener: ``start``, then sound in binary messages; before sound that does not follow what was
sent, ``skipped``; after the last, ``end``. What a listener sends is ignored.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from fastapi import APIRouter, HTTPException, WebSocket
from fastapi.security import HTTPAuthorizationCredentials
from fastapi.security.utils import get_authorization_scheme_param
from starlette.websockets import WebSocketDisconnect

from app.errors import CallAlreadyEnded, CallNotFound, NotRecorded, VoiceAgentError
from app.storage.calls import CallStore
from app.storage.disk_threads import start_on_disk
from media.live_sound import LiveSound
from routers import session_cookie
from routers.dependencies import TheServices, require_key
from routers.problems import handle_http, of_error, problem
from routers.query_parameters import KNOWN_PARAMETERS

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/calls", dependencies=[KNOWN_PARAMETERS], tags=["calls"])

LISTENERS_MAX = 20
"""At once in one process. Each reads from the disk twenty times a second."""
_LOOK_SECONDS = 0.05
_LOOKS_PER_QUESTION = 5
"""How many times the disk is read before the database is asked whether the call still lives."""
_LAST_SECONDS = 0.2
"""How long the last sound may take to the disk after the end of the call was stored."""
_TRY_AGAIN_SECONDS = 5
_GOING_AWAY = 1001

_Messages = AsyncIterator[dict[str, Any] | bytes]


class Listeners:
    """Counts those who listen in on this process."""

    def __init__(self, limit: int = LISTENERS_MAX, send_seconds: float = 10.0) -> None:
        """A listener who takes nothing for ``send_seconds`` is gone."""
        self.limit = limit
        self.send_seconds = send_seconds
        self.listening = 0


@router.websocket("/{call_id}/listen")
async def listen_in(websocket: WebSocket, call_id: str, services: TheServices) -> None:
    """Hear both sides of a live call that is being recorded, a second late at most."""
    try:
        await _require_key(websocket, services)
        await _require_live(call_id, services.calls)
    except HTTPException as error:
        return await websocket.send_denial_response(await handle_http(websocket, error))  # type: ignore[arg-type]
    except VoiceAgentError as error:
        return await websocket.send_denial_response(of_error(error))
    listeners: Listeners = websocket.app.state.listeners
    if listeners.listening >= listeners.limit:
        detail = f"{listeners.limit} listeners are on this process, which is the limit"
        headers = {"Retry-After": str(_TRY_AGAIN_SECONDS)}
        refusal = problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_listeners", detail, headers=headers)
        return await websocket.send_denial_response(refusal)
    listeners.listening += 1
    try:
        await websocket.accept()
        log.info("call.listened", call_id=call_id)
        messages = live_messages(services.settings.recordings_dir / call_id, call_id, services.calls)
        await _serve(websocket, messages, listeners.send_seconds)
    finally:
        listeners.listening -= 1
    return None


async def live_messages(folder: Path, call_id: str, calls: CallStore) -> _Messages:
    """What a listener is sent, as it comes, until the call is over. Raises StorageError, OSError."""
    sound = LiveSound(folder)
    reading: asyncio.Future[Any] | None = None
    looks, has_started, is_over = 0, False, False
    try:
        while True:
            if looks % _LOOKS_PER_QUESTION == 0:
                row = await calls.get(call_id)
                is_over = row is None or row.status == "ended"
                if is_over:
                    await asyncio.sleep(_LAST_SECONDS)
            looks += 1
            reading = start_on_disk(sound.read, is_over=is_over)
            block = await asyncio.shield(reading)
            if block is not None:
                if not has_started:
                    has_started = True
                    form = {"sample_rate": sound.sample_rate, "channels": 2, "encoding": "pcm_s16le"}
                    yield {"type": "start", **form, "at_seconds": round(block.start, 5)}
                if block.skipped_seconds:
                    yield {"type": "skipped", "seconds": round(block.skipped_seconds, 5)}
                yield block.audio
            if is_over:
                yield {"type": "end"}
                return
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        # A listener who is gone does not wait for a slow disk.
        if reading is None or reading.done():
            sound.close()
        else:
            reading.add_done_callback(lambda _: sound.close())


async def _require_key(websocket: WebSocket, services: TheServices) -> None:
    """As for every other route: FastAPI's own readers of a key know requests only. Raises HTTPException."""
    scheme, value = get_authorization_scheme_param(websocket.headers.get("authorization"))
    bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=value) if scheme.lower() == "bearer" else None
    await require_key(websocket, services, bearer, websocket.cookies.get(session_cookie.NAME))


async def _require_live(call_id: str, calls: CallStore) -> None:
    """Raises CallNotFound, CallAlreadyEnded, NotRecorded, StorageError."""
    row = await calls.get(call_id)
    if row is None:
        raise CallNotFound("there is no such call")
    if row.status == "ended":
        raise CallAlreadyEnded("the call has ended: its recording can be heard")
    if not row.recording:
        raise NotRecorded("this call is not recorded, so nobody can listen in")


async def _serve(websocket: WebSocket, messages: _Messages, seconds: float) -> None:
    """Send until the call or the listener is gone. A task of each direction; both end here."""
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_send(websocket, messages, seconds), name="listener.send")
        leaving = tasks.create_task(_until_gone(websocket), name="listener.leave")
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        leaving.cancel()


async def _send(websocket: WebSocket, messages: _Messages, seconds: float) -> None:
    code = _GOING_AWAY
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):  # RuntimeError: closed while a message was sent
        async with aclosing(messages):  # type: ignore[type-var]
            with suppress(VoiceAgentError, OSError):
                async for message in messages:
                    async with asyncio.timeout(seconds):
                        if isinstance(message, bytes):
                            await websocket.send_bytes(message)
                        else:
                            await websocket.send_json(message)
                code = 1000
        async with asyncio.timeout(seconds):
            await websocket.close(code)


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
