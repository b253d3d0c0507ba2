import asyncio

import pytest

from app.ports.streams import (
    TurnEnded,
    TurnEndedEagerly,
    TurnResumed,
    TurnUpdated,
)
from tests.clients.deepgram.listening import NOVA, audio, listening, read, rest, sound, speak
from tests.clients.deepgram.server import (
    BYTES_A_SECOND,
    deepgram,
    flux,
    hears,
    ignores_finish,
    nova,
)

# --- a normal turn -----------------------------------------------------------------------------------------------


async def test_a_flux_turn_from_the_first_word_to_the_end() -> None:
    says = (
        (0.0, {"type": "Connected", "request_id": "flux-request", "sequence_id": 0}),
        (0.1, flux("StartOfTurn")),
        (0.2, flux("Update", "запишите")),
        (0.3, flux("EagerEndOfTurn", "запишите меня")),
        (0.4, flux("TurnResumed", "запишите меня")),
        (0.5, flux("EndOfTurn", "запишите меня на среду", end=0.5, trigger="model", languages=["ru"])),
    )
    async with deepgram(hears(*says)) as server, listening(server) as stream:
        speak(stream, 0.0, 0.3)
        eager, resumed, ended = [], [], []
        eager = await read(stream, TurnEndedEagerly)
        speak(stream, 0.3, 0.5)
        resumed, ended = await read(stream, TurnResumed, TurnEnded)
        assert eager[0].transcript.text == resumed.transcript.text == "запишите меня"
        assert ended.transcript.text == "запишите меня на среду"
        assert ended.transcript.language == "ru"
        (session,) = server.sessions
        assert session.path == "/deepgram/v2/listen"
        assert ("tag", "call-1") in session.query
        assert session.authorization == "Token key"
        assert session.extensions is None
        assert bytes(session.audio) == sound(0.0, 0.5)
        assert stream.request_ids == ["request-1", "flux-request"]
        assert stream.audio_seconds_sent == 0.5
        assert stream.dropped_seconds == 0.0


async def test_a_nova_turn_of_two_phrases() -> None:
    says = (
        (0.1, nova("запишите", end=0.1)),
        (0.2, nova("запишите меня", end=0.2, final=True)),
        (0.4, nova("на среду", start=0.2, end=0.4, final=True, speech_final=True)),
    )
    async with deepgram(hears(*says)) as server, listening(server, **NOVA) as stream:
        speak(stream, 0.0, 0.4)
        (ended,) = await read(stream, TurnEnded)
        assert ended.transcript.text == "запишите меня на среду"
        assert server.sessions[0].path == "/deepgram/v1/listen"


async def test_frames_of_a_caller_who_speaks_go_out_as_they_come_and_a_backlog_in_bigger_pieces() -> None:
    async with deepgram(hears()) as server, listening(server) as stream:
        speak(stream, 0.0, 0.4)
        await server.until(lambda: bool(server.sessions) and server.sessions[0].seconds >= 0.4)
        session = server.sessions[0]
        assert {len(piece) for piece in session.pieces} == {2560}
        stream.note_sound(is_heard=True)
        for frame in audio(0.4, 0.6):
            stream.send(frame)
            await server.until(lambda: bytes(session.audio).endswith(frame))  # noqa: B023 - awaited in the same round
        assert [len(piece) for piece in session.pieces[5:]] == [640] * 10


async def test_while_nobody_speaks_frames_are_gathered_and_what_waits_goes_out_with_the_first_sound() -> None:
    async with deepgram(hears()) as server, listening(server) as stream:
        stream.send(sound(0.0, 0.08))
        await server.until(lambda: bool(server.sessions) and server.sessions[0].seconds >= 0.08)
        session = server.sessions[0]
        for frame in audio(0.08, 0.22):
            stream.send(frame)
            await asyncio.sleep(0)
        await server.until(lambda: session.seconds >= 0.16)
        assert [len(piece) for piece in session.pieces] == [2560, 2560]
        stream.note_sound(is_heard=True)
        await server.until(lambda: bytes(session.audio) == sound(0.0, 0.22))
        assert [len(piece) for piece in session.pieces] == [2560, 2560, 1920]


async def test_finishing_brings_the_last_words() -> None:
    async with deepgram(hears(last_words=(nova("до свидания", final=True), {"type": "Metadata"}))) as server:
        async with listening(server, **NOVA) as stream:
            speak(stream, 0.0, 0.2)
            await stream.finish()
            updated, ended = await rest(stream)
            assert isinstance(updated, TurnUpdated)
            assert isinstance(ended, TurnEnded)
            assert ended.transcript.text == "до свидания"
        assert server.sessions[0].texts == [{"type": "CloseStream"}]
        assert bytes(server.sessions[0].audio) == sound(0.0, 0.2)


async def test_finishing_does_not_wait_for_ever() -> None:
    silent = ignores_finish((0.1, flux("Update", "алло")))
    async with deepgram(silent) as server, listening(server, finish_seconds=0.1) as stream:
        speak(stream, 0.0, 0.1)
        await read(stream, TurnUpdated)
        async with asyncio.timeout(2):
            await stream.finish()
        assert [type(event) for event in await rest(stream)] == [TurnEnded]


async def test_a_slow_reader_sees_the_latest_update_and_every_end() -> None:
    says = [(0.1, flux("Update", f"{number}")) for number in range(200)]
    async with deepgram(hears(*says, (0.1, flux("EndOfTurn", "конец")))) as server, listening(server) as stream:
        speak(stream, 0.0, 0.1)
        await server.until(lambda: bool(server.sessions) and server.sessions[0].said == 201)
        await stream.finish()
        assert [event.transcript.text for event in await rest(stream)] == ["199", "конец"]  # type: ignore[union-attr]


# --- pauses ------------------------------------------------------------------------------------------------------


async def test_nova_is_told_that_we_are_there_while_nobody_speaks() -> None:
    async with deepgram(hears()) as server, listening(server, keep_alive_seconds=0.05, **NOVA):
        await server.until(lambda: bool(server.sessions) and len(server.sessions[0].texts) >= 2)
        assert server.sessions[0].texts[:2] == [{"type": "KeepAlive"}] * 2
        assert not server.sessions[0].audio


async def test_flux_hears_a_short_silence_while_nobody_speaks() -> None:
    async with deepgram(hears()) as server, listening(server, keep_alive_seconds=0.05) as stream:
        await server.until(lambda: bool(server.sessions) and server.sessions[0].seconds >= 0.16)
        assert not server.sessions[0].texts
        assert not any(server.sessions[0].audio)
        assert stream.audio_seconds_sent >= 0.16


@pytest.mark.parametrize("model", ["flux-general-multi", "nova-3"])
async def test_a_turn_ends_though_the_caller_sends_nothing_more(model: str) -> None:
    update, end = (
        (flux("Update", "алло"), flux("EndOfTurn", "алло", end=0.4))
        if model.startswith("flux")
        else (nova("алло"), nova("алло", end=0.4, final=True, speech_final=True))
    )
    async with (
        deepgram(hears((0.2, update), (0.4, end))) as server,
        listening(server, model=model, silence_after_seconds=0.05) as stream,
    ):
        speak(stream, 0.0, 0.2)
        await read(stream, TurnUpdated, TurnEnded)
        assert not any(server.sessions[0].audio[round(0.2 * BYTES_A_SECOND) :])


async def test_silence_that_was_put_in_does_not_move_the_words_after_it() -> None:
    says = (
        (0.2, flux("Update", "алло", end=0.2)),
        (0.36, flux("EndOfTurn", "алло", end=0.36)),
        (0.56, flux("EndOfTurn", "да", start=0.46, end=0.56)),
    )
    async with deepgram(hears(*says)) as server, listening(server, silence_after_seconds=0.05) as stream:
        speak(stream, 0.0, 0.2)
        await read(stream, TurnEnded)
        filled = server.sessions[0].seconds - 0.2
        speak(stream, 0.2, 0.44)
        (ended,) = await read(stream, TurnEnded)
        assert ended.transcript.words[0].end == pytest.approx(0.56 - filled)
