"""Two services on one database: one is stopped until the other ends its calls, and then goes on."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.phones import Exchange, Phone
from tests.end_to_end.processes import sandbox_process, serving
from tests.end_to_end.strikes import stopped
from tests.support.databases import locked
from tests.support.slowness import slowness

CRASHED = 'voice_calls_total{direction="web",end_reason="media_lost",fault="ours"}'


@dataclass
class Morning:
    """What became of a call on each service."""

    lost: dict[str, Any] = field(default_factory=dict)
    """The record of the call whose process was stopped."""
    lost_rows: list[dict[str, Any]] = field(default_factory=list)
    silent_after: float = 0.0
    """Seconds from the moment the process goes on until its line is closed."""
    ends: list[str] = field(default_factory=list)
    """Reasons that the process which lost the call told its client."""
    healthy: list[bool] = field(default_factory=list)
    """Whether the other call was alive: when the database had been locked, when the first call was lost, at the end."""
    figures: list[dict[str, float]] = field(default_factory=list)
    """Of both services, when all is over."""


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Morning:
    folder = tmp_path_factory.mktemp("lost")

    async def spend() -> Morning:
        morning = Morning()
        async with asyncio.timeout(150), sandbox_process() as sandbox:
            settings = {"IDLE_PROMPT_SECONDS": "100", "DRAIN_SECONDS": "0.1"}
            async with (
                serving(folder, sandbox, log_name="one.log", **settings) as one,
                serving(folder, sandbox, log_name="other.log", **settings) as other,
                asyncio.TaskGroup() as tasks,
            ):
                here, there = Exchange(one, folder, tasks), Exchange(other, folder, tasks)
                await _spend(morning, here, there, folder)
                here.leave()
                there.leave()
        return morning

    return asyncio.run(spend())


async def _spend(morning: Morning, here: Exchange, there: Exchange, folder: Path) -> None:
    lost, healthy = await here.ring(), await there.ring()
    with locked(folder / "calls.db"):
        await asyncio.sleep(6)
    await asyncio.sleep(3)
    morning.healthy += [await _lives(there, healthy), await _lives(here, lost)]

    loop = asyncio.get_running_loop()
    with stopped(here.service.process.pid):
        while morning.lost.get("status") != "ended":
            await asyncio.sleep(0.1)
            morning.lost = await there.get(f"/calls/{lost.call_id}")
        morning.healthy.append(await _lives(there, healthy))
    went_on = loop.time()
    await lost.closed()
    morning.silent_after = loop.time() - went_on
    morning.ends = [message["reason"] for message in lost.line.messages if message["type"] == "end"]
    await asyncio.sleep(4)  # more than a lease, in which it could do harm
    morning.healthy.append(await _lives(there, healthy))
    morning.lost_rows = (await there.get(f"/calls/{lost.call_id}/events"))["events"]
    morning.figures = [await here.figures(), await there.figures()]


async def _lives(exchange: Exchange, phone: Phone) -> bool:
    """Whether the agent can be made to speak in the call."""
    before = len([row for row in phone.rows if row["type"] == "agent.finished"])
    async with exchange.service.client() as http:
        answer = await http.post(f"/calls/{phone.call_id}/say", json={"text": "Мастер уже выехал к вам."})
    if answer.is_success:
        await phone.row("agent.finished", before + 1)
    return answer.is_success and phone.close_code is None


def test_a_call_whose_owner_renews_its_lease_goes_on_whatever_befalls_the_other(morning: Morning) -> None:
    assert morning.healthy == [True] * 4


def test_a_call_that_was_lost_ends_and_its_old_owner_writes_nothing_more(morning: Morning) -> None:
    assert (morning.lost["end_reason"], morning.lost["fault"]) == ("media_lost", "ours")
    assert [row["seq"] for row in morning.lost_rows] == list(range(1, len(morning.lost_rows) + 1))
    assert [row["type"] for row in morning.lost_rows].count("call.ended") == 1


def test_a_process_that_lost_a_call_closes_its_line_at_once(morning: Morning) -> None:
    assert morning.silent_after < 1.5 * slowness()
    assert morning.ends == [], "the call goes on elsewhere"


def test_a_call_that_was_lost_is_counted_once(morning: Morning) -> None:
    loser, heir = morning.figures
    assert (loser.get(CRASHED, 0), heir[CRASHED]) == (0, 1)
    assert loser["voice_calls_active"] == 0
    usage = [
        name for name in heir if name.startswith(("voice_provider_usage_total{", "voice_provider_cost_usd_total{"))
    ]
    assert usage
    assert not [name for name in usage if loser.get(name)]
    ended = [name for name in loser if name.startswith("voice_calls_total{") and loser[name]]
    assert ended == []
