"""Endpoints for calls: records, journals, transcripts and recordings, and actions on live calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse

from app.calls.live.actions import check_transfer
from app.clock import utc_now
from app.errors import CallNotFound, CallStillLive, InvalidRequest
from app.journal.record import call_record
from app.storage.call_lists import CallFilter
from app.storage.calls import CallRow
from app.storage.disk_threads import on_disk
from app.wiring import Services
from routers.auditing import WITH_KEY, made_call
from routers.dependencies import TheServices
from routers.query_parameters import moment, outcome_filters
from routers.recordings import recording_answer
from routers.schemas import (
    Analysis,
    Call,
    CallPage,
    EndReason,
    EventList,
    PlacedCall,
    SayRequest,
    Transcript,
    TransferRequest,
)
from routers.server_sent import HEARTBEAT, STREAM_BEGINNING, EventStream, EventStreams, server_sent
from routers.views import analysis_of, call_of, events_json, summary_of, transcript_of, transcript_text

router = APIRouter(prefix="/calls", dependencies=WITH_KEY, tags=["calls"])

_EVENT_STREAM = "text/event-stream"
_JSON = "application/json"
_SINCE, _UNTIL = "Started at this time or later: ISO 8601, UTC if it names no zone.", "Started before this time."
_FAULT = r"^(none|caller|carrier|ours|policy|provider:[^:]+)$"
_FAULT_MEANS = "`none`, `caller`, `carrier`, `ours`, `policy`, or `provider:` and the vendor's name."
_TEXT = (
    "Each term is a word that was said (or the beginning of one, from three letters on), a part of a number, "
    "or the beginning of the call's id. Words are found once the call has ended."
)
_UNANSWERED = "Ended calls with (`true`) or without (`false`) a turn of the caller that was never answered."
_WEBHOOK = (
    "The call of a webhook, by its `webhook-id` or the beginning; for an hour also by the `id` of one of LiveKit's."
)
_LATE = "Ended calls with or without an answer that came later than `MAX_RESPONSE_LATENCY` allows."
_FAILED = "Calls in which the line, a vendor or the service failed (`true`), or all others."
_SYNTHETIC = "Instead of real callers' calls, those of the service to itself and of simulated callers."
_ORDER = (
    "`worst`: one page of the calls with trouble, first those with the most unanswered turns, then those in which "
    "something failed, then those with the most late answers."
)
_LAST_SEQ = 2**53 - 1
"""The largest integer that JavaScript represents exactly. No journal is so long."""


def _number(name: str, example: str) -> Any:
    """The parameter of a number."""
    meaning = "A whole number with its `+`, or the end of one."
    return Query(alias=name, min_length=1, max_length=64, description=meaning, examples=[example])


async def _found(call_id: str, services: TheServices) -> CallRow:
    row = await services.calls.get(call_id)
    if row is None:
        raise CallNotFound("there is no such call")
    return row


TheCall = Annotated[CallRow, Depends(_found)]


@router.get("")
async def list_calls(
    services: TheServices,
    outcome: Annotated[dict[str, str], Depends(outcome_filters)],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="The `next_cursor` of the previous page.")] = None,
    status: Literal["ringing", "active", "ended"] | None = None,
    direction: Literal["inbound", "outbound", "web"] | None = None,
    caller: Annotated[str | None, _number("from", "+70000000001")] = None,
    called: Annotated[str | None, _number("to", "4567")] = None,
    since: Annotated[str | None, Query(description=_SINCE, examples=["2026-11-22"])] = None,
    until: Annotated[str | None, Query(description=_UNTIL, examples=["2026-11-23T10:00:00Z"])] = None,
    agent: Annotated[str | None, Query(min_length=1, max_length=200, description="The name of the agent.")] = None,
    fault: Annotated[str | None, Query(pattern=_FAULT, description=_FAULT_MEANS, examples=["provider:tools"])] = None,
    end_reason: EndReason | None = None,
    webhook: Annotated[str | None, Query(min_length=4, max_length=200, description=_WEBHOOK)] = None,
    text: Annotated[str | None, Query(min_length=1, max_length=200, description=_TEXT, examples=["table 4567"])] = None,
    unanswered: Annotated[bool | None, Query(description=_UNANSWERED)] = None,
    late: Annotated[bool | None, Query(description=_LATE)] = None,
    failed: Annotated[bool | None, Query(description=_FAILED)] = None,
    synthetic: Annotated[bool, Query(description=_SYNTHETIC)] = False,
    order: Annotated[Literal["newest", "worst"], Query(description=_ORDER)] = "newest",
) -> CallPage:
    """List calls, newest first."""
    if order == "worst" and cursor is not None:
        raise InvalidRequest("order=worst has no further pages: choose a shorter time")
    wanted = CallFilter(
        status=status,
        direction=direction,
        caller=caller,
        called=called,
        since=moment("since", since),
        until=moment("until", until),
        agent=agent,
        fault=fault,
        end_reason=end_reason,
        text=text,
        webhook=webhook,
        unanswered=unanswered,
        late=late,
        failed=failed,
        synthetic=synthetic,
        worst_first=order == "worst",
        outcome=outcome,
    )
    rows, next_cursor = await services.calls.list(wanted, limit=limit, cursor=cursor)
    recordings = services.settings.recordings_dir
    calls = await on_disk(lambda: [summary_of(row, recordings) for row in rows])
    return CallPage(calls=calls, next_cursor=next_cursor)


@router.post("", response_model=Call, status_code=HTTPStatus.ACCEPTED)
async def place_call(
    wanted: PlacedCall,
    request: Request,
    services: TheServices,
    key: Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)] = None,
) -> Response:
    """Call a telephone. The call's record shows the outcome. Repeating key and body returns the same call."""
    if services.telephone is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "no telephone calls are placed: LIVEKIT_URL is not set")
    call_id = await services.telephone.placing.place(
        wanted.to, wanted.number, wanted.metadata, key, agent=wanted.agent, variables=wanted.variables
    )
    made_call(request, call_id)
    return await _accepted(call_id, services)


@router.get("/{call_id}", response_model=Call)
async def get_call(call: TheCall, services: TheServices) -> Response:
    """Get the whole record of a call."""
    return await _record(call, services)


@router.post("/{call_id}/hangup", response_model=Call, status_code=HTTPStatus.ACCEPTED)
async def hang_up(call_id: str, services: TheServices) -> Response:
    """Hang up at once. The last event of the call is its end."""
    await services.operators.requests.ask(call_id, "hangup")
    return await _accepted(call_id, services)


@router.post("/{call_id}/say", response_model=Call, status_code=HTTPStatus.ACCEPTED)
async def say(call_id: str, wanted: SayRequest, services: TheServices) -> Response:
    """Have the agent say a text after its current utterance. An event shows when it does."""
    await services.operators.requests.ask(call_id, "say", text=wanted.text)
    return await _accepted(call_id, services)


@router.delete("/{call_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_call(call: TheCall, services: TheServices) -> None:
    """Erase a call: its record, journal and recording, and what LiveKit sent about it."""
    await services.eraser.erase(call)


@router.post("/{call_id}/transfer", response_model=Call, status_code=HTTPStatus.ACCEPTED)
async def transfer(call: TheCall, wanted: TransferRequest, services: TheServices) -> Response:
    """Transfer the caller to a human after the agent's current utterance. An event reports the outcome."""
    check_transfer(call, wanted.to, services.settings.transfer_targets)
    await services.operators.requests.ask(call.call_id, "transfer", to=wanted.to)
    return await _accepted(call.call_id, services)


@router.get("/{call_id}/events", response_model=EventList)
async def get_events(
    call: TheCall,
    services: TheServices,
    request: Request,
    last_event_id: Annotated[int, Header(ge=0, le=_LAST_SEQ)] = 0,
) -> Response:
    """Get the journal, as a live stream of server-sent events if the client accepts them.

    The stream ends after the call's last event. A client that then reconnects gets 204, which stops an EventSource.
    While nothing happens, a comment comes every 15 s.
    """
    if _EVENT_STREAM in request.headers.get("accept", ""):
        return await _stream(call, services, last_event_id, request.app.state.event_streams)
    rows = await services.journal_reader.rows(call.call_id)
    return Response(await asyncio.to_thread(events_json, rows), media_type=_JSON)


@router.get("/{call_id}/transcript", response_model=Transcript)
async def get_transcript(
    call: TheCall, services: TheServices, form: Annotated[Literal["json", "text"], Query(alias="format")] = "json"
) -> Transcript | Response:
    """Get who said what. ``format=text`` has one line for each turn."""
    record = await asyncio.to_thread(call_record, await services.journal_reader.rows(call.call_id))
    if form == "text":
        return PlainTextResponse(transcript_text(record))
    return transcript_of(record)


@router.get("/{call_id}/analysis")
async def get_analysis(call: TheCall) -> Analysis:
    """Get what came of a call: its summary, and the values that the agent's `outcome` asks for."""
    analysis = analysis_of(call)
    if analysis is None:
        raise CallNotFound("this call has no analysis")
    return analysis


@router.post("/{call_id}/analysis", status_code=HTTPStatus.ACCEPTED)
async def analyse_call(call_id: str, services: TheServices) -> Analysis:
    """Analyse a call anew. The record shows the result, and `call.analyzed` reports it."""
    await services.after.analyses.request(call_id, utc_now())
    return await get_analysis(await _found(call_id, services))


@router.get("/{call_id}/recording", response_class=Response)
async def get_recording(call: TheCall, services: TheServices, request: Request) -> Response:
    """Get the recording: a stereo WAV, the caller left, the agent right. Supports range requests."""
    if call.status != "ended":
        raise CallStillLive("the recording is put together when the call has ended")
    if not (await on_disk(summary_of, call, services.settings.recordings_dir)).recording_available:
        raise CallNotFound("the recording was erased" if call.recording_erased_at else "this call was not recorded")
    return await recording_answer(call, services.settings.recordings_dir / call.call_id, request.headers)


async def _accepted(call_id: str, services: Services) -> Response:
    """Answer 202 with the current record. The request is stored."""
    return await _record(await _found(call_id, services), services, HTTPStatus.ACCEPTED)


async def _record(call: CallRow, services: Services, status: HTTPStatus = HTTPStatus.OK) -> Response:
    rows = await services.journal_reader.rows(call.call_id)
    record = await on_disk(call_of, call, rows, services.settings.recordings_dir)
    return Response(record.model_dump_json(), status_code=status, media_type=_JSON)


async def _stream(call: CallRow, services: Services, after: int, streams: EventStreams) -> Response:
    if call.status == "ended" and after and not await services.journal_reader.rows(call.call_id, after):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return EventStream(_server_sent(call.call_id, services, after), streams)


async def _server_sent(call_id: str, services: Services, after: int) -> AsyncIterator[str]:
    yield STREAM_BEGINNING
    pages = services.journal_reader.follow(call_id, after, quiet_seconds=services.times.heartbeat_seconds)
    async with aclosing(pages):
        async for rows in pages:
            yield "".join(map(server_sent, rows)) or HEARTBEAT
