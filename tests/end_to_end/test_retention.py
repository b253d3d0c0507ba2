"""How long an agent's file keeps its calls, of calls that were really held and became old."""

import asyncio
from datetime import timedelta
from pathlib import Path

from app.clock import iso_utc, utc_now
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, hold, score
from tests.end_to_end.service import running_service
from tests.support.databases import change

LEAPING_TIME = True

QUESTION = "Where is my zebra?"
AGENT = "prompt: You keep animals.\nlanguage: en\ngreeting: {en: Hello.}\n"
KEPT = {
    "brief": "retention: {call_days: 2}\n",
    "silent": "retention: {recording_days: 2}\n",
    "wordless": "retention: {transcript_days: 2}\n",
    "ordinary": "",
}
TALK = score(
    waits_for_agent(QUIET), says(QUESTION), waits_for_end(),
    replies=({"text": "In the stable. Goodbye!", "tool_calls": END_CALL},), language="en",
)  # fmt: skip


def three_days_pass(database: Path) -> None:
    """The clock of the wall does not leap, so the calls are moved instead, and the next sweep is due."""
    then = iso_utc(utc_now() - timedelta(days=3))
    change(database, "UPDATE calls SET ended_at = ?", then)
    change(database, "UPDATE service_jobs SET due_at = ? WHERE name = 'retention'", then)


async def test_each_agents_calls_are_kept_as_long_as_its_file_says_and_the_rest_as_the_settings_say(
    tmp_path: Path,
) -> None:
    agents, data = tmp_path / "agents", tmp_path / "data"
    agents.mkdir()
    for name, kept in KEPT.items():
        (agents / f"{name}.yaml").write_text(AGENT + kept)
    async with running_service(data, agents_dir=agents, analysis=False) as service:
        held = {name: await hold(service, TALK, agent=name) for name in KEPT}
        three_days_pass(data / "calls.db")
        async with service.async_client() as http:
            urls = {name: f"/calls/{call.call_id}" for name, call in held.items()}
            async with asyncio.timeout(600):
                while (await http.get(urls["brief"])).status_code != 404:
                    await asyncio.sleep(2)
                while (await http.get(urls["wordless"])).json()["words_erased_at"] is None:
                    await asyncio.sleep(2)
            records = {name: (await http.get(urls[name])).json() for name in KEPT if name != "brief"}
            sound = {name: (await http.get(f"{url}/recording")).status_code for name, url in urls.items()}

    said = {name: "".join(turn["text"] for turn in record["turns"]) for name, record in records.items()}
    assert all(QUESTION in call.said("user") for call in held.values())
    assert sound == {"brief": 404, "silent": 404, "wordless": 200, "ordinary": 200}
    assert [records[name]["recording"]["status"] for name in records] == ["erased", "complete", "complete"]
    assert [QUESTION in said[name] for name in records] == [True, False, True]
    assert said["wordless"] == ""
    folders = {path.name for path in (data / "recordings").iterdir()}
    assert folders == {held[name].call_id for name in ("wordless", "ordinary")}
