"""Media: sessions, and the websocket through which a call's sound flows."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, WebSocket
from starlette.websockets import WebSocketDisconnect

from app.clock import iso_utc
from app.errors import AdmissionError, StorageError, TokenError
from app.models import CallContext
from app.wiring import Services
from media.websocket_leg import FarEndGone, WebSocketLeg
from routers.dependencies import TheServices, require_key
from routers.problems import of_error
from routers.schemas import SessionAnswer, SessionRequest

router = APIRouter(prefix="/media", tags=["media"])

_ABNORMAL = 1006


@router.post("/sessions", status_code=HTTPStatus.CREATED, dependencies=[Depends(require_key)])
async def create_session(
    services: TheServices, request: Request, wanted: Annotated[SessionRequest | None, Body()] = None
) -> SessionAnswer:
    """An address for one websocket; the session becomes a call when the socket sends ``start``."""
    wanted = wanted or SessionRequest()
    session = await services.sessions.create(wanted.caller, wanted.metadata)
    domain = services.settings.domain
    scheme = "wss" if domain or request.url.scheme == "https" else "ws"
    host = domain or request.headers.get("host", "localhost")
    return SessionAnswer(
        call_id=session.call_id,
        url=f"{scheme}://{host}/media/{session.call_id}?token={session.token}",
        expires_at=iso_utc(session.expires_at),
    )


@router.websocket("/{call_id}")
async def media(websocket: WebSocket, call_id: str, services: TheServices, token: str = "") -> None:
    """The native media protocol; refused before the upgrade when the token or the room does not fit."""
    try:
        await services.dispatcher.check_admission()
        call = await services.sessions.redeem(call_id, token)
    except (TokenError, AdmissionError, StorageError) as error:
        await websocket.send_denial_response(of_error(error))
        return
    await websocket.accept()
    leg = await WebSocketLeg.accept(_Socket(websocket), call_id)
    if leg is not None:
        await _serve(leg, call, services)


async def _serve(leg: WebSocketLeg, call: CallContext, services: Services) -> None:
    try:
        orchestrator = await services.dispatcher.start(call, leg, direction="web")
    except AdmissionError:
        await leg.refuse("rejected_capacity")
        return
    except StorageError:
        await leg.fail("the call could not be stored")
        return
    await orchestrator.carry(leg.run(orchestrator))


class _Socket:
    """Starlette's websocket as the leg wants it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            # uvicorn tells a connection that broke as 1005 too, but then there is no reason, not even an empty one.
            raise FarEndGone(message["code"] if "reason" in message else _ABNORMAL)
        audio: bytes | None = message.get("bytes")
        return audio if audio is not None else message["text"]

    async def send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                await self._websocket.send_bytes(message)
            else:
                await self._websocket.send_text(message)
        except (WebSocketDisconnect, RuntimeError) as error:
            # Starlette raises RuntimeError for a socket that was closed while a message was on its way.
            raise FarEndGone(_ABNORMAL) from error

    async def close(self, code: int) -> None:
        try:
            await self._websocket.close(code)
        except (WebSocketDisconnect, RuntimeError):
            return
