"""Sounds of the sandbox's voice, mixed as a line mixes them, and what is heard of them."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from sandbox.vendors.encodings import Encoding, Samples, encode
from sandbox.vendors.known_sounds import KnownSound, SoundLibrary
from sandbox.vendors.listening import Listener
from sandbox.vendors.voice import Speech, synthesize

RATE = 8000
CALL = "call-1"
ANSWER = "We are open every day from nine in the morning to eight in the evening."
QUESTION = "Wait, how much does a visit cost?"
PHRASE = "Hello! I'm a voice assistant. How can I help you?"


def voice(text: str, rate: int = RATE) -> tuple[Samples, Speech]:
    speech = synthesize(text, "en", rate)
    return np.frombuffer(speech.pcm, "<i2").astype(np.int16), speech


def library(rate: int = RATE) -> SoundLibrary:
    """The caller is about to ask, the agent has said an answer, and a phrase belongs to no call."""
    known = SoundLibrary()
    known.open(CALL)
    samples, speech = voice(PHRASE, rate)
    known.remember("phrases", samples, rate, speech.words, "en")
    samples, speech = voice(ANSWER, rate)
    known.remember(CALL, samples, rate, speech.words, "en")
    samples, speech = voice(QUESTION, rate)
    known.teach(CALL, samples, rate, speech.words, "en")
    return known


def line(*sounds: tuple[float, str, float], seconds: float = 8.0, noise_dbfs: float | None = None) -> Samples:
    """Each sound with the second at which it begins and its loss in dB."""
    mixed: npt.NDArray[np.float64] = np.zeros(round(seconds * RATE))
    for at, text, loss_db in sounds:
        samples = voice(text)[0] * 10 ** (-loss_db / 20)
        begin = round(at * RATE)
        mixed[begin : begin + len(samples)] += samples[: len(mixed) - begin]
    if noise_dbfs is not None:
        mixed += np.random.default_rng(1).normal(0, 32768 * 10 ** (noise_dbfs / 20), len(mixed))
    return np.clip(mixed, -32768, 32767).astype(np.int16)


def heard_of(
    samples: Samples,
    encoding: Encoding = "pcm_mulaw",
    rate: int = RATE,
    piece: int = 160,
    known: SoundLibrary | None = None,
) -> Listener:
    listener = Listener(known or library(rate), CALL, encoding, rate)
    audio = encode(samples, encoding)
    for at in range(0, len(audio), piece):
        for now, speech in listener.feed(audio[at : at + piece]):
            listener.step(now, speech)
    return listener


def text(listener: Listener) -> str:
    return " ".join(word.text for word in listener.words)


def words_of(text: str) -> Iterator[str]:
    return iter(text.split())


@pytest.mark.parametrize(("encoding", "piece"), [("pcm_mulaw", 160), ("pcm_s16le", 333), ("pcm_alaw", 640)])
def test_words_are_heard_when_they_are_said(encoding: Encoding, piece: int) -> None:
    listener = heard_of(line((2.0, QUESTION, 0.0)), encoding, piece=piece)

    assert text(listener) == QUESTION
    starts = [word.start for word in voice(QUESTION)[1].words]
    assert [word.start for word in listener.words] == pytest.approx([2.0 + start for start in starts], abs=0.01)


def test_a_wideband_line_is_heard_as_well() -> None:
    wide = np.concatenate((np.zeros(16000, np.int16), voice(QUESTION, 16000)[0], np.zeros(16000, np.int16)))

    assert text(heard_of(wide, "pcm_s16le", 16000, 640)) == QUESTION


@pytest.mark.parametrize("loss_db", [6.0, 20.0, 30.0])
def test_an_echo_of_the_agent_is_heard_as_the_words_it_holds(loss_db: float) -> None:
    assert text(heard_of(line((1.3, ANSWER, loss_db)))) == ANSWER


def test_a_prepared_phrase_is_known_in_every_call() -> None:
    assert text(heard_of(line((1.0, PHRASE, 20.0)))) == PHRASE


def test_a_caller_over_an_echo_is_heard_and_covers_it() -> None:
    words = [word.text for word in heard_of(line((1.0, ANSWER, 20.0), (2.5, QUESTION, 0.0))).words]

    said = words_of(" ".join(words))
    assert all(word in said for word in QUESTION.split())
    assert len(words) < len(ANSWER.split()) + len(QUESTION.split())


def test_speech_is_heard_in_noise_and_noise_is_not_speech() -> None:
    assert text(heard_of(line((2.0, QUESTION, 0.0), noise_dbfs=-33))) == QUESTION
    assert text(heard_of(line(noise_dbfs=-20))) == ""


def test_what_the_noise_covers_is_not_heard() -> None:
    assert text(heard_of(line((2.0, QUESTION, 25.0), noise_dbfs=-25))) == ""


def test_what_was_broken_off_is_heard_to_where_it_broke() -> None:
    samples = line((1.0, ANSWER, 0.0))
    samples[round(2.2 * RATE) :] = 0

    listener = heard_of(samples)

    listener.settle()
    assert 2 <= len(listener.words) < 8
    assert ANSWER.startswith(text(listener))
    assert not listener.more_to_come
    assert listener.silence == pytest.approx(5.8, abs=0.1)


def test_a_sound_that_goes_on_after_a_break_is_found_again() -> None:
    samples = line((1.0, ANSWER, 0.0))
    cut = round(2.2 * RATE)
    broken = np.concatenate((samples[:cut], np.zeros(RATE, np.int16), samples[cut:]))

    words = heard_of(broken).words
    assert words[-1].text == ANSWER.split()[-1]
    assert len(words) >= len(ANSWER.split()) - 2


def test_a_phrase_that_was_said_in_another_call_is_known_in_this_one() -> None:
    known = SoundLibrary()
    known.open("call-2")
    samples, speech = voice(PHRASE)
    known.remember("call-2", samples, RATE, speech.words, "en")

    assert text(heard_of(line((1.0, PHRASE, 20.0)), known=known)) == PHRASE


@pytest.mark.parametrize(
    "words",
    ["Nobody has taught these words to anyone.", "It is six minutes by bus, along the river.", "Thanks, and bye."],
)
def test_next_to_nothing_is_heard_that_nobody_taught(words: str) -> None:
    silence = np.zeros(RATE, np.int16)

    heard = heard_of(np.concatenate((silence, voice(words)[0], silence))).words

    assert len(heard) <= 1  # the same voice says a short word of one sentence nearly as it does that of another


def test_two_recordings_of_one_text_are_heard_as_one() -> None:
    known = library()
    samples, speech = voice(ANSWER)
    rough = (samples + np.random.default_rng(1).normal(0, 300, len(samples))).astype(np.int16)
    known.remember(CALL, rough, RATE, speech.words, "en")

    assert text(heard_of(line((1.0, ANSWER, 10.0)), known=known)) == ANSWER


class CountingLibrary(SoundLibrary):
    """Counts how often something is looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.searches = 0

    def of(self, call_id: str) -> Iterator[KnownSound]:
        self.searches += 1
        return super().of(call_id)


def test_a_sound_that_was_found_is_followed_and_not_looked_for_again() -> None:
    known = CountingLibrary()
    known.open(CALL)
    samples, speech = voice(ANSWER)
    known.remember(CALL, samples, RATE, speech.words, "en")

    assert text(heard_of(line((1.0, ANSWER, 20.0)), known=known)) == ANSWER
    assert known.searches <= 4


def test_steady_noise_is_searched_less_and_less_often() -> None:
    known = CountingLibrary()

    heard_of(line(noise_dbfs=-30), known=known)

    assert known.searches <= 8 / 0.64 + 12
