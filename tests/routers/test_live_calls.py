"""Who is on the line now, of all workers."""

from pathlib import Path
from typing import Any

from tests.end_to_end.service import running_service
from tests.routers.kept_calls import INSERT_ROW, execute, keep_call

LIVE: dict[str, Any] = {"status": "active", "answered_at": "2026-11-22T10:00:01.000Z"}
ROWS = [
    ("call.created", {"language": "en", "policy": {}, "telephony_usd_per_minute": 0.0}),
    ("state.changed", {"before": "LISTENING", "after": "SPEAKING"}),
    ("agent.clause_started", {"speech": 1, "text": "We open at nine.", "start_sample": 0}),
]


async def test_calls_that_live_are_shown_as_they_are_now_and_read_once(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:
        assert (await http.get("/calls/live")).json()["calls"] == []
        keep_call(tmp_path, "call_later", started_at="2026-11-22T10:05:00.000Z", status="ringing", direction="inbound")
        keep_call(tmp_path, "call_first", ROWS, caller_number="+70000000001", agent="clinic", **LIVE)
        keep_call(tmp_path, "call_over", ROWS)
        first, later = (await http.get("/calls/live")).json()["calls"]
        assert (first["call_id"], later["call_id"]) == ("call_first", "call_later")
        assert (first["floor"], first["speaker"], first["words"]) == ("speaking", "agent", "We open at nine.")
        assert (first["caller_number"], first["agent"], later["status"]) == ("+70000000001", "clinic", "ringing")
        assert (first["cost"], first["cost_is_complete"], first["trouble"]) == (0.0, True, [])

        execute(tmp_path, INSERT_ROW, ("call_first", 4, "", 9.0, "caller.words", None, 1, '{"text": "Thank you"}'))
        execute(tmp_path, "DELETE FROM journal WHERE call_id = 'call_first' AND seq < 4")
        (first, _later) = (await http.get("/calls/live")).json()["calls"]
        assert (first["speaker"], first["words"], first["floor"]) == ("caller", "Thank you", "speaking")

        execute(tmp_path, "UPDATE calls SET status = 'ended' WHERE call_id = 'call_first'")
        assert [call["call_id"] for call in (await http.get("/calls/live")).json()["calls"]] == ["call_later"]
