"""Synthesis with the real client, on one socket with other calls, while the vendor gets wrong whatever it can."""

import asyncio
from dataclasses import dataclass, field

import pytest

from app.calls.live.speech_track import SpeechTrack
from app.calls.live.tts_synthesis import TtsSynthesis
from app.clients.cartesia.client import CartesiaTTSClient
from app.errors import ProviderError, ProviderRejected
from app.models import VoiceConfig
from sandbox.running import running_sandbox
from sandbox.vendors.cartesia.faults import NAMED
from sandbox.vendors.faults import Fault
from sandbox.vendors.voice import synthesize

CLAUSES = (
    "Мы работаем каждый день с девяти утра до восьми вечера. ",
    "В субботу приходите к нам с десяти и до самого обеда. ",
    "По праздникам у нас закрыто и телефон не отвечает.",
)
TEXT = "".join(CLAUSES)
RATE = 8000
VOICE = VoiceConfig(voice_id="sandbox-ru", model="sonic-3.5", language="ru", sample_rate=RATE, encoding="mulaw")
ASKED_ANEW = {
    "other_types",
    "broken_base64",
    "half_message",
    "early_done",
    "error_as_sound",
    "wrong_rate",
    "wrong_encoding",
    "error_without_context",
    "socket_reset",
}
FINAL = {"refused_content"}


@dataclass
class Synthesized:
    """What became of one call's text."""

    track: SpeechTrack = field(default_factory=lambda: SpeechTrack(RATE))
    retries: list[ProviderError] = field(default_factory=list)
    error: ProviderError | None = None

    @property
    def seconds(self) -> float:
        return self.track.samples / RATE


async def narrate(client: CartesiaTTSClient, call_id: str) -> Synthesized:
    synthesized = Synthesized()
    tts_synthesis = TtsSynthesis(
        client, VOICE, synthesized.track, call_id=call_id, on_sound=lambda: None, on_retry=synthesized.retries.append
    )
    for clause in CLAUSES:
        tts_synthesis.say(clause)
    tts_synthesis.finish()
    try:
        await tts_synthesis.run()
    except ProviderError as error:
        synthesized.error = error
    return synthesized


async def narrate_three(kind: str | None, *, status: int = 400) -> tuple[Synthesized, Synthesized, Synthesized]:
    """Three calls at once, of which the first is struck."""
    async with running_sandbox() as sandbox:
        client = CartesiaTTSClient(api_key="key", base_url=sandbox.cartesia_base_url)
        try:
            if kind is not None:
                sandbox.stage.faults.add(Fault("cartesia", kind, call_id="struck", status=status))
            async with asyncio.TaskGroup() as tasks:
                calls = [tasks.create_task(narrate(client, name), name=name) for name in ("struck", "b", "c")]
            one, two, three = (call.result() for call in calls)
            return one, two, three
        finally:
            await client.aclose()


def plain_seconds() -> float:
    return sum(len(synthesize(clause, "ru", RATE).pcm) for clause in CLAUSES) / 2 / RATE


@pytest.mark.parametrize("kind", [*NAMED, "garbage", "error_event", "cut"])
async def test_one_call_is_struck_and_all_three_are_said(kind: str) -> None:
    struck, *others = await narrate_three(kind)

    for other in others:
        assert other.error is None
        assert other.track.heard(other.track.samples) == (TEXT, True)
        assert other.seconds == pytest.approx(plain_seconds(), rel=0.1) or kind in ("socket_reset", "cut")
        assert other.retries == [] or kind in ("socket_reset", "cut")
    if kind in FINAL:
        assert isinstance(struck.error, ProviderRejected)
        return
    assert struck.error is None
    assert struck.track.heard(struck.track.samples)[0] == TEXT
    assert len(struck.retries) == (kind in {*ASKED_ANEW, "error_event", "cut"})
    assert struck.seconds >= plain_seconds() * 0.9


@pytest.mark.parametrize(("status", "retries"), [(401, 0), (402, 0), (403, 0), (429, 1), (500, 1), (503, 1)])
async def test_an_error_without_context_is_judged_by_its_status(status: int, retries: int) -> None:
    struck, *others = await narrate_three("error_without_context", status=status)
    assert len(struck.retries) == retries
    assert (struck.error is None) == (retries == 1)
    assert all((other.error is None) == (retries == 1) for other in others)


async def test_sound_of_another_rate_is_not_kept() -> None:
    struck, *_ = await narrate_three("wrong_rate")
    assert struck.seconds <= plain_seconds() * 1.1 + 0.1
