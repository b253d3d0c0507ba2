"""The input of a call: what the STT stream is given."""

import numpy as np

from app.calls.live.call_clock import CallClock
from app.calls.live.transcription import TranscriptionInput
from app.clock import utc_now
from app.conversation import events as ev
from app.models import Patience
from app.ports.streams import SpeechEvent, Transcript, TurnEnded, TurnEndedEagerly, TurnUpdated
from media.formats import AudioFormat
from media.playout import PlayedAudio
from tests.calls.vendors import ScriptedStream
from tests.media.signals import Signal, encoded, frames, silence, speech

LINE = AudioFormat("pcm_s16le", 8000)


async def test_the_stream_is_told_how_long_to_wait_in_a_pause() -> None:
    stream, clock = ScriptedStream(), CallClock(utc_now())
    transcription = TranscriptionInput(stream, LINE, clock=clock, emit=list[ev.Event]().append)

    transcription.set_patience(Patience.PATIENT)

    assert stream.patience == [Patience.PATIENT]


async def test_the_stream_knows_when_the_caller_makes_a_sound() -> None:
    stream, events = ScriptedStream(), list[ev.Event]()
    clock = CallClock(utc_now())
    clock.answer()
    transcription = TranscriptionInput(stream, LINE, clock=clock, emit=events.append)
    wave = (8000 * np.sin(np.arange(8000) * 2 * np.pi * 300 / 8000)).astype("<i2").tobytes()

    for audio in (LINE.silence(4000), wave, LINE.silence(8000)):
        for start in range(0, len(audio), 320):
            transcription.send(audio[start : start + 320])

    assert stream.sounds == [True, False]
    assert [type(event) for event in events] == [ev.CallerSoundStarted, ev.CallerSoundStopped]


async def test_words_of_somebody_behind_the_caller_are_faint_also_when_their_turn_ends_late() -> None:
    stream, events, clock = ScriptedStream(), list[ev.Event](), CallClock(utc_now())
    clock.answer()
    transcription = TranscriptionInput(stream, LINE, clock=clock, emit=events.append)
    own, behind, agent = (speech(2, 8000, level_db, seed) for seed, level_db in enumerate((-20, -36, -20)))

    async def heard(*told: SpeechEvent) -> None:
        for event in (*told, None):
            stream.emit(event)
        await transcription.follow()

    send(transcription, own)
    await heard(TurnUpdated(words("my own words")), TurnEnded(words("my own words")))
    transcription.note_played(PlayedAudio(round(clock.leg_seconds() * 8000), encoded(agent, LINE)), 0.0)
    send(transcription, behind)
    await heard(TurnUpdated(words("turn it off")))
    send(transcription, silence(3, 8000))
    await heard(TurnEndedEagerly(words("turn it off")), TurnEnded(words("turn it off")), TurnEnded(words("yes")))

    told = [event for event in events if not isinstance(event, ev.CallerSoundStarted | ev.CallerSoundStopped)]
    assert [(type(event), getattr(event, "faint", None)) for event in told] == [
        (ev.CallerWords, False),
        (ev.CallerTurnEnded, False),
        (ev.CallerWords, True),
        (ev.CallerTurnEndedEagerly, True),
        (ev.CallerTurnEnded, True),
        (ev.CallerTurnEnded, False),
    ]


def words(text: str) -> Transcript:
    return Transcript(text=text, words=(), confidence=0.9, language="en")


def send(transcription: TranscriptionInput, sound: Signal) -> None:
    for frame in frames(encoded(sound, LINE), LINE):
        transcription.send(frame)
