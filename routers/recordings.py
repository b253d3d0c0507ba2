"""Sends a recording or a range of it, and whatever else is made piece by piece in a thread."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers

from app.clock import iso_from_epoch, parse_iso
from app.errors import CallNotFound
from app.storage.calls import CallRow
from app.storage.disk_threads import on_disk, start_on_disk
from media.errors import RecordingUnreadable
from media.whole_recording import WholeRecording
from routers.ranges import wanted_bytes

_NEVER = "1970-01-01"


async def recording_answer(call: CallRow, folder: Path, asked: Headers) -> Response:
    """The response to a player. Raises CallNotFound, or HTTPException for a wrong range.

    The WAV is assembled while it is sent; no file is written. The ETag shows that all ranges belong to one file: when
    the recording has been compressed meanwhile, a player that goes on with an older range gets all of it anew.
    """
    try:
        whole = await on_disk(WholeRecording, folder)
    except (OSError, RecordingUnreadable) as error:  # just erased, or damaged
        raise CallNotFound("the recording cannot be read") from error
    try:
        size, compressed = whole.size, whole.compressed
        tag = f'"{call.call_id}-{size}{"" if compressed is None else "-compressed"}"'
        ended = call.ended_at or _NEVER
        changed = format_datetime(
            parse_iso(ended if compressed is None else iso_from_epoch(compressed.changed)), usegmt=True
        )
        is_same_file = asked.get("if-range", tag) in (tag, changed)
        piece = wanted_bytes(asked.get("range"), size) if is_same_file else None
    except BaseException:
        whole.close()
        raise
    wanted = range(size) if piece is None else piece
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{call.call_id}.wav"',
        "Content-Length": str(len(wanted)),
        "ETag": tag,
        "Last-Modified": changed,
    }
    if piece is not None:
        headers["Content-Range"] = f"bytes {piece.start}-{piece.stop - 1}/{size}"
    status = HTTPStatus.OK if piece is None else HTTPStatus.PARTIAL_CONTENT
    return StreamingResponse(
        on_their_way(whole.read(wanted.start, wanted.stop), whole.close), status, headers, media_type="audio/wav"
    )


async def on_their_way(pieces: Iterator[bytes], close: Callable[[], None]) -> AsyncIterator[bytes]:
    """Make piece by piece in a thread, the next one when the previous one has been sent; then ``close``."""
    reading = start_on_disk(next, pieces, None)
    try:
        while (piece := await asyncio.shield(reading)) is not None:
            yield piece
            reading = start_on_disk(next, pieces, None)
    finally:
        # A client that is gone must not wait for a slow disk. The files are closed when the thread has finished.
        reading.add_done_callback(lambda _: close())
