"""Callers whose process died: what they hear, and that their rooms are ended whatever goes wrong with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from livekit import api

from app.calls.telephone.apologies import Apologies
from app.calls.telephone.leftovers import Leftovers
from app.contained_tasks import ContainedTasks
from app.storage.calls import CallRow
from media.errors import NotAnswered
from media.legs.room_audio import ROOM_FORMAT
from tests.calls.fakes import AGENT, LINES, World
from tests.calls.vendors import ScriptedVoice
from tests.clients.livekit.twirp import TwirpServer, client_of, running
from tests.storage.stores import a_call

SENTENCE = LINES.failure_goodbye


@dataclass
class Said:
    """Who was told what."""

    server: TwirpServer
    apologies: Apologies
    audio: bytes
    """Of the sentence."""
    told: list[tuple[str, str, bytes]] = field(default_factory=list)
    ended_before: list[int] = field(default_factory=list)
    """How many rooms were ended when each sentence began."""

    def ended(self) -> list[str]:
        return sorted(request.room for request in self.server.requests("DeleteRoom"))


@asynccontextmanager
async def desk(*, takes: float = 0.0, error: Exception | None = None, prepared: bool = True) -> AsyncIterator[Said]:
    world = World(voice=ScriptedVoice(first_sound=0.0, every=0.0))
    phrases = world.phrases
    voice = AGENT.voice("en", ROOM_FORMAT)
    if prepared:
        assert await phrases.prepare([SENTENCE], voice, world.voice)
    phrase = await phrases.get(SENTENCE, voice, world.voice)

    async def say(room: str, call_id: str, audio: bytes) -> None:
        said.told.append((room, call_id, audio))
        said.ended_before.append(len(said.ended()))
        await asyncio.sleep(takes)
        if error is not None:
            raise error

    async with (
        running(DeleteRoom=api.DeleteRoomResponse()) as server,
        client_of(server.url) as livekit,
        ContainedTasks() as background,
    ):
        leftovers = Leftovers(livekit, background)
        apologies = Apologies(
            say, ROOM_FORMAT, planner=world.planner, phrases=phrases, leftovers=leftovers, background=background
        )
        said = Said(server, apologies, phrase.audio if phrase else b"")
        yield said


def a_room_call(number: int, status: str = "active") -> CallRow:
    return a_call(f"call-{number}", kind="room", direction="inbound", status=status, livekit_room=f"room-{number}")


async def test_a_caller_hears_the_prepared_sentence_and_then_the_room_is_ended() -> None:
    async with desk() as said:
        said.apologies.let_go(a_room_call(1))
        await said.server.until("DeleteRoom")
    assert said.audio
    assert said.told == [("room-1", "call-1", said.audio)]
    assert said.ended_before == [0]
    assert said.ended() == ["room-1"]


async def test_a_caller_who_was_not_taken_hears_it_too() -> None:
    async with desk() as said:
        said.apologies.refuse(a_room_call(1, "ringing"))
        await said.server.until("DeleteRoom")
    assert said.told == [("room-1", "call-1", said.audio)]
    assert said.ended_before == [0]


@pytest.mark.parametrize(
    "error", [NotAnswered("media_lost", "nobody hears"), RuntimeError("a bug of the SDK")], ids=["nobody", "bug"]
)
async def test_the_room_is_ended_when_nothing_can_be_said(error: Exception) -> None:
    async with desk(error=error) as said:
        said.apologies.let_go(a_room_call(1))
        await said.server.until("DeleteRoom")
    assert len(said.told) == 1


async def test_without_a_prepared_sentence_the_room_is_ended_at_once() -> None:
    async with desk(prepared=False) as said:
        said.apologies.let_go(a_room_call(1))
        await said.server.until("DeleteRoom")
    assert said.told == []


async def test_callers_who_were_not_answered_or_are_in_no_room_hear_no_apology() -> None:
    async with desk() as said:
        said.apologies.let_go(a_room_call(1, "ringing"))
        said.apologies.let_go(a_call("web"))
        await said.server.until("DeleteRoom")
    assert said.told == []
    assert said.ended() == ["room-1"]


async def test_some_of_many_callers_hear_the_apology_and_every_room_is_ended() -> None:
    async with desk(takes=2.0) as said:
        for number in range(9):
            said.apologies.let_go(a_room_call(number))
        await said.server.until("DeleteRoom", 9)
    assert len(said.told) == 4
    assert said.ended() == [f"room-{number}" for number in range(9)]
