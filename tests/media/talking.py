"""Sound like that of a call: two who talk in turns, so that a recording of it can be judged."""

import numpy as np
import numpy.typing as npt

from media.formats import AudioFormat
from media.g711 import pcm_to_mulaw
from media.recording import Recorder

Samples = npt.NDArray[np.int16]


def voice(rate: int, seconds: float, hertz: float, *, seed: int = 1) -> Samples:
    """Something voiced, syllable by syllable, over the noise of a line."""
    at = np.arange(round(rate * seconds)) / rate
    pitch = 2 * np.pi * np.cumsum(hertz * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * at))) / rate
    tone = sum(np.sin(pitch * harmonic) / harmonic for harmonic in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * at), 0, None)
    noise = np.random.default_rng(seed).normal(0, 20, len(at))
    return np.asarray(tone * syllables * 4000 + noise, "<i2")


def conversation(rate: int, seconds: float) -> tuple[Samples, Samples]:
    """The caller and the agent, who take turns of two seconds."""
    caller, agent = voice(rate, seconds, 190), voice(rate, seconds, 120, seed=2)
    is_callers = np.arange(len(caller)) // rate % 4 < 2
    return np.where(is_callers, caller, 0).astype("<i2"), np.where(is_callers, 0, agent).astype("<i2")


def record(recorder: Recorder, audio_format: AudioFormat, caller: Samples, agent: Samples, *, first: int = 0) -> None:
    """Put both into the recorder, a second at a time, from the sample ``first`` of the call on."""
    rate = audio_format.sample_rate
    for start in range(0, len(caller), rate):
        sides = [each[start : start + rate].tobytes() for each in (caller, agent)]
        if audio_format.encoding == "mulaw":
            sides = [pcm_to_mulaw(each) for each in sides]
        recorder.caller(sides[0], (first + start) / rate)
        recorder.agent(sides[1], first + start)
        recorder.wait_written()
