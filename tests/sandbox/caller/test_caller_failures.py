"""Calls that do not go as the score says, and scripts for the sandbox."""

import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.media_client import CallBroken, CallFailed, CallRefused, StepFailed
from sandbox.caller.score import (
    coughs,
    hangs_up,
    interrupts,
    says,
    waits,
    waits_for_agent,
    waits_for_end,
)
from tests.sandbox.media_server import CALL_ID, Leg, calling, media_server, score, silent_service, tone, tone_speech


async def test_the_sandbox_gets_the_words_before_they_are_spoken_and_the_replies_before_the_call() -> None:
    async with (
        media_server(silent_service) as server,
        Caller(server.url, tone_speech, sandbox_url=server.url) as caller,
    ):
        await caller.call(score(says("hello"), coughs(seconds=0.12), replies=({"text": "Hi."},)))

    paths = [path for path, _, _ in server.posts]
    control = f"/control/calls/{CALL_ID}"
    assert paths == ["/media/sessions", f"{control}/replies", f"{control}/utterances", f"{control}/utterances"]
    assert server.posted("/replies") == [[{"text": "Hi."}]]
    hello, cough = server.posted("/utterances")
    assert (hello["text"], hello["language"], hello["duration"]) == ("hello", "en", pytest.approx(0.1, abs=0.002))
    assert (cough["text"], cough["duration"]) == ("", pytest.approx(0.12, abs=0.002))


async def test_without_a_sandbox_nothing_is_posted_but_the_session() -> None:
    async with calling(silent_service) as (caller, server):
        await caller.call(score(says("hello"), replies=({"text": "Hi."},)))

    assert [path for path, _, _ in server.posts] == ["/media/sessions"]


async def test_a_sandbox_that_does_not_take_the_script_fails_the_call() -> None:
    async with media_server(silent_service) as server:
        server.control_status = 422
        async with Caller(server.url, tone_speech, sandbox_url=server.url) as caller:
            with pytest.raises(CallFailed, match="did not take the utterances: 422"):
                await caller.call(score(says("hello")))


async def test_an_agent_who_says_nothing_fails_the_step_by_name_and_the_caller_hangs_up() -> None:
    async with calling(silent_service) as (caller, server):
        with pytest.raises(StepFailed, match=r"score 'test', step 2 \(waits_for_agent\).*silent for 0\.2 s") as failed:
            await caller.call(score(says("secret words"), waits_for_agent(), patience=0.2))

    assert server.legs[0].messages[-1] == {"type": "stop"}
    assert "secret" not in str(failed.value)
    report = failed.value.report
    assert report is not None
    assert (report.completed, len(report.utterances)) == (False, 1)


async def test_an_agent_who_stops_too_soon_to_be_interrupted_fails_the_step() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.say(tone(0.1))
        await leg.expect("stop")
        await leg.end("caller_hangup")

    async with calling(service) as (caller, _server):
        with pytest.raises(StepFailed, match=r"step 1 \(interrupts\)"):
            await caller.call(score(interrupts("wait", after=0.5), patience=0.2))


@pytest.mark.parametrize("status", [401, 403, 503])
async def test_a_refused_session_says_why(status: int) -> None:
    async with calling(silent_service) as (caller, server):
        server.session_status = status
        with pytest.raises(CallRefused, match=f"session was refused with {status}: all lines are busy") as refused:
            await caller.call(score(hangs_up()))

    assert refused.value.status == status
    assert refused.value.report is None


@pytest.mark.parametrize("status", [403, 409, 503])
async def test_a_refused_upgrade_tells_its_status(status: int) -> None:
    async with calling(silent_service) as (caller, server):
        server.upgrade_status = status
        with pytest.raises(CallRefused, match="websocket was refused") as refused:
            await caller.call(score(hangs_up()))

    assert refused.value.status == status


async def test_a_service_that_does_not_listen_cannot_be_reached() -> None:
    async with media_server(silent_service) as server:
        address = server.url
    async with Caller(address, tone_speech) as caller:
        with pytest.raises(CallFailed, match="cannot be reached"):
            await caller.call(score(hangs_up()))


@pytest.mark.parametrize("ready_first", [True, False])
async def test_an_error_message_breaks_the_call_with_its_code(ready_first: bool) -> None:
    async def service(leg: Leg) -> None:
        if ready_first:
            await leg.ready()
        await leg.send(type="error", code="audio_too_fast", message="slower")
        await leg.socket.close(1008)

    async with calling(service) as (caller, _server):
        with pytest.raises(CallBroken, match="audio_too_fast: slower") as broken:
            await caller.call(score(waits_for_end()))

    assert (broken.value.code, broken.value.close_code) == ("audio_too_fast", 1008)
    assert (broken.value.report is not None) is ready_first


async def test_a_close_that_was_not_announced_breaks_the_call() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.socket.close(1011)

    async with calling(service) as (caller, _server):
        with pytest.raises(CallBroken, match="close code 1011, no end announced"):
            await caller.call(score(waits_for_end()))


async def test_half_a_sample_breaks_the_protocol() -> None:
    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.say(b"\x00")
        await leg.expect("stop")

    async with calling(service) as (caller, _server):
        with pytest.raises(CallBroken, match="not of the protocol"):
            await caller.call(score(waits_for_end()))


async def test_a_call_has_a_longest_length() -> None:
    async with calling(silent_service, longest_call_seconds=0.2) as (caller, _server):
        with pytest.raises(CallFailed, match=r"not over after 0\.2 s") as failed:
            await caller.call(score(waits(30)))

    assert failed.value.report is not None
    assert failed.value.report.ended_at == pytest.approx(0.2, abs=0.1)
