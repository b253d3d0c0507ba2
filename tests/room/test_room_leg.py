"""The leg in a real room: what it hears and says while tracks, connections and participants come and go."""

import asyncio

import pytest
from livekit import api
from livekit.rtc.room import SimulateScenarioKind

from media.errors import NotAnswered
from media.legs.room import RoomLeg
from tests.room.leg_in_room import (
    AGENT,
    CallSide,
    Ends,
    Participant,
    Wire,
    leg_beside,
    participant,
    running,
    tone,
    until,
)
from tests.room.servers import KEY, SECRET, LiveKitServer

pytestmark = [pytest.mark.room, pytest.mark.alone]

LOW, HIGH = 400.0, 1200.0
LATE_SECONDS = 0.5
"""How long after it left a sound may be heard: the way in the room, and a slow machine."""


# --- the caller's track -----------------------------------------------------------------------------------------------


async def test_hearing_goes_on_after_the_caller_was_muted(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with running(leg_beside(caller, Ends()), side):
            await side.hears(LOW)
            caller.mutes(LOW, muted=True)
            await asyncio.sleep(0.5)
            caller.mutes(LOW, muted=False)
            await side.hears(LOW)
        assert side.left == []


async def test_hearing_goes_on_when_the_callers_track_is_published_again(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with running(leg_beside(caller, Ends()), side):
            await side.hears(LOW)
            await caller.stops(LOW)
            await caller.plays(HIGH)
            await side.hears(HIGH)


async def test_of_two_tracks_of_the_caller_the_newer_is_heard_and_the_other_once_it_is_gone(
    server: LiveKitServer,
) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with running(leg_beside(caller, Ends()), side):
            await side.hears(LOW)
            await caller.plays(HIGH)
            await side.hears(HIGH)
            await caller.stops(HIGH)
            await side.hears(LOW)


async def test_a_caller_whose_track_is_muted_is_held_until_it_is_not(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with running(leg_beside(caller, Ends()), side):
            await side.hears(LOW)
            caller.mutes(LOW, muted=True)
            await until(lambda: side.holds == [True])
            caller.mutes(LOW, muted=False)
            await until(lambda: side.holds == [True, False])
            await side.hears(LOW)
        assert side.left == []


async def test_somebody_else_in_the_room_is_not_heard(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with participant(server.url, caller.room_name, "sip_stranger") as stranger:
            await stranger.plays(HIGH)
            async with running(leg_beside(caller, Ends()), side) as leg:
                await stranger.is_reached_by(leg)
                await stranger.room.local_participant.publish_dtmf(code=7, digit="7")
                await caller.room.local_participant.publish_dtmf(code=5, digit="5")
                await side.hears(LOW, 0.5)
                await until(lambda: side.digits != "")
        assert (side.digits, side.left) == ("5", [])


# --- the agent's sound and keys ---------------------------------------------------------------------------------------


async def test_more_sound_than_the_source_holds_is_heard_whole_and_the_mark_comes_when_it_was_heard(
    server: LiveKitServer,
) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        async with running(leg_beside(caller, Ends()), side) as leg:
            await caller.is_reached_by(leg)
            leg.send_audio(tone(LOW, 2.5))
            leg.send_mark("end")
            await until(lambda: "end" in side.marks)
            mark_after = side.marks["end"] - caller.last_heard_at()
            await asyncio.sleep(LATE_SECONDS)
        assert caller.seconds_of(LOW) == pytest.approx(2.5, abs=0.1)
        assert abs(mark_after) < 0.3


async def test_a_clear_is_heard_at_once_also_while_more_is_written_than_the_source_holds(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        async with running(leg_beside(caller, Ends()), CallSide()) as leg:
            await caller.is_reached_by(leg)
            leg.send_audio(tone(LOW, 4))
            await until(lambda: caller.seconds_of(LOW) >= 0.5)
            cleared_at = asyncio.get_running_loop().time()
            leg.send_clear()
            leg.send_audio(tone(HIGH, 0.3))
            await asyncio.sleep(1.5)
        assert caller.seconds_of(LOW) < 0.5 + LATE_SECONDS
        assert caller.seconds_of(HIGH) == pytest.approx(0.3, abs=0.06)
        assert caller.last_heard_at() - cleared_at < 0.3 + LATE_SECONDS


async def test_what_is_cleared_while_it_is_handed_over_is_not_heard(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        async with running(leg_beside(caller, Ends()), CallSide()) as leg:
            await caller.is_reached_by(leg)
            for turns in range(1, 12):  # of the loop, between the sound and the clear
                leg.send_audio(tone(LOW, 0.2))
                for _ in range(turns):
                    await asyncio.sleep(0)
                leg.send_clear()
                await asyncio.sleep(0.05)
            leg.send_audio(tone(HIGH, 0.5))
            await asyncio.sleep(1)
        assert caller.seconds_of(LOW) <= 0.2
        assert caller.seconds_of(HIGH) == pytest.approx(0.5, abs=0.1)


async def test_the_last_sound_is_heard_before_the_leg_is_hung_up(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        async with running(leg_beside(caller, Ends()), CallSide()) as leg:
            await caller.is_reached_by(leg)
            leg.send_audio(tone(LOW, 0.8))
        assert caller.seconds_of(LOW) == pytest.approx(0.8, abs=0.1)


async def test_keys_reach_the_telephone_in_order(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        async with running(leg_beside(caller, Ends()), CallSide()) as leg:
            assert leg.can_send_digits
            await caller.is_reached_by(leg)
            leg.send_digits("12w#A")
            await until(lambda: len(caller.digits) == 4)
        assert caller.digits == "12#A"


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_a_leg_that_is_replaced_stops_and_leaves_the_room_to_the_other(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side, ends = CallSide(), Ends()
        async with running(leg_beside(caller, ends), side):
            newcomer = Participant(server.url, caller.room_name)
            await newcomer.join(AGENT, "agent")
            await until(lambda: side.left != [])
        await asyncio.sleep(1)
        assert (side.left, ends.asked) == (["media_lost"], 0)
        assert newcomer.room.isconnected()
        assert set(caller.room.remote_participants) == {AGENT}
        await newcomer.leave()


async def hears_the_agent(caller: Participant, leg: RoomLeg) -> None:
    await caller.is_reached_by(leg)
    leg.send_audio(tone(HIGH, 0.5))
    await until(lambda: caller.seconds_of(HIGH) >= 0.4)


async def test_a_call_outlives_its_signal_connection(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with Wire(server.url) as wire, running(leg_beside(caller, Ends(), url=wire.url), side) as leg:
            await side.hears(LOW)
            wire.cut()
            wire.mend()
            await caller.stops(LOW)
            await caller.plays(HIGH)
            await side.hears(HIGH)
            await hears_the_agent(caller, leg)
        assert side.left == []


async def test_a_call_outlives_a_connection_that_is_made_from_scratch(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with running(leg_beside(caller, Ends()), side) as leg:
            await side.hears(LOW)
            await leg._room.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
            await asyncio.sleep(1)
            await side.hears(LOW)
            await hears_the_agent(caller, leg)
        assert side.left == []


async def test_a_caller_who_leaves_while_the_connection_is_lost_has_hung_up(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side, ends = CallSide(), Ends()
        await caller.plays(LOW)
        async with Wire(server.url) as wire, running(leg_beside(caller, ends, url=wire.url), side):
            await side.hears(LOW)
            wire.cut()
            await caller.leave()
            wire.mend()
            await until(lambda: side.left != [], 20)
        assert (side.left, ends.asked) == (["caller_hangup"], 1)


async def test_a_leg_that_was_thrown_out_joins_again_while_the_caller_is_there(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with running(leg_beside(caller, Ends()), side) as leg, api.LiveKitAPI(server.url, KEY, SECRET) as livekit:
            await side.hears(LOW)
            thrown_out = api.RoomParticipantIdentity(room=caller.room_name, identity=AGENT)
            await livekit.room.remove_participant(thrown_out)
            await until(lambda: side.regained != [])
            await side.hears(LOW)
            await caller.is_reached_by(leg)
            leg.send_audio(tone(HIGH, 0.5))
            await until(lambda: caller.seconds_of(HIGH) >= 0.4)
        assert (side.left, len(side.lost), len(side.regained)) == ([], 1, 1)


async def test_a_leg_that_was_thrown_out_of_a_room_that_the_caller_leaves_has_been_hung_up(
    server: LiveKitServer,
) -> None:
    async with participant(server.url) as caller:
        side, ends = CallSide(), Ends()
        async with running(leg_beside(caller, ends), side), api.LiveKitAPI(server.url, KEY, SECRET) as livekit:
            thrown_out = api.RoomParticipantIdentity(room=caller.room_name, identity=AGENT)
            await livekit.room.remove_participant(thrown_out)
            await caller.leave()
            await until(lambda: side.left != [], 20)
        assert (side.left, side.regained) == (["caller_hangup"], [])


async def test_a_connection_that_is_away_for_seconds_is_told_and_restored(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with Wire(server.url) as wire, running(leg_beside(caller, Ends(), url=wire.url), side):
            await side.hears(LOW)
            wire.cut()
            await until(lambda: side.lost != [])
            await asyncio.sleep(1)
            wire.mend()
            await until(lambda: side.regained != [])
            await side.hears(LOW)
        assert (side.left, side.regained[0] > 1) == ([], True)


async def test_a_room_that_cannot_be_joined_at_first_is_joined_when_it_can(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        side = CallSide()
        await caller.plays(LOW)
        async with Wire(server.url) as wire:
            wire.cut()
            asyncio.get_running_loop().call_later(1.5, wire.mend)
            async with running(leg_beside(caller, Ends(), url=wire.url), side):
                await side.hears(LOW)
        assert side.left == []


async def test_an_agent_who_may_not_publish_does_not_answer(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:
        leg = leg_beside(caller, ends := Ends(), publishes=False)
        with pytest.raises(NotAnswered) as refusal:
            await leg.answer("call_1")
        await leg.hang_up("media_lost")
        assert (refusal.value.reason, ends.asked) == ("media_lost", 1)


async def test_a_bug_behind_a_callback_of_the_sdk_ends_the_leg_and_is_raised(server: LiveKitServer) -> None:
    async with participant(server.url) as caller:

        class Broken(CallSide):
            def press(self, digit: str) -> None:
                raise TypeError("a bug")

        leg = leg_beside(caller, Ends())
        carrying = asyncio.get_running_loop().create_task(leg.run(Broken()), name="leg")
        await leg.answer("call_1")
        await caller.room.local_participant.publish_dtmf(code=5, digit="5")
        with pytest.raises(TypeError, match="a bug"):
            await carrying
        await leg.hang_up("internal_error")
