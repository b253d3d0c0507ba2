import subprocess
import sys

import numpy as np
import pytest

from sandbox.vendors.voice import LEAD_SECONDS, Voice, default_voice, synthesize, tones

RUSSIAN = "Добрый день! Приём стоит 2 500 рублей — записать вас на завтра?"
ENGLISH = "Hello, it costs $25.50 to see Dr. Smith."


def test_every_written_word_has_one_time_and_times_never_go_backwards() -> None:
    for text, language in ((RUSSIAN, "ru"), (ENGLISH, "en"), ("- - -", "en"), ("раз", "ru")):
        for voice in (default_voice(), Voice(tones)):
            speech = voice.synthesize(text, language, 8000)
            assert [word.text for word in speech.words] == text.split()
            times = [time for word in speech.words for time in (word.start, word.end)]
            assert times == sorted(times)
            assert times[-1] <= len(speech.pcm) / 2 / 8000 + 0.01


@pytest.mark.parametrize("sample_rate", [8000, 16000, 24000, 44100, 48000])
def test_speech_lasts_equally_long_at_every_rate(sample_rate: int) -> None:
    seconds = len(synthesize(RUSSIAN, "ru", sample_rate).pcm) / 2 / sample_rate
    assert seconds == pytest.approx(len(synthesize(RUSSIAN, "ru", 16000).pcm) / 2 / 16000, abs=0.06)


def test_speech_begins_at_once() -> None:
    samples = np.frombuffer(synthesize(RUSSIAN, "ru", 16000).pcm, "<i2")
    assert np.flatnonzero(np.abs(samples.astype(int)) > 500)[0] <= (LEAD_SECONDS + 0.03) * 16000


def test_faster_speech_is_shorter() -> None:
    for voice in (default_voice(), Voice(tones)):
        normal, fast = (len(voice.synthesize(ENGLISH, "en", 16000, speed).pcm) for speed in (1.0, 1.5))
        assert fast < normal * 0.85


def test_an_unknown_language_is_spoken_all_the_same() -> None:
    assert synthesize("hello", "xx-unknown", 8000).pcm


def test_no_words_make_no_sound() -> None:
    assert synthesize("  \n", "ru", 8000) == Voice(tones).synthesize("", "ru", 8000)
    assert synthesize("  ", "ru", 8000).pcm == b""


def test_without_a_synthesizer_a_word_is_a_tone_as_long_as_its_letters() -> None:
    speech = Voice(tones).synthesize("а длинное", "ru", 8000)
    short, long = (word.end - word.start for word in speech.words)
    assert short == pytest.approx(0.07, abs=0.02)
    assert long == pytest.approx(7 * 0.07, abs=0.02)
    middle = np.frombuffer(speech.pcm, "<i2")[int(0.3 * 8000) : int(0.4 * 8000)].astype(float)
    assert np.sqrt(np.mean(middle**2)) > 2000


def test_threads_that_ask_for_it_at_the_same_time_get_one_voice() -> None:
    """In a process that has none yet."""
    program = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from sandbox.vendors.voice import default_voice, synthesize
barrier = Barrier(8)
def ask(number):
    barrier.wait()
    voice = default_voice()
    synthesize(f"Hello {number}", "en", 16000)
    return id(voice)
with ThreadPoolExecutor(8) as threads:
    print(len(set(threads.map(ask, range(8)))))
"""
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert asked.stdout.strip() == "1"
