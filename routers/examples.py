"""The examples in the OpenAPI description: one call, as every endpoint shows it."""

from http import HTTPStatus
from typing import Any

_ID = "call_5f0c6a1d2b3e4f5a6b7c8d9e"
_JSON = "application/json"
_STAGES = {
    "end_of_turn": 0.26,
    "llm_first_token": 0.261,
    "first_clause": 0.084,
    "tts_first_audio": 0.068,
    "playout": 0.001,
    "total": 0.674,
}
_TURNS: list[dict[str, Any]] = [
    {
        "number": 1,
        "role": "user",
        "text": "When do you open?",
        "text_generated": None,
        "started_at": 3.42,
        "ended_at": 4.81,
        "interrupted": False,
        "heard": "exact",
        "stt_confidence": 0.97,
        "language": "en",
        "latency": None,
        "kind": "speech",
        "waited_seconds": None,
        "served": {},
        "knowledge": [],
    },
    {
        "number": 1,
        "role": "assistant",
        "text": "We open at nine",
        "text_generated": "We open at nine every day.",
        "started_at": 5.484,
        "ended_at": 6.2,
        "interrupted": True,
        "heard": "exact",
        "stt_confidence": None,
        "language": "en",
        "latency": {**_STAGES, "budget_kept": True, "filler_at": None, "bridged": False},
        "kind": "reply",
        "waited_seconds": None,
        "served": {"llm": ["llm"], "tts": ["tts-websocket"]},
        "knowledge": [],
    },
]
_ANALYSIS: dict[str, Any] = {
    "status": "done",
    "summary": "The caller asked when the clinic opens, and was told.",
    "fields": {"day": {"value": "2026-11-23", "quote": "When do you open?", "turn": 1, "verified_by": None}},
    "success": True,
    "reason": "The caller got the opening hours.",
    "model": "gpt-6-luna",
    "cost": 0.0004,
}
_SUMMARY: dict[str, Any] = {
    "call_id": _ID,
    "direction": "inbound",
    "status": "ended",
    "caller_number": "+70000000001",
    "called_number": "+70000000002",
    "livekit_room": "call-_+70000000001_5vHnq2",
    "started_at": "2026-11-22T10:00:00.000Z",
    "answered_at": "2026-11-22T10:00:00.412Z",
    "ended_at": "2026-11-22T10:00:47.900Z",
    "duration_seconds": 47.488,
    "end_reason": "caller_hangup",
    "end_detail": None,
    "fault": "none",
    "language": "en",
    "latency": {stage: {"p50": value, "p95": value, "max": value, "count": 1} for stage, value in _STAGES.items()},
    "token_usage": {"prompt": 412, "cached": 256, "completion": 9, "cost": 0.0003},
    "costs": {"stt": 0.0062, "llm": 0.0003, "tts": 0.0334, "telephony": 0.0095, "total": 0.0494, "currency": "USD"},
    "metadata": {"order": 7},
    "synthetic": False,
    "agent": "clinic",
    "variables": {"doctor": "Dr Smith"},
    "provider_ids": {"sip_call_id": "SCL_m3Xc9", "room_sid": "RM_k2Vb7", "requests": ["req_8f29", "req_8f2a"]},
    "recording_available": True,
    "recording": {"status": "gaps", "gaps": [[31.25, 33.5]]},
    "unanswered": {"count": 0, "waited_seconds": []},
    "late_answers": 0,
    "disclosure_heard_at": None,
    "consent": None,
    "abandoned": None,
    "message": None,
    "words_erased_at": None,
    "recording_erased_at": None,
    "seal": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "analysis": _ANALYSIS,
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "version": "0.1.0",
}
_FIGURES: dict[str, Any] = {
    "calls": 212,
    "answered": 209,
    "talk_seconds": 17843.2,
    "directions": {"inbound": 198, "outbound": 14},
    "end_reasons": {"caller_hangup": 170, "agent_hangup": 39, "busy": 3},
    "faults": {"none": 208, "carrier": 3, "provider:openai": 1},
    "abandoned": {"early": 4},
    "outcomes": {"success": 181, "failure": 19},
    "unanswered_turns": 2,
    "unanswered_calls": 2,
    "answers": 1534,
    "late_answers": 11,
    "late_calls": 9,
    "costs": {
        "stt": 2.31,
        "llm": 0.42,
        "tts": 7.02,
        "telephony": 3.1,
        "total": 12.85,
        "currency": "USD",
        "unpriced_calls": 0,
    },
    "latency": {
        stage: {"p50": value, "p95": 2 * value, "p99": 3 * value, "max": 4 * value, "count": 1534}
        for stage, value in _STAGES.items()
    },
}
_STATS = {
    "since": "2026-11-22T00:00:00.000Z",
    "until": "2026-11-23T00:00:00.000Z",
    "bucket": "day",
    "total": _FIGURES,
    "buckets": [{"starts_at": "2026-11-22T00:00:00.000Z", **_FIGURES}],
    "agents": [{"agent": "clinic", **_FIGURES}],
}
_TOOLS: list[dict[str, Any]] = [
    {
        "id": "call_8f2a",
        "name": "book_table",
        "number": 1,
        "called_at": 4.9,
        "outcome": "unknown",
        "status": None,
        "seconds": None,
    },
]
_FILLERS = [{"number": 1, "text": "One moment.", "started_at": 4.95, "ended_at": 5.4}]
_FAILURES = [
    {
        "number": 1,
        "at": 4.93,
        "provider": "openai",
        "stage": "think",
        "code": "provider_unavailable",
        "reason": "status 503",
        "request_id": "req_8f29",
        "final": False,
        "answer": "lost",
    },
]
_TRANSCRIPT = {"turns": _TURNS, "fillers": _FILLERS, "tools": _TOOLS, "failures": _FAILURES}
_CALL = {
    **_SUMMARY,
    **_TRANSCRIPT,
    "agent_hash": "9b74c9897bac770ffc029102a200c5de",
    "response_budget_seconds": 1.5,
    "holds": [{"started_at": 12.04, "ended_at": 20.48}],
}
_LIVE = {
    **_CALL,
    "status": "active",
    "ended_at": None,
    "duration_seconds": None,
    "end_reason": None,
    "analysis": None,
    "recording_available": False,
    "recording": {"status": "complete", "gaps": []},
}
_LIVE_NOW: dict[str, Any] = {
    "call_id": _ID,
    "direction": "inbound",
    "status": "active",
    "caller_number": "+70000000001",
    "called_number": "+70000000002",
    "agent": "clinic",
    "synthetic": False,
    "started_at": "2026-11-22T10:00:00.000Z",
    "answered_at": "2026-11-22T10:00:00.405Z",
    "seconds": 29.6,
    "floor": "speaking",
    "transfer_to": None,
    "speaker": "agent",
    "words": "We open at nine",
    "answer_seconds": 0.94,
    "late_answers": 0,
    "cost": 0.0123,
    "cost_is_complete": True,
    "trouble": [{"stage": "think", "what": "openai: provider_unavailable"}],
}
_EVENT: dict[str, Any] = {
    "seq": 2,
    "at": "2026-11-22T10:00:00.412Z",
    "t": 0.412,
    "type": "call.answered",
    "turn": None,
    "v": 1,
    "data": {"since_t": 0.405},
}
_STREAM = (
    f'retry: 2000\n\nid: 2\nevent: call.answered\ndata: {{"seq": 2, "at": "{_EVENT["at"]}", "t": 0.412, '
    f'"type": "call.answered", "turn": null, "v": 1, "data": {{"since_t": 0.405}}}}\n\n'
)
_COMPONENT = {
    "name": "deepgram",
    "status": "ok",
    "latency": 0.041,
    "last_success": "2026-11-22T10:00:00+00:00",
    "breaker": "closed",
    "detail": None,
}
_HEALTH = {
    "status": "ok",
    "age_seconds": 0.4,
    "components": [_COMPONENT],
    "failing_loops": [],
    "version": "0.1.0",
    "schema": "0013",
    "live_calls": 3,
    "workers": 1,
    "spending": {
        "day": "2026-11-22",
        "spent_usd": 4.21,
        "reserved_usd": 1.5,
        "unknown_calls": 0,
        "limit_usd": 50.0,
    },
    "limits": {
        "calls": 60,
        "call_usd": 1.5,
        "dials_per_day": 200,
        "dials_per_number_hour": 3,
        "vendors": [
            {
                "limit": "deepgram-listen",
                "provider": "deepgram",
                "in_use": 3,
                "concurrent": 50,
                "waiting": 0,
                "paused_seconds": 0.0,
                "left": {"requests": 0.93},
            },
        ],
    },
    "webhooks": {"waiting": 2, "dead": 0, "died": 0, "oldest": "2026-11-22T09:59:58.120Z", "switched_off": 0},
}
_AGENT: dict[str, Any] = {
    "name": "clinic",
    "version": "9b74c9897bac770ffc029102a200c5de",
    "numbers": ["+74951234567"],
    "languages": ["ru", "en"],
}
_WHOLE_AGENT: dict[str, Any] = {
    **_AGENT,
    "language": "ru",
    "timezone": "Europe/Moscow",
    "models": {"stt": "flux-general-multi", "llm": "gpt-6-luna", "tts": "sonic-3.5"},
    "voices": {"ru": "779673f3-895f-4935-b6b5-b031dc78b319"},
    "tools": ["find_free_times"],
    "mcp_servers": ["schedule"],
    "mcp_tools": ["schedule_find_times"],
    "knowledge": ["clinic.md"],
    "recording": True,
    "sip_headers": ["x-patient-id"],
    "disclosure": {},
    "consent": None,
    "variables": [{"name": "doctor", "default": "any doctor", "description": "Whom to see", "required": False}],
    "outcome": [{"name": "day", "schema": {"type": "string", "format": "date"}, "confirm": True}],
    "prompt": "You answer the telephone of a clinic.",
}
_POSSIBLE = {"transfer_targets": ["reception"], "places_calls": True}
_DELIVERY: dict[str, Any] = {
    "delivery_id": 12,
    "webhook_id": "msg_5c0d1e7a9b3f4d2e8a6b7c81",
    "call_id": _ID,
    "event": "call.ended",
    "url": "https://example.org/calls",
    "agent": None,
    "status": "pending",
    "attempts": 1,
    "happened_at": "2026-11-22T10:00:47.900Z",
    "next_attempt_at": "2026-11-22T10:00:53.120Z",
    "delivered_at": None,
    "answer": 500,
    "error": "answered 500",
}
_MEDIA = f"wss://voice.example.org/media/{_ID}?token=3q2-7w"
_TWIML = (
    '<Response><Connect><Stream url="wss://voice.example.org/media/twilio">'
    f'<Parameter name="call_id" value="{_ID}" /><Parameter name="token" value="3q2-7w" />'
    "</Stream></Connect></Response>"
)

_SESSION = {
    "call_id": _ID,
    "url": _MEDIA,
    "twiml": _TWIML,
    "expires_at": "2026-11-22T10:01:00.000Z",
    "sandbox": None,
}
_SCORE = {
    "name": "demo-en",
    "language": "en",
    "about": "Asks questions, interrupts a long answer, and says goodbye.",
}
_ORDERS: dict[str, Any] = {
    "paused_since": "2026-11-22T10:00:00.000Z",
    "draining_since": None,
    "outbound_stopped_since": None,
    "ordered_by": "operator",
}
_ASKED: dict[str, Any] = {
    "audit_id": 17,
    "at": "2026-11-22T10:00:00.000Z",
    "key": "night-shift",
    "action": "POST /calls/{call_id}/hangup",
    "call_id": "call_5f0c3f6b1d2e4a79a1b2c3d4",
    "detail": None,
    "status": 202,
}
_LISTED = {"number": "+70000000001", "added_at": "2026-11-22T10:00:00.000Z", "added_by": "caller"}

BODIES: dict[str, dict[str, Any]] = {
    "place_call": {
        "to": "+70000000001",
        "from": "+70000000002",
        "metadata": {"order": 7},
        "agent": "clinic",
        "variables": {"doctor": "Dr Smith"},
    },
    "say": {"text": "The technician is on the way."},
    "transfer": {"to": "reception"},
    "create_media_session": {"caller": "+70000000001", "metadata": {"order": 7}},
    "place_simulated_call": {"score": "demo-en", "agent": "clinic", "variables": {"doctor": "Dr Smith"}},
    "open_session": {"api_key": "the output of: openssl rand -hex 32"},
}
"""Request bodies by operation."""

ANSWERS: dict[str, tuple[tuple[int, str | None, Any], ...]] = {
    "list_calls": ((200, _JSON, {"calls": [_SUMMARY], "next_cursor": None}),),
    "get_stats": ((200, _JSON, _STATS),),
    "place_call": ((202, _JSON, {**_LIVE, "direction": "outbound", "status": "ringing", "answered_at": None}),),
    "get_call": ((200, _JSON, _CALL),),
    "delete_call": ((204, None, None),),
    "hang_up": ((202, _JSON, _LIVE),),
    "say": ((202, _JSON, _LIVE),),
    "transfer": ((202, _JSON, _LIVE),),
    "get_events": (
        (200, _JSON, {"events": [_EVENT]}),
        (200, "text/event-stream", _STREAM),
        (204, None, None),
    ),
    "get_transcript": (
        (200, _JSON, _TRANSCRIPT),
        (
            200,
            "text/plain",
            "[0:03] caller: When do you open?\n[0:04] tool book_table: called, outcome unknown\n"
            "[0:04] failure: openai cannot think: provider_unavailable (status 503, request req_8f29); not given up\n"
            "[0:04] agent, filler: One moment.\n[0:05] agent: We open at nine\n",
        ),
    ),
    "get_analysis": ((200, _JSON, _ANALYSIS),),
    "analyse_call": ((202, _JSON, {**dict.fromkeys(_ANALYSIS), "status": "pending"}),),
    "get_recording": ((200, "audio/wav", "RIFF…"),),
    "explain_call": (
        (200, _JSON, {"lines": [{"text": f"{_ID}: inbound, from +70000000001", "tone": "heading"}]}),
        (200, "text/plain", f"{_ID}: inbound, from +70000000001 to +70000000002, version 0.1.0\n"),
    ),
    "get_waveform": ((200, _JSON, {"seconds": 47.6, "caller": [0.0, 0.31, 0.02], "agent": [0.44, 0.0, 0.38]}),),
    "get_scenario": (
        (
            200,
            "application/yaml",
            f"agent: clinic\nscenarios:\n- name: {_ID}\n  caller: {{lines: [When do you open?]}}\n",
        ),
        (200, "application/zip", "PK…"),
    ),
    "get_archive": ((200, "application/zip", "PK…"),),
    "list_live_calls": ((200, _JSON, {"calls": [_LIVE_NOW], "at": "2026-11-22T10:00:30.000Z", "places": 60}),),
    "create_media_session": ((201, _JSON, _SESSION),),
    "list_scores": ((200, _JSON, {"scores": [_SCORE], "limit": 3}),),
    "place_simulated_call": ((201, _JSON, {"call_id": _ID}),),
    "receive_livekit_webhook": ((200, None, None),),
    "check_live": ((200, _JSON, {"status": "ok"}),),
    "check_ready": ((200, _JSON, {"status": "ok", "live_calls": 3}),),
    "get_health": ((200, _JSON, _HEALTH),),
    "get_metrics": ((200, "text/plain", "voice_calls_active 3.0\n"),),
    "list_agents": ((200, _JSON, {"agents": [_AGENT], "default": "clinic", "problems": [], **_POSSIBLE}),),
    "get_agent": ((200, _JSON, _WHOLE_AGENT),),
    "list_deliveries": ((200, _JSON, {"deliveries": [_DELIVERY], "next_cursor": None}),),
    "retry_delivery": ((202, _JSON, _DELIVERY),),
    "list_do_not_call": ((200, _JSON, {"numbers": [_LISTED], "next_cursor": None}),),
    "add_do_not_call": ((200, _JSON, _LISTED),),
    "remove_do_not_call": ((204, None, None),),
    "pause_service": ((202, _JSON, _ORDERS),),
    "resume_service": ((202, _JSON, _ORDERS | {"paused_since": None}),),
    "drain_service": ((202, _JSON, _ORDERS | {"draining_since": "2026-11-22T10:15:00.000Z"}),),
    "stop_outbound": ((202, _JSON, _ORDERS | {"outbound_stopped_since": "2026-11-22T10:15:00.000Z"}),),
    "list_audit": ((200, _JSON, {"entries": [_ASKED], "next_cursor": None}),),
    "open_session": ((204, None, None),),
    "close_session": ((204, None, None),),
}
"""Status, media type and body of successful responses, by operation. No media type means no body."""

CONFLICTS = {
    "delete_call",
    "hang_up",
    "say",
    "transfer",
    "get_recording",
    "get_waveform",
    "get_archive",
    "get_scenario",
    "analyse_call",
}
"""Operations that a call may refuse because of its state."""

_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: ("malformed_json", "the body is not JSON"),
    HTTPStatus.UNAUTHORIZED: ("unauthorized", "a valid key is needed: Authorization: Bearer <key>"),
    HTTPStatus.FORBIDDEN: ("forbidden", "this request comes from a page of another site"),
    HTTPStatus.NOT_FOUND: ("call_not_found", "there is no such call"),
    HTTPStatus.CONFLICT: ("call_live", "the call has not ended yet"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("body_too_large", "a body has at most 65536 bytes"),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        "unsupported_media_type",
        "send the body as JSON, with Content-Type: application/json",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("invalid_request", "query.limit: Input should be less than or equal to 200"),
    HTTPStatus.TOO_MANY_REQUESTS: ("too_many_requests", "too many wrong keys came from here"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("storage_failed", "the database failed: SQLITE_BUSY"),
}


def problem(status: HTTPStatus) -> dict[str, Any]:
    """An example problem document for that status."""
    code, detail = _PROBLEMS[status]
    return {"type": "about:blank", "title": status.phrase, "status": status.value, "code": code, "detail": detail}
