"""What came of a call, at the doors."""

import json
from pathlib import Path
from typing import Any

from app.clock import lease_now
from tests.routers.kept_calls import execute, keep_call
from tests.routers.test_calls import assert_problem
from tests.routers.test_calls_placed import door

DONE: dict[str, Any] = {
    "status": "done",
    "summary": "Booked.",
    "fields": {"day": {"value": "Friday", "quote": "on Friday", "turn": 1, "verified_by": "caller"}},
    "success": True,
    "reason": "It was booked.",
    "model": "gpt-6-luna",
    "cost": 0.25,
}


async def test_the_analysis_is_in_the_record_in_lists_and_at_its_own_door(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        keep_call(tmp_path, "call-1", analysis=json.dumps(DONE))
        record = (await http.get("/calls/call-1")).json()
        [listed] = (await http.get("/calls")).json()["calls"]
        alone = (await http.get("/calls/call-1/analysis")).json()

    assert record["analysis"] == listed["analysis"] == alone == DONE


async def test_a_call_without_one_and_one_that_nobody_can_read(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        keep_call(tmp_path, "call-1")
        for number, written in enumerate(("[]", '{"status": "lost"}', '{"other": 1}', "nonsense"), 2):
            keep_call(tmp_path, f"call-{number}", analysis=written)
        records = [(await http.get(f"/calls/call-{number}")).json() for number in range(1, 6)]
        alone = await http.get("/calls/call-1/analysis")

    assert [record["analysis"] for record in records] == [None] * 5
    assert_problem(alone, 404, "call_not_found")


async def test_a_call_is_analysed_anew(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        keep_call(tmp_path, "call-1", analysis=json.dumps(DONE))
        keep_call(tmp_path, "live", status="active", lease_until=lease_now() + 600)
        again = await http.post("/calls/call-1/analysis")
        live = await http.post("/calls/live/analysis")
        unknown = await http.post("/calls/call-9/analysis")

    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert_problem(live, 409, "call_live")
    assert_problem(unknown, 404, "call_not_found")


async def test_calls_are_listed_by_what_came_of_them(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        for call_id, day in (("call-1", "Friday"), ("call-2", "Monday")):
            keep_call(tmp_path, call_id)
            execute(tmp_path, "INSERT INTO call_outcomes VALUES ('day', ?, ?)", (day, call_id))

        async def found(**outcome: str) -> list[str]:
            parameters = {f"outcome.{name}": value for name, value in outcome.items()}
            calls = (await http.get("/calls", params=parameters)).json()["calls"]
            return [call["call_id"] for call in calls]

        assert await found(day="Friday") == ["call-1"]
        assert await found(day="Sunday") == []
        for wrong in ("outcome.", "outcome.Day", "outcome.*", "outcome", "outcomes.day"):
            assert_problem(await http.get("/calls", params={wrong: "x"}), 422, "invalid_request")
        assert_problem(await http.get("/calls", params={"outcome.day": ""}), 422, "invalid_request")
        assert_problem(await http.get("/calls?outcome.day=a&outcome.day=b"), 422, "invalid_request")
        assert_problem(await http.get("/agents", params={"outcome.day": "x"}), 422, "invalid_request")
