"""The do-not-call list over HTTP, and outbound calls that it and the hours of an agent forbid."""

from pathlib import Path

from tests.routers.test_calls import assert_problem
from tests.routers.test_calls_placed import TO, door, ended, place

LEAPING_TIME = True

NEVER = "prompt: x\nhours: {from: '00:00', to: '00:01', days: [mon]}\n"
SUNDAY_TOO = "prompt: x\nhours: {from: '00:00', to: '24:00'}\n"


async def test_a_number_on_the_list_is_not_called(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        added = await http.put("/do-not-call/8 999 000-00-01")
        listed = (await http.get("/do-not-call")).json()
        assert_problem(await place(http), 403, "do_not_call")
        assert (await http.get("/calls")).json()["calls"] == []
        removed = await http.delete(f"/do-not-call/{TO}")
        assert_problem(await http.delete(f"/do-not-call/{TO}"), 404, "number_not_listed")
        placed = await place(http)
        await ended(http, placed.json()["call_id"])

    assert (added.status_code, added.json()["number"], added.json()["added_by"]) == (200, TO, "operator")
    assert listed == {"numbers": [added.json()], "next_cursor": None}
    assert (removed.status_code, placed.status_code) == (204, 202)


async def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        assert_problem(await http.put("/do-not-call/anonymous"), 422, "invalid_request")
        assert_problem(await http.get("/do-not-call?limit=0"), 422, "invalid_request")


async def test_an_agent_calls_within_its_hours_only(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "never.yaml").write_text(NEVER)
    (folder / "always.yaml").write_text(SUNDAY_TOO)
    moscow = "+74951234567"
    async with door(tmp_path / "data", agents_dir=folder, dial_prefixes="+7") as (http, services):
        agent = services.agents.current.by_name["never"]
        refused = await place(http, moscow, agent="never")
        allowed = await place(http, moscow, agent="always")
        assert_problem(await place(http, "+70000000001", agent="always"), 403, "outside_hours")
        await ended(http, allowed.json()["call_id"])

    assert_problem(refused, 403, "outside_hours")
    assert "00:00 to 00:01 there (mon)" in refused.json()["detail"]
    assert str(agent.hours) in refused.json()["detail"]
    assert allowed.status_code == 202
