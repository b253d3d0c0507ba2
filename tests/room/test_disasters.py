"""What dies in the middle of calls, the livekit-server or a worker; and more calls than are comfortable."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest

from sandbox.caller.score import Score, says, waits, waits_for_agent, waits_for_end
from sandbox.carrier.telephone_line import TelephoneLine
from tests.room.house import GREETING
from tests.room.rig import Rig
from tests.support.slowness import slowness

pytestmark = [pytest.mark.room, pytest.mark.alone]

_BYE = {"text": "Всего доброго.", "tool_calls": [{"name": "end_call", "arguments": {}}]}
MANY, RING_AT_ONCE = 20, 4
BACK_SECONDS = 2.0
FREED_SECONDS = 10.0
"""With the sentence that is said to them first."""


async def test_many_calls_at_once_are_each_answered_once(system: Rig) -> None:
    numbers = [f"+799900020{index:02}" for index in range(MANY)]
    everybody_is_in, rings = asyncio.Barrier(MANY), asyncio.Semaphore(RING_AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            tasks.create_task(_stays_until(system, number, rings, everybody_is_in), name=number)
    records = [await system.record_of(number) for number in numbers]
    assert len({record["call_id"] for record in records}) == MANY
    for record in records:
        assert (record["end_reason"], record["fault"]) == ("caller_hangup", "none")
        assert GREETING.startswith(record["turns"][0]["text"])


async def _stays_until(system: Rig, number: str, rings: asyncio.Semaphore, everybody_is_in: asyncio.Barrier) -> None:
    """The telephones make no sound, and ring when others are answered, so that the cores are left to the service."""
    async with AsyncExitStack() as telephone:
        async with rings:
            line = await telephone.enter_async_context(system.carrier.dial(number))
        await system.until_greeted(line.call_id)
        await everybody_is_in.wait()


async def test_a_worker_dies_and_the_calls_of_the_other_notice_nothing(system: Rig) -> None:
    asks = "Вы ещё здесь?"
    score = Score(
        "worker",
        "ru",
        (waits_for_agent(), waits(8), says(asks), waits_for_agent(), says("До свидания."), waits_for_end()),
        ({"text": "Да, я вас слушаю."}, _BYE),
        patience=20,
    )
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as telephones:
        calling = tasks.create_task(system.call(score, "+79990003002"), name="call")
        line = await _on_another_worker(system, telephones)
        await system.until_greeted(line.call_id)
        dying = system.worker_of(line.call_id)
        before = system.pids()[dying]
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(FREED_SECONDS * slowness()):
            while not any(row["type"] == "call.taken_over" for row in await system.journal(line.call_id)):
                await asyncio.sleep(0.05)
        assert system.worker_of(line.call_id) != dying
    report = calling.result()
    record, taken_over = await system.record(report.call_id), await system.record(line.call_id)
    assert (taken_over["end_reason"], taken_over["fault"]) == ("caller_hangup", "none")
    assert (record["end_reason"], record["fault"]) == ("agent_hangup", "none")
    spoken = [turn["text"] for turn in record["turns"]]
    assert spoken[spoken.index(asks) :] == [asks, "Да, я вас слушаю.", "До свидания.", _BYE["text"]]
    async with asyncio.timeout(60):
        while system.pids()[dying] == before:
            await asyncio.sleep(0.05)


async def _on_another_worker(system: Rig, telephones: AsyncExitStack) -> TelephoneLine:
    """A telephone that says nothing, whose call is not held by the worker of the first call."""
    for index in range(8):
        line = await telephones.enter_async_context(system.carrier.dial(f"+799900031{index:02}"))
        calls = (await system.get("/calls?status=active")).json()["calls"]
        of_first = [call["call_id"] for call in calls if call["caller_number"] == "+79990003002"]
        first = system.worker_of(of_first[0]) if of_first else None
        if first is not None and system.worker_of(line.call_id) != first:
            return line
    raise AssertionError("one worker took all calls")


async def test_a_call_goes_on_when_the_livekit_server_is_back(own_system: Rig) -> None:
    asks = "Вы ещё здесь?"
    score = Score(
        "restart",
        "ru",
        (waits_for_agent(), waits(11), says(asks), waits_for_agent(), says("До свидания."), waits_for_end()),
        ({"text": "Да, я вас слушаю."}, _BYE),
        patience=20,
    )
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(own_system.call(score, "+79990003001"), name="call")
        await asyncio.sleep(5)
        own_system.server.server.kill()
        await asyncio.sleep(2)
        await asyncio.to_thread(own_system.server.server.start)
    report = calling.result()
    record = await own_system.record(report.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_hangup", "none")
    spoken = [turn["text"] for turn in record["turns"]]
    assert spoken[spoken.index(asks) :] == [asks, "Да, я вас слушаю.", "До свидания.", _BYE["text"]]
    assert report.utterances[0].answered_after is not None
    assert report.utterances[0].answered_after < BACK_SECONDS * slowness()
