"""What can be had of one call besides its record: its explanation, the shape of its sound, and everything at once."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from app.calls.after.recorded_test import recorded_test
from app.clock import parse_iso
from app.errors import CallNotFound, CallStillLive
from app.journal.record import call_record
from app.models import JournalRow
from app.storage.calls import CallRow
from app.storage.disk_threads import on_disk
from app.wiring import Services
from media.errors import RecordingUnreadable
from media.recording_report import recording_report
from media.waveform import waveform
from media.whole_recording import WholeRecording
from routers.auditing import WITH_KEY
from routers.call_archive import Part, archive, json_part
from routers.calls import TheCall
from routers.deliveries import delivery_of
from routers.dependencies import TheServices
from routers.explanation import Line, SentWebhook, explanation
from routers.file_schemas import Explanation, ExplanationLine, Waveform
from routers.recordings import on_their_way
from routers.views import call_of, events_json, transcript_text

router = APIRouter(prefix="/calls/{call_id}", dependencies=WITH_KEY, tags=["calls"])

_POINTS = "Into how many equal parts the call is cut."
_SOUND = "A zip with the file and the caller's sound, rather than the file alone."
_WEBHOOKS_MAX = 1000


@router.get("/explanation", response_model=Explanation)
async def explain_call(
    call: TheCall, services: TheServices, form: Annotated[Literal["json", "text"], Query(alias="format")] = "json"
) -> Explanation | Response:
    """Get what happened in a call, on one page, and first what went wrong: what `voice-agent explain` prints."""
    lines = await _explained(call, await services.journal_reader.rows(call.call_id), services)
    if form == "text":
        return PlainTextResponse(_text(lines))
    return Explanation(lines=[ExplanationLine(text=line.text, tone=line.tone) for line in lines])


@router.get("/waveform")
async def get_waveform(
    call: TheCall, services: TheServices, points: Annotated[int, Query(ge=1, le=4000, description=_POINTS)] = 1000
) -> Waveform:
    """Get how loud caller and agent are in the recording from moment to moment."""
    whole = await _recording(call, services)
    if whole is None:
        raise CallNotFound("this call has no recording")
    try:
        caller, agent = await on_disk(waveform, whole, points)
    except (OSError, RecordingUnreadable) as error:
        raise CallNotFound("the recording cannot be read") from error
    finally:
        whole.close()
    return Waveform(seconds=round(whole.seconds, 3), caller=caller, agent=agent)


@router.get("/archive", response_class=Response)
async def get_archive(call: TheCall, services: TheServices) -> Response:
    """Get all of a call that has ended in one zip: record, events, transcript, explanation, webhooks, recording."""
    whole = await _recording(call, services)
    try:
        parts = await _parts(call, services)
    except BaseException:
        if whole is not None:
            whole.close()
        raise
    pieces = archive(call.call_id, parse_iso(call.started_at), parts, whole)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{call.call_id}.zip"',
    }
    sent = on_their_way(pieces, (lambda: None) if whole is None else whole.close)
    return StreamingResponse(sent, headers=headers, media_type="application/zip")


@router.get("/scenario", response_class=Response)
async def get_scenario(
    call: TheCall, services: TheServices, sound: Annotated[bool, Query(description=_SOUND)] = False
) -> Response:
    """Get a call that has ended as a file of tests: its caller's words and timing, and the answers of its tools.

    `voice-agent test` holds it again. With `sound`, a zip also has the caller's own sound, if the call was recorded.
    """
    if call.status != "ended":
        raise CallStillLive("a test is made of a call when it has ended")
    if call.words_erased_at is not None:
        raise CallNotFound("the words of this call were erased")
    rows = await services.journal_reader.rows(call.call_id)
    has_sound = sound and call.recording and call.recording_erased_at is None
    folder = services.settings.recordings_dir / call.call_id if has_sound else None
    try:
        made = await on_disk(partial(recorded_test, call.call_id, rows, folder, sound_folder=f"{call.call_id}.sound"))
    except ValueError as error:
        raise CallNotFound(str(error)) from error
    name = f"{call.call_id}.tests.yaml"
    headers = {"Cache-Control": "no-store"}
    if not sound:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(made.yaml, headers=headers, media_type="application/yaml")
    headers["Content-Disposition"] = f'attachment; filename="{call.call_id}.tests.zip"'
    parts = [Part(name, made.yaml.encode()), *(Part(path, wav) for path, wav in made.sounds.items())]
    pieces = archive(call.call_id, parse_iso(call.started_at), parts, None)
    return StreamingResponse(on_their_way(pieces, lambda: None), headers=headers, media_type="application/zip")


async def _parts(call: CallRow, services: Services) -> list[Part]:
    rows = await services.journal_reader.rows(call.call_id)
    folder = services.settings.recordings_dir
    record = await on_disk(call_of, call, rows, folder)
    lines = await _explained(call, rows, services)
    sent = await services.after.outbox.list(None, limit=_WEBHOOKS_MAX, call_id=call.call_id)
    webhooks = [delivery_of(each, services).model_dump() for each in sent]
    transcript = transcript_text(await asyncio.to_thread(call_record, rows))
    return [
        json_part("call.json", record.model_dump()),
        Part("events.json", (await asyncio.to_thread(events_json, rows)).encode()),
        Part("transcript.txt", transcript.encode()),
        Part("explanation.txt", _text(lines).encode()),
        json_part("webhooks.json", webhooks),
    ]


async def _explained(call: CallRow, rows: Sequence[JournalRow], services: Services) -> list[Line]:
    duration = call.duration_seconds if call.status == "ended" else None
    folder = services.settings.recordings_dir / call.call_id
    report = await on_disk(recording_report, folder, duration) if call.recording else None
    sent = await services.after.outbox.list(None, limit=_WEBHOOKS_MAX, call_id=call.call_id)
    webhooks = [SentWebhook(each.message_id, each.event, each.status) for each in reversed(sent)]
    return await asyncio.to_thread(explanation, call, rows, report, webhooks)


async def _recording(call: CallRow, services: Services) -> WholeRecording | None:
    """The recording, which the caller closes; None if there is none. Raises CallStillLive."""
    if call.status != "ended":
        raise CallStillLive("the recording is put together when the call has ended")
    if not call.recording or call.recording_erased_at is not None:
        return None
    with suppress(OSError, RecordingUnreadable):
        return await on_disk(WholeRecording, services.settings.recordings_dir / call.call_id)
    return None


def _text(lines: Sequence[Line]) -> str:
    return "".join(f"{line.text}\n" for line in lines)
