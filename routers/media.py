"""Media endpoints: sessions, and the websockets that carry the audio of calls."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any
from xml.etree.ElementTree import Element, SubElement, tostring

from fastapi import APIRouter, Body, Request, WebSocket
from starlette.websockets import WebSocketDisconnect

from app.calls.dispatch.media_sessions import NewSession, OpenedSession
from app.calls.dispatch.resumptions import resumes, shows_all_events
from app.calls.live.session import CallOrchestrator
from app.clients.simulated_caller import sandbox_of
from app.clock import iso_utc
from app.errors import AdmissionError, CallRejected, SpendingLimitReached, StorageError, TokenError, VoiceAgentError
from app.journal.shown_rows import shown_to_caller
from app.models import CallContext
from app.ports.services import CallLeg
from app.wiring import Services
from media.dialects.egress import EGRESS_FORMAT, EgressProtocol
from media.dialects.native import NativeProtocol
from media.dialects.protocol import Rejected
from media.dialects.refusals import RefusalLog
from media.dialects.twilio import TwilioProtocol
from media.legs.websocket import FarEndGone, WebSocketLeg, wait_for_start
from routers.auditing import WITH_KEY, made_call
from routers.dependencies import TheServices
from routers.problems import of_error
from routers.query_parameters import KNOWN_PARAMETERS
from routers.schemas import SessionAnswer, SessionRequest
from routers.unstarted import Unstarted

router = APIRouter(prefix="/media", dependencies=[KNOWN_PARAMETERS], tags=["media"])

_ABNORMAL = 1006
_TRY_AGAIN_LATER = 1013
_NO_CALL = Rejected(
    "bad_start", "the token opens no call: it is older than a minute, was used before, or was never given out", 1008
)


@router.post("/sessions", status_code=HTTPStatus.CREATED, dependencies=WITH_KEY)
async def create_media_session(
    services: TheServices, request: Request, wanted: Annotated[SessionRequest | None, Body()] = None
) -> SessionAnswer:
    """Create an address for one websocket. The session becomes a call when the socket sends ``start``."""
    services.dispatcher.admission.require_storage()
    await services.operators.orders.read()  # another process may have been told to pause a moment ago
    services.dispatcher.admission.check_paused()
    wanted = wanted or SessionRequest()
    agent = services.dispatcher.admission.wanted_agent(wanted.agent, wanted.variables)
    await services.dispatcher.admission.check_spending(agent)
    session = await services.sessions.create(
        wanted.caller,
        wanted.metadata,
        wanted.events,
        agent=wanted.agent,
        variables=wanted.variables,
        is_synthetic=wanted.synthetic,
    )
    made_call(request, session.call_id)
    domain = services.settings.domain
    scheme = "wss" if domain or request.url.scheme == "https" else "ws"
    door = f"{scheme}://{domain or request.headers.get('host', 'localhost')}/media"
    return SessionAnswer(
        call_id=session.call_id,
        url=f"{door}/{session.call_id}?token={session.token}",
        twiml=_twiml(f"{door}/twilio", session),
        expires_at=iso_utc(session.expires_at),
        sandbox=sandbox_of(services.settings),
    )


def _twiml(url: str, session: NewSession) -> str:
    """TwiML that connects a call to us: https://www.twilio.com/docs/voice/twiml/stream.

    Twilio drops the query of the url, so the token goes into a parameter.
    """
    response = Element("Response")
    stream = SubElement(SubElement(response, "Connect"), "Stream", url=url)
    SubElement(stream, "Parameter", name="call_id", value=session.call_id)
    SubElement(stream, "Parameter", name="token", value=session.token)
    return tostring(response, encoding="unicode")


@router.websocket("/twilio")
async def twilio(websocket: WebSocket, services: TheServices) -> None:
    """Twilio Media Streams. The stream's ``start`` message names the call; there is no call before it."""
    try:
        await services.dispatcher.admission.check()
    except (AdmissionError, StorageError) as error:
        await websocket.send_denial_response(of_error(error))
        return
    await websocket.accept()
    timeout = services.settings.carrier_hold_seconds
    socket, protocol = _Socket(websocket), TwilioProtocol(_now(), media_timeout_seconds=timeout)
    unstarted: Unstarted = websocket.app.state.unstarted
    refusals: RefusalLog = websocket.app.state.refusals
    try:
        async with unstarted.patience():
            started = await wait_for_start(
                socket, protocol, on_error=services.metrics.sound.media_failed, on_refusal=refusals.refused
            )
    except TimeoutError:
        await socket.close(_TRY_AGAIN_LATER)
        return
    if started is None:
        return
    leg = WebSocketLeg(
        socket, protocol, started.format, started.claims["call_id"], on_error=services.metrics.sound.media_failed
    )
    try:
        opened = await services.sessions.redeem(started.claims["call_id"], started.claims["token"])
    except TokenError as error:
        services.metrics.access.refused("media", error.code)
        refusals.refused(protocol.dialect, _NO_CALL)
        await leg.fail("bad_start", _NO_CALL.message)
    except StorageError:
        await leg.fail("internal", "the session could not be looked up")
    else:
        ids = {name: started.claims[name] for name in ("stream_sid", "call_sid")}
        await _serve(leg, replace(opened.call, metadata={**opened.call.metadata, "twilio": ids}), services)


@router.websocket("/egress/{call_id}")
async def egress(websocket: WebSocket, call_id: str, services: TheServices, token: str = "") -> None:
    """LiveKit track egress: the audio of a room is recorded and transcribed. The agent does not speak."""
    opened = await _opened(websocket, call_id, token, services)
    if opened is not None:
        timeout = services.settings.carrier_hold_seconds
        leg = WebSocketLeg(
            _Socket(websocket),
            EgressProtocol(_now(), media_timeout_seconds=timeout),
            EGRESS_FORMAT,
            call_id,
            on_error=services.metrics.sound.media_failed,
        )
        await _serve(leg, opened.call, services, listens_only=True)


@router.websocket("/{call_id}")
async def media(websocket: WebSocket, call_id: str, services: TheServices, token: str = "") -> None:
    """The native media protocol."""
    if resumes(token):
        await _resume(websocket, call_id, token, services)
        return
    opened = await _opened(websocket, call_id, token, services)
    if opened is None:
        return
    protocol = NativeProtocol(_now(), media_timeout_seconds=services.settings.media_timeout_seconds)
    socket = _Socket(websocket)
    started = await wait_for_start(socket, protocol, on_error=services.metrics.sound.media_failed)
    if started is not None:
        leg = WebSocketLeg(
            socket,
            protocol,
            started.format,
            call_id,
            shown=(_whole if opened.shows_all_events else shown_to_caller) if started.wants_events else None,
            on_error=services.metrics.sound.media_failed,
            is_resumable=True,
        )
        resumable = services.resumptions.leg(leg, call_id, shows_all=opened.shows_all_events)
        orchestrator = await _begun(resumable, leg, opened.call, services)
        if orchestrator is not None:
            await services.resumptions.carry(resumable, call_id, orchestrator)


async def _resume(websocket: WebSocket, call_id: str, token: str, services: Services) -> None:
    """Go on with a call whose client has lost its socket."""
    try:
        services.dispatcher.admission.require_storage()
        call = await services.resumptions.find(call_id, token)
    except (TokenError, StorageError) as error:
        if isinstance(error, TokenError):
            services.metrics.access.refused("media", error.code)
        await websocket.send_denial_response(of_error(error))
        return
    await websocket.accept()
    protocol = NativeProtocol(_now(), media_timeout_seconds=services.settings.media_timeout_seconds)
    socket = _Socket(websocket)
    started = await wait_for_start(socket, protocol, on_error=services.metrics.sound.media_failed)
    if started is None:
        return
    leg = WebSocketLeg(
        socket,
        protocol,
        started.format,
        call_id,
        shown=(_whole if shows_all_events(token) else shown_to_caller) if started.wants_events else None,
        on_error=services.metrics.sound.media_failed,
        is_resumable=True,
    )
    try:
        await services.resumptions.resume(call, token, leg)
    except VoiceAgentError as error:
        await leg.fail("bad_start", str(error))


def _whole(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row


async def _opened(websocket: WebSocket, call_id: str, token: str, services: Services) -> OpenedSession | None:
    """Accept the socket. Returns None after refusing it before the upgrade: a bad token, or no capacity."""
    try:
        await services.dispatcher.admission.check()
        opened = await services.sessions.redeem(call_id, token)
    except (TokenError, AdmissionError, StorageError) as error:
        if isinstance(error, TokenError):
            services.metrics.access.refused("media", error.code)
        await websocket.send_denial_response(of_error(error))
        return None
    await websocket.accept()
    return opened


async def _serve(leg: WebSocketLeg, call: CallContext, services: Services, *, listens_only: bool = False) -> None:
    orchestrator = await _begun(leg, leg, call, services, listens_only=listens_only)
    if orchestrator is not None:
        await orchestrator.carry(leg.run(orchestrator))


async def _begun(
    leg: CallLeg, socket: WebSocketLeg, call: CallContext, services: Services, *, listens_only: bool = False
) -> CallOrchestrator | None:
    """The call once it runs; None when there is no place for it, which its client has been told."""
    try:
        return await services.dispatcher.start(call, leg, direction="web", listens_only=listens_only)
    except AdmissionError as error:
        is_policy = isinstance(error, (SpendingLimitReached, CallRejected))
        await socket.refuse("rejected_policy" if is_policy else "rejected_capacity")
    except StorageError:
        await socket.fail("internal", "the call could not be stored")
    return None


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Socket:
    """Adapts Starlette's websocket to the leg."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            # uvicorn reports a broken connection as 1005, too, but then without any reason, not even an empty one.
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
