"""The deadlines that docs/deadlines.md tells are those of the code."""

from collections.abc import Iterator
from pathlib import Path

from app.calls.after import analysis
from app.calls.agent.schema import MCP_SECONDS, TOOL_SECONDS_MAX, LookupShape
from app.calls.agent.tools import WAITING_PHRASE_AFTER_SECONDS
from app.calls.live import event_loop, message_recording, phrase_cache, session
from app.calls.live.turn_knowledge import SEARCH_SECONDS_MAX
from app.clients import mcp_tools, piecewise, resilient, webhook_sender
from app.clients.cartesia.messages import CartesiaOptions
from app.clients.cartesia.stt_messages import InkOptions
from app.clients.deepgram import speak
from app.clients.deepgram.entries import ENTRIES
from app.clients.deepgram.messages import DeepgramOptions
from app.clients.entry import SttEntry
from app.clients.fallback import hearing, hearing_link, model, race, speech
from app.clients.http_tools import HttpEndpoint
from app.clients.limiter import LIVE_WAIT_SECONDS
from app.clients.livekit import api
from app.clients.openai.requests import OpenAIOptions
from app.conversation import stt_outage, user_turns
from app.conversation.policy import CallPolicy
from app.settings import Settings
from app.storage import database, health
from media.dialects.protocol import START_SECONDS
from media.legs import room, room_absence, room_connection

DOCUMENT = Path(__file__).parent.parent / "docs" / "deadlines.md"
POLICY, MODEL, VOICE, HEARING = CallPolicy(), OpenAIOptions(), CartesiaOptions(), DeepgramOptions()
WHISPER = InkOptions()
NONE = None


def default(setting: str) -> float:
    return float(Settings.model_fields[setting].default)


LATE = {entry.name: entry.late_seconds for entry in ENTRIES if isinstance(entry, SttEntry)}
STALLS = {MODEL.token_gap_seconds, VOICE.audio_gap_seconds, piecewise._GAP_SECONDS}
TURN = {
    "nothing of the answer is heard": default("max_response_latency") - POLICY.filler_lead_seconds,
    "after the end of a filler": POLICY.filler_repeat_seconds,
    "no first token": model._LATE_SECONDS,
    "no first token of the others": model._NEXT_LATE_SECONDS,
    "no message while the caller speaks, Flux": LATE["deepgram-flux"],
    "no message while the caller speaks, Nova": LATE["deepgram-nova"],
    "no message of a recogniser that has heard nothing": hearing_link._UNPROVEN_SECONDS,
    "no new connection after a loss": hearing_link._RECONNECT_SECONDS,
    "no first connection": hearing_link._CONNECT_SECONDS,
    "no first sound of a text": speech._LATE_SECONDS,
    "no first sound of the other voices": speech._NEXT_LATE_SECONDS,
    "an answer that has begun stalls": max(STALLS),
    "the vendor's limit is used up": LIVE_WAIT_SECONDS,
    "every model or voice wants a short wait": race._LIMITED_SECONDS,
    "nothing of the answer has begun": POLICY.reply_seconds,
    "an answer gets this time at least": user_turns._ANSWERED_WITHIN_SECONDS,
    "a tool runs: its own words": WAITING_PHRASE_AFTER_SECONDS,
    "a tool runs: a second line": POLICY.long_wait_seconds,
    "a tool runs: each further line": POLICY.long_wait_repeat_seconds,
    "a fixed line has not begun": POLICY.line_start_seconds,
    "a voice should have come to its next clause": POLICY.stall_seconds,
    "the caller cannot be heard": POLICY.stt_outage_seconds,
    "the same for a caller who has spoken": stt_outage._WAITS_SECONDS,
}
PARTS: dict[str, tuple[float | None, float | None, float | None, float | None]] = {
    "speech recognition, Flux": (
        HEARING.connect_seconds,
        HEARING.flux_stall_seconds,
        HEARING.flux_stall_seconds,
        HEARING.give_up_seconds,
    ),
    "speech recognition, Nova": (
        HEARING.connect_seconds,
        HEARING.nova_stall_seconds,
        HEARING.nova_stall_seconds,
        HEARING.give_up_seconds,
    ),
    "speech recognition, ink-whisper": (WHISPER.connect_seconds, WHISPER.stall_seconds, NONE, WHISPER.give_up_seconds),
    "speech recognition of a whole": (HEARING.connect_seconds, NONE, HEARING.batch_seconds, resilient._REQUEST_SECONDS),
    "speech recognition of a caller's message": (NONE, NONE, NONE, message_recording._TRANSCRIBED_WITHIN_SECONDS),
    "language model": (
        MODEL.connect_seconds,
        MODEL.first_token_seconds,
        MODEL.token_gap_seconds,
        POLICY.reply_seconds,
    ),
    "voice over the socket": (VOICE.connect_seconds, VOICE.first_audio_seconds, VOICE.audio_gap_seconds, NONE),
    "voice over HTTP": (speak._CONNECT_SECONDS, piecewise._FIRST_SECONDS, piecewise._GAP_SECONDS, NONE),
    "local voice": (NONE, piecewise._FIRST_SECONDS, piecewise._GAP_SECONDS, NONE),
    "probe of a model": (NONE, NONE, NONE, model._PROBE_SECONDS),
    "probe of a recogniser": (NONE, NONE, NONE, hearing._PROBE_SECONDS),
    "probe of a voice": (NONE, NONE, NONE, speech._PROBE_SECONDS),
    f"tool: its answer (`timeout_seconds`), at most {TOOL_SECONDS_MAX:g}": (
        NONE,
        NONE,
        NONE,
        HttpEndpoint("tool", "GET", "https://example.org").timeout_seconds,
    ),
    "tool of an MCP server: its answer": (NONE, NONE, NONE, MCP_SECONDS),
    "MCP server: the list of its tools": (NONE, NONE, NONE, mcp_tools._LISTING_SECONDS),
    "knowledge: a search": (NONE, NONE, NONE, SEARCH_SECONDS_MAX),
    "lookup while it rings": (NONE, NONE, NONE, LookupShape.model_fields["timeout_seconds"].default),
    "analysis of an ended call": (NONE, NONE, NONE, analysis._ATTEMPT_SECONDS),
    "LiveKit's API: a request": (NONE, NONE, NONE, api._REQUEST_SECONDS),
    "LiveKit's API: a dial": (NONE, NONE, NONE, api._ANSWER_SECONDS),
    "LiveKit: joining a room": (room_connection.CONNECT_SECONDS, NONE, NONE, room_connection.AGAIN_SECONDS),
    "LiveKit: joining a lost room": (room_connection._REJOIN_SECONDS, NONE, NONE, room_absence.AWAY_SECONDS_MAX),
    "LiveKit: a caller who is missing": (NONE, NONE, room._CALLER_RETURNS_SECONDS, NONE),
    "transfer: its outcome": (NONE, NONE, NONE, POLICY.transfer_seconds),
    "webhook to an operator": (webhook_sender._CONNECT_SECONDS, NONE, NONE, webhook_sender._SECONDS),
    "outbound call: ringing": (NONE, NONE, NONE, default("ring_seconds")),
    "storage: a write": (database.TURN_SECONDS, NONE, NONE, database.BUSY_MILLISECONDS / 1000),
    "storage: the greeting": (NONE, NONE, NONE, event_loop._GREETING_WAITS_SECONDS),
    "storage: the end of a call": (NONE, NONE, NONE, session._COMMITTED_WITHIN_SECONDS),
    "storage: a prepared phrase": (NONE, NONE, NONE, phrase_cache._READ_SECONDS),
    "storage: the check of each second": (NONE, NONE, NONE, health._ANSWER_SECONDS),
    "media: `start`": (NONE, START_SECONDS, NONE, NONE),
    "media: sound of the caller": (NONE, NONE, default("media_timeout_seconds"), default("max_call_seconds")),
}


def table(heading: str) -> Iterator[tuple[str, list[float | None]]]:
    """The rows of the section's table: what, and its cells."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        what, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("|") and cells[0] not in ("seconds", "connect") and not what.startswith("---"):
            yield what, [None if cell == "-" else float(cell) for cell in cells]


def test_the_deadlines_of_a_turn_are_those_of_the_code() -> None:
    told = list(table("A turn"))
    assert len(told) == len(TURN)
    for (what, cells), (begins, seconds) in zip(told, TURN.items(), strict=True):
        assert what.startswith(begins)
        assert cells == [round(seconds, 6)], what
    assert len(STALLS) == 1, "models and voices stall after the same time"


def test_the_deadlines_of_every_part_are_those_of_the_code() -> None:
    told = list(table("Vendors, tools, rooms, storage, media"))
    assert len(told) == len(PARTS)
    for (what, cells), (begins, seconds) in zip(told, PARTS.items(), strict=True):
        assert what.startswith(begins)
        assert cells == list(seconds), what


def test_attempts_at_an_answer_fit_into_its_time() -> None:
    asked_last = model._LATE_SECONDS + 2 * model._NEXT_LATE_SECONDS
    assert asked_last < POLICY.reply_seconds - MODEL.first_token_seconds
    assert POLICY.filler_lead_seconds < LIVE_WAIT_SECONDS < min(model._LATE_SECONDS, speech._LATE_SECONDS)
