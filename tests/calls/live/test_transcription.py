"""The input of a call: what the STT stream is given."""

import numpy as np

from app.calls.live.call_clock import CallClock
from app.calls.live.transcription import TranscriptionInput
from app.clock import utc_now
from app.conversation import events as ev
from app.models import Patience
from media.formats import AudioFormat
from tests.calls.vendors import ScriptedStream

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
