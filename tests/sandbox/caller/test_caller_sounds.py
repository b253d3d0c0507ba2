"""What a simulated caller's microphone picks up besides their own voice, against a scripted service."""

import base64
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.echo_path import EchoPath
from sandbox.caller.score import backchannels, coughs, overhears, says, waits
from sandbox.carrier.telephone import Telephone
from sandbox.vendors.voice import Speech, SpokenWord
from tests.sandbox.media_server import Leg, Script, calling, media_server, score, tone, tone_speech

FRAME_SECONDS = 0.02


def sent(leg: Leg) -> npt.NDArray[np.int16]:
    return np.concatenate([np.frombuffer(frame, "<i2") for _, frame in leg.audio])


def has_sent(leg: Leg, frames: int) -> bool:
    return len(leg.audio) >= frames


def loudest(samples: npt.NDArray[np.int16]) -> int:
    return int(np.abs(samples.astype(np.int32)).max(initial=0))


def speaking(seconds: float, *clauses: tuple[float, str]) -> Script:
    """A service that speaks, and begins clauses so long after another."""

    async def service(leg: Leg) -> None:
        await leg.ready()
        await leg.say(tone(seconds))
        for number, (at, text) in enumerate(clauses):
            frames = round(at / FRAME_SECONDS)
            await leg.until(partial(has_sent, leg, frames))
            data = {"speech": 1, "text": text, "start_sample": number}
            await leg.send(type="event", event={"seq": number, "type": "agent.clause_started", "turn": 1, "data": data})
        await leg.expect("stop")
        await leg.end("caller_hangup")

    return service


async def test_an_echo_of_the_agent_comes_back_late_and_quiet() -> None:
    telephone = Telephone(echo=EchoPath(0.2, 20.0))
    async with calling(speaking(0.3), telephone=telephone) as (caller, server):
        report = await caller.call(score(waits(0.9)))

    heard = report.agent_spans[0]
    loud = np.flatnonzero(np.abs(sent(server.legs[0])) > 100) / report.format.sample_rate
    assert loud[0] == pytest.approx(heard.start + 0.2, abs=0.001)
    assert loud[-1] == pytest.approx(heard.end + 0.2, abs=0.001)
    assert loudest(sent(server.legs[0])) == pytest.approx(800, rel=0.02)


async def test_somebody_else_in_the_room_is_quieter_than_the_caller_and_calls_for_no_answer() -> None:
    async with calling(speaking(2.0)) as (caller, server):
        report = await caller.call(score(overhears("mother, where is it", after=0.1, loss_db=20.0)))

    (overheard,) = report.utterances
    assert (overheard.kind, overheard.answered_at) == ("overhears", None)
    assert loudest(sent(server.legs[0])) == pytest.approx(800, rel=0.02)
    assert overheard.ended_at - overheard.started_at == pytest.approx(0.8 * 0.02 * len("mother, where is it"), abs=0.01)


async def test_a_sound_waits_for_the_clause_that_holds_the_words() -> None:
    service = speaking(3.0, (0.1, "We are open."), (1.0, "Come early, please."))
    async with calling(service) as (caller, _server):
        report = await caller.call(score(backchannels("aha", over="Come early", after=0.2)))

    assert report.utterances[0].started_at >= 1.2


async def test_knocks_are_no_words() -> None:
    async with calling(speaking(2.0)) as (caller, server):
        await caller.call(score(coughs(after=0.1, seconds=0.3, kind="knock")))

    assert loudest(sent(server.legs[0])) > 8000


async def test_a_sandbox_that_listens_learns_how_words_sound_and_nothing_of_coughs() -> None:
    def speak(text: str, language: str, sample_rate: int) -> Speech:
        return Speech(
            bytes(2 * sample_rate // 10) + tone_speech(text, language, sample_rate), (SpokenWord(text, 0.1, 0.2),)
        )

    async with (
        media_server(speaking(2.0)) as server,
        Caller(server.url, speak, sandbox_url=server.url, sandbox_listens=True) as caller,
    ):
        await caller.call(score(says("hello"), coughs(seconds=0.1)))

    (taught,) = server.posted("/sounds")
    assert server.posted("/utterances") == []
    assert (taught["sample_rate"], taught["language"]) == (16000, "en")
    assert taught["words"] == [["hello", pytest.approx(0.0, abs=0.001), pytest.approx(0.1, abs=0.001)]]
    samples = np.frombuffer(base64.b64decode(taught["pcm"]), "<i2")
    assert len(samples) == pytest.approx(0.1 * 16000, abs=5)
